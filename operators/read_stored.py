"""Read back from the lake an asset together with its summaries, their citations, reviews and failures."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from operators.lake import Lake, live_writes, relation
from operators.read_sources import ReadSources, files_of, rows_of_table
from schemas.summary_work import AssetGroup, Doubted, LookedGroup, Stored
from schemas.tables import TABLES

_SUMMARIES = ("citations", "reviews", "failures")


def stored_files(lake: Lake) -> dict[str, list[str]]:
    """List the files of the tables that are read."""
    return files_of(lake) | {name: lake.files(name) for name in _SUMMARIES}


class ReadStored:
    """Groups of assets in, what the lake holds of each asset out."""

    def __init__(self, lake: Lake, files: dict[str, list[str]]) -> None:
        """Prepare to read a lake as it is at one moment.

        Args:
            lake: The lake.
            files: Of each of its tables, as `stored_files` lists them.
        """
        self._lake = lake
        self._files = files
        self._sources = ReadSources(lake, files)

    def __call__(self, group: AssetGroup) -> Iterator[Stored]:
        """Read some assets; those that are gone meanwhile are left out."""
        read = {name: self._rows(name, group.asset_ids) for name in _SUMMARIES}
        for sources in self._sources(group):
            asset = sources.asset
            failures = [
                row for row in read["failures"][asset.asset_id] if row.write_id == asset.summary_write_id
            ]
            yield Stored(
                sources, read["citations"][asset.asset_id], read["reviews"][asset.asset_id], failures
            )

    def _rows(self, name: str, asset_ids: Sequence[str]) -> dict[str, list[Any]]:
        assets = f"(SELECT * FROM {relation('assets', self._files)} WHERE list_contains($ids, asset_id))"
        sql = (
            f"SELECT * FROM {relation(name, self._files)} WHERE list_contains($ids, asset_id) "
            f"AND write_id IN ({live_writes(assets)})"
        )
        with self._lake.bare() as connection:
            found = connection.execute(sql, {"ids": list(asset_ids)}).to_arrow_table()
        rows: dict[str, list[Any]] = defaultdict(list)
        read: list[Any] = rows_of_table(TABLES[name], found)
        for row in read:
            rows[row.asset_id].append(row)
        return rows


class ReadDoubted:
    """Groups of assets that were looked at again in, each with what the lake holds of it out."""

    def __init__(self, lake: Lake, files: dict[str, list[str]]) -> None:
        """Prepare as `ReadStored` does."""
        self._read = ReadStored(lake, files)

    def __call__(self, group: LookedGroup) -> Iterator[Doubted]:
        """Read some assets."""
        looked = {item.asset_id: item for item in group.assets}
        for stored in self._read(AssetGroup(list(looked))):
            yield Doubted(stored, looked[stored.sources.asset.asset_id])
