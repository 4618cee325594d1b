"""Put the lines of a picture or page into the order in which they are read.

A recursive X-Y cut (G. Nagy and S. Seth, Hierarchical Representation of Optically Scanned
Documents, 1984) that prefers columns: a valley between columns of running text is cut
first, lines that span the columns (titles, footers) cut the block above and below
themselves, and what has no columns is read row by row. Short cells side by side are a table
or a form and are read in rows. Vertical Chinese and Japanese is the same task on a page
turned by a quarter: columns from right to left are rows from top to bottom.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.perception import Line

_TALL = 2.0
"""Height over width from which a line of Chinese or Japanese is vertical."""

_COLUMN_RATIO = 6.0
"""Least median width of a column's lines, in line heights; narrower ones are table cells."""

_COLUMN_ROWS = 2
"""Least lines on each side of a valley."""

_SPANNING_SHARE = 0.34
"""Most lines, as a share of a block's, that may cross a valley as titles do."""

_GAP_WORTH = 2.0
_GAP_MOST = 2.0
"""A valley wider by a line height is worth two lines that cross it, up to two line heights."""

_BOX_OF_LETTERS = 1.35
"""Height of a level line's box over that of its letters."""

_SLOPE_RATIO = 8.0
_SLOPE_LINES = 4
_LEAST_SLOPE = 0.01
"""Lines of 8 letter heights and more show the slope; below 0.6 degrees rows are not mixed up."""

_SAME_ROW = 0.5
"""Overlap in height, as a share of the lower line, from which two lines share a row."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A line in units of the picture's height, running to the right."""

    index: int
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        return self.x1 - self.x0


def in_reading_order(lines: Sequence[Line], width_px: int, height_px: int) -> list[Line]:
    """Sort lines as they are read; the order they come in makes no difference.

    Args:
        lines: with boxes in fractions of an upright picture.
        width_px: of that picture.
        height_px: of that picture; with the width it gives the true shape of a box.
    """
    known = sorted(lines, key=_canonical)
    aspect = width_px / height_px
    if _is_vertical(known, aspect):
        items = [
            _Item(index, line.y0, -line.x1 * aspect, line.y1, -line.x0 * aspect)
            for index, line in enumerate(known)
        ]
    else:
        items = _level(
            [
                _Item(index, line.x0 * aspect, line.y0, line.x1 * aspect, line.y1)
                for index, line in enumerate(known)
            ],
            [line.size for line in known],
        )
    return [known[item.index] for item in _cut(items)]


def _level(items: list[_Item], sizes: Sequence[float]) -> list[_Item]:
    """Shear the boxes of a skewed page so that its lines are level again.

    The box of a line that rises or falls is higher than its letters by the slope times its
    width, which gives the slope without its sign; of the two signs, the right one is that
    under which lines do not lie over each other.
    """
    slopes = [
        (item.height - _BOX_OF_LETTERS * size) / item.width
        for item, size in zip(items, sizes, strict=True)
        if item.width > _SLOPE_RATIO * size > 0
    ]
    if len(slopes) < _SLOPE_LINES or (slope := _median(slopes)) < _LEAST_SLOPE:
        return items
    return min((_sheared(items, sizes, slope), _sheared(items, sizes, -slope)), key=_overlapping)


def _sheared(items: list[_Item], sizes: Sequence[float], slope: float) -> list[_Item]:
    level = []
    for item, size in zip(items, sizes, strict=True):
        middle = _middle(item) - slope * (item.x0 + item.x1) / 2
        half = min(item.height, _BOX_OF_LETTERS * size or item.height) / 2
        shift = slope * (item.y0 + item.y1) / 2
        level.append(_Item(item.index, item.x0 + shift, middle - half, item.x1 + shift, middle + half))
    return level


def _overlapping(items: list[_Item]) -> float:
    """Sum the heights at which lines lie over each other."""
    total = 0.0
    ordered = sorted(items, key=lambda item: (item.y0, item.index))
    for place, upper in enumerate(ordered):
        for lower in ordered[place + 1 :]:
            if lower.y0 >= upper.y1:
                break
            if min(upper.x1, lower.x1) > max(upper.x0, lower.x0):
                total += min(upper.y1, lower.y1) - lower.y0
    return total


def _canonical(line: Line) -> tuple[float, float, float, float, str, float, str, float]:
    return line.y0, line.x0, line.y1, line.x1, line.text, line.confidence, line.source, line.size


def is_ideographic(character: str) -> bool:
    """Tell whether a character belongs to a script that is also written downwards."""
    code = ord(character)
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000


def _is_vertical(lines: Sequence[Line], aspect: float) -> bool:
    """Tell whether most of the characters stand in vertical lines of an ideographic script."""
    total = sum(len(line.text) for line in lines)
    tall = sum(
        len(line.text)
        for line in lines
        if line.y1 - line.y0 > _TALL * (line.x1 - line.x0) * aspect
        and 2 * sum(map(is_ideographic, line.text)) > len(line.text)
    )
    return 2 * tall > total


def _cut(items: list[_Item]) -> list[_Item]:
    if len(items) <= 1:
        return items
    valley = _valley(items)
    if valley is None:
        return _by_rows(items)
    spanning = [item for item in items if item.x0 < valley < item.x1]
    ordered: list[_Item] = []
    rest = [item for item in items if item not in spanning]
    for cutter in sorted(spanning, key=lambda item: (_middle(item), item.index)):
        above = [item for item in rest if _middle(item) < _middle(cutter)]
        rest = [item for item in rest if _middle(item) >= _middle(cutter)]
        heading = _heading_of(cutter, above)
        above = [item for item in above if item is not heading]
        ordered += [*_halves(above, valley), *([heading] if heading else []), cutter]
    ordered += _halves(rest, valley)
    return ordered


def _heading_of(cutter: _Item, above: list[_Item]) -> _Item | None:
    """Find a short line that stands below all columns and nearer to what spans them."""
    if len(above) < _COLUMN_ROWS:
        return None
    last = max(above, key=lambda item: (_middle(item), item.index))
    edge = max(item.y1 for item in above if item is not last)
    # Boxes of neighbouring lines may touch, hence middles and not edges.
    apart, near = _middle(last) - edge, _middle(cutter) - last.y1
    return last if apart > last.height / 2 and apart > near else None


def _halves(items: list[_Item], valley: float) -> list[_Item]:
    left = [item for item in items if item.x1 <= valley]
    right = [item for item in items if item.x1 > valley]
    if not left or not right:
        return _cut(items)
    if _is_column(left) and _is_column(right):
        return [*_cut(left), *_cut(right)]
    return _by_rows(items)


def _middle(item: _Item) -> float:
    return (item.y0 + item.y1) / 2


def _valley(items: list[_Item]) -> float | None:
    """Find the x at which a block falls into columns: a wide gap that few lines cross."""
    unit = _median(item.height for item in items)
    best: tuple[float, float] | None = None
    for start in sorted({item.x0 for item in items})[1:]:
        left = [item for item in items if item.x1 <= start]
        right = [item for item in items if item.x0 >= start]
        crossing = len(items) - len(left) - len(right)
        if min(len(left), len(right)) < _COLUMN_ROWS or crossing > _SPANNING_SHARE * len(items):
            continue
        edge = max(item.x1 for item in left)
        if start - edge < unit / 2 or not (_is_column(left) and _is_column(right)):
            continue
        if not _are_beside(left, right):
            continue
        gap = min((start - edge) / unit, _GAP_MOST)
        key = (crossing - _GAP_WORTH * gap, (edge + start) / 2)
        best = key if best is None else min(best, key)
    return None if best is None else best[1]


def _is_column(items: list[_Item]) -> bool:
    """Tell whether lines are long enough, for their height, to be running text."""
    return _median(item.width for item in items) >= _COLUMN_RATIO * _median(item.height for item in items)


def _are_beside(left: list[_Item], right: list[_Item]) -> bool:
    """Tell whether two groups stand beside each other and not only one below the other."""
    top = max(min(item.y0 for item in left), min(item.y0 for item in right))
    bottom = min(max(item.y1 for item in left), max(item.y1 for item in right))
    return bottom - top > 2 * _median(item.height for item in left + right)


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _by_rows(items: list[_Item]) -> list[_Item]:
    """Read row by row; a line joins the row whose last line it overlaps in height."""
    rows: list[list[_Item]] = []
    for item in sorted(items, key=lambda item: (_middle(item), item.x0, item.index)):
        row = rows[-1] if rows else None
        if row is not None and any(_share_row(item, other) for other in row):
            row.append(item)
        else:
            rows.append([item])
    return [item for row in rows for item in sorted(row, key=lambda item: (item.x0, item.y0, item.index))]


def _share_row(left: _Item, right: _Item) -> bool:
    common = min(left.y1, right.y1) - max(left.y0, right.y0)
    return common > _SAME_ROW * min(left.height, right.height)
