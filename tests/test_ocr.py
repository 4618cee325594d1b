"""Pictures become views with the text that stands in them."""

import importlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from operators.ocr import Ocr
from operators.ocr_engine import OcrEngine, Pixels
from operators.ocr_engines import check_engine, load_engine
from operators.ocr_stages import cut_line, fit_strip
from schemas import config as configs
from schemas.box import Box
from schemas.config import Config
from schemas.failure import Reason, Stage
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Line, Perception, Picture, View
from tests.pictures import draw, line, page, picture, recall, sentence, tilted

ASSET = Asset("id", "version", "file:///talk.mp4", Kind.VIDEO, 1, "fingerprint", "hash")


@cache
def engine() -> OcrEngine:
    """Load the real engine once for the module."""
    return load_engine(configs.Ocr(), 1)


def settings(**changes: object) -> Config:
    """Change the section `ocr` of the defaults."""
    return Config(ocr=configs.Ocr(**changes))


def perception(*pictures: Picture, index: int = 0) -> Perception:
    """Wrap pictures as the span of a video, or as a page."""
    return Perception(ASSET, Unit(index, UnitKind.SPAN), pictures=list(pictures))


def read(pixels: Pixels, **changes: object) -> View:
    """Read one page with the real engine."""
    (result,) = Ocr(settings(**changes), engine())([perception(picture(pixels, page_number=1))])
    assert not result.failures
    (view,) = result.views
    return view


def text(view: View) -> str:
    """Join the lines of a view."""
    return "\n".join(line.text for line in view.lines)


class Fake:
    """Reads each picture as one line that names its first pixel; a white one breaks it."""

    name = revision = "fake"

    def __init__(self) -> None:
        """Remember the sizes of what it was given, call by call."""
        self.calls: list[list[tuple[int, int]]] = []

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Name the first pixel."""
        self.calls.append([(pixels.shape[1], pixels.shape[0]) for pixels in pictures])
        if any(pixels[0, 0, 0] == 255 for pixels in pictures):
            msg = "white"
            raise RuntimeError(msg)
        return [[line(f"value {pixels[0, 0, 0]}", 0.2, 0.2, 0.8, 0.3)] for pixels in pictures]

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Recognise nothing."""
        return [("", 0.0)] * len(strips)


def flat(value: int, width_px: int = 320, height_px: int = 180) -> Pixels:
    """A picture of one grey."""
    return np.full((height_px, width_px, 3), value, np.uint8)


def test_each_picture_becomes_a_view_of_its_own_perception() -> None:
    """Perceptions keep their order and number, pictures their times, whatever the batches are."""
    given = [
        perception(
            *(
                picture(flat(10 * unit + place, 320 + 64 * place), None, place, place + 1.0)
                for place in range(3)
            )
        )
        for unit in range(6)
    ]
    given.insert(2, perception())
    fake = Fake()
    found = Ocr(Config(), fake)(given)
    assert [result.unit for result in found] == [result.unit for result in given]
    assert found[2] == given[2]
    for unit, result in enumerate(found[:2] + found[3:]):
        assert result.pictures == []
        assert [view.lines[0].text for view in result.views] == [
            f"value {10 * unit + place}" for place in range(3)
        ]
        assert [(view.time_seconds, view.until_seconds) for view in result.views] == [(0, 1), (1, 2), (2, 3)]
        assert {view.read for view in result.views} == {"whole"}
        (cost,) = result.costs
        assert (cost.stage, cost.items) == ("ocr", 3)
    assert len(fake.calls) == 3
    assert all(len(set(call)) == 1 and len(call) == 6 for call in fake.calls)


def test_views_are_merged_by_page() -> None:
    """A page that was read takes its place among pages whose text layer was taken."""
    taken = [
        View(100, 100, page=1, text_source="text_layer"),
        View(100, 100, page=3, text_source="text_layer"),
    ]
    given = replace(perception(picture(flat(5), page_number=2)), views=taken)
    (result,) = Ocr(Config(), Fake())([given])
    assert [view.page for view in result.views] == [1, 2, 3]


def test_a_picture_that_breaks_the_engine_is_lost_alone() -> None:
    """The others of its batch are read; it becomes a failure with its place and an empty view."""
    pictures = [picture(flat(value), None, place, place + 0.5) for place, value in enumerate([1, 255, 3])]
    broken = replace(picture(flat(9), page_number=4), pixels=b"short")
    results = Ocr(Config(), Fake())([perception(*pictures, index=7), perception(broken, index=8)])
    assert [len(view.lines) for view in results[0].views] == [1, 0, 1]
    (failure,) = results[0].failures
    assert (failure.stage, failure.reason, failure.unit) == (Stage.OCR, Reason.INTERNAL, 7)
    assert (failure.start_seconds, failure.end_seconds) == (1, 1.5)
    assert "white" in failure.message
    (failure,) = results[1].failures
    assert (failure.reason, failure.page, failure.unit) == (Reason.CORRUPT, 4, 8)
    assert results[0].costs[0].items == 2


def test_engine_off_drops_pictures_unread() -> None:
    """Without an engine pages and times stay known, with no text."""
    (result,) = Ocr(settings(engine="off"))([perception(picture(flat(1), 1), picture(flat(2), 2))])
    assert result.pictures == []
    assert [(view.page, view.text_source, view.read) for view in result.views] == [
        (1, "none", "none"),
        (2, "none", "none"),
    ]


SLIDE = [
    (60.0, 40.0, 40.0, "Quarterly report"),
    (60.0, 160.0, 26.0, "Step 11 of the plan"),
    (60.0, 240.0, 26.0, "Nothing else changes"),
]


def box_around(x0: float, y0: float, x1: float, y1: float) -> Box:
    """A box in pixels of the slide."""
    return Box(x0 / 854, y0 / 480, x1 / 854, y1 / 480)


def changed_to(pixels: Pixels, *boxes: Box) -> tuple[View, View, float]:
    """Read a slide, then what it changed to; returns both views and the seconds of the second."""
    first = picture(draw(854, 480, SLIDE), None, 0.0, 1.0)
    second = replace(picture(pixels, None, 2.0, 3.0), changed=list(boxes))
    counted = Counted()
    operator = Ocr(Config(), counted)
    operator([perception(first)])
    before = counted.pixels
    started = time.perf_counter()
    (result,) = operator([perception(first, second)])
    counted.pixels -= 2 * before
    assert time.perf_counter() > started
    one, two = result.views
    return one, two, counted.pixels / (854 * 480)


class Counted:
    """The real engine, counting pixels."""

    name = revision = "counted"

    def __init__(self) -> None:
        """Start at nothing."""
        self.pixels = 0

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Read and count."""
        self.pixels += sum(pixels.shape[0] * pixels.shape[1] for pixels in pictures)
        return engine().read(pictures)

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Recognise."""
        return engine().recognise(strips)


def test_changed_line_is_read_again_and_others_stand() -> None:
    """Only the line that changed is new; the others are the same lines as before."""
    after = [SLIDE[0], (60.0, 160.0, 26.0, "Step 12 of the plan"), SLIDE[2]]
    one, two, share = changed_to(draw(854, 480, after), box_around(140, 165, 165, 190))
    assert text(two).splitlines() == ["Quarterly report", "Step 12 of the plan", "Nothing else changes"]
    assert two.lines[0] == one.lines[0]
    assert two.lines[2] == one.lines[2]
    assert (two.read, two.time_seconds, two.until_seconds) == ("parts", 2.0, 3.0)
    assert share < 0.1


def test_moving_dot_changes_nothing_and_costs_little() -> None:
    """A pointer over an empty place leaves all lines as they are, for a hundredth of the work."""
    pixels = draw(854, 480, SLIDE).copy()
    pixels[420:428, 700:708] = (255, 0, 0)
    one, two, share = changed_to(pixels, box_around(700, 420, 708, 428))
    assert two.lines == one.lines
    assert share < 0.02


def test_line_read_as_before_is_the_same_line() -> None:
    """A shade that falls on a line without hiding it does not make a new line of it."""
    pixels = draw(854, 480, SLIDE).copy()
    pixels[150:200, 180:240] //= 2
    one, two, _ = changed_to(pixels, box_around(180, 150, 240, 200))
    assert two.lines == one.lines


def test_text_that_vanishes_and_appears() -> None:
    """A line that is gone is gone, a new one is there, and the rest keeps its place in the order."""
    after = [SLIDE[0], SLIDE[2], (60.0, 330.0, 26.0, "Now something appears")]
    gone, new = box_around(55, 155, 330, 195), box_around(55, 325, 400, 365)
    _, two, _ = changed_to(draw(854, 480, after), gone, new)
    assert text(two).splitlines() == ["Quarterly report", "Nothing else changes", "Now something appears"]


def test_page_is_read_with_its_spaces_and_upright() -> None:
    """Every word of a page is found, with spaces between words, when it lies on its head too."""
    pixels, lines = page(rows=5, height_px=280)
    view = read(pixels)
    assert text(view).splitlines() == lines
    turned = read(np.ascontiguousarray(np.rot90(pixels, 2)))
    assert text(turned).splitlines() == lines
    assert turned.turned_degrees == 180
    side = read(np.ascontiguousarray(np.rot90(pixels)))
    assert text(side).splitlines() == lines
    assert side.turned_degrees == 90
    assert (side.width_px, side.height_px) == (view.width_px, view.height_px)
    assert abs(side.lines[0].x0 - view.lines[0].x0) < 0.02
    unturned = read(np.ascontiguousarray(np.rot90(pixels, 2)), orientation=False)
    assert recall(" ".join(lines), text(unturned)) < 0.2


def test_boxes_and_size_are_fractions_of_the_picture() -> None:
    """A line's box lies around its letters, and its size is the height of its letters."""
    view = read(draw(1000, 500, [(200, 100, 40, "Heading"), (200, 300, 20, "and a line of text")]))
    heading, body = view.lines
    assert 0.18 < heading.x0 < 0.21
    assert 0.17 < heading.y0 < 0.24
    assert heading.size * 500 == pytest.approx(36, rel=0.2)
    assert body.size * 500 == pytest.approx(18, rel=0.25)


@pytest.mark.parametrize("degrees", [-4, 3])
def test_skewed_page_is_read_in_order(degrees: int) -> None:
    """A few degrees of skew lose neither words nor their order."""
    pixels, lines = page(rows=8, height_px=400)
    assert recall(" ".join(lines), text(read(tilted(pixels, degrees)))) >= 0.95
    assert [line.split()[0] for line in text(read(tilted(pixels, degrees))).splitlines()] == [
        line.split()[0] for line in lines
    ]


def grainy(pixels: Pixels) -> Pixels:
    """Add the grain of a scan, so that no part of a picture is blank."""
    grain = np.random.default_rng(0).integers(0, 8, pixels.shape, np.uint8)
    return np.asarray(np.maximum(pixels, grain) - grain, np.uint8)


def test_second_look_finds_what_the_first_cannot_see() -> None:
    """Letters of 8 pixels in a picture of 4 megapixels are found with `auto` and not with `off`."""
    rows = [sentence(9, row) for row in range(6)]
    texts = [(1300.0, 1100 + 15.0 * row, 8.0, row_text) for row, row_text in enumerate(rows)]
    pixels = grainy(draw(2200, 1900, [(100, 100, 90, "Large title"), *texts]))
    auto, off = read(pixels, detail="auto"), read(pixels, detail="off")
    assert recall(" ".join(rows), text(off)) < 0.2
    assert recall(" ".join(rows), text(auto)) > 0.8
    assert text(auto).splitlines()[0] == text(off).splitlines()[0] == "Large title"
    assert len(auto.lines) == 7


def test_long_and_tall_pictures_are_read() -> None:
    """A receipt a few times as long as wide, and a phone's screen, lose no line."""
    lines = [sentence(3, row) for row in range(20)]
    receipt = draw(700, 4200, [(40, 40 + 200.0 * row, 26, row_text) for row, row_text in enumerate(lines)])
    assert text(read(receipt)).splitlines() == lines
    phone = draw(720, 1600, [(30, 60 + 300.0 * row, 30, lines[row]) for row in range(5)], "white", "#123")
    assert text(read(phone)).splitlines() == lines[:5]


def test_line_that_fills_its_picture_is_read() -> None:
    """A picture cut closely around one line is read, and so is one of a few pixels."""
    assert text(read(draw(300, 34, [(4, 2, 26, "A single line")]))) == "A single line"
    assert read(flat(200, 1, 1)).lines == []
    assert read(flat(200, 3, 500)).lines == []


def test_reading_does_not_depend_on_company() -> None:
    """A picture reads the same alone and in a batch with others, so that a rerun gives the same rows."""
    pixels = [page(rows=2 + row, height_px=300)[0] for row in range(3)]
    together = engine().read(pixels)
    assert together == [engine().read([one])[0] for one in pixels]


def test_doubtful_lines_are_dropped() -> None:
    """Lines below the configured confidence do not reach the tables."""
    pixels, _ = page(rows=3, height_px=200)
    upside_down = np.ascontiguousarray(np.rot90(pixels, 2))
    all_lines = read(upside_down, orientation=False, min_confidence=0.0).lines
    assert [line for line in all_lines if line.confidence >= 0.9] == read(
        upside_down, orientation=False, min_confidence=0.9
    ).lines
    assert any(line.confidence < 0.9 for line in all_lines)


def test_line_cut_from_a_picture_is_straight() -> None:
    """A line that runs downwards is turned left; strips have one height and canonical widths."""
    pixels = draw(200, 200, [])
    tall = np.array([[50, 10], [70, 10], [70, 150], [50, 150]], np.float32)
    assert cut_line(pixels, tall).shape[:2] == (20, 140)
    askew = np.array([[10, 10], [150, 20], [148, 50], [8, 40]], np.float32)
    assert cut_line(pixels, askew).shape[:2] == (30, 140)
    assert fit_strip(flat(0, 140, 20)).shape == (48, 352, 3)
    assert fit_strip(flat(0, 9000, 10)).shape[1] == 3200


def test_engines_are_checked_before_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot run is refused with what was wanted, found and to do, without loading anything."""
    assert check_engine(configs.Ocr()) is None
    assert check_engine(configs.Ocr(engine="off")) is None
    missing = check_engine(configs.Ocr(model=str(tmp_path / "none")))
    assert missing is not None
    assert "found no folder" in missing
    (tmp_path / "some_det.onnx").touch()
    half = check_engine(configs.Ocr(model=str(tmp_path)))
    assert half is not None
    assert "*rec*.onnx" in half
    with pytest.raises(ValueError, match=r"\*rec\*.onnx"):
        load_engine(configs.Ocr(model=str(tmp_path)), 1)
    with pytest.raises(ValueError, match="off"):
        load_engine(configs.Ocr(engine="off"), 1)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    paddle = check_engine(configs.Ocr(engine="paddleocr"))
    assert paddle is not None
    assert "pip install 'gloss[paddle]'" in paddle


def test_engine_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and reading with the default engine opens no connection."""

    def refuse(*args: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    fresh = load_engine(configs.Ocr(), 1)
    assert fresh.read([draw(200, 60, [(10, 10, 30, "Hello")])])[0][0].text == "Hello"
    assert "PP-OCRv6_rec_small@" in fresh.revision


def test_the_rest_of_rapidocr_stays_whole() -> None:
    """The engine leaves out what it does not use; who wants it afterwards gets it."""
    engine()
    detection = importlib.import_module("rapidocr.ch_ppocr_det")
    assert detection.TextDetector is not None
    assert importlib.import_module("rapidocr.ch_ppocr_det.utils").VisRes is not None
    again = load_engine(configs.Ocr(), 1)
    assert again.read([draw(200, 60, [(10, 10, 30, "Hello")])])[0][0].text == "Hello"
