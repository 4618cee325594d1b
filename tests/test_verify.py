"""`gloss status --check` and `gloss repair`: what is wrong with a lake is found, named and cured."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.read_only import LimitError, Limits
from jobs.repair import run_repair
from jobs.status import run_status
from jobs.verify import Finding, check_lake
from operators.claim import Claim
from operators.commit import append_files, commit, merge_assets, put_run
from operators.compose import Composed, compose
from operators.lake import Lake
from operators.unit_store import plan_row, write_plans
from operators.write import rows_of, write_rows
from schemas.arrow import to_table
from schemas.config import Config
from schemas.ids import digest
from schemas.perception import Perception, Utterance
from schemas.tables import CHILDREN, AssetRow
from tests import made_perceptions as made
from tests.conftest import Ingested
from tests.rows import NOW, run_row


def _rename(perceptions: list[Perception], asset_id: str) -> list[Perception]:
    return [
        replace(item, asset=replace(item.asset, asset_id=asset_id, uri=f"file:///data/{asset_id}"))
        for item in perceptions
    ]


def _talk(asset_id: str) -> list[Perception]:
    views = [
        made.view(made.slide("Tides", "High water follows the Moon", "Twice a day"), 0.0, 40.0),
        made.view(made.slide("Stars", "Let your eyes get used to the dark", "Twenty minutes"), 41.0, 119.0),
    ]
    said = [Utterance(2.0, 6.0, "High water follows the Moon around the Earth.", source="subtitle:en")]
    return _rename(made.video(views, 120.0, [41.0], said), asset_id)


def _report(asset_id: str, pages: int = 3, lost: tuple[int, ...] = ()) -> list[Perception]:
    text = "The harbour was dredged twice this year. Ships of four metres can enter at low water."
    return _rename(
        made.document(
            [None if n in lost else made.paragraph(f"Page {n}. {text}", 0.1) for n in range(pages)]
        ),
        asset_id,
    )


def _write(lake: Lake, items: Mapping[str, list[Perception]]) -> None:
    """Commit assets by their write ids, with their plans."""
    composed = [_composed(perceptions, write_id) for write_id, perceptions in items.items()]
    files = [
        write_rows(lake, name, [row for item in composed for row in getattr(item, name)]) for name in CHILDREN
    ]
    plans = write_plans(lake, [plan_row(perceptions, Config(), "r0", NOW) for perceptions in items.values()])
    commit(lake, [item.asset for item in composed], rows_of([*files, plans]))


def _composed(perceptions: list[Perception], write_id: str) -> Composed:
    return compose(perceptions, Config(), run_id="r0", at=NOW, write_id=write_id)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of five assets in two commits: two talks, a report, half a report, a broken one."""
    root = tmp_path_factory.mktemp("sound") / "lake"
    lake = Lake(root)
    lake.create()
    _write(lake, {"w1": _talk("talk-a"), "w2": _report("report-b")})
    _write(
        lake,
        {
            "w3": _talk("talk-c"),
            "w4": _report("report-d", lost=(1,)),
            "w5": _report("report-e", pages=1, lost=(0,)),
        },
    )
    put_run(lake, run_row(discovered=6, ok=3, partial=1, failed=1, skipped=1))
    lake.write_views()
    return root


@pytest.fixture
def lake(sound: Path, tmp_path: Path) -> Lake:
    """A copy that a test may break."""
    shutil.copytree(sound, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    lake.write_views()
    return lake


def found(lake: Lake) -> set[str]:
    """Names of the checks that found an error or a warning."""
    return {item.check for item in check_lake(lake) if item.severity != "info"}


def update(table: str, predicate: str, **updates: str) -> Callable[[Lake], None]:
    """A mutation: set columns of some rows."""

    def mutate(lake: Lake) -> None:
        assert lake.table(table).update(updates=updates, predicate=predicate)["num_updated_rows"]

    return mutate


def delete(table: str, predicate: str) -> Callable[[Lake], None]:
    """A mutation: delete some rows."""

    def mutate(lake: Lake) -> None:
        assert lake.table(table).delete(predicate)["num_deleted_rows"]

    return mutate


def both(*mutations: Callable[[Lake], None]) -> Callable[[Lake], None]:
    """Several mutations."""

    def mutate(lake: Lake) -> None:
        for mutation in mutations:
            mutation(lake)

    return mutate


def append(table: str, **columns: Any) -> Callable[[Lake], None]:
    """A mutation: one more row of a table, like another one of talk-a but for some columns."""

    def mutate(lake: Lake) -> None:
        rows = getattr(_composed(_talk("talk-a"), "w1"), table)
        append_files(lake, rows_of([write_rows(lake, table, [replace(rows[0], **columns)])]))

    return mutate


def duplicate(lake: Lake) -> None:
    """A mutation: an asset's row twice."""
    row = to_table(AssetRow, [_composed(_talk("talk-a"), "w1").asset])
    from deltalake import write_deltalake

    write_deltalake(lake.table("assets"), row, mode="append")


def test_a_sound_lake_has_no_findings(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even of its superseded files, once they are gone; and that is said."""
    assert [item for item in check_lake(lake) if item.severity != "info"] == []
    assert run_status(lake.uri, check=True) == 0
    assert run_status(lake.uri, check=True, format="json") == 0
    out = capsys.readouterr().out
    assert {item["severity"] for item in json.loads(out[out.index("\n[\n") :])[0]["findings"]} <= {"info"}


def test_an_empty_lake_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is in it, so nothing is wrong, and that is said."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    assert check_lake(lake) == []
    assert run_status(lake.uri, check=True) == 0
    assert "in its place" in capsys.readouterr().out


TALK = "asset_id = 'talk-a'"


@pytest.mark.parametrize(
    ("mutate", "checks"),
    [
        (lambda lake: put_run(lake, run_row(run_id="r1", discovered=3)), {"ledger"}),
        (lambda lake: put_run(lake, run_row(run_id="r1", status="died", discovered=3)), {"ledger"}),
        (lambda lake: put_run(lake, run_row(run_id="r1", status="running", discovered=3)), {"running"}),
        (duplicate, {"duplicate-asset"}),
        (
            update("assets", "asset_id = 'report-e'", write_id="'w4'"),
            {"duplicate-write", "mixed-up", "failed-with-rows", "region-clip"},
        ),
        (
            update("assets", "asset_id = 'report-e'", summary_write_id=f"'{digest('summaries', 'w4')}'"),
            {
                "duplicate-write", "mixed-up", "clip-count", "segment-count", "failed-with-rows",
                "lost-regions",
            },
        ),
        (update("clips", f"{TALK} AND clip = 0", version="'other'"), {"mixed-up"}),
        (update("clips", f"{TALK} AND clip = 0", asset_id="'talk-c'"), {"mixed-up"}),
        (update("assets", TALK, clip_count="17"), {"clip-count"}),
        (update("assets", TALK, segment_count="17"), {"segment-count"}),
        (update("assets", "asset_id = 'report-d'", failure_count="2"), {"failure-count"}),
        (delete("failures", "asset_id = 'report-d'"), {"failure-count"}),
        (
            both(append("clips", clip=0), update("assets", TALK, clip_count="clip_count + 1")),
            {"clip-numbers"},
        ),
        (
            both(append("segments", segment=9), update("assets", TALK, segment_count="segment_count + 1")),
            {"segment-numbers"},
        ),
        (update("clips", f"{TALK} AND clip = 0", segment="99"), {"clip-segment"}),
        (append("text_regions", clip=99), {"region-clip"}),
        (append("utterances", clip=99), {"utterance-clip"}),
        (append("citations", clip=99), {"citation-clip"}),
        (append("citations", segment=99), {"citation-segment"}),
        (delete("text_regions", TALK), {"lost-regions"}),
        (delete("utterances", TALK), {"lost-utterances"}),
        (delete("citations", TALK), {"lost-citations"}),
        (update("assets", TALK, status="'partial'"), {"status"}),
        (update("assets", "asset_id = 'report-d'", status="'ok'"), {"status"}),
        (
            append("utterances", asset_id="report-e", write_id="w5", version="v" * 32, clip=None),
            {"failed-with-rows"},
        ),
        (update("clips", f"{TALK} AND clip = 0", end_seconds="-1.0"), {"spans"}),
        (update("segments", "asset_id = 'report-b'", last_page="0"), {"spans"}),
        (append("text_regions", until_seconds=-1.0), {"spans"}),
        (append("utterances", end_seconds=0.0), {"spans"}),
        (update("assets", TALK, plan_id="'gone'"), {"plan"}),
        (
            delete("clips", f"{TALK} AND clip = 0"),
            {"clip-count", "clip-numbers", "region-clip", "utterance-clip", "citation-clip"},
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_found(
    lake: Lake, mutate: Callable[[Lake], None], checks: set[str]
) -> None:
    """Exactly what was broken, and nothing else."""
    mutate(lake)
    lake.write_views()

    assert found(lake) == checks


@pytest.mark.parametrize("table", ["assets", "clips", "text_regions", "failures", "utterances", "runs"])
def test_a_missing_file_is_named(lake: Lake, table: str) -> None:
    """With its table; what can be read is still compared."""
    place = Path(lake.files(table)[0])
    place.unlink()

    (finding,) = [item for item in check_lake(lake) if item.check == "file"]
    assert finding.file == f"{table}/{place.name}"
    assert "is missing" in finding.what
    assert "backup" in finding.todo


def test_a_file_cut_short_is_named(lake: Lake) -> None:
    """By its size, before anything of it is read."""
    place = Path(lake.files("citations")[0])
    whole = place.read_bytes()
    place.write_bytes(whole[:-7])

    (finding,) = [item for item in check_lake(lake) if item.check == "file"]
    assert f"{len(whole) - 7:,} bytes, and should have {len(whole):,}" in finding.what


def test_a_flipped_bit_in_any_page_is_found(lake: Lake) -> None:
    """Checksums see it in every column, where the values would still be read as others."""
    place = Path(lake.files("text_regions")[0])
    whole = place.read_bytes()
    group = pq.ParquetFile(place).metadata.row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        start = column.dictionary_page_offset or column.data_page_offset
        broken = bytearray(whole)
        broken[start + column.total_compressed_size - 1] ^= 1
        place.write_bytes(broken)
        assert [item.file for item in check_lake(lake) if item.check == "file"] == [
            f"text_regions/{place.name}"
        ]
        place.write_bytes(whole)


def test_a_file_of_fewer_rows_is_named(lake: Lake) -> None:
    """The size can be right by chance; the rows are counted."""
    log = Path(lake.root, "failures", "_delta_log")
    for entry in log.glob("*.json"):
        entry.write_text(entry.read_text().replace('\\"numRecords\\": 2', '\\"numRecords\\": 3'))

    (finding,) = [item for item in check_lake(lake) if item.check == "file"]
    assert "has 2 rows, and should have 3" in finding.what


def test_a_table_that_is_gone_is_named(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The check says so where a query only breaks; repair does not make it worse."""
    shutil.rmtree(Path(lake.root, "clips"))

    assert found(lake) == {"table"}
    assert run_status(lake.uri, check=True) == 1
    assert run_repair(lake.uri) == 1
    assert "clips" in capsys.readouterr().out
    assert lake.table("assets").count() == 5


def test_views_that_are_missing_or_stale_are_found(lake: Lake) -> None:
    """Stale is a warning, because a run may be between; naming files that are gone is an error."""
    views = Path(lake.root, "views.sql")
    text = views.read_text(encoding="utf-8")
    views.unlink()
    assert [(item.check, item.severity) for item in check_lake(lake)][:1] == [("views", "error")]

    views.write_text(text, encoding="utf-8")
    append("utterances")(lake)
    assert [(item.check, item.severity) for item in check_lake(lake)][:1] == [("views", "warning")]

    views.write_text(text.replace("part-", "part-0"), encoding="utf-8")
    assert [(item.check, item.severity) for item in check_lake(lake)][:1] == [("views", "error")]


def test_what_compact_would_remove_is_told(lake: Lake) -> None:
    """Superseded rows and files of no table, with their sizes; neither is an error."""
    append("clips", write_id="never", clip=7)(lake)
    lake.write_views()
    Path(lake.root, "clips", "part-stray.parquet").write_bytes(b"x" * 5000)

    told = {item.check: item for item in check_lake(lake)}
    assert {item.severity for item in told.values()} == {"info"}
    assert "1 rows" in told["superseded"].what
    assert "5.0 kB" in told["leftover"].what


def test_a_run_in_progress_is_no_reproach(lake: Lake) -> None:
    """Who holds the lake lives; a run that holds nothing has died."""
    put_run(lake, run_row(run_id="now", status="running", discovered=9, finished_at=None))
    put_run(lake, run_row(run_id="then", status="running", discovered=9, finished_at=None))
    lake.write_views()
    with Claim(lake, "now"):
        told = {item.what.split()[1]: item.severity for item in check_lake(lake) if item.check == "running"}
    assert told == {"now": "info", "then": "warning"}


def test_counting_keeps_to_its_limits(lake: Lake) -> None:
    """A check of a large lake may not take the machine with it."""
    with pytest.raises(LimitError, match="memory"):
        check_lake(lake, Limits(memory="1KB"))


def test_status_goes_on_where_a_file_is_missing(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The findings are shown though the rest cannot be read; exit code 1."""
    Path(lake.files("assets")[0]).unlink()

    assert run_status(lake.uri, check=True) == 1
    said = capsys.readouterr()
    assert "is missing" in said.out
    assert "error" in said.err
    assert run_status(lake.uri) == 1


def _break(lake: Lake, table: str) -> list[Finding]:
    place = Path(lake.files(table)[0])
    place.write_bytes(place.read_bytes()[:-1])
    return check_lake(lake)


@pytest.mark.parametrize(
    "table", [*CHILDREN[:4], "citations", "failures", "assets", "units", "plans", "skips"]
)
def test_repair_takes_out_what_the_next_ingest_makes_again(lake: Lake, table: str) -> None:
    """After it the lake is sound; assets that lost rows are new to an ingest, all others stay."""
    with lake.connect() as connection:
        before = connection.execute("SELECT asset_id FROM assets").fetchall()
        files = lake.files(table)
        lost = (
            connection.execute(f"SELECT DISTINCT asset_id FROM read_parquet('{files[0]}')").fetchall()
            if files and table in (*CHILDREN, "assets")
            else []
        )
    if files:
        _break(lake, table)

    assert run_repair(lake.uri) == 0

    assert found(lake) == set()
    with lake.connect() as connection:
        after = connection.execute("SELECT asset_id FROM assets").fetchall()
    assert set(before) - set(after) == set(lost)


def test_a_repaired_asset_can_be_ingested_again(lake: Lake) -> None:
    """Its rows come back once, and the lake is sound."""
    _break(lake, "clips")
    run_repair(lake.uri)
    again = {
        "talk-a": _talk("talk-a"),
        "report-b": _report("report-b"),
        "talk-c": _talk("talk-c"),
        "report-d": _report("report-d", lost=(1,)),
    }
    gone = sorted(again.keys() - _ids(lake))
    assert gone

    _write(lake, {f"again-{item}": again[item] for item in gone})

    assert found(lake) == set()
    assert len(_ids(lake)) == 5


def _ids(lake: Lake) -> set[str]:
    with lake.connect() as connection:
        return {row[0] for row in connection.execute("SELECT asset_id FROM assets").fetchall()}


def test_repair_of_a_sound_lake_changes_nothing(lake: Lake) -> None:
    """No asset is forgotten for a warning."""
    merge_assets(lake, [replace(_composed(_talk("talk-a"), "w1").asset, plan_id="gone")])
    put_run(lake, run_row(run_id="dead", status="running", discovered=1, started_at=NOW - timedelta(hours=1)))
    before = {name: sorted(lake.files(name)) for name in ("assets", *CHILDREN)}

    assert run_repair(lake.uri) == 0

    assert {name: sorted(lake.files(name)) for name in ("assets", *CHILDREN)} == before
    assert found(lake) == {"plan"}


def test_what_the_pipeline_makes_is_sound(ingested: Ingested) -> None:
    """Of every kind of file, whole, in part and broken."""
    assert [item for item in check_lake(Lake(ingested.lake)) if item.severity != "info"] == []
