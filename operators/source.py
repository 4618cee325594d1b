"""One door to the bytes of a source, wherever it lies.

Everything above this module handles URIs; only here are they opened, through fsspec, so
that a folder, an object store and a memory filesystem behave alike. A remote store may stumble
at the first byte or in the middle of a file: both are tried again here, so that decoders, which
would take a failed read for the end of the file, never see it.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote_from_bytes, unquote_to_bytes

import fsspec
from fsspec.core import url_to_fs

from operators.retrying import is_transient, one_line, with_retries
from schemas.failure import InputError, Reason

_LOCAL = "file://"
_QUOTED = "file://localhost"
"""Before a local path that is percent-encoded."""

_BUFFER_BYTES = 1 << 16
"""Below fsspec's own blocks (5 MB); it only turns short reads into whole ones."""


def local_uri(path: str | Path) -> str:
    """Name a local file: `file://` and its absolute path as it is.

    File names are bytes. Where they are no UTF-8, no table could hold them, so those paths are
    percent-encoded, and the host, which is left out elsewhere, tells them from plain ones.
    """
    name = str(path)
    if any(0xDC80 <= ord(char) <= 0xDCFF for char in name):
        return _QUOTED + quote_from_bytes(os.fsencode(name))
    return f"{_LOCAL}{name}"


def local_path(uri: str) -> Path | None:
    """Return the path of a local URI, or None for a remote one."""
    if uri.startswith(f"{_QUOTED}/"):
        return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix(_QUOTED))))
    return Path(uri.removeprefix(_LOCAL)) if uri.startswith(_LOCAL) else None


def filesystem(uri: str, options: dict[str, str] | None = None) -> tuple[Any, str]:
    """Return the fsspec filesystem of a URI and the path within it."""
    path = local_path(uri)
    if path is None and "::" in uri and "://" not in uri:
        path = Path(uri)
    if path is not None:
        # fsspec would take `::` in a file name for a chain of stores.
        return fsspec.filesystem("file"), str(path)
    return cast(tuple[Any, str], url_to_fs(uri, **(options or {})))


def open_source(uri: str, options: dict[str, str] | None = None) -> BinaryIO:
    """Open a source for reading and seeking; reads of a remote one are retried.

    Reading may raise OSError, which `unreadable` turns into the error of an input.

    Raises:
        InputError: `Reason.UNREADABLE` when its store refuses or does not have it; transient
            when it was still out of reach after several attempts.
    """
    path = local_path(uri)
    try:
        if path is not None:
            return with_retries(lambda: path.open("rb"))
        return _open_remote(uri, options or {})
    except Exception as error:  # a store's library raises what it likes; the cause is kept
        raise unreadable(uri, error) from error


def unreadable(uri: str, error: BaseException) -> InputError:
    """Say that a source could not be opened or read, and whether that may pass."""
    said = (isinstance(error, OSError) and error.strerror) or one_line(error) or type(error).__name__
    transient = is_transient(error)
    advice = (
        "Run gloss retry when its store is well." if transient else "Check that it exists and may be read."
    )
    return InputError(Reason.UNREADABLE, f"Cannot read {uri}: {said}. {advice}", transient)


def _open_remote(uri: str, options: dict[str, str]) -> BinaryIO:
    def opened() -> BinaryIO:
        return cast(BinaryIO, fsspec.open(uri, "rb", **options).open())

    file = with_retries(opened)
    if not file.seekable():
        return file
    return cast(BinaryIO, io.BufferedReader(_Steady(file, opened), _BUFFER_BYTES))


class _Steady(io.RawIOBase):
    """A remote file that is opened again, at the same place, when reading it breaks off."""

    def __init__(self, file: BinaryIO, reopen: Callable[[], BinaryIO]) -> None:
        self._file: BinaryIO | None = file
        self._reopen = reopen
        self._size = file.seek(0, os.SEEK_END)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            msg = f"Wanted a place in the file; found {base + offset}"
            raise ValueError(msg)
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = with_retries(lambda: self._read(len(view)), on_retry=self._drop)
        except OSError:
            raise
        except Exception as error:  # decoders know read errors as OSError; the cause is kept
            msg = f"{type(error).__name__}: {error}"
            raise OSError(msg) from error
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        if self._file is None:
            self._file = self._reopen()
            found = self._file.seek(0, os.SEEK_END)
            if found != self._size:
                msg = f"the file changed while it was read: it had {self._size} bytes, now {found}"
                raise OSError(msg)
        self._file.seek(self._at)
        data = self._file.read(min(size, max(0, self._size - self._at)))
        if not data and self._at < self._size and size:
            msg = f"connection ended at byte {self._at} of {self._size}"
            raise ConnectionError(msg)
        return data

    def _drop(self, _: BaseException) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def close(self) -> None:
        if not self.closed and self._file is not None:
            self._file.close()
        super().close()
