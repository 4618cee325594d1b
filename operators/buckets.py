"""Pictures of nearly the same size are read together.

A recogniser works on batches of one shape. A mixed corpus has hundreds of sizes; padding
each picture up to the next of a few canonical sizes makes full batches of them. The grid
grows in proportion to the side, so that padding stays a small share at every size.
"""

import math
from functools import cache

_SMALLEST_PX = 32
_STEP = 16
"""Sizes between two powers of two: a side of 512 or more is padded by 1/16 at most, and by
2 to 3 % on average."""


def fit_pixels(width_px: int, height_px: int, max_pixels: int) -> tuple[int, int]:
    """Scale a size down to a pixel budget; the aspect ratio stays, nothing is enlarged.

    Returns:
        (width, height), each at least 1, whose product is at most `max_pixels`.
    """
    if width_px * height_px <= max_pixels:
        return width_px, height_px
    scale = math.sqrt(max_pixels / (width_px * height_px))
    width = min(max(1, math.floor(width_px * scale)), max_pixels)
    height = max(1, min(math.floor(height_px * scale), max_pixels // width))
    return min(width, max_pixels // height), height


def bucket_of(width_px: int, height_px: int) -> tuple[int, int]:
    """Return the canonical (width, height) that covers a picture."""
    return _canonical(width_px), _canonical(height_px)


@cache
def _canonical(side_px: int) -> int:
    """Round a side up to a multiple of 32, or of a sixteenth of the power of two below it."""
    step = max(_SMALLEST_PX, (1 << (max(side_px, 1).bit_length() - 1)) // _STEP)
    return max(1, math.ceil(side_px / step)) * step
