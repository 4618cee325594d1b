"""Pages that were scanned on their side or head are read upright."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from operators.ocr_engine import OcrEngine, Pixels
from operators.ocr_engines import load_engine
from operators.orientation import find_turn, rate, turn_picture
from schemas.config import Ocr
from schemas.perception import Line
from tests.pictures import draw, line, page


@cache
def engine() -> OcrEngine:
    """Load the real engine once for the module."""
    return load_engine(Ocr(), 1)


class Counting:
    """Counts what is tried beyond the first reading."""

    name = revision = "counting"

    def __init__(self) -> None:
        """Start at nothing."""
        self.tried = 0

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Read with the real engine."""
        self.tried += len(pictures)
        return engine().read(pictures)

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Recognise with the real engine."""
        self.tried += len(strips)
        return engine().recognise(strips)


def turn_of(pixels: Pixels, using: OcrEngine | None = None) -> int:
    """Read a picture as it is and find its turn."""
    (lines,) = engine().read([pixels])
    return find_turn(pixels, lines, using or engine())


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_page_is_found(degrees: int) -> None:
    """A page turned by a quarter, a half or three quarters is turned back by the rest."""
    pixels, _ = page(rows=6, height_px=320)
    assert turn_of(turn_picture(pixels, degrees)) == (360 - degrees) % 360


def test_upright_page_costs_nothing() -> None:
    """No other direction is tried for a page that reads well as it is."""
    pixels, _ = page(rows=6, height_px=320)
    counting = Counting()
    assert turn_of(pixels, counting) == 0
    assert counting.tried == 0


def vertical(text: str, columns: int) -> Pixels:
    """Draw ideographs one below the other; PIL's own font has none, so blocks stand for them."""
    image = Image.new("RGB", (60 * columns + 60, 40 * len(text) + 60), "white")
    pen = ImageDraw.Draw(image)
    for place in range(columns):
        for row, character in enumerate(text):
            pen.text(
                (30 + place * 60, 30 + row * 40), character, fill="black", font=ImageFont.load_default(34)
            )
    return np.asarray(image)


class Script:
    """Reads tall lines as ideographs; upright characters put side by side read as set."""

    name = revision = "script"

    def __init__(self, side_by_side: str) -> None:
        """Set what characters cut out of a column read as."""
        self.side_by_side = side_by_side

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Nothing is read in any other direction."""
        return [[] for _ in pictures]

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Give what was set for every strip."""
        assert all(strip.shape[1] > 3 * strip.shape[0] for strip in strips)
        return [(self.side_by_side, 0.8)] * len(strips)


@pytest.mark.parametrize(("side_by_side", "degrees"), [("元来日语汉文", 0), ("一二工中由", 270)])
def test_vertical_writing_is_not_turned(side_by_side: str, degrees: int) -> None:
    """Tall lines of ideographs are vertical writing if their characters read upright, else a turned page."""
    pixels = vertical("ABCDEFGH", 3)
    high, wide = pixels.shape[:2]
    lines = [line("元来日本語は漢文に", 30 / wide, 30 / high, 70 / wide, 350 / high, 0.95)] * 3
    assert find_turn(pixels, lines, Script(side_by_side)) == degrees


def test_picture_without_text_is_left_as_it_is() -> None:
    """Noise and blank pictures are not turned."""
    noise = np.random.default_rng(3).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    assert turn_of(noise) == 0
    assert turn_of(draw(200, 100, [])) == 0


def test_rate_tells_right_from_wrong_reading() -> None:
    """Many characters for the length of a line count, few do not, even with good confidence."""
    right = line("twenty letters in row", 0.1, 0.1, 0.6, 0.15, 0.97)
    wrong = line("n  ou", 0.1, 0.1, 0.6, 0.15, 0.8)
    assert rate([right], 1000, 1000) > 1.5
    assert rate([wrong], 1000, 1000) < 0.5
    assert rate([line("二十个汉字一行里", 0.1, 0.1, 0.5, 0.15, 0.97)], 1000, 1000) > 1.5


def test_turning_is_clockwise() -> None:
    """A turn of 90 degrees brings the left edge to the top."""
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[1, 0] = 255
    assert turn_picture(pixels, 90)[0, 0, 0] == 255
    assert turn_picture(pixels, 180)[0, 2, 0] == 255
    assert turn_picture(pixels, 0) is pixels
