"""Assets whose file is gone are removed; readers of the moment before keep what they opened."""

from collections.abc import Sequence
from dataclasses import dataclass

from operators.lake import Lake
from schemas.arrow import to_table


@dataclass(frozen=True, slots=True)
class Gone:
    """An asset to be removed."""

    asset_id: str


def remove_assets(lake: Lake, asset_ids: Sequence[str]) -> None:
    """Remove assets in one transaction; their children are no longer live by that.

    The rows themselves stay in their files until `gloss compact`.
    """
    (
        lake.table("assets")
        .merge(
            to_table(Gone, [Gone(asset_id) for asset_id in asset_ids]),
            predicate="target.asset_id = source.asset_id",
            source_alias="source",
            target_alias="target",
        )
        .when_matched_delete()
        .execute()
    )
