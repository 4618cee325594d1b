"""Units become pictures, or words where a text layer gives them.

Each unit of a task comes back exactly once. Decoding runs in a killable child: when it dies
or hangs, the page it was at is lost with a reason, and the pages behind it are decoded by a
fresh child; of a span of a video only the bad stretch is lost.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO

from operators.bisect_span import DEADLY, bisect_span, lost_stretch, merge_parts
from operators.child_kinds import DECODER_MODULES
from operators.content import stated_etag
from operators.decode_image import decode_image_frames
from operators.decode_look import decode_looks
from operators.decode_pdf import decode_pdf_pages
from operators.decode_sound import decode_sound
from operators.decode_video import decode_span
from operators.isolate import Bounds, Sandbox, shared_sandbox
from operators.retrying import is_transient
from operators.source import open_source
from operators.stopwatch import Spent, Stopwatch
from operators.subtitles import read_sidecar, read_subtitle_tracks
from schemas.config import Config
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Asset, Kind, Planned, Unit, UnitKind
from schemas.perception import Cost, Perception, Utterance


class Decode:
    """Decode task in, one `Perception` for each of its units out."""

    def __init__(self, config: Config) -> None:
        """Keep the configuration; the child starts with the first task."""
        self.config = config

    def __call__(self, planned: Planned) -> Iterator[Perception]:
        """Decode the units of one task, in order, as they come out."""
        for position, perception in enumerate(self._decode(planned)):
            yield perception if position else with_plan(perception, planned)

    def _decode(self, planned: Planned) -> Iterator[Perception]:
        asset, units = planned.asset, list(planned.units)
        if planned.skipped is not None or units[0].kind == UnitKind.NOTHING:
            yield from (Perception(asset, unit, skipped=planned.skipped) for unit in units)
            return
        begin = done = retries = 0
        while done < len(units):
            watch = Stopwatch()
            try:
                for perception in self._run(asset, units[begin:]):
                    if perception.unit.index < units[done].index:
                        continue
                    assert perception.unit == units[done]
                    done, retries = done + 1, 0
                    yield _timed(perception, watch.read(), self._sandbox().spent)
                    watch.restart()
                if done < len(units):
                    msg = f"The decoder gave {len(units) - done} units too few. Please report this."
                    raise InputError(Reason.INTERNAL, msg)
            except InputError as error:
                if done == len(units):
                    return
                if error.transient and retries < len(_STORE_WAITS_SECONDS):
                    time.sleep(_STORE_WAITS_SECONDS[retries])
                    retries += 1
                    # Where sound is cut depends on what came before: it is decoded again from there.
                    begin = begin if units[done].kind == UnitKind.SPEECH else done
                    continue
                yield self._salvage(asset, units[done], error, watch)
                begin = done = done + 1

    def _run(
        self, asset: Asset, units: list[Unit], item_seconds: float | None = None
    ) -> Iterator[Perception]:
        return self._sandbox().run(decode_units, asset, units, self.config, item_seconds=item_seconds)

    def _sandbox(self) -> Sandbox:
        return shared_sandbox(Bounds.of(self.config.limits), DECODER_MODULES)

    def _salvage(self, asset: Asset, unit: Unit, error: InputError, watch: Stopwatch) -> Perception:
        """Account for a unit that could not be decoded; of a span, keep what can be."""
        if unit.kind != UnitKind.SPAN or error.reason not in DEADLY:
            stage = _STAGES.get(unit.kind, Stage.DECODE)
            spent = watch.read()
            lost = Perception(asset, unit, failures=[lost_stretch(unit, error, stage)])
            return _timed(replace(lost, costs=[Cost("decode", spent.seconds)]), spent, spent)
        limits, kept_bytes = self.config.limits, 0

        def decode(part: Unit, deadline_seconds: float) -> Perception:
            nonlocal kept_bytes
            (perception,) = self._run(asset, [part], deadline_seconds)
            kept_bytes += sum(len(picture.pixels) for picture in perception.pictures)
            if kept_bytes > limits.output_bytes:
                msg = (
                    f"Wanted at most {limits.output_bytes} bytes of pictures from one span; found more. "
                    "Raise limits.output_bytes."
                )
                raise InputError(Reason.TOO_LARGE, msg)
            return perception

        interval = self.config.sampling.interval_seconds
        parts = bisect_span(unit, error, decode, interval, limits.unit_seconds)
        spent = watch.read()
        return _timed(merge_parts(asset, unit, parts, spent.seconds), spent, spent)


def _timed(perception: Perception, spent: Spent, worked: Spent) -> Perception:
    """Note CPU time, and when there was work on it, with what decoding itself has counted.

    Args:
        perception: With its cost at the end of its costs.
        spent: All that it took, here and in the child.
        worked: When the child was at it.
    """
    if not perception.costs:
        return perception
    *others, cost = perception.costs
    timed = replace(
        cost,
        cpu_seconds=spent.cpu_seconds,
        started_at=worked.started_at,
        ended_at=worked.ended_at,
        fetched_bytes=spent.fetched_bytes,
    )
    return replace(perception, costs=[*others, timed])


_STAGES: dict[str, Stage] = {UnitKind.SUBTITLES: Stage.SUBTITLES, UnitKind.SPEECH: Stage.SOUND}
"""Under which stage the loss of a unit is reported; else it is that of pictures."""


_STORE_WAITS_SECONDS = (5.0, 20.0)
"""Pauses before a unit is tried again whose store was out of reach; `open_source` has waited for
some 8 seconds at each read already."""


def decode_units(asset: Asset, units: Sequence[Unit], config: Config) -> Iterator[Perception]:
    """Decode units of one asset, in order; runs in the child.

    Raises:
        InputError: The next unit cannot be decoded; transient when its store failed and may
            be well a little later.
    """
    options = config.store.storage_options
    try:
        with open_source(asset.uri, options, stated_etag(asset.content_hash)) as file:
            match asset.kind:
                case _ if units[0].kind == UnitKind.LOOK:
                    yield from decode_looks(file, asset, units, config)
                case Kind.DOCUMENT:
                    yield from decode_pdf_pages(file, asset, list(units), config)
                case Kind.IMAGE:
                    yield from decode_image_frames(file, asset, list(units), config)
                case _ if units[0].kind == UnitKind.SPEECH:
                    yield from decode_sound(file, asset, units, config)
                case _:
                    for unit in units:
                        file.seek(0)
                        yield _decode_media(file, asset, unit, config)
    except InputError as error:
        cause = error.__cause__
        if error.reason != Reason.UNREADABLE or cause is None:
            raise
        raise InputError(error.reason, error.message, is_transient(cause)) from error


def _decode_media(file: BinaryIO, asset: Asset, unit: Unit, config: Config) -> Perception:
    if unit.kind == UnitKind.SPAN:
        return decode_span(file, asset, unit, config)
    return read_subtitles(file, asset, unit, config)


def read_subtitles(file: BinaryIO, asset: Asset, unit: Unit, config: Config) -> Perception:
    """Read all embedded tracks and sidecar files; one that cannot be read does not hide the others."""
    started = time.perf_counter()
    utterances: list[Utterance] = []
    failures: list[Failure] = []
    damage: list[str] = []
    try:
        utterances += read_subtitle_tracks(file, asset.container, asset, damage)
    except InputError as error:
        failures.append(Failure(Stage.SUBTITLES, error.reason, error.message, unit.index))
    for sidecar in asset.sidecars:
        name = PurePosixPath(sidecar.uri).name
        try:
            with open_source(sidecar.uri, config.store.storage_options) as text:
                content = text.read(_SIDECAR_BYTES + 1)
            if len(content) > _SIDECAR_BYTES:
                damage.append(
                    f"{name}: only the first {_SIDECAR_BYTES >> 20} MiB were read; it is no subtitle file."
                )
                content = content[:_SIDECAR_BYTES]
            broken: list[str] = []
            utterances += read_sidecar(content, name, sidecar.language, broken)
            damage += [f"{name}: {sentence}" for sentence in broken]
        except InputError as error:
            message = f"{name}: {error.message}"
            failures.append(Failure(Stage.SUBTITLES, error.reason, message, unit.index))
    failures += [Failure(Stage.SUBTITLES, Reason.CORRUPT, sentence, unit.index) for sentence in damage]
    costs = [Cost("subtitles", time.perf_counter() - started, items=len(utterances))]
    return Perception(asset, unit, utterances=utterances, failures=failures, costs=costs)


_SIDECAR_BYTES = 64 << 20
"""Far beyond any subtitle file: a day of talk is about 2 MB."""


def with_plan(perception: Perception, planned: Planned) -> Perception:
    """Let the first unit of a task carry what its plan found and cost."""
    if not planned.failures and not planned.seconds:
        return perception
    probing = Cost(
        "probe",
        planned.seconds,
        items=1,
        bytes=planned.asset.size_bytes,
        cpu_seconds=planned.cpu_seconds,
        started_at=planned.started_at,
        ended_at=planned.started_at + planned.seconds,
        fetched_bytes=planned.fetched_bytes,
    )
    costs = [probing, *perception.costs] if planned.seconds else perception.costs
    return replace(perception, failures=[*planned.failures, *perception.failures], costs=costs)
