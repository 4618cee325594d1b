"""A decoded frame becomes the picture a viewer sees.

Containers and codecs leave much to the player: turning by the display matrix, stretching
oblong pixels, the colour matrix and range, more than 8 bits, transparency. All of it is
applied here, in one conversion by libswscale with the scaling to the pixel budget, and then
a turn of the finished pixels. For comparing frames the untouched luma and chroma planes are
used where they serve, without any conversion.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from operators import tone_map
from operators.buckets import fit_pixels
from operators.distinct import Plane

Pixels = npt.NDArray[np.uint8]

_OBLONG = (Fraction(1, 8), Fraction(8))
"""Pixel aspect ratios beyond these are taken for a mistake in the file."""

_PLANAR = frozenset(
    {
        "yuv420p",
        "yuvj420p",
        "yuv422p",
        "yuvj422p",
        "yuv444p",
        "yuvj444p",
        "yuv440p",
        "yuvj440p",
        "yuv411p",
        "gray",
    }
)
"""Formats whose planes can be compared as they are."""

_UNKNOWN_COLORSPACE = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """How pixels must be moved to stand upright: transpose first, then mirror."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the size after turning."""
        return (height_px, width_px) if self.transpose else (width_px, height_px)

    def apply(self, pixels: Pixels) -> Pixels:
        """Turn (height, width, 3) pixels."""
        if self.transpose:
            pixels = np.asarray(cv2.transpose(pixels), np.uint8)
        if self.mirror_x or self.mirror_y:
            code = -1 if self.mirror_x and self.mirror_y else int(self.mirror_x)
            pixels = np.asarray(cv2.flip(pixels, code), np.uint8)
        return pixels

    def place(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        """Turn a box given in fractions of the unturned picture."""
        if self.transpose:
            x0, y0, x1, y1 = y0, x0, y1, x1
        if self.mirror_x:
            x0, x1 = 1 - x1, 1 - x0
        if self.mirror_y:
            y0, y1 = 1 - y1, 1 - y0
        return x0, y0, x1, y1


def turn_of(frame: VideoFrame) -> Turn:
    """Read a frame's display matrix; turns by other than right angles go to the nearest.

    The matrix maps a pixel (x, y) to (a x + c y, b x + d y), as 16.16 fixed point.
    """
    side_data = cast(Mapping[Type, Any], frame.side_data)  # PyAV's stub names one of its kinds
    if Type.DISPLAYMATRIX not in side_data:
        return Turn()
    a, b, _u, c, d, _v, _x, _y, _w = struct.unpack("=9i", bytes(side_data[Type.DISPLAYMATRIX]))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(mirror_x=a < 0, mirror_y=d < 0)
    return Turn(transpose=True, mirror_x=c < 0, mirror_y=b < 0)


def square_size(width_px: int, height_px: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the size with square pixels; the height stays, as in players.

    Args:
        width_px: Coded width.
        height_px: Coded height.
        aspect: Width of a pixel divided by its height; None or absurd means square.
    """
    if not aspect or not _OBLONG[0] <= aspect <= _OBLONG[1]:
        return width_px, height_px
    return max(1, round(width_px * aspect)), height_px


@dataclass(slots=True)
class Converter:
    """Converts the frames of one stream; keeps libswscale's tables from frame to frame."""

    aspect: Fraction | None
    max_pixels: int
    _color: VideoReformatter = field(default_factory=VideoReformatter)
    _compared: VideoReformatter = field(default_factory=VideoReformatter)
    _paper: int | None = None

    def size(self, frame: VideoFrame) -> tuple[int, int]:
        """Return the size of the result before turning."""
        return fit_pixels(*square_size(frame.width, frame.height, self.aspect), self.max_pixels)

    def planes(self, frame: VideoFrame) -> tuple[Plane, ...]:
        """Return luma and chroma for comparing, unturned.

        They are views into the frame where its format and size allow.
        """
        width, height = self.size(frame)
        if _has_alpha(frame):
            gray = cv2.cvtColor(self._flattened(frame, width, height), cv2.COLOR_RGB2GRAY)
            return (np.asarray(gray, np.uint8),)
        if frame.format.name not in _PLANAR or (width, height) != (frame.width, frame.height):
            frame = self._reformat(self._compared, frame, width, height, "yuv420p")
        return tuple(_view(frame, index) for index in range(len(frame.planes)))

    def pixels(self, frame: VideoFrame) -> tuple[Pixels, Turn]:
        """Return the upright RGB pixels (height, width, 3) and how they were turned."""
        width, height = self.size(frame)
        if _has_alpha(frame):
            pixels = self._flattened(frame, width, height)
        elif frame.color_trc in (tone_map.PQ, tone_map.HLG):
            deep = self._reformat(self._color, frame, width, height, "rgb48le")
            pixels = tone_map.to_sdr(deep.to_ndarray().astype(np.uint16, copy=False), int(frame.color_trc))
        else:
            pixels = _packed(self._reformat(self._color, frame, width, height, "rgb24"), 3)
        turn = turn_of(frame)
        return turn.apply(pixels), turn

    def _flattened(self, frame: VideoFrame, width: int, height: int) -> Pixels:
        """Lay a transparent frame on white, or on black if what it shows is bright.

        The choice is made at the first frame that shows anything and then kept, because
        a change of paper would look like a change of picture.
        """
        rgba = _packed(self._reformat(self._color, frame, width, height, "rgba"), 4)
        opacity = rgba[:, :, 3:].astype(np.float32) / 255
        color = rgba[:, :, :3].astype(np.float32)
        paper = self._paper
        if paper is None:
            weight = float(opacity.sum())
            paper = 0 if weight and float((color * opacity).sum()) / (3 * weight) > 128 else 255
            self._paper = paper if weight else None
        return np.asarray(np.round(color * opacity + paper * (1 - opacity)), np.uint8)

    def _reformat(
        self, tool: VideoReformatter, frame: VideoFrame, width: int, height: int, pixel_format: str
    ) -> VideoFrame:
        scaled = (width, height) != (frame.width, frame.height)
        method = Interpolation.BICUBIC if scaled else Interpolation.BILINEAR
        try:
            return tool.reformat(frame, width, height, pixel_format, interpolation=method, threads=1)
        except av.error.OSError:
            # libswscale refuses rare colour matrices (YCgCo, ICtCp); wrong hues are still readable.
            frame.colorspace = _UNKNOWN_COLORSPACE
            return tool.reformat(frame, width, height, pixel_format, interpolation=method, threads=1)


def _has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _view(frame: VideoFrame, index: int) -> Plane:
    """View a plane of 8-bit samples without its padding."""
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8, plane.height * plane.line_size)
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]


def _packed(frame: VideoFrame, channels: int) -> Pixels:
    """View packed pixels as (height, width, channels) without padding."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8, frame.height * plane.line_size)
    return rows.reshape(frame.height, plane.line_size)[:, : frame.width * channels].reshape(
        frame.height, frame.width, channels
    )
