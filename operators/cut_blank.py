"""Blank space is cut away before lines are looked for: it costs the detector time, and slides are half paper.

A picture is cut into bands, from edge to edge, where rows of it are blank; each band loses its blank margins.
Nothing is cut between the words of a line, however far apart they stand. Where less than half is saved, as in
photographs, full pages and scans with grain, the picture is left whole.

The projection of a page onto its side as a way to cut it: G. Nagy, S. Seth, M. Viswanathan, A Prototype
Document Image Analysis System for Technical Journals, 1992.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.multiscale import FIRST_LOOK_PIXELS, Rect, detector_size, place
from operators.ocr_engine import OcrEngine, Pixels
from operators.orientation import cut
from schemas.perception import Line

_CELL_PX = 16

_FLAT = 5
"""Levels by which the pixels of a blank cell differ at most: letters drawn with a contrast of 6 are not
found, with one of 8 they are read. Also `operators.distinct` takes a change of up to 5 for none."""

_FAINT = 32
"""A picture that has a band with nothing stronger is left whole: a line of contrast 12 that is found in the
whole picture may not be found in so small a one."""

_LEAST_GAP_CELLS = 3
_GAP_SHARE = 0.5
"""Rows are cut only in a gap of this share of the lower of the two bands beside it: less may part the
characters of a line that runs downwards."""

_MARGIN_PX = (32, 16)
"""Kept around a band, across and down. With 16 to the sides bullets are found apart from their lines."""

_WORTH = 0.5
"""Share of the pixels the detector would see up to which bands are read instead of the whole."""


def read_inked(engine: OcrEngine, pictures: Sequence[Pixels]) -> list[list[Line]]:
    """Read pictures, of each what is not blank; boxes are in fractions of the picture."""
    bands = [inked_bands(picture) for picture in pictures]
    crops = [cut(picture, band) for picture, found in zip(pictures, bands, strict=True) for band in found]
    readings = engine.read(crops)
    assert len(readings) == len(crops)
    rest = iter(readings)
    return [
        [_placed(line, band, picture) for band in found for line in next(rest)]
        for picture, found in zip(pictures, bands, strict=True)
    ]


def is_blank(pixels: Pixels) -> bool:
    """Tell whether there is nothing to read in a picture."""
    return bool(_contrast(pixels).max() <= _FLAT)


def is_cut(pixels: Pixels) -> bool:
    """Tell whether a picture is read by bands, so that nothing of it is reduced for the detector."""
    return inked_bands(pixels) != [_whole(pixels)]


def inked_bands(pixels: Pixels) -> list[Rect]:
    """Find the bands of a picture that hold all there is to see.

    Returns:
        Bands from top to bottom that have no pixel in common, all of which the detector sees unreduced;
        the whole picture where they would not be much less.
    """
    height, width = pixels.shape[:2]
    contrast = _contrast(pixels)
    inked = contrast > _FLAT
    runs = _runs(np.any(inked, axis=1))
    bands = [_around(inked, top, bottom, width, height) for top, bottom in runs]
    wide, high = detector_size(width, height)
    most = min(_WORTH * wide * high, FIRST_LOOK_PIXELS)
    is_worth = bool(bands) and sum(_seen(band) for band in bands) <= most
    is_clear = all(contrast[top:bottom].max() >= _FAINT for top, bottom in runs)
    return bands if is_worth and is_clear else [_whole(pixels)]


def _whole(pixels: Pixels) -> Rect:
    return Rect(0, 0, pixels.shape[1], pixels.shape[0])


def _placed(line: Line, band: Rect, picture: Pixels) -> Line:
    height, width = picture.shape[:2]
    return line if band == _whole(picture) else place(line, band, width, height)


def _seen(band: Rect) -> int:
    """Count the pixels of a band as the detector sees it, at least."""
    wide, high = detector_size(band.x1 - band.x0, band.y1 - band.y0)
    return max(wide * high, band.area)


def _contrast(pixels: Pixels) -> NDArray[np.uint8]:
    """Measure by how many levels the pixels of each cell differ, in the colour in which they differ most.

    Returns:
        Shape (rows, columns); the last ones of each may be cut short by the edge of the picture.
    """
    height, width = pixels.shape[:2]
    rows, columns = -(-height // _CELL_PX), -(-width // _CELL_PX)
    lacking = rows * _CELL_PX - height, columns * _CELL_PX - width
    if any(lacking):
        pixels = np.asarray(
            cv2.copyMakeBorder(pixels, 0, lacking[0], 0, lacking[1], cv2.BORDER_REPLICATE), np.uint8
        )
    by_row = pixels.reshape(rows, _CELL_PX, columns * _CELL_PX * 3)
    cells = rows, columns, _CELL_PX, 3
    highest = by_row.max(axis=1).reshape(cells).max(axis=2)
    lowest = by_row.min(axis=1).reshape(cells).min(axis=2)
    return np.asarray((highest - lowest).max(axis=2), np.uint8)


def _runs(inked: NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    """Find runs of rows that are not blank, joined across gaps too small to cut in; ends are exclusive."""
    (places,) = np.nonzero(inked)
    runs: list[tuple[int, int]] = []
    for part in np.split(places, np.nonzero(np.diff(places) > 1)[0] + 1) if places.size else []:
        top, bottom = int(part[0]), int(part[-1]) + 1
        while runs and not _is_apart(runs[-1], (top, bottom)):
            top = runs.pop()[0]
        runs.append((top, bottom))
    return runs


def _is_apart(above: tuple[int, int], below: tuple[int, int]) -> bool:
    lower = min(above[1] - above[0], below[1] - below[0])
    return below[0] - above[1] >= max(_LEAST_GAP_CELLS, _GAP_SHARE * lower)


def _around(inked: NDArray[np.bool_], top: int, bottom: int, width_px: int, height_px: int) -> Rect:
    """Return the rectangle, in pixels, around what is seen in some rows of cells, with a margin."""
    (columns,) = np.nonzero(inked[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    across, down = _MARGIN_PX
    return Rect(
        max(0, left * _CELL_PX - across),
        max(0, top * _CELL_PX - down),
        min(width_px, right * _CELL_PX + across),
        min(height_px, bottom * _CELL_PX + down),
    )
