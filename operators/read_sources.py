"""Read back from the lake what summaries are written from: no source file is opened."""

from collections.abc import Iterable

from operators.lake import Lake
from operators.live_rows import read_live
from schemas.summary_work import AssetGroup, Sources
from schemas.tables import AssetRow, ClipRow, DecisionRow, SegmentRow, SentenceRow

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
        ids, files = group.asset_ids, self._files
        with self._lake.bare() as connection:
            assets = read_live(connection, AssetRow, files, ids)
            segments = read_live(connection, SegmentRow, files, ids)
            clips = read_live(connection, ClipRow, files, ids)
            sentences = read_live(connection, SentenceRow, files, ids)
            decisions = read_live(connection, DecisionRow, files, ids)
        for asset_id, (asset,) in assets.items():
            yield Sources(
                asset,
                sorted(segments.get(asset_id, []), key=lambda row: row.segment),
                sorted(clips.get(asset_id, []), key=lambda row: row.clip),
                sentences.get(asset_id, []),
                sorted(decisions.get(asset_id, []), key=lambda row: (row.decided_at, row.decision_id)),
            )


def files_of(lake: Lake) -> dict[str, list[str]]:
    """List the files of the tables that summaries are written from."""
    return {name: lake.files(name) for name in _TABLES}
