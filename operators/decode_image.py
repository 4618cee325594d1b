"""Turn a picture file into upright RGB pictures that text can be read in.

What is easily lost on the way: the turn noted in Exif, letters on a transparent ground (white
on white once flattened), sixteen-bit and palette values, and memory, when a picture is
decoded at full size only to be made smaller.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageFilter, ImageOps

from operators.open_image import DECODING_ERRORS, check_pixels, explain, frames, open_image
from schemas.config import Config
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Asset, Unit
from schemas.perception import Cost, Perception, Picture, View

_WHITE_POINTS = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0, 2.0**31 - 1)
"""Brightest values of the bit depths in use; floating-point pictures go to 1."""
_TRANSPARENT = ("LA", "PA", "RGBa", "La")
_SEEN = 128
"""Opacity from which on a pixel counts as seen."""


def decode_image_frames(
    file: BinaryIO | str, asset: Asset, units: list[Unit], config: Config
) -> Iterator[Perception]:
    """Yield one `Perception` for each unit, in order.

    A frame that breaks off is kept as far as it goes and noted as a failure; one that cannot
    be decoded at all is a failure, and the others go on.

    Args:
        file: a local path, or a stream that can be read and sought; it is not closed.
        asset: the picture file.
        units: pages (1-based) to decode; only TIFF files have more than one.
        config: `documents.max_pixels` is what a picture is scaled down to.

    Raises:
        InputError: The file cannot be opened as a picture.
    """
    places = frames_of(file, config)
    for unit in units:
        yield _decode_frame(file, asset, unit, places, config)


def frames_of(file: BinaryIO | str, config: Config) -> list[int]:
    """List the frames of a picture file that are pages.

    Raises:
        InputError: The file cannot be opened as a picture.
    """
    with open_image(file, config.limits) as image:
        try:
            return frames(image, config.limits)
        except DECODING_ERRORS as error:
            raise InputError(*explain(error, file)) from error


def _decode_frame(
    file: BinaryIO | str, asset: Asset, unit: Unit, places: list[int], config: Config
) -> Perception:
    started = time.perf_counter()
    page = unit.page or 1
    failures: list[Failure] = []
    pixels = None
    try:
        pixels, loss = read_frame(file, places, page, config.documents.max_pixels, config)
        failures += [_failure(unit, page, loss)] if loss else []
    except InputError as error:
        failures.append(_failure(unit, page, error))
    seconds = time.perf_counter() - started
    if pixels is None:
        return Perception(asset, unit, failures=failures, costs=[Cost("decode", seconds, items=1)])
    height, width = pixels.shape[:2]
    cost = Cost("decode", seconds, items=1, bytes=width * height)
    if is_blank(pixels):
        view = View(width, height, page=page)
        return Perception(asset, unit, views=[view], failures=failures, costs=[cost])
    picture = Picture(width, height, pixels.tobytes(), page=page)
    return Perception(asset, unit, pictures=[picture], failures=failures, costs=[cost])


def _failure(unit: Unit, page: int, error: InputError) -> Failure:
    return Failure(Stage.DECODE, error.reason, error.message, unit=unit.index, page=page)


def is_blank(pixels: NDArray[np.uint8]) -> bool:
    """One colour all over: nothing to read."""
    return bool((pixels == pixels[0, 0]).all())


def read_frame(
    file: BinaryIO | str, places: list[int], page: int, max_pixels: int, config: Config
) -> tuple[NDArray[np.uint8], InputError | None]:
    """Decode one frame upright; if it breaks off, decode what is there and say so.

    Args:
        file: a local path, or a stream that can be read and sought; it is not closed.
        places: as `frames_of` gives them.
        page: 1-based.
        max_pixels: to which it is scaled down.
        config: `limits` apply.

    Raises:
        InputError: Nothing of it can be decoded.
    """
    if page > len(places):
        raise InputError(Reason.NO_CONTENT, f"Wanted frame {page}; the file has {len(places)}.")
    # Each frame opens the file anew, so that the pixels of one are gone before the next.
    frame = places[page - 1]
    try:
        return _read_frame(file, frame, max_pixels, config), None
    except DECODING_ERRORS as error:
        reason, message = explain(error, file)
    except MemoryError as error:
        message = "The picture needs more memory than limits.memory_bytes allows. Store a smaller copy."
        raise InputError(Reason.MEMORY, message) from error
    loss = InputError(reason, message)
    try:
        with _lenient():
            pixels = _read_frame(file, frame, max_pixels, config)
    except DECODING_ERRORS:
        raise loss from None
    if is_blank(pixels):
        raise loss
    return pixels, InputError(reason, f"{message} What could be decoded is kept.")


@contextmanager
def _lenient() -> Iterator[None]:
    """Let Pillow give what it has of a broken picture, for the time of one call."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _read_frame(file: BinaryIO | str, frame: int, max_pixels: int, config: Config) -> NDArray[np.uint8]:
    with open_image(file, config.limits) as image:
        if frame:
            image.seek(frame)
            check_pixels(image, config.limits)
        # JPEG decodes to an eighth, a quarter or half at a fraction of time and memory.
        image.draft(None, fit(image.size, max_pixels))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image, max_pixels)


def fit(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """Scale a size down to a pixel budget, keeping its shape; smaller ones stay as they are."""
    width, height = size
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_rgb(image: Image.Image, max_pixels: int) -> NDArray[np.uint8]:
    """Turn a decoded picture of any mode into RGB within a pixel budget.

    Returns:
        (height, width, 3), 8 bits a channel.
    """
    plain = _eight_bits(image)
    size = fit(plain.size, max_pixels)
    if size != plain.size:
        plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if plain.mode == "RGBA":
        plain = _flatten(plain)
    return np.asarray(plain.convert("RGB"))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring a picture to L, RGB, RGBA or CMYK, which scale well."""
    if image.mode == "RGBA":
        return image
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_stretch(np.asarray(image)))
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGB")
    if image.mode == "LAB":
        return image.getchannel(0)
    return image


def _stretch(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Bring wide values to 8 bits by the smallest bit depth that holds the brightest.

    Row by row, so that a large picture is not held a second time as floating point.
    """
    brightest = max((float(_finite(row).max(initial=0.0)) for row in values), default=0.0)
    white = next((point for point in _WHITE_POINTS if brightest <= point), brightest)
    if values.dtype.kind != "f":
        white = max(white, 255.0)
    shown = np.empty(values.shape, dtype=np.uint8)
    for row, levels in zip(shown, values, strict=True):
        row[:] = (np.clip(_finite(levels) / white, 0, 1) * 255).round()
    return shown


def _finite(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _flatten(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on black or white, whichever its edges stand out from."""
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image
    ground = "black" if _edge_brightness(image, alpha) > 127 else "white"
    flat = Image.new("RGBA", image.size, ground)
    flat.alpha_composite(image)
    return flat


def _edge_brightness(image: Image.Image, alpha: Image.Image) -> float:
    """Mean brightness (0-255) of what is seen beside transparent ground; letters are mostly edge."""
    opacity = np.asarray(alpha)
    nearest = np.asarray(alpha.filter(ImageFilter.MinFilter(5)))
    brightness = np.asarray(image.convert("RGB").convert("L"), dtype=np.float64)
    edge = (opacity >= _SEEN) & (nearest < _SEEN)
    weights = edge if edge.any() else opacity
    return float(np.average(brightness, weights=weights)) if weights.any() else 0.0
