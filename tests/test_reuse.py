"""Nothing is computed twice: not after a rename, not for a copy, not after a death, not for a summary."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jobs.chain
from jobs.ingest import run_ingest
from jobs.plan import Selection
from operators.commit import put_run
from operators.lake import Lake
from schemas.config import Config, load_config
from tests.conftest import EXAMPLES
from tests.rows import run_row

CORPUS = EXAMPLES / "corpus"
PDF, PICTURE, VIDEO = "bakery-handbook.pdf", "bookshop-receipt.png", "observatory-night.mp4"

CONTENT = "SELECT title, summary, status, clip_count, segment_count, content_hash FROM assets ORDER BY ALL"
TEXT = "SELECT clip, page, time_seconds, text, x0, y0 FROM text_regions ORDER BY ALL"


def config(*settings: str) -> Config:
    """Every result is committed at once; pictures are not recognised unless said otherwise."""
    return load_config("embedded", None, ["store.commit_seconds=0", "ocr.engine=off", *settings])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A document, a picture and a video."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in (PDF, PICTURE, VIDEO):
        shutil.copy(CORPUS / name, folder / name)
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Where it goes."""
    return Lake(tmp_path / "lake")


def ingest(corpus: Path, lake: Lake, *settings: str, **flags: Any) -> int:
    """Run the job."""
    return run_ingest([str(corpus)], lake.uri, config(*settings), **flags)


def last_run(lake: Lake) -> dict[str, Any]:
    """The newest row of `runs`."""
    found = lake.connect().execute("SELECT * FROM runs ORDER BY started_at DESC LIMIT 1")
    names = [column[0] for column in found.description or []]
    (row,) = found.fetchall()
    return dict(zip(names, row, strict=True))


def rows(lake: Lake, sql: str, *tables: str) -> list[tuple[Any, ...]]:
    """Ask the lake; with tables named, no other is opened."""
    return lake.connect(*tables).execute(sql).fetchall()


def work(lake: Lake) -> tuple[int, int]:
    """Units that the last run computed, and those that it found."""
    run = last_run(lake)
    return run["units"], run["recalled"]


def test_renamed_and_copied_files_compute_nothing(corpus: Path, lake: Lake) -> None:
    """Their bytes were read before: only composing is done, with the same result."""
    assert ingest(corpus, lake) == 0
    units, _ = work(lake)
    before = rows(lake, CONTENT), rows(lake, TEXT)

    (corpus / "sub").mkdir()
    (corpus / PDF).rename(corpus / "sub" / "renamed.pdf")
    shutil.copy(corpus / VIDEO, corpus / "sub" / "copy.mp4")
    assert ingest(corpus, lake, prune=True) == 0

    assert work(lake)[0] == 0
    assert work(lake)[1] > 0
    assert last_run(lake)["stages"] == [] or {stage["stage"] for stage in last_run(lake)["stages"]} == {
        "probe"
    }
    assert len(rows(lake, "SELECT * FROM units")) == units
    assert {row[0] for row in rows(lake, "SELECT DISTINCT content_hash FROM assets")} == {
        row[-1] for row in before[0]
    }
    (corpus / "sub" / "copy.mp4").unlink()
    (corpus / "sub" / "renamed.pdf").rename(corpus / PDF)
    assert ingest(corpus, lake, prune=True) == 0
    assert (rows(lake, CONTENT), rows(lake, TEXT)) == before


def test_copies_in_one_run_are_read_once(corpus: Path, lake: Lake) -> None:
    """Three copies of a document cost the units of one."""
    for name in ("second.pdf", "third.pdf"):
        shutil.copy(corpus / PDF, corpus / name)
    assert ingest(corpus, lake) == 0

    pages = rows(lake, "SELECT page_count FROM assets WHERE kind = 'document'")
    assert len(pages) == 3
    computed, recalled = work(lake)
    assert recalled == 2 * pages[0][0]
    assert computed == len(rows(lake, "SELECT * FROM units"))
    assert len(rows(lake, "SELECT DISTINCT title, summary FROM assets WHERE kind = 'document'")) == 1


def test_other_summary_reads_no_file(corpus: Path, lake: Lake) -> None:
    """With bytes exchanged behind an unchanged listing, summaries still come from what was read."""
    assert ingest(corpus, lake) == 0
    text = rows(lake, TEXT)
    for name in (PDF, PICTURE, VIDEO):
        status = (corpus / name).stat()
        (corpus / name).write_bytes(bytes(status.st_size))
        os.utime(corpus / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ingest(corpus, lake, "summary.asset_sentences=1") == 0

    assert work(lake)[0] == 0
    assert rows(lake, TEXT) == text
    sentences = "SELECT asset_id, count(*) FROM citations WHERE level = 'asset' GROUP BY 1"
    assert {count for _, count in rows(lake, sentences)} == {1}


def test_other_recogniser_leaves_text_layers_alone(corpus: Path, lake: Lake) -> None:
    """Pages that needed no recognition keep their words; the others are done again."""
    assert ingest(corpus, lake) == 0
    layered = rows(lake, "SELECT count(*) FROM clips WHERE text_source = 'text_layer'")[0][0]
    assert layered > 0
    assert ingest(corpus, lake, "ocr.min_confidence=0.6") == 0

    assert work(lake)[1] == rows(lake, "SELECT count(*) FROM units WHERE stage = 'decode'")[0][0] >= layered
    stages = {stage["stage"] for stage in last_run(lake)["stages"]}
    assert "decode" in stages


@pytest.mark.parametrize("part", ["values", "footer"])
@pytest.mark.parametrize("table", ["units", "plans"])
def test_damaged_finished_work_is_done_again(
    corpus: Path, lake: Lake, table: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flipped byte in what is recalled costs computing it again; no file fails, no word differs."""
    assert ingest(corpus, lake) == 0
    text = rows(lake, TEXT)
    for name in lake.files(table):
        content = bytearray(Path(name).read_bytes())
        footer = int.from_bytes(content[-8:-4], "little")  # its length, then the magic word
        content[len(content) - 8 - footer if part == "footer" else _in_values(name)] ^= 0xFF
        Path(name).write_bytes(content)

    monkeypatch.setattr("jobs.plan.COMPOSITION", "another version of Gloss")  # so that all is cut again
    assert ingest(corpus, lake) == 0
    assert rows(lake, TEXT, "text_regions") == text
    assert rows(lake, "SELECT DISTINCT status FROM assets", "assets") == [("ok",)]


def _in_values(name: str) -> int:
    """Find the middle of the largest column, which no header of a page is."""
    group = pq.ParquetFile(name).metadata.row_group(0)
    largest = max(map(group.column, range(group.num_columns)), key=lambda one: one.total_compressed_size)
    return int(largest.data_page_offset + largest.total_compressed_size // 2)


class Dying:
    """The pipeline, until it dies after some units."""

    def __init__(self, after: int | None = None) -> None:
        """Say after how many units."""
        self.after = after
        self.perceive = jobs.chain.perceive

    def __call__(self, *arguments: Any, **flags: Any) -> Iterator[pa.Table]:
        """Give units one by one, then fail."""
        given = 0
        for table in self.perceive(*arguments, **flags):
            for position in range(table.num_rows):
                yield table.slice(position, 1)
                given += 1
                if given == self.after:
                    msg = "the power failed"
                    raise ArithmeticError(msg)


def test_run_goes_on_at_the_unit_it_had_reached(
    corpus: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video of ten spans whose run dies at the fourth is not begun anew."""
    for name in (PDF, PICTURE):
        (corpus / name).unlink()
    settings = ("sampling.span_seconds=2", "sampling.clip_seconds=2")
    monkeypatch.setattr(jobs.chain, "perceive", Dying(4))
    assert ingest(corpus, lake, *settings) == 1
    assert last_run(lake)["status"] == "failed"
    assert "the power failed" in last_run(lake)["message"]
    assert rows(lake, "SELECT count(*) FROM assets") == [(0,)]
    monkeypatch.undo()

    assert ingest(corpus, lake, *settings) == 0
    total = rows(lake, "SELECT len(units) FROM plans")[0][0]
    assert total >= 8
    assert work(lake) == (total - 4, 4)
    resumed = rows(lake, CONTENT), rows(lake, TEXT)
    fresh = Lake(Path(lake.uri).parent / "fresh")
    assert ingest(corpus, fresh, *settings) == 0
    assert (rows(fresh, CONTENT), rows(fresh, TEXT)) == resumed


class Stuck(Dying):
    """The pipeline, until nothing more comes out of it."""

    def __call__(self, *arguments: Any, **flags: Any) -> Iterator[pa.Table]:
        """Give two units, which are there already, then hang for longer than any test waits."""
        units = super().__call__(*arguments, **flags)
        first = [next(units), next(units)]

        def give() -> Iterator[pa.Table]:
            yield from first
            threading.Event().wait(3600)

        return give()


def test_stuck_pipeline_ends_the_run_with_all_that_was_finished(
    corpus: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The stall is said; what had come back is in the lake and is not done again."""
    monkeypatch.setattr(jobs.chain, "perceive", Stuck())
    assert ingest(corpus, lake, "run.stall_seconds=3") == 1
    monkeypatch.undo()

    assert "Stalled: Nothing came out of the pipeline" in capfd.readouterr().err
    run = last_run(lake)
    assert run["status"] == "failed"
    assert run["ok"] + run["failed"] + run["partial"] + run["skipped"] == run["discovered"]
    assert rows(lake, "SELECT count(*) FROM units") == [(2,)]
    assert ingest(corpus, lake) == 0
    assert rows(lake, "SELECT count(*) = count(DISTINCT unit_id) FROM units") == [(True,)]


def test_part_of_the_corpus_can_be_done(corpus: Path, lake: Lake) -> None:
    """The rest is counted as not selected, and is what the next run does."""
    assert ingest(corpus, lake, selection=Selection(limit=1, shuffle_seed=5)) == 0
    run = last_run(lake)
    assert (run["discovered"], run["ok"], run["skipped"]) == (3, 1, 2)
    assert run["skipped_by_reason"] == [{"name": "not_selected", "count": 2}]

    os.utime(corpus / PDF, (1, 1))
    assert ingest(corpus, lake, selection=Selection(since_ns=10**15)) == 0
    assert ingest(corpus, lake) == 0
    assert rows(lake, "SELECT count(*) FROM assets") == [(3,)]


def test_vanished_files_go_when_that_is_asked(corpus: Path, lake: Lake) -> None:
    """They are counted first, then removed with everything about them."""
    assert ingest(corpus, lake) == 0
    (corpus / PICTURE).unlink()
    assert ingest(corpus, lake) == 0
    assert (last_run(lake)["vanished"], last_run(lake)["pruned"]) == (1, 0)
    assert rows(lake, "SELECT count(*) FROM assets") == [(3,)]

    assert ingest(corpus, lake, prune=True) == 0
    assert (last_run(lake)["vanished"], last_run(lake)["pruned"]) == (1, 1)
    assert rows(lake, "SELECT count(*) FROM assets") == [(2,)]
    assert rows(lake, "SELECT count(DISTINCT asset_id) FROM clips") == [(2,)]


class Awaiting(Dying):
    """The pipeline, which goes on only when its first failure is committed."""

    def __init__(self, lake: Lake) -> None:
        """Say where it is committed."""
        super().__init__()
        self.lake = lake

    def __call__(self, *arguments: Any, **flags: Any) -> Iterator[pa.Table]:
        """Give units one by one, with a long pause after the first failed one."""
        waits = True
        for table in super().__call__(*arguments, **flags):
            yield table
            if waits and any(table["failures"].to_pylist()):
                while not rows(self.lake, "FROM assets WHERE status = 'failed'"):
                    time.sleep(0.1)
                time.sleep(3)  # from being visible to being counted, and looked at
                waits = False


def test_spent_budget_stops_the_run_and_balances(
    corpus: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not reached is counted; the next run goes on with it."""
    for number in range(30):
        (corpus / f"a{number:02}.png").write_bytes((corpus / PICTURE).read_bytes()[: 300 + number])
    monkeypatch.setattr(jobs.chain, "perceive", Awaiting(lake))
    assert ingest(corpus, lake, "run.max_failures=0") == 1
    monkeypatch.undo()

    run = last_run(lake)
    assert run["status"] == "stopped"
    assert "run.max_failures" in run["message"]
    assert run["ok"] + run["partial"] + run["failed"] + run["skipped"] == run["discovered"] == 33
    assert rows(lake, "SELECT count(*) < 33 FROM assets") == [(True,)]
    assert ingest(corpus, lake) == 3
    assert rows(lake, "SELECT count(*) FROM assets") == [(33,)]


def test_run_that_died_gets_an_end(corpus: Path, lake: Lake) -> None:
    """It stands in `runs` as died, with what it had done and the rest not reached."""
    lake.create()
    put_run(lake, run_row(run_id="dead", status="running", discovered=7, ok=0, finished_at=None))
    assert ingest(corpus, lake) == 0

    dead = rows(lake, "SELECT status, ok, skipped, skipped_by_reason FROM runs WHERE run_id = 'dead'")
    assert dead == [("died", 0, 7, [{"name": "not_reached", "count": 7}])]


def test_views_show_units_and_plans(corpus: Path, lake: Lake) -> None:
    """They are tables like the others, for whoever wants to know what was done and what it cost."""
    assert ingest(corpus, lake) == 0
    views = duckdb.connect()
    views.execute(Path(lake.uri, "views.sql").read_text(encoding="utf-8"))

    assert views.execute("SELECT count(DISTINCT unit_id) = count(*) FROM units").fetchall() == [(True,)]
    assert views.execute("SELECT count(*) FROM plans").fetchall() == [(3,)]
    assert views.execute(
        "SELECT count(*) FROM assets WHERE plan_id IN (SELECT plan_id FROM plans)"
    ).fetchall() == [(3,)]
