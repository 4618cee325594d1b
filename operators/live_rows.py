"""Rows of some assets, read back from the lake: those that are live, and no others."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import duckdb
import pyarrow as pa

from operators.lake import live_writes, quote, relation
from schemas.arrow import arrow_schema, from_table
from schemas.tables import CHILDREN, TABLES

Row = TypeVar("Row")


def live_sql(name: str, files: Mapping[str, list[str]], asset_ids: Sequence[str]) -> str:
    """Select the live rows of some assets.

    Args:
        name: Of a table with the column `asset_id`.
        files: Of that table and of `assets`.
        asset_ids: Of the assets.
    """
    # Spelled out, so that DuckDB passes by parts of files that hold none of them.
    wanted = f"asset_id IN ({', '.join(map(quote, asset_ids))})"
    source = f"SELECT * FROM {relation(name, dict(files))} WHERE {wanted}"
    if name in CHILDREN:
        assets = f"(SELECT * FROM {relation('assets', dict(files))} WHERE {wanted})"
        source += f" AND write_id IN ({live_writes(assets)})"
    return source


def read_live(
    connection: duckdb.DuckDBPyConnection,
    row: type[Row],
    files: Mapping[str, list[str]],
    asset_ids: Sequence[str],
) -> dict[str, list[Row]]:
    """Read the live rows of some assets, by asset, in the order of their ids.

    Args:
        connection: That can read the lake's files.
        row: The row type of the table.
        files: Of that table and of `assets`.
        asset_ids: Of the assets; those that have no rows are left out.
    """
    name = next(name for name, known in TABLES.items() if known is row)
    sql = f"{live_sql(name, files, asset_ids)} ORDER BY asset_id"
    table = connection.sql(sql).to_arrow_table()
    rows: dict[str, list[Row]] = {}
    for asset_id, one in zip(table["asset_id"].to_pylist(), rows_of_table(row, table), strict=True):
        rows.setdefault(asset_id, []).append(one)
    return rows


def rows_of_table(row: type[Row], table: pa.Table) -> list[Row]:
    """Read rows out of what DuckDB gives, in the types they are stored in."""
    return from_table(row, table.select(arrow_schema(row).names).cast(arrow_schema(row)))
