"""Read back from the lake the texts that get vectors: no source file is opened."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from operators.embed_text import texts_of
from operators.lake import Lake, live_writes, quote, relation
from operators.read_sources import rows_of_table
from schemas.embedding_work import AssetTexts
from schemas.failure import Stage
from schemas.summary_work import AssetGroup
from schemas.tables import AssetRow, ClipRow, SegmentRow

Row = TypeVar("Row")

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
        with self._lake.bare() as connection:
            chosen = f"(SELECT * FROM {relation('assets', self._files)} WHERE list_contains($ids, asset_id))"
            values = {"ids": group.asset_ids}

            def live(name: str) -> str:
                return (
                    f"SELECT * FROM {relation(name, self._files)} WHERE list_contains($ids, asset_id) "
                    f"AND write_id IN ({live_writes(chosen)})"
                )

            def rows(row: type[Row], query: str) -> list[Row]:
                return rows_of_table(row, connection.sql(query, params=values).to_arrow_table())

            assets = rows(AssetRow, f"SELECT * FROM {chosen} ORDER BY asset_id")
            segments, clips = rows(SegmentRow, live("segments")), rows(ClipRow, live("clips"))
            failed = connection.execute(
                f"SELECT asset_id, write_id, count(*) FROM ({live('failures')}) "
                f"WHERE stage = {quote(Stage.EMBED)} GROUP BY ALL",
                values,
            ).fetchall()
        before = {(asset_id, write_id): count for asset_id, write_id, count in failed}
        for asset in assets:
            yield AssetTexts(
                asset_id=asset.asset_id,
                version=asset.version,
                uri=asset.uri,
                summary_write_id=asset.summary_write_id,
                failure_count=asset.failure_count - before.get((asset.asset_id, asset.embedding_write_id), 0),
                texts=texts_of(
                    [row for row in segments if row.asset_id == asset.asset_id],
                    [row for row in clips if row.asset_id == asset.asset_id],
                ),
            )
