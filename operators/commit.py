"""What was written becomes visible, asset by asset and all at once.

Child files are appended to their tables first, where no view shows them yet; then the rows of
`assets` are merged, which is the commit: from then on the views show the new children and no
longer those they replace. Dying between the two leaves rows that nothing refers to, which
`gloss compact` removes. One process commits at a time: the driver, while it holds the claim.

Every step may be done twice with the same outcome (Delta counts a path once, rows of `assets` go by
key), so that a store which stumbles, or which commits and then fails to say so, costs only time.

What a commit costs does not depend on what the lake holds: tables stay open, rows of `assets` are
found by their keys, and small files are folded together every now and then.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from operators.fold import fold
from operators.lake import DataFile, Lake
from operators.retrying import with_retries
from operators.transact import transact
from operators.upsert import remove, update, upsert
from schemas.arrow import to_table
from schemas.embedding_work import EmbeddedAsset
from schemas.media import Asset
from schemas.tables import AssetRow, RunRow, SkipRow


@dataclass(frozen=True, slots=True)
class Touched:
    """What a listing says anew of an asset whose content did not change."""

    asset_id: str
    fingerprint: str
    modified_at: datetime | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class Gone:
    """An asset to be removed."""

    asset_id: str


def commit(lake: Lake, assets: Sequence[AssetRow], files: Iterable[DataFile]) -> None:
    """Commit finished assets with their child files, and refresh the views.

    Raises:
        deltalake.exceptions.DeltaError: The store refused; nothing of `assets` is visible then.
    """
    touched = append_files(lake, files)
    if assets:
        merge_assets(lake, assets)
        touched.add("assets")
    for table in sorted(touched):
        fold(lake, table)
    with_retries(lambda: lake.write_views(()))  # Whoever commits on an open table knows it as it is now.


def append_files(lake: Lake, files: Iterable[DataFile]) -> set[str]:
    """Append data files that workers wrote, one transaction for each table; returns the tables."""
    by_table: dict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        by_table[file.table].append(file)
    for name, new in by_table.items():
        _append(lake, name, new)
    return set(by_table)


def _append(lake: Lake, table: str, files: Sequence[DataFile]) -> None:
    # Adding depends on nothing that is there; so the table is looked at anew only when it went wrong.
    tries = iter([False])

    def attempt() -> None:
        with lake.alone(table):
            transact(table, lake.table(table, newest=next(tries, True)), files)

    with_retries(attempt)


def merge_assets(lake: Lake, assets: Sequence[AssetRow]) -> None:
    """Insert or replace rows of `assets`, in one transaction."""
    upsert(lake, "assets", to_table(AssetRow, assets), "asset_id")


def put_run(lake: Lake, run: RunRow) -> None:
    """Insert or replace the row of a run."""
    upsert(lake, "runs", to_table(RunRow, [run]), "run_id")


def put_skips(lake: Lake, skips: Sequence[SkipRow]) -> None:
    """Insert or replace rows of files that are not ingested."""
    if skips:
        upsert(lake, "skips", to_table(SkipRow, skips), "asset_id")


def touch_assets(lake: Lake, assets: Sequence[Asset]) -> None:
    """Note the new dates of files whose bytes turned out to be the same."""
    if not assets:
        return
    touched = [
        Touched(
            asset.asset_id,
            asset.fingerprint,
            None if asset.modified_ns is None else datetime.fromtimestamp(asset.modified_ns / 1e9, UTC),
            asset.etag,
        )
        for asset in assets
    ]
    update(lake, "assets", to_table(Touched, touched), "asset_id")


def mark_embedded(lake: Lake, assets: Sequence[EmbeddedAsset]) -> None:
    """Let the new vectors of assets take the place of those they had, in one transaction."""
    update(lake, "assets", to_table(EmbeddedAsset, assets), "asset_id")


def remove_assets(lake: Lake, asset_ids: Sequence[str]) -> None:
    """Remove assets in one transaction; their children are no longer live by that.

    The rows themselves stay in their files until `gloss compact`, for readers that have them open.
    """
    remove(lake, "assets", to_table(Gone, [Gone(asset_id) for asset_id in asset_ids]), "asset_id")
