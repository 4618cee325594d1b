"""Open a PDF through PDFium, and say why when it does not open.

PDFium reports "data format error" for nearly everything and calls a document without pages
a success. The reason of a failure is worth more than that: a password can be asked for, a
cut-off download repeated.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pypdfium2 as pdfium
import pypdfium2.internal as pdfium_internal
import pypdfium2.raw as pdfium_c

from schemas.failure import InputError, Reason

_TAIL_BYTES = 2048
"""The end mark stands in the last 1024 bytes by the standard; some writers pad beyond."""


class _Watched:
    """A stream that remembers the error PDFium's callbacks would swallow."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None
        self.seek, self.tell, self.read = file.seek, file.tell, file.read

    def readinto(self, buffer: Any) -> int:
        """Fill the whole buffer: a short read counts as a failed one for PDFium."""
        view = memoryview(buffer).cast("B")
        done = 0
        try:
            while done < len(view) and (chunk := self._file.read(len(view) - done)):
                view[done : done + len(chunk)] = chunk
                done += len(chunk)
        except OSError as error:
            self.error = error
        return done


@contextmanager
def open_pdf(file: BinaryIO | str) -> Iterator[pdfium.PdfDocument]:
    """Open a document and close it, with everything opened from it, at the end.

    Args:
        file: a local path, or a stream that can be read and sought; it is not closed.

    Raises:
        InputError: EMPTY, UNREADABLE, PASSWORD, TRUNCATED, NO_CONTENT or CORRUPT.
    """
    with _stream(file) as stream:
        if not stream.seek(0, os.SEEK_END):
            raise InputError(Reason.EMPTY, "Wanted a PDF; the file has no bytes. Fetch it again.")
        watched = _Watched(stream)
        access, held = pdfium_internal.get_bufreader(watched)
        document = pdfium.PdfDocument(_load(access, watched, stream))
        try:
            yield document
        finally:
            document.close()
            del held  # PDFium reads through it until here.
        if watched.error is not None:
            raise _unreadable(watched.error) from watched.error


@contextmanager
def _stream(file: BinaryIO | str) -> Iterator[BinaryIO]:
    if not isinstance(file, str):
        yield file
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 - closed below; only the opening is guarded
    except OSError as error:
        raise _unreadable(error) from error
    with opened:
        yield opened


def _unreadable(error: OSError) -> InputError:
    return InputError(
        Reason.UNREADABLE,
        f"Reading the PDF stopped: {error.strerror or error}. Check that it can be read, then retry.",
    )


def _load(access: Any, watched: _Watched, stream: BinaryIO) -> Any:
    handle = pdfium_c.FPDF_LoadCustomDocument(access, None)
    if not handle:
        # Only a failed load sets the code; after others it is that of an earlier document.
        raise _explained(pdfium_c.FPDF_GetLastError(), watched, stream)
    if pdfium_c.FPDF_GetPageCount(handle) < 1:
        pdfium_c.FPDF_CloseDocument(handle)
        if written := count_written_pages(stream):
            message = (
                f"{written} pages are written in the PDF; its page tree leads to none of them. Repair it."
            )
            raise InputError(Reason.CORRUPT, message)
        raise InputError(Reason.NO_CONTENT, "The PDF holds no page. Check the program that wrote it.")
    return handle


def _explained(code: int, watched: _Watched, stream: BinaryIO) -> InputError:
    if watched.error is not None:
        return _unreadable(watched.error)
    if code == pdfium_c.FPDF_ERR_PASSWORD:
        return InputError(Reason.PASSWORD, "The PDF opens only with a password. Store a copy without one.")
    if code == pdfium_c.FPDF_ERR_SECURITY:
        message = "The PDF is encrypted in a way that cannot be opened. Store a copy without encryption."
        return InputError(Reason.PASSWORD, message)
    if _is_cut_off(stream):
        message = "The PDF ends before its end mark (%%EOF), and no page can be found. Fetch it again."
        return InputError(Reason.TRUNCATED, message)
    message = "The bytes are no readable PDF: it has no page tree. Open and store it with another program."
    return InputError(Reason.CORRUPT, message)


_PAGES = re.compile(rb"(\d{1,10})\s{1,4}\d{1,5}\s{1,4}obj\b|/Type\s{0,8}/Page\b")
_READ_BYTES = 4 << 20
_MARK_BYTES = 64


def count_written_pages(file: BinaryIO | str) -> int:
    """Count the page objects that stand in a PDF in the clear, whether or not they can be reached.

    Those inside of object streams are not seen, so the number is a lower bound.
    """
    pages: set[bytes] = set()
    number, rest = b"", b""
    with _stream(file) as stream:
        stream.seek(0)
        while chunk := stream.read(_READ_BYTES):
            text = rest + chunk
            for mark in _PAGES.finditer(text):
                number = mark[1] or number
                pages |= {number} if not mark[1] else set()
            rest = text[-_MARK_BYTES:]
    return len(pages)


def _is_cut_off(stream: BinaryIO) -> bool:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _TAIL_BYTES))
    return b"%%EOF" not in stream.read(_TAIL_BYTES)
