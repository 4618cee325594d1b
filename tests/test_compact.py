"""Compaction drops what nobody will ask for, and nothing that anybody may still read."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from jobs.compact import run_compact
from operators import compact
from operators.claim import TABLE, Claim, ClaimLost, LakeBusyError
from operators.commit import append_files, commit
from operators.compact import compact_table, vacuum
from operators.lake import Lake, LakeError
from operators.write import rows_of, write_rows, write_table
from schemas.arrow import to_table
from schemas.media import Asset, Unit
from schemas.perception import Line, View
from schemas.tables import TABLES, AssetRow, PlanRow, UnitRow
from tests.rows import asset_row, segment_row

NOW = datetime.now(UTC)
OLD = NOW - timedelta(hours=200)
FRESH = NOW - timedelta(hours=2)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A new lake."""
    made = Lake(tmp_path / "lake")
    made.create()
    return made


def unit_row(
    unit_id: str, content: str = "c0", index: int = 0, stage: str = "ocr", at: datetime = OLD, run: str = "r0"
) -> UnitRow:
    """A row of `units`."""
    unit = Unit(index, "span", index * 60.0, index * 60.0 + 60)
    return UnitRow(
        unit_id, content, 10, stage, unit, [View(640, 360)], [1.0], [], [], 60, 0.0, 0.0, 0.0, 1.5, run, at
    )


def plan_row(plan_id: str, content: str = "c0", at: datetime = OLD) -> PlanRow:
    """A row of `plans`."""
    asset = Asset("a0", "v0", "file:///data/a0.mp4", "video", 10, "f0", content)
    return PlanRow(plan_id, content, 10, "recipe", asset, [Unit(0, "span", 0.0, 60.0)], "r0", at)


def store(lake: Lake, table: str, rows: Sequence[UnitRow] | Sequence[PlanRow]) -> None:
    """Write and commit finished work."""
    data = to_table(TABLES[table], rows)
    append_files(lake, [write_table(lake, table, data, key="content_hash", row_group_rows=1000)])


def column(lake: Lake, table: str, name: str) -> list[str]:
    """A column of a table as it lies there, in order of its text."""
    return sorted(lake.table(table).to_pyarrow_table(columns=[name])[name].to_pylist())


def test_rows_that_delta_wrote_itself_are_compacted(lake: Lake) -> None:
    """A merge rewrites files in Delta's own types, lists of views of strings among them."""
    for asset_id, title in (("a0", "one"), ("a1", "two"), ("a0", "three")):
        row = asset_row(asset_id=asset_id, title=title, key_points=["x", "y"])
        merger = lake.table("assets").merge(
            to_table(AssetRow, [row]), "t.asset_id = s.asset_id", source_alias="s", target_alias="t"
        )
        merger.when_matched_update_all().when_not_matched_insert_all().execute()
    types = {str(item.type) for file in lake.files("assets") for item in pq.read_schema(file)}
    assert "list<element: string_view>" in types
    assert compact_table(lake, "assets").rows_after == 2
    assert column(lake, "assets", "title") == ["three", "two"]
    points = lake.table("assets").to_pyarrow_table(columns=["key_points"])["key_points"]
    assert points.to_pylist() == [["x", "y"]] * 2


def test_units_are_kept_once_and_as_long_as_they_are_of_use(lake: Lake) -> None:
    """Doubles go at once; superseded ones and those of vanished contents after the retention."""
    commit(lake, [asset_row(content_hash="c0")], [])
    store(
        lake,
        "units",
        [
            unit_row("live"),
            unit_row("twice", index=1, run="first"),
            unit_row("decoded", stage="decode"),
            unit_row("superseded old", index=2, at=OLD),
            unit_row("orphan old", content="gone"),
        ],
    )
    store(
        lake,
        "units",
        [
            unit_row("twice", index=1, run="second", at=OLD + timedelta(hours=1)),
            unit_row("newest", index=2, at=OLD + timedelta(hours=1)),
            unit_row("superseded fresh", index=3, at=FRESH),
            unit_row("newest fresh", index=3, at=FRESH + timedelta(minutes=1)),
            unit_row("orphan fresh", content="gone", at=FRESH),
        ],
    )
    done = compact_table(lake, "units")

    kept = ["decoded", "live", "newest", "newest fresh", "orphan fresh", "superseded fresh", "twice"]
    assert column(lake, "units", "unit_id") == kept
    assert column(lake, "units", "run_id").count("second") == 1
    assert (done.files_before, done.files_after, done.rows_before, done.rows_after) == (2, 1, 10, 7)
    compact_table(lake, "units", retention_hours=1)
    assert column(lake, "units", "unit_id") == ["decoded", "live", "newest", "newest fresh", "twice"]


def test_plans_are_kept_while_an_asset_or_content_has_them(lake: Lake) -> None:
    """The newest plan of a living content stays, and any older one that an asset goes by."""
    commit(
        lake,
        [
            asset_row(content_hash="c0", plan_id="p1"),
            asset_row(asset_id="b", content_hash="c0", plan_id="p2"),
        ],
        [],
    )
    for hours, name in enumerate(["p0", "p1", "p2", "p3"]):
        store(lake, "plans", [plan_row(name, at=OLD + timedelta(hours=hours))])
    store(lake, "plans", [plan_row("p3", at=OLD), plan_row("orphan", content="gone")])
    store(lake, "plans", [plan_row("fresh", content="gone", at=FRESH)])
    compact_table(lake, "plans")

    assert column(lake, "plans", "plan_id") == ["fresh", "p1", "p2", "p3"]


def test_one_content_is_found_without_reading_the_rest(lake: Lake) -> None:
    """Sorted by content and place, in row groups of a thousand, with ranges in Delta and Parquet."""
    commit(lake, [asset_row(asset_id=f"a{n}", content_hash=f"c{n}") for n in range(5)], [])
    rows = [unit_row(f"{content}/{n}", f"c{content}", n) for content in range(5) for n in range(500)]
    random.Random(7).shuffle(rows)  # noqa: S311
    for start in range(0, 2500, 500):
        store(lake, "units", rows[start : start + 500])
    compact_table(lake, "units")

    (path,) = lake.files("units")
    file = pq.ParquetFile(path)
    groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [1000, 1000, 500]
    place = file.schema_arrow.get_field_index("content_hash")
    ranges = [group.column(place).statistics for group in groups]
    assert [(found.min, found.max) for found in ranges] == [("c0", "c1"), ("c2", "c3"), ("c4", "c4")]
    found = file.read(columns=["content_hash", "unit"]).to_pylist()
    assert [(row["content_hash"], row["unit"]["index"]) for row in found] == [
        (f"c{content}", n) for content in range(5) for n in range(500)
    ]
    (action,) = lake.table("units").get_add_actions(flatten=True).to_struct_array().to_pylist()
    assert (action["min.content_hash"], action["max.content_hash"]) == ("c0", "c4")
    assert action["num_records"] == 2500


def test_damage_of_a_merged_file_is_detected(lake: Lake) -> None:
    """Every page carries a checksum."""
    for number in range(2):
        row = segment_row(title=f"title {number}")
        commit(lake, [asset_row()], rows_of([write_rows(lake, "segments", [row])]))
    compact_table(lake, "segments")
    (path,) = map(Path, lake.files("segments"))
    file = pq.ParquetFile(path)
    chunk = file.metadata.row_group(0).column(file.schema_arrow.get_field_index("title"))
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(OSError, match=r"checksum|CRC"):
        pq.read_table(path, page_checksum_verification=True)
    commit(lake, [], rows_of([write_rows(lake, "segments", [segment_row(title="more")])]))
    with pytest.raises(LakeError, match=rf"{path.name}.*gloss status --check"):
        compact_table(lake, "segments")
    assert len(lake.files("segments")) == 2


def fill(lake: Lake, first_night: int = 0, age_days: float = 0.0) -> None:
    """Commit three nights: assets replaced, children superseded, units doubled; let all files age."""
    for night in range(first_night, first_night + 3):
        names = {f"a{n}": f"w{n}-{night}" for n in range(3)}
        segments = [
            segment_row(asset_id=name, title=f"t-{mark}", write_id=mark) for name, mark in names.items()
        ]
        rows = [asset_row(asset_id=name, write_id=mark) for name, mark in names.items()]
        commit(lake, rows, rows_of([write_rows(lake, "segments", segments)]))
        store(lake, "units", [unit_row("u", index=0, run=f"r{night}"), unit_row(f"n{night}", index=night)])
    if age_days:
        past = time.time() - age_days * 86400
        for path in Path(lake.root).glob("*/*.parquet"):
            os.utime(path, (past, past))


def shown(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    """All that a reader sees of assets and segments."""
    return connection.execute(
        "SELECT a.asset_id, a.uri, s.title FROM assets a JOIN segments s USING (asset_id) ORDER BY ALL"
    ).fetchall()


def plain_reader(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection on the file of views as it is now."""
    connection = duckdb.connect()
    connection.execute(Path(lake.root, "views.sql").read_text())
    return connection


def test_open_reader_outlives_compaction_however_old_its_files_are(lake: Lake) -> None:
    """A file written a month ago and replaced just now may be in use: the replacing counts."""
    fill(lake, age_days=30)
    reader = plain_reader(lake)
    before = shown(reader)
    assert run_compact(lake.uri) == 0

    assert len(lake.files("segments")) == 1
    assert shown(reader) == before == shown(plain_reader(lake))
    run_compact(lake.uri, retention_hours=0)
    assert shown(plain_reader(lake)) == before
    with pytest.raises(duckdb.Error):
        shown(reader)


def test_files_of_dead_runs_go_after_the_retention(lake: Lake) -> None:
    """What was written and never committed is removed once old, and left alone while young."""
    fill(lake)
    orphans = rows_of([write_rows(lake, "segments", [segment_row(title=f"orphan {n}")]) for n in range(2)])
    old, young = (Path(lake.root, "segments", file.path) for file in orphans)
    past = time.time() - 8 * 86400
    os.utime(old, (past, past))
    with Claim(lake, "r1"):
        vacuum(lake, 168)
        assert Path(lake.root, TABLE, "_delta_log").exists()

    assert (old.exists(), young.exists()) == (False, True)
    assert len(shown(lake.connect())) == 3


def test_no_compaction_while_a_run_writes(lake: Lake) -> None:
    """It is refused by the name of the run, and nothing has changed."""
    fill(lake)
    with Claim(lake, "r77"), pytest.raises(LakeBusyError, match="ingest r77"):
        run_compact(lake.uri)
    assert len(lake.files("segments")) == 3


def test_short_retention_is_warned_of(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Below an hour, readers may lose their files; that is said, and only then."""
    run_compact(lake.uri, retention_hours=1)
    assert "Warning" not in capsys.readouterr().err
    run_compact(lake.uri, retention_hours=0)
    assert "Warning: with --retention-hours 0" in capsys.readouterr().err


def test_nothing_to_do_writes_nothing(lake: Lake) -> None:
    """A compacted table is left as it is."""
    fill(lake)
    run_compact(lake.uri)
    versions = {name: lake.table(name).version() for name in TABLES}
    files = sorted(Path(lake.root).glob("*/*.parquet"))
    run_compact(lake.uri)

    assert {name: lake.table(name).version() for name in TABLES} == versions
    assert sorted(Path(lake.root).glob("*/*.parquet")) == files


def test_lost_claim_stops_before_the_commit(lake: Lake) -> None:
    """A compaction that was paused too long changes nothing."""
    fill(lake)

    def check() -> None:
        raise ClaimLost("taken over")

    with pytest.raises(ClaimLost):
        compact_table(lake, "segments", check=check)
    assert len(lake.files("segments")) == 3


def test_writer_without_a_claim_is_noticed(lake: Lake) -> None:
    """Rows committed meanwhile by something else are never overwritten."""
    fill(lake)

    def intrude() -> None:
        append_files(lake, rows_of([write_rows(lake, "segments", [segment_row(title="intruder")])]))

    with pytest.raises(LakeError, match="written to while it was compacted"):
        compact_table(lake, "segments", check=intrude)
    assert "intruder" in column(lake, "segments", "title")
    assert len(lake.files("segments")) == 4


def test_lost_answer_of_the_commit_is_no_second_one(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced, reported as failed, tried again: it is seen to be done."""
    fill(lake)
    write = DeltaTable.create_write_transaction

    def flaky(self: DeltaTable, *args: object, **options: object) -> None:
        write(self, *args, **options)  # type: ignore[arg-type] # passed on as they came
        raise TimeoutError

    monkeypatch.setattr(DeltaTable, "create_write_transaction", flaky)
    before = lake.table("segments").version()
    assert compact_table(lake, "segments").files_after == 1
    assert lake.table("segments").version() == before + 1
    assert len(shown(lake.connect())) == 3


def test_killed_anywhere_the_lake_is_as_before_or_as_after(lake: Lake) -> None:
    """SIGKILL before and after each thing that changes the lake: what is shown never differs."""
    for count, step in enumerate([2, 4, 9, 13]):
        fill(lake, first_night=3 * count)
        before = shown(lake.connect())
        died = subprocess.run(
            [sys.executable, "-m", "tests.compactor", lake.uri, str(step)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, died.stdout + died.stderr
        assert shown(plain_reader(lake)) == shown(lake.connect()) == before
    run_compact(lake.uri)
    assert shown(plain_reader(lake)) == before
    assert [len(lake.files(name)) for name in ("assets", "segments", "units")] == [1, 1, 1]
    assert column(lake, "units", "unit_id") == sorted(["u", *(f"n{night}" for night in range(1, 12))])


def test_memory_does_not_grow_with_the_table(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go through buckets on disk, and files are closed at their size; each row arrives, in order."""
    monkeypatch.setattr(compact, "_BUCKET_BYTES", 1 << 20)
    monkeypatch.setattr(compact, "_PENDING_BYTES", 1 << 20)
    monkeypatch.setattr(compact, "_FILE_BYTES", 4 << 20)
    taken: list[int] = []
    take = compact._Buckets.take

    def weighed(self: compact._Buckets, place: int) -> pa.Table:
        rows = take(self, place)
        taken.append(rows.nbytes)
        return rows

    monkeypatch.setattr(compact._Buckets, "take", weighed)
    noise = random.Random(3)  # noqa: S311
    commit(lake, [asset_row(asset_id=f"a{n}", content_hash=f"c{n:02}") for n in range(40)], [])
    for part in range(4):
        rows = [unit_row(f"{part}-{n:03}", f"c{n % 40:02}", noise.randrange(10**6)) for n in range(250)]
        for row in rows:
            line = Line(noise.randbytes(10_000).hex(), 1.0, 0, 0, 1, 1, "ocr", 0.1)
            row.views.append(View(1, 1, lines=[line]))
        store(lake, "units", sorted(rows, key=lambda row: row.content_hash))
    done = compact_table(lake, "units")

    assert (done.rows_before, done.rows_after, done.files_after) == (1000, 1000, 2)
    assert len(taken) > 8
    assert max(taken) < sum(taken) / 5
    bounds = []
    for path in lake.files("units"):
        found = pq.read_table(path, columns=["content_hash", "unit"]).to_pylist()
        places = [(row["content_hash"], row["unit"]["index"]) for row in found]
        assert places == sorted(places)
        bounds.append((places[0], places[-1]))
    assert all(left[1] <= right[0] for left, right in pairwise(sorted(bounds)))
    assert len(set(column(lake, "units", "unit_id"))) == 1000
