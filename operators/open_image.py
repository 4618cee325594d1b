"""Open a picture file with Pillow, restricted to picture formats and to a declared size.

Pillow opens forty formats, some of which start other programs (EPS) or are whole documents.
Pictures also declare their size before their bytes: a file of 69 bytes can ask for ten
gigabytes. Both are refused here, before anything is decoded.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pi_heif
from PIL import Image, UnidentifiedImageError

from schemas.config import Limits
from schemas.failure import InputError, Reason

pi_heif.register_heif_opener()

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")
"""All that may be opened; none of them starts another program."""

DECODING_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError,
    OverflowError, ZeroDivisionError, RuntimeError,
)  # fmt: skip
"""What Pillow's plugins raise for bytes that are not what they expect."""

_TURNED = (5, 6, 7, 8)
"""Values of the Exif tag Orientation that swap width and height."""
_ORIENTATION = 0x0112
_SUBFILE = 254
"""TIFF tag NewSubfileType; bit 0 marks a smaller copy of another picture."""


@contextmanager
def open_image(file: BinaryIO | str, limits: Limits) -> Iterator[Image.Image]:
    """Open a picture file; pixels are not decoded yet.

    Args:
        file: a local path, or a stream that can be read and sought; it is not closed.
        limits: `pixels` also sets Pillow's own guard while the file is open.

    Raises:
        InputError: EMPTY, UNREADABLE, TOO_LARGE, TRUNCATED or CORRUPT.
    """
    guard = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limits.pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Pillow warns of every damaged tag; what matters is whether the pixels decode.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            with _opened(file) as image:
                check_pixels(image, limits)
                yield image
    finally:
        Image.MAX_IMAGE_PIXELS = guard


def _opened(file: BinaryIO | str) -> Image.Image:
    if not isinstance(file, str) and not file.seek(0, 2):
        raise InputError(Reason.EMPTY, "Wanted a picture; the file has no bytes. Fetch it again.")
    try:
        return Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            Reason.TOO_LARGE, f"{error} Raise limits.pixels if the picture can be trusted."
        ) from error
    except UnidentifiedImageError as error:
        message = f"The bytes are not a picture of {', '.join(FORMATS)}. Convert it to PNG."
        raise InputError(Reason.CORRUPT, message) from error
    except DECODING_ERRORS as error:
        raise InputError(*explain(error)) from error


def check_pixels(image: Image.Image, limits: Limits) -> None:
    """Refuse a picture (or frame) by its declared size.

    Raises:
        InputError: TOO_LARGE.
    """
    if image.width * image.height > limits.pixels:
        message = (
            f"The picture declares {image.width}x{image.height} pixels; limits.pixels allows "
            f"{limits.pixels}. Raise it or store a smaller copy."
        )
        raise InputError(Reason.TOO_LARGE, message)


def explain(error: BaseException) -> tuple[Reason, str]:
    """Name the reason of a decoding error."""
    text = str(error)
    cut = isinstance(error, EOFError | struct.error) or any(
        word in text.lower() for word in ("truncat", "incomplete", "not enough", "end of", "premature")
    )
    if cut:
        return Reason.TRUNCATED, f"The picture ends before its pixels do ({text}). Fetch it again."
    return Reason.CORRUPT, f"The picture cannot be decoded ({text}). Open and store it with another program."


def size_as_shown(image: Image.Image) -> tuple[int, int]:
    """Width and height after the orientation tag is applied."""
    # Pillow's TIFF reader states the size as shown by itself, and asking a PNG without Exif
    # in front of its pixels for it decodes them all.
    is_stated = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
    if is_stated and image.getexif().get(_ORIENTATION) in _TURNED:
        return image.height, image.width
    return image.width, image.height


def frames(image: Image.Image, limits: Limits) -> list[int]:
    """List the frames that are pages: those of a TIFF, without the smaller copies some carry.

    Animations (GIF, WebP, AVIF) are one picture, their first.

    Raises:
        InputError: TOO_LARGE for more frames than `limits.pages`.
    """
    if image.format != "TIFF":
        return [0]
    full, all_frames = [], []
    for frame in range(limits.pages + 1):
        try:
            image.seek(frame)
        except EOFError:
            break
        all_frames.append(frame)
        if not image.tag_v2.get(_SUBFILE, 0) & 1:  # type: ignore[attr-defined]  # only TIFF has tags
            full.append(frame)
    if len(all_frames) > limits.pages:
        message = f"The TIFF has more frames than limits.pages allows ({limits.pages}). Raise it or split it."
        raise InputError(Reason.TOO_LARGE, message)
    return full or all_frames
