"""`gloss status`: what is in a lake, how it came there, and what is missing.

One look answers the morning's questions: did the night's run finish, did every file end
somewhere, what failed and why, how large is the lake.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import duckdb
import pyarrow as pa
from rich.text import Text

from jobs.output import (
    EXIT_BROKEN,
    EXIT_OK,
    check_format,
    complain,
    console,
    emit_json,
    file_name,
    grid,
    note,
    one_line,
    size,
)
from jobs.read_only import LimitError, open_lake, read_only
from jobs.verify import Finding, check_lake
from operators.lake import Lake, LakeError
from schemas.config import ConfigError
from schemas.tables import TABLES

_RUNS = 10
"""Newest runs shown."""

_RUNS_SQL = """
SELECT run_id, started_at, finished_at, status, exit_code, profile, discovered, ok, partial, failed,
       skipped, skipped_by_reason, failures_by_reason, sampled_frames, distinct_frames, message,
       ok + partial + failed + skipped = discovered AS balanced
FROM runs ORDER BY started_at DESC, run_id
"""

_ASSETS_SQL = """
SELECT kind, count(*) FILTER (status = 'ok') AS ok, count(*) FILTER (status = 'partial') AS partial,
       count(*) FILTER (status = 'failed') AS failed, count(*) AS assets, sum(bytes)::BIGINT AS bytes,
       sum(duration_seconds) AS seconds, sum(page_count)::BIGINT AS pages
FROM assets GROUP BY kind ORDER BY kind
"""

_FAILURES_SQL = """
SELECT reason, stage, count(*) AS failures, count(DISTINCT asset_id) AS assets, min(uri) AS example
FROM failures GROUP BY reason, stage ORDER BY failures DESC, reason, stage
"""

_REVIEWS_SQL = """
SELECT reason, count(*) FILTER (state = 'open') AS open, count(*) AS reviews,
       count(DISTINCT asset_id) AS assets
FROM reviews GROUP BY reason ORDER BY reason
"""

_SKIPS_SQL = "SELECT reason, count(*) AS files FROM skips GROUP BY reason ORDER BY reason"


def run_status(
    lake_uri: str,
    *,
    format: str = "table",  # noqa: A002
    check: bool = False,
    storage_options: dict[str, str] | None = None,
) -> int:
    """Show the state of a lake.

    Args:
        lake_uri: Path or URL of the lake.
        format: table (for people) or json.
        check: Also verify the lake, which reads all of it.
        storage_options: Options of the object store.

    Returns:
        0, 2 for a lake that cannot be used, 1 when reading broke or the check found an error.
    """
    try:
        check_format(format, known=("table", "json"))
        lake = open_lake(lake_uri, storage_options)
        findings = check_lake(lake) if check else []
        state = _state(lake, findings)
    except (LakeError, ConfigError) as error:
        return complain(str(error))
    except (duckdb.Error, LimitError) as error:
        return complain(f"Reading the lake broke: {error}", EXIT_BROKEN)
    if format == "json":
        emit_json([state | ({"findings": [asdict(item) for item in findings]} if check else {})])
    else:
        _print(state)
        if check:
            print_findings(findings)
    errors = sum(item.severity == "error" for item in findings)
    return (
        complain(f"The check found {errors} error{'s' * (errors > 1)}.", EXIT_BROKEN) if errors else EXIT_OK
    )


def _state(lake: Lake, findings: Sequence[Finding]) -> dict[str, Any]:
    """Collect what there is; where the check has found why that is impossible, nothing."""
    try:
        return read_state(lake)
    except (duckdb.Error, LakeError):
        if not any(item.check in ("table", "file") for item in findings):
            raise
        names = ("runs", "assets", "failures", "reviews", "skips", "tables")
        return {"lake": lake.uri} | {name: [] for name in names}


def print_findings(findings: Sequence[Finding]) -> None:
    """Show what a check found, for people."""
    screen = console()
    screen.print(Text("\nCheck", style="bold underline"))
    if not findings:
        screen.print(Text("Everything is in its place: files, rows and ledger."))
        return
    rows = [(item.severity, item.check, one_line(item.what), item.todo) for item in findings]
    screen.print(grid(("", "check", "what", "what to do"), rows))


def read_state(lake: Lake) -> dict[str, Any]:
    """Collect runs (newest first), assets by kind and status, failures, skips and sizes."""
    with read_only(lake) as connection:
        return {
            "lake": lake.uri,
            "runs": _rows(connection, _RUNS_SQL),
            "assets": _rows(connection, _ASSETS_SQL),
            "failures": _rows(connection, _FAILURES_SQL),
            "reviews": _rows(connection, _REVIEWS_SQL),
            "skips": _rows(connection, _SKIPS_SQL),
            "tables": [table_size(lake, name) for name in TABLES],
        }


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    found = connection.execute(sql)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def table_size(lake: Lake, name: str) -> dict[str, Any]:
    """Count the files, rows (superseded ones included) and bytes of a table, from its log alone."""
    log = pa.table(lake.table(name).get_add_actions(flatten=True)).to_pydict()
    return {
        "table": name,
        "files": len(log["path"]),
        "rows": sum(log["num_records"]),
        "bytes": sum(log["size_bytes"]),
    }


def unbalanced(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Name the runs that are over in which ok + partial + failed + skipped is not what was discovered."""
    return [run["run_id"] for run in runs if run["status"] != "running" and not run["balanced"]]


def _print(state: dict[str, Any]) -> None:
    screen = console()
    sizes = [sum(table[what] for table in state["tables"]) for what in ("bytes", "files")]
    screen.print(Text(f"{state['lake']}: {size(sizes[0])} in {sizes[1]} files", style="bold"))
    for title, names, rows in (
        (
            f"Runs (newest {_RUNS} of {len(state['runs'])})" if len(state["runs"]) > _RUNS else "Runs",
            ("run", "status", "seconds", "discovered", "ok", "partial", "failed", "skipped"),
            [_run(run) for run in state["runs"][:_RUNS]],
        ),
        (
            "Assets",
            ("kind", "ok", "partial", "failed", "bytes", "hours", "pages"),
            [_asset(row) for row in state["assets"]],
        ),
        (
            "Failures",
            ("reason", "stage", "failures", "assets", "example"),
            [(*(list(row.values())[:4]), one_line(file_name(row["example"]))) for row in state["failures"]],
        ),
        (
            "Reviews (gloss review)",
            ("reason", "open", "reviews", "assets"),
            [tuple(row.values()) for row in state["reviews"]],
        ),
        ("Skipped files", ("reason", "files"), [tuple(row.values()) for row in state["skips"]]),
    ):
        if rows:
            screen.print(Text(f"\n{title}", style="bold underline"))
            screen.print(grid(names, rows))
    for run in unbalanced(state["runs"]):
        note(f"Run {run}: ok + partial + failed + skipped is not what was discovered. Please report it.")


def _run(run: dict[str, Any]) -> tuple[Any, ...]:
    ended = run["finished_at"]
    seconds = None if ended is None else round((ended - run["started_at"]).total_seconds(), 1)
    counts = [run[name] for name in ("discovered", "ok", "partial", "failed", "skipped")]
    return run["run_id"], run["status"], seconds, *counts


def _asset(row: dict[str, Any]) -> tuple[Any, ...]:
    hours = None if row["seconds"] is None else round(row["seconds"] / 3600, 2)
    counts = [row[name] for name in ("ok", "partial", "failed")]
    return row["kind"] or "unknown", *counts, size(row["bytes"]), hours, row["pages"]
