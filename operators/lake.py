"""Where the tables lie, and what of them is live.

A lake is a folder (or object-store prefix) with one Delta table per row type. A child row is
live when its `write_id` stands in `assets`, so that replacing one row there replaces a whole
asset, or its summaries alone, at once. DuckDB reads the tables as lists of Parquet files: `views.sql`
spells them out, so that plain DuckDB needs no extension to see exactly the live rows.
"""

import os
import re
import threading
import uuid
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from fsspec.spec import AbstractFileSystem
from numpy.typing import NDArray

from operators.costs_view import COSTS
from operators.retrying import one_line, with_retries
from operators.shared_file import SharedRemoteFile
from operators.source import filesystem, steady
from operators.store_options import StoreSettingsError, delta_options
from operators.timeline import TIMELINE, TIMELINE_TABLES
from schemas.arrow import arrow_schema
from schemas.store import holds_credential
from schemas.tables import CHILDREN, TABLES, WRITES

VIEWS_FILE = "views.sql"

CHECKPOINT_COMMITS = 20
"""After so many commits the log of a table is summed up."""

_DELTA_PROPERTIES = {
    # Readers plan on columns they filter by; the long text columns would only bloat the log.
    "delta.dataSkippingNumIndexedCols": "3",
    # Superseded files stay for readers that opened the lake before a compaction.
    "delta.deletedFileRetentionDuration": "interval 7 days",
    # A run commits every few seconds: whoever opens the table reads one checkpoint and few entries after
    # it, and the entries themselves go when nobody can need them.
    "delta.checkpointInterval": str(CHECKPOINT_COMMITS),
    "delta.logRetentionDuration": "interval 7 days",
    "delta.enableExpiredLogCleanup": "true",
}


_MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|\\|[\x00-\x1f\x7f]")
"""What Delta decodes in a local path, and then looks for in another folder."""

_MISREAD_URL = re.compile(r"[%?#\\\x00-\x1f\x7f]")
"""The same in a URL: behind one of the first three, all tables would be taken for one."""

_OPENED_TOGETHER = 8

_OF_PROCESS = ("_opened", "_views", "_writing_views", "keys")
"""What of a lake does not travel."""


class LakeError(Exception):
    """The lake cannot be used; the message says what was wanted, found and to do."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file written into a table's folder, not yet part of the table."""

    table: str
    path: str
    """Relative to the table's folder."""
    size_bytes: int
    rows: int
    stats: str
    """Delta statistics, as JSON."""


class _Opened:
    """A table that is kept open, for one process: what it was opened with, and who may use it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.options: dict[str, str] = {}
        self.table: DeltaTable | None = None


class Lake:
    """A lake at a local path or fsspec URL.

    Tables stay open, because to open one takes an object store five requests or more, and to ask for
    what is new one or two. Copies that travel to other processes open their own. Threads may share it;
    who needs a table to stay at one version for several calls holds `alone`.
    """

    def __init__(self, uri: str | Path, storage_options: dict[str, str] | None = None) -> None:
        """Open a lake without touching it; a relative local path is made absolute.

        Args:
            uri: Local path, `file://` or object-store URL.
            storage_options: How its store is reached, as in `store.storage_options`.
        """
        if holds_credential(str(uri)):
            msg = (
                "The address of the lake has a password or signature in it, which its tables would show. Set "
                "credentials in the environment, as the store's library expects them."
            )
            raise LakeError(msg)
        self._options = dict(storage_options or {})
        try:
            self.filesystem, self.root = filesystem(str(uri), self._options)
        except StoreSettingsError as error:
            raise LakeError(str(error)) from error
        self.root = self.root.rstrip("/")
        protocols = self.filesystem.protocol
        self.is_local = "file" in ((protocols,) if isinstance(protocols, str) else protocols)
        if self.is_local:
            self.root = os.path.abspath(self.root)  # noqa: PTH100 - Path.absolute keeps `..`
            if found := _MISREAD.search(self.root):
                msg = (
                    f"Wanted a folder for the lake; {self.root!r} holds {found[0]!r}, which Delta takes for "
                    "something else. Choose a name without per cent codes, backslashes or control characters."
                )
                raise LakeError(msg)
        elif found := _MISREAD_URL.search(self.root):
            msg = (
                f"Wanted a place for the lake; {str(uri)!r} holds {found[0]!r}, which Delta takes for a part "
                "of an address. Choose a name without per cent signs, question marks, hashes or backslashes."
            )
            raise LakeError(msg)
        self.uri: str = self.root if self.is_local else self.filesystem.unstrip_protocol(self.root)
        self.forget()

    def forget(self) -> None:
        """Forget what this process has seen of the tables, and look at all of them anew."""
        self._opened: dict[str, _Opened] = {}
        self._views: bytes | None = None
        self._writing_views = threading.Lock()
        self.keys: dict[str, NDArray[np.bytes_]] = {}
        """Sorted keys of data files by their path, as far as `operators.upsert` knows them; files never
        change."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {name: value for name, value in self.__dict__.items() if name not in _OF_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without open tables."""
        self.__dict__.update(state)
        self.forget()

    @property
    def storage_options(self) -> dict[str, str]:
        """What Delta is told of the store, with credentials that hold now: not to be kept."""
        return delta_options(self.uri, self._options)

    def exists(self) -> bool:
        """Tell whether a lake has been started here."""
        return bool(self.filesystem.exists(f"{self.root}/assets/_delta_log"))

    def require(self) -> None:
        """Refuse to read where there is no lake.

        Raises:
            LakeError: No lake here.
        """
        if not self.exists():
            msg = (
                f"Wanted a lake at {self.uri}; there is none. "
                f"Make one with: gloss ingest SOURCE --lake {self.uri}"
            )
            raise LakeError(msg)

    def create(self) -> None:
        """Create the tables that do not exist yet.

        Raises:
            LakeError: The place cannot be written, or holds something else.
        """
        try:
            for name in TABLES:
                self._create_table(name)
            if not self.filesystem.exists(f"{self.root}/{VIEWS_FILE}"):
                self.write_views()
        except LakeError:
            raise
        except Exception as error:
            what = (
                "the path and the permissions"
                if self.is_local
                else "the bucket, the path and the credentials"
            )
            msg = f"Cannot create a lake at {self.uri}: {one_line(error)}. Check {what}."
            raise LakeError(msg) from error

    def _create_table(self, name: str) -> None:
        if DeltaTable.is_deltatable(self.table_uri(name), storage_options=self.storage_options):
            self._check_schema(name)
            return
        if self.is_local:
            Path(self.table_uri(name)).mkdir(parents=True, exist_ok=True)
        DeltaTable.create(
            self.table_uri(name),
            schema=arrow_schema(TABLES[name]),
            mode="ignore",
            name=name,
            description=(TABLES[name].__doc__ or "").splitlines()[0],
            configuration=_DELTA_PROPERTIES,
            storage_options=self.storage_options,
        )

    def _check_schema(self, name: str) -> None:
        """Refuse a table of another version of Gloss, naming the columns that differ."""
        found = set(pa.schema(self.table(name).schema()).names)
        wanted = set(arrow_schema(TABLES[name]).names)
        if found != wanted:
            missing, extra = sorted(wanted - found), sorted(found - wanted)
            msg = (
                f"Table {name} at {self.uri} was written by another version of Gloss "
                f"(missing columns: {missing or 'none'}; unknown columns: {extra or 'none'}). "
                "Ingest into a new lake."
            )
            raise LakeError(msg)

    def table_uri(self, name: str) -> str:
        """Return the URI of one Delta table."""
        return f"{self.uri}/{name}"

    def table(self, name: str, *, newest: bool = True) -> DeltaTable:
        """Open one Delta table.

        Args:
            name: Of the table.
            newest: At its newest version; otherwise as this process saw it last, which asks the store
                for nothing. Whoever commits on it is told if there is a newer one.

        Raises:
            LakeError: The lake has no such table.
        """
        options, opened = self.storage_options, self._of(name)
        with opened.lock:
            table = opened.table if opened.options == options else None
            if table is not None and newest:
                table.update_incremental()
                table = table if self._is_there(name, table) else None
            if table is None:
                opened.table = None
                try:
                    table = DeltaTable(self.table_uri(name), storage_options=options)
                except TableNotFoundError as error:
                    msg = f"{self.uri} has no table {name}; is it a lake of Gloss?"
                    raise LakeError(msg) from error
                opened.table, opened.options = table, options
            return table

    def _is_there(self, name: str, table: DeltaTable) -> bool:
        """Tell a table without news from one that was taken away, which has none either.

        On an object store nobody looks: the claim tells of a lake that is another one now.
        """
        entry = Path(self.table_uri(name), "_delta_log", f"{table.version():020d}.json")
        return not self.is_local or entry.exists()

    def alone(self, name: str) -> threading.RLock:
        """Keep other threads of this process from moving a table on while rows of it are replaced."""
        return self._of(name).lock

    def _of(self, name: str) -> _Opened:
        # One step, as it must be: two threads that ask first at once would hold a lock each.
        return self._opened.setdefault(name, _Opened())

    def new_file(self, table: str) -> tuple[str, str]:
        """Name a new data file: its path relative to the table, and within the filesystem."""
        name = f"part-{uuid.uuid4().hex}.parquet"
        return name, f"{self.root}/{table}/{name}"

    def open_file(self, place: str) -> BinaryIO:
        """Open a data file of a lake in a remote store, at its path within the filesystem."""

        def opened() -> BinaryIO:
            return cast(BinaryIO, self.filesystem.open(place, "rb"))

        file = steady(self.filesystem.unstrip_protocol(place), with_retries(opened), opened)
        return cast(BinaryIO, SharedRemoteFile(file, file.seek(0, os.SEEK_END)))

    def views_sql(self) -> str:
        """Spell out the views over the newest committed files, for plain DuckDB."""
        return render_views(self.all_files())

    def all_files(
        self, names: Collection[str] = tuple(TABLES), *, changed: Collection[str] = tuple(TABLES)
    ) -> dict[str, list[str]]:
        """List the committed files of tables, as `files` does.

        Args:
            names: Of the tables.
            changed: Those that may have; of the others the files are those that were there last.
        """

        def listed(name: str) -> list[str]:
            return self.files(name, newest=name in changed)

        # To open a table is to wait for its store several times over.
        with ThreadPoolExecutor(1 if self.is_local else _OPENED_TOGETHER) as pool:
            return dict(zip(names, pool.map(listed, names), strict=True))

    def files(self, name: str, *, newest: bool = True) -> list[str]:
        """List the committed Parquet files of a table, as DuckDB and fsspec name them."""
        with self.alone(name):
            uris = self.table(name, newest=newest).file_uris()
        # Delta's own URIs are percent-encoded; the file names in them are ours or Delta's, and plain.
        return sorted(f"{self.table_uri(name)}/{uri.rpartition('/')[2]}" for uri in uris)

    def write_views(self, changed: Collection[str] = tuple(TABLES)) -> None:
        """Refresh `views.sql`; readers see the old file or the new one, never half of it.

        Args:
            changed: Tables that may be other than this process saw them last; at first all are.
        """
        # Threads by turns: the later text must not be the older one.
        with self._writing_views:
            self._write_views(changed)

    def _write_views(self, changed: Collection[str]) -> None:
        target = f"{self.root}/{VIEWS_FILE}"
        files = self.all_files(changed=tuple(TABLES) if self._views is None else changed)
        text = render_views(files).encode()
        there = _content(Path(target)) if self.is_local else self._views
        self._views = None
        if text == there:
            self._views = text
            return
        if self.is_local:
            # One writer at a time holds the lake, so the name need not be unique; a run that dies
            # here leaves one file, which the next one takes over.
            temporary = Path(f"{target}.tmp")
            temporary.write_bytes(text)
            temporary.replace(target)
        else:
            self.filesystem.pipe_file(target, text)
        self._views = text

    def connect(self, *tables: str) -> duckdb.DuckDBPyConnection:
        """Open an in-memory DuckDB with the views of this lake.

        Args:
            tables: Those that are asked about; all by default. On an object store each is ten requests.

        Raises:
            LakeError: There is no lake here.
        """
        self.require()
        connection = self.bare()
        wanted = {"assets", *tables} if tables else set(TABLES)
        connection.execute(render_views(self.all_files([name for name in TABLES if name in wanted])))
        return connection

    def bare(self) -> duckdb.DuckDBPyConnection:
        """Open an in-memory DuckDB that can read this lake's files, without views.

        To make a view DuckDB looks into the files; one that is damaged spoils them all.
        """
        connection = duckdb.connect()
        connection.execute("SET enable_progress_bar = false")
        if not self.is_local:
            connection.register_filesystem(_SharedFiles(self))
        return connection


class _SharedFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """The store of a lake as DuckDB reads it: every file by several threads at once."""

    cachable = False

    def __init__(self, lake: Lake) -> None:
        super().__init__()
        self._lake = lake
        self.protocol = lake.filesystem.protocol

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode != "rb":
            msg = f"{path} cannot be written: lakes are only read by SQL"
            raise PermissionError(msg)
        return self._lake.open_file(self._lake.filesystem._strip_protocol(path))

    def glob(self, path: str, **options: Any) -> Any:
        return self._lake.filesystem.glob(path, **options)

    def info(self, path: str, **options: Any) -> Any:
        return self._lake.filesystem.info(path, **options)

    def exists(self, path: str, **options: Any) -> bool:
        return bool(self._lake.filesystem.exists(path, **options))

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        return self._lake.filesystem.ls(path, detail=detail, **options)

    def modified(self, path: str) -> Any:
        return self._lake.filesystem.modified(path)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def render_views(files: dict[str, list[str]]) -> str:
    """Render the SQL of views, given the Parquet files of `assets` and of any other tables.

    Views leave out `write_id`: the same input gives the same rows, whoever wrote them. Times
    are shown as plain UTC timestamps, because DuckDB's Python client needs another package to
    give back those with a zone.
    """
    assets = relation("assets", files)
    statements = [
        "-- Views over the live rows of this lake, for DuckDB. Refreshed with every commit; do not edit.",
        "-- Times are UTC.",
        f"CREATE OR REPLACE VIEW live_writes AS {live_writes(assets)};",
    ]
    for name in files:
        row, source = TABLES[name], relation(name, files)
        if name == "costs":
            statements.append(f"CREATE OR REPLACE VIEW costs AS{COSTS.format(source=source)};")
            continue
        if name in CHILDREN:
            source += " WHERE write_id IN (SELECT write_id FROM live_writes)"
        elif name == "skips":
            source += f" WHERE asset_id NOT IN (SELECT asset_id FROM {assets})"
        statements.append(f"CREATE OR REPLACE VIEW {name} AS SELECT {_shown(row)} FROM {source};")
    if files.keys() >= TIMELINE_TABLES:
        statements.append(f"CREATE OR REPLACE VIEW timeline AS{TIMELINE};")
    return "\n".join(statements) + "\n"


def live_writes(assets: str) -> str:
    """Select the ids of all commits whose rows are live, given what rows of `assets` are read from.

    An asset's summaries and vectors have ids of their own, so that they can be written again alone.
    """
    return f"SELECT unnest([{', '.join(WRITES)}]) AS write_id FROM {assets}"


def _shown(row: type) -> str:
    """List the columns of a view."""
    schema = arrow_schema(row)
    hidden = [name for name in WRITES if name in schema.names]
    columns = f"* EXCLUDE ({', '.join(hidden)})" if hidden else "*"
    times = [item.name for item in schema if pa.types.is_timestamp(item.type)]
    if not times:
        return columns
    plain = ", ".join(f'make_timestamp(epoch_us("{name}")) AS "{name}"' for name in times)
    return f"{columns} REPLACE ({plain})"


def relation(name: str, files: dict[str, list[str]]) -> str:
    """Name what DuckDB reads for one table: its files, or a typed nothing while it has none."""
    if files[name]:
        return f"read_parquet({file_list(files[name])})"
    columns = ", ".join(
        f'NULL::{duckdb_type(item.type)} AS "{item.name}"' for item in arrow_schema(TABLES[name])
    )
    return f"(SELECT {columns} WHERE false)"


def file_list(files: Iterable[str]) -> str:
    """Spell out files as a list in SQL."""
    return "[" + ", ".join(quote(_literal(uri)) for uri in files) + "]"


def _literal(uri: str) -> str:
    """Keep DuckDB from reading a folder's name as a glob."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in uri)


def quote(text: str) -> str:
    """Quote a string for SQL."""
    return "'" + text.replace("'", "''") + "'"


_DUCKDB_SCALARS: dict[Any, str] = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.float32(): "FLOAT",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}


def duckdb_type(arrow_type: pa.DataType) -> str:
    """Name the DuckDB type of an Arrow type that our tables use."""
    if arrow_type in _DUCKDB_SCALARS:
        return _DUCKDB_SCALARS[arrow_type]
    if pa.types.is_list(arrow_type):
        return f"{duckdb_type(arrow_type.value_type)}[]"
    if pa.types.is_struct(arrow_type):
        inner = ", ".join(f"{item.name} {duckdb_type(item.type)}" for item in arrow_type)
        return f"STRUCT({inner})"
    msg = f"No DuckDB type for {arrow_type}"
    raise TypeError(msg)
