"""Rows become Parquet files in the lake, not yet part of any table.

Workers write; only the driver commits. A task that is retried, or whose driver dies, leaves
at most files that no table refers to.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.lake import DataFile, Lake
from operators.retrying import with_retries
from schemas.arrow import to_table
from schemas.tables import TABLES

PARQUET: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
"""How every data file is written."""

ROW_GROUP_ROWS = 50_000
"""Rows that DuckDB reads or skips together; small enough that looking up one asset is cheap."""


def write_rows(lake: Lake, table: str, rows: Iterable[Any]) -> DataFile | None:
    """Write rows of one table as one file, sorted by asset.

    Returns:
        The file, to be handed to `operators.commit.commit`; None when there are no rows.
    """
    data = to_table(TABLES[table], rows)
    return write_table(lake, table, data) if data.num_rows else None


def write_table(
    lake: Lake, table: str, data: pa.Table, key: str = "asset_id", row_group_rows: int = ROW_GROUP_ROWS
) -> DataFile:
    """Write an Arrow table of the right schema as one data file of `table`.

    Args:
        lake: Where to write.
        table: The table's name.
        data: Its rows, sorted by `key`.
        key: The column that readers look rows up by.
        row_group_rows: Rows that are read or skipped together.
    """
    path, target = lake.new_file(table)

    def write() -> int:
        with lake.filesystem.open(target, "wb") as file:
            pq.write_table(data, file, row_group_size=row_group_rows, **PARQUET)
            return int(file.tell())

    size = with_retries(write)
    return DataFile(table, path, size, data.num_rows, statistics(data.num_rows, _bounds(data, key), key))


def _bounds(data: pa.Table, column: str) -> tuple[str, str] | None:
    if column not in data.schema.names or not data.num_rows:
        return None
    bounds = pc.min_max(data[column]).as_py()
    return bounds["min"], bounds["max"]


def statistics(rows: int, bounds: tuple[str, str] | None, column: str = "asset_id") -> str:
    """Delta statistics as JSON: the row count, and the range of a column to skip files by."""
    stats: dict[str, Any] = {"numRecords": rows}
    if bounds is not None:
        stats |= {
            "minValues": {column: bounds[0]},
            "maxValues": {column: bounds[1]},
            "nullCount": {column: 0},
        }
    return json.dumps(stats)


def rows_of(files: Sequence[DataFile | None]) -> list[DataFile]:
    """Drop the tables that got no rows."""
    return [file for file in files if file is not None]
