"""One row is a stretch of time with what was said and what was shown."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.timeline import PAUSE_SECONDS, TIMELINE
from schemas.arrow import arrow_schema, to_table
from schemas.perception import Utterance
from schemas.tables import ClipRow, TextRegionRow, TimelineRow, UtteranceRow
from tests import small_lake
from tests.made_perceptions import composed, document, line, slide, video, view
from tests.rows import utterance_row

Row = dict[str, Any]


def timeline(
    clips: Sequence[ClipRow], said: Sequence[UtteranceRow], seen: Sequence[TextRegionRow], where: str = "true"
) -> list[Row]:
    """The rows of the view over these tables, in order."""
    connection = duckdb.connect()
    tables: dict[str, pa.Table] = {
        "clips": to_table(ClipRow, clips),
        "utterances": to_table(UtteranceRow, said),
        "text_regions": to_table(TextRegionRow, seen),
    }
    for name, table in tables.items():
        connection.register(name, table)
    rows: list[Row] = (
        connection.sql(f"SELECT * FROM ({TIMELINE}) WHERE {where} ORDER BY asset_id, page, start_seconds")
        .to_arrow_table()
        .to_pylist()
    )
    return rows


def clip_rows(borders: Sequence[float], asset: str = "a0") -> list[ClipRow]:
    """Clips between borders, two to a segment."""
    spans = pairwise(borders)
    return [
        small_lake.clip_row(
            asset, index, "", "w0", segment=index // 2, start_seconds=start, end_seconds=end, ocr_text=None
        )
        for index, (start, end) in enumerate(spans)
    ]  # fmt: skip


def spoken(start: float, end: float, text: str, **columns: Any) -> UtteranceRow:
    """An utterance."""
    return utterance_row(start_seconds=start, end_seconds=end, text=text, **columns)


def seen(start: float, end: float, text: str, region: int, asset: str = "a0") -> TextRegionRow:
    """A line that stands on the screen."""
    return TextRegionRow(
        asset, "v0", 0, start, end - 0.5, end, None, region, text, 0.9, 0.1, 0.1, 0.5, 0.2, "ocr", "w0"
    )  # fmt: skip


def told(rows: Sequence[Row]) -> list[tuple[float, float, str | None, str | None]]:
    """What matters of rows."""
    return [(row["start_seconds"], row["end_seconds"], row["said"], row["shown"]) for row in rows]


# --- one recording ---------------------------------------------------------------------------


def test_words_stand_beside_the_slide_that_was_shown() -> None:
    """Each utterance is one row with the lines of its time; silence is cut where the clips are."""
    rows = timeline(
        clip_rows([0.0, 10.0, 30.0]),
        [spoken(2.0, 5.0, "Hello."), spoken(14.0, 18.0, "Look here.", clip=1, speaker="B")],
        [seen(0.0, 10.0, "Slide one", 0), seen(10.0, 30.0, "Slide two", 1), seen(20.0, 30.0, "a bullet", 2)],
    )
    assert told(rows) == [
        (0.0, 2.0, None, "Slide one"),
        (2.0, 5.0, "Hello.", "Slide one"),
        (5.0, 10.0, None, "Slide one"),
        (10.0, 14.0, None, "Slide two"),
        (14.0, 18.0, "Look here.", "Slide two"),
        (18.0, 30.0, None, "Slide two\na bullet"),
    ]
    assert [row["clip"] for row in rows] == [0, 0, 0, 1, 1, 1]
    assert [row["speaker"] for row in rows] == [None, None, None, None, "B", None]
    assert {row["page"] for row in rows} == {None}


def test_an_utterance_over_a_change_of_slide_is_one_row_with_both() -> None:
    """It belongs to the clip that holds most of it; both slides were shown while it was said."""
    rows = timeline(
        clip_rows([0.0, 10.0, 20.0]),
        [spoken(8.0, 15.0, "And now the next one.", clip=1)],
        [seen(0.0, 10.0, "Slide one", 0), seen(10.0, 20.0, "Slide two", 1)],
    )
    assert told(rows)[1] == (8.0, 15.0, "And now the next one.", "Slide one\nSlide two")
    assert [row["clip"] for row in rows] == [0, 1, 1]


def test_a_short_pause_belongs_to_the_words_before_it() -> None:
    """Also where a clip ends within it; a pause of a second is a row."""
    rows = timeline(
        clip_rows([0.0, 5.2, 20.0]),
        [spoken(1.0, 5.0, "One."), spoken(5.5, 7.0, "Two.", clip=1), spoken(8.0, 19.5, "Three.", clip=1)],
        [],
    )
    assert told(rows) == [
        (0.0, 1.0, None, None),
        (1.0, 5.5, "One.", None),
        (5.5, 7.0, "Two.", None),
        (7.0, 8.0, None, None),
        (8.0, 20.0, "Three.", None),
    ]


def test_speech_over_speech_is_told_once_and_in_order() -> None:
    """Who begins later has a row from then on; what begins together is joined."""
    rows = timeline(
        clip_rows([0.0, 20.0]),
        [
            spoken(0.0, 10.0, "A long one.", speaker="A", language="en"),
            spoken(3.0, 4.0, "Yes.", speaker="B", language="en"),
            spoken(12.0, 14.0, "Left.", speaker="B", language="de", doubts=["language"]),
            spoken(12.0, 15.0, "Right.", speaker="A", language="en", doubts=["improbable"]),
        ],
        [],
    )
    assert told(rows) == [
        (0.0, 3.0, "A long one.", None),
        (3.0, 10.0, "Yes.", None),
        (10.0, 12.0, None, None),
        (12.0, 15.0, "Left. Right.", None),
        (15.0, 20.0, None, None),
    ]
    assert [(row["speaker"], row["language"]) for row in rows[3:]] == [("A, B", "de, en"), (None, None)]
    assert [row["doubts"] for row in rows[2:]] == [[], ["improbable", "language"], []]


def test_only_the_transcript_is_told() -> None:
    """Other tracks tell the same speech."""
    rows = timeline(
        clip_rows([0.0, 20.0]),
        [
            spoken(0.0, 20.0, "Hello."),
            spoken(0.0, 19.0, "Hallo.", source="subtitle:x.de.srt", in_transcript=False),
        ],
        [],
    )
    assert told(rows) == [(0.0, 20.0, "Hello.", None)]


def test_text_that_scrolls_is_shown_once() -> None:
    """A line that was seen in three places of the screen is one text, where it came first."""
    lines = [seen(0.0, 2.0, "first", 0), seen(0.0, 2.0, "second", 1)]
    lines += [seen(2.0, 4.0, "second", 2), seen(2.0, 4.0, "third", 3), seen(4.0, 9.0, "third", 4)]
    assert told(timeline(clip_rows([0.0, 9.0]), [], lines)) == [(0.0, 9.0, None, "first\nsecond\nthird")]


def test_words_after_the_end_are_told() -> None:
    """A subtitle that outlives its video is a row to its own end."""
    rows = timeline(clip_rows([0.0, 10.0]), [spoken(12.0, 4e7, "Still here.")], [seen(0.0, 10.0, "x", 0)])
    assert told(rows) == [(0.0, 12.0, None, "x"), (12.0, 4e7, "Still here.", None)]


def test_a_page_is_a_row() -> None:
    """Documents have pages instead of times; nothing is said on them."""
    made = composed(document([[line("A study of leaves", 0.1)], []]))
    rows = timeline(made.clips, made.utterances, made.text_regions)
    assert [(row["page"], row["said"], row["shown"], row["start_seconds"]) for row in rows] == [
        (1, None, "A study of leaves", None),
        (2, None, None, None),
    ]
    assert [(row["clip"], row["segment"], row["doubts"]) for row in rows] == [(0, 0, []), (1, 0, [])]


# --- composed and stored -----------------------------------------------------------------------


def test_a_line_stands_until_the_sampled_time_at_which_it_is_gone() -> None:
    """Said between the last look at a slide and the first at the next, words still have a slide."""
    speech = [Utterance(19.2, 19.8, "Between two looks.", source="faster-whisper:small")]
    views = [view(slide("What a leaf needs"), 0, 19), view(slide("Reading list"), 20, 39)]
    made = composed(video(views, 40.0, [20.0], speech))
    assert [(row.time_seconds, row.until_seconds, row.end_seconds) for row in made.text_regions] == [
        (0, 19, 20),
        (20, 39, 40),
    ]
    rows = timeline(made.clips, made.utterances, made.text_regions, "said IS NOT NULL")
    assert told(rows) == [(19.2, 19.8, "Between two looks.", "What a leaf needs")]


def test_the_view_has_the_declared_columns_and_reads_a_lake(tmp_path: Path) -> None:
    """`schemas/tables.py` says what the columns are; a lake answers without extensions."""
    lake = small_lake.make(tmp_path)
    connection = lake.connect()
    described = connection.execute("DESCRIBE timeline").fetchall()
    assert [item[0] for item in described] == arrow_schema(TimelineRow).names
    empty = duckdb.connect()
    for name, row in (("clips", ClipRow), ("utterances", UtteranceRow), ("text_regions", TextRegionRow)):
        empty.register(name, arrow_schema(row).empty_table())
    assert empty.sql(f"SELECT * FROM ({TIMELINE})").to_arrow_table().schema.types == (
        arrow_schema(TimelineRow).types
    )
    found = connection.execute(
        "SELECT clip, segment, shown FROM timeline WHERE said LIKE '%dark%'"
    ).fetchall()
    assert found == [(1, 1, "秋夜观星\n请先让眼睛适应黑暗二十分钟")]
    assert connection.execute("SELECT count(*) FROM timeline WHERE shown LIKE '%ghost%'").fetchone() == (0,)


# --- any recording -----------------------------------------------------------------------------

_TIMES = st.integers(0, 320).map(lambda quarter: quarter / 4)
_SPANS = st.tuples(_TIMES, _TIMES).map(lambda pair: (min(pair), max(pair)))


@settings(max_examples=40, deadline=None)
@given(st.lists(_SPANS, max_size=12), st.lists(_SPANS, max_size=8), st.sets(st.integers(1, 79), max_size=4))
def test_any_recording_is_tiled_and_shows_what_stood(
    said: list[tuple[float, float]], stood: list[tuple[float, float]], cuts: set[int]
) -> None:
    """Rows follow each other, tell each utterance once, call no speech silence, and show all lines."""
    borders = [0.0, *sorted(map(float, cuts)), 80.0]
    utterances = [spoken(start, end, f"u{index};") for index, (start, end) in enumerate(said)]
    regions = [
        seen(start, max(end, start + 0.5), f"line{index}", index) for index, (start, end) in enumerate(stood)
    ]
    rows = timeline(clip_rows(borders), utterances, regions)

    assert rows[0]["start_seconds"] == 0.0
    assert rows[-1]["end_seconds"] == 80.0 or said
    assert [row["end_seconds"] for row in rows[:-1]] == [row["start_seconds"] for row in rows[1:]]
    words = "".join(row["said"] or "" for row in rows).split(";")
    assert sorted(word.strip() for word in words if word.strip()) == sorted(f"u{i}" for i in range(len(said)))
    for row in rows:
        start, end = row["start_seconds"], row["end_seconds"]
        assert start < end or start >= 80.0
        within = [(a, b) for a, b in said if a < end and b > start]
        if row["said"] is None:
            assert not within
        else:
            after = end - max(b for a, b in said if a <= start)
            assert after < PAUSE_SECONDS
        shown = [item.text for item in regions if item.time_seconds < end and item.end_seconds > start]
        assert (row["shown"] or "").split("\n") == (shown or [""])
