"""Read back from the lake what summaries are written from: no source file is opened."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from operators.lake import Lake, live_writes, quote, relation
from schemas.arrow import arrow_schema, from_table
from schemas.summary_work import AssetGroup, Sources
from schemas.tables import TABLES

Row = TypeVar("Row")

_TABLES = ("assets", "segments", "clips", "sentences", "decisions")


class ReadSources:
    """Groups of assets in, what the lake holds of each asset out."""

    def __init__(self, lake: Lake, files: dict[str, list[str]]) -> None:
        """Prepare to read a lake as it is at one moment.

        Args:
            lake: The lake.
            files: Of each of its tables, as `files_of` lists them.
        """
        self._lake = lake
        self._files = files

    def __call__(self, group: AssetGroup) -> Iterable[Sources]:
        """Read some assets; those that are gone meanwhile are left out."""
        with self._lake.bare() as connection:
            read = {name: self._rows(connection, name, group.asset_ids) for name in _TABLES}
        for asset in read["assets"].get("", []):
            mine: dict[str, list[Any]] = {name: read[name].get(asset.asset_id, []) for name in _TABLES}
            yield Sources(
                asset,
                sorted(mine["segments"], key=lambda row: row.segment),
                sorted(mine["clips"], key=lambda row: row.clip),
                mine["sentences"],
                sorted(mine["decisions"], key=lambda row: (row.decided_at, row.decision_id)),
            )

    def _rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, asset_ids: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Read the live rows of some assets by asset; assets themselves under an empty key."""
        # Spelled out, so that DuckDB passes by parts of files that hold none of them.
        wanted = f"asset_id IN ({', '.join(map(quote, asset_ids))})"
        source = f"SELECT * FROM {relation(name, self._files)} WHERE {wanted}"
        if name in ("segments", "clips", "sentences"):
            assets = f"(SELECT * FROM {relation('assets', self._files)} WHERE {wanted})"
            source += f" AND write_id IN ({live_writes(assets)})"
        found = connection.sql(f"{source} ORDER BY asset_id").to_arrow_table()
        rows: dict[str, list[Any]] = defaultdict(list)
        read: list[Any] = rows_of_table(TABLES[name], found)
        for row in read:
            rows["" if name == "assets" else row.asset_id].append(row)
        return rows


def files_of(lake: Lake) -> dict[str, list[str]]:
    """List the files of the tables that summaries are written from."""
    return {name: lake.files(name) for name in _TABLES}


def rows_of_table(row: type[Row], table: pa.Table) -> list[Row]:
    """Read rows out of what DuckDB gives, in the types they are stored in."""
    return from_table(row, table.select(arrow_schema(row).names).cast(arrow_schema(row)))
