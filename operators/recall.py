"""What was worked out before is recalled; only the rest is decoded.

It stands where decoding would: a task comes in, one `Perception` for each of its units goes
out. A recalled one has its words already, so no later stage has anything to do for it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from operators.decode import Decode, with_plan
from operators.unit_id import ASR, DECODE, OCR, VLM, stages_of, unit_id
from operators.unit_store import UnitStore
from schemas.config import Config, Embedding
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
        self.unembedded = config.model_copy(update={"embedding": Embedding()})

    def __call__(self, planned: Planned) -> Iterator[Perception]:
        """Give the units of one task; those that have to be decoded come first."""
        for position, perception in enumerate(self._perceive(planned)):
            # What the plan found travels with the first unit that comes out.
            yield perception if position else with_plan(perception, planned)

    def known(self, planned: Planned) -> list[Perception]:
        """Give those units of a task that need not be decoded; placeholders among them."""
        known = self._known(planned)
        held = self._held(planned)
        found = []
        for unit in planned.units:
            if unit.index in held:
                found.append(held[unit.index])
            elif unit.index in known:
                found.append(_perception(planned, unit, known[unit.index]))
            elif unit.kind == UnitKind.NOTHING and planned.skipped is None and not planned.failures:
                found.append(Perception(planned.asset, unit))
        return found

    def _held(self, planned: Planned) -> dict[int, Perception]:
        """Find units that something was wrong with in this very run."""
        held = {} if self.store is None else self.store.held_units(planned.asset.asset_id)
        return {
            index: replace(perception, asset=planned.asset, costs=[], recalled=True)
            for index, perception in held.items()
        }

    def _perceive(self, planned: Planned) -> Iterator[Perception]:
        known = {perception.unit.index: perception for perception in self.known(planned)}
        wanted = _to_decode(planned.units, known)
        if wanted:
            read = self._read_before(planned, wanted)
            for perception in self.decode(replace(planned, units=wanted, failures=[], seconds=0.0)):
                if perception.unit.index not in known:
                    yield self._named(_with_words(perception, read.get(perception.unit.index)))
        for unit in planned.units:
            if unit.index in known:
                yield known[unit.index]

    def _read_before(self, planned: Planned, units: Sequence[Unit]) -> dict[int, UnitRow]:
        """Find units that were read without an embedding model: only their pictures are needed anew."""
        seen = [unit for unit in units if unit.kind in (UnitKind.SPAN, UnitKind.PAGE)]
        if not self.config.embedding.embeds_frames or not seen:
            return {}
        return self._find(replace(planned, units=seen), self.unembedded)

    def _known(self, planned: Planned) -> dict[int, UnitRow]:
        """Find the results of units, by index: of decoding where that was enough, else of a recogniser."""
        return self._find(planned, self.config)

    def _find(self, planned: Planned, config: Config) -> dict[int, UnitRow]:
        asset = planned.asset
        if self.store is None or planned.skipped is not None or not asset.content_hash:
            return {}
        wanted = {
            unit_id(asset, unit, config, stage): unit
            for unit in planned.units
            if unit.kind != UnitKind.NOTHING
            for stage in stages_of(unit)
        }
        rows = self.store.read_units(asset.content_hash, list(wanted))
        return {wanted[name].index: row for name, row in rows.items()}

    def _named(self, perception: Perception) -> Perception:
        """Say what a result depends on, so that it can be kept."""
        if perception.skipped is not None or perception.unit.kind == UnitKind.NOTHING:
            return perception
        stage = perception.stage or DECODE
        if perception.unit.kind == UnitKind.LOOK:
            stage = VLM
        elif any(picture.to_read for picture in perception.pictures):
            stage = OCR
        elif perception.pieces:
            stage = ASR
        name = unit_id(perception.asset, perception.unit, self.config, stage)
        return replace(perception, unit_id=name, stage=stage)


def _with_words(perception: Perception, row: UnitRow | None) -> Perception:
    """Take the words of a picture that was read before; its pixels are for an embedding model alone."""
    if row is None or perception.failures:
        return perception
    glimpses = [replace(picture, to_read=False) for picture in perception.pictures if not picture.changed]
    return replace(perception, pictures=glimpses, views=row.views, stage=row.stage)


def _to_decode(units: Sequence[Unit], known: Collection[int]) -> list[Unit]:
    """Leave out what is known; of sound only the end: where it is cut depends on what came before."""
    if units[0].kind != UnitKind.SPEECH:
        return [unit for unit in units if unit.index not in known]
    last = max((place for place, unit in enumerate(units) if unit.index not in known), default=-1)
    return list(units[: last + 1])


def _perception(planned: Planned, unit: Unit, row: UnitRow) -> Perception:
    return Perception(
        planned.asset,
        unit,
        views=row.views,
        cuts=row.cuts,
        utterances=row.utterances,
        captions=row.captions,
        sampled=row.sampled,
        sound_seconds=row.sound_seconds,
        speech_seconds=row.speech_seconds,
        worded_seconds=row.worded_seconds,
        unit_id=row.unit_id,
        stage=row.stage,
        recalled=True,
    )
