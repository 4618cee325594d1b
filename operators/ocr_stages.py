"""The two stages every engine here has: a detector finds lines, a recogniser reads them.

What lies between the two is the same for all engines: lines are cut out of the picture at
full resolution, whatever the resolution of the detector, brought to one height, and read in
batches of one width over all pictures of a call.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.multiscale import detector_size
from operators.ocr_engine import Pixels
from schemas.perception import Line

STRIP_HEIGHT_PX = 48
"""Height of a line as the PP-OCR recognisers were trained."""

_STRIP_STEP_PX = 32
_STRIP_SHORTEST_PX = 96
_STRIP_LONGEST_PX = 3200
"""A longer line is squeezed to this width, as PaddleOCR does."""

_BATCH_WIDTH_PX = 640
"""Widths of a batch together. The output holds 18,710 scores for every 8 pixels: 6 MB. On one core
nothing is gained by more: a strip of 96 pixels takes 10.1 ms alone and in a batch of 8, one of 640
pixels 68 ms alone and 78 ms among 8; and batches of more stay half empty (0.91 of the places are
filled on a mixed corpus, 0.42 with 2,560)."""

_TALL = 1.5
"""Height over width from which a line is read as running downwards."""

_THIN_PX = 64
_THIN_RATIO = 8.0
"""A picture lower than this, or longer for its height, is padded: the detector does not find
a line that fills its picture from edge to edge."""

Quad = NDArray[np.float32]
"""Corners of a line in pixels, shape (4, 2): top left, top right, bottom right, bottom left."""


class Stages(Protocol):
    """A detector and a recogniser."""

    def find(self, picture: Pixels) -> NDArray[np.float32]:
        """Find lines in a picture of any size; returns quads of shape (lines, 4, 2)."""
        ...

    def decode(self, strips: NDArray[np.uint8]) -> list[tuple[str, float]]:
        """Recognise strips of one size, shape (strips, 48, width, 3), RGB."""
        ...


def read_pictures(stages: Stages, pictures: Sequence[Pixels]) -> list[list[Line]]:
    """Find lines picture by picture, then read those of all pictures together."""
    quads = [_find(stages, picture) for picture in pictures]
    strips = [
        cut_line(picture, quad) for picture, found in zip(pictures, quads, strict=True) for quad in found
    ]
    readings = iter(read_strips(stages, strips))
    lines: list[list[Line]] = []
    for picture, found in zip(pictures, quads, strict=True):
        here = [_line(quad, *next(readings), picture) for quad in found]
        lines.append([line for line in here if line is not None])
    return lines


def read_strips(stages: Stages, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
    """Read strips of any size in batches of one canonical width.

    A line is padded by its own width alone and never by its neighbours in the batch: what is
    read does not depend on what it is read together with.
    """
    fitted = [fit_strip(strip) for strip in strips]
    by_width: defaultdict[int, list[int]] = defaultdict(list)
    for index, strip in enumerate(fitted):
        by_width[strip.shape[1]].append(index)
    readings: list[tuple[str, float]] = [("", 0.0)] * len(strips)
    for width, members in sorted(by_width.items()):
        size = places(width)
        for start in range(0, len(members), size):
            batch = members[start : start + size]
            decoded = stages.decode(np.stack([fitted[index] for index in batch]))
            for index, (text, confidence) in zip(batch, decoded, strict=True):
                readings[index] = text.strip(), confidence
    return readings


def places(width_px: int) -> int:
    """Return how many strips of a canonical width a batch holds."""
    return max(1, _BATCH_WIDTH_PX // width_px)


def scaled_width(width_px: int, height_px: int) -> int:
    """Return the width of a line once it has the recogniser's height."""
    return min(max(1, math.ceil(STRIP_HEIGHT_PX * width_px / height_px)), _STRIP_LONGEST_PX)


def canonical_width(width_px: int) -> int:
    """Return the width to which a scaled line is padded."""
    return max(_STRIP_SHORTEST_PX, math.ceil(width_px / _STRIP_STEP_PX) * _STRIP_STEP_PX)


def fit_strip(strip: Pixels) -> Pixels:
    """Scale a line to the recogniser's height and pad it to a canonical width with mid-grey."""
    height, width = strip.shape[:2]
    wanted = scaled_width(width, height)
    shrinks = height > 2 * STRIP_HEIGHT_PX
    scaled = cv2.resize(
        strip, (wanted, STRIP_HEIGHT_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    canvas = np.full((STRIP_HEIGHT_PX, canonical_width(wanted), 3), 127, np.uint8)
    canvas[:, :wanted] = scaled
    return canvas


def cut_line(picture: Pixels, quad: Quad) -> Pixels:
    """Cut a line out, straightened; one that runs downwards is turned to run to the right."""
    strip = _slice(picture, quad) if _is_straight(quad) else _warp(picture, quad)
    if strip.shape[0] >= _TALL * strip.shape[1]:
        strip = np.ascontiguousarray(np.rot90(strip))
    return strip


def _is_straight(quad: Quad) -> bool:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad
    return bool(max(abs(y0 - y1), abs(y2 - y3), abs(x0 - x3), abs(x1 - x2)) <= 1)


def _slice(picture: Pixels, quad: Quad) -> Pixels:
    height, width = picture.shape[:2]
    left, top = np.floor(quad.min(axis=0)).astype(int)
    right, bottom = np.ceil(quad.max(axis=0)).astype(int)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return picture[top : max(bottom, top + 1), left : max(right, left + 1)]


def _warp(picture: Pixels, quad: Quad) -> Pixels:
    width, height = (max(1, round(side)) for side in _sides(quad))
    upright = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad.astype(np.float32), upright)
    return np.asarray(
        cv2.warpPerspective(
            picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ),
        dtype=np.uint8,
    )


def _sides(quad: Quad) -> tuple[float, float]:
    """Length along and across a line as it lies, in pixels."""
    along = max(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[2] - quad[3]))
    across = max(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2]))
    return float(along), float(across)


def _find(stages: Stages, picture: Pixels) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    pad_y = _padding(height, width)
    pad_x = _padding(width, height)
    if not pad_y and not pad_x:
        return stages.find(picture)
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    colour = [int(value) for value in np.median(edge, axis=0)]
    padded = cv2.copyMakeBorder(picture, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_CONSTANT, value=colour)
    quads = stages.find(np.asarray(padded, dtype=np.uint8)) - np.array([pad_x, pad_y], np.float32)
    limits = np.array([width, height], np.float32)
    return np.asarray(np.clip(quads, 0, limits), dtype=np.float32)


def _padding(side: int, other: int) -> int:
    if side >= _THIN_PX and other <= _THIN_RATIO * side:
        return 0
    return max(16, math.ceil((max(_THIN_PX, other / _THIN_RATIO) - side) / 2))


def _line(quad: Quad, text: str, confidence: float, picture: Pixels) -> Line | None:
    height, width = picture.shape[:2]
    x0, y0 = (float(value) for value in quad.min(axis=0) / (width, height))
    x1, y1 = (float(value) for value in quad.max(axis=0) / (width, height))
    x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in (x0, y0, x1, y1))
    if x1 <= x0 or y1 <= y0:
        return None
    size = letters_px(min(_sides(quad)), detector_size(width, height)[1] / height) / height
    return Line(text, round(confidence, 4), x0, y0, x1, y1, "ocr", min(size, 1.0))


def letters_px(box_px: float, scale: float) -> float:
    """Estimate the height of letters (ascender to descender) from the height of their box.

    The detector's box has a margin of about 4 of its own pixels and a fifth of the letters:
    right to a tenth on drawn text of 8 to 80 pixels.

    Args:
        box_px: height of the box in the picture.
        scale: pixels of the detector for each pixel of the picture.
    """
    return max(box_px - 4 / scale, box_px / 2) * 0.82
