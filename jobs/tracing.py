"""Spans of a run go into a file of its lake, or to a collector of OpenTelemetry.

Off unless it is configured. A collector that is slow or away never holds a run up: spans wait in a
bounded queue for a thread that sends them, and what finds no place is counted and said at the end.
"""

import json
import os
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from operators.costs import Work
from operators.lake import Lake
from operators.retrying import one_line
from operators.trace import Span, TraceTree, Value, otlp_json
from schemas.observe import Observe, is_safe_endpoint
from schemas.section import ConfigError
from schemas.tables import RunRow

_BATCH_SPANS = 512
_QUEUE_SPANS = 20_000
"""Some ten megabytes; a unit makes three to five spans."""

_SEND_SECONDS = 2.0
"""How long spans wait for others to be sent with."""

_END_SECONDS = 15.0
"""How long the end of a run waits for what is still to be sent."""

_ENVIRONMENT = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Sink(Protocol):
    """Takes spans to somebody."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Hand spans over; tell whether they have arrived."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Tracing:
    """The trace of one run. Spans come from any thread and are sent by one."""

    def __init__(self, tree: TraceTree, sink: Sink, where: str) -> None:
        """Begin.

        Args:
            tree: Makes spans.
            sink: Takes them.
            where: They go, for messages.
        """
        self._tree = tree
        self._sink = sink
        self._where = where
        self._lost, self._why = 0, ""
        self._lock = threading.Lock()
        self._queue: queue.Queue[Span | None] = queue.Queue(_QUEUE_SPANS)
        self._thread = threading.Thread(target=self._work, name="tracing", daemon=True)
        self._thread.start()

    def worked(self, work: Work) -> None:
        """Something came back."""
        with self._lock:
            self._put(self._tree.worked(work))

    def end(self, run: RunRow) -> str | None:
        """End the run's span; return what has to be said about spans that did not arrive."""
        with self._lock:
            self._put(self._tree.end(run), wait_seconds=_END_SECONDS)
        try:
            self._queue.put(None, timeout=_END_SECONDS)
            self._thread.join(_END_SECONDS)
        except queue.Full:
            pass
        rest = self._queue.qsize()
        if not (lost := self._lost + rest):
            return None
        return f"{lost} spans of the trace could not be handed to {self._where}{self._why}."

    def _put(self, spans: Iterable[Span], wait_seconds: float = 0.0) -> None:
        until = time.monotonic() + wait_seconds
        for span in spans:
            try:
                self._queue.put(span, timeout=max(0.001, until - time.monotonic()))
            except queue.Full:
                self._lost += 1

    def _work(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._next()
            if batch and not self._send(batch):
                self._lost += len(batch)
        self._sink.close()

    def _send(self, batch: Sequence[Span]) -> bool:
        try:
            return self._sink.send(batch)
        except Exception as error:  # whatever a collector does, the run goes on; its end says this
            self._why = f" ({one_line(error)})"
            return False

    def _next(self) -> tuple[list[Span], bool]:
        batch: list[Span] = []
        until = time.monotonic() + _SEND_SECONDS
        while len(batch) < _BATCH_SPANS and (left := until - time.monotonic()) > 0:
            try:
                span = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if span is None:
                return batch, True
            batch.append(span)
        return batch, False


def open_tracing(observe: Observe, lake: Lake, run_id: str) -> Tracing | None:
    """Begin the trace of a run, if one is wanted.

    Args:
        observe: The section.
        lake: Where a file of spans goes.
        run_id: Of the run.

    Raises:
        ConfigError: What it takes is not installed, or the collector may not be sent to.
    """
    if observe.traces == "off":
        return None
    tree = TraceTree(run_id, datetime.now(UTC))
    if observe.traces == "file":
        place = f"{lake.root}/traces/{run_id}.jsonl"
        return Tracing(tree, _File(lake, place, run_id), place)
    sink, where = _collector(observe, run_id)
    return Tracing(tree, sink, where)


def _resource(run_id: str) -> dict[str, Value]:
    try:
        release = version("gloss")
    except PackageNotFoundError:
        release = "0"
    return {"service.name": "gloss", "service.version": release, "gloss.run_id": run_id}


class _File:
    """A file of the lake, each line an OTLP request in JSON."""

    def __init__(self, lake: Lake, place: str, run_id: str) -> None:
        self._resource = _resource(run_id)
        lake.filesystem.makedirs(place.rpartition("/")[0], exist_ok=True)
        self._file = lake.filesystem.open(place, "wb")

    def send(self, spans: Sequence[Span]) -> bool:
        try:
            self._file.write(json.dumps(otlp_json(spans, self._resource)).encode() + b"\n")
            self._file.flush()
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._file.close()


def endpoint_of(observe: Observe) -> str | None:
    """Return where spans go; null for this machine's default.

    Raises:
        ConfigError: The environment names a place where they could be read on the way.
    """
    if observe.endpoint is not None:
        return f"{observe.endpoint.rstrip('/')}/v1/traces"
    for name in _ENVIRONMENT:
        if (found := os.environ.get(name, "")) and not is_safe_endpoint(found):
            msg = (
                f"Wanted https://HOST, or http:// on this machine, in {name}, because traces name files; "
                "found something else. Set observe.endpoint, or observe.traces=file."
            )
            raise ConfigError(msg)
    return None


def _collector(observe: Observe, run_id: str) -> tuple[Sink, str]:
    endpoint = endpoint_of(observe)
    try:
        from jobs.otlp import Collector
    except ImportError as error:
        msg = (
            f"Wanted OpenTelemetry for observe.traces=otlp; {one_line(error)}. "
            "Install it: pip install 'gloss[observe]', or set observe.traces=file."
        )
        raise ConfigError(msg) from None
    return Collector(endpoint, _resource(run_id)), endpoint or "the collector"
