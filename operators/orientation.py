"""Find out by how much a page is turned, from how well it can be read.

Text that lies on its side is found as boxes that are higher than wide; text that stands on
its head is read as a few wrong characters where many were expected. Both show in what the
first reading gives, so a page that is upright costs nothing. Only a page that reads badly is
tried in other directions, on a few of its lines.

Confidence alone does not tell: upside-down lines are often read with 0.5 to 0.9. The
characters read for the length of the line do: letters are about half as wide as high and
ideographs as wide as high, so upright lines of either give about two half-widths for each
line height, upside-down ones a quarter of that.
"""

import math
import unicodedata
from collections.abc import Sequence

import numpy as np

from operators.multiscale import Rect, rect_of
from operators.ocr_engine import OcrEngine, Pixels
from operators.reading_order import is_ideographic
from schemas.perception import Line

LONG = 2.5
"""Length over height from which a line says something about its direction."""

SURE_RATE = 1.0
"""Rate from which a page is taken as read rightly without trying another direction."""

BETTER = 1.4
"""Factor by which the rate in another direction must be higher."""

LEAST_RATE = 0.9
"""Rate that any direction but upright must reach."""

_TRIED = 5
_TRIED_RATIO = 12.0
"""Lines tried in another direction, and how much of each: its middle, in line heights."""

_CELLS_AGREE = 0.34
"""Share of characters that must be read again in a vertical line cut into characters."""


def turn_picture(picture: Pixels, degrees: int) -> Pixels:
    """Turn a picture clockwise by 0, 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(picture, -(degrees // 90))) if degrees else picture


def rate(lines: Sequence[Line], width_px: int, height_px: int) -> float:
    """Return what was surely read for the length of the lines.

    Half-widths of text times the square of their confidence, for each line height of length;
    about 1.5 to 2.2 for clean upright text. 0 without lines.
    """
    length = sum(_ratio(line, width_px, height_px) for line in lines)
    read = sum(_half_widths(line.text) * line.confidence**2 for line in lines)
    return read / length if length else 0.0


def _half_widths(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _ratio(line: Line, width_px: int, height_px: int) -> float:
    """Length of a line over its height, however it lies."""
    wide, high = (line.x1 - line.x0) * width_px, (line.y1 - line.y0) * height_px
    return max(wide, high) / max(min(wide, high), 1.0)


def _is_tall(line: Line, width_px: int, height_px: int) -> bool:
    return (line.y1 - line.y0) * height_px > (line.x1 - line.x0) * width_px


def find_turn(picture: Pixels, lines: Sequence[Line], engine: OcrEngine) -> int:
    """Find the clockwise turn (0, 90, 180, 270) after which a picture reads upright.

    Args:
        picture: as it came.
        lines: what a reading of it as it came gave, of every confidence.
        engine: to try other directions with.
    """
    height, width = picture.shape[:2]
    long = [line for line in lines if _ratio(line, width, height) >= LONG]
    tall = [line for line in long if _is_tall(line, width, height)]
    wide = [line for line in long if not _is_tall(line, width, height)]
    if _length(tall, width, height) <= _length(wide, width, height):
        return _best_of(picture, wide, engine, (0, 180))
    if _are_vertical(picture, tall, engine):
        return 0
    # A line that runs downwards was cut out and turned left before it was read: what was
    # read of it is what a picture turned by 270 degrees would give.
    return _best_of(picture, tall, engine, (270, 90))


def _length(lines: Sequence[Line], width_px: int, height_px: int) -> float:
    return sum(_ratio(line, width_px, height_px) for line in lines)


def _best_of(picture: Pixels, lines: Sequence[Line], engine: OcrEngine, directions: tuple[int, int]) -> int:
    """Choose between the direction that was read and the opposite one."""
    height, width = picture.shape[:2]
    as_read, opposite = directions
    known = rate(lines, width, height)
    if not lines:
        return 0
    if known >= SURE_RATE:
        return as_read
    tried = sorted(lines, key=lambda line: (-_ratio(line, width, height), line.y0, line.x0))[:_TRIED]
    known = rate(tried, width, height)
    found = _try(picture, tried, engine, opposite)
    if found >= LEAST_RATE and found >= BETTER * known:
        return opposite
    return as_read if as_read == 0 or known >= LEAST_RATE else 0


def _try(picture: Pixels, lines: Sequence[Line], engine: OcrEngine, degrees: int) -> float:
    """Read crops around some lines in another direction; return the rate."""
    height, width = picture.shape[:2]
    crops = [turn_picture(cut(picture, _around(line, width, height)), degrees) for line in lines]
    read = length = 0.0
    for line, crop, found in zip(lines, crops, engine.read(crops), strict=True):
        # At the rim of the crop are slivers of the lines above and below.
        upright = [
            other
            for other in found
            if 0.25 < (other.y0 + other.y1) / 2 < 0.75 and not _is_tall(other, crop.shape[1], crop.shape[0])
        ]
        read += sum(_half_widths(other.text) * other.confidence**2 for other in upright)
        wanted = min(_ratio(line, width, height), _TRIED_RATIO)
        length += max(wanted, _length(upright, crop.shape[1], crop.shape[0]))
    return read / length if length else 0.0


def _around(line: Line, width_px: int, height_px: int) -> Rect:
    """Return the middle of a line, with half its height of margin."""
    rect = rect_of(line, width_px, height_px)
    high = min(rect.x1 - rect.x0, rect.y1 - rect.y0)
    spare_x = max(0, (rect.x1 - rect.x0 - math.ceil(_TRIED_RATIO * high)) // 2)
    spare_y = max(0, (rect.y1 - rect.y0 - math.ceil(_TRIED_RATIO * high)) // 2)
    middle = Rect(rect.x0 + spare_x, rect.y0 + spare_y, rect.x1 - spare_x, rect.y1 - spare_y)
    return middle.grown(high // 2, width_px, height_px)


def cut(picture: Pixels, rect: Rect) -> Pixels:
    """Cut a rectangle out of a picture."""
    return picture[rect.y0 : rect.y1, rect.x0 : rect.x1]


def _are_vertical(picture: Pixels, lines: Sequence[Line], engine: OcrEngine) -> bool:
    """Tell vertical writing from a page on its side; both are tall boxes full of ideographs.

    A vertical line cut into characters that are put side by side reads as the same text; a
    horizontal line on its side gives characters on their sides.
    """
    height, width = picture.shape[:2]
    ideographs = [
        line
        for line in lines
        if len(line.text) >= 2 and 2 * sum(map(is_ideographic, line.text)) > len(line.text)
    ]
    if 2 * _length(ideographs, width, height) < _length(lines, width, height):
        return False
    tried = sorted(ideographs, key=lambda line: (-line.confidence, line.y0, line.x0))[:_TRIED]
    strips = [_side_by_side(cut(picture, rect_of(line, width, height)), len(line.text)) for line in tried]
    again = engine.recognise(strips)
    wanted = sum(len(line.text) for line in tried)
    same = sum(_common(line.text, text) for line, (text, _) in zip(tried, again, strict=True))
    return same >= _CELLS_AGREE * wanted


def _side_by_side(column: Pixels, count: int) -> Pixels:
    """Cut a vertical line into as many characters as were read and put them side by side."""
    count = max(1, min(count, column.shape[0]))
    side = column.shape[0] // count
    return np.hstack([column[index * side : (index + 1) * side] for index in range(count)])


def _common(left: str, right: str) -> int:
    """Count the characters two texts have in common."""
    return sum(min(left.count(character), right.count(character)) for character in set(left))
