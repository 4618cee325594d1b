"""Read back from the lake an asset together with its summaries, their citations, reviews and failures."""

from collections.abc import Iterator

from operators.lake import Lake
from operators.live_rows import read_live
from operators.read_sources import ReadSources, files_of
from schemas.summary_work import AssetGroup, Doubted, LookedGroup, Stored
from schemas.tables import CitationRow, FailureRow, ReviewRow

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
        ids, files = group.asset_ids, self._files
        with self._lake.bare() as connection:
            citations = read_live(connection, CitationRow, files, ids)
            reviews = read_live(connection, ReviewRow, files, ids)
            failures = read_live(connection, FailureRow, files, ids)
        for sources in self._sources(group):
            asset_id, write_id = sources.asset.asset_id, sources.asset.summary_write_id
            mine = [row for row in failures.get(asset_id, []) if row.write_id == write_id]
            yield Stored(sources, citations.get(asset_id, []), reviews.get(asset_id, []), mine)


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
