"""What a night's run says of itself, to people, programs and whoever is notified."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import duckdb
from rich.text import Text

from jobs.output import console, emit_json, grid, one_line
from operators.drift import Change
from schemas.nightly import Nightly
from schemas.store import holds_credential

_LAST = """
SELECT max(started_at) AS last FROM runs
WHERE status = 'finished' AND run_id <> ? AND sources = (SELECT sources FROM runs WHERE run_id = ?)
"""
_RUN = """
SELECT status, message, started_at, finished_at, discovered, ok, partial, failed, skipped,
       failures_by_reason
FROM runs WHERE run_id = ?
"""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_MESSAGE = 2000


@dataclass(slots=True)
class Night:
    """How a nightly run went."""

    lake: str
    run_id: str
    status: str = "broken"
    """As in `runs`; busy (another run holds the lake), refused (impossible, found before any work), or
    broken (ended before it had a row)."""
    exit_code: int = 1
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)
    """discovered, ok, partial, failed, skipped."""
    failures: dict[str, int] = field(default_factory=dict)
    """By reason."""
    last_run_at: datetime | None = None
    """Start of the finished run on these sources before it."""
    missed_runs: int | None = None
    """How often one was due since then and did not come, by `nightly.schedule`; null without one."""
    late_seconds: float | None = None
    """How long after the time it was due it began."""
    drift: list[Change] = field(default_factory=list)

    @property
    def missed_limits(self) -> list[Change]:
        """Numbers that are over their limit."""
        return [change for change in self.drift if change.missed]

    def as_json(self) -> dict[str, Any]:
        """Return all of it, as it is printed and sent; times in UTC."""
        value = asdict(self)
        if holds_credential(self.lake):  # it was refused for that, and is not told either
            value["lake"] = ""
        value["message"] = None if self.message is None else _COLOURS.sub("", self.message)[:_LONGEST_MESSAGE]
        value |= {"missed_limits": [_name(change) for change in self.missed_limits]}
        for name in ("started_at", "finished_at", "last_run_at"):
            value[name] = None if value[name] is None else f"{value[name].isoformat(timespec='seconds')}Z"
        return value


def read_run(night: Night, connection: duckdb.DuckDBPyConnection) -> bool:
    """Take from the lake what the run's row says; False where it has none.

    Args:
        night: Takes it.
        connection: One with the views of the lake, whose times are in UTC.
    """
    row = connection.execute(_RUN, [night.run_id]).fetchone()
    if row is None:
        return False
    night.status, night.message, night.started_at, night.finished_at, *counts, reasons = row
    names = ("discovered", "ok", "partial", "failed", "skipped")
    night.counts = dict(zip(names, counts, strict=True))
    night.failures = {reason["name"]: reason["count"] for reason in reasons}
    (night.last_run_at,) = connection.execute(_LAST, [night.run_id] * 2).fetchone() or (None,)
    return True


def count_missed(
    settings: Nightly, started: datetime, last: datetime | None
) -> tuple[int | None, float | None]:
    """Tell how many runs were due since the last one and did not come, and how late this one is.

    The newest of the due moments is this run's own.

    Args:
        settings: With the schedule.
        started: Of this run, with its time zone.
        last: Of the one before, with its time zone.
    """
    timetable = settings.timetable()
    if timetable is None or last is None:
        return None, None
    due = timetable.between(last, started)
    return max(0, len(due) - 1), (started - due[-1]).total_seconds() if due else None


def show(night: Night, format: str) -> None:  # noqa: A002
    """Print it on stdout."""
    if format == "json":
        emit_json([night.as_json()])
        return
    screen = console()
    if night.missed_runs:
        runs = "run was" if night.missed_runs == 1 else "runs were"
        screen.print(Text(f"{night.missed_runs} {runs} due and did not come; this one made up for all."))
    rows = [_row(change) for change in night.drift if _is_told(change)]
    if rows:
        screen.print(grid(("", "now", "before", "change", "limit", ""), rows))
    if night.drift and all(change.baseline is None for change in night.drift):
        screen.print(Text("There is no finished run on these sources before it to compare with."))


def _is_told(change: Change) -> bool:
    """Leave out what is nothing, and was."""
    return bool(change.value or change.baseline) or (change.value is not None and change.limit is not None)


def _name(change: Change) -> str:
    return f"{change.metric} ({change.part})" if change.part else change.metric


def _row(change: Change) -> Sequence[str]:
    shares = change.metric in ("failure_rate", "failures_per_asset")
    moved = "" if change.change is None else f"{100 * change.change:+.1f} {'points' if shares else '%'}"
    mark = "over its limit" if change.missed else ""
    cells = (_number(change.value), _number(change.baseline), moved, _number(change.limit), mark)
    return one_line(_name(change)), *cells


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def said(missed: Sequence[Change]) -> str:
    """Name limits that are missed, in one line."""
    return "; ".join(f"{_name(change)} is {_number(change.value)} ({_before(change)})" for change in missed)


def _before(change: Change) -> str:
    before = "" if change.baseline is None else f"before {_number(change.baseline)}, "
    return f"{before}limit {_number(change.limit)}"
