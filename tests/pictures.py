"""Drawn pictures whose text is known to the letter."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from operators.ocr_engine import Pixels
from schemas.perception import Line, Picture

_TEXT = """river stone quick garden yellow system window market number paper green travel
mountain simple history music letter season bridge forest orange winter doctor island"""

WORDS = _TEXT.split()


def sentence(count: int, start: int = 0) -> str:
    """Give `count` common words, others for another `start`."""
    return " ".join(WORDS[(start * 7 + step * 5) % len(WORDS)] for step in range(count))


def draw(
    width_px: int,
    height_px: int,
    texts: Sequence[tuple[float, float, float, str]],
    ink: str = "black",
    paper: str = "white",
) -> Pixels:
    """Draw (x, y, letter size, text), all in pixels; no font of the system is needed."""
    image = Image.new("RGB", (width_px, height_px), paper)
    pen = ImageDraw.Draw(image)
    for x, y, size, text in texts:
        pen.text((x, y), text, fill=ink, font=ImageFont.load_default(size))
    return np.asarray(image)


def page(
    rows: int = 12, width_px: int = 620, height_px: int = 800, size: float = 20
) -> tuple[Pixels, list[str]]:
    """Draw a page of running text; returns it and its lines."""
    lines = [sentence(7, row) for row in range(rows)]
    texts = [(40.0, 40 + row * size * 1.9, size, line) for row, line in enumerate(lines)]
    return draw(width_px, height_px, texts), lines


def tilted(pixels: Pixels, degrees: float) -> Pixels:
    """Turn a picture a little, as a page lies askew on a scanner."""
    image = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
    return np.asarray(image)


def picture(
    pixels: Pixels,
    page_number: int | None = None,
    time_seconds: float | None = None,
    until_seconds: float | None = None,
) -> Picture:
    """Wrap pixels as what a decoder hands over."""
    height, width = pixels.shape[:2]
    return Picture(width, height, pixels.tobytes(), time_seconds, until_seconds, page_number)


def line(text: str, x0: float, y0: float, x1: float, y1: float, confidence: float = 0.9) -> Line:
    """Make a line; its letters are as high as its box."""
    return Line(text, confidence, x0, y0, x1, y1, "ocr", y1 - y0)


def recall(truth: str, found: str) -> float:
    """Share of the words of the truth that were found, each as often as it stands there."""
    left = found.split()
    words = truth.split()
    hits = 0
    for word in words:
        if word in left:
            left.remove(word)
            hits += 1
    return hits / len(words)
