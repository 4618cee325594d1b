"""One small interface in front of every recogniser of text, and the choice between them.

The operator knows only this interface, so that an engine can be exchanged by configuration
and replaced by a fake in a test.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.config import Ocr
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


def check_engine(config: Ocr) -> str | None:
    """Tell why the configured engine cannot run, without loading a model.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and
        what to do.
    """
    if config.engine == "off":
        return None
    if config.engine == "paddleocr":
        from operators import ocr_paddleocr

        return ocr_paddleocr.check(config.model)
    from operators import ocr_rapidocr

    return ocr_rapidocr.check(config.model)


def engine_revision(config: Ocr) -> str:
    """Name the engine, its version and the weights that would read, without loading them.

    Raises:
        FileNotFoundError: The weights are not there; `check_engine` says so beforehand.
    """
    if config.engine == "off":
        return "off"
    if config.engine == "paddleocr":
        from operators import ocr_paddleocr

        return ocr_paddleocr.revision(config.model)
    from operators import ocr_rapidocr

    return ocr_rapidocr.revision(config.model)


def load_engine(config: Ocr, threads: int) -> OcrEngine:
    """Load the configured engine and its weights.

    Args:
        config: the section `ocr`; its engine must not be `off`.
        threads: threads of one inference; more only help with cores to spare.

    Raises:
        ValueError: The engine is off, or cannot run for the reason `check_engine` gives.
    """
    if config.engine == "off":
        msg = "Wanted an OCR engine to load; found ocr.engine = off. Set it to rapidocr or paddleocr."
        raise ValueError(msg)
    if (problem := check_engine(config)) is not None:
        raise ValueError(problem)
    if config.engine == "paddleocr":
        from operators.ocr_paddleocr import PaddleOcrEngine

        return PaddleOcrEngine(config.model, threads)
    from operators.ocr_rapidocr import RapidOcrEngine

    return RapidOcrEngine(config.model, threads)
