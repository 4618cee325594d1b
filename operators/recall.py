"""What was worked out before is recalled; only the rest is decoded.

It stands where decoding would: a task comes in, one `Perception` for each of its units goes
out. A recalled one has its words already, so no later stage has anything to do for it.
"""

from collections.abc import Iterator
from dataclasses import replace

from operators.decode import Decode, with_plan
from operators.unit_id import DECODE, OCR, unit_id
from operators.unit_store import UnitStore
from schemas.config import Config
from schemas.media import Planned, Unit, UnitKind
from schemas.perception import Perception
from schemas.tables import UnitRow


class Recall:
    """Decode task in, one `Perception` for each of its units out: from the lake or decoded."""

    def __init__(self, config: Config, store: UnitStore | None = None) -> None:
        """Keep the configuration, and where finished work may be found."""
        self.config = config
        self.store = store
        self.decode = Decode(config)

    def __call__(self, planned: Planned) -> Iterator[Perception]:
        """Give the units of one task; those that have to be decoded come first."""
        known = self._known(planned)
        missing = [unit for unit in planned.units if unit.index not in known]
        if missing:
            for perception in self.decode(replace(planned, units=missing)):
                yield self._named(perception)
        for position, unit in enumerate(item for item in planned.units if item.index in known):
            recalled = _perception(planned, unit, known[unit.index])
            # What the plan found travels with the first unit that comes out.
            yield recalled if missing or position else with_plan(recalled, planned)

    def _known(self, planned: Planned) -> dict[int, UnitRow]:
        """Find the results of units, by index: of decoding alone where that was enough, else of OCR."""
        asset = planned.asset
        if self.store is None or planned.skipped is not None or not asset.content_hash:
            return {}
        wanted = {
            unit_id(asset, unit, self.config, stage): unit
            for unit in planned.units
            if unit.kind != UnitKind.NOTHING
            for stage in (DECODE, OCR)
        }
        rows = self.store.read_units(asset.content_hash, list(wanted))
        return {wanted[name].index: row for name, row in rows.items()}

    def _named(self, perception: Perception) -> Perception:
        """Say what a result depends on, so that it can be kept."""
        if perception.skipped is not None or perception.unit.kind == UnitKind.NOTHING:
            return perception
        stage = OCR if perception.pictures else DECODE
        name = unit_id(perception.asset, perception.unit, self.config, stage)
        return replace(perception, unit_id=name, stage=stage)


def _perception(planned: Planned, unit: Unit, row: UnitRow) -> Perception:
    return Perception(
        planned.asset,
        unit,
        views=row.views,
        cuts=row.cuts,
        utterances=row.utterances,
        sampled=row.sampled,
        unit_id=row.unit_id,
        stage=row.stage,
        recalled=True,
    )
