"""A lake shows exactly the live rows, whenever and however one looks."""

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from operators.commit import append_files, commit, put_run
from operators.compact import compact_table, vacuum
from operators.lake import Lake, LakeError
from operators.write import rows_of, write_rows
from schemas.arrow import arrow_schema
from schemas.tables import TABLES, WRITES, AssetRow, SegmentRow
from tests.rows import asset_row, run_row, segment_row


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A new lake."""
    made = Lake(tmp_path / "lake")
    made.create()
    return made


def put(lake: Lake, assets: Sequence[AssetRow], segments: Sequence[SegmentRow]) -> None:
    """Write and commit."""
    commit(lake, assets, rows_of([write_rows(lake, "segments", segments)]))


def titles(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The titles of the visible segments."""
    return [title for (title,) in connection.execute("SELECT title FROM segments ORDER BY title").fetchall()]


def test_new_lake_answers_every_view_with_declared_columns(lake: Lake) -> None:
    """An empty lake can be queried; its views have the columns of the row types, less write_id."""
    connection = lake.connect()

    for name, row in TABLES.items():
        described = connection.execute(f"DESCRIBE {name}").fetchall()
        assert [item[0] for item in described] == [n for n in arrow_schema(row).names if n not in WRITES]
        assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)


def test_types_do_not_change_when_the_first_row_comes(lake: Lake) -> None:
    """A view over no file and over a file describe the same types."""
    before = lake.connect().execute("DESCRIBE assets").fetchall()
    put(lake, [asset_row()], [])

    assert lake.connect().execute("DESCRIBE assets").fetchall() == before


def test_children_are_invisible_until_their_asset_is_committed(lake: Lake) -> None:
    """A commit that died half-way shows nothing of itself."""
    append_files(lake, rows_of([write_rows(lake, "segments", [segment_row(title="orphan")])]))
    lake.write_views()

    assert titles(lake.connect()) == []


def test_replacing_an_asset_replaces_all_its_children(lake: Lake) -> None:
    """The same asset and version written again, as a retry does, shows only the newer rows."""
    put(
        lake,
        [asset_row(), asset_row(asset_id="b", write_id="wb")],
        [segment_row(title="old"), segment_row(asset_id="b", title="other", write_id="wb")],
    )
    put(lake, [asset_row(write_id="w1")], [segment_row(title="new", write_id="w1")])

    assert titles(lake.connect()) == ["new", "other"]
    assert lake.connect().execute("SELECT count(*) FROM assets").fetchone() == (2,)


def test_plain_duckdb_reads_the_views_file(lake: Lake) -> None:
    """No extension, no Gloss: the file of views is enough, and fetches rows with times."""
    put(lake, [asset_row()], [segment_row()])
    connection = duckdb.connect()
    connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
    connection.execute(Path(lake.root, "views.sql").read_text())

    (row,) = connection.execute("SELECT title, ingested_at, a.asset_id FROM assets a").fetchall()
    assert row[0] == "A title"
    assert row[1].isoformat() == "2026-11-24T02:30:00"
    assert titles(connection) == ["A segment"]


def test_reader_keeps_its_view_while_others_commit_and_compact(lake: Lake) -> None:
    """A connection opened before goes on showing what it showed; files outlive it by retention."""
    put(lake, [asset_row()], [segment_row(title="old")])
    reader = lake.connect()
    put(lake, [asset_row(write_id="w1")], [segment_row(title="new", write_id="w1")])
    for name in TABLES:
        compact_table(lake, name)
    vacuum(lake, retention_hours=1)

    assert titles(reader) == ["old"]
    assert titles(lake.connect()) == ["new"]


def test_compaction_drops_dead_rows_and_merges_files(lake: Lake) -> None:
    """Many commits become one file that holds the live rows alone; what is shown stays."""
    for number in range(5):
        put(
            lake,
            [asset_row(write_id=f"w{number}"), asset_row(asset_id=f"x{number}", write_id=f"y{number}")],
            [
                segment_row(title=f"t{number}", write_id=f"w{number}"),
                segment_row(asset_id=f"x{number}", title=f"u{number}", write_id=f"y{number}"),
            ],
        )
    before = titles(lake.connect())
    done = compact_table(lake, "segments")

    assert (done.files_before, done.files_after, done.rows_before, done.rows_after) == (5, 1, 10, 6)
    assert titles(lake.connect()) == before == ["t4", "u0", "u1", "u2", "u3", "u4"]
    assert vacuum(lake, retention_hours=0) > 0
    lake.write_views()
    assert titles(lake.connect()) == before
    assert compact_table(lake, "segments").files_after == 1


def test_run_row_is_replaced_not_doubled(lake: Lake) -> None:
    """The row a run starts with is the row it ends with."""
    put_run(lake, run_row(status="running", finished_at=None))
    put_run(lake, run_row(status="finished"))
    lake.write_views()

    assert lake.connect().execute("SELECT run_id, status FROM runs").fetchall() == [("r0", "finished")]


def test_written_files_state_their_rows_and_range(lake: Lake) -> None:
    """Delta can skip files by asset."""
    file = write_rows(lake, "segments", [segment_row(asset_id="m"), segment_row(asset_id="c")])

    assert file is not None
    stats = json.loads(file.stats)
    assert (stats["numRecords"], stats["minValues"], stats["maxValues"]) == (
        2,
        {"asset_id": "c"},
        {"asset_id": "m"},
    )
    assert file.size_bytes == Path(lake.root, "segments", file.path).stat().st_size


def test_no_lake_and_foreign_lake_are_refused(tmp_path: Path, lake: Lake) -> None:
    """The message says what to do."""
    with pytest.raises(LakeError, match="gloss ingest SOURCE --lake"):
        Lake(tmp_path / "none").connect()
    lake.table("segments").alter.add_columns(
        __import__("deltalake").Field("surprise", "string", nullable=True)
    )
    with pytest.raises(LakeError, match=r"another version.*surprise"):
        Lake(lake.uri).create()


@pytest.mark.parametrize("name", ["it's; DROP", "a [b] *c?", "ü 100%"])
def test_odd_folder_names_are_safe(tmp_path: Path, name: str) -> None:
    """A folder name cannot break out of the views' SQL, and is no pattern."""
    lake = Lake(tmp_path / name)
    lake.create()
    put(lake, [asset_row()], [segment_row()])

    assert titles(lake.connect()) == ["A segment"]
