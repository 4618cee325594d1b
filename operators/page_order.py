"""The order in which the pieces of a page are read.

Programs write a page's text in reading order most of the time, columns included, and no
geometry can know better. Two things are put right: two columns written row by row, as
converters that sort by height do, and pages written in no order at all. (PDFium adds to the
latter: lines of a page turned by 90 degrees look to it like words of one row.)
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import TypeVar

from operators.glyph_text import Corners, empty_stretches

Item = TypeVar("Item")

_DISORDER = 0.3
"""Share of steps upwards (other than to the next column) above which the order is not trusted."""
_PROSE_CHARACTERS = 20
"""Median length of a column's lines from which on it is prose; cells of a table are shorter."""
_PROSE_ROWS = 4
_TIGHT = 1.8
"""Rows of running text follow within this many line heights."""


def reading_order(
    items: Sequence[Item], box: Callable[[Item], Corners], length: Callable[[Item], int]
) -> list[Item]:
    """Order the pieces of a page, given in content order.

    Args:
        items: the pieces.
        box: place of a piece, y downwards.
        length: characters of a piece.
    """
    boxes = [box(item) for item in items]
    if _disorder(boxes) > _DISORDER:
        order = cut_order(boxes)
    else:
        order = _untangle(boxes, [length(item) for item in items])
    return [items[index] for index in order]


def _disorder(boxes: Sequence[Corners]) -> float:
    """Share of steps that lead upwards without leading to a column on the right."""
    if len(boxes) < 2:
        return 0.0
    wrong = sum(not _is_same_row(a, b) and b[1] < a[1] and not _is_beside(a, b) for a, b in pairwise(boxes))
    return wrong / (len(boxes) - 1)


def _is_same_row(a: Corners, b: Corners) -> bool:
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    return overlap > 0.5 * min(a[3] - a[1], b[3] - b[1])


def _is_beside(a: Corners, b: Corners) -> bool:
    """B begins right of a (or, for right-to-left pages, ends left of it)."""
    return b[0] >= a[2] or b[2] <= a[0]


def _untangle(boxes: Sequence[Corners], lengths: Sequence[int]) -> list[int]:
    """Find stretches where two columns of prose alternate row by row, and read them in turn."""
    order: list[int] = []
    at = 0
    while at < len(boxes):
        rows = _paired_rows(boxes, at)
        left, right = list(range(at, at + 2 * rows, 2)), list(range(at + 1, at + 2 * rows, 2))
        if (
            rows >= _PROSE_ROWS
            and _is_prose(lengths, left)
            and _is_prose(lengths, right)
            and _has_gutter(boxes, left, right)
        ):
            order += left + right
            at += 2 * rows
        else:
            order.append(at)
            at += 1
    return order


def _paired_rows(boxes: Sequence[Corners], start: int) -> int:
    """Count rows of exactly two pieces side by side that follow each other closely."""
    rows, at = 0, start
    while (
        at + 1 < len(boxes)
        and _is_same_row(boxes[at], boxes[at + 1])
        and _is_beside(boxes[at], boxes[at + 1])
    ):
        if rows and not _follows(boxes[at - 2], boxes[at]):
            break
        rows, at = rows + 1, at + 2
    return rows


def _follows(a: Corners, b: Corners) -> bool:
    return 0 < b[1] - a[1] <= _TIGHT * (a[3] - a[1])


def _is_prose(lengths: Sequence[int], indices: Sequence[int]) -> bool:
    return median(lengths[index] for index in indices) >= _PROSE_CHARACTERS


def _has_gutter(boxes: Sequence[Corners], left: Sequence[int], right: Sequence[int]) -> bool:
    a = max(boxes[index][2] for index in left), min(boxes[index][0] for index in left)
    b = max(boxes[index][2] for index in right), min(boxes[index][0] for index in right)
    return a[0] < b[1] or b[0] < a[1]


def cut_order(boxes: Sequence[Corners]) -> list[int]:
    """Order boxes by cutting the page along its widest white stretches (XY cut).

    Nagy and Seth, Hierarchical representation of optically scanned documents, 1984. Columns
    are parted before rows when their gutter is wider than the gap between the rows.
    """
    if len(boxes) <= 1:
        return list(range(len(boxes)))
    return _cut(boxes, list(range(len(boxes))))


def _cut(boxes: Sequence[Corners], indices: list[int]) -> list[int]:
    across = _widest(boxes, indices, 0)
    down = _widest(boxes, indices, 1)
    if across is None and down is None:
        return sorted(indices, key=lambda index: (boxes[index][1], boxes[index][0]))
    axis = 0 if down is None or (across is not None and across[1] > down[1]) else 1
    chosen = across if axis == 0 else down
    assert chosen is not None
    first = [index for index in indices if boxes[index][axis + 2] <= chosen[0]]
    second = [index for index in indices if boxes[index][axis + 2] > chosen[0]]
    return _cut(boxes, first) + _cut(boxes, second)


def _widest(boxes: Sequence[Corners], indices: list[int], axis: int) -> tuple[float, float] | None:
    """Where the widest empty stretch along an axis begins, and how wide it is."""
    gaps = empty_stretches([(boxes[index][axis], boxes[index][axis + 2]) for index in indices])
    if not gaps:
        return None
    low, high = max(gaps, key=lambda gap: gap[1] - gap[0])
    return low, high - low
