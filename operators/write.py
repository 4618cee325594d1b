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
from schemas.arrow import to_table
from schemas.tables import TABLES

_ROW_GROUP_ROWS = 50_000
"""Rows that DuckDB reads or skips together; small enough that looking up one asset is cheap."""


def write_rows(lake: Lake, table: str, rows: Iterable[Any]) -> DataFile | None:
    """Write rows of one table as one file, sorted by asset.

    Returns:
        The file, to be handed to `operators.commit.commit`; None when there are no rows.
    """
    data = to_table(TABLES[table], rows)
    return write_table(lake, table, data) if data.num_rows else None


def write_table(lake: Lake, table: str, data: pa.Table) -> DataFile:
    """Write an Arrow table of the right schema as one data file of `table`."""
    path, target = lake.new_file(table)
    with lake.filesystem.open(target, "wb") as file:
        pq.write_table(data, file, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
    return DataFile(
        table,
        path,
        int(lake.filesystem.size(target)),
        data.num_rows,
        statistics(data.num_rows, _asset_bounds(data)),
    )


def _asset_bounds(data: pa.Table) -> tuple[str, str] | None:
    if "asset_id" not in data.schema.names or not data.num_rows:
        return None
    bounds = pc.min_max(data["asset_id"]).as_py()
    return bounds["min"], bounds["max"]


def statistics(rows: int, asset_bounds: tuple[str, str] | None) -> str:
    """Delta statistics as JSON: the row count, and the range of `asset_id` to skip files by."""
    stats: dict[str, Any] = {"numRecords": rows}
    if asset_bounds is not None:
        stats |= {
            "minValues": {"asset_id": asset_bounds[0]},
            "maxValues": {"asset_id": asset_bounds[1]},
            "nullCount": {"asset_id": 0},
        }
    return json.dumps(stats)


def rows_of(files: Sequence[DataFile | None]) -> list[DataFile]:
    """Drop the tables that got no rows."""
    return [file for file in files if file is not None]
