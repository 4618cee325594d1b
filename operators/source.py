"""One door to the bytes of a source, wherever it lies.

Everything above this module handles URIs; only here are they opened, through fsspec, so
that a folder, an object store and a memory filesystem behave alike. A remote store may stumble
at the first byte or in the middle of a file: both are tried again here, so that decoders, which
would take a failed read for the end of the file, never see it.
"""

import io
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote_from_bytes, unquote_to_bytes

import fsspec
from fsspec.core import url_to_fs

from operators.ranges import RangeCache, Ranges
from operators.retrying import is_transient, one_line, with_retries
from operators.stopwatch import note_fetched
from operators.store_options import EXTRAS, file_options, scheme_of
from schemas.failure import InputError, Reason

_LOCAL = "file://"
_QUOTED = "file://localhost"
"""Before a local path that is percent-encoded."""

_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""How Python shows bytes of a file name that are none."""

_BUFFER_BYTES = 1 << 13
"""Far below what is fetched; it only turns short reads into whole ones."""

_RANGED = (*EXTRAS, "http", "https")
"""Stores whose files fsspec reads by ranges, with a cache that can be left out."""

_CACHE = RangeCache()
"""Of this process: a decoder reads piece after piece of a file, and each begins with its index."""


def local_uri(path: str | Path) -> str:
    """Name a local file: `file://` and its absolute path as it is.

    File names are bytes. Where they are no UTF-8, no table could hold them, so those paths are
    percent-encoded, and the host, which is left out elsewhere, tells them from plain ones.
    """
    name = str(path)
    if not name.isascii() and _NO_UTF8.search(name):
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
    try:
        found = file_options(uri, options or {})
        if "::" in uri and scheme_of(uri) in EXTRAS:
            # The same in the name of an object.
            store = fsspec.filesystem(scheme_of(uri), **found)
            return store, str(store._strip_protocol(uri))
        return cast(tuple[Any, str], url_to_fs(uri, **found))
    except ImportError as error:
        raise _without_extra(uri, error) from error


def _without_extra(uri: str, error: ImportError) -> ImportError:
    """Say what to install for a store."""
    extra = EXTRAS.get(scheme_of(uri))
    return ImportError(f"its library is not installed: pip install 'gloss[{extra}]'") if extra else error


def open_source(uri: str, options: dict[str, str] | None = None, etag: str | None = None) -> BinaryIO:
    """Open a source for reading and seeking; reads of a remote one are retried.

    Reading may raise OSError, which `unreadable` turns into the error of an input.

    Args:
        uri: What to open.
        options: `store.storage_options`.
        etag: What its store must still say of it, where its identity rests on that.

    Raises:
        InputError: `Reason.UNREADABLE` when its store refuses or does not have it; transient
            when it was still out of reach after several attempts.
    """
    path = local_path(uri)
    try:
        if path is not None:
            return with_retries(lambda: path.open("rb"))
        return _open_remote(uri, options or {}, etag)
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


def _open_remote(uri: str, options: dict[str, str], etag: str | None) -> BinaryIO:
    def opened() -> BinaryIO:
        store, path = filesystem(uri, options)
        # What to fetch is decided here; a store's own reading ahead takes up to 50 MB for a jump.
        how = {"cache_type": "none"} if scheme_of(uri) in _RANGED else {}
        return cast(BinaryIO, store.open(path, "rb", **how))

    file = with_retries(opened)
    if etag is not None and _mark(file) != etag:
        file.close()
        msg = "it has changed since it was listed. Run the same command again"
        raise OSError(msg)
    return steady(uri, file, opened) if file.seekable() else file


def steady(name: str, file: BinaryIO, reopen: Callable[[], BinaryIO]) -> BinaryIO:
    """Read an open remote file by ranges, and through what its store stumbles over.

    Args:
        name: Its URI.
        file: Open, seekable, and without a cache of its own.
        reopen: Opens it once more.
    """
    return cast(BinaryIO, io.BufferedReader(_Steady(name, file, reopen), _BUFFER_BYTES))


class _Steady(io.RawIOBase):
    """A remote file that is read by ranges, and opened again when reading it breaks off."""

    def __init__(self, uri: str, file: BinaryIO, reopen: Callable[[], BinaryIO]) -> None:
        self._file: BinaryIO | None = file
        self._reopen = reopen
        self._size = file.seek(0, os.SEEK_END)
        self._mark = _mark(file)
        self._at = 0
        # Without a mark of its version, what one reading has kept may be old for the next.
        cache = _CACHE if self._mark else RangeCache()
        self._ranges = Ranges(f"{uri}\n{self._size}\n{self._mark}", self._size, self._fetch, cache)

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
            data = self._ranges.at(self._at, len(view))
        except OSError:
            raise
        except Exception as error:  # decoders know read errors as OSError; the cause is kept
            msg = f"{type(error).__name__}: {error}"
            raise OSError(msg) from error
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _fetch(self, start: int, end: int) -> bytes:
        return with_retries(lambda: self._read(start, end), on_retry=self._drop)

    def _read(self, start: int, end: int) -> bytes:
        if self._file is None:
            self._file = self._reopen()
            found = self._file.seek(0, os.SEEK_END)
            if found != self._size:
                msg = f"the file changed while it was read: it had {self._size} bytes, now {found}"
                raise OSError(msg)
            if _mark(self._file) != self._mark:
                msg = "the file changed while it was read: another one of the same size is there now"
                raise OSError(msg)
        self._file.seek(start)
        data = self._file.read(end - start)
        if not data:
            msg = f"connection ended at byte {start} of {self._size}"
            raise ConnectionError(msg)
        note_fetched(len(data))
        return data

    def _drop(self, _: BaseException) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def close(self) -> None:
        if not self.closed:
            self._ranges.close()
            if self._file is not None:
                self._file.close()
        super().close()


def _mark(file: BinaryIO) -> str:
    """Return what a store says of the version of an open file; empty where it says nothing."""
    details = getattr(file, "details", None)
    return (etag_of(details) or "") if isinstance(details, dict) else ""


def etag_of(facts: Mapping[str, Any]) -> str | None:
    """Find what changes with the content of a file among what its store says of it."""
    for key in ("ETag", "etag", "md5Hash", "content_md5"):
        if facts.get(key):
            return str(facts[key]).strip('"')
    return None
