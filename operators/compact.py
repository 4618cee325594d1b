"""Superseded rows are dropped and small files merged, while readers keep what they opened.

The rows of a table that are worth keeping are written, sorted by asset or by content, into new
files that replace all old ones in one transaction: killed anywhere, a table is as it was or as it
shall be. Old files stay on disk until they are older than the retention, because a reader may have
planned on them.

Memory does not grow with the lake. DuckDB decides on narrow columns alone which rows stay. The rows
themselves are dealt into buckets by their key, which lie on disk and are sorted one by one (DuckDB
2.0 cannot sort 1 GB of rows of 60 kB within 1 GB, however it is set).
"""

import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.lake import DataFile, Lake, LakeError, file_list, live_writes, quote, relation
from operators.retrying import one_line, with_retries
from operators.transact import file_names, transact
from operators.unit_store import STORE_GROUP_ROWS
from operators.upsert import REPLACED
from operators.write import PARQUET, ROW_GROUP_ROWS, statistics
from schemas.arrow import arrow_schema
from schemas.tables import CHILDREN, TABLES

RETENTION_HOURS = 168
"""How long replaced files, and finished work that nothing refers to, are kept by default."""

_FILE_BYTES = 256 << 20
"""A merged file is closed at this size."""

_SMALL_BYTES = 32 << 20
"""Files below this are worth merging with others."""

_REPLACED_BYTES, _REPLACED_SMALL_BYTES, _REPLACED_GROUP_ROWS = 4 << 20, 1 << 20, 5000
"""The same where rows are replaced one by one: to replace one is to write its file again."""

_MEMORY = "1GB"
"""What DuckDB may use; beyond it, it works on disk."""

_BUCKET_BYTES = 16 << 20
"""Rows sorted at once, as compressed in their files; in memory they are up to twenty times that."""

_MOST_BUCKETS = 500
"""Files that are open at once; beyond 8 GB a table's buckets grow instead."""

_PENDING_BYTES = 64 << 20
"""Rows of all buckets together that wait to be written to disk."""

_BATCH_ROWS = 512
"""Rows read at once; finished work has some 60 kB a row."""

_STORES = {"units": "unit_id", "plans": "plan_id"}
"""Tables of finished work, and their keys."""

_ORDER = ("asset_id", "run_id", "clip", "segment", "page", "start_seconds", "time_seconds", "at", "uri")
_STORE_ORDER = {"units": ("content_hash", "unit.index", "unit_id"), "plans": ("content_hash", "plan_id")}


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compaction did to one table."""

    table: str
    files_before: int
    files_after: int
    rows_before: int
    rows_after: int


def compact_table(
    lake: Lake,
    table: str,
    retention_hours: float = RETENTION_HOURS,
    check: Callable[[], object] = lambda: None,
) -> Compacted:
    """Rewrite one table with the rows worth keeping; leave it alone where that gains nothing.

    Args:
        lake: The lake, which nothing else may write to meanwhile.
        table: The table's name.
        retention_hours: Finished work that nothing refers to is dropped once it is older.
        check: Called before the files are replaced; raises when the lake is no longer ours.

    Raises:
        LakeError: A file cannot be read or written, or somebody else committed meanwhile; nothing
            has changed.
    """
    with lake.alone(table):  # A table that is kept open moves on while others look at it.
        delta = lake.table(table)
        version, names, before = delta.version(), file_names(delta), delta.count()
        sizes = delta.get_add_actions(flatten=True).column("size_bytes").to_pylist()
    paths = [f"{lake.table_uri(table)}/{name}" for name in names]
    with _explained(lake, table), _workshop(lake) as (connection, folder):
        cutoff = datetime.now(UTC) - timedelta(hours=retention_hours)
        kept = _choose(connection, lake, table, paths, cutoff) if names else 0
        small = _REPLACED_SMALL_BYTES if table in REPLACED else _SMALL_BYTES
        if kept == before and sum(size < small for size in sizes) < 2:
            return Compacted(table, len(names), len(names), before, before)
        buckets = _Buckets(table, _borders(connection, sum(sizes)), folder)
        for name in names:
            for rows in _chosen_rows(connection, lake, table, name):
                buckets.add(rows)
        written = list(_write(lake, table, buckets))
    check()
    with_retries(lambda: _replace(lake, table, version, written))
    after = sum(file.rows for file in written)
    return Compacted(table, len(names), len(written), before, after)


@contextmanager
def _workshop(lake: Lake) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Open a DuckDB of bounded memory, and a folder into which it and others spill."""
    with tempfile.TemporaryDirectory(prefix="gloss-compact-") as folder, lake.bare() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute(f"SET temp_directory = {quote(folder)}")
        yield connection, Path(folder)


@contextmanager
def _explained(lake: Lake, table: str) -> Iterator[None]:
    """Say what an error of reading and writing files means for the lake."""
    try:
        yield
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        msg = (
            f"Cannot compact {table} of {lake.uri}: {one_line(error)}. Nothing of it was changed. If a file "
            f"is damaged, gloss status --check --lake {lake.uri} says what to do."
        )
        raise LakeError(msg) from error


def _choose(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: str, paths: list[str], cutoff: datetime
) -> int:
    """Make the table `kept`: file, row number and key of each row worth keeping; count them."""
    assets = relation("assets", {"assets": lake.files("assets")})
    source = f"read_parquet({file_list(paths)}, filename = true, file_row_number = true)"
    if table in CHILDREN:
        source += f" WHERE write_id IN ({live_writes(assets)})"
    elif table in _STORES:
        source = _finished_work(table, source, assets, cutoff)
    connection.execute(
        f"CREATE TEMP TABLE kept AS SELECT split_part(filename, '/', -1) AS file, "
        f'file_row_number AS "row", {_order(table)[0]} AS key FROM {source}'
    )
    ((count,),) = connection.execute("SELECT count(*) FROM kept").fetchall()
    return int(count)


def _finished_work(table: str, source: str, assets: str, cutoff: datetime) -> str:
    """Select finished work: each id once, and of what is old only what a run would still look for."""
    key = _STORES[table]
    if table == "units":
        place = (
            'content_hash, stage, unit.kind, unit."index", unit.page, unit.start_seconds, unit.end_seconds'
        )
        wanted = "rank_in_place = 1"
    else:
        place = "content_hash"
        wanted = f"(rank_in_place = 1 OR {key} IN (SELECT {key} FROM {assets}))"
    newest_first = 'ORDER BY "at" DESC, filename, file_row_number'
    ranked = (
        f'SELECT {key}, content_hash, "at", filename, file_row_number, '
        f"row_number() OVER (PARTITION BY {key} {newest_first}) AS rank_in_id, "
        f"row_number() OVER (PARTITION BY {place} {newest_first}) AS rank_in_place FROM {source}"
    )
    return (
        f"({ranked}) WHERE rank_in_id = 1 AND (\"at\" >= TIMESTAMPTZ '{cutoff.isoformat()}' "
        f"OR ({wanted} AND content_hash IN (SELECT content_hash FROM {assets})))"
    )


def _order(table: str) -> Sequence[str]:
    """Columns by which a table is sorted, the key first; `a.b` is field b of a."""
    if table in _STORES:
        return _STORE_ORDER[table]
    return [name for name in _ORDER if name in arrow_schema(TABLES[table]).names]


def _borders(connection: duckdb.DuckDBPyConnection, size_bytes: int) -> list[str]:
    """Cut the keys into ranges of about equal numbers of rows; return the first key of all but one."""
    count = min(_MOST_BUCKETS, size_bytes // _BUCKET_BYTES + 1)
    shares = [number / count for number in range(1, count)]
    if not shares:
        return []
    ((borders,),) = connection.execute(f"SELECT quantile_disc(key, {shares}) FROM kept").fetchall()
    return sorted(set(borders or ()))


def _chosen_rows(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: str, name: str
) -> Iterator[pa.Table]:
    """Read the rows of one file that are worth keeping."""
    found = connection.execute('SELECT "row" FROM kept WHERE file = ? ORDER BY ALL', [name]).fetchnumpy()
    wanted, start = found["row"], 0
    schema = arrow_schema(TABLES[table])
    path = f"{lake.root}/{table}/{name}"
    try:
        with lake.filesystem.open(path, "rb") as file:
            for batch in pq.ParquetFile(file, page_checksum_verification=True).iter_batches(_BATCH_ROWS):
                first, last = np.searchsorted(wanted, [start, start + batch.num_rows])
                # Delta's own files hold views of strings, from which Arrow 26 cannot take rows.
                rows = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
                yield rows.take(pa.array(wanted[first:last] - start))
                start += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        msg = f"Failed to read file {path}: {one_line(error)}"
        raise OSError(msg) from error


class _Buckets:
    """Rows dealt out by key into ranges that follow each other; only one is in memory as a whole."""

    def __init__(self, table: str, borders: list[str], folder: Path) -> None:
        self.count = len(borders) + 1
        self._order = _order(table)
        self._schema = arrow_schema(TABLES[table])
        self._borders = borders
        self._folder = folder
        self._pending: dict[int, list[pa.Table]] = defaultdict(list)
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def add(self, rows: pa.Table) -> None:
        keys = rows[self._order[0]].combine_chunks().dictionary_encode()
        places = np.array([bisect_right(self._borders, key) for key in keys.dictionary.to_pylist()])
        place_of_row = places[keys.indices.to_numpy(zero_copy_only=False)] if rows.num_rows else places
        for place in np.unique(place_of_row).tolist():
            self._pending[place].append(rows.filter(pa.array(place_of_row == place)))
            waiting = sum(part.nbytes for part in self._pending[place])
            if self._borders and waiting > _PENDING_BYTES / self.count:
                self._spill(place)

    def _spill(self, place: int) -> None:
        if place not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            self._writers[place] = pa.ipc.new_stream(str(self._path(place)), self._schema, options=options)
        self._writers[place].write_table(pa.concat_tables(self._pending.pop(place)).combine_chunks())

    def _path(self, place: int) -> Path:
        return self._folder / f"bucket-{place}.arrow"

    def take(self, place: int) -> pa.Table:
        """Return the rows of one bucket in order, and forget them."""
        parts = self._pending.pop(place, [])
        if place in self._writers:
            self._writers.pop(place).close()
            with pa.OSFile(str(self._path(place))) as file, pa.ipc.open_stream(file) as stream:
                parts.append(stream.read_all())
            self._path(place).unlink()
        rows = pa.concat_tables(parts) if parts else self._schema.empty_table()
        keys = {name: _column(rows, name) for name in self._order}
        order = pc.sort_indices(pa.table(keys), [(name, "ascending") for name in keys])
        return rows.take(order)


def _column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    column, _, item = name.partition(".")
    return pc.struct_field(rows[column], item) if item else rows[column]


def _write(lake: Lake, table: str, buckets: _Buckets) -> Iterator[DataFile]:
    """Write the rows into new files, in order."""
    group_rows = STORE_GROUP_ROWS if table in _STORES else ROW_GROUP_ROWS
    file_bytes = _FILE_BYTES
    if table in REPLACED:
        group_rows, file_bytes = _REPLACED_GROUP_ROWS, _REPLACED_BYTES
    writer: _Writer | None = None
    for place in range(buckets.count):
        rows = buckets.take(place)
        for start in range(0, rows.num_rows, group_rows):
            writer = writer or _Writer(lake, table)
            writer.add(rows.slice(start, group_rows))
            if writer.size_bytes >= file_bytes:
                yield writer.close()
                writer = None
    if writer is not None:
        yield writer.close()


class _Writer:
    """One merged file under way."""

    def __init__(self, lake: Lake, table: str) -> None:
        self.lake = lake
        self.table = table
        self.rows = 0
        self.path, self.target = lake.new_file(table)
        self._key = "content_hash" if table in _STORES else "asset_id"
        self._bounds: tuple[str, str] | None = None
        self._file = lake.filesystem.open(self.target, "wb")
        self._writer = pq.ParquetWriter(self._file, arrow_schema(TABLES[table]), **PARQUET)

    @property
    def size_bytes(self) -> int:
        return int(self._file.tell())

    def add(self, data: pa.Table) -> None:
        """Add one row group, which follows the ones before in order."""
        if not data.num_rows:
            return
        self._writer.write_table(data, row_group_size=data.num_rows)
        self.rows += data.num_rows
        if self._key in data.schema.names:
            first = data[self._key][0].as_py() if self._bounds is None else self._bounds[0]
            self._bounds = (first, data[self._key][-1].as_py())

    def close(self) -> DataFile:
        self._writer.close()
        size = self.size_bytes
        self._file.close()
        return DataFile(
            self.table, self.path, size, self.rows, statistics(self.rows, self._bounds, self._key)
        )


def _replace(lake: Lake, table: str, version: int, written: list[DataFile]) -> None:
    """Replace all files of a table by new ones, if it is still at the version they were made from."""
    delta = lake.table(table)
    if delta.version() != version:
        if file_names(delta) == sorted(file.path for file in written):
            return  # An attempt whose answer was lost.
        msg = (
            f"Table {table} of {lake.uri} was written to while it was compacted, by something that holds no "
            "claim on the lake. Nothing of it was changed; stop that writer and run gloss compact again."
        )
        raise LakeError(msg)
    transact(table, delta, written, mode="overwrite", strict=True)


def vacuum(lake: Lake, retention_hours: int, check: Callable[[], object] = lambda: None) -> int:
    """Delete files that no version younger than the retention refers to.

    That includes files that a dead run wrote and never committed.

    Args:
        lake: The lake.
        retention_hours: Readers that began within it are not disturbed.
        check: Called before each table; raises when the lake is no longer ours.

    Returns:
        The number of files deleted.
    """
    deleted = 0
    for name in TABLES:
        check()
        deleted += len(with_retries(partial(_vacuum, lake, name, retention_hours)))
    return deleted


def _vacuum(lake: Lake, table: str, retention_hours: int) -> list[str]:
    return lake.table(table).vacuum(
        retention_hours=retention_hours, dry_run=False, enforce_retention_duration=False, full=True
    )
