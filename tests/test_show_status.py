"""`gloss show` and `gloss status`: the rows of a lake, told to people and programs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.show import AssetError, find_asset, run_show
from jobs.status import run_status
from operators.commit import put_run
from operators.lake import Lake
from tests import small_lake
from tests.rows import run_row


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One lake for all tests that only read it."""
    return small_lake.make(tmp_path_factory.mktemp("show"))


@pytest.mark.parametrize(
    ("name", "asset_id"),
    [
        (small_lake.TALK, small_lake.TALK),
        ("AA11", small_lake.TALK),
        ("file:///data/talks/moon.mp4", small_lake.TALK),
        ("/data/talks/moon.mp4", small_lake.TALK),
        ("moon", small_lake.TALK),
        ("Café Report.PDF", small_lake.REPORT),
        ("poster", small_lake.PICTURE),
    ],
)
def test_an_asset_is_found_by_any_name_it_has(lake: Lake, name: str, asset_id: str) -> None:
    """Id, beginning of the id, URI, path, or part of the file's name, whatever the case."""
    with lake.connect() as connection:
        assert find_asset(connection, name) == asset_id


def test_a_name_of_several_assets_lists_them(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the candidates, so that the next call can name one."""
    assert run_show(lake.uri, "talks") == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert "moon.mp4" in said.err
    assert "broken.mp4" in said.err
    assert "poster.png" not in said.err


@pytest.mark.parametrize("name", ["nowhere", "", "%", "_"])
def test_a_name_of_no_asset_is_refused(lake: Lake, name: str) -> None:
    """Wildcards of SQL are letters here."""
    with lake.connect() as connection, pytest.raises(AssetError, match="no asset fits"):
        find_asset(connection, name)


def test_show_tells_the_whole_story(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Facts, summary, segments with titles and times, clips with text, failures, timings."""
    assert run_show(lake.uri, "report") == 0
    out = capsys.readouterr().out
    for word in (
        "Café report", "partial", "The café sold 412 croissants.", "pages 1-2", "Spring tide of visitors",
        "96 éclairs", "text_layer", "page 2", "timeout", "Page 2 took too long.", "ocr 30.0 s",
        "$ gloss try '/data/docs/café report.pdf' --page 2",
    ):  # fmt: skip
        assert word in out, word

    assert run_show(lake.uri, "moon") == 0
    out = capsys.readouterr().out
    for word in (
        "1:00",
        "0:30-1:00",
        "秋夜观星",
        "A telescope below the stars.",
        "60 frames sampled, 3 distinct",
    ):
        assert word in out, word
    assert "ghostword" not in out


def test_show_json_holds_every_row_of_the_asset(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """One array of one object: the columns of `assets`, and a list for each table."""
    assert run_show(lake.uri, "moon", format="json") == 0
    (story,) = json.loads(capsys.readouterr().out)
    assert story["asset_id"] == small_lake.TALK
    assert [segment["title"] for segment in story["segments"]] == ["The Moon", "秋夜观星"]
    assert [clip["clip"] for clip in story["clips"]] == [0, 1]
    assert len(story["utterances"]) == 4
    assert [citation["text"] for citation in story["citations"]] == ["The Moon moves the sea."]
    assert story["failures"] == []


def test_show_does_not_let_data_steer_the_terminal(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Titles and texts come from strangers' files."""
    assert run_show(lake.uri, "poster") == 0
    assert not {"\x1b", "\x9b", "\u202e"} & set(capsys.readouterr().out)


def test_status_counts_what_is_there(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs, assets by kind and state, failures by reason, sizes."""
    assert run_status(lake.uri, format="json", check=True) == 0
    (state,) = json.loads(capsys.readouterr().out)
    assert {item["severity"] for item in state["findings"]} <= {"info"}
    by_kind = {row["kind"]: (row["ok"], row["partial"], row["failed"]) for row in state["assets"]}
    assert by_kind == {"document": (0, 1, 0), "image": (1, 0, 0), "video": (1, 0, 1)}
    assert {(row["reason"], row["failures"]) for row in state["failures"]} == {
        ("timeout", 1),
        ("truncated", 1),
    }
    assert [(run["run_id"], run["discovered"], run["balanced"]) for run in state["runs"]] == [("r0", 6, True)]
    files = sum(1 for path in Path(lake.root).rglob("part-*.parquet"))
    assert sum(table["files"] for table in state["tables"]) <= files

    assert run_status(lake.uri) == 0
    out = capsys.readouterr().out
    for word in ("r0", "finished", "truncated", "broken.mp4", "document"):
        assert word in out, word


def test_status_check_fails_when_a_file_is_unaccounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that is over and whose counts do not add up is named, however it ended."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    sound = run_row(run_id="sound", discovered=3, ok=1, partial=0, failed=1, skipped=1)
    put_run(lake, sound)
    put_run(lake, replace(sound, run_id="going-on", status="running", discovered=9))
    lake.write_views()
    assert run_status(lake.uri, check=True) == 0

    put_run(lake, replace(sound, run_id="wrong", status="interrupted", discovered=4))
    lake.write_views()

    assert run_status(lake.uri, check=True) == 1
    said = capsys.readouterr()
    assert "wrong (interrupted; of 4 files 1 ok, 0 partial, 1 failed, 1 skipped)" in said.out
    assert "1 error" in said.err
    assert run_status(lake.uri) == 0


def test_an_empty_lake_has_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was ingested yet, and that is what is said."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    assert run_status(lake.uri, format="json") == 0
    (state,) = json.loads(capsys.readouterr().out)
    assert (state["runs"], state["assets"], state["failures"]) == ([], [], [])


@pytest.mark.parametrize("verb", [run_status, lambda uri: run_show(uri, "x")])
def test_no_lake_is_wrong_usage(tmp_path: Path, verb: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and how to make one."""
    assert callable(verb)
    assert verb(str(tmp_path / "none")) == 2
    assert "gloss ingest" in capsys.readouterr().err
