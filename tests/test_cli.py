"""The command line: exit codes, streams, and an answer at once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from operators.lake import Lake
from schemas.config import Config
from tests import small_lake

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One lake for all tests here."""
    return small_lake.make(tmp_path_factory.mktemp("cli"))


def gloss(*arguments: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        check=False,
    )


def test_help_names_every_verb_and_loads_nothing_heavy() -> None:
    """`gloss --help` answers without Ray, DuckDB, PyAV or the configuration's machinery."""
    heavy = "{'ray', 'duckdb', 'av', 'pyarrow', 'pydantic'}"
    code = f"import sys, jobs.cli; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert loaded.stdout.strip() == "[]"

    started = time.perf_counter()
    done = gloss("--help")
    seconds = time.perf_counter() - started

    assert done.returncode == 0
    for verb in ("ingest", "query", "search", "show", "status", "retry", "compact", "doctor"):
        assert verb in done.stdout
    # Measured 0.15 s; the bound leaves room for a busy machine.
    assert seconds < 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["frobnicate"], "frobnicate"),
        (["query", "SELECT 1"], "--lake"),
        (["ingest", "--lake", "x"], "SOURCE"),
        (["ingest", "{here}", "--lake", "{here}/l", "--set", "ocr.engin=off"], "ocr.engine"),
        (["ingest", "{here}", "--lake", "{here}/l", "--set", "ocr.engine=tesseract"], "rapidocr"),
        (["ingest", "{here}", "--lake", "{here}/l", "--profile", "cpus"], "cpu"),
        (["ingest", "{here}", "--lake", "{here}/l", "--config", "{here}/none.toml"], "none.toml"),
        (["ingest", "{here}/nothing-here", "--lake", "{here}/l"], "nothing-here"),
        (["query", "SELECT 1", "--lake", "{here}/none"], "gloss ingest"),
        (["compact", "--lake", "{here}/none"], "gloss ingest"),
        (["retry", "--lake", "{here}/none"], "gloss ingest"),
        (["query", "SELECT 1", "--lake", "{here}", "--format", "xml"], "table, json, csv, parquet"),
        (["search", "x", "--lake", "nonsense://x"], "nonsense"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_reason(tmp_path: Path, arguments: list[str], word: str) -> None:
    """Before any work: nothing is written, stdout stays empty, no stack trace."""
    done = gloss(*(argument.format(here=tmp_path) for argument in arguments))

    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ingest_passes_on_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources, lake, flags and the merged configuration reach the job; its code comes back."""
    seen: dict[str, Any] = {}

    def ingest(sources: list[str], lake: str, config: Config, **flags: bool) -> int:
        seen.update(sources=sources, lake=lake, config=config, **flags)
        return 3

    monkeypatch.setattr("jobs.ingest.run_ingest", ingest)
    done = CliRunner().invoke(
        app, ["ingest", "a", "b", "--lake", "l", "--dry-run", "-v",
              "--set", "ocr.engine=off", "--set", "sampling.interval_seconds=2"],
    )  # fmt: skip

    assert done.exit_code == 3
    assert (seen["sources"], seen["lake"], seen["dry_run"], seen["verbose"]) == (["a", "b"], "l", True, True)
    assert (seen["config"].ocr.engine, seen["config"].sampling.interval_seconds) == ("off", 2.0)


def test_retry_without_options_keeps_the_last_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only options that are given replace it."""
    seen: list[Config | None] = []

    def retry(_lake: str, config: Config | None, **_flags: bool) -> int:
        seen.append(config)
        return 0

    monkeypatch.setattr("jobs.retry.run_retry", retry)
    assert CliRunner().invoke(app, ["retry", "--lake", "l"]).exit_code == 0
    assert CliRunner().invoke(app, ["retry", "--lake", "l", "--set", "ocr.engine=off"]).exit_code == 0
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1].ocr.engine == "off"


def test_results_go_to_stdout_and_nothing_else_does(lake: Lake) -> None:
    """Every reading verb prints JSON that parses, from a relative lake path, in any locale."""
    here, name = Path(lake.root).parent, Path(lake.root).name
    for arguments in (
        ["query", "SELECT ocr_text FROM clips ORDER BY asset_id, clip"],
        ["search", "moon", "黑暗"],
        ["show", "moon"],
        ["status"],
    ):
        done = gloss(
            *arguments, "--lake", name, "--format", "json", cwd=here, LC_ALL="C", PYTHONIOENCODING="ascii"
        )
        assert done.returncode == 0, done.stderr
        assert isinstance(json.loads(done.stdout), list)
        assert done.stderr == ""


def test_words_of_a_search_need_no_quotes(lake: Lake) -> None:
    """Several arguments are several words."""
    one = gloss("search", "moon tides", "--lake", lake.uri, "--format", "json")
    several = gloss("search", "moon", "tides", "--lake", lake.uri, "--format", "json")
    assert json.loads(one.stdout) == json.loads(several.stdout) != []


def test_an_error_of_a_query_is_one_message(lake: Lake) -> None:
    """Nothing of DuckDB's or Python's insides appears behind it."""
    done = gloss("query", "SELECT nothing FROM assets", "--lake", lake.uri)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gloss: The query cannot run.")
    assert "nanobind" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(lake: Lake) -> None:
    """`gloss query … | head` ends without a complaint."""
    query = f"{sys.executable} -m jobs.cli query 'FROM range(500000)' --format csv --lake '{lake.uri}'"
    done = subprocess.run(
        ["bash", "-c", f"{query} | head -n 2"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout == "range\n0\n"
    assert done.stderr == ""


def test_doctor_says_what_can_run() -> None:
    """The default profile runs wherever the tests run; what is missing comes with advice."""
    done = gloss("doctor", "--format", "json")
    assert done.returncode == 0, done.stdout
    checks = {(check["group"], check["name"]): check for check in json.loads(done.stdout)}
    assert checks["FFmpeg video", "h264"]["ok"]
    assert checks["engines", "ocr.engine=rapidocr"]["ok"]
    assert all(check["ok"] or check["advice"] for check in checks.values())
    assert checks["engines", "speech.engine=faster-whisper"]["ok"]
    assert not checks["engines", "speech weights"]["ok"]
    assert "gloss models pull small" in checks["engines", "speech weights"]["advice"]
