"""Some four hundred broken files beside a dozen sound ones, through the whole pipeline.

What is protected: the run ends by itself, accounts for every file by a reason that is not an
error of ours, stays within its memory, and the sound files come out as if they were alone.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.ingest import run_ingest
from operators.lake import Lake
from schemas.config import load_config
from schemas.failure import Reason
from schemas.tables import CHILDREN
from tests.conftest import EXAMPLES
from tests.mutants import good, mutants

MEMORY_BYTES = 1 << 30
SETTINGS = (
    "ocr.engine=off",
    f"limits.memory_bytes={MEMORY_BYTES}",
    "limits.unit_seconds=10",
    "limits.pages=2000",
)
_READY_BYTES = 400 << 20
"""What a decoding child takes before it has seen a file; limits count from there."""

_RUN_COLUMNS = {"run_id", "ingested_at", "at"}


class ChildMemory(threading.Thread):
    """Watches the resident memory of every decoding child, as the system counts its peak."""

    def __init__(self) -> None:
        """Prepare; children seen are of any process of this user."""
        super().__init__(daemon=True)
        self.peaks: dict[str, int] = {}
        self.done = threading.Event()

    def run(self) -> None:
        """Look twenty times a second; the system keeps the peak between looks."""
        while not self.done.wait(0.05):
            for process in Path("/proc").iterdir():
                # Processes end while they are looked at.
                with contextlib.suppress(OSError):
                    if process.name.isdigit() and b"operators.isolate" in (process / "cmdline").read_bytes():
                        self.peaks[process.name] = max(self.peaks.get(process.name, 0), _peak_bytes(process))


def _peak_bytes(process: Path) -> int:
    for line in (process / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0  # It is ending.


@dataclass(frozen=True)
class Night:
    """A run over good and broken files, and one over the good files alone."""

    mixed: duckdb.DuckDBPyConnection
    alone: duckdb.DuckDBPyConnection
    exit_code: int
    seconds: float
    peaks: dict[str, int]
    broken: Path


pytestmark = pytest.mark.timeout(900)
"""The first test that asks for it waits for the whole night."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Ingest the good files alone, then everything into another lake."""
    root = tmp_path_factory.mktemp("night")
    (root / "good").mkdir()
    (root / "broken").mkdir()
    for name, content in good().items():
        (root / "good" / name).write_bytes(content)
    for name in ("bakery-handbook.pdf", "observatory-night.mp4", "observatory-night.en.srt"):
        (root / "good" / name).write_bytes((EXAMPLES / "corpus" / name).read_bytes())
    for mutant in mutants():
        (root / "broken" / mutant.name).write_bytes(mutant.content)
    config = load_config(settings=SETTINGS)
    assert run_ingest([str(root / "good")], str(root / "alone"), config) == 0
    watch = ChildMemory()
    watch.start()
    started = time.monotonic()
    code = run_ingest([str(root / "good"), str(root / "broken")], str(root / "mixed"), config)
    seconds = time.monotonic() - started
    watch.done.set()
    watch.join()
    with Lake(root / "mixed").connect() as mixed, Lake(root / "alone").connect() as alone:
        yield Night(mixed, alone, code, seconds, watch.peaks, root / "broken")


def test_there_are_enough_of_them() -> None:
    """All kinds of media and of damage; and the same ones each time."""
    suffixes = {Path(mutant.name).suffix for mutant in mutants()}

    assert len(mutants()) >= 160
    assert len({mutant.content for mutant in mutants()}) >= 160
    assert suffixes >= {f".{name.partition('.')[2]}" for name in good()} | {".heic", ".srt", ".vtt"}
    assert sum(len(mutant.content) for mutant in mutants()) < 32 << 20


def test_the_run_ends_and_its_ledger_balances(night: Night) -> None:
    """It finishes by itself, says that some failed, and counts every file once."""
    ((status, discovered, *counts),) = night.mixed.execute(
        "SELECT status, discovered, ok, partial, failed, skipped FROM runs"
    ).fetchall()
    files = len(list(night.broken.iterdir())) + len(list((night.broken.parent / "good").iterdir()))

    assert (night.exit_code, status) == (3, "finished")
    assert discovered == files == sum(counts)


def test_each_is_accounted_for_by_a_reason(night: Night) -> None:
    """A file that is not ok has a reason of the closed list and a message; none is an error of ours."""
    rows = night.mixed.execute(
        "SELECT uri, status, (SELECT list(reason || ': ' || message) FROM failures f "
        "WHERE f.asset_id = a.asset_id) FROM assets a"
    ).fetchall()
    skips = {uri.rpartition("/")[2] for (uri,) in night.mixed.execute("SELECT uri FROM skips").fetchall()}
    found = {uri.rpartition("/")[2]: (status, failures or []) for uri, status, failures in rows}
    reasons = Counter(
        reason
        for _, failures in found.values()
        for reason in {failure.partition(": ")[0] for failure in failures}
    )

    assert {path.name for path in night.broken.iterdir()} <= set(found) | skips
    for name, (status, failures) in found.items():
        assert (status == "ok") == (not failures), name
        assert all(len(failure) > 40 for failure in failures), name
    assert set(reasons) <= set(Reason) - {Reason.INTERNAL, Reason.LOST, Reason.UNREADABLE}, reasons
    # Many sorts of damage have many names: a lump of one reason would say nothing.
    assert set(reasons) >= {
        Reason.EMPTY,
        Reason.CORRUPT,
        Reason.TRUNCATED,
        Reason.NO_CONTENT,
        Reason.TOO_LARGE,
        Reason.TIMEOUT,
        Reason.MEMORY,
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("odd-empty.png", Reason.EMPTY),
        ("odd-noise.mkv", Reason.CORRUPT),
        ("odd-zeros.mpg", Reason.CORRUPT),
        ("talk_mp4-cut60.mp4", Reason.TRUNCATED),
        ("talk_mkv-cut05.mkv", Reason.TRUNCATED),
        ("song_m4a-cut60.m4a", Reason.TRUNCATED),
        ("page_webp-cut60.webp", Reason.TRUNCATED),
        ("page_tiff-cut05.tiff", Reason.TRUNCATED),
        ("page_avif-cut60.avif", Reason.TRUNCATED),
        ("page_png-cut60.png", Reason.TRUNCATED),
        ("scan_pdf-cut60.pdf", Reason.TRUNCATED),
        ("png-giant.png", Reason.TOO_LARGE),
        ("png-text_bomb.png", Reason.TOO_LARGE),
        ("tiff-frames.tiff", Reason.TOO_LARGE),
        ("pdf-image_giant.pdf", Reason.TOO_LARGE),
        ("pdf-paths.pdf", Reason.TIMEOUT),
        ("pdf-form_bomb.pdf", Reason.MEMORY),
        ("pdf-kids_loop.pdf", Reason.CORRUPT),
        ("pdf-noise_jpxdecode.pdf", Reason.CORRUPT),
        ("text_pdf-hole.pdf", Reason.CORRUPT),
        ("mp4-codec_unknown.mp4", Reason.NO_CONTENT),
        ("words-digits.mp4", Reason.CORRUPT),
    ],
)
def test_the_reason_says_what_is_wrong(night: Night, name: str, reason: Reason) -> None:
    """What was done to a file is what its failure says."""
    rows = night.mixed.execute(
        "SELECT DISTINCT reason FROM failures WHERE uri LIKE ?", [f"%/{name}"]
    ).fetchall()

    assert rows == [(reason,)]


def test_no_child_takes_more_memory_than_allowed(night: Night) -> None:
    """Bombs are met by limits, not by the machine's memory."""
    assert night.peaks
    peak = max(night.peaks.values())
    assert peak < MEMORY_BYTES + _READY_BYTES
    assert peak > _READY_BYTES, "no bomb has been met: the mutants have lost their teeth"


def test_nothing_holds_the_run_up(night: Night) -> None:
    """One unit may take ten seconds; waiting for each would take an hour."""
    assert night.seconds < 600


@pytest.mark.parametrize("table", ["assets", *sorted(CHILDREN)])
def test_the_good_files_are_as_if_they_were_alone(night: Night, table: str) -> None:
    """Their rows are the same, whatever lies beside them."""
    assert _rows(night.mixed, table) == _rows(night.alone, table)
    assert _rows(night.alone, "assets")


def _rows(views: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    """All rows of the good files, in an order of their own, without the columns of the run."""
    found = views.execute(
        f"SELECT * FROM {table} WHERE asset_id IN (SELECT asset_id FROM assets WHERE uri LIKE '%/good/%')"
    )
    names = [column[0] for column in found.description]
    rows = [
        {name: value for name, value in zip(names, row, strict=True) if name not in _RUN_COLUMNS}
        for row in found.fetchall()
    ]
    return sorted(rows, key=repr)
