"""One door to the bytes of a source, wherever it lies.

Everything above this module handles URIs; only here are they opened, through fsspec, so
that a folder, an object store and a memory filesystem behave alike.
"""

from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.core import url_to_fs

from schemas.failure import InputError, Reason

_LOCAL = "file://"


def local_path(uri: str) -> Path | None:
    """Return the path of a local URI, or None for a remote one."""
    return Path(uri.removeprefix(_LOCAL)) if uri.startswith(_LOCAL) else None


def filesystem(uri: str, options: dict[str, str] | None = None) -> tuple[Any, str]:
    """Return the fsspec filesystem of a URI and the path within it."""
    return cast(tuple[Any, str], url_to_fs(uri, **(options or {})))


def open_source(uri: str, options: dict[str, str] | None = None) -> BinaryIO:
    """Open a source for reading and seeking.

    Raises:
        InputError: `Reason.UNREADABLE` when its store refuses or does not have it.
    """
    path = local_path(uri)
    try:
        if path is not None:
            return path.open("rb")
        return cast(BinaryIO, fsspec.open(uri, "rb", **(options or {})).open())
    except OSError as error:
        msg = f"Cannot open {uri}: {error.strerror or error}. Check that it exists and may be read."
        raise InputError(Reason.UNREADABLE, msg) from error
