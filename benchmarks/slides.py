"""A slide video of any length whose content is known: what the benchmarks read.

Slides stay for some seconds; a dot may move in the margin as a pointer would, and then every frame is
new to a computer and hardly any is new to a reader.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from PIL import Image, ImageDraw, ImageFont

_WORDS = [
    "harbour", "lantern", "survey", "granite", "meadow", "signal", "copper", "orchard", "timber", "ledger",
    "glacier", "kettle", "compass", "violet", "thunder", "saddle", "beacon", "marble", "willow", "anchor",
    "pepper", "canyon",
]  # fmt: skip

_DOT_PX = 12
_DOT_YUV = (81, 90, 220)
"""A red one."""


def slide_lines(number: int) -> list[str]:
    """Write a title and four lines, none like those of another slide."""
    lines = [f"Lesson {number + 1}"]
    for line in range(4):
        words = [_WORDS[(number * 7 + line * 5 + word * 3) % len(_WORDS)] for word in range(4)]
        lines.append(f"{' '.join(words)} {number * 10 + line}")
    return lines


def slide(number: int, width_px: int, height_px: int) -> Image.Image:
    """Draw a slide."""
    picture = Image.new("RGB", (width_px, height_px), "white")
    draw = ImageDraw.Draw(picture)
    big, small = (ImageFont.load_default(height_px // part) for part in (10, 18))
    title, *lines = slide_lines(number)
    draw.text((width_px // 16, height_px // 12), title, "black", big)
    for line, text in enumerate(lines):
        draw.text((width_px // 16, height_px * (4 + 2 * line) // 13), text, "black", small)
    return picture


def make_slide_video(
    path: Path,
    *,
    seconds: int,
    slide_seconds: int = 10,
    size: tuple[int, int] = (1280, 720),
    rate: int = 25,
    first: int = 0,
    pointer: bool = True,
) -> int:
    """Write an H.264 video and return its number of slides.

    Args:
        path: Of the file.
        seconds: Its length.
        slide_seconds: How long a slide stays.
        size: Width and height in pixels, both even.
        rate: Frames in a second.
        first: Number of the first slide; files with other numbers have other text.
        pointer: Whether the dot moves.
    """
    width_px, height_px = size
    count = -(-seconds // slide_seconds)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.time_base = Fraction(1, rate)
        for number in range(count):
            pixels = np.asarray(slide(first + number, width_px, height_px))
            drawn = VideoFrame.from_ndarray(pixels, format="rgb24")
            still = drawn.reformat(format="yuv420p").to_ndarray().astype(np.uint8, copy=False)
            for index in range(min(slide_seconds, seconds - number * slide_seconds) * rate):
                x = (index * 9) % (width_px - _DOT_PX)
                shown = _with_dot(still, x, width_px, height_px) if pointer else still
                container.mux(stream.encode(VideoFrame.from_ndarray(shown, format="yuv420p")))
        container.mux(stream.encode(None))
    return count


def _with_dot(still: npt.NDArray[np.uint8], x: int, width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Draw the dot near the lower edge of a frame of shape (height * 3 / 2, width): Y, U and V in turn.

    Drawn on the planes, because converting each frame would take longer than coding it.
    """
    shown = still.copy()
    luma, chroma_u, chroma_v = _DOT_YUV
    top = height_px - 2 * _DOT_PX
    shown[top : top + _DOT_PX, x : x + _DOT_PX] = luma
    flat, half = shown.reshape(-1), _DOT_PX // 2
    for start, value in ((width_px * height_px, chroma_u), (width_px * height_px * 5 // 4, chroma_v)):
        plane = flat[start : start + width_px * height_px // 4].reshape(height_px // 2, width_px // 2)
        plane[top // 2 : top // 2 + half, x // 2 : x // 2 + half] = value
    return shown
