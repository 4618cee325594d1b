"""How many pages a document or picture file has, how large they are, and how to share them out.

Counts in headers lie: `/Count 1000000` in a file of 341 bytes would plan a million units.
What counts is which pages exist.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from operators.open_image import DECODING_ERRORS, explain, frames, open_image, size_as_shown
from operators.open_pdf import count_written_pages, open_pdf
from schemas.config import Limits
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Unit, UnitKind

_TITLE_CHARACTERS = 500
_FIRST_MISSING = 16
"""Pages behind the last that exists that are tried before a count is called a lie."""


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What the headers of a document or picture file state."""

    page_count: int
    """Pages that exist; frames of a TIFF."""
    width_px: int
    height_px: int
    """Of the first page as shown; for documents in points (72 to the inch)."""
    title: str | None = None
    language: str | None = None
    """As stated, such as `en-US`."""
    failures: list[Failure] = field(default_factory=list)
    """What is wrong although pages can be read: a page count that promises more."""


def probe_pdf(file: BinaryIO | str, limits: Limits) -> DocumentFacts:
    """Read the facts of a PDF.

    Raises:
        InputError: EMPTY, UNREADABLE, PASSWORD, TRUNCATED, NO_CONTENT, CORRUPT, or TOO_LARGE
            for more pages than `limits.pages`.
    """
    with open_pdf(file) as document:
        declared = len(document)
        count = count_pages(declared, lambda index: _page_exists(document, index))
        _check_pages(count, declared, limits)
        width, height = _first_size(document, count)
        return DocumentFacts(
            page_count=count,
            width_px=max(1, round(width)),
            height_px=max(1, round(height)),
            title=_clean(document.get_metadata_value("Title")),
            language=_clean(_language(document)),
            failures=_missing(count, declared) or _unreachable(document, file, count),
        )


def probe_image(file: BinaryIO | str, limits: Limits) -> DocumentFacts:
    """Read the facts of a picture file; of animations only the first frame counts.

    Raises:
        InputError: EMPTY, UNREADABLE, TRUNCATED, CORRUPT, or TOO_LARGE for more pixels than
            `limits.pixels` or more frames than `limits.pages`.
    """
    with open_image(file, limits) as image:
        try:
            pages = frames(image, limits)
            image.seek(pages[0])
            width, height = size_as_shown(image)
        except DECODING_ERRORS as error:
            raise InputError(*explain(error, file)) from error
        return DocumentFacts(page_count=len(pages), width_px=width, height_px=height)


def plan_pages(page_count: int, pages_per_task: int) -> list[list[Unit]]:
    """Share pages out to tasks: consecutive, all but the last of equal size."""
    units = [Unit(index=index, kind=UnitKind.PAGE, page=index + 1) for index in range(page_count)]
    return [units[start : start + pages_per_task] for start in range(0, page_count, pages_per_task)]


def count_pages(declared: int, exists: Callable[[int], bool]) -> int:
    """Find how many pages there are, trusting the declared number only if the last one exists.

    A missing page in the middle of a document is a page that failed, not a smaller document:
    the count shrinks only where nothing exists behind it, as far as evenly spread trials show.

    Args:
        declared: number of pages the document states, at least 1.
        exists: whether the page of a 0-based index can be found.
    """
    if exists(declared - 1):
        return declared
    low, high = -1, declared - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if exists(middle) else (low, middle)
    step = max(1, (declared - high) // _FIRST_MISSING)
    lies = not any(exists(index) for index in range(high, declared, step))
    return high if lies else declared


def _page_exists(document: pdfium.PdfDocument, index: int) -> bool:
    size = pdfium_c.FS_SIZEF()
    return bool(pdfium_c.FPDF_GetPageSizeByIndexF(document, index, size))


def _check_pages(count: int, declared: int, limits: Limits) -> None:
    if count == 0:
        message = f"The PDF declares {declared} pages; none can be found. Store it with another program."
        raise InputError(Reason.CORRUPT, message)
    if count > limits.pages:
        message = (
            f"The PDF has {count} pages; limits.pages allows {limits.pages}. Raise it or split the file."
        )
        raise InputError(Reason.TOO_LARGE, message)


def _missing(count: int, declared: int) -> list[Failure]:
    if count == declared:
        return []
    message = f"The PDF declares {declared} pages, {count} can be found. Store it with another program."
    return [Failure(Stage.PROBE, Reason.CORRUPT, message, page=count + 1)]


def _unreachable(document: pdfium.PdfDocument, file: BinaryIO | str, count: int) -> list[Failure]:
    """Compare what PDFium found after mending a damaged cross-reference table with what is written."""
    if pdfium_c.FPDF_DocumentHasValidCrossReferenceTable(document):
        return []
    written = count_written_pages(file)
    if written <= count:
        return []
    message = (
        f"The PDF's cross-reference table is damaged: {written} pages are written in it, {count} can be "
        "reached. Store it with another program."
    )
    return [Failure(Stage.PROBE, Reason.CORRUPT, message, page=count + 1)]


def _first_size(document: pdfium.PdfDocument, count: int) -> tuple[float, float]:
    """Size of the first page that exists."""
    index = next(index for index in range(count) if _page_exists(document, index))
    width, height = document.get_page_size(index)
    return float(width), float(height)


def _language(document: pdfium.PdfDocument) -> str:
    size = pdfium_c.FPDFCatalog_GetLanguage(document, None, 0)
    buffer = (pdfium_c.FPDF_WCHAR * max(1, size // 2 + 1))()
    pdfium_c.FPDFCatalog_GetLanguage(document, buffer, ctypes.sizeof(buffer))
    return bytes(buffer).decode("utf-16-le", "replace").split("\0", 1)[0]


def _clean(text: str) -> str | None:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_TITLE_CHARACTERS] or None
