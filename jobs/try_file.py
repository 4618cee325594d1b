"""`gloss try`: read one file, or one page or second of it, and see what comes out.

Neither a lake nor a cluster is needed: the operators that a run uses are called one after
another, with the same limits and the same child processes around untrusted bytes. It answers why
a file failed, and whether other settings would help, without ingesting anything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from jobs.output import EXIT_OK, check_format, clock, complain, console, emit_json, note, one_line
from jobs.settle import say
from jobs.show import place
from operators.asr import Asr
from operators.compose import compose
from operators.decode import Decode
from operators.discover import SourceError, discover
from operators.ocr import Ocr
from operators.probe import Probe
from operators.speech_models import resolve_speech
from operators.survey import Survey
from operators.vision_models import resolve_vision
from operators.vlm import Vlm
from schemas.config import Config, ConfigError, Embedding
from schemas.failure import Failure, Reason, Stage
from schemas.media import Listing, Planned, Unit, UnitKind
from schemas.perception import Perception

EXIT_FAILED = 3

_FIRST_CHARS = 160
"""Of the words shown of a unit."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came out of one unit, or of planning or composing the whole."""

    what: str
    """span, page, speech, subtitles, look, or the stage: discover, probe, compose."""
    page: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    pictures: int = 0
    """Distinct pictures, or pages, that were read."""
    lines: int = 0
    """Lines of text seen, or stretches of speech."""
    words: str = ""
    """The first of them."""
    seconds: float = 0.0
    """Inside the operators."""
    failures: list[Failure] = field(default_factory=list)


class TryError(Exception):
    """There is no such file, or no such place in it; the message says what there is."""


def run_try(
    source: str,
    config: Config,
    *,
    page: int | None = None,
    at_seconds: float | None = None,
    format: str = "table",  # noqa: A002
) -> int:
    """Try a file and show what comes out, unit by unit as it comes.

    Args:
        source: One file, as of `gloss ingest`.
        config: How to read it.
        page: Only this page (1-based).
        at_seconds: Only the span that holds this time.
        format: table (for people) or json.

    Returns:
        0, 3 when something failed, 2 for wrong usage.
    """
    try:
        check_format(format, known=("table", "json"))
        if page is not None and at_seconds is not None:
            msg = "Wanted --page or --at; found both."
            raise TryError(msg)
        tried = []
        screen = console()
        for item in try_file(source, config, page, at_seconds):
            tried.append(item)
            if format == "table":
                _print(screen, item)
    except (TryError, SourceError, ConfigError) as error:
        return complain(str(error))
    if format == "json":
        emit_json([asdict(item) for item in tried])
    return EXIT_FAILED if any(item.failures for item in tried) else EXIT_OK


def try_file(
    source: str, config: Config, page: int | None = None, at_seconds: float | None = None
) -> Iterator[Tried]:
    """Probe, decode, read and (where nothing is left out) compose one file.

    Raises:
        SourceError: There is nothing.
        TryError: It is no single file, or has no such page or time.
    """
    listing = _find(source, config)
    if isinstance(listing, Failure):
        yield Tried("discover", failures=[listing])
        return
    config = resolve_vision(resolve_speech(config, say), say)
    # Vectors are nothing to look at.
    config = config.model_copy(update={"embedding": Embedding()})
    plan = Probe(config)(listing)
    if plan[0].skipped is not None:
        for failure in plan[0].failures:
            note(failure.message)
        return
    yield _probed(plan)
    if not any(_nothing(unit) for task in plan for unit in task.units):
        chosen = _choose(plan, page, at_seconds)
        yield from _perceive(chosen, config, whole=page is None and at_seconds is None)


def _find(source: str, config: Config) -> Listing | Failure:
    found = discover([source], hidden=True, options=config.store.storage_options)
    if found.unlisted and not found.listings:
        return Failure(Stage.DISCOVER, Reason.UNREADABLE, found.unlisted[0].message)
    if len(found.listings) != 1:
        msg = f"Wanted one file; {source!r} is {len(found.listings)} files. Name one of them."
        raise TryError(msg)
    return found.listings[0]


def _nothing(unit: Unit) -> bool:
    return unit.kind == UnitKind.NOTHING


def _probed(plan: Sequence[Planned]) -> Tried:
    asset = plan[0].asset
    facts = [
        asset.media_type or asset.kind,
        clock(asset.duration_seconds),
        f"{asset.page_count} pages" if asset.page_count else "",
        f"{asset.width_px} × {asset.height_px}" if asset.width_px else "",
    ]
    return Tried(
        "probe",
        words=", ".join(filter(None, facts)),
        seconds=sum(task.seconds for task in plan),
        failures=[failure for task in plan for failure in task.failures],
    )


def _choose(plan: Sequence[Planned], page: int | None, at_seconds: float | None) -> list[Planned]:
    """Leave only the units that hold a page or a time; what probing said has been said."""
    chosen = []
    for task in plan:
        units = [unit for unit in task.units if _holds(unit, page, at_seconds)]
        if units:
            chosen.append(replace(task, units=units, failures=[], seconds=0.0))
    if not chosen:
        asset = plan[0].asset
        wanted = f"page {page}" if page is not None else f"second {at_seconds:g}"
        there = (
            f"{asset.page_count} pages" if asset.page_count else f"{asset.duration_seconds or 0:g} seconds"
        )
        msg = f"Wanted {wanted}; the file has {there}."
        raise TryError(msg)
    return chosen


def _holds(unit: Unit, page: int | None, at_seconds: float | None) -> bool:
    if page is not None:
        return unit.page == page
    if at_seconds is not None:
        start, end = unit.start_seconds, unit.end_seconds
        return start is not None and end is not None and start <= at_seconds < end
    return True


def _perceive(plan: Sequence[Planned], config: Config, *, whole: bool) -> Iterator[Tried]:
    decode, ocr, asr = Decode(config), Ocr(config), Asr(config)
    read: list[Perception] = []
    for task in plan:
        for decoded in decode(task):
            (perception,) = asr(ocr([decoded]))
            yield _tried(perception, len(decoded.pictures))
            read.append(perception)
    for looked in _look(read, config):
        yield _tried(looked, len(looked.unit.look.glances) if looked.unit.look else 0)
        read.append(looked)
    if whole:
        yield _composed(read, config)


def _look(read: Sequence[Perception], config: Config) -> Iterator[Perception]:
    """Show what was read to the vision-language model, if there is one."""
    if not config.vision.looks:
        return
    units = Survey(config).looks(sorted(read, key=lambda item: item.unit.index))
    decode, vlm = Decode(config), Vlm(config)
    for decoded in decode(Planned(read[0].asset, units)) if units else ():
        yield from vlm([decoded])


def _tried(perception: Perception, pictures: int) -> Tried:
    unit = perception.unit
    texts = [line.text for view in perception.views for line in view.lines]
    texts += [utterance.text for utterance in perception.utterances]
    texts += [caption.text for caption in perception.captions]
    return Tried(
        unit.kind,
        unit.page,
        unit.start_seconds,
        unit.end_seconds,
        pictures or len(perception.views),
        len(texts),
        _first(" ".join(texts)),
        sum(cost.seconds for cost in perception.costs),
        perception.failures,
    )


def _composed(read: Sequence[Perception], config: Config) -> Tried:
    at = datetime.now(UTC)
    try:
        row = compose(read, config, run_id="try", at=at, write_id="try").asset
    except Exception as error:  # the boundary at which a run, too, writes an asset off
        message = f"{type(error).__name__}: {error}. Please report this."
        return Tried("compose", failures=[Failure(Stage.COMPOSE, Reason.INTERNAL, message)])
    words = f"{row.status}, {row.clip_count} clips in {row.segment_count} segments"
    seconds = (datetime.now(UTC) - at).total_seconds()
    return Tried("compose", words=_first(f"{words}: {row.title}"), seconds=seconds)


def _first(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _FIRST_CHARS else f"{text[:_FIRST_CHARS]}…"


def _print(screen: Console, item: Tried) -> None:
    spot = place(_place(item)) if item.what in ("span", "page", "speech", "look") else item.what
    shown = Text(f"{spot:<14} ", style="bold").append(f"{item.seconds:6.2f} s  ", style="dim not bold")
    if item.what == "speech":
        shown.append(f"{item.lines} utterances  ", style="not bold")
    elif item.what == "look":
        shown.append(f"{item.pictures} pictures shown  ", style="not bold")
    elif item.what in ("span", "page", "subtitles"):
        shown.append(f"{item.pictures} pictures, {item.lines} lines  ", style="not bold")
    screen.print(shown.append(one_line(item.words), style="not bold"))
    for failure in item.failures:
        where = place(asdict(failure))
        line = f"    {failure.stage}: {failure.reason} ({where}): {one_line(failure.message)}"
        screen.print(Text(line, style="red"))


def _place(item: Tried) -> dict[str, Any]:
    return {"page": item.page, "start_seconds": item.start_seconds, "end_seconds": item.end_seconds}
