"""What was written becomes visible, asset by asset and all at once.

Child files are appended to their tables first, where no view shows them yet; then the rows of
`assets` are merged, which is the commit: from then on the views show the new children and no
longer those they replace. Dying between the two leaves rows that nothing refers to, which
`gloss compact` removes. One process commits at a time: the driver, while it holds the claim.

Every step may be done twice with the same outcome (Delta counts a path once, merges go by key), so
that a store which stumbles, or which commits and then fails to say so, costs only time.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
from deltalake.table import TableMerger
from deltalake.transaction import AddAction

from operators.lake import DataFile, Lake
from operators.retrying import with_retries
from schemas.arrow import arrow_schema, to_table
from schemas.embedding_work import EmbeddedAsset
from schemas.media import Asset
from schemas.tables import TABLES, AssetRow, RunRow, SkipRow


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
    append_files(lake, files)
    if assets:
        merge_assets(lake, assets)
    with_retries(lake.write_views)


def append_files(lake: Lake, files: Iterable[DataFile]) -> None:
    """Append data files that workers wrote, one transaction for each table."""
    by_table: dict[str, list[AddAction]] = defaultdict(list)
    for file in files:
        by_table[file.table].append(add_action(file))
    for name, actions in by_table.items():
        with_retries(partial(_append, lake, name, actions))


def _append(lake: Lake, table: str, actions: Sequence[AddAction]) -> None:
    lake.table(table).create_write_transaction(
        list(actions), mode="append", schema=arrow_schema(TABLES[table])
    )


def add_action(file: DataFile) -> AddAction:
    """Describe a written file to Delta."""
    return AddAction(
        path=file.path,
        size=file.size_bytes,
        partition_values={},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=file.stats,
    )


def merge_assets(lake: Lake, assets: Sequence[AssetRow]) -> None:
    """Insert or replace rows of `assets`, in one transaction."""
    _merge(lake, "assets", to_table(AssetRow, assets), "asset_id")


def put_run(lake: Lake, run: RunRow) -> None:
    """Insert or replace the row of a run."""
    _merge(lake, "runs", to_table(RunRow, [run]), "run_id")


def put_skips(lake: Lake, skips: Sequence[SkipRow]) -> None:
    """Insert or replace rows of files that are not ingested."""
    if skips:
        _merge(lake, "skips", to_table(SkipRow, skips), "asset_id")


def _merge(lake: Lake, table: str, rows: pa.Table, key: str) -> None:
    with_retries(
        lambda: (
            _merger(lake, table, rows, key).when_matched_update_all().when_not_matched_insert_all().execute()
        )
    )


def _merger(lake: Lake, table: str, rows: pa.Table, key: str) -> TableMerger:
    return lake.table(table).merge(
        rows, f"target.{key} = source.{key}", source_alias="source", target_alias="target"
    )


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
    updates = {name: f"source.{name}" for name in ("fingerprint", "modified_at", "etag")}
    rows = to_table(Touched, touched)
    with_retries(lambda: _merger(lake, "assets", rows, "asset_id").when_matched_update(updates).execute())


def mark_embedded(lake: Lake, assets: Sequence[EmbeddedAsset]) -> None:
    """Let the new vectors of assets take the place of those they had, in one transaction."""
    columns = [item.name for item in arrow_schema(EmbeddedAsset) if item.name != "asset_id"]
    updates = {name: f"source.{name}" for name in columns}
    rows = to_table(EmbeddedAsset, assets)
    with_retries(lambda: _merger(lake, "assets", rows, "asset_id").when_matched_update(updates).execute())


def remove_assets(lake: Lake, asset_ids: Sequence[str]) -> None:
    """Remove assets in one transaction; their children are no longer live by that.

    The rows themselves stay in their files until `gloss compact`, for readers that have them open.
    """
    rows = to_table(Gone, [Gone(asset_id) for asset_id in asset_ids])
    with_retries(lambda: _merger(lake, "assets", rows, "asset_id").when_matched_delete().execute())
