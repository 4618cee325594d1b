"""What changed between what was read and what is on screen now.

Reading a slide costs 350 ms, comparing it 1 to 5 ms, so a sampled frame is compared before
it is read. It is compared with the *reference*: at every place, the pixels that were last
handed to the reader there. A frame is the SAME (drop it), or a few regions changed (PART:
read these again), or it is another picture (WHOLE). After PART only these regions of the
reference are replaced, so at no place can small changes add up unseen: the difference is
always taken against what was read, however long ago.

The measure works on windows of 8 by 8 pixels. Let d be the difference in a window and v the
variance of the picture in it. Text that is replaced, added or removed gives var(d) of the
order of v; the noise of a codec, which is strongest where contrast is, gives a small share
of v, and of the largest v nearby where it rings around letters. So a window has changed if
var(d) passes both shares and a floor for flat areas, or if its brightness has jumped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
Map = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

_CELL = 4
"""Pixels of a cell's side; a window is 2 by 2 cells, and windows overlap by half."""
_QUIET = 5
"""No pixel changed by more: nothing readable did. Most samples of a slide end here."""
_SEEN = 3
"""Where all pixels changed by less, no window comes near the floor: it is not looked at."""
_SHARE = 0.10
"""Least var(d) / v of a change. Noise has 0.05 at most where v is large."""
_RINGING = 0.01
"""Least var(d) / (largest v within 8 pixels). Ringing around letters has up to 0.007."""
_FLOOR = 12.0
"""Least var(d) in levels²: one thin letter of contrast 20 that changes has 25."""
_FLOOR_CAP = 40.0
"""Highest floor that noise all over the picture may raise."""
_CHROMA_FLOOR = 100.0
"""The same for chroma, which codecs treat worst: noise at the edges of letters has up to 60,
text that differs from its ground in colour alone has 250."""
_JUMP = 16.0
"""Least change of a window's mean, in levels, that counts without any structure."""
_STRUCTURE = 30.0
"""Least variance of a window that shows something (letters of contrast 15 have 35)."""
_WHOLE_AREA = 0.30
"""Share of the picture beyond which reading the parts costs as much as reading it whole."""
_WHOLE_LOST = 0.5
"""Share of the structure of the reference that is gone: another slide."""
_WHOLE_LEAST = 0.008
"""Share of the picture below which it is never another picture: a pointer on an empty page."""
_MOST_BOXES = 12
_MARGIN = 3
"""Cells around suspect windows that are looked at with them."""


class Verdict(StrEnum):
    """How a sampled frame relates to the reference."""

    SAME = "same"
    PART = "part"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class PixelBox:
    """A rectangle in pixels of the compared picture; `x1`, `y1` exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area_px(self) -> int:
        """Return width times height."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def meets(self, other: "PixelBox") -> bool:
        """Tell whether the two overlap or touch."""
        return self.x0 <= other.x1 and other.x0 <= self.x1 and self.y0 <= other.y1 and other.y0 <= self.y1

    def joined(self, other: "PixelBox") -> "PixelBox":
        """Return the smallest box around both."""
        return PixelBox(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A sampled frame against the reference."""

    verdict: Verdict
    boxes: tuple[PixelBox, ...] = ()
    """For PART: what to read again, padded."""
    area: float = 0.0
    """Share of the picture that changed."""
    lost: float = 0.0
    """Share of the reference's structure that changed; what is only added does not count."""
    structure: float = 0.0
    """Share of the reference that shows structure: 0.05 to 0.3 for slides, more for scenes."""


FIRST = Change(Verdict.WHOLE, area=1.0)
"""The verdict on a frame that has nothing to be compared with."""


class Reference:
    """What was read, place by place; compares frames with it and follows them."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._planes: tuple[Plane, ...] = ()
        self._structure: Map | None = None

    def compare(self, planes: tuple[Plane, ...]) -> Change:
        """Judge a frame; the reference stays as it is.

        Args:
            planes: Luma, then chroma planes if there are any, 8 bits; chroma may be smaller.
        """
        if [plane.shape for plane in planes] != [plane.shape for plane in self._planes]:
            return FIRST
        changed = changed_cells(self._planes, planes)
        if changed is None:
            return Change(Verdict.SAME)
        if self._structure is None:
            self._structure = structured_cells(self._planes[0])
        return judge(changed, self._structure, planes[0].shape)

    def follow(self, planes: tuple[Plane, ...], change: Change) -> None:
        """Take over what is now handed to the reader: the frame, or the boxes of a PART."""
        if change.verdict is Verdict.SAME:
            return
        if change.verdict is Verdict.WHOLE:
            self._planes = tuple(plane.copy() for plane in planes)
            self._structure = None
            return
        for box in change.boxes:
            for mine, theirs in zip(self._planes, planes, strict=True):
                area = _scaled(box, planes[0].shape, mine.shape)
                mine[area] = theirs[area]
            self._note_structure(box)

    def _note_structure(self, box: PixelBox) -> None:
        if self._structure is not None:
            found = structured_cells(self._planes[0][box.y0 : box.y1, box.x0 : box.x1])
            place = self._structure[box.y0 // _CELL :, box.x0 // _CELL :][: found.shape[0], : found.shape[1]]
            place[:] = found[: place.shape[0], : place.shape[1]]


def _scaled(box: PixelBox, luma: tuple[int, ...], plane: tuple[int, ...]) -> tuple[slice, slice]:
    """Translate a luma box to a plane of another size, outwards."""
    y, x = plane[0] / luma[0], plane[1] / luma[1]
    rows = slice(int(box.y0 * y), int(np.ceil(box.y1 * y)))
    return rows, slice(int(box.x0 * x), int(np.ceil(box.x1 * x)))


def changed_cells(before: tuple[Plane, ...], now: tuple[Plane, ...]) -> Map | None:
    """Map the cells of 4 by 4 luma pixels in which something changed; None if nothing did."""
    shape = _cells(before[0].shape)
    total: Map | None = None
    for index, (old, new) in enumerate(zip(before, now, strict=True)):
        found = _changed_in_plane(old, new, _CHROMA_FLOOR if index else _FLOOR)
        if found is None:
            continue
        if found.shape != shape:
            grown = cv2.resize(found.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
            found = grown.astype(np.bool_)
        total = found if total is None else total | found
    return total


def _cells(shape: tuple[int, ...]) -> tuple[int, int]:
    return max(2, -(-shape[0] // _CELL)), max(2, -(-shape[1] // _CELL))


def _changed_in_plane(old: Plane, new: Plane, floor: float) -> Map | None:
    difference = np.asarray(cv2.absdiff(old, new), np.uint8)
    if int(difference.max()) <= _QUIET:
        return None
    # The mean square bounds the variance from above: elsewhere nothing can have changed.
    power = _power(_whole_cells(difference))
    floor = max(floor, min(3.0 * _typical(power), _FLOOR_CAP))
    suspect = power > floor
    if not suspect.any():
        return None
    result = np.zeros(_cells(old.shape), np.bool_)
    for rows, columns in _stretches(suspect):
        area = _pixels(rows, old.shape[0]), _pixels(columns, old.shape[1])
        result[rows, columns] |= _changed_windows(_padded(old[area]), _padded(new[area]), floor)
    return result if result.any() else None


def _power(difference: Plane) -> Floats:
    """Return the mean square of windows, or 0 outside the rectangle that holds all differences that matter.

    Under a pointer that moves that is a few per cent of the picture. Where it is half of it or more, what
    is typical of all windows matters too, and all are looked at.
    """
    cells = difference.shape[0] // _CELL, difference.shape[1] // _CELL
    power = np.zeros((cells[0] - 1, cells[1] - 1), np.float32)
    rows, columns = (_seen_cells(difference, axis, cells[1 - axis]) for axis in (1, 0))
    inside = power[rows.start : rows.stop - 1, columns.start : columns.stop - 1]
    if 2 * inside.size >= power.size:
        return _window_mean(_squared(difference))
    height, width = difference.shape
    inside[:] = _window_mean(_squared(difference[_pixels(rows, height), _pixels(columns, width)]))
    return power


def _seen_cells(difference: Plane, axis: int, count: int) -> slice:
    """Bound the lines of cells with differences that matter, and those whose windows they share."""
    # OpenCV's `reduce` takes 5 ms for both sides of 720p, this 0.1 ms.
    seen = np.flatnonzero(difference.max(axis=axis) >= _SEEN) // _CELL
    return slice(max(0, int(seen[0]) - 1), min(count, int(seen[-1]) + 2))


def _squared(values: Floats | Plane) -> Floats:
    return np.asarray(cv2.multiply(values, values, dtype=cv2.CV_32F), np.float32)


def _typical(power: Floats) -> float:
    """Return the median, or 0 where it is too small to matter."""
    if 2 * np.count_nonzero(power > _FLOOR / 3) < power.size:
        return 0.0
    return float(np.median(power))


def _stretches(suspect: Map) -> Iterator[tuple[slice, slice]]:
    """Bound suspect windows by a few bands of cells, so that the rest need not be looked at.

    Bands are widened so that they hold all cells of their windows, and those nearby that
    decide about ringing; bands that meet become one.
    """
    lines = np.flatnonzero(suspect.any(axis=1))
    breaks = np.flatnonzero(np.diff(lines) > 2 * _MARGIN) + 1
    for band in np.split(lines, breaks):
        first, last = int(band[0]), int(band[-1])
        columns = np.flatnonzero(suspect[first : last + 1].any(axis=0))
        yield (
            _widened(first, last, suspect.shape[0]),
            _widened(int(columns[0]), int(columns[-1]), suspect.shape[1]),
        )


def _widened(first: int, last: int, windows: int) -> slice:
    """Turn a range of windows into a range of cells with a margin; n windows have n + 1 cells."""
    return slice(max(0, first - _MARGIN), min(windows + 1, last + 2 + _MARGIN))


def _pixels(cells: slice, side: int) -> slice:
    return slice(cells.start * _CELL, min(side, cells.stop * _CELL))


def _whole_cells(plane: Plane) -> Plane:
    """Extend to whole cells, two at least, by repeating the border."""
    height, width = (count * _CELL for count in _cells(plane.shape))
    bottom, right = height - plane.shape[0], width - plane.shape[1]
    if bottom or right:
        return np.asarray(cv2.copyMakeBorder(plane, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    return plane


def _padded(plane: Plane) -> Floats:
    return _whole_cells(plane).astype(np.float32)


def _changed_windows(old: Floats, new: Floats, floor: float) -> Map:
    """Mark the cells of all windows that changed; see the module's docstring for the rule.

    Args:
        old: Pixels of the reference.
        new: Pixels of the frame.
        floor: Least var(d) of a change in a flat area.
    """
    difference = np.asarray(cv2.subtract(new, old), np.float32)
    mean = _window_mean(difference)
    spread = _window_mean(_squared(difference)) - mean * mean
    loud = spread > floor
    if loud.any():
        detail = np.maximum(_window_variance(old), _window_variance(new))
        nearby = np.asarray(cv2.dilate(detail, np.ones((5, 5), np.uint8)), np.float32)
        loud &= (spread > _SHARE * detail) & (spread > _RINGING * nearby)
    return _cells_of(loud | (np.abs(mean) > _JUMP))


def _window_mean(values: Floats) -> Floats:
    """Average over windows of 2 by 2 cells, one for each inner corner of cells."""
    height, width = values.shape[0] // _CELL, values.shape[1] // _CELL
    cells = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width)
    result: Floats = (cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]) * np.float32(0.25)
    return result


def _window_variance(values: Floats) -> Floats:
    mean = _window_mean(values)
    result: Floats = _window_mean(_squared(values)) - mean * mean
    return result


def _cells_of(windows: Map) -> Map:
    """Mark every cell that is part of a marked window."""
    cells = np.zeros((windows.shape[0] + 1, windows.shape[1] + 1), np.bool_)
    cells[:-1, :-1] |= windows
    cells[1:, :-1] |= windows
    cells[:-1, 1:] |= windows
    cells[1:, 1:] |= windows
    return cells


def structured_cells(luma: Plane) -> Map:
    """Map the cells that show something: letters, lines, edges, texture."""
    return _cells_of(_window_variance(_padded(luma)) > _STRUCTURE)


def judge(changed: Map, structure: Map, shape: tuple[int, ...]) -> Change:
    """Decide between PART and WHOLE, and find the regions of a PART.

    Args:
        changed: Cells that changed.
        structure: Cells of the reference that show something.
        shape: (height, width) of the compared picture in pixels.
    """
    area = float(changed.mean())
    shown = int(structure.sum())
    lost = float((changed & structure).sum()) / shown if shown else 1.0
    whole = Change(Verdict.WHOLE, (), area, lost, shown / structure.size)
    if area > _WHOLE_AREA or (lost >= _WHOLE_LOST and area >= _WHOLE_LEAST):
        return whole
    boxes = regions(changed, shape)
    if sum(box.area_px for box in boxes) > _WHOLE_AREA * shape[0] * shape[1]:
        return whole
    return replace(whole, verdict=Verdict.PART, boxes=boxes)


def regions(changed: Map, shape: tuple[int, ...]) -> tuple[PixelBox, ...]:
    """Gather changed cells into a few padded boxes, wide enough to join letters to words.

    Returns:
        At most 12 boxes that do not overlap, from top to bottom.
    """
    height, width = shape[0], shape[1]
    reach_y, reach_x = max(1, round(height / 120 / _CELL)), max(2, round(width / 60 / _CELL))
    boxes: list[PixelBox] = []
    mask = changed.astype(np.uint8)
    for _ in range(8):
        kernel = np.ones((2 * reach_y + 1, 2 * reach_x + 1), np.uint8)
        grown = np.asarray(cv2.dilate(mask, kernel), np.uint8)
        stats = np.asarray(cv2.connectedComponentsWithStats(grown)[2], np.int32)
        boxes = _merged([_box(row, width, height) for row in stats[1:]])
        if len(boxes) <= _MOST_BOXES:
            break
        reach_y, reach_x = 2 * reach_y, 2 * reach_x
    return tuple(sorted(boxes, key=lambda box: (box.y0, box.x0)))


def _box(stats: npt.NDArray[np.int32], width: int, height: int) -> PixelBox:
    x, y, w, h = (int(value) * _CELL for value in stats[:4])
    return PixelBox(min(x, width - 1), min(y, height - 1), min(x + w, width), min(y + h, height))


def _merged(boxes: list[PixelBox]) -> list[PixelBox]:
    """Join boxes that overlap until none do."""
    result: list[PixelBox] = []
    for box in boxes:
        while (other := next((item for item in result if item.meets(box)), None)) is not None:
            result.remove(other)
            box = box.joined(other)  # noqa: PLW2901 - the grown box is the one to place
        result.append(box)
    return result
