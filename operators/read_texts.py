"""Read back from the lake the texts that get vectors: no source file is opened."""

from collections.abc import Iterator, Mapping, Sequence

from operators.embed_text import texts_of
from operators.lake import Lake
from operators.live_rows import read_live
from schemas.embedding_work import AssetTexts
from schemas.failure import Stage
from schemas.summary_work import AssetGroup
from schemas.tables import AssetRow, ClipRow, FailureRow, SegmentRow

TABLES = ("assets", "segments", "clips", "failures")


class ReadTexts:
    """Groups of assets in, the texts of each asset out."""

    def __init__(self, lake: Lake, files: Mapping[str, Sequence[str]]) -> None:
        """Prepare to read a lake as it is at one moment.

        Args:
            lake: The lake.
            files: Of each of `TABLES`.
        """
        self._lake = lake
        self._files = {name: list(names) for name, names in files.items()}

    def __call__(self, group: AssetGroup) -> Iterator[AssetTexts]:
        """Read some assets; those that are gone meanwhile are left out."""
        ids, files = group.asset_ids, self._files
        with self._lake.bare() as connection:
            assets = read_live(connection, AssetRow, files, ids)
            segments = read_live(connection, SegmentRow, files, ids)
            clips = read_live(connection, ClipRow, files, ids)
            failures = read_live(connection, FailureRow, files, ids)
        for asset_id, (asset,) in assets.items():
            before = sum(
                row.stage == Stage.EMBED and row.write_id == asset.embedding_write_id
                for row in failures.get(asset_id, [])
            )
            yield AssetTexts(
                asset_id=asset_id,
                version=asset.version,
                uri=asset.uri,
                summary_write_id=asset.summary_write_id,
                failure_count=asset.failure_count - before,
                texts=texts_of(segments.get(asset_id, []), clips.get(asset_id, [])),
            )
