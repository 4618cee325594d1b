"""The whole pipeline on real Ray, from files to SQL, against what the examples truly hold."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.held import Held
from jobs.ingest import find, run_ingest
from jobs.plan import Work, known_skips, plan
from jobs.retry import run_retry
from operators.discover import discover
from operators.lake import Lake
from schemas.arrow import to_dict
from schemas.config import Config, load_config
from schemas.listings import Listings
from schemas.tables import CHILDREN, WRITES
from tests.conftest import EXAMPLES, Ingested
from tests.plain import compose_plainly
from tests.recall import recall, words

TRUTH: dict[str, Any] = json.loads((EXAMPLES / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def views(ingested: Ingested) -> duckdb.DuckDBPyConnection:
    """The views, through plain DuckDB and the views file alone."""
    connection = duckdb.connect()
    connection.execute(Path(ingested.lake, "views.sql").read_text(encoding="utf-8"))
    return connection


def one(views: duckdb.DuckDBPyConnection, sql: str, *values: object) -> Any:
    """The only value of a query."""
    ((value,),) = views.execute(sql, list(values)).fetchall()
    return value


def test_every_file_is_accounted_for(ingested: Ingested, views: duckdb.DuckDBPyConnection) -> None:
    """The broken example gives exit code 3; ok + partial + failed + skipped is what was there."""
    ((run),) = views.execute(
        "SELECT discovered, ok, partial, failed, skipped, status, exit_code FROM runs"
    ).fetchall()
    files = len(list(ingested.corpus.iterdir()))

    assert ingested.exit_code == 3
    assert run[0] == files == sum(run[1:5])
    assert run[5:] == ("finished", 3)
    assert dict(views.execute("SELECT reason, count(*) FROM skips GROUP BY 1").fetchall()) == {
        "hidden": 1,
        "sidecar": 1,
        "unsupported": 1,
    }


def test_assets_have_the_facts_of_their_files(views: duckdb.DuckDBPyConnection) -> None:
    """Kind, status, size as shown, duration and pages are as the examples were made."""
    for name, truth in TRUTH.items():
        row = views.execute(
            "SELECT kind, status, width_px, height_px, duration_seconds, page_count FROM assets "
            "WHERE uri LIKE ?",
            [f"%/{name}"],
        ).fetchall()
        ((kind, status, width, height, duration, pages),) = row
        assert (kind, status) == (truth["kind"], truth["status"]), name
        if truth["kind"] == "video" and truth["status"] == "ok":
            assert (width, height) == (truth["width_px"], truth["height_px"]), name
            assert duration == pytest.approx(truth["duration_seconds"], abs=0.1), name
        if truth["kind"] == "document":
            assert pages == truth["page_count"], name


def test_broken_file_is_a_failure_with_a_reason(views: duckdb.DuckDBPyConnection) -> None:
    """It is named, with a reason of the closed list and a message, and nothing else failed."""
    ((uri, stage, reason, message),) = views.execute(
        "SELECT uri, stage, reason, message FROM failures"
    ).fetchall()

    assert uri.endswith("unfinished-recording.mp4")
    assert stage == "probe"
    assert reason in ("corrupt", "truncated")
    assert message


def slides() -> list[tuple[str, dict[str, Any]]]:
    """All slides of all example videos."""
    return [(name, slide) for name, truth in TRUTH.items() for slide in truth.get("slides", [])]


@pytest.mark.parametrize(
    ("name", "slide"), slides(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_slide_is_found_with_its_words_at_its_time(
    views: duckdb.DuckDBPyConnection, name: str, slide: dict[str, Any]
) -> None:
    """All words of a slide are seen, first within one sampling interval of its appearance."""
    rows = views.execute(
        "SELECT text, time_seconds, until_seconds FROM text_regions JOIN assets USING (asset_id) "
        "WHERE uri LIKE ? AND time_seconds < ? AND until_seconds >= ?",
        [f"%/{name}", slide["end_seconds"] - 0.5, slide["start_seconds"] + 0.5],
    ).fetchall()
    title = [row for row in rows if recall(slide["lines"][0], row[0]) == 1]

    assert recall(" ".join(slide["lines"]), " ".join(row[0] for row in rows)) >= 0.98
    assert title
    assert 0 <= title[0][1] - slide["start_seconds"] <= 1.0
    assert slide["end_seconds"] - 1.1 <= title[0][2] < slide["end_seconds"] + 0.01  # a frame's length


def test_each_slide_is_read_once(views: duckdb.DuckDBPyConnection) -> None:
    """Recognition follows distinct content: pictures read whole are as many as slides, not samples."""
    for name, truth in TRUTH.items():
        if truth.get("slides"):
            sampled, whole = views.execute(
                "SELECT sampled_frames, read_whole FROM assets WHERE uri LIKE ?", [f"%/{name}"]
            ).fetchall()[0]
            assert sampled >= truth["duration_seconds"] - 1
            assert len(truth["slides"]) <= whole <= 2 * len(truth["slides"])


def pages_of(truth: dict[str, Any]) -> list[tuple[int, str, bool]]:
    """Page number, true text and whether only its pixels hold the text."""
    if truth["kind"] == "image":
        return [(1, " ".join(truth["lines"]), True)]
    tables = {table["page"]: table["cells"] for table in truth.get("tables", [])}
    found = []
    for page in truth.get("pages", []):
        cells = [cell for row in tables.get(page["page"], []) for cell in row]
        lines = [page.get("heading", ""), *page.get("paragraphs", []), *page.get("lines", []), *cells]
        found.append((page["page"], " ".join(lines), "turned_degrees" in page))
    return found


@pytest.mark.parametrize("name", [name for name, truth in TRUTH.items() if pages_of(truth)])
def test_pages_have_their_words(views: duckdb.DuckDBPyConnection, name: str) -> None:
    """Born-digital pages lose no word; scanned ones few, turned pages included."""
    for number, text, scanned in pages_of(TRUTH[name]):
        ((found, source),) = views.execute(
            "SELECT ocr_text, text_source FROM clips JOIN assets USING (asset_id) "
            "WHERE uri LIKE ? AND page = ?",
            [f"%/{name}", number],
        ).fetchall()
        assert source == ("ocr" if scanned else "text_layer"), number
        assert recall(text, found) >= (0.95 if scanned else 0.99), number


def test_titles_are_those_that_stand_largest_on_the_first_page_or_slide(
    views: duckdb.DuckDBPyConnection,
) -> None:
    """Born-digital, scanned, drawn and filmed: the title is the one a reader would give."""
    titles = dict(views.execute("SELECT regexp_extract(uri, '[^/]+$'), title FROM assets").fetchall())

    assert titles["bakery-handbook.pdf"] == "The Riverside Bakery Handbook"
    assert titles["shore-survey-scan.pdf"] == "SHORE SURVEY, GANNET BAY"
    assert titles["lantern-walk-poster.jpg"] == "Lantern Walk"
    assert titles["observatory-night.mp4"] == "Kestrel Hill Observatory"
    assert titles["tide-pools-portrait.mkv"] == "Tide pools"


def test_spoken_words_come_from_subtitles(views: duckdb.DuckDBPyConnection) -> None:
    """Sidecar and embedded subtitles become utterances at their times."""
    for name, truth in TRUTH.items():
        for sentence in truth.get("sentences", []):
            rows = views.execute(
                "SELECT start_seconds, end_seconds, source FROM utterances JOIN assets USING (asset_id) "
                "WHERE uri LIKE ? AND text = ?",
                [f"%/{name}", sentence["text"]],
            ).fetchall()
            ((start, end, source),) = rows
            assert start == pytest.approx(sentence["start_seconds"], abs=0.02)
            assert end == pytest.approx(sentence["end_seconds"], abs=0.02)
            assert source.startswith("subtitle:")


def test_clips_and_segments_tile_each_asset(views: duckdb.DuckDBPyConnection) -> None:
    """Clips touch without overlap from 0 to the end, segments hold them all, counts agree."""
    for asset_id, duration, clip_count, segment_count in views.execute(
        "SELECT asset_id, duration_seconds, clip_count, segment_count FROM assets WHERE status <> 'failed'"
    ).fetchall():
        clips = views.execute(
            "SELECT clip, start_seconds, end_seconds, page, segment FROM clips "
            "WHERE asset_id = ? ORDER BY clip",
            [asset_id],
        ).fetchall()
        segments = views.execute(
            "SELECT segment FROM segments WHERE asset_id = ? ORDER BY segment", [asset_id]
        ).fetchall()
        assert [clip[0] for clip in clips] == list(range(clip_count))
        assert [segment for (segment,) in segments] == list(range(segment_count))
        assert {clip[4] for clip in clips} == set(range(segment_count))
        if duration is not None:
            assert clips[0][1] == 0
            assert [clip[2] for clip in clips[:-1]] == [clip[1] for clip in clips[1:]]
            assert clips[-1][2] == pytest.approx(duration)


def test_every_summary_sentence_is_cited_verbatim(views: duckdb.DuckDBPyConnection) -> None:
    """A sentence of a summary stands in its citation, and its words in the source it names."""
    summaries = views.execute(
        "SELECT asset_id, 'asset', NULL, NULL, summary FROM assets WHERE summary IS NOT NULL "
        "UNION ALL SELECT asset_id, 'segment', segment, NULL, summary FROM segments "
        "WHERE summary IS NOT NULL "
        "UNION ALL SELECT asset_id, 'clip', NULL, clip, summary FROM clips WHERE summary IS NOT NULL"
    ).fetchall()
    assert len(summaries) > 20
    for asset_id, level, segment, clip, summary in summaries:
        cited = views.execute(
            "SELECT text, clip, page FROM citations WHERE asset_id = ? AND level = ? "
            "AND (? IS NULL OR segment = ?) AND (? IS NULL OR clip = ?) ORDER BY sentence",
            [asset_id, level, segment, segment, clip, clip],
        ).fetchall()
        assert cited
        assert words(" ".join(text for text, *_ in cited)) == words(summary)
        for text, evidence, _ in cited:
            held = one(
                views,
                "SELECT coalesce(ocr_text, '') || ' ' || coalesce(transcript, '') FROM clips "
                "WHERE asset_id = ? AND clip = ?",
                asset_id,
                evidence,
            )
            assert recall(text, held) == 1, (text, held)


def test_queries_of_the_readme_answer(views: duckdb.DuckDBPyConnection) -> None:
    """The three examples run in plain DuckDB and find what the examples hold."""
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    shown_with_said, mentions, support = re.findall(r"```sql\n(.*?)```", readme, re.DOTALL)

    ((_, said, shown),) = views.execute(shown_with_said).fetchall()
    assert said == "Red light does not spoil your night vision."
    assert recall("秋夜观星", shown) == 1
    places = {(file, source) for file, _, _, source, _ in views.execute(mentions).fetchall()}
    assert ("shore-survey-scan.pdf", "ocr") in places
    assert ("tide-pools-portrait.mkv", "ocr") in places
    assert {file for file, *_ in views.execute(support).fetchall()} >= set(TRUTH) - {
        "unfinished-recording.mp4"
    }


def test_second_ingest_does_nothing_and_changes_nothing(
    ingested: Ingested, views: duckdb.DuckDBPyConnection
) -> None:
    """No decoding, no recognition, not even Ray is needed; the tables stay as they were."""
    tables = ["assets", "skips", *CHILDREN]
    before = {name: views.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in tables}
    versions = {name: Lake(ingested.lake).table(name).version() for name in tables}
    code = run_ingest([str(ingested.corpus)], ingested.lake, ingested.config)
    after = Lake(ingested.lake).connect()

    assert code == 3
    assert {name: after.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in tables} == before
    assert {name: Lake(ingested.lake).table(name).version() for name in tables} == versions
    last = after.execute(
        "SELECT units, stages, skipped FROM runs ORDER BY started_at DESC LIMIT 1"
    ).fetchall()
    assert last == [(0, [], len(list(ingested.corpus.iterdir())))]


def test_plain_loop_gives_the_same_rows(ingested: Ingested, views: duckdb.DuckDBPyConnection) -> None:
    """Ray adds nothing and loses nothing: the operators called one by one give equal rows."""
    listings = discover([str(ingested.corpus)]).listings
    composed = compose_plainly(listings, ingested.config)
    run_columns = {"run_id", "at", "ingested_at", "modified_at", *WRITES}
    for table in ("assets", *CHILDREN):
        rows = [
            row for item in composed for row in ([item.asset] if table == "assets" else getattr(item, table))
        ]
        plain = sorted(_comparable(to_dict(row), run_columns) for row in rows)
        cursor = views.execute(f"SELECT * FROM {table}")
        names = [item[0] for item in cursor.description]
        through_ray = sorted(
            _comparable(dict(zip(names, row, strict=True)), run_columns) for row in cursor.fetchall()
        )
        assert through_ray == plain, table


def _comparable(row: dict[str, Any], without: set[str]) -> str:
    return json.dumps({key: value for key, value in sorted(row.items()) if key not in without}, default=str)


def planned(corpus: Path, lake: str, config: Config) -> Work:
    """What a run would do."""
    target = Lake(lake)
    listings = Listings.of(find([str(corpus)], target, config).listings)
    with Held(target) as held:
        return plan(held, listings, lambda: known_skips(target), config)[0]


def test_new_changed_and_touched_files_are_told_apart(ingested: Ingested, tmp_path: Path) -> None:
    """A copy of the corpus, changed in three ways, plans just what changed."""
    corpus, lake = tmp_path / "corpus", str(tmp_path / "lake")
    corpus.mkdir()
    for name in ("bookshop-receipt.png", "bakery-handbook.pdf"):
        shutil.copy(ingested.corpus / name, corpus / name)
    config = load_config("embedded", None, ["ocr.engine=off"])
    assert run_ingest([str(corpus)], lake, config) == 0
    before = (
        Lake(lake).connect().execute("SELECT asset_id, version, run_id FROM assets ORDER BY 1").fetchall()
    )

    os.utime(corpus / "bakery-handbook.pdf", (1, 1))
    assert run_ingest([str(corpus)], lake, config) == 0
    views = Lake(lake).connect()
    assert views.execute("SELECT asset_id, version, run_id FROM assets ORDER BY 1").fetchall() == before
    assert planned(corpus, lake, config).todo == []

    shutil.copy(ingested.corpus / "lantern-walk-poster.jpg", corpus / "bookshop-receipt.png")
    shutil.copy(ingested.corpus / "bookshop-receipt.png", corpus / "new.png")
    work = planned(corpus, lake, config)
    assert {reason: count for reason, count in work.reasons.items() if count} == {"new": 1, "changed": 1}
    assert run_ingest([str(corpus)], lake, config) == 0
    after = Lake(lake).connect()
    assert one(after, "SELECT count(*) FROM assets") == 3
    assert one(after, "SELECT count(DISTINCT version) FROM clips WHERE asset_id = ?", before[0][0]) == 1


def test_retry_takes_only_what_failed(ingested: Ingested, tmp_path: Path) -> None:
    """A file that was broken and is mended becomes ok; the others are not touched."""
    corpus, lake = tmp_path / "corpus", str(tmp_path / "lake")
    corpus.mkdir()
    shutil.copy(ingested.corpus / "bookshop-receipt.png", corpus / "good.png")
    (corpus / "bad.png").write_bytes((ingested.corpus / "bookshop-receipt.png").read_bytes()[:2000])
    config = load_config("embedded", None, ["ocr.engine=off"])
    assert run_ingest([str(corpus)], lake, config) == 3

    assert run_retry(lake) == 3
    shutil.copy(ingested.corpus / "bookshop-receipt.png", corpus / "bad.png")
    assert run_retry(lake) == 0
    views = Lake(lake).connect()
    assert views.execute("SELECT DISTINCT status FROM assets").fetchall() == [("ok",)]
    assert one(views, "SELECT count(*) FROM failures") == 0
    assert one(views, "SELECT count(DISTINCT run_id) FROM assets") == 2
    assert one(views, "SELECT skipped + ok FROM runs ORDER BY started_at DESC LIMIT 1") == 1
