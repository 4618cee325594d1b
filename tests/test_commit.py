"""A commit that is tried again counts once, and one that cannot work is not tried again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.table import TableMerger

from operators import retrying
from operators.commit import append_files, commit, put_run, touch_assets
from operators.lake import Lake
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
    """Appends, merges and the views succeed or not and report an error; then they are tried again."""
    errors: list[list[Exception]] = [
        [TimeoutError(), OSError("Generic S3 error: Server error with status 503")],
        [CommitFailedError("Failed to commit transaction: 7"), ConnectionResetError()],
        [TimeoutError()],
    ]
    targets = ((DeltaTable, "create_write_transaction"), (TableMerger, "execute"), (Lake, "write_views"))
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
    monkeypatch.setattr(TableMerger, "execute", stumbling(TableMerger.execute, errors, after=False))

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
