"""`gloss show` and `gloss status`: the rows of a lake, told to people and programs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.show import AssetError, find_asset, run_show
from jobs.status import run_status
from operators.commit import commit, put_run
from operators.lake import Lake
from operators.write import rows_of, write_rows
from schemas.tables import FailureRow
from tests import small_lake
from tests.rows import NOW, asset_row, run_row, utterance_row


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


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A recording in two languages with a track of subtitles, doubts, and a stretch that was lost."""
    lake = Lake(tmp_path_factory.mktemp("spoken") / "lake")
    lake.create()
    utterances = [
        utterance_row(start_seconds=1.0, end_seconds=3.0, text="Good evening.", speaker="Ann"),
        utterance_row(start_seconds=70.0, end_seconds=80.5, text="Guten Abend.", language="de", clip=1),
        utterance_row(
            start_seconds=90.0, end_seconds=91.0, text="Thank you. Thank you.", clip=1, doubts=["repetition"]
        ),
        utterance_row(text="Good evening", source="subtitle:talk.srt", revision="", in_transcript=False),
    ]
    clips = [
        small_lake.clip_row("a0", 0, "A slide", "w0", start_seconds=0.0, end_seconds=60.0),
        small_lake.clip_row("a0", 1, "Another", "w0", start_seconds=60.0, end_seconds=100.0),
    ]
    lost = FailureRow(
        "a0", "v0", "file:///data/a0.mp4", "asr", "no_words", "Wanted words; found none.",
        None, 92.5, 97.0, "r0", NOW, "w0",
    )  # fmt: skip
    files = [
        write_rows(lake, "utterances", utterances),
        write_rows(lake, "clips", clips),
        write_rows(lake, "failures", [lost]),
    ]
    commit(lake, [asset_row(sound_seconds=100.0, status="partial")], rows_of(files))
    lake.write_views()
    return lake


def test_show_tells_what_was_heard(spoken: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Seconds, who told it in which languages, doubts, words with their times, and what was lost."""
    assert run_show(spoken.uri, "a0") == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "1:40 of sound, 0:40 of it with a voice, 0:38 of that in words.",
        "faster-whisper:small (w0) de, en Ann 3 0:13 1 (repetition) makes the transcript",
        "0:01 Ann: “Good evening.”",
        "1:10 “Guten Abend.”",
        "1:30 “Thank you. Thank you.” (repetition?)",
        "1:32-1:37 asr: no_words",
    ):
        assert line in lines, line
    assert any(line.startswith("subtitle:talk.srt en 1 0:02 0") for line in lines)
    assert (
        out.index("A slide") < out.index("Good evening.”") < out.index("Another") < out.index("Guten Abend")
    )


def test_show_json_holds_what_was_heard(spoken: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts, and the timeline of what was said beside what was shown."""
    assert run_show(spoken.uri, "a0", format="json") == 0
    (story,) = json.loads(capsys.readouterr().out)
    assert (story["sound_seconds"], story["speech_seconds"], story["worded_seconds"]) == (100.0, 40.0, 38.0)
    heard, subtitles = story["speech"]
    assert (heard["source"], heard["languages"], heard["speakers"]) == (
        "faster-whisper:small",
        ["de", "en"],
        ["Ann"],
    )
    assert (heard["utterances"], heard["seconds"], heard["doubtful"], heard["doubts"]) == (
        3,
        13.5,
        1,
        ["repetition"],
    )
    assert (subtitles["in_transcript"], subtitles["utterances"]) == (False, 1)
    assert [row["said"] for row in story["timeline"] if row["said"]] == [
        "Good evening.",
        "Guten Abend.",
        "Thank you. Thank you.",
    ]


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
