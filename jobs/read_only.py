"""A DuckDB that can read one lake, and nothing else.

`gloss query` runs SQL that may come from a colleague, a notebook or a language model. DuckDB
itself reads and writes any file its process may, and a `SELECT` can hide a `COPY`, so looking
at the statement is not enough. Here DuckDB sees the lake through a file system of our own that
opens exactly the committed Parquet files, only for reading; every other file system, extension
and setting is locked.
"""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from fsspec.spec import AbstractFileSystem

from operators.lake import Lake, LakeError, render_views
from schemas.tables import TABLES

_SCHEME = "lake"

_UNCHANGING = datetime(2000, 1, 1, tzinfo=UTC)
"""Data files are never written twice, so their age says nothing."""


def open_lake(uri: str, storage_options: dict[str, str] | None = None) -> Lake:
    """Open a lake that must exist.

    Raises:
        LakeError: There is none, or its store cannot be reached.
    """
    try:
        lake = Lake(uri, storage_options)
        lake.require()
    except LakeError:
        raise
    except (ImportError, ValueError) as error:
        msg = f"Wanted a path or URL for --lake; {uri!r} cannot be used ({error})."
        raise LakeError(msg) from error
    except Exception as error:
        # Each store's library has errors of its own, without a common base.
        msg = f"Cannot reach the lake at {uri}: {error}. Check the address and the credentials."
        raise LakeError(msg) from error
    return lake


class LakeFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """The committed Parquet files of a lake as `lake://TABLE/FILE`, for reading alone."""

    protocol = _SCHEME
    cachable = False

    def __init__(self, lake: Lake) -> None:
        """Take the files committed by now; later commits are not seen."""
        super().__init__()
        self._lake = lake
        self._places: dict[str, str] = {}
        self.tables: dict[str, list[str]] = {}
        for table in TABLES:
            names = [uri.rpartition("/")[2] for uri in lake.files(table)]
            self.tables[table] = [f"{_SCHEME}://{table}/{name}" for name in names]
            self._places |= {f"{table}/{name}": f"{lake.root}/{table}/{name}" for name in names}

    def _place(self, path: str) -> str:
        place = self._places.get(str(self._strip_protocol(path)))
        if place is None:
            msg = f"{path} is not a file of this lake; only its tables can be read"
            raise PermissionError(msg)
        return place

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode != "rb":
            msg = f"{path} cannot be written: queries only read"
            raise PermissionError(msg)
        place = self._place(path)
        return Path(place).open("rb") if self._lake.is_local else self._lake.filesystem.open(place, "rb")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Describe one file."""
        place = self._place(path)
        size = Path(place).stat().st_size if self._lake.is_local else self._lake.filesystem.size(place)
        return {"name": path, "size": int(size), "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """Tell whether a path is a file of the lake."""
        return str(self._strip_protocol(path)) in self._places

    def modified(self, path: str) -> datetime:
        """Return a constant: files of a lake never change."""
        self._place(path)
        return _UNCHANGING

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: ARG002
        """List nothing: tables are reached by their views."""
        return []


def connect_read_only(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with the views of a lake, unable to touch anything else."""
    files = LakeFiles(lake)
    connection = duckdb.connect()
    connection.register_filesystem(files)
    connection.execute(render_views(files.tables))
    spill = Path(tempfile.gettempdir()) / f"gloss-query-{os.getpid()}"
    for name, value in (
        ("TimeZone", "'UTC'"),
        ("temp_directory", "'" + str(spill).replace("'", "''") + "'"),
        # Otherwise a query reads the variables of this very process by their names.
        ("python_enable_replacements", "false"),
        ("allowed_directories", f"['{_SCHEME}://']"),
        ("enable_external_access", "false"),
        ("lock_configuration", "true"),
    ):
        connection.execute(f"SET {name} = {value}")
    return connection
