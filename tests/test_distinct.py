"""What counts as a change, and that none can hide."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import distinct
from operators.distinct import FIRST, Change, Reference, Verdict, changed_cells, regions
from operators.scenes import Step, find_cuts, histogram, tone_distance
from tests.media import Pixels, slide, with_dot

Plane = npt.NDArray[np.uint8]

TEXT = ["Numbers to remember", "680 nm: peak of photosystem II", "Efficiency: about 6 percent"]
BLACK = (20, 20, 30)
FAINT = (225, 225, 225)


def luma(pixels: Pixels, noise: float = 0.0, seed: int = 0) -> tuple[Plane]:
    """Turn a picture to luma, with noise of this standard deviation."""
    gray = pixels.astype(np.float64) @ (0.299, 0.587, 0.114)
    gray += np.random.default_rng(seed).normal(0, noise, gray.shape) if noise else 0
    return (np.clip(np.round(gray), 0, 255).astype(np.uint8),)


def compared(before: tuple[Plane, ...], now: tuple[Plane, ...]) -> Change:
    """Judge a frame against one that was read whole."""
    reference = Reference()
    reference.follow(before, FIRST)
    return reference.compare(now)


def covers(change: Change, x: int, y: int) -> bool:
    """Tell whether a point lies in what is to be read again."""
    return change.verdict is Verdict.WHOLE or any(
        box.x0 <= x < box.x1 and box.y0 <= y < box.y1 for box in change.boxes
    )


def test_the_first_frame_is_whole() -> None:
    """With nothing to compare, everything is new; so it is when the size changes."""
    reference = Reference()

    assert reference.compare(luma(slide(TEXT))).verdict is Verdict.WHOLE
    assert compared(luma(slide(TEXT)), luma(slide(TEXT, (320, 180)))).verdict is Verdict.WHOLE


@pytest.mark.parametrize("ink", [BLACK, FAINT], ids=["black", "faint"])
@pytest.mark.parametrize("letter_px", [12, 16, 28])
@pytest.mark.parametrize("noise", [0.0, 1.0], ids=["clean", "noisy"])
def test_a_changed_digit_is_a_part(ink: tuple[int, int, int], letter_px: int, noise: float) -> None:
    """One digit, thin, faint or noisy, is found and little else is read again."""
    before = slide(TEXT, letter_px=letter_px, ink=ink)
    after = slide([*TEXT[:2], "Efficiency: about 8 percent"], letter_px=letter_px, ink=ink)
    y, x = (int(places.mean()) for places in np.nonzero((before != after).any(axis=2)))

    change = compared(luma(before, noise, 1), luma(after, noise, 2))

    assert change.verdict is Verdict.PART
    assert covers(change, x, y)
    assert sum(box.area_px for box in change.boxes) < 0.05 * before.shape[0] * before.shape[1]


@pytest.mark.parametrize("ink", [BLACK, FAINT], ids=["black", "faint"])
def test_a_new_line_is_a_part_that_covers_it(ink: tuple[int, int, int]) -> None:
    """A bullet that appears is read without reading the rest again, and is no other slide."""
    before, after = slide(TEXT, ink=ink), slide([*TEXT, "One more line"], ink=ink)
    ys, xs = np.nonzero((before != after).any(axis=2))

    change = compared(luma(before), luma(after))

    assert change.verdict is Verdict.PART
    assert all(covers(change, int(x), int(y)) for x, y in zip(xs[::50], ys[::50], strict=True))
    assert change.lost < 0.1


def test_another_slide_is_whole() -> None:
    """Most of what was there is gone."""
    other = slide(["Reading list", "Chapter 5: the light reactions", "Chapter 6: the Calvin cycle"])

    change = compared(luma(slide(TEXT)), luma(other))

    assert change.verdict is Verdict.WHOLE
    assert change.lost > 0.5


def test_noise_is_the_same_picture() -> None:
    """Grain and the brightness of key frames do not make a picture new."""
    before = luma(slide(TEXT), noise=2, seed=1)
    (brighter,) = luma(slide(TEXT, paper=(247, 247, 247)), noise=2, seed=2)

    assert compared(before, luma(slide(TEXT), noise=2, seed=3)).verdict is Verdict.SAME
    assert compared(before, (brighter,)).verdict is Verdict.SAME


def test_a_moving_dot_is_two_small_boxes() -> None:
    """Where a pointer was and where it is; the text is not read again."""
    before, after = with_dot(slide(TEXT), 300, 330), with_dot(slide(TEXT), 400, 330)

    change = compared(luma(before), luma(after))

    assert change.verdict is Verdict.PART
    assert covers(change, 300, 330)
    assert covers(change, 400, 330)
    assert sum(box.area_px for box in change.boxes) < 0.02 * before.shape[0] * before.shape[1]
    assert all(box.y0 > 280 for box in change.boxes)


def test_text_that_differs_in_colour_alone_is_found() -> None:
    """Ink as bright as its paper shows in chroma only."""
    paper = np.full((120, 200), 128, np.uint8)
    plain = np.full((60, 100), 128, np.uint8)
    inked = np.where(slide(["Title", "Text"], (100, 60), letter_px=14)[:, :, 0] < 128, 70, 128).astype(
        np.uint8
    )

    assert compared((paper, plain, plain), (paper, inked, plain)).verdict is not Verdict.SAME


def test_a_slow_fade_cannot_hide() -> None:
    """A line that appears by one level a step is noticed once it could be read."""
    reference, verdicts = Reference(), []
    for step in range(60):
        shade = 250 - step
        faded = slide([*TEXT, "A line that fades in"])
        rows = slice(165, 205)
        faded[rows] = np.where(faded[rows] < 128, shade, 250)
        change = reference.compare(luma(faded))
        reference.follow(luma(faded), change)
        verdicts.append(change.verdict)

    assert Verdict.PART in verdicts[1:25]
    assert verdicts.count(Verdict.SAME) > 40


def test_a_part_moves_the_reference_only_where_it_was_read() -> None:
    """Small changes elsewhere add up against what was read there, though parts are read between."""
    reference = Reference()
    reference.follow(luma(slide(TEXT)), FIRST)
    noticed = []
    for step in range(40):
        frame = with_dot(slide(TEXT), 100 + 12 * step, 330)
        frame[300:304, 20:60] = 250 - step
        change = reference.compare(luma(frame))
        reference.follow(luma(frame), change)
        noticed.append(covers(change, 30, 301))

    assert not any(noticed[:4])
    assert any(noticed[:13])


@settings(max_examples=60)
@given(
    places=st.lists(st.tuples(st.integers(0, 89), st.integers(0, 159)), min_size=1, max_size=60, unique=True),
    size=st.tuples(st.integers(1, 360), st.integers(1, 640)),
)
def test_regions_cover_every_changed_cell_and_do_not_overlap(
    places: list[tuple[int, int]], size: tuple[int, int]
) -> None:
    """Whatever changed is read again, in a dozen boxes at most, all inside the picture."""
    cells = (max(2, -(-size[0] // 4)), max(2, -(-size[1] // 4)))
    changed = np.zeros(cells, np.bool_)
    for row, column in places:
        changed[min(row, cells[0] - 1), min(column, cells[1] - 1)] = True

    boxes = regions(changed, size)

    assert 1 <= len(boxes) <= 12
    assert all(0 <= box.x0 < box.x1 <= size[1] and 0 <= box.y0 < box.y1 <= size[0] for box in boxes)
    assert not any(one.meets(other) for one in boxes for other in boxes if one is not other)
    for row, column in zip(*np.nonzero(changed), strict=True):
        x, y = min(int(column) * 4, size[1] - 1), min(int(row) * 4, size[0] - 1)
        assert any(box.x0 <= x < box.x1 and box.y0 <= y < box.y1 for box in boxes)


@settings(max_examples=60)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    y=st.integers(0, 89),
    x=st.integers(0, 89),
    side=st.integers(4, 30),
)
def test_a_bright_block_is_found_at_any_size_and_place(
    height: int, width: int, y: int, x: int, side: int
) -> None:
    """Odd sizes and borders have no blind spot."""
    before = np.full((height, width), 40, np.uint8)
    after = before.copy()
    after[min(y, height - 1) :, min(x, width - 1) :][:side, :side] = 200

    changed = changed_cells((before,), (after,))

    assert changed is not None
    assert changed[min(y, height - 1) // 4, min(x, width - 1) // 4]


def steps(lost: list[float], tone: float = 0.01) -> list[Step]:
    """Make a run of samples, one a second, that lost these shares of structure."""
    return [
        Step(
            float(index + 1),
            Change(Verdict.WHOLE if share >= 0.5 else Verdict.PART, (), share / 3, share, 0.2),
            tone,
        )
        for index, share in enumerate(lost)
    ]


def test_slide_changes_are_cuts_and_constant_motion_is_not() -> None:
    """The same loss is a cut between still pictures and usual in a moving one."""
    assert find_cuts(steps([0, 0, 0.7, 0, 0, 0, 0.8, 0.01, 0.02])) == [3.0, 7.0]
    assert find_cuts(steps([0.7, 0.8, 0.75, 0.8, 0.7, 0.72, 0.8])) == []


def test_a_shift_of_brightness_between_moving_scenes_is_a_cut() -> None:
    """Motion on both sides does not hide that the scene became another one."""
    moving = steps([0.8] * 9)
    moving[4] = Step(5.0, moving[4].change, 0.6)

    assert find_cuts(moving) == [5.0]


def test_tone_distance_spans_zero_to_one() -> None:
    """Alike is 0, nothing in common is 1."""
    dark, light = histogram(np.full((40, 40), 10, np.uint8)), histogram(np.full((40, 40), 240, np.uint8))

    assert tone_distance(dark, dark) == 0
    assert tone_distance(dark, light) == pytest.approx(1)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 80), st.integers(4, 70), st.integers(4, 90), st.integers(0, 4))
def test_looking_only_where_pixels_differ_finds_the_same(
    y: int, x: int, high: int, wide: int, noise: int
) -> None:
    """The windows left out are those far below the floor, and what is typical stays."""
    difference = np.random.default_rng(y + x).integers(0, noise + 1, (64, 96), np.uint8)
    difference[y : y + high, x : x + wide] += 20
    every = distinct._window_mean(distinct._squared(difference))
    found = distinct._power(difference)

    assert ((found > distinct._FLOOR) == (every > distinct._FLOOR)).all()
    assert distinct._typical(found) == distinct._typical(every)
