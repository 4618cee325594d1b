"""Looks are decoded: the frame that stands at a time, the part that a box names, exactly the size."""

import io
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from operators.decode import Decode
from operators.decode_look import decode_looks, near_groups
from operators.decode_pdf import decode_pdf_pages
from operators.decode_video import decode_span
from schemas.box import Box
from schemas.config import Config, Limits
from schemas.failure import InputError, Reason
from schemas.look import Glance, Look, Shown
from schemas.media import Asset, Planned, Unit, UnitKind
from schemas.perception import Perception
from tests.media import Encoding, encode, quadrants, save, steady
from tests.pages import drawn_pdf, picture_bytes, prose, put_picture

Pixels = NDArray[np.uint8]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)

CODED = Encoding(options={"crf": "12", "preset": "ultrafast"}, key_every=50)
REORDERED = Encoding(options={"crf": "12", "preset": "veryfast", "bf": "3"}, key_every=50)
NTSC = Encoding(time_base=Fraction(1, 30_000), options={"crf": "12", "preset": "veryfast", "bf": "2"})


def asset_of(kind: str, container: str = "", seconds: float | None = None) -> Asset:
    """State what probing would."""
    return Asset("a", "v", "file:///a", kind, 1, "f", "h", container=container, duration_seconds=seconds)


def unit_of(*glances: Glance, index: int = 0) -> Unit:
    """Plan a look by hand."""
    return Unit(index, "look", look=Look(0, list(glances), "caption"))


def at(time: float, size: tuple[int, int] = (64, 48), box: Box | None = None, turned: int = 0) -> Glance:
    """Plan to show a frame."""
    return Glance(*size, 1, time_seconds=time, box=box, turned_degrees=turned)


def on(page: int, size: tuple[int, int], box: Box | None = None, turned: int = 0) -> Glance:
    """Plan to show a page."""
    return Glance(*size, 1, page=page, box=box, turned_degrees=turned)


def decoded(content: bytes, asset: Asset, *units: Unit, config: Config | None = None) -> list[Perception]:
    """Decode looks of a file in memory."""
    return list(decode_looks(io.BytesIO(content), asset, units, config or Config()))


def video(
    content: bytes, *glances: Glance, container: str = "mov", config: Config | None = None
) -> list[Shown]:
    """Decode one look of a video; check that it is what was planned."""
    (perception,) = decoded(content, asset_of("video", container), unit_of(*glances), config=config)
    assert [(shown.width_px, shown.height_px) for shown in perception.shown] == [
        (glance.width_px, glance.height_px) for glance in glances
    ]
    assert [(shown.time_seconds, shown.box) for shown in perception.shown] == [
        (glance.time_seconds, glance.box) for glance in glances
    ]
    (cost,) = perception.costs
    assert (cost.stage, cost.items) == ("decode", len(glances))
    return perception.shown


def pixels_of(shown: Shown) -> Pixels:
    """Give the pixels their shape."""
    return np.frombuffer(shown.pixels, np.uint8).reshape(shown.height_px, shown.width_px, 3)


def grey(level: int, size: tuple[int, int] = (64, 48)) -> Pixels:
    """Paint all of a frame in one tone: its number."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def tones(shown: Sequence[Shown]) -> list[int]:
    """Read the numbers of frames that `grey` painted in steps of ten."""
    return [round(float(pixels_of(item).mean()) / 10) * 10 for item in shown]


def colour(pixels: Pixels) -> tuple[int, ...]:
    """Name the colour of the middle of a picture, as pure as it is near."""
    height, width = pixels.shape[:2]
    middle = pixels[height // 4 : -(height // 4), width // 4 : -(width // 4)].reshape(-1, 3).mean(axis=0)
    return tuple(255 if value > 128 else 0 for value in middle)


def corners(pixels: Pixels) -> list[tuple[int, ...]]:
    """Name the colours of the four quarters: top left, top right, bottom left, bottom right."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    parts = pixels[:height, :width], pixels[:height, width:], pixels[height:, :width], pixels[height:, width:]
    return [colour(part) for part in parts]


# --- videos --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [CODED, REORDERED])
def test_each_frame_is_the_one_on_screen_at_its_time(encoding: Encoding) -> None:
    """Twenty frames a quarter of a second apart, asked for at their time and just before the next."""
    content = encode([(index / 4, grey(index * 10 + 10)) for index in range(20)], encoding)
    times = [time for index in range(0, 20, 3) for time in (index / 4, index / 4 + 0.249)]
    shown = video(content, *(at(time) for time in times))
    assert tones(shown) == [int(time * 4) * 10 + 10 for time in times]


def test_variable_rates_are_read_by_time_not_by_number() -> None:
    """A picture that stands for twelve seconds between others that stand for a tenth."""
    starts = [0.0, 0.1, 0.2, 12.2, 12.3, 20.0]
    content = encode([(start, grey(20 + 30 * index)) for index, start in enumerate(starts)], CODED)
    times = [0.0, 0.15, 0.2, 7.0, 12.1, 12.25, 12.3, 19.9, 20.0]
    assert tones(video(content, *(at(time) for time in times))) == [20, 50, 80, 80, 80, 110, 140, 140, 170]


def test_glances_come_back_in_the_order_of_the_look() -> None:
    """A frame is decoded once, whole and parts, however they are mixed."""
    content = encode([(index, grey(index * 40 + 10)) for index in range(6)], CODED)
    part = Box(0, 0, 0.5, 0.5)
    shown = video(content, at(5), at(0), at(5, (28, 28), part), at(3), at(0, (10, 6), part))
    assert tones(shown) == [210, 10, 210, 130, 10]


def test_several_looks_of_one_file_come_back_in_order() -> None:
    """Reading goes on, and back, between looks."""
    content = encode(steady([(second, grey(second * 10 + 10)) for second in range(24)], 24), CODED)
    units = [
        unit_of(at(time), at(time + 1), index=place) for place, time in enumerate((20.5, 2.5, 11.5, 2.5))
    ]
    perceptions = decoded(content, asset_of("video", "mov"), *units)
    assert [perception.unit for perception in perceptions] == units
    assert [tones(perception.shown) for perception in perceptions] == [
        [210, 220],
        [30, 40],
        [120, 130],
        [30, 40],
    ]


@pytest.mark.parametrize(
    ("encoding", "start"),
    [
        (CODED, 0.0),
        (REORDERED, 0.0),
        (NTSC, 0.0),
        (Encoding(turned_degrees=90), 0.0),
        (Encoding(turned_degrees=180), 0.0),
        (Encoding(pixel_aspect=Fraction(4, 3)), 0.0),
        (Encoding(container="matroska"), 5.0),
        (Encoding(container="mpegts", time_base=Fraction(1, 90_000), key_every=30), 7.4),
    ],
)
def test_the_frame_that_was_read_is_the_frame_that_is_shown(encoding: Encoding, start: float) -> None:
    """By times, clock, turn and pixel aspect: views and glances of the same time have the same pixels."""
    rate = Fraction(30_000, 1001)
    noise = np.random.default_rng(3).integers(0, 255, (6, 6, 8, 3), np.uint8)
    drawn = [np.kron(block, np.ones((8, 8, 1), np.uint8)) for block in noise]
    content = encode([(start + float(index / rate), drawn[index // 20]) for index in range(120)], encoding)
    container = {"mp4": "mov"}.get(encoding.container, encoding.container)
    asset = asset_of("video", container, 4.004)
    read = [
        picture
        for first in (0.0, 2.0)
        for picture in decode_span(
            io.BytesIO(content), asset, Unit(0, "span", first, first + 2 if first == 0 else None), Config()
        ).pictures
    ]
    assert len(read) >= 4
    size = read[0].width_px, read[0].height_px
    shown = video(content, *(at(picture.time_seconds or 0.0, size) for picture in read), container=container)
    for picture, item in zip(read, shown, strict=True):
        assert picture.pixels == item.pixels


def test_a_part_is_the_region_its_box_names() -> None:
    """Each quarter of a frame of four colours, and one that holds parts of all."""
    content = encode([(0, quadrants((128, 96))), (1, quadrants((128, 96)))], CODED)
    boxes = [Box(0, 0, 0.5, 0.5), Box(0.5, 0, 1, 0.5), Box(0, 0.5, 0.5, 1), Box(0.5, 0.5, 1, 1)]
    shown = video(
        content, *(at(0, (56, 28), box) for box in boxes), at(0, (40, 40), Box(0.25, 0.25, 0.75, 0.75))
    )
    assert [colour(pixels_of(item)) for item in shown[:4]] == [RED, GREEN, BLUE, WHITE]
    assert corners(pixels_of(shown[4])) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("turned", "wanted"),
    [(90, [BLUE, RED, WHITE, GREEN]), (180, [WHITE, BLUE, GREEN, RED]), (270, [GREEN, WHITE, RED, BLUE])],
)
def test_a_frame_is_turned_before_it_is_cut(turned: int, wanted: list[tuple[int, ...]]) -> None:
    """A clockwise turn by 90 degrees brings the bottom left to the top left."""
    content = encode([(0, quadrants((128, 96)))], CODED)
    whole, part = video(content, at(0, (48, 64), turned=turned), at(0, (28, 28), Box(0, 0, 0.5, 0.5), turned))
    assert corners(pixels_of(whole)) == wanted
    assert colour(pixels_of(part)) == wanted[0]


def test_much_reduced_pictures_keep_fine_lines() -> None:
    """Stripes one pixel wide become grey, not black or white by chance."""
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    (shown,) = video(
        encode([(0, stripes)], Encoding(codec="libx264rgb", pixel_format="rgb24", options={"qp": "0"})),
        at(0, (40, 30)),
    )
    assert np.abs(pixels_of(shown).astype(int) - 128).max() < 20


def test_the_last_frame_stands_to_the_end_and_the_first_from_the_beginning() -> None:
    """A video without a frame at a time shows the nearest."""
    content = encode([(0, grey(50)), (2, grey(200))], CODED)
    assert tones(video(content, at(100.0))) == [200]


def test_frames_beyond_the_limit_are_refused() -> None:
    """`limits.frames` holds for looks."""
    content = encode(steady([(0, grey(50))], 8), CODED)
    config = Config(limits=Limits(frames=20))
    with pytest.raises(InputError, match=r"limits\.frames") as caught:
        video(content, at(0.0), at(4.5), config=config)
    assert caught.value.reason == Reason.TOO_LARGE


def test_frames_that_declare_too_many_pixels_are_refused() -> None:
    """`limits.pixels` holds for looks."""
    content = encode([(0, grey(50, (640, 480)))], CODED)
    with pytest.raises(InputError):
        video(content, at(0.0), config=Config(limits=Limits(pixels=1000)))


@pytest.mark.parametrize("demuxer", ["hls", "concat", ""])
def test_only_self_contained_files_are_opened(demuxer: str) -> None:
    """A look opens nothing that decoding would not."""
    with pytest.raises(InputError) as caught:
        video(b"#EXTM3U\n", at(0.0), container=demuxer)
    assert caught.value.reason == Reason.REFUSED


def test_a_damaged_place_shows_a_sound_frame_or_none() -> None:
    """Behind a hole in the file the frame before it stands; where nothing is left, the unit fails."""
    content = bytearray(
        encode(
            [
                (index / 10, np.random.default_rng(index).integers(0, 255, (48, 64, 3), np.uint8))
                for index in range(60)
            ],
            CODED,
        )
    )
    start = content.index(b"mdat")
    for place in range(start + 8, len(content) - 3000):
        content[place] = 0
    with pytest.raises(InputError) as caught:
        video(bytes(content), at(1.0))
    assert caught.value.reason == Reason.CORRUPT


def test_near_times_are_read_in_one_go() -> None:
    """Reading on for five seconds costs less than going back to a key frame."""
    assert list(near_groups([0.0, 3.0, 8.0, 13.5, 14.0])) == [[0.0, 3.0, 8.0], [13.5, 14.0]]
    assert list(near_groups([])) == []


# --- pages ---------------------------------------------------------------------------------


def four_colours() -> bytes:
    """A PDF with two pages: one of four colours, one white with a red lower half."""
    picture = Image.fromarray(quadrants((200, 300)))
    half = Image.new("RGB", (200, 300), "white")
    half.paste("red", (0, 150, 200, 300))
    return drawn_pdf(
        lambda canvas: put_picture(canvas, picture, 0, 0, 200, 300),
        lambda canvas: put_picture(canvas, half, 0, 0, 200, 300),
        size=(200, 300),
    )


def pages(
    content: bytes, *glances: Glance, kind: str = "document", config: Config | None = None
) -> list[Shown]:
    """Decode one look at pages; check that it is what was planned."""
    (perception,) = decoded(content, asset_of(kind), unit_of(*glances), config=config)
    assert [(item.width_px, item.height_px, item.page, item.box) for item in perception.shown] == [
        (glance.width_px, glance.height_px, glance.page, glance.box) for glance in glances
    ]
    return perception.shown


def test_pages_and_their_parts_are_rendered() -> None:
    """The whole of each page and a quarter of one."""
    first, part, second = pages(
        four_colours(), on(1, (84, 112)), on(1, (56, 56), Box(0.5, 0, 1, 0.5)), on(2, (84, 112))
    )
    assert corners(pixels_of(first)) == [RED, GREEN, BLUE, WHITE]
    assert colour(pixels_of(part)) == GREEN
    assert corners(pixels_of(second)) == [WHITE, WHITE, RED, RED]


@pytest.mark.parametrize(
    ("turned", "wanted"), [(90, [BLUE, RED, WHITE, GREEN]), (270, [GREEN, WHITE, RED, BLUE])]
)
def test_a_turned_page_is_shown_upright(turned: int, wanted: list[tuple[int, ...]]) -> None:
    """Boxes are those of the upright page."""
    whole, part = pages(
        four_colours(), on(1, (120, 80), turned=turned), on(1, (40, 40), Box(0.5, 0.5, 1, 1), turned)
    )
    assert corners(pixels_of(whole)) == wanted
    assert colour(pixels_of(part)) == wanted[3]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_lines_of_a_turned_text_layer_are_where_their_boxes_say(degrees: int) -> None:
    """Content written sideways or upside down: each line has ink, and there is none beside them."""

    def sideways(canvas: Canvas) -> None:
        canvas.translate(300, 400)
        canvas.rotate(degrees)
        prose(canvas, x=-150, y=150)

    content = drawn_pdf(sideways, size=(600, 800))
    asset = asset_of("document", "pdf")
    (read,) = decode_pdf_pages(io.BytesIO(content), asset, [Unit(0, "page", page=1)], Config())
    (view,) = read.views
    boxes = [Box(line.x0, line.y0, line.x1, line.y1) for line in view.lines]
    assert len(boxes) == 7
    size = 2 * view.width_px, 2 * view.height_px
    glances = [on(1, (280, 28), box, view.turned_degrees) for box in boxes]
    whole, *parts = pages(content, on(1, size, turned=view.turned_degrees), *glances)
    assert all((pixels_of(part) < 128).mean() > 0.05 for part in parts)
    rest = pixels_of(whole).copy()
    for box in boxes:
        x0, x1 = int(box.x0 * size[0]) - 4, int(box.x1 * size[0]) + 4
        rest[int(box.y0 * size[1]) - 4 : int(box.y1 * size[1]) + 4, x0:x1] = 255
    assert rest.min() > 200


def test_a_part_of_a_page_is_as_sharp_as_it_is_large() -> None:
    """A line a tenth of a point wide is a black line where it is enlarged twenty times."""

    def hair(canvas: Canvas) -> None:
        canvas.setLineWidth(0.2)
        canvas.line(50, 0, 50, 300)

    content = drawn_pdf(hair, size=(200, 300))
    (shown,) = pages(content, on(1, (200, 200), Box(0.225, 0.4, 0.275, 0.4 + 10 / 300)))
    row = pixels_of(shown)[100, :, 0]
    assert row.min() < 30
    assert (row < 128).sum() <= 6  # 0.2 points at 20 pixels per point are 4


def test_what_is_rendered_stays_within_the_limits() -> None:
    """A part so small that it asks for a page of gigapixels is shown as sharp as is allowed."""
    config = Config(limits=Limits(pixels=100_000))
    box = Box(0.5, 0.5, 0.501, 0.501)
    (shown,) = pages(four_colours(), on(1, (200, 200), box), config=config)
    assert colour(pixels_of(shown)) == WHITE


def test_a_page_that_is_not_there_fails_alone() -> None:
    """The unit before it is decoded."""
    units = [unit_of(on(1, (28, 28))), unit_of(on(9, (28, 28)), index=1)]
    looks = decode_looks(io.BytesIO(four_colours()), asset_of("document"), units, Config())
    assert next(looks).unit == units[0]
    with pytest.raises(InputError) as caught:
        next(looks)
    assert caught.value.reason == Reason.CORRUPT


# --- picture files -------------------------------------------------------------------------


def test_a_picture_file_is_shown_upright_by_its_exif() -> None:
    """Orientation 6: the camera was turned, the file's top is the picture's right."""
    picture = Image.fromarray(quadrants((160, 120)))
    exif = Image.Exif()
    exif[0x0112] = 6
    whole, part = pages(
        picture_bytes(picture, "JPEG", exif=exif, quality=95),
        on(1, (60, 80)), on(1, (28, 28), Box(0, 0, 0.5, 0.5)), kind="image",
    )  # fmt: skip
    assert corners(pixels_of(whole)) == [BLUE, RED, WHITE, GREEN]
    assert colour(pixels_of(part)) == BLUE


def test_each_frame_of_a_file_is_a_page() -> None:
    """A TIFF of two."""
    first, second = (Image.new("RGB", (40, 30), name) for name in ("red", "blue"))
    content = picture_bytes(first, "TIFF", save_all=True, append_images=[second])
    shown = pages(content, on(2, (28, 28)), on(1, (28, 28)), kind="image")
    assert [colour(pixels_of(item)) for item in shown] == [BLUE, RED]


def test_a_part_of_a_large_picture_keeps_its_pixels() -> None:
    """A single white pixel of four megapixels is found in the part around it, and at its place."""
    pixels = np.zeros((2000, 2000, 3), np.uint8)
    pixels[1510, 1020] = 255
    content = picture_bytes(Image.fromarray(pixels), "PNG")
    config = Config.model_validate({"documents": {"max_pixels": 100_000}})
    (shown,) = pages(content, on(1, (100, 100), Box(0.5, 0.75, 0.55, 0.8)), kind="image", config=config)
    assert divmod(int(pixels_of(shown)[:, :, 0].argmax()), 100) == (10, 20)
    assert pixels_of(shown).max() == 255


def test_a_picture_file_of_too_many_pixels_is_refused() -> None:
    """`limits.pixels` holds for looks."""
    content = picture_bytes(Image.new("RGB", (400, 300)), "PNG")
    with pytest.raises(InputError) as caught:
        pages(content, on(1, (28, 28)), kind="image", config=Config(limits=Limits(pixels=1000)))
    assert caught.value.reason == Reason.TOO_LARGE


def test_a_look_that_cannot_be_decoded_is_a_failure_and_takes_no_other_along(tmp_path: Path) -> None:
    """Through the decoding child, as in a run: the loss has a place and a reason."""
    path = save(tmp_path, "paper.pdf", drawn_pdf(prose, prose))
    asset = replace(asset_of("document", "pdf"), uri=Path(path).as_uri())
    units = [
        Unit(index, UnitKind.LOOK, page=page, look=Look(index, [Glance(200, 280, 70, page=page)], "caption"))
        for index, page in enumerate([99, 2])
    ]
    lost, found = Decode(Config())(Planned(asset, units))
    assert [(item.stage, item.unit, item.page) for item in lost.failures] == [("decode", 0, 99)]
    assert len(lost.failures[0].message) > 20
    assert not lost.shown
    assert not found.failures
    assert [(shown.width_px, shown.height_px, shown.page) for shown in found.shown] == [(200, 280, 2)]
