"""The spans of a run: run -> asset -> unit -> stage, from the costs that travel with the rows.

Workers note when they worked on what; nothing else is known of them, and they send nothing. Ids are digests
of what a span is about, so that spans can be handed on while their parent is still open, and a trace can be
found by the id of its run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from operators.costs import Work, by_stage
from schemas.failure import Failure
from schemas.ids import digest
from schemas.media import Unit, UnitKind
from schemas.tables import RunRow

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Event:
    """A moment within a span: something that went wrong."""

    name: str
    at_ns: int
    attributes: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of work."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    parent_id: str | None
    name: str
    start_ns: int
    """Nanoseconds since 1970."""
    end_ns: int
    attributes: dict[str, Value]
    events: list[Event] = field(default_factory=list)
    error: str | None = None
    """Why it is an error, if it is one."""


@dataclass(slots=True)
class _Asset:
    """A span that is still open."""

    uri: str
    version: str
    start_ns: int
    end_ns: int
    units: int = 0
    failures: int = 0
    goes: int = 0
    """How often something of it came back."""


def trace_id(run_id: str) -> str:
    """Name the trace of a run."""
    return digest("trace", run_id)


class TraceTree:
    """Turns work into spans. For one thread."""

    def __init__(self, run_id: str, started_at: datetime) -> None:
        """Begin with the run, whose span is open.

        Args:
            run_id: Of the run.
            started_at: When it began.
        """
        self.run_id = run_id
        self.trace_id = trace_id(run_id)
        self._start = self._end = round(started_at.timestamp() * 1e9)
        self._assets: dict[str, _Asset] = {}

    def worked(self, work: Work) -> Iterator[Span]:
        """Give the spans of a unit and its stages; those of asset and run stay open."""
        timed = [cost for cost in work.costs if cost.started_at]
        if not timed:
            return
        start, end = _ns(min(cost.started_at for cost in timed)), _ns(max(cost.ended_at for cost in timed))
        asset = self._assets.setdefault(work.asset_id, _Asset(work.uri, work.version, start, end))
        asset.start_ns, asset.end_ns = min(asset.start_ns, start), max(asset.end_ns, end)
        self._start, self._end = min(self._start, start), max(self._end, end)
        asset.goes += 1
        asset.failures += len(work.failures)
        parent = self._id(work.asset_id)
        if work.unit is not None:
            asset.units += 1
            parent = self._id(work.asset_id, str(asset.goes))
            yield Span(
                self.trace_id,
                parent,
                self._id(work.asset_id),
                _title(work.unit),
                start,
                end,
                {"gloss.asset_id": work.asset_id, **_facts(work.unit)},
                [_event(failure, end) for failure in work.failures],
                work.failures[0].reason if work.failures else None,
            )
        tokens = by_stage(work.costs)
        for place, cost in enumerate(timed):
            spent = tokens[cost.stage]
            yield Span(
                self.trace_id,
                self._id(work.asset_id, str(asset.goes), str(place)),
                parent,
                cost.stage,
                _ns(cost.started_at),
                _ns(max(cost.started_at, cost.ended_at)),
                {
                    "gloss.asset_id": work.asset_id,
                    "gloss.stage": cost.stage,
                    "gloss.seconds": cost.seconds,
                    "gloss.cpu_seconds": cost.cpu_seconds,
                    "gloss.items": cost.items,
                    "gloss.bytes": cost.bytes,
                    "gloss.input_tokens": spent.input_tokens,
                    "gloss.output_tokens": spent.output_tokens,
                },
            )

    def end(self, run: RunRow) -> Iterator[Span]:
        """Give the spans of assets, and of the run last."""
        for asset_id, asset in self._assets.items():
            yield Span(
                self.trace_id,
                self._id(asset_id),
                self._id(),
                "asset",
                asset.start_ns,
                asset.end_ns,
                {
                    "gloss.asset_id": asset_id,
                    "gloss.uri": asset.uri,
                    "gloss.version": asset.version,
                    "gloss.units": asset.units,
                    "gloss.failures": asset.failures,
                },
                error=f"{asset.failures} failures" if asset.failures else None,
            )
        finished = run.finished_at or run.started_at
        yield Span(
            self.trace_id,
            self._id(),
            None,
            "run",
            self._start,
            max(self._end, round(finished.timestamp() * 1e9)),
            {
                "gloss.run_id": self.run_id,
                "gloss.status": run.status,
                "gloss.discovered": run.discovered,
                "gloss.ok": run.ok,
                "gloss.partial": run.partial,
                "gloss.failed": run.failed,
                "gloss.skipped": run.skipped,
            },
            error=None if run.status == "finished" else run.message or run.status,
        )

    def _id(self, *parts: str) -> str:
        return digest("span", self.run_id, *parts)[:16]


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _title(unit: Unit) -> str:
    return "clip" if unit.kind == UnitKind.SPAN else str(unit.kind)


def _facts(unit: Unit) -> dict[str, Value]:
    known: Sequence[tuple[str, Value | None]] = (
        ("gloss.unit", unit.index),
        ("gloss.page", unit.page),
        ("gloss.start_seconds", unit.start_seconds),
        ("gloss.end_seconds", unit.end_seconds),
        ("gloss.clip", None if unit.look is None else unit.look.clip),
    )
    return {name: value for name, value in known if value is not None}


def _event(failure: Failure, at_ns: int) -> Event:
    told = {"gloss.stage": failure.stage, "gloss.reason": failure.reason, "gloss.message": failure.message}
    return Event("failure", at_ns, dict(told))


# --- OTLP as JSON -----------------------------------------------------------------------------


def otlp_json(spans: Sequence[Span], resource: dict[str, Value]) -> dict[str, object]:
    """Write spans as an OTLP request in JSON, as collectors read it from files.

    Ids are hexadecimal and 64-bit numbers strings, as the protocol has it.
    """
    scope = {"scope": {"name": "gloss"}, "spans": [_json(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _pairs(resource)}, "scopeSpans": [scope]}]}


def _json(span: Span) -> dict[str, object]:
    written: dict[str, object] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": 1,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _pairs(span.attributes),
        "events": [
            {
                "timeUnixNano": str(event.at_ns),
                "name": event.name,
                "attributes": _pairs(event.attributes),
            }
            for event in span.events
        ],
        "status": {} if span.error is None else {"code": 2, "message": span.error},
    }
    if span.parent_id is not None:
        written["parentSpanId"] = span.parent_id
    return written


def _pairs(attributes: dict[str, Value]) -> list[dict[str, object]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Value) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}
