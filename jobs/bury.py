"""Runs that ended without a word get an end in the table `runs`.

A run that was killed, or whose machine went down, stands there as running for ever. Who holds
the claim on a lake knows that nobody else is running, and what the dead run had committed by
then can be counted.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from operators.commit import put_run
from operators.lake import Lake
from schemas.arrow import arrow_schema, from_table
from schemas.failure import SkipReason
from schemas.tables import Count, RunRow


def bury_the_dead(lake: Lake) -> Sequence[str]:
    """Give every run that is not over an end; return their ids. Only for the holder of the claim."""
    running = lake.table("runs").to_pyarrow_table(filters=[("status", "=", "running")])
    rows = from_table(RunRow, running.select(arrow_schema(RunRow).names))
    for row in rows:
        put_run(lake, _ended(lake, row))
    return [row.run_id for row in rows]


def _ended(lake: Lake, row: RunRow) -> RunRow:
    with lake.connect("assets") as connection:
        found = connection.execute(
            "SELECT status, count(*), max(ingested_at) FROM assets WHERE run_id = ? GROUP BY status",
            [row.run_id],
        ).fetchall()
    status = {name: count for name, count, _ in found}
    skipped = row.discovered - sum(status.values())
    return replace(
        row,
        finished_at=max((at.replace(tzinfo=UTC) for _, _, at in found), default=None)
        or min(row.started_at, datetime.now(UTC)),
        status="died",
        ok=status.get("ok", 0),
        partial=status.get("partial", 0),
        failed=status.get("failed", 0),
        skipped=skipped,
        skipped_by_reason=[Count(SkipReason.NOT_REACHED, skipped)] if skipped else [],
        message="Its process ended without a word; what it had committed is kept.",
    )
