"""A slide video of any length whose content is known: what the benchmarks read.

Slides stay for some seconds, a dot moves in the margin as a pointer would; so every frame is
new to a computer and hardly any is new to a reader.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_WORDS = [
    "harbour",
    "lantern",
    "survey",
    "granite",
    "meadow",
    "signal",
    "copper",
    "orchard",
    "timber",
    "ledger",
    "glacier",
    "kettle",
    "compass",
    "violet",
    "thunder",
    "saddle",
    "beacon",
    "marble",
    "willow",
    "anchor",
    "pepper",
    "canyon",
]


def slide(number: int, width_px: int, height_px: int) -> Image.Image:
    """Draw a slide with a title and four lines, none like those of another slide."""
    picture = Image.new("RGB", (width_px, height_px), "white")
    draw = ImageDraw.Draw(picture)
    big, small = (ImageFont.load_default(height_px // part) for part in (10, 18))
    draw.text((width_px // 16, height_px // 12), f"Lesson {number + 1}", "black", big)
    for line in range(4):
        words = [_WORDS[(number * 7 + line * 5 + word * 3) % len(_WORDS)] for word in range(4)]
        text = f"{' '.join(words)} {number * 10 + line}"
        draw.text((width_px // 16, height_px * (4 + 2 * line) // 13), text, "black", small)
    return picture


def make_slide_video(
    path: Path, *, seconds: int, slide_seconds: int = 10, size: tuple[int, int] = (1280, 720), rate: int = 25
) -> int:
    """Write an H.264 video and return its number of slides."""
    width_px, height_px = size
    count = -(-seconds // slide_seconds)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.time_base = Fraction(1, rate)
        for number in range(count):
            still = np.asarray(slide(number, width_px, height_px))
            for index in range(min(slide_seconds, seconds - number * slide_seconds) * rate):
                shown = still.copy()
                x = (index * 9) % (width_px - 12)
                shown[height_px - 24 : height_px - 12, x : x + 12] = (220, 30, 30)
                frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return count
