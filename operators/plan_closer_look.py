"""Assets with doubtful sentences in, decode tasks out: what a vision-language model is shown of them."""

from collections.abc import Iterator
from dataclasses import replace

from operators.asset_text import asset_text
from operators.closer_look import doubts_of
from operators.closer_pictures import plan_look
from operators.probe import Probe
from operators.prompts import CHECK
from operators.read_stored import ReadStored
from operators.stored_results import stored_results
from operators.survey import tools_of
from operators.unit_store import UnitStore
from schemas.config import Config
from schemas.failure import Failure, Reason, Stage
from schemas.look import Look
from schemas.media import Asset, Listing, Planned, Unit, UnitKind
from schemas.summary_work import AssetGroup, Stored
from schemas.tables import AssetRow

_TASK_LOOKS = 8
"""Looks that are decoded by one task: opening the file is paid once for them."""


class PlanCloserLook:
    """Groups of assets in; of each asset its looks out, as units of it."""

    def __init__(self, config: Config, store: UnitStore, read: ReadStored) -> None:
        """Keep what is needed.

        Args:
            config: Of the run, its vision resolved.
            store: What was perceived, so that a file need not be opened to know what it is.
            read: Reads assets with their summaries.
        """
        self._config = config
        self._probe = Probe(config, store)
        self._read = read

    def __call__(self, group: AssetGroup) -> Iterator[Planned]:
        """Plan the looks of some assets; one with nothing to look for has one unit of kind `NOTHING`."""
        for stored in self._read(group):
            yield from self._plan(stored)

    def _plan(self, stored: Stored) -> Iterator[Planned]:
        row, looks = stored.sources.asset, self._looks(stored)
        if not any(looks):
            yield _nothing(_known(row))
            return
        known = bool(row.plan_id)
        listing = Listing(row.uri, row.bytes, etag=row.etag, known_plan=row.plan_id or None)
        plan = self._probe(replace(listing, content_hash=row.content_hash if known else None))
        asset, failures = plan[0].asset, plan[0].failures
        if asset.content_hash != row.content_hash and not failures:
            message = f"Wanted what was ingested at {row.uri}; it has changed since. Run gloss ingest again."
            failures = [Failure(Stage.VLM, Reason.UNREADABLE, message)]
        if any(failure.unit is None for failure in failures):
            yield _nothing(_known(row), *failures)
            return
        asset = replace(asset, unit_count=len(looks), look_count=len(looks))
        units = [_unit(index, look, stored) for index, look in enumerate(looks)]
        shown = [unit for unit in units if unit.look is not None]
        if unplanned := [unit for unit in units if unit.look is None]:
            yield Planned(asset, unplanned)
        for at in range(0, len(shown), _TASK_LOOKS):
            yield Planned(asset, shown[at : at + _TASK_LOOKS])

    def _looks(self, stored: Stored) -> list[Look | None]:
        """Plan all looks, each once; null for those that cannot be shown."""
        text = asset_text(stored.sources, looked=True)
        results = stored_results(text, stored.citations, stored.reviews)
        tools = tools_of(self._config.vision)
        looks: dict[int, Look | None] = {}
        for doubt in doubts_of(text, results, stored.reviews):
            if doubt.look not in looks:
                looks[doubt.look] = plan_look(
                    text, doubt, self._config.vision, tools.rule, tools.count, tools.prompts[CHECK]
                )
        return [looks[index] for index in sorted(looks)]


def _unit(index: int, look: Look | None, stored: Stored) -> Unit:
    if look is None:
        return Unit(index, UnitKind.NOTHING)
    clip = stored.sources.clips[look.clip]
    return Unit(index, UnitKind.LOOK, clip.start_seconds, clip.end_seconds, clip.page, look)


def _known(row: AssetRow) -> Asset:
    return Asset(row.asset_id, row.version, row.uri, row.kind, row.bytes, row.fingerprint, row.content_hash)


def _nothing(asset: Asset, *failures: Failure) -> Planned:
    return Planned(replace(asset, unit_count=1), [Unit(0, UnitKind.NOTHING)], list(failures))
