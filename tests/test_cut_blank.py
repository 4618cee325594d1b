"""Blank space is cut away before a picture is read, and nothing else is."""

from functools import cache
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cut_blank import inked_bands, is_cut, read_inked
from operators.multiscale import Rect, overlap
from operators.ocr_engine import OcrEngine, Pixels
from operators.ocr_engines import load_engine
from schemas.config import Ocr
from schemas.perception import Line
from tests.pictures import draw

WIDTH, HEIGHT = 640, 360

MARKS = st.lists(
    st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(32, 255)), max_size=6
)


@cache
def engine() -> OcrEngine:
    """Load the real engine once for the module."""
    return load_engine(Ocr(), 1)


def paper(width_px: int = WIDTH, height_px: int = HEIGHT) -> Pixels:
    """A picture with nothing on it."""
    return np.zeros((height_px, width_px, 3), np.uint8)


def is_inside(bands: list[Rect], x: int, y: int) -> bool:
    """Tell whether a pixel is in one of the bands."""
    return any(band.x0 <= x < band.x1 and band.y0 <= y < band.y1 for band in bands)


@given(MARKS, st.integers(40, WIDTH), st.integers(40, HEIGHT))
@settings(max_examples=60, deadline=None)
def test_whatever_is_seen_is_in_one_band(marks: list[tuple[int, int, int]], width: int, height: int) -> None:
    """Each mark lies in a band with its surroundings, and bands have no pixel in common."""
    pixels = paper(width, height)
    marks = [(x % width, y % height, level) for x, y, level in marks]
    for x, y, level in marks:
        pixels[y, x] = level
    bands = inked_bands(pixels)
    assert bands
    for above, below in pairwise(bands):
        assert above.y1 <= below.y0
    for x, y, _ in marks:
        assert all(
            is_inside(bands, min(max(x + dx, 0), width - 1), min(max(y + dy, 0), height - 1))
            for dx in (-16, 16)
            for dy in (-16, 16)
        )


def test_lines_far_apart_are_cut_and_words_are_not() -> None:
    """Rows are cut at gaps as high as a line; within a band nothing is, however wide a gap is."""
    slide = draw(1280, 720, [(80, 60, 60, "Title"), (80, 300, 36, "left"), (1000, 300, 36, "right")])
    title, body = inked_bands(slide)
    assert title.x1 < 400
    assert body.x0 < 80 < 1080 < body.x1
    assert is_cut(slide)


def test_what_may_be_one_line_downwards_stays_whole() -> None:
    """Large shapes one below the other are not parted by a gap of less than half their height."""
    pixels = paper()
    for top in (8, 184):
        pixels[top : top + 112, 40:100] = 200
    (band,) = inked_bands(pixels)
    assert band.y0 == 0
    assert band.y1 >= 296


def test_pictures_without_blank_space_are_left_whole() -> None:
    """Grain, a frame around everything, and a picture of one colour."""
    grain = np.random.default_rng(0).integers(0, 9, (HEIGHT, WIDTH, 3), np.uint8)
    framed = draw(WIDTH, HEIGHT, [(60, 60, 30, "Words")]).copy()
    framed[:, [3, -4]] = 0
    for pixels in (grain, framed, paper()):
        assert inked_bands(pixels) == [Rect(0, 0, WIDTH, HEIGHT)]
        assert not is_cut(pixels)


def test_faint_words_keep_their_surroundings() -> None:
    """A line of contrast 12 is found in the whole picture, also beside a clear one; noise is nothing."""
    faint = draw(WIDTH, HEIGHT, [(60, 130, 20, "and some others")], "#f3f3f3")
    assert [line.text for line in read_inked(engine(), [faint])[0]] == ["and some others"]
    both = np.minimum(faint, draw(WIDTH, HEIGHT, [(60, 20, 30, "Title")]))
    assert not is_cut(both)
    noise = np.random.default_rng(0).integers(0, 6, faint.shape, np.uint8)
    clear = draw(WIDTH, HEIGHT, [(60, 20, 30, "Title")])
    assert inked_bands(np.asarray(np.maximum(clear, noise) - noise, np.uint8)) == inked_bands(clear)
    assert is_cut(clear)


def test_cut_pictures_read_as_whole_ones() -> None:
    """The same words at the same places, in less of the detector's time."""
    slide = draw(1280, 720, [(80, 60, 60, "Title"), (80, 300, 36, "left side"), (1000, 500, 36, "right")])
    cut, whole = read_inked(engine(), [slide])[0], engine().read([slide])[0]

    def by_place(lines: list[Line]) -> list[Line]:
        return sorted(lines, key=lambda line: line.y0)

    assert [line.text for line in by_place(cut)] == [line.text for line in by_place(whole)]
    for one, other in zip(by_place(cut), by_place(whole), strict=True):
        assert overlap(one, other) > 0.9
        assert abs(one.size - other.size) < 0.01
    assert sum(band.area for band in inked_bands(slide)) < 0.3 * 1280 * 720
