"""A commit that is tried again counts once, and one that cannot work is not tried again."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

import operators.lake
import operators.transact
import operators.upsert
from operators import retrying
from operators.commit import append_files, commit, put_run, touch_assets
from operators.lake import VIEWS_FILE, Lake
from operators.write import rows_of, write_rows
from schemas.media import Asset
from tests.rows import asset_row, run_row, segment_row


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A new lake; waits are short."""
    monkeypatch.setattr(retrying, "_FIRST_WAIT_SECONDS", 0.001)
    made = Lake(tmp_path / "lake")
    made.create()
    return made


def stumbling(function: Callable[..., Any], errors: list[Exception], *, after: bool) -> Callable[..., Any]:
    """Let a function fail as often as there are errors, before or after it has done its work."""

    def call(*args: Any, **options: Any) -> Any:
        if not errors:
            return function(*args, **options)
        if after:
            function(*args, **options)
        raise errors.pop(0)

    return call


@pytest.mark.parametrize("after", [True, False], ids=["answer lost", "not done"])
def test_each_row_is_there_once_however_the_store_stumbles(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Appends, replaced rows and the views succeed or not and report an error; then they are tried again."""
    errors: list[list[Exception]] = [
        [TimeoutError(), OSError("Generic S3 error: Server error with status 503")],
        [CommitFailedError("Failed to commit transaction: 7"), ConnectionResetError()],
        [TimeoutError()],
    ]
    targets = (
        (DeltaTable, "create_write_transaction"),
        (operators.upsert, "transact"),
        (Lake, "write_views"),
    )
    for (owner, name), failing in zip(targets, errors, strict=True):
        monkeypatch.setattr(owner, name, stumbling(getattr(owner, name), failing, after=after))
    commit(
        lake, [asset_row()], rows_of([write_rows(lake, "segments", [segment_row(), segment_row(segment=1)])])
    )
    errors[1].append(TimeoutError())
    put_run(lake, run_row())
    errors[1].append(TimeoutError())
    touch_assets(lake, [Asset("a0", "v0", "file:///data/a0.mp4", "video", 10, "f1", "c0")])

    assert errors == [[], [], []]
    connection = lake.connect()
    for table, rows in (("segments", 2), ("assets", 1), ("runs", 1)):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(rows,)]
    assert connection.execute("SELECT fingerprint FROM assets").fetchall() == [("f1",)]
    assert len(lake.files("segments")) == 1


def test_full_disk_is_not_tried_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What will not pass is raised at once, and nothing is visible."""
    full = "External: Generic LocalFileSystem error: No space left on device (os error 28)"
    errors: list[Exception] = [DeltaError(full), DeltaError(full)]
    transact = stumbling(operators.transact.transact, errors, after=False)
    monkeypatch.setattr(operators.upsert, "transact", transact)

    with pytest.raises(DeltaError, match="No space left"):
        commit(lake, [asset_row()], rows_of([write_rows(lake, "segments", [segment_row()])]))
    assert len(errors) == 1
    assert lake.connect().execute("SELECT * FROM segments").fetchall() == []


def test_the_same_file_appended_twice_counts_once_also_after_a_checkpoint(lake: Lake) -> None:
    """Delta counts a path once: the ground on which an append may be tried again."""
    files = rows_of([write_rows(lake, "segments", [segment_row()])])
    append_files(lake, files)
    append_files(lake, files)
    lake.table("segments").create_checkpoint()
    append_files(lake, files)

    assert lake.table("segments").count() == 1
    assert len(lake.files("segments")) == 1


def commit_one(lake: Lake, name: str) -> None:
    """Commit an asset with one segment, and a run."""
    row = replace(asset_row(), asset_id=name, write_id=f"w-{name}")
    segment = replace(segment_row(), asset_id=name, write_id=f"w-{name}")
    commit(lake, [row], rows_of([write_rows(lake, "segments", [segment])]))
    put_run(lake, replace(run_row(), run_id=name))


def counted(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """Count rows and different keys of the tables that `commit_one` writes."""
    tables = {"assets": "asset_id", "segments": "asset_id", "runs": "run_id"}
    return [
        connection.execute(f"SELECT count(*), count(DISTINCT {key}) FROM {table}").fetchall()[0]
        for table, key in tables.items()
    ]


def test_two_processes_that_keep_their_tables_open_lose_no_row(lake: Lake) -> None:
    """Each finds its tables stale at every commit, also when small files were folded meanwhile."""
    other = Lake(lake.uri)
    for turn in range(20):
        commit_one((lake, other)[turn % 2], f"a{turn}")

    assert counted(lake.connect()) == [(20, 20)] * 3
    assert len(lake.files("segments")) < 20


def test_threads_share_one_lake(lake: Lake) -> None:
    """Some commit and one reads; no row is lost, and `views.sql` names the newest files at the end."""

    def committing(thread: int) -> None:
        for number in range(6):
            commit_one(shared, f"a{thread}-{number}")

    def reading() -> None:
        for _ in range(6):
            counted(shared.connect())
            shared.write_views()

    shared, interval = Lake(lake.uri), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(reading), *(pool.submit(committing, thread) for thread in range(3))]
            for one in done:
                one.result()
    finally:
        sys.setswitchinterval(interval)
    shared.write_views()

    with duckdb.connect() as connection:
        connection.execute(Path(lake.root, VIEWS_FILE).read_text())
        assert counted(connection) == [(18, 18)] * 3


def test_threads_that_ask_first_at_once_hold_the_same_lock(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes to make one."""
    made = operators.lake._Opened.__init__

    def slowly(self: Any) -> None:
        time.sleep(0.05)
        made(self)

    monkeypatch.setattr(operators.lake._Opened, "__init__", slowly)
    fresh = Lake(lake.uri)
    with ThreadPoolExecutor(4) as pool:
        assert len({id(lock) for lock in pool.map(fresh.alone, ["assets"] * 4)}) == 1
