"""Open a picture file with Pillow, restricted to picture formats and to a declared size.

Pillow opens forty formats, some of which start other programs (EPS) or are whole documents.
Pictures also declare their size before their bytes: a file of 69 bytes can ask for ten
gigabytes. Both are refused here, before anything is decoded.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Literal

import pi_heif
from PIL import Image, UnidentifiedImageError

from operators.containers import last_box_is_cut
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
            with _opened(file, limits) as image:
                check_pixels(image, limits)
                yield image
    finally:
        Image.MAX_IMAGE_PIXELS = guard


def _opened(file: BinaryIO | str, limits: Limits) -> Image.Image:
    if not isinstance(file, str) and not file.seek(0, 2):
        raise InputError(Reason.EMPTY, "Wanted a picture; the file has no bytes. Fetch it again.")
    try:
        return Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = (
            f"The picture declares too many pixels ({error}); limits.pixels allows {limits.pixels}. "
            "Raise it if the picture can be trusted."
        )
        raise InputError(Reason.TOO_LARGE, message) from error
    except UnidentifiedImageError as error:
        message = (
            f"No picture of {', '.join(FORMATS)} begins in it. It is damaged or of another kind: "
            "copy it again, or convert it to PNG."
        )
        raise InputError(*(_CUT_OFF if is_cut_off(file) else (Reason.CORRUPT, message))) from error
    except DECODING_ERRORS as error:
        raise InputError(*explain(error, file)) from error


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


_CUT_OFF = (
    Reason.TRUNCATED,
    "The picture file promises more bytes than it has: it was cut off. Copy or download it again.",
)


def is_cut_off(file: BinaryIO | str) -> bool:
    """Tell, by the outermost frame of its format, whether a picture file ends too early."""
    with nullcontext(file) if not isinstance(file, str) else Path(file).open("rb") as stream:
        size_bytes = stream.seek(0, io.SEEK_END)
        tail_bytes = min(size_bytes, _TAIL_BYTES)
        stream.seek(size_bytes - tail_bytes)
        tail = stream.read(tail_bytes)
        stream.seek(0)
        head = stream.read(16)
        if head.startswith(b"RIFF"):
            return int.from_bytes(head[4:8], "little") + 8 > size_bytes
        if head.startswith((b"II*\0", b"MM\0*")):
            order: Literal["little", "big"] = "little" if head.startswith(b"II") else "big"
            return int.from_bytes(head[4:8], order) >= size_bytes
        if head.startswith(b"\x89PNG"):
            return b"IEND" not in tail
        return head[4:8] == b"ftyp" and last_box_is_cut(stream)


_TAIL_BYTES = 4096
"""Writers leave a few bytes behind the end of a picture."""


def explain(error: BaseException, file: BinaryIO | str | None = None) -> tuple[Reason, str]:
    """Name the reason of a decoding error; the file, if given, may show that it was cut off."""
    text = str(error)
    if "too large" in text.lower():
        message = f"A part of the picture file is a bomb ({text}). Store it without comments and profiles."
        return Reason.TOO_LARGE, message
    cut = isinstance(error, EOFError | struct.error) or any(
        word in text.lower() for word in ("truncat", "incomplete", "not enough", "end of", "premature")
    )
    if cut:
        return Reason.TRUNCATED, f"The picture ends before its pixels do ({text}). Fetch it again."
    if file is not None and is_cut_off(file):
        return _CUT_OFF
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
