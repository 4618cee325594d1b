"""Superseded rows are dropped and small files merged, while readers keep what they opened.

The live rows of each table are streamed through DuckDB, sorted by asset, into new files that
replace all old ones in one transaction. Old files stay on disk until they are older than the
retention, because a reader may have planned on them.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from operators.commit import add_action
from operators.lake import DataFile, Lake, relation
from operators.write import statistics
from schemas.arrow import arrow_schema
from schemas.tables import CHILDREN, TABLES

_FILE_ROWS = 2_000_000
"""Rows of a merged file: some hundred megabytes of text regions."""

_BATCH_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compaction did to one table."""

    table: str
    files_before: int
    files_after: int
    rows_before: int
    rows_after: int


def compact_table(lake: Lake, table: str) -> Compacted:
    """Rewrite one table with its live rows only.

    Raises:
        deltalake.exceptions.CommitFailedError: Somebody else committed meanwhile; nothing changed.
    """
    delta = lake.table(table)
    files = {name: lake.files(name) for name in (table, "assets")}
    before = delta.count()
    written = _rewrite(lake, table, files)
    after = sum(file.rows for file in written)
    if len(written) < len(files[table]) or after < before:
        delta.create_write_transaction(
            [add_action(file) for file in written], mode="overwrite", schema=arrow_schema(TABLES[table])
        )
    else:
        for file in written:
            lake.filesystem.rm_file(f"{lake.root}/{table}/{file.path}")
        written = []
    return Compacted(table, len(files[table]), len(written) or len(files[table]), before, after)


def _rewrite(lake: Lake, table: str, files: dict[str, list[str]]) -> list[DataFile]:
    schema = arrow_schema(TABLES[table])
    where = ""
    if table in CHILDREN:
        where = f" WHERE write_id IN (SELECT write_id FROM {relation('assets', files)})"
    order = ", ".join(f'"{name}"' for name in _ORDER if name in schema.names)
    connection = lake.connect()
    connection.execute("SET TimeZone = 'UTC'")
    rows = connection.sql(f"SELECT * FROM {relation(table, files)}{where} ORDER BY {order}")
    written: list[DataFile] = []
    writer: _Writer | None = None
    for batch in rows.to_arrow_reader(_BATCH_ROWS):
        data = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
        writer = writer or _Writer(lake, table)
        writer.add(data)
        if writer.rows >= _FILE_ROWS:
            written.append(writer.close())
            writer = None
    if writer is not None:
        written.append(writer.close())
    return written


_ORDER = ("asset_id", "run_id", "clip", "segment", "page", "start_seconds", "time_seconds", "at", "uri")


class _Writer:
    """One merged file under way."""

    def __init__(self, lake: Lake, table: str) -> None:
        self.lake = lake
        self.table = table
        self.rows = 0
        self.path, self.target = lake.new_file(table)
        self._file = lake.filesystem.open(self.target, "wb")
        self._writer = pq.ParquetWriter(self._file, arrow_schema(TABLES[table]), compression="zstd")
        self._ids: list[str] = []

    def add(self, data: pa.Table) -> None:
        self._writer.write_table(data)
        self.rows += data.num_rows
        if "asset_id" in data.schema.names and data.num_rows:
            self._ids += [data["asset_id"][0].as_py(), data["asset_id"][-1].as_py()]

    def close(self) -> DataFile:
        self._writer.close()
        self._file.close()
        size = int(self.lake.filesystem.size(self.target))
        bounds = (min(self._ids), max(self._ids)) if self._ids else None
        return DataFile(self.table, self.path, size, self.rows, statistics(self.rows, bounds))


def vacuum(lake: Lake, retention_hours: int) -> int:
    """Delete files that no version younger than the retention refers to.

    Args:
        lake: The lake.
        retention_hours: Readers and runs that began within it are not disturbed.

    Returns:
        The number of files deleted.
    """
    return sum(
        len(
            lake.table(name).vacuum(
                retention_hours=retention_hours, dry_run=False, enforce_retention_duration=False, full=True
            )
        )
        for name in TABLES
    )
