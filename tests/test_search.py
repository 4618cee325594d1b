"""`gloss search`: what is found, where, and in which order."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.search import Term, matches, parse, run_search, search, snippet
from operators.commit import commit
from operators.lake import Lake
from operators.write import rows_of, write_rows
from schemas.perception import Word
from schemas.tables import UtteranceRow
from tests import small_lake
from tests.rows import asset_row, utterance_row


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One lake for all tests here."""
    return small_lake.make(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def connection(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """Its views."""
    with lake.connect() as connection:
        yield connection


def places(connection: duckdb.DuckDBPyConnection, words: str) -> set[tuple[str, str, object]]:
    """Where words are found: asset, where, and page or time."""
    return {
        (row["asset_id"], row["where"], row["page"] if row["page"] is not None else row["start_seconds"])
        for row in search(connection, words, limit=50)
    }


def test_words_are_found_in_text_speech_captions_and_summaries(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Each place with the time or page at which the word stands."""
    assert places(connection, "moon") == {
        (small_lake.TALK, "ocr", 0.0),
        (small_lake.TALK, "speech", 1.0),
        (small_lake.TALK, "summary", None),
        (small_lake.TALK, "summary", 0.0),
    }
    assert places(connection, "telescope") == {(small_lake.TALK, "caption", 30.0)}
    assert places(connection, "croissants") == {
        (small_lake.REPORT, "ocr", 2),
        (small_lake.REPORT, "summary", None),
    }


def test_the_time_is_that_of_the_line_not_of_the_clip(connection: duckdb.DuckDBPyConnection) -> None:
    """A line that appears 12 s into its clip, and a sentence that begins 14 s into it."""
    assert (small_lake.TALK, "ocr", 12.0) in places(connection, "twice a day")
    assert places(connection, "high water") == {(small_lake.TALK, "speech", 14.0)}


def test_case_and_accents_do_not_count(connection: duckdb.DuckDBPyConnection) -> None:
    """CAFE finds café, éclairs is found by eclairs, also when accents are separate characters."""
    assert places(connection, "CAFE") == places(connection, "café") == places(connection, "cafe\u0301")
    assert places(connection, "eclairs") == {(small_lake.REPORT, "ocr", 2)}


def test_a_word_is_not_found_inside_another(connection: duckdb.DuckDBPyConnection) -> None:
    """`tide` is not `tides`; with a star it is the beginning of both."""
    assert places(connection, "tide") == {(small_lake.REPORT, "ocr", 1)}
    assert {(small_lake.REPORT, "ocr", 1), (small_lake.TALK, "ocr", 12.0)} <= places(connection, "tide*")


def test_scripts_without_spaces_are_found_by_part(connection: duckdb.DuckDBPyConnection) -> None:
    """黑暗 stands in the middle of a sentence; 暗黑 stands nowhere."""
    assert places(connection, "黑暗") == {(small_lake.TALK, "ocr", 31.0)}
    assert places(connection, "暗黑") == set()


def test_a_quoted_phrase_must_stand_there(connection: duckdb.DuckDBPyConnection) -> None:
    """Also across the border of two subtitles; word order counts; other words only rank."""
    assert places(connection, '"water follows the moon"') == {(small_lake.TALK, "speech", 14.0)}
    assert places(connection, '"moon the follows"') == set()
    assert places(connection, '"spring tide" moon') == {(small_lake.REPORT, "ocr", 1)}


def _talk(root: Path, *utterances: UtteranceRow, clips: bool = True) -> Lake:
    """A lake with one recording of a minute, in two clips."""
    lake = Lake(root / "lake")
    lake.create()
    spans = [(0, 0.0, 30.0), (1, 30.0, 60.0)] if clips else []
    rows = [small_lake.clip_row("a0", clip, "", "w0", start_seconds=a, end_seconds=b) for clip, a, b in spans]
    files = rows_of([write_rows(lake, "clips", rows), write_rows(lake, "utterances", utterances)])
    commit(lake, [asset_row(title=None, summary=None)], files)
    lake.write_views()
    return lake


def _heard(start: float, text: str, **columns: Any) -> UtteranceRow:
    """An utterance of which each word takes half a second."""
    words = [Word(word, start + 0.5 * i, start + 0.5 * i + 0.4, 0.9) for i, word in enumerate(text.split())]
    end = start + 0.5 * len(words)
    columns = {"clip": int(start >= 30)} | columns
    return utterance_row(start_seconds=start, end_seconds=end, text=text, words=words, **columns)


def test_a_spoken_word_is_found_at_its_own_time(tmp_path: Path) -> None:
    """Not at that of its clip or utterance; a phrase at that of its first word."""
    heard = [
        _heard(4.0, "Good evening."),
        _heard(12.0, "High water follows the"),
        _heard(14.0, "Moon, of course."),
    ]
    with _talk(tmp_path, *heard).connect() as connection:
        assert places(connection, "follows") == {("a0", "speech", 13.0)}
        assert places(connection, "evening") == {("a0", "speech", 4.5)}
        assert places(connection, "moon") == {("a0", "speech", 14.0)}
        assert places(connection, '"water follows"') == {("a0", "speech", 12.5)}
        assert places(connection, '"follows the moon"') == {("a0", "speech", 13.0)}
        assert places(connection, "cours*") == {("a0", "speech", 15.0)}


def test_what_is_said_is_found_once_though_subtitles_tell_it_too(tmp_path: Path) -> None:
    """In the transcript where it has the words, and else in the track that has them."""
    german = {"source": "subtitle:talk.de.srt", "language": "de", "in_transcript": False, "words": []}
    said = [_heard(4.0, "The Moon and Kepler."), _heard(40.0, "Water follows.")]
    tracks = [_heard(3.0, "Kepler und der Mond", clip=0), _heard(41.0, "Wasser folgt")]
    lake = _talk(tmp_path, *said, *(replace(track, **german) for track in tracks))  # type: ignore[arg-type]
    with lake.connect() as connection:
        assert places(connection, "Kepler") == {("a0", "speech", 5.5)}
        assert places(connection, "Mond") == {("a0", "speech", 3.0)}
        assert places(connection, "Kepler Mond") == {("a0", "speech", 5.5)}
        assert places(connection, "water Wasser") == {("a0", "speech", 40.0)}


def test_speech_without_clips_is_found(tmp_path: Path) -> None:
    """Where nothing is known of a recording's length, each half minute is a place."""
    said = [_heard(4.0, "The Moon.", clip=None), _heard(40.0, "The Moon again.", clip=None)]
    with _talk(tmp_path, *said, clips=False).connect() as connection:
        assert places(connection, "moon") == {("a0", "speech", 4.5), ("a0", "speech", 40.5)}


def test_rows_of_an_unfinished_commit_are_not_found(connection: duckdb.DuckDBPyConnection) -> None:
    """Only live rows are searched."""
    assert places(connection, "ghostword") == set()


def test_scores_are_bm25() -> None:
    """On three documents of known length, the score is the formula of the paper."""
    connection = duckdb.connect()
    for name, columns in {
        "utterances": "NULL::VARCHAR AS asset_id, NULL::INT AS clip, NULL::DOUBLE AS start_seconds, "
        "NULL::VARCHAR AS text, NULL::VARCHAR AS source, true AS in_transcript, NULL::STRUCT(word VARCHAR)[] "
        "AS words",
        "segments": "NULL::VARCHAR AS asset_id, NULL::INT AS segment, NULL::DOUBLE AS start_seconds, "
        "NULL::INT AS first_page, NULL::VARCHAR AS title, NULL::VARCHAR AS summary",
        "text_regions": "NULL::VARCHAR AS asset_id, NULL::INT AS clip, NULL::DOUBLE AS time_seconds, "
        "NULL::VARCHAR AS text",
    }.items():
        connection.execute(f"CREATE VIEW {name} AS SELECT {columns} WHERE false")
    connection.execute(
        "CREATE VIEW assets AS SELECT 'a' AS asset_id, 'file:///a' AS uri, 'document' AS kind, "
        "NULL::VARCHAR AS title, NULL::VARCHAR AS summary"
    )
    texts = ["owl owl bat", "owl cat cat cat cat", "dog"]
    connection.execute(
        "CREATE TABLE pages AS SELECT unnest($texts) AS text, unnest(range(3)) AS clip", {"texts": texts}
    )
    connection.execute(
        "CREATE VIEW clips AS SELECT 'a' AS asset_id, clip, NULL::DOUBLE AS start_seconds, "
        "NULL::DOUBLE AS end_seconds, clip + 1 AS page, text AS ocr_text, NULL::VARCHAR AS caption, "
        "NULL::VARCHAR AS title, NULL::VARCHAR AS summary FROM pages"
    )

    found = {row["page"]: row["score"] for row in search(connection, "owl bat")}

    mean = sum(map(len, texts)) / 3

    def bm25(times: int, holding: int, length: int) -> float:
        weight = math.log(1 + (3 - holding + 0.5) / (holding + 0.5))
        return weight * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean))

    assert found == {
        1: pytest.approx(bm25(2, 2, 11) + bm25(1, 1, 11), abs=1e-4),
        2: pytest.approx(bm25(1, 2, 19), abs=1e-4),
    }


def test_words_never_become_sql(connection: duckdb.DuckDBPyConnection) -> None:
    """Quotes, semicolons and wildcards are text."""
    assert places(connection, "'; DROP VIEW assets; --") == set()
    assert places(connection, "100% _ [a-z]") != places(connection, "moon")
    assert places(connection, "moon")


def test_the_same_lake_gives_the_same_order(connection: duckdb.DuckDBPyConnection) -> None:
    """Ties are broken by place, not by chance; ranks count from one."""
    first, second = (search(connection, "moon tides cafe 412") for _ in range(2))
    assert first == second
    assert [row["rank"] for row in first] == list(range(1, len(first) + 1))
    assert [row["score"] for row in first] == sorted((row["score"] for row in first), reverse=True)


def test_json_has_the_promised_columns(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get rank, score, uri, kind, time or page, where, and a snippet without marks."""
    assert run_search(lake.uri, "croissants", format="json", limit=1) == 0

    (row,) = json.loads(capsys.readouterr().out)
    assert {"rank", "score", "uri", "kind", "start_seconds", "page", "where", "snippet"} <= set(row)
    assert "croissants" in row["snippet"]


def test_nothing_found_is_an_empty_answer(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and an empty array; no words at all is wrong usage."""
    assert run_search(lake.uri, "nowhere", format="json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run_search(lake.uri, " !!! ") == 2


def test_texts_cannot_steer_the_terminal(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences read from a picture are shown as pictures of themselves."""
    assert run_search(lake.uri, "evil") == 0
    out = capsys.readouterr().out
    assert "evil" in out
    assert not {"\x1b", "\x9b", "\u202e"} & set(out)


def test_terms_are_cut_as_texts_are(connection: duckdb.DuckDBPyConnection) -> None:
    """Words, phrases, beginnings, and runs of Chinese characters, each once."""
    search(connection, "x")

    assert parse(connection, 'Tide "Low  Water" anem* 夜观 tide don\'t') == [
        Term(("tide",)),
        Term(("low", "water"), required=True),
        Term(("anem",), prefix=True),
        Term(("夜", "观")),
        Term(("don", "t")),
    ]


@pytest.mark.parametrize(
    ("text", "term", "found"),
    [
        ("The Café, cafés", Term(("cafe",)), ["Café"]),
        ("The Café, cafés", Term(("cafe",), prefix=True), ["Café", "café"]),
        ("low-water mark", Term(("low", "water")), ["low-water"]),
        ("适应黑 暗二十", Term(("黑", "暗")), ["黑 暗"]),
        ("한국어 사전", Term(("사전",)), ["사전"]),
        ("unmatched", Term(("match",)), []),
    ],
)
def test_matches_are_marked_in_the_original_text(text: str, term: Term, found: list[str]) -> None:
    """Folding for comparison does not shift the marks."""
    assert [text[start:end] for start, end in matches(text, [term])] == found


@given(st.lists(st.sampled_from(["alpha", "βeta", "ümlaut", "the", "needle"]), min_size=1, max_size=120))
def test_a_snippet_is_short_and_shows_the_match(words: list[str]) -> None:
    """It is a stretch of the text, and holds the first match if there is one."""
    text, term = " ".join(words), Term(("needle",))
    shown = snippet(text, [term])
    assert len(shown) <= 162
    assert shown.strip("…") in text
    assert ("needle" in shown) == ("needle" in words)
