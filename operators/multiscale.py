"""Which parts of a picture are looked at, and how large: geometry alone.

Detecting lines costs in proportion to pixels and needs few of them: letters of 10 pixels are
found as surely as letters of 100. So a large picture is first looked at reduced, and only
where small letters are, or fine detail that may be small letters, is it looked at again at
full resolution. Where only a part of a picture has changed, only whole lines around the
change are looked at.

Measured with the PP-OCRv6 small detector: letters of 10 pixels in its input are all found,
of 8 most, of 5 none; on rendered pages of 2.2 megapixels, 0.7 of the resolution gives the
recall of full resolution for a third of the time, 0.5 loses up to 7 % on small print.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.box import Box
from schemas.perception import Line

FIRST_LOOK_PIXELS = 1_000_000
"""What the detector sees of a large picture at first; it takes 0.35 s of one core."""

_LEAST_SCALE = 0.6
_MOST_PIXELS = 2_600_000
"""A very large picture is shown to the detector at up to this size, to keep `_LEAST_SCALE`."""

_DETECTOR_STEP_PX = 32

SMALL_LETTERS_PX = 8.5
SURE = 0.95
"""Letters lower than this in the detector's input call for a second look, unless they were
read surely: lines are cut out at full resolution, so the first look only risks to miss lines
or to run them together. Looking again at every small line cost half a page's time more and
gave no word more."""

WORTH_SCALE = 0.9
"""A second look at full resolution shows nothing new where the first had more than this."""

SECOND_LOOK_PIXELS = 4_500_000
"""Most pixels of all second looks at one picture: a page of the largest size once."""

TILE_PIXELS = FIRST_LOOK_PIXELS
"""The detector must see a tile unreduced."""

_TILE_OVERLAP_PX = 48

_WHOLE_SHARE = 0.6
"""From this share of the picture on, reading it whole is cheaper than reading its parts."""

_PART_MARGIN_PX = 16
_PART_LEAST_PX = 64
"""Context the detector needs around a line, and the least it can make sense of."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in whole pixels; `x1`, `y1` exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Pixels in it; 0 when it is empty."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)

    def joined(self, other: "Rect") -> "Rect":
        """Return the smallest rectangle around both."""
        return Rect(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )

    def meets(self, other: "Rect") -> bool:
        """Tell whether the two have a pixel in common."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def grown(self, margin: int, width_px: int, height_px: int) -> "Rect":
        """Grow on all sides, within a picture."""
        return Rect(
            max(0, self.x0 - margin),
            max(0, self.y0 - margin),
            min(width_px, self.x1 + margin),
            min(height_px, self.y1 + margin),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A crop to be read again and the lines (by index) whose place it takes."""

    rect: Rect
    replaced: list[int]


def detector_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Return the (width, height) at which the detector sees a picture; nothing is enlarged."""
    scale = detector_scale(width_px, height_px)
    return _stepped(width_px * scale), _stepped(height_px * scale)


def detector_scale(width_px: int, height_px: int) -> float:
    """Return the pixels of the detector for each pixel of the picture, a side (0-1]."""
    pixels = width_px * height_px
    scale = max(math.sqrt(FIRST_LOOK_PIXELS / pixels), _LEAST_SCALE)
    return min(scale, math.sqrt(_MOST_PIXELS / pixels), 1.0)


def _stepped(side: float) -> int:
    return max(1, round(side / _DETECTOR_STEP_PX)) * _DETECTOR_STEP_PX


def second_looks(
    width_px: int, height_px: int, lines: Sequence[Line], fine: NDArray[np.bool_], cell_px: int
) -> list[Rect]:
    """Choose the crops to look at again at full resolution.

    Args:
        width_px: of the picture.
        height_px: of the picture.
        lines: what the first look found.
        fine: shape (rows, columns); cells of `cell_px` that hold fine detail.
        cell_px: side of a cell.

    Returns:
        Crops of at most `TILE_PIXELS`, together at most `SECOND_LOOK_PIXELS`; those over
        small letters that were found come before those over mere detail.
    """
    scale = detector_scale(width_px, height_px)
    if scale >= WORTH_SCALE:
        return []
    cells = np.zeros_like(fine)
    known = np.zeros_like(fine)
    for line in lines:
        place = cells_of(rect_of(line, width_px, height_px), cell_px)
        known[place] = True
        if line.size * height_px * scale < SMALL_LETTERS_PX and line.confidence < SURE:
            cells[place] = True
    regions = _regions(cells, cell_px, width_px, height_px)
    unread = fine & ~known & ~cells
    regions += [
        region
        for region in _regions(unread, cell_px, width_px, height_px)
        if not any(_covers(other, region) for other in regions)
    ]
    return within_budget([tile for region in regions for tile in tiles(region)], SECOND_LOOK_PIXELS)


def rect_of(box: Box | Line, width_px: int, height_px: int) -> Rect:
    """Return the whole pixels that a box in fractions touches."""
    return Rect(
        math.floor(box.x0 * width_px),
        math.floor(box.y0 * height_px),
        math.ceil(box.x1 * width_px),
        math.ceil(box.y1 * height_px),
    )


def cells_of(rect: Rect, cell_px: int) -> tuple[slice, slice]:
    """Return the cells (rows, columns) that a rectangle touches."""
    return (
        slice(rect.y0 // cell_px, math.ceil(rect.y1 / cell_px)),
        slice(rect.x0 // cell_px, math.ceil(rect.x1 / cell_px)),
    )


def _covers(outer: Rect, inner: Rect) -> bool:
    return outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and outer.x1 >= inner.x1 and outer.y1 >= inner.y1


def _regions(cells: NDArray[np.bool_], cell_px: int, width_px: int, height_px: int) -> list[Rect]:
    """Join neighbouring cells to rectangles that do not meet, largest first."""
    rects = []
    for row, columns in enumerate(cells):
        (marked,) = np.nonzero(columns)
        for run in np.split(marked, np.nonzero(np.diff(marked) > 2)[0] + 1) if marked.size else []:
            left, right = int(run[0]), int(run[-1]) + 1
            rects.append(Rect(left * cell_px, row * cell_px, right * cell_px, (row + 1) * cell_px))
    joined = join_meeting([rect.grown(cell_px, width_px, height_px) for rect in rects])
    return sorted(joined, key=lambda rect: (-rect.area, rect.y0, rect.x0))


def join_meeting(rects: Sequence[Rect]) -> list[Rect]:
    """Join rectangles that meet until none do."""
    waiting, apart = list(rects), list[Rect]()
    while waiting:
        rect = waiting.pop()
        met = [other for other in apart if other.meets(rect)]
        if not met:
            apart.append(rect)
            continue
        apart = [other for other in apart if other not in met]
        for other in met:
            rect = rect.joined(other)
        waiting.append(rect)
    return apart


def tiles(region: Rect) -> list[Rect]:
    """Cut a region into bands of at most `TILE_PIXELS`, overlapping by the height of a line.

    Bands are as wide as the region, so that no line is cut through; only a region wider than
    a band of 256 pixels allows is cut across too.
    """
    columns = math.ceil((region.x1 - region.x0) / (TILE_PIXELS // 256))
    width = math.ceil((region.x1 - region.x0) / columns)
    cut = []
    for left in range(region.x0, region.x1, width):
        right = min(left + width + _TILE_OVERLAP_PX, region.x1)
        most = TILE_PIXELS // (right - left)
        if region.y1 - region.y0 <= most:
            cut.append(Rect(left, region.y0, right, region.y1))
            continue
        step = most - _TILE_OVERLAP_PX
        bands = math.ceil((region.y1 - region.y0 - _TILE_OVERLAP_PX) / step)
        step = math.ceil((region.y1 - region.y0 - _TILE_OVERLAP_PX) / bands)
        cut += [
            Rect(left, top, right, min(top + step + _TILE_OVERLAP_PX, region.y1))
            for top in range(region.y0, region.y1 - _TILE_OVERLAP_PX, step)
        ]
    return cut


def within_budget(rects: Sequence[Rect], pixels: int) -> list[Rect]:
    """Keep the rectangles, in order, whose areas together stay within a budget."""
    kept, spent = [], 0
    for rect in rects:
        if spent + rect.area <= pixels:
            kept.append(rect)
            spent += rect.area
    return kept


def place(line: Line, rect: Rect, width_px: int, height_px: int) -> Line:
    """Map a line read in a crop to the picture the crop was cut from."""
    wide, high = rect.x1 - rect.x0, rect.y1 - rect.y0
    return Line(
        line.text,
        line.confidence,
        (rect.x0 + line.x0 * wide) / width_px,
        (rect.y0 + line.y0 * high) / height_px,
        min(1.0, (rect.x0 + line.x1 * wide) / width_px),
        min(1.0, (rect.y0 + line.y1 * high) / height_px),
        line.source,
        line.size * high / height_px,
    )


def overlap(left: Line | Box, right: Line | Box) -> float:
    """Share of the smaller box that two boxes have in common (0-1)."""
    width = min(left.x1, right.x1) - max(left.x0, right.x0)
    height = min(left.y1, right.y1) - max(left.y0, right.y0)
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((left.x1 - left.x0) * (left.y1 - left.y0), (right.x1 - right.x0) * (right.y1 - right.y0))
    return width * height / smaller


def merge(first: Sequence[Line], again: Sequence[Line]) -> list[Line]:
    """Put second looks into what the first look found, each line once.

    Readings of one place compete by what they are sure of: characters times confidence. So a
    line that a second look cut in two, or missed, keeps its first reading.
    """
    rivals = _distinct(again)
    kept = []
    for line in first:
        met = [other for other in rivals if overlap(line, other) > 0.5]
        if sum(map(weight, met)) > weight(line):
            continue
        kept.append(line)
        rivals = [other for other in rivals if other not in met]
    return kept + rivals


def weight(line: Line) -> float:
    """Return how much of a line is read surely: characters times confidence squared."""
    return len(line.text) * line.confidence**2


def _distinct(lines: Sequence[Line]) -> list[Line]:
    kept: list[Line] = []
    for line in sorted(lines, key=lambda line: (-weight(line), line.y0, line.x0)):
        if all(overlap(line, other) <= 0.5 for other in kept):
            kept.append(line)
    return kept


def parts(width_px: int, height_px: int, changed: Sequence[Box], lines: Sequence[Line]) -> list[Part] | None:
    """Choose the crops that show everything that changed, in whole lines.

    Args:
        width_px: of the picture.
        height_px: of the picture.
        changed: boxes that differ from the picture before.
        lines: the lines that stood in the picture before.

    Returns:
        Crops that do not meet, or None where reading the whole picture is cheaper.
    """
    places = [rect_of(line, width_px, height_px) for line in lines]
    seeds = [rect_of(box, width_px, height_px) for box in changed]
    replaced = {index for index, rect in enumerate(places) if any(rect.meets(seed) for seed in seeds)}
    rects = join_meeting([*seeds, *(places[index] for index in replaced)])
    rects = join_meeting([_with_context(rect, width_px, height_px) for rect in rects])
    if sum(rect.area for rect in rects) > _WHOLE_SHARE * width_px * height_px:
        return None
    rects.sort(key=lambda rect: (rect.y0, rect.x0))
    return [Part(rect, [i for i in sorted(replaced) if places[i].meets(rect)]) for rect in rects]


def _with_context(rect: Rect, width_px: int, height_px: int) -> Rect:
    grown = rect.grown(_PART_MARGIN_PX, width_px, height_px)
    lacking = max(0, _PART_LEAST_PX - min(grown.x1 - grown.x0, grown.y1 - grown.y0))
    return grown.grown(math.ceil(lacking / 2), width_px, height_px)


CELL_PX = 32
_EDGE = 24
_FINE_SHARE = 0.12
_ROWS_DIFFER = 0.35


def fine_detail(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find cells that may hold small letters the first look could not see.

    Small print is a texture of many sharp edges, which nature has too; but it comes in rows
    with gaps between them. A cell is fine where edges are dense over it and its neighbours to
    both sides, and their density differs from pixel row to pixel row.

    Args:
        grey: shape (height, width).

    Returns:
        Shape (height / 32, width / 32), rounded down; a rest at the border is left out.
    """
    rows, columns = grey.shape[0] // CELL_PX, grey.shape[1] // CELL_PX
    if rows == 0 or columns < 3:
        return np.zeros((rows, columns), np.bool_)
    cut = grey[: rows * CELL_PX, : columns * CELL_PX].astype(np.int16)
    edges = np.zeros(cut.shape, np.float32)
    edges[:, 1:] = np.abs(np.diff(cut, axis=1)) > _EDGE
    # Density of edges along each pixel row of each cell, then of three cells side by side.
    profile = edges.reshape(rows, CELL_PX, columns, CELL_PX).mean(axis=3)
    padded = np.pad(profile, ((0, 0), (0, 0), (1, 1)))
    profile = (padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]) / 3
    mean = profile.mean(axis=1)
    spread = profile.std(axis=1)
    return np.asarray((mean > _FINE_SHARE) & (spread > _ROWS_DIFFER * mean), dtype=np.bool_)
