"""What is told of all files at once is what is told of each by itself."""

from dataclasses import replace
from itertools import product
from pathlib import Path

from jobs.held import Held
from jobs.plan import plan, plan_work
from operators.commit import append_files
from operators.composition import COMPOSITION
from operators.lake import Lake
from operators.summary_version import summary_version
from operators.unit_id import perception_id
from operators.write import write_table
from schemas import ids
from schemas.arrow import to_table
from schemas.config import Config, load_config
from schemas.failure import Reason
from schemas.listings import Listings, fingerprint
from schemas.media import Listing
from schemas.tables import AssetRow, FailureRow
from tests.rows import NOW, asset_row


def _corpus() -> list[Listing]:
    return [Listing(f"file:///data/{number:03}.pdf", 10 + number, number) for number in range(64)]


def _held(listings: list[Listing], config: Config) -> tuple[list[AssetRow], list[FailureRow]]:
    """Give each file one of the states that an asset may be in."""
    assets, failures = [], []
    states = product((True, False), ("ok", "partial", "failed"), (1, 0), (True, False), ("", "older"))
    for listing, (read, status, clips, written, caption) in zip(listings, states, strict=False):
        row = asset_row(
            asset_id=ids.asset_id(listing.uri),
            uri=listing.uri,
            kind="document",
            fingerprint=fingerprint(listing),
            perception=perception_id(config, "document") if read else "older",
            composition=COMPOSITION,
            summary_version=summary_version(config) if written else "older",
            caption_version=caption,
            status=status,
            clip_count=clips,
            plan_id="p0",
        )
        assets.append(row)
    for number, reason in ((0, Reason.LOST), (1, Reason.TRUNCATED), (2, Reason.UNREACHABLE)):
        row = assets[8 + number]
        failures.append(
            FailureRow(
                row.asset_id,
                row.version,
                row.uri,
                "decode",
                reason,
                "It failed.",
                None,
                None,
                None,
                "r0",
                NOW,
                row.write_id,
            )
        )
    return assets, failures


def test_a_night_is_planned_as_file_by_file(tmp_path: Path) -> None:
    """Settled, changed, new and vanished files, in every state, are told apart alike."""
    config = load_config("embedded", None, ["ocr.engine=off"])
    before = _corpus()
    assets, failures = _held(before, config)
    lake = Lake(tmp_path / "lake")
    lake.create()
    append_files(lake, [write_table(lake, "assets", to_table(AssetRow, assets))])
    append_files(lake, [write_table(lake, "failures", to_table(FailureRow, failures))])
    now = [replace(item, size_bytes=1) if at % 7 == 0 else item for at, item in enumerate(before) if at % 5]

    with Held(lake) as held:
        each = plan_work(now, held.known([item.uri for item in now]), {}, config)
        work, prints = plan(held, Listings.of(now), dict, config)
        others = {uri for _, uri in held.others(prints, len(work.unchanged))}

    assert list(work.unchanged) == each.unchanged
    assert len(each.unchanged) > 5
    assert min(count for reason, count in each.reasons.items() if reason not in ("captions",)) > 0
    assert replace(work, unchanged=[]) == replace(each, unchanged=[])
    assert others == {row.uri for row in assets} - {
        item.uri for item in now if fingerprint(item) in {row.fingerprint for row in assets}
    }
