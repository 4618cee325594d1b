"""Pictures made for tests, with the caption that is true of each stated by its maker.

A scene is one large shape in one colour on one ground. Everything else about it (where it stands, how
large it is, how it is lit, noise) is drawn from its `variant` and is not told. A clip shows scenes in
order; its caption names each one once, as long as it lasts. Videos, pages and files of scenes are written
here too. The tiny vision-language model of the tests knows these captions and no others.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tests.media import PLAIN, Encoding, encode, steady

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (215, 30, 35),
    "orange": (250, 135, 10),
    "yellow": (240, 222, 40),
    "green": (35, 150, 55),
    "turquoise": (60, 205, 205),
    "blue": (35, 65, 215),
    "purple": (125, 45, 165),
    "pink": (250, 135, 195),
}
GROUNDS: dict[str, Colour] = {"white": (246, 246, 246), "grey": (135, 135, 135), "black": (14, 14, 14)}
SHAPES = ("circle", "square", "triangle", "cross", "ring")

NOTHING = "Nothing."
"""The caption of pictures without a shape: blank ones, and ones with text alone."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is shown; two scenes of other variants look different and have the same caption."""

    colour: str
    shape: str
    ground: str
    variant: int = 0
    text: str = ""
    """A line of small text at the lower edge."""

    @property
    def told(self) -> tuple[str, str, str]:
        """What its caption names."""
        return self.colour, self.shape, self.ground


@dataclass(frozen=True, slots=True)
class Blank:
    """A ground without a shape, perhaps with lines of text."""

    ground: str
    variant: int = 0
    text: str = ""

    @property
    def told(self) -> None:
        """Nothing is named."""
        return


Shot = Scene | Blank


def all_scenes() -> list[Scene]:
    """List the scenes with different captions, 120."""
    return [Scene(colour, shape, ground) for shape in SHAPES for colour in COLOURS for ground in GROUNDS]


def draw_scenes(seed: int, count: int) -> list[Scene]:
    """Draw scenes of different captions."""
    rng = np.random.default_rng(seed)
    known = all_scenes()
    chosen = rng.choice(len(known), count, replace=False)
    return [replace(known[index], variant=int(rng.integers(1 << 30))) for index in chosen]


def caption_of(*shots: Shot) -> str:
    """Tell what is shown, such as `A red circle on white, then an orange ring on black.` in two scenes.

    Args:
        shots: In order of time. One that shows the same as the one before is not told again, nor are
            blank ones.
    """
    told: list[tuple[str, str, str]] = []
    for shot in shots:
        if shot.told is not None and shot.told != (told[-1] if told else None):
            told.append(shot.told)
    if not told:
        return NOTHING
    text = ", then ".join(
        f"{'an' if colour == 'orange' else 'a'} {colour} {shape} on {ground}"
        for colour, shape, ground in told
    )
    return f"{text[0].upper()}{text[1:]}."


def picture(shot: Shot, size: tuple[int, int] = (320, 180)) -> Pixels:
    """Draw a scene.

    Args:
        shot: What to draw; the same one gives the same picture.
        size: Width and height in pixels.

    Returns:
        RGB, shape (height, width, 3).
    """
    rng = np.random.default_rng(shot.variant)
    width, height = size
    image = Image.fromarray(_ground(rng, shot.ground, size))
    if isinstance(shot, Scene):
        mask, colour = _mask(rng, shot.shape, size), _shade(rng, COLOURS[shot.colour], 14)
        image.paste(Image.new("RGB", size, colour), mask=mask)
    if shot.text:
        lines = 1 if isinstance(shot, Scene) else 4
        _write_text(image, shot.text, "black" if shot.ground == "white" else "white", lines)
    pixels = np.asarray(image)
    if shot.variant % 2:
        noise = rng.normal(0, rng.uniform(1, 7), (height, width, 1))
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return pixels.copy()


def _shade(rng: np.random.Generator, colour: Colour, most: int) -> Colour:
    red, green, blue = (int(np.clip(part + rng.integers(-most, most + 1), 0, 255)) for part in colour)
    return red, green, blue


def _ground(rng: np.random.Generator, name: str, size: tuple[int, int]) -> Pixels:
    """Draw a ground that is a little brighter at one side."""
    width, height = size
    angle, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 10)
    across = np.linspace(-1, 1, width)[None, :] * math.cos(angle)
    down = np.linspace(-1, 1, height)[:, None] * math.sin(angle)
    level = GROUNDS[name][0] + rng.uniform(-9, 9) + slope * (across + down)
    return np.repeat(np.clip(level, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _mask(rng: np.random.Generator, shape: str, size: tuple[int, int]) -> Image.Image:
    """Draw the shape white on black, with soft edges, wholly within the picture."""
    width, height = size
    radius = min(size) * rng.uniform(0.33, 0.46)
    x = rng.uniform(radius, width - radius)
    y = rng.uniform(radius, height - radius)
    scale = 2 if min(size) > 400 else 4
    mask = Image.new("L", (width * scale, height * scale))
    draw = ImageDraw.Draw(mask)
    x, y, radius = x * scale, y * scale, radius * scale
    if shape in ("circle", "ring"):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        if shape == "ring":
            inner = radius * 0.55
            draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=0)
    else:
        turn = rng.uniform(-0.12, 0.12)
        corners = [
            (
                x + radius * (math.cos(turn) * a - math.sin(turn) * b),
                y + radius * (math.sin(turn) * a + math.cos(turn) * b),
            )
            for a, b in _corners(shape)
        ]
        draw.polygon(corners, fill=255)
    return mask.reduce(scale)


@cache
def _corners(shape: str) -> tuple[tuple[float, float], ...]:
    """List the corners of a shape within a circle of radius 1, y downwards."""
    if shape == "square":
        return ((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8))
    if shape == "triangle":
        return tuple((math.sin(turn), 0.1 - math.cos(turn)) for turn in (0, 2 * math.pi / 3, 4 * math.pi / 3))
    arm, end = 0.26, 0.95
    quarter = [(-arm, -end), (arm, -end), (arm, -arm)]
    cross: list[tuple[float, float]] = []
    for _ in range(4):
        cross += quarter
        quarter = [(-b, a) for a, b in quarter]
    return tuple(cross)


def _write_text(image: Image.Image, text: str, ink: str, lines: int) -> None:
    """Write small lines of text upwards from the lower edge."""
    draw = ImageDraw.Draw(image)
    letter = max(6, round(min(image.size) / 16))
    font = ImageFont.load_default(letter)
    for line in range(lines):
        draw.text((letter, image.height - (1.4 + 1.6 * line) * letter), text, font=font, fill=ink)


def through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Compress and decompress."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


@dataclass(frozen=True, slots=True)
class Shown:
    """A scene and the time at which it appears, in seconds."""

    start_seconds: float
    shot: Shot


def video_of(
    shown: Sequence[Shown],
    until_seconds: float,
    size: tuple[int, int] = (320, 180),
    *,
    rate: int = 10,
    encoding: Encoding = PLAIN,
) -> bytes:
    """Code a video of scenes, each shown from its time until that of the next one.

    Args:
        shown: In order of time, the first at 0.
        until_seconds: Length of the video.
        size: Width and height in pixels, both even.
        rate: Frames a second.
        encoding: H.264 in MP4, unless told otherwise.
    """
    pictures = [(item.start_seconds, picture(item.shot, size)) for item in shown]
    return encode(steady(pictures, until_seconds, rate), encoding)


def caption_between(shown: Sequence[Shown], start_seconds: float, end_seconds: float) -> str:
    """Tell what a video shows from one time until before another."""
    ends = [item.start_seconds for item in shown[1:]] + [math.inf]
    seen = [
        item.shot
        for item, end in zip(shown, ends, strict=True)
        if item.start_seconds < end_seconds and end > start_seconds
    ]
    return caption_of(*seen)


def png_of(shot: Shot, size: tuple[int, int] = (320, 180)) -> bytes:
    """Write a picture file of a scene."""
    buffer = io.BytesIO()
    Image.fromarray(picture(shot, size)).save(buffer, "PNG")
    return buffer.getvalue()


def pdf_of(shots: Sequence[Shot], size: tuple[float, float] = (420, 595)) -> bytes:
    """Draw a document with vectors: a scene on each page, whose texts are real text.

    Args:
        shots: One for each page.
        size: Width and height of a page in points.
    """
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size, invariant=1)
    for shot in shots:
        _draw_page(canvas, shot, size)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _draw_page(canvas: Any, shot: Shot, size: tuple[float, float]) -> None:
    rng = np.random.default_rng(shot.variant)
    width, height = size
    canvas.setFillColorRGB(*(part / 255 for part in GROUNDS[shot.ground]))
    canvas.rect(0, 0, width, height, stroke=0, fill=1)
    if shot.text:
        ink = 0 if shot.ground == "white" else 1
        canvas.setFillColorRGB(ink, ink, ink)
        canvas.setFont("Helvetica", 11)
        for line in range(1 if isinstance(shot, Scene) else 4):
            canvas.drawString(24, 12 + 16 * line, shot.text)
    if isinstance(shot, Blank):
        return
    radius = min(size) * rng.uniform(0.33, 0.42)
    x, y = rng.uniform(radius, width - radius), rng.uniform(radius + 24, height - radius)
    canvas.setFillColorRGB(*(part / 255 for part in COLOURS[shot.colour]))
    path = canvas.beginPath()
    if shot.shape in ("circle", "ring"):
        path.circle(x, y, radius)
        if shot.shape == "ring":
            path.circle(x, y, radius * 0.55)
    else:
        corners = [(x + radius * a, y - radius * b) for a, b in _corners(shot.shape)]
        path.moveTo(*corners[0])
        for corner in corners[1:]:
            path.lineTo(*corner)
        path.close()
    canvas.drawPath(path, stroke=0, fill=1, fillMode=0)
