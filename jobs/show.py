"""`gloss show`: the story of one asset.

What it is, what it says, how it is cut, what of it was lost, and what the work cost: everything
a person asks before trusting or reporting a file, on one page.
"""

from typing import Any

import duckdb
from rich.console import Console
from rich.text import Text

from jobs.output import (
    EXIT_BROKEN,
    EXIT_OK,
    check_format,
    clean,
    clock,
    complain,
    console,
    emit_json,
    file_name,
    grid,
    one_line,
    size,
)
from jobs.read_only import LimitError, open_lake, read_only
from operators.extractive import EXTRACTIVE
from operators.lake import LakeError
from schemas.config import ConfigError

_MOST_NAMED = 20
"""Assets listed when a name fits several."""

_CLIP_CHARS = 2000
"""Text shown of one clip; `--format json` gives all."""

_PARTS = {
    "segments": "SELECT * FROM segments WHERE asset_id = $asset ORDER BY segment",
    "clips": "SELECT * FROM clips WHERE asset_id = $asset ORDER BY clip",
    "utterances": "SELECT * FROM utterances WHERE asset_id = $asset ORDER BY start_seconds, end_seconds",
    "speech": """
        SELECT source, revision, in_transcript, count(*) AS utterances,
               sum(end_seconds - start_seconds) AS seconds,
               list_sort(list_distinct(list(language))) AS languages,
               list_sort(list_distinct(list(speaker))) AS speakers,
               count(*) FILTER (len(doubts) > 0) AS doubtful,
               list_sort(list_distinct(flatten(list(doubts)))) AS doubts
        FROM utterances WHERE asset_id = $asset
        GROUP BY ALL ORDER BY in_transcript DESC, source, revision""",
    "timeline": "SELECT * FROM timeline WHERE asset_id = $asset ORDER BY page, start_seconds",
    "page_tables": 'SELECT * FROM page_tables WHERE asset_id = $asset ORDER BY page, "table"',
    "citations": (
        "SELECT * FROM citations WHERE asset_id = $asset AND level = 'asset' "
        "ORDER BY sentence, page, time_seconds"
    ),
    "reviews": "SELECT * FROM reviews WHERE asset_id = $asset ORDER BY segment, clip, sentence, review_id",
    "failures": (
        "SELECT * FROM failures WHERE asset_id = $asset ORDER BY page, start_seconds, stage, reason, message"
    ),
    "run": "SELECT * FROM runs WHERE run_id = (SELECT run_id FROM assets WHERE asset_id = $asset)",
}


class AssetError(Exception):
    """No asset, or more than one, has this name; the message lists those that are near."""


def run_show(
    lake_uri: str,
    asset: str,
    *,
    format: str = "table",  # noqa: A002
    storage_options: dict[str, str] | None = None,
) -> int:
    """Show one asset.

    Args:
        lake_uri: Path or URL of the lake.
        asset: Beginning of its `asset_id`, its URI, or a part of its file name.
        format: table (for people) or json.
        storage_options: Options of the object store.

    Returns:
        0, 2 when no or several assets are meant, 1 when reading broke.
    """
    try:
        check_format(format, known=("table", "json"))
        with read_only(open_lake(lake_uri, storage_options)) as connection:
            story = tell(connection, find_asset(connection, asset))
    except (LakeError, ConfigError, AssetError) as error:
        return complain(str(error))
    except (duckdb.Error, LimitError) as error:
        return complain(f"Reading the lake broke: {error}", EXIT_BROKEN)
    if format == "json":
        emit_json([story])
    else:
        _print(console(), story)
    return EXIT_OK


def find_asset(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Find the one asset that a name means.

    The whole id or URI wins over the file's name, which wins over beginnings of ids and parts of
    URIs.

    Returns:
        Its `asset_id`.

    Raises:
        AssetError: None or several fit.
    """
    rows = connection.execute(
        """
        SELECT min(fit) OVER () AS best, fit, asset_id, uri FROM (
            SELECT asset_id, uri, CASE
                WHEN $name IN (asset_id, uri, regexp_replace(uri, '^file://', '')) THEN 0
                WHEN lower($name) = lower(regexp_extract(uri, '[^/]*$')) THEN 1
                WHEN starts_with(asset_id, lower($name)) THEN 2
                WHEN contains(lower(uri), lower($name)) THEN 2 END AS fit
            FROM assets)
        WHERE fit IS NOT NULL QUALIFY fit = best ORDER BY uri
        """,
        {"name": name},
    ).fetchall()
    if not name or not rows:
        msg = (
            f"Wanted an asset id, a URI or a part of a file name; no asset fits {name!r}. "
            'List them with: gloss query "SELECT asset_id, uri FROM assets"'
        )
        raise AssetError(msg)
    if len(rows) > 1:
        named = [f"  {one_line(row[2])}  {one_line(row[3])}" for row in rows[:_MOST_NAMED]]
        more = [f"  … and {len(rows) - _MOST_NAMED} more"] if len(rows) > _MOST_NAMED else []
        msg = "\n".join([f"{name!r} fits {len(rows)} assets; name one of them:", *named, *more])
        raise AssetError(msg)
    return str(rows[0][2])


def tell(connection: duckdb.DuckDBPyConnection, asset_id: str) -> dict[str, Any]:
    """Collect all rows about an asset: its own columns, and a list for each table."""
    (asset,) = _rows(connection, "SELECT * FROM assets WHERE asset_id = $asset", asset_id)
    return asset | {part: _rows(connection, sql, asset_id) for part, sql in _PARTS.items()}


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, asset_id: str) -> list[dict[str, Any]]:
    found = connection.execute(sql, {"asset": asset_id})
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


# --- for people -----------------------------------------------------------------------------


def _print(screen: Console, story: dict[str, Any]) -> None:
    _print_facts(screen, story)
    if story["speech"] or story["sound_seconds"]:
        _head(screen, "Speech")
        _print_speech(screen, story)
    if story["summary"]:
        _head(screen, "Summary")
        screen.print(Text(one_line(story["summary"])))
        if story["summary_engine"] not in (None, EXTRACTIVE) or story["summary_doubts"]:
            doubts = f"; {', '.join(story['summary_doubts'])}" if story["summary_doubts"] else ""
            screen.print(Text(f"by {one_line(story['summary_engine'] or '')}{doubts}", style="dim"))
    if story["key_points"]:
        _head(screen, "Key points")
        for point in story["key_points"]:
            screen.print(Text(f"- {one_line(point)}"))
    if story["segments"]:
        _head(screen, "Segments")
        screen.print(grid(("", "where", "title", "summary"), [_segment(row) for row in story["segments"]]))
    if story["clips"]:
        _head(screen, "Clips" if story["duration_seconds"] is not None else "Pages")
        told = _told(story["timeline"])
        for row in story["clips"]:
            _print_clip(screen, row, told.get(row["clip"], []))
    if open_now := [row for row in story["reviews"] if row["state"] == "open"]:
        _head(screen, "Open for review")
        for row in open_now:
            screen.print(Text(f"{row['review_id'][:12]}  {row['reason']}: {one_line(row['text'])}"))
    if story["failures"]:
        _head(screen, "Failures")
        for row in story["failures"]:
            _print_failure(screen, row)
    _print_work(screen, story)


def _head(screen: Console, title: str) -> None:
    screen.print(Text(f"\n{title}", style="bold underline"))


def _print_facts(screen: Console, story: dict[str, Any]) -> None:
    screen.print(Text(one_line(story["title"] or file_name(story["uri"])), style="bold"))
    size_px = f"{story['width_px']} × {story['height_px']}" if story["width_px"] else None
    codecs = [story["video_codec"], story["audio_codec"]]
    facts = {
        "uri": story["uri"],
        "asset_id": story["asset_id"],
        "status": story["status"],
        "kind": f"{story['kind']} ({story['media_type']}), {size(story['bytes'])}",
        "length": clock(story["duration_seconds"]) or None,
        "pages": story["page_count"],
        "picture": ", ".join(filter(None, [size_px, *codecs])) or None,
        "language": story["language"],
        "tables": len(story["page_tables"]) or None,
        "ingested": f"{story['ingested_at']:%Y-%m-%d %H:%M} UTC, run {story['run_id']}",
        "version": story["version"],
    }
    for name, value in facts.items():
        if value is not None:
            screen.print(Text(f"{name:<10} ", style="dim").append(one_line(str(value)), style="none"))


def place(row: dict[str, Any]) -> str:
    """Say where in its asset a row is: a page, pages, or a time."""
    if row.get("first_page") is not None:
        first, last = row["first_page"], row["last_page"]
        return f"page {first}" if first == last else f"pages {first}-{last}"
    if row.get("page") is not None:
        return f"page {row['page']}"
    if row.get("start_seconds") is None:
        return "all of it"
    return f"{clock(row['start_seconds'])}-{clock(row['end_seconds'])}"


def _segment(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["segment"], place(row), row["title"] or "", row["summary"] or ""


def _print_speech(screen: Console, story: dict[str, Any]) -> None:
    if story["sound_seconds"]:
        sound, voice, words = (clock(story[f"{name}_seconds"]) for name in ("sound", "speech", "worded"))
        screen.print(Text(f"{sound} of sound, {voice} of it with a voice, {words} of that in words."))
    names = ("source", "language", "speakers", "utterances", "time", "doubtful", "")
    if story["speech"]:
        screen.print(grid(names, [_source(row) for row in story["speech"]]))


def _source(row: dict[str, Any]) -> tuple[Any, ...]:
    # The digest of the weights stands last, after the versions of the libraries.
    weights = f" ({row['revision'].rpartition('@')[2][:12]})" if row["revision"] else ""
    doubts = f" ({', '.join(row['doubts'])})" if row["doubts"] else ""
    return (
        f"{row['source']}{weights}",
        ", ".join(row["languages"]),
        ", ".join(row["speakers"]),
        row["utterances"],
        clock(row["seconds"]),
        f"{row['doubtful']}{doubts}",
        "makes the transcript" if row["in_transcript"] else "",
    )


def _told(timeline: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Collect what is said in each clip."""
    told: dict[int, list[dict[str, Any]]] = {}
    for row in timeline:
        if row["said"] is not None and row["clip"] is not None:
            told.setdefault(row["clip"], []).append(row)
    return told


def _print_clip(screen: Console, row: dict[str, Any], told: list[dict[str, Any]]) -> None:
    """Print what a clip shows and then, each with its time, what is said in it."""
    turned = f", turned by {row['turned_degrees']}°" if row["turned_degrees"] else ""
    source = f" ({row['text_source']}{turned})" if row["text_source"] != "none" else ""
    title = f"  {one_line(row['title'])}" if row["title"] else ""
    screen.print(Text(f"{place(row)}{title}", style="bold").append(source, style="dim not bold"))
    doubts = f" ({', '.join(row['caption_doubts'])}?)" if row["caption_doubts"] else ""
    for text in (row["ocr_text"], row["caption"] and f"[{row['caption']}]{doubts}"):
        if text:
            screen.print(Text(_indented(text)))
    if told:
        said = "\n".join(_utterance(item) for item in told)
        screen.print(Text(_indented(said), style="italic"))


def _utterance(row: dict[str, Any]) -> str:
    who = f"{row['speaker']}: " if row["speaker"] else ""
    doubts = f" ({', '.join(row['doubts'])}?)" if row["doubts"] else ""
    return f"{clock(row['start_seconds'])} {who}“{' '.join(row['said'].split())}”{doubts}"


def _indented(text: str) -> str:
    shown = clean(text if len(text) <= _CLIP_CHARS else f"{text[:_CLIP_CHARS]}…")
    return "\n".join(f"    {line}" for line in shown.splitlines())


def _print_failure(screen: Console, row: dict[str, Any]) -> None:
    screen.print(
        Text(f"{place(row)}  ", style="bold").append(f"{row['stage']}: {row['reason']}", style="not bold")
    )
    screen.print(Text(f"    {one_line(row['message'])}"))
    if row["reproduce"]:
        # A name with control characters cannot be copied from a screen; --format json gives it whole.
        screen.print(Text(f"    $ {one_line(row['reproduce'])}", style="dim"))


def _print_work(screen: Console, story: dict[str, Any]) -> None:
    _head(screen, "Work")
    if story["kind"] == "video":
        screen.print(
            Text(
                f"{story['sampled_frames']} frames sampled, {story['distinct_frames']} distinct; "
                f"{story['read_whole']} read whole, {story['read_parts']} in part."
            )
        )
    for run in story["run"]:
        stages = ", ".join(f"{stage['stage']} {stage['seconds']:.1f} s" for stage in run["stages"])
        screen.print(Text(f"Its run of {run['discovered']} files spent: {stages or 'not known'}."))
