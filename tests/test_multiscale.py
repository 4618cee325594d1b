"""Which parts of a picture are looked at again."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from operators.multiscale import (
    CELL_PX,
    SECOND_LOOK_PIXELS,
    TILE_PIXELS,
    Rect,
    detector_scale,
    detector_size,
    fine_detail,
    join_meeting,
    merge,
    parts,
    place,
    rect_of,
    second_looks,
    tiles,
    within_budget,
)
from schemas.box import Box
from tests.pictures import draw, line, sentence

SIDE = st.integers(1, 9000)
RECTS = st.builds(
    lambda x, y, wide, high: Rect(x, y, x + wide, y + high),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(1, 9000),
    st.integers(1, 9000),
)


@given(SIDE, SIDE)
def test_detector_size_is_bounded_and_never_enlarges(width: int, height: int) -> None:
    """The detector's input is a multiple of 32 within the budget, but for rounding."""
    wide, high = detector_size(width, height)
    assert wide % 32 == high % 32 == 0
    assert detector_scale(width, height) <= 1
    assert wide <= width + 32 and high <= height + 32  # noqa: PT018
    assert (wide - 32) * (high - 32) <= 2_600_000


@given(RECTS)
def test_tiles_cover_their_region(region: Rect) -> None:
    """Every pixel of a region lies in a tile, and tiles stay within region and budget."""
    cut = tiles(region)
    assert all(0 < tile.area <= TILE_PIXELS for tile in cut)
    assert all(region.joined(tile) == region for tile in cut)
    # All tiles are cut by one grid: covering the diagonals of it covers it all.
    for x in {region.x0, region.x1 - 1, *(tile.x0 for tile in cut), *(tile.x1 - 1 for tile in cut)}:
        for y in {region.y0, region.y1 - 1, *(tile.y0 for tile in cut), *(tile.y1 - 1 for tile in cut)}:
            assert any(tile.meets(Rect(x, y, x + 1, y + 1)) for tile in cut)


@given(st.lists(RECTS, max_size=12))
def test_joined_rectangles_are_apart_and_cover(rects: list[Rect]) -> None:
    """Joining loses no rectangle and leaves none that meet."""
    joined = join_meeting(rects)
    assert all(any(other.joined(rect) == other for other in joined) for rect in rects)
    assert not any(a.meets(b) for index, a in enumerate(joined) for b in joined[index + 1 :])


@given(st.lists(RECTS, max_size=12), st.integers(0, 50_000_000))
def test_budget_is_kept(rects: list[Rect], pixels: int) -> None:
    """What is looked at again stays within the pixel budget."""
    assert sum(rect.area for rect in within_budget(rects, pixels)) <= pixels


@given(RECTS.filter(lambda rect: rect.area < 10_000_000), st.integers(0, 9), st.integers(0, 9))
def test_place_maps_a_crop_back(rect: Rect, x: int, y: int) -> None:
    """A box read in a crop lies at the same pixels of the whole picture."""
    width, height = rect.x1 + 10, rect.y1 + 10
    inner = line("word", x / 10, y / 10, x / 10 + 0.1, y / 10 + 0.1)
    placed = place(inner, rect, width, height)
    assert abs(placed.x0 * width - (rect.x0 + inner.x0 * (rect.x1 - rect.x0))) < 1e-6 * width
    assert abs(placed.y1 * height - (rect.y0 + inner.y1 * (rect.y1 - rect.y0))) < 1e-6 * height
    assert abs(placed.size * height - inner.size * (rect.y1 - rect.y0)) < 1e-6 * height


def grey(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Turn a picture grey."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def test_small_print_is_fine_detail_and_noise_is_not() -> None:
    """Rows of small letters call for a second look; blank paper, noise and large type do not."""
    print_ = draw(960, 480, [(10, 10 + 14 * row, 9, sentence(22, row)) for row in range(30)])
    assert fine_detail(grey(print_)).mean() > 0.5
    assert fine_detail(grey(draw(960, 480, [(40, 100, 90, "Large type")]))).mean() < 0.1
    noise = np.random.default_rng(1).integers(0, 256, (480, 960), dtype=np.uint8)
    assert fine_detail(noise).mean() < 0.02


def test_only_large_pictures_with_small_letters_are_looked_at_again() -> None:
    """A second look costs nothing where it could show nothing new."""
    blank = np.zeros((1600 // CELL_PX, 2000 // CELL_PX), np.bool_)
    large, small = line("large", 0.1, 0.1, 0.5, 0.14), line("small", 0.1, 0.6, 0.3, 0.605)
    assert second_looks(2000, 1600, [large], blank, CELL_PX) == []
    assert second_looks(2000, 1600, [replace(small, confidence=0.99)], blank, CELL_PX) == []
    (crop,) = second_looks(2000, 1600, [large, small], blank, CELL_PX)
    assert crop.meets(rect_of(small, 2000, 1600))
    assert not crop.meets(rect_of(large, 2000, 1600))
    tiny = np.zeros((700 // CELL_PX, 1000 // CELL_PX), np.bool_)
    assert second_looks(1000, 700, [small], tiny, CELL_PX) == []


def test_second_looks_stay_within_budget() -> None:
    """A huge picture full of detail is looked at again only as far as the budget goes."""
    full = np.ones((9000 // CELL_PX, 9000 // CELL_PX), np.bool_)
    looks = second_looks(9000, 9000, [], full, CELL_PX)
    assert 0 < sum(look.area for look in looks) <= SECOND_LOOK_PIXELS


def test_merge_keeps_one_reading_of_each_place() -> None:
    """The surer reading of a place wins, halves of a line do not stand beside it, others stay."""
    first = [line("a whole long line", 0.1, 0.1, 0.9, 0.12, 0.95), line("garb", 0.1, 0.5, 0.9, 0.52, 0.5)]
    again = [
        line("a whole", 0.1, 0.1, 0.4, 0.12, 0.95),
        line("garbage no more", 0.1, 0.5, 0.9, 0.52, 0.95),
        line("garbage no mo", 0.1, 0.5, 0.88, 0.52, 0.9),
        line("new", 0.1, 0.8, 0.2, 0.82, 0.9),
    ]
    assert {kept.text for kept in merge(first, again)} == {"a whole long line", "garbage no more", "new"}


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 9)), max_size=8),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 95)), max_size=8),
)
def test_parts_show_all_changes_in_whole_lines(
    boxes: list[tuple[int, int, int]], rows: list[tuple[int, int]]
) -> None:
    """Every change, and every line it touches, lies wholly in a crop; crops do not meet."""
    changed = [Box(x / 100, y / 100, (x + side) / 100, (y + side) / 100) for x, y, side in boxes]
    lines = [
        line(f"row{index}", x / 100, y / 100, x / 100 + 0.3, y / 100 + 0.04)
        for index, (x, y) in enumerate(rows)
    ]
    chosen = parts(1280, 720, changed, lines)
    if chosen is None:
        return
    crops = [part.rect for part in chosen]
    replaced = {index for part in chosen for index in part.replaced}
    touched = {
        index
        for index, other in enumerate(lines)
        if any(rect_of(other, 1280, 720).meets(rect_of(box, 1280, 720)) for box in changed)
    }
    assert replaced == touched
    for rect in [
        *(rect_of(box, 1280, 720) for box in changed),
        *(rect_of(lines[i], 1280, 720) for i in touched),
    ]:
        clipped = Rect(rect.x0, rect.y0, min(rect.x1, 1280), min(rect.y1, 720))
        assert any(crop.joined(clipped) == crop for crop in crops)
    assert not any(a.meets(b) for index, a in enumerate(crops) for b in crops[index + 1 :])


def test_small_change_is_a_small_crop() -> None:
    """A pointer that moves over an empty place costs a crop of 64 pixels, not a picture."""
    chosen = parts(1280, 720, [Box(0.5, 0.5, 0.505, 0.51)], [line("far", 0.1, 0.1, 0.5, 0.14)])
    assert chosen is not None
    assert chosen[0].rect.area <= 70 * 70
    assert chosen[0].replaced == []


def test_change_of_most_of_the_picture_is_read_whole() -> None:
    """Where nearly everything changed, reading it whole is chosen."""
    assert parts(1280, 720, [Box(0, 0, 1, 0.9)], []) is None
