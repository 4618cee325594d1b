"""Videos made for tests, with what is true of them stated by their maker.

Pictures are drawn with Pillow and coded through PyAV; no command line tool is needed.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]

MILLISECONDS = Fraction(1, 1000)


def slide(
    lines: Sequence[str],
    size: tuple[int, int] = (640, 360),
    *,
    letter_px: int = 24,
    ink: tuple[int, int, int] = (20, 20, 30),
    paper: tuple[int, int, int] = (250, 250, 250),
) -> Pixels:
    """Draw lines of text from the top left, the first one larger, as on a slide."""
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    y = letter_px
    for index, line in enumerate(lines):
        height = round(letter_px * 1.5) if index == 0 else letter_px
        draw.text((letter_px, y), line, font=ImageFont.load_default(height), fill=ink)
        y += round(height * 1.7)
    return np.asarray(image).copy()


def with_dot(pixels: Pixels, x: int, y: int, radius_px: int = 5) -> Pixels:
    """Draw a red dot, such as a pointer, on a copy."""
    image = Image.fromarray(pixels)
    box = (x - radius_px, y - radius_px, x + radius_px, y + radius_px)
    ImageDraw.Draw(image).ellipse(box, fill=(210, 30, 30))
    return np.asarray(image).copy()


def quadrants(size: tuple[int, int] = (64, 48)) -> Pixels:
    """Draw red top left, green top right, blue bottom left, white bottom right."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return pixels


@dataclass(frozen=True)
class Encoding:
    """How a test video is coded."""

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=lambda: {"crf": "18", "preset": "ultrafast"})
    container: str = "mp4"
    container_options: Mapping[str, str] = field(default_factory=dict)
    time_base: Fraction = MILLISECONDS
    turned_degrees: float = 0.0
    """Counterclockwise turn that the display matrix asks for."""
    pixel_aspect: Fraction | None = None
    key_every: int = 250
    colorspace: int | None = None
    color_range: int | None = None
    title: str | None = None
    language: str | None = None


PLAIN = Encoding()


def encode(frames: Iterable[tuple[float, Pixels | VideoFrame]], encoding: Encoding = PLAIN) -> bytes:
    """Code pictures, each shown at its time in seconds, into one file.

    Args:
        frames: (time, pixels) in order of time; the size is that of the first. A `VideoFrame`
            is coded as it is.
        encoding: Codec, container and what they state.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        with av.open(
            str(path), "w", format=encoding.container, container_options=dict(encoding.container_options)
        ) as container:
            _fill(container, frames, encoding)
        return path.read_bytes()


def _fill(
    container: av.container.OutputContainer,
    frames: Iterable[tuple[float, Pixels | VideoFrame]],
    encoding: Encoding,
) -> None:
    stream: VideoStream | None = None
    for time, picture in frames:
        frame = picture if isinstance(picture, VideoFrame) else _frame(picture, encoding)
        stream = stream or _stream(container, frame, encoding)
        frame.time_base = encoding.time_base
        frame.pts = round(time / encoding.time_base)
        container.mux(stream.encode(frame))
    if stream is not None:
        container.mux(stream.encode())


def _frame(pixels: Pixels, encoding: Encoding) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return frame.reformat(
        format=encoding.pixel_format, dst_colorspace=encoding.colorspace, dst_color_range=encoding.color_range
    )


def _stream(container: av.container.OutputContainer, frame: VideoFrame, encoding: Encoding) -> VideoStream:
    stream = container.add_stream(encoding.codec, rate=25, options=dict(encoding.options))
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = frame.width, frame.height
    stream.pix_fmt = frame.format.name
    stream.codec_context.time_base = encoding.time_base
    stream.codec_context.gop_size = encoding.key_every
    if encoding.pixel_aspect is not None:
        stream.codec_context.sample_aspect_ratio = encoding.pixel_aspect
    if encoding.colorspace is not None:
        stream.codec_context.colorspace = encoding.colorspace
    if encoding.color_range is not None:
        stream.codec_context.color_range = encoding.color_range
    if encoding.turned_degrees:
        stream.set_display_rotation(encoding.turned_degrees)
    if encoding.title is not None:
        container.metadata["title"] = encoding.title
    if encoding.language is not None:
        stream.metadata["language"] = encoding.language
    return stream


def steady(
    shown: Sequence[tuple[float, Pixels]], until: float, rate: int = 25
) -> Iterable[tuple[float, Pixels]]:
    """Repeat pictures at a constant rate: each from its time until that of the next one."""
    for index in range(round(until * rate)):
        time = index / rate
        yield time, next(pixels for start, pixels in reversed(shown) if start <= time + 1e-9)


def save(folder: Path, name: str, content: bytes) -> str:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content)
    return str(path)
