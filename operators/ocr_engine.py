"""One small interface in front of every recogniser of text.

The operator knows only this interface, so that an engine can be exchanged by configuration
and replaced by a fake in a test.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.perception import Line

Pixels = NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""


class OcrEngine(Protocol):
    """Reads the lines of text in pictures."""

    name: str
    revision: str
    """Which weights read: file names with a digest of each, or model names with a version."""

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Find and recognise the lines of each picture.

        Lines of every confidence are given, also those that were found but read as nothing;
        who calls drops them, because finding out how a page is turned needs them. A line
        higher than wide is read downwards: with the tops of its letters to the right, or as
        upright characters one below the other.

        Returns:
            One list for each picture, in order; boxes in fractions of that picture.
        """
        ...

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Recognise pictures that are one line each, as (text, confidence), in order."""
        ...
