"""Read a lake one asset at a time, for measuring it.

Every table is read once, sorted by asset, and the tables are walked side by side: a lake of any size
is measured in the memory of its largest asset.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import duckdb

from operators.score_asset import Found, FoundSegment, Summary
from operators.score_summaries import Cited, ClipPlace, Source
from operators.score_times import Heard, Standing, heard_words
from schemas.box import Box

_ROWS = 1000
"""Rows fetched at a time."""

_SQL = {
    "assets": """
        SELECT asset_id, uri, kind, language, title, summary, key_points FROM assets ORDER BY asset_id""",
    "segments": """
        SELECT asset_id, segment, start_seconds, first_page, title, summary
        FROM segments ORDER BY asset_id, segment""",
    "clips": """
        SELECT asset_id, clip, start_seconds, end_seconds, page, title, summary, caption, ocr_text
        FROM clips ORDER BY asset_id, clip""",
    "text_regions": """
        SELECT asset_id, clip, time_seconds, coalesce(end_seconds, until_seconds) AS end_seconds,
               page, text, source, x0, y0, x1, y1
        FROM text_regions ORDER BY asset_id, region""",
    "utterances": """
        SELECT asset_id, clip, start_seconds, end_seconds, text, source, in_transcript, speaker, words
        FROM utterances ORDER BY asset_id, start_seconds, end_seconds, source""",
    "citations": """
        SELECT asset_id, level, segment, clip, sentence, rank, text, evidence, source,
               time_seconds, until_seconds, page, x0, y0, x1, y1
        FROM citations ORDER BY asset_id, level, segment, clip, sentence, rank""",
    "reviews": "SELECT asset_id FROM reviews WHERE state = 'open' ORDER BY asset_id",
    "failures": "SELECT asset_id FROM failures ORDER BY asset_id",
}

_Row = dict[str, Any]


def read_assets(connection: duckdb.DuckDBPyConnection) -> Iterator[Found]:
    """Read what a lake holds, asset by asset, in the order of their ids.

    Args:
        connection: One with the views of the lake.
    """
    streams = {name: _by_asset(connection, sql) for name, sql in _SQL.items() if name != "assets"}
    waiting = {name: next(stream, None) for name, stream in streams.items()}
    for asset in _stream(connection, _SQL["assets"]):
        rows: dict[str, list[_Row]] = {}
        for name, stream in streams.items():
            group = waiting[name]
            # Failures can be about files that are no assets.
            while group is not None and group[0] < asset["asset_id"]:
                group = next(stream, None)
            rows[name] = group[1] if group is not None and group[0] == asset["asset_id"] else []
            waiting[name] = group
        yield _found(asset, rows)


def _by_asset(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[tuple[str, list[_Row]]]:
    for asset_id, rows in groupby(_stream(connection, sql), key=itemgetter("asset_id")):
        yield asset_id, list(rows)


def _stream(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[_Row]:
    # A cursor of its own: a connection holds one result at a time.
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column[0] for column in cursor.description or []]
        while rows := cursor.fetchmany(_ROWS):
            for row in rows:
                yield dict(zip(names, row, strict=True))


def _found(asset: _Row, rows: Mapping[str, list[_Row]]) -> Found:
    clips, utterances = rows["clips"], rows["utterances"]
    return Found(
        uri=asset["uri"],
        kind=asset["kind"],
        language=asset["language"],
        title=asset["title"],
        pages={
            row["page"]: (row["ocr_text"] or "", row["title"]) for row in clips if row["page"] is not None
        },
        lines=[_line(row) for row in rows["text_regions"]],
        heard=[word for row in utterances if row["in_transcript"] for word in _heard(row)],
        segments=[FoundSegment(_begin(row), row["title"]) for row in rows["segments"]],
        summaries=_summaries(asset, rows),
        citations=[_cited(row) for row in rows["citations"]],
        sources=[
            *(_region(row) for row in rows["text_regions"]),
            *(_utterance(row) for row in utterances),
            *(_caption(row) for row in clips if row["caption"]),
        ],
        clips={row["clip"]: _place(row) for row in clips},
        open_reviews=len(rows["reviews"]),
        failures=len(rows["failures"]),
    )


def _summaries(asset: _Row, rows: Mapping[str, list[_Row]]) -> list[Summary]:
    found = [Summary("asset", 0, asset["summary"])] if asset["summary"] else []
    found += [Summary("key_point", number, text) for number, text in enumerate(asset["key_points"] or ())]
    for level in ("segment", "clip"):
        found += [Summary(level, row[level], row["summary"]) for row in rows[f"{level}s"] if row["summary"]]
    return found


def _begin(segment: _Row) -> float:
    return float(segment["start_seconds"] if segment["first_page"] is None else segment["first_page"])


def _place(clip: _Row) -> ClipPlace:
    return ClipPlace(clip["start_seconds"], clip["end_seconds"], clip["page"])


def _line(row: _Row) -> Standing:
    return Standing(row["text"], row["time_seconds"] or 0.0, row["end_seconds"] or 0.0, _box(row))


def _heard(row: _Row) -> list[Heard]:
    words = [(word["word"], word["start_seconds"], word["end_seconds"]) for word in row["words"] or ()]
    return heard_words(row["text"], row["start_seconds"], row["end_seconds"], words, row["speaker"])


def _region(row: _Row) -> Source:
    start, end = row["time_seconds"], row["end_seconds"]
    return Source(row["text"], row["source"], row["clip"], start, end, row["page"], _box(row))


def _utterance(row: _Row) -> Source:
    return Source(row["text"], row["source"], row["clip"], row["start_seconds"], row["end_seconds"])


def _caption(row: _Row) -> Source:
    return Source(
        row["caption"], "caption", row["clip"], row["start_seconds"], row["end_seconds"], row["page"]
    )


def _cited(row: _Row) -> Cited:
    return Cited(
        level=row["level"],
        segment=row["segment"],
        clip=row["clip"],
        sentence=row["sentence"],
        rank=row["rank"],
        text=row["text"],
        evidence=row["evidence"],
        source=row["source"],
        time_seconds=row["time_seconds"],
        until_seconds=row["until_seconds"],
        page=row["page"],
        box=_box(row),
    )


def _box(row: _Row) -> Box | None:
    return None if row["x0"] is None else Box(row["x0"], row["y0"], row["x1"], row["y1"])
