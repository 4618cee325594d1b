"""What a run has spent is known by asset and stage, adds up, and is paid once."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from jobs.compact import run_compact
from jobs.ingest import run_ingest
from jobs.json_log import speak
from jobs.output import complain
from jobs.settle import say
from jobs.verify import check_lake
from operators.asked import INPUT_TOKENS, OUTPUT_TOKENS
from operators.commit import append_files, put_run
from operators.costs import Costs, Sum, Work, by_stage, money
from operators.halving import Halving
from operators.isolate import Bounds, Sandbox
from operators.lake import Lake
from operators.stopwatch import Stopwatch
from operators.write import rows_of, write_rows
from schemas.config import Config, Limits, load_config
from schemas.failure import InputError
from schemas.perception import Cost, Filled
from schemas.tables import StageCost
from tests.conftest import Ingested
from tests.pages import drawn_pdf
from tests.rows import cost_row, run_row
from tests.working import work, work_and_die

pytestmark = pytest.mark.timeout(600)
"""Some wait for runs in processes of their own."""

PRICED = load_config(
    settings=[
        "prices.cpu_hour=3.6", "prices.gpu_hour=36", "prices.input_tokens=1", "prices.output_tokens=2",
        "vision.input_price=10", "vision.output_price=20",
    ]
)  # fmt: skip

# --- arithmetic -------------------------------------------------------------------------------

SECONDS = st.floats(0, 1e4)
COSTS = st.builds(
    Cost,
    st.sampled_from(["decode", "ocr", "vlm", "summarise", INPUT_TOKENS, OUTPUT_TOKENS, "summary_caught"]),
    SECONDS,
    st.integers(0, 10**6),
    st.integers(0, 10**9),
    SECONDS,
    fetched_bytes=st.integers(0, 10**9),
    filled=st.builds(Filled, st.integers(0, 9), SECONDS, SECONDS, SECONDS),
)
WORK = st.builds(
    Work, st.sampled_from("abc"), st.sampled_from(["v0", "v1"]), st.just("u"), st.lists(COSTS, max_size=5)
)


@given(st.lists(WORK, max_size=12), st.sets(st.integers(0, 11)))
def test_rows_add_up_to_the_whole_however_often_they_are_written(work: list[Work], written: set[int]) -> None:
    """Over assets and commits, each stage's rows are what the run has spent, and nothing is told twice."""
    costs = Costs("r0", PRICED, {"ocr": 0.25})
    rows = []
    for place, item in enumerate(work):
        costs.add(item)
        if place in written:
            rows += costs.take()
    rows += costs.take()
    assert costs.take() == []
    assert {row.stage for row in rows} == set(costs.stages)
    for stage, spent in costs.stages.items():
        mine = [row for row in rows if row.stage == stage]
        assert sum(row.seconds for row in mine) == pytest.approx(spent.seconds)
        assert sum(row.cpu_seconds for row in mine) == pytest.approx(spent.cpu_seconds)
        assert sum(row.gpu_seconds for row in mine) == pytest.approx(spent.seconds * (stage == "ocr") / 4)
        assert sum(row.places for row in mine) == pytest.approx(spent.filled.places)
        for name in ("items", "bytes", "fetched_bytes", "input_tokens", "output_tokens"):
            assert sum(getattr(row, name) for row in mine) == getattr(spent, name)
        whole = money(stage, spent, costs.gpu_seconds(stage, spent), PRICED)
        assert sum(row.money or 0 for row in mine) == pytest.approx(whole)


def test_tokens_belong_to_the_stage_that_used_them() -> None:
    """Looks and summaries count them under the same names."""
    tokens = [Cost(INPUT_TOKENS, 0.0, 7), Cost(OUTPUT_TOKENS, 0.0, 3)]
    looked = by_stage([Cost("decode", 1.0), Cost("vlm", 2.0), *tokens])
    written = by_stage([Cost("summarise", 2.0, 1), *tokens, Cost("summary_caught", 0.0, 5)])
    assert (looked["vlm"].input_tokens, looked["decode"].input_tokens, looked["vlm"].output_tokens) == (
        7,
        0,
        3,
    )
    assert (written["summarise"].input_tokens, set(written)) == (7, {"summarise"})


def test_money_is_by_the_prices_of_the_configuration() -> None:
    """Tokens of pictures have prices of their own; without any price there is no money, not none of it."""
    spent = Sum(cpu_seconds=1000.0, input_tokens=10**6, output_tokens=10**6)
    assert money("ocr", Sum(cpu_seconds=1000.0), 100.0, PRICED) == pytest.approx(1.0 + 1.0)
    assert money("vlm", spent, 0.0, PRICED) == pytest.approx(1.0 + 30)
    assert money("summarise", spent, 0.0, PRICED) == pytest.approx(1.0 + 3)
    assert money("ocr", spent, 100.0, Config()) is None
    fetched = load_config(settings=["prices.fetched_gb=0.1"])
    assert money("decode", Sum(fetched_bytes=2 * 10**9), 0.0, fetched) == pytest.approx(0.2)


def test_batches_tell_how_full_they_were_and_how_much_was_padding() -> None:
    """Five items in batches of four: eight places; of each batch all are as long as its longest."""
    found = Halving(4, "words").run([[0, 1, 2, 3], [4]], lambda batch: batch, [10, 10, 5, 5, 3])
    filled = [found[index].filled for index in range(5)]
    assert sum(item.items for item in filled) == 5
    assert sum(item.places for item in filled) == pytest.approx(8)
    assert (sum(item.length for item in filled), sum(item.padded for item in filled)) == (33, 43)


# --- processors -------------------------------------------------------------------------------


def test_work_of_children_is_counted_also_of_those_that_die() -> None:
    """This process does nothing but wait, and still its stopwatch tells what the child used."""
    sandbox = Sandbox(Bounds.of(Limits()))
    list(sandbox.run(work, 0, 0.0))
    watch = Stopwatch()
    list(sandbox.run(work, 3, 0.2))
    steady = watch.read()
    assert 0.6 <= steady.cpu_seconds < 0.6 + 0.3
    assert sandbox.spent.started_at >= steady.started_at
    assert sandbox.spent.ended_at <= steady.ended_at + 0.01

    watch.restart()
    assert watch.read().cpu_seconds < 0.05
    with pytest.raises(InputError):
        list(sandbox.run(work_and_die, 0.4))
    assert 0.4 <= watch.read().cpu_seconds < 0.4 + 0.3


# --- runs -------------------------------------------------------------------------------------


def query(lake: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask the views of a lake."""
    with Lake(lake).connect() as connection:
        return connection.execute(sql).fetchall()


STAGES = """
    SELECT stage, round(sum(seconds), 6), sum(items), sum(bytes) FROM costs WHERE run_id = '{run}'
    GROUP BY stage ORDER BY stage"""


def test_assets_add_up_to_the_run(ingested: Ingested) -> None:
    """By stage, in seconds, items and bytes; every file that was looked at has its costs, and CPU time."""
    ((run, stages),) = query(ingested.lake, "SELECT run_id, stages FROM runs ORDER BY started_at LIMIT 1")
    assert isinstance(stages, list)
    assert query(ingested.lake, STAGES.format(run=run)) == [
        (row["stage"], round(row["seconds"], 6), row["items"], row["bytes"]) for row in stages
    ]
    lacking = "SELECT count(*) FROM assets WHERE asset_id NOT IN (SELECT asset_id FROM costs)"
    assert query(ingested.lake, lacking) == [(0,)]
    used = dict(query(ingested.lake, "SELECT stage, sum(cpu_seconds) FROM costs GROUP BY stage"))
    assert all(isinstance(used[stage], float) and used[stage] > 0.05 for stage in ("decode", "ocr", "probe"))
    ordered = "SELECT count(*) FROM costs WHERE started_at > ended_at OR started_at IS NULL"
    assert query(ingested.lake, ordered) == [(0,)]


def test_an_unchanged_night_costs_nothing(ingested: Ingested, tmp_path: Path) -> None:
    """Not one row is added, and what was spent before stays."""
    lake = str(shutil.copytree(ingested.lake, tmp_path / "lake"))
    before = query(lake, "SELECT * FROM costs ORDER BY ALL")
    run_ingest([str(ingested.corpus)], lake, ingested.config)
    assert query(lake, "SELECT * FROM costs ORDER BY ALL") == before
    assert query(lake, "SELECT count(*) FROM runs") == [(2,)]


SETTINGS = (
    "speech.engine=off", "documents.text_layer=never", "store.commit_seconds=0", "observe.logs=json"
)  # fmt: skip


_PAGES = 80


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, object]]]:
    """A lake whose run was killed when a part of its work was durable, and what it had logged."""
    root = tmp_path_factory.mktemp("killed")
    # So many that when the first are durable the last are not read.
    sheets = [drawn_pdf(*(_sheet(number, page) for page in range(_PAGES // 2))) for number in range(2)]
    for number, sheet in enumerate(sheets):
        (root / f"sheets-{number}.pdf").write_bytes(sheet)
    lake = root / "lake"
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [
        sys.executable, "-m", "jobs.cli", "ingest", *map(str, root.glob("*.pdf")), "--lake", str(lake),
        *words,
    ]  # fmt: skip
    log = root / "log"
    with log.open("wb") as stderr:
        run = subprocess.Popen(command, stderr=stderr)
        until = time.monotonic() + 200
        while run.poll() is None and time.monotonic() < until:
            if len(list(lake.glob("units/_delta_log/*.json"))) >= 2:
                break
            time.sleep(0.02)
        assert run.poll() is None, log.read_text()
        run.kill()
        run.wait()
    return str(lake), [json.loads(line) for line in log.read_text().splitlines()]


def _sheet(number: int, page: int) -> Callable[[Canvas], None]:
    return lambda canvas: canvas.drawString(
        20, 60, f"Page {page} of sheet {number} says {number * 37 + page}."
    )


def test_work_is_paid_once_across_a_kill(
    killed: tuple[str, list[dict[str, object]]], ray_cluster: None
) -> None:
    """What the dead run left was paid by it; the next pays for the rest, and only for that."""
    lake, _ = killed
    sources = [str(path) for path in Path(lake).parent.glob("*.pdf")]
    ((first,),) = query(lake, "SELECT run_id FROM runs")
    kept = "SELECT count(*) FROM units WHERE run_id = '{run}'"
    paid = "SELECT coalesce(sum(items), 0) FROM costs WHERE run_id = '{run}' AND stage = 'ocr'"
    ((durable,),) = query(lake, kept.format(run=first))
    ((before,),) = query(lake, paid.format(run=first))
    assert isinstance(durable, int)
    assert 0 < durable < _PAGES
    # Costs come first: what is durable was paid.
    assert isinstance(before, int)
    assert durable <= before <= _PAGES

    assert run_ingest(sources, lake, load_config(settings=SETTINGS)) == 0

    ((second,),) = query(lake, f"SELECT run_id FROM runs WHERE run_id <> '{first}'")
    assert query(lake, paid.format(run=second)) == [(_PAGES - durable,)]
    assert query(lake, paid.format(run=first)) == [(before,)]
    # All assets of both runs, and no row of one that is none.
    assert query(lake, "SELECT count(DISTINCT asset_id) FROM costs JOIN assets USING (asset_id)") == [(2,)]
    assert not [finding for finding in check_lake(Lake(lake)) if finding.check == "costs"]


def test_logs_are_json_with_their_run(killed: tuple[str, list[dict[str, object]]]) -> None:
    """Every line of stderr is an object, progress included, and bears the id of the run."""
    lake, lines = killed
    ((first,),) = query(lake, "SELECT min(run_id) FROM runs")
    assert {line["run_id"] for line in lines} == {first}
    assert {line["level"] for line in lines} <= {"info", "warning", "error"}
    assert [line["event"] for line in lines][:2] == ["run_started", "step"]
    assert {"at", "message"} <= set.intersection(*(set(line) for line in lines))


def test_what_is_said_before_the_run_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A notice, and an error; other commands speak plainly again."""
    speak("json")
    say("Speech is not recognised.")
    complain("Wanted a lake.")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "Speech is not recognised."), ("error", "Wanted a lake."),
    ]  # fmt: skip
    speak("text")
    complain("Wanted a lake.")
    assert capsys.readouterr().err == "gloss: Wanted a lake.\n"


# --- the table --------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with what two runs and three commits have cost."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    append_files(lake, rows_of([write_rows(lake, "costs", [cost_row(), cost_row(asset_id="gone")])]))
    append_files(lake, rows_of([write_rows(lake, "costs", [cost_row(seconds=5.0)])]))
    append_files(lake, rows_of([write_rows(lake, "costs", [cost_row(run_id="r1", version="v1")])]))
    put_run(lake, run_row(stages=[StageCost("ocr", 25.0, 10, 0)]))
    lake.write_views()
    return lake


def test_the_view_has_a_row_for_each_run_asset_and_stage(lake: Lake) -> None:
    """Of earlier versions, and of assets that are gone, too; also after compaction."""
    sql = "SELECT asset_id, run_id, version, seconds, items FROM costs ORDER BY ALL"
    wanted = [("a0", "r0", "v0", 15.0, 10), ("a0", "r1", "v1", 10.0, 5), ("gone", "r0", "v0", 10.0, 5)]
    assert query(lake.uri, sql) == wanted
    run_compact(lake.uri)
    assert len(lake.files("costs")) == 1
    assert query(lake.uri, sql) == wanted


def test_rows_that_are_lost_are_noticed(lake: Lake) -> None:
    """The run says what it has cost; nothing has to be read again for it."""
    assert not [finding for finding in check_lake(lake) if finding.check == "costs"]
    put_run(lake, run_row(stages=[StageCost("ocr", 35.0, 10, 0)]))
    (finding,) = [finding for finding in check_lake(lake) if finding.check == "costs"]
    assert (finding.severity, finding.assets) == ("info", [])
    assert "r0" in finding.what
