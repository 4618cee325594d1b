"""Traces: the span tree is right, goes where it is wanted, and nowhere else."""

import importlib
import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.protobuf.json_format import Parse
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from reportlab.pdfgen.canvas import Canvas

from jobs import tracing
from jobs.ingest import run_ingest
from jobs.tracing import Tracing, endpoint_of, open_tracing
from operators.costs import Work
from operators.lake import Lake
from operators.trace import Span, TraceTree, otlp_json, trace_id
from schemas.config import ConfigError, load_config
from schemas.failure import Failure
from schemas.media import Unit
from schemas.observe import Observe
from schemas.perception import Cost
from tests.pages import drawn_pdf
from tests.rows import NOW, run_row

BEGAN = NOW.timestamp()
RUN = run_row(finished_at=NOW, status="finished")


class Receiver:
    """A collector on this machine, as OTLP over HTTP has it."""

    def __init__(self, answer: int = 200) -> None:
        """Listen, and answer everything with a status."""
        requests: list[ExportTraceServiceRequest] = []
        paths: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                paths.append(self.path)
                requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.requests, self.paths = requests, paths
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[Sent]:
        """All that has come."""
        return [
            span
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The same, for one test."""
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def a_page(canvas: Canvas) -> None:
    """A page with a text layer."""
    canvas.drawString(72, 700, "The lighthouse was painted white in 1931.")


def corpus(folder: Path) -> Path:
    """A document of three pages, and one that is none."""
    folder.mkdir()
    (folder / "paper.pdf").write_bytes(drawn_pdf(a_page, a_page, a_page))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    return folder


QUICK = ("speech.engine=off", "ocr.engine=off")


def test_a_run_is_a_tree_of_spans_at_a_collector(
    ray_cluster: None, receiver: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Run, asset, unit and stage: each within its parent, with its ids, and what it cost; and its log."""
    config = load_config(
        settings=[
            *QUICK, "observe.traces=otlp", f"observe.endpoint={receiver.endpoint}", "observe.logs=json"
        ]
    )  # fmt: skip
    lake = str(tmp_path / "lake")
    assert run_ingest([str(corpus(tmp_path / "in"))], lake, config) == 3

    with Lake(lake).connect() as connection:
        ((run_id,),) = connection.execute("SELECT run_id FROM runs").fetchall()
        costs = connection.execute("SELECT stage, sum(seconds) FROM costs GROUP BY stage").fetchall()
    assert set(receiver.paths) == {"/v1/traces"}
    spans = {span.span_id: span for span in receiver.spans}
    assert len(spans) == len(receiver.spans)
    assert {span.trace_id.hex() for span in spans.values()} == {trace_id(run_id)}
    (root,) = (span for span in spans.values() if not span.parent_span_id)
    assert root.name == "run"
    for span in spans.values():
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        if span is not root:
            parent = spans[span.parent_span_id]
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= parent.end_time_unix_nano
            assert (parent.name, span.name) in PAIRS
    names = [span.name for span in spans.values()]
    assert (names.count("asset"), names.count("page"), names.count("decode")) == (2, 3, 3)
    for stage, seconds in costs:
        told = sum(_attribute(span, "gloss.seconds") for span in spans.values() if span.name == stage)
        assert told == pytest.approx(seconds)
    (broken,) = (span for span in spans.values() if span.name == "nothing")
    assert broken.status.code == Status.STATUS_CODE_ERROR
    assert [event.name for event in broken.events] == ["failure"]
    (of_resource,) = {
        tuple((pair.key, pair.value.string_value) for pair in of_resource.resource.attributes)
        for request in receiver.requests
        for of_resource in request.resource_spans
    }
    assert {("service.name", "gloss"), ("gloss.run_id", run_id)} <= set(of_resource)

    # The cluster of the tests was there before and speaks beside it.
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (failure,) = (line for line in lines if line["event"] == "failure")
    assert failure["asset_id"] in {_text(span, "gloss.asset_id") for span in spans.values()}
    assert (failure["level"], failure["stage"], failure["run_id"]) == ("warning", "probe", run_id)
    assert (lines[-1]["event"], lines[-1]["ok"], lines[-1]["failed"]) == ("run_ended", 1, 1)


PAIRS = {
    ("run", "asset"), ("asset", "page"), ("asset", "nothing"), ("page", "probe"), ("page", "decode"),
    ("nothing", "probe"),
}  # fmt: skip


def _text(span: Sent, name: str) -> str | None:
    return next((str(pair.value.string_value) for pair in span.attributes if pair.key == name), None)


def _attribute(span: Sent, name: str) -> float:
    return float(next(pair.value.double_value for pair in span.attributes if pair.key == name))


def test_nothing_is_sent_unless_it_is_wanted(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the environment names a collector for other programs."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    assert open_tracing(load_config().observe, Lake(tmp_path / "lake"), "r0") is None
    assert receiver.requests == []


def test_the_environment_says_where_to(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does for every program that speaks OpenTelemetry."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    found = open_tracing(Observe(traces="otlp"), Lake(tmp_path / "lake"), "r0")
    assert found is not None
    assert found.end(RUN) is None
    assert [span.name for span in receiver.spans] == ["run"]


def test_a_file_holds_the_same_as_a_collector_gets(tmp_path: Path) -> None:
    """Each line is an OTLP request, as protobuf's own parser of JSON reads it, but for hexadecimal ids."""
    lake = Lake(tmp_path / "lake")
    found = open_tracing(Observe(traces="file"), lake, "r0")
    assert found is not None
    found.worked(work("a0", cost("ocr", 1.0, 2.0)))
    assert found.end(RUN) is None
    lines = (tmp_path / "lake/traces/r0.jsonl").read_text().splitlines()
    spans = [
        span
        for line in lines
        for span in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
        if Parse(line, ExportTraceServiceRequest())
    ]
    assert sorted(span["name"] for span in spans) == ["asset", "clip", "ocr", "run"]
    assert all(len(span["traceId"]) == 32 and len(span["spanId"]) == 16 for span in spans)


# --- the tree ---------------------------------------------------------------------------------


def cost(stage: str, start: float, end: float) -> Cost:
    """A cost of a stage, in seconds after the run began."""
    return Cost(stage, end - start, 1, started_at=BEGAN + start, ended_at=BEGAN + end)


CLIP = Unit(0, "span", 0.0, 60.0)


def work(asset_id: str, *costs: Cost, unit: Unit | None = CLIP) -> Work:
    """Work on a unit of an asset."""
    return Work(asset_id, "v0", f"file:///{asset_id}", costs, unit)


def all_spans(works: list[Work]) -> list[Span]:
    """Let a run do work, and end."""
    tree = TraceTree("r0", NOW)
    return [span for item in works for span in tree.worked(item)] + list(tree.end(RUN))


TIMES = st.floats(0, 1e5)
WORKS = st.builds(
    lambda asset, times, unit: work(asset, *(cost("ocr", min(pair), max(pair)) for pair in times), unit=unit),
    st.sampled_from("abc"),
    st.lists(st.tuples(TIMES, TIMES), max_size=4),
    st.sampled_from([None, Unit(0, "page", page=1), Unit(1, "span", 0.0, 60.0)]),
)


@given(st.lists(WORKS, max_size=10))
def test_every_span_lies_in_its_parent(works: list[Work]) -> None:
    """Whatever comes back in whatever order; the clocks of workers may run before the driver's."""
    spans = {span.span_id: span for span in all_spans(works)}
    assert len(spans) == len(all_spans(works))
    for span in spans.values():
        assert span.start_ns <= span.end_ns
        if span.parent_id is not None:
            assert spans[span.parent_id].start_ns <= span.start_ns
            assert span.end_ns <= spans[span.parent_id].end_ns
    assert sum(span.name == "ocr" for span in spans.values()) == sum(len(item.costs) for item in works)


def test_recalled_work_has_no_span() -> None:
    """It took no time in this run."""
    assert [span.name for span in all_spans([work("a0")])] == ["run"]


def test_a_failure_is_an_event_of_its_unit() -> None:
    """With stage, reason and message; its asset counts it."""
    failed = Work(
        "a0", "v0", "u", [cost("ocr", 0, 1)], Unit(0, "page", page=1), [Failure("ocr", "timeout", "Slow.")]
    )
    unit, _, asset, run = all_spans([failed])
    assert (unit.name, unit.error, unit.events[0].attributes["gloss.message"]) == ("page", "timeout", "Slow.")
    assert (asset.error, asset.attributes["gloss.failures"], run.error) == ("1 failures", 1, None)


def test_numbers_of_64_bits_are_strings() -> None:
    """As OTLP has it in JSON, whose numbers may lose digits."""
    (span,) = all_spans([])
    written = otlp_json([span], {"n": 2**60, "f": 0.5, "b": True})
    assert json.loads(json.dumps(written))["resourceSpans"][0]["resource"]["attributes"] == [
        {"key": "n", "value": {"intValue": str(2**60)}},
        {"key": "f", "value": {"doubleValue": 0.5}},
        {"key": "b", "value": {"boolValue": True}},
    ]


# --- what goes wrong --------------------------------------------------------------------------


class Slow:
    """A collector that takes nothing until it is let."""

    def __init__(self) -> None:
        """Hold."""
        self.go_on = threading.Event()
        self.taken = 0

    def send(self, spans: list[Span]) -> bool:
        """Wait, and refuse."""
        self.go_on.wait(10)
        self.taken += len(spans)
        return False

    def close(self) -> None:
        """Nothing is held."""


class Broken(Slow):
    """A collector whose client breaks."""

    def send(self, spans: list[Span]) -> bool:
        """Raise."""
        msg = f"no route for {len(spans)}"
        raise OSError(msg)


def test_a_client_that_breaks_is_named_at_the_end() -> None:
    """And the run is none the worse."""
    found = Tracing(TraceTree("r0", datetime.now(UTC)), Broken(), "somewhere")  # type: ignore[arg-type]
    assert found.end(RUN) == ("1 spans of the trace could not be handed to somewhere (no route for 1).")


def test_a_collector_that_is_away_costs_spans_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on, and says at its end how many did not arrive."""
    monkeypatch.setattr(tracing, "_QUEUE_SPANS", 10)
    slow = Slow()
    found = Tracing(TraceTree("r0", datetime.now(UTC)), slow, "somewhere")  # type: ignore[arg-type]
    for number in range(30):
        found.worked(work(f"a{number}", cost("ocr", 0, 1)))
    slow.go_on.set()
    said = found.end(RUN)
    assert said is not None
    # Two spans of each unit, one of each asset, and the run.
    assert said.startswith("91 spans of the trace could not be handed to somewhere")


@pytest.mark.parametrize(
    ("endpoint", "safe"),
    [
        ("https://collector.example.com", True),
        ("http://127.0.0.1:4318", True),
        ("http://[::1]:4318", True),
        ("http://localhost:4318", True),
        ("http://collector.example.com:4318", False),
        ("http://127.0.0.1.example.com", False),
        ("http://169.254.169.254", False),
        ("https://user:secret@collector.example.com", False),
        ("grpc://127.0.0.1:4317", False),
        ("http://127.0.0.1:port", False),
        ("collector", False),
    ],
)
def test_traces_leave_this_machine_by_https_alone(
    endpoint: str, safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They name files; the environment is held to the same."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    if safe:
        assert load_config(settings=[f'observe.endpoint="{endpoint}"']).observe.endpoint == endpoint
        assert endpoint_of(Observe(traces="otlp")) is None
        return
    with pytest.raises(ConfigError, match=r"observe\.endpoint"):
        load_config(settings=[f'observe.endpoint="{endpoint}"'])
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT") as caught:
        endpoint_of(Observe(traces="otlp"))
    assert "secret" not in str(caught.value)


def test_a_missing_extra_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.delitem(sys.modules, "jobs.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    config = load_config(settings=[*QUICK, "observe.traces=otlp"])
    with pytest.raises(ConfigError, match=r"pip install 'gloss\[observe\]'"):
        run_ingest([str(corpus(tmp_path / "in"))], str(tmp_path / "lake"), config)
    monkeypatch.undo()
    importlib.import_module("jobs.otlp")
    with Lake(tmp_path / "lake").connect() as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]
