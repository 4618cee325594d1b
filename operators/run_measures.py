"""What a run amounts to, in numbers, read from the tables of its lake.

Averages are over the files that the run read; of an earlier run over those that no later one has read
again. They go into `drift` with the run, so that later runs are compared with what was true then.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from operators.drift import ASSETS, FAILURE_RATE, FILES, Key, Measures

_RUN = """
SELECT sources, discovered, ok, partial, failed, skipped, failures_by_reason, stages, vanished,
       input_tokens + output_tokens AS tokens, started_at, status
FROM runs WHERE run_id = ?
"""
_KINDS = "SELECT kind, count(*) FROM assets WHERE run_id = ? GROUP BY kind"
_PAGES = """
SELECT avg(length(coalesce(ocr_text, ''))) FROM clips JOIN assets USING (asset_id)
WHERE assets.run_id = ? AND kind = 'document' AND page IS NOT NULL
"""
_SOUND = """
SELECT 3600 * sum(speech_seconds) / nullif(sum(sound_seconds), 0),
       sum(worded_seconds) / nullif(sum(speech_seconds), 0)
FROM assets WHERE run_id = ?
"""
_WORDS = """
SELECT 60 * sum(CASE WHEN len(words) > 0 THEN len(words)
                     ELSE len(string_split_regex(trim(text), '\\s+')) END)
       / nullif(sum(utterances.end_seconds - utterances.start_seconds), 0)
FROM utterances JOIN assets USING (asset_id)
WHERE assets.run_id = ? AND in_transcript AND trim(text) <> ''
"""
_CLIPS = """
SELECT 3600 * sum(clip_count) / nullif(sum(duration_seconds), 0)
FROM assets WHERE run_id = ? AND kind IN ('video', 'audio')
"""
_DOUBTS = """
SELECT sum(len(summary_doubts)) FROM (
    SELECT asset_id, summary_doubts FROM assets
    UNION ALL SELECT asset_id, summary_doubts FROM segments
    UNION ALL SELECT asset_id, summary_doubts FROM clips
) SEMI JOIN (SELECT asset_id FROM assets WHERE run_id = ?) USING (asset_id)
"""
_MONEY = "SELECT sum(money) FROM costs WHERE run_id = ?"
_EARLIER = """
SELECT run_id FROM runs
WHERE status = 'finished' AND sources = ? AND started_at < ? AND ok + partial + failed > 0
ORDER BY started_at DESC, run_id LIMIT ?
"""
_STORED = "SELECT metric, part, value FROM drift WHERE run_id = ?"


def measure(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[Key, float | None]:
    """Measure one run.

    Args:
        connection: One with the views of the lake.
        run_id: A run of that lake.
    """
    run = _row(connection, run_id)
    read = run["ok"] + run["partial"] + run["failed"]
    found: dict[Key, float | None] = {
        FILES: run["discovered"],
        ASSETS: read,
        FAILURE_RATE: (run["partial"] + run["failed"]) / read if read else None,
        Key("vanished"): run["vanished"],
    }
    for status in ("ok", "partial", "failed", "skipped"):
        found[Key("files", status)] = run[status]
    for reason in run["failures_by_reason"]:
        found[Key("failures", reason["name"])] = reason["count"]
        if read:
            found[Key("failures_per_asset", reason["name"])] = reason["count"] / read
    for kind, count in connection.execute(_KINDS, [run_id]).fetchall():
        found[Key("assets", kind or "unknown")] = count
    found |= _content(connection, run_id)
    if read:
        found[Key("doubts_per_asset")] = (_one(connection, _DOUBTS, run_id) or 0) / read
        found[Key("seconds_per_asset")] = sum(stage["seconds"] for stage in run["stages"]) / read
        found[Key("tokens_per_asset")] = run["tokens"] / read
        money = _one(connection, _MONEY, run_id)
        found[Key("cost_per_asset")] = None if money is None else money / read
    return found


def earlier(connection: duckdb.DuckDBPyConnection, run_id: str, count: int) -> list[Measures]:
    """Measure the finished runs before one, on the same sources, that read something; newest first.

    What was stored with them counts; those without are measured by what is left of them.

    Args:
        connection: One with the views of the lake.
        run_id: A run of that lake.
        count: Most runs.
    """
    run = _row(connection, run_id)
    rows = connection.execute(_EARLIER, [run["sources"], run["started_at"], count]).fetchall()
    found: list[Measures] = []
    for (before,) in rows:
        stored = connection.execute(_STORED, [before]).fetchall()
        known = {Key(metric, part): value for metric, part, value in stored}
        found.append(known or measure(connection, before))
    return found


def _content(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[Key, float | None]:
    """Measure what came out of the files of a run."""
    speech, worded = _all(connection, _SOUND, run_id)
    return {
        Key("text_per_page"): _one(connection, _PAGES, run_id),
        Key("speech_seconds_per_hour"): speech,
        Key("worded_share"): worded,
        Key("words_per_minute"): _one(connection, _WORDS, run_id),
        Key("clips_per_hour"): _one(connection, _CLIPS, run_id),
    }


def _row(connection: duckdb.DuckDBPyConnection, run_id: str) -> Mapping[str, Any]:
    found = connection.execute(_RUN, [run_id])
    names = [column[0] for column in found.description or ()]
    row = found.fetchone()
    assert row is not None, f"no run {run_id}"
    return dict(zip(names, row, strict=True))


def _one(connection: duckdb.DuckDBPyConnection, sql: str, run_id: str) -> float | None:
    (value,) = _all(connection, sql, run_id)
    return value


def _all(connection: duckdb.DuckDBPyConnection, sql: str, run_id: str) -> Sequence[float | None]:
    row = connection.execute(sql, [run_id]).fetchone()
    assert row is not None
    return [None if value is None else float(value) for value in row]
