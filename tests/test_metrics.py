"""Metrics: what Prometheus gets through Ray is what `runs` says, and the dashboard asks for nothing else."""

import json
import re
import time
import urllib.request
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from jobs.ingest import run_ingest
from operators.costs import Sum
from operators.lake import Lake
from operators.metrics import RunState, samples
from schemas.config import ConfigError, load_config
from schemas.metrics import METRICS, PREFIX
from schemas.perception import Filled
from tests.pages import drawn_pdf, picture_bytes, text_picture
from tests.test_traces import a_page

DASHBOARD: dict[str, Any] = json.loads(files("cluster").joinpath("grafana/dashboard.json").read_text())

REPORT_SECONDS = 40.0
"""Within which Ray hands a metric on; it does every ten seconds."""


def scrape(run_id: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Read the metrics of a run from each node's endpoint: by name, and values of labels of ours."""
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(lambda: defaultdict(float))
    labels = {metric.name: metric.labels for metric in METRICS}
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix(PREFIX)
                if sample.labels.get("run_id") == run_id:
                    key = tuple(sample.labels[label] for label in labels.get(name, ("stage",)))
                    found[name][key] += sample.value
    return found


@pytest.mark.timeout(200)
def test_prometheus_gets_what_runs_says(ray_cluster: None, tmp_path: Path) -> None:
    """Files by outcome, failures by reason, units, and seconds and items by stage, of a real run."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "paper.pdf").write_bytes(drawn_pdf(a_page, a_page))
    (source / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    for number in range(2):
        picture = text_picture(f"Poster {number}", (320, 96))
        (source / f"poster-{number}.png").write_bytes(picture_bytes(picture, "PNG"))
    settings = ["speech.engine=off", "observe.metrics=true", "observe.metrics_seconds=0.5"]
    lake = str(tmp_path / "lake")
    assert run_ingest([str(source)], lake, load_config(settings=settings)) == 3

    with Lake(lake).connect() as connection:
        ((run_id, ok, failed, units, stages, reasons),) = connection.execute(
            "SELECT run_id, ok, failed, units, stages, failures_by_reason FROM runs"
        ).fetchall()
        ((used,),) = connection.execute("SELECT sum(cpu_seconds) FROM costs").fetchall()
        ((placed, items),) = connection.execute("SELECT sum(places), sum(batched) FROM costs").fetchall()
    wanted = {("ok",): ok, ("failed",): failed}
    until = time.monotonic() + REPORT_SECONDS
    while (found := scrape(run_id)).get("gloss_files_total") != wanted and time.monotonic() < until:
        time.sleep(0.5)
    assert found["gloss_files_total"] == wanted
    assert found["gloss_files_discovered"] == {(): 4}
    assert found["gloss_failures_total"] == {(item["name"],): item["count"] for item in reasons}
    assert found["gloss_units_total"] == {("computed",): units}
    for name in ("seconds", "items"):
        assert found[f"gloss_stage_{name}_total"] == pytest.approx(
            {(stage["stage"],): stage[name] for stage in stages if stage[name]}
        )
    assert sum(found["gloss_stage_cpu_seconds_total"].values()) == pytest.approx(used)
    assert found["gloss_batch_fill"] == pytest.approx({("ocr",): items / placed})
    assert 0 <= found["gloss_padding_waste"]["ocr",] < 0.5
    assert found["gloss_queue_depth"]["commits",] == 0
    assert found["gloss_rows_total"]["assets",] == 4
    assert found["gloss_unit_seconds_count"]["decode",] == 4


COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 100), max_size=3)
SUMS = st.builds(
    lambda seconds, items, places, length, more: Sum(
        seconds=seconds, items=items, filled=Filled(items, items + places, length, length + more)
    ),
    *(st.integers(0, 100) for _ in range(5)),
)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.dictionaries(st.sampled_from("xyz"), SUMS, max_size=3))
def test_samples_are_of_metrics_that_are_declared(
    files: dict[str, int],
    failures: dict[str, int],
    units: dict[str, int],
    rows: dict[str, int],
    queues: dict[str, int],
    stages: dict[str, Sum],
) -> None:
    """With the labels they are declared with; shares are shares."""
    state = RunState(9, files, failures, units, rows, stages, {"x": 0.5}, queues)
    declared = {metric.name: metric.labels for metric in METRICS}
    for (name, labels), value in samples(state).items():
        assert tuple(key for key, _ in labels) == declared[name]
        if name in ("gloss_batch_fill", "gloss_padding_waste"):
            assert 0 <= value <= 1


def test_what_is_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any work, with the command that installs it."""
    monkeypatch.setattr("cluster.metrics._AGENT", ("a_package_that_is_none",))
    (tmp_path / "a.txt").write_text("x")
    config = load_config(settings=["speech.engine=off", "observe.metrics=true"])
    with pytest.raises(ConfigError, match=r"a_package_that_is_none.*gloss\[observe\]"):
        run_ingest([str(tmp_path / "a.txt")], str(tmp_path / "lake"), config)


# --- the dashboard ----------------------------------------------------------------------------

_QUERY = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
_NAME = re.compile(r"\b(ray_[a-z_]+)(?:\{([^}]*)\})?")
_EMITTED = {f"{PREFIX}{metric.name}": metric for metric in METRICS} | {
    f"{PREFIX}{metric.name}_{part}": metric
    for metric in METRICS
    if metric.kind == "histogram"
    for part in ("bucket", "sum", "count")
}


def test_the_dashboard_asks_for_metrics_that_are_emitted() -> None:
    """All of them, by their labels; counters by rate or as totals, never a gauge by rate."""
    asked = set()
    for query in _QUERY:
        ((name, chosen),) = _NAME.findall(query)
        metric = _EMITTED[name]
        asked.add(metric.name)
        assert chosen == 'run_id=~"$run_id"'
        known = {"run_id", *metric.labels} | ({"le"} if metric.kind == "histogram" else set())
        grouped = re.search(r"by \(([a-z_, ]+)\)", query)
        assert grouped is None or set(grouped.group(1).split(", ")) <= known
        assert ("rate(" in query) <= (metric.kind != "gauge")
    assert asked == {metric.name for metric in METRICS}


def test_the_dashboard_is_sound() -> None:
    """Panels do not overlap, have ids of their own and a unit; variables that are used exist."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    variables = {item["name"] for item in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) - {"__rate_interval"}
    assert used == variables == {"datasource", "run_id"}
    assert {"title", "uid", "schemaVersion", "time"} <= set(DASHBOARD)
    assert all(panel["fieldConfig"]["defaults"]["unit"] and panel["title"] for panel in panels)
