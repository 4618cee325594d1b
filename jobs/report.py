"""What a run says at its end: what was read, what was found, what failed and why, what next."""

from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from jobs.ledger import Ledger
from operators.lake import Lake
from schemas.failure import Stage
from schemas.summary_work import CAUGHT, REWRITTEN, WITHDRAWN
from schemas.tables import RunRow

_FAILURES_SHOWN = 8


def report(
    stream: TextIO,
    lake_uri: str,
    run: RunRow,
    ledger: Ledger,
    failures: Sequence[tuple[Any, ...]],
    unchanged_failed: int,
) -> None:
    """Print the report of a finished or broken run; reads nothing, because the lake may be gone.

    Args:
        stream: Where to.
        lake_uri: The lake.
        run: The run's row.
        ledger: Its counts.
        failures: As `failures_of` gives them.
        unchanged_failed: Unchanged files that had failed before.
    """
    console = Console(file=stream, highlight=False, soft_wrap=True)
    assert run.finished_at is not None
    seconds = (run.finished_at - run.started_at).total_seconds()
    console.print(f"Run {run.run_id} {run.status} after {seconds:.1f} s.", markup=False)
    if run.message:
        console.print(run.message, markup=False)
    skipped = ", ".join(f"{item.count} {item.name}" for item in run.skipped_by_reason)
    console.print(
        f"Files: {run.discovered} discovered = {run.ok} ok + {run.partial} partial + {run.failed} failed"
        f" + {run.skipped} skipped" + (f" ({skipped})" if skipped else ""),
        markup=False,
    )
    if ledger.kinds:
        console.print(_found(ledger), markup=False)
        console.print(_stages(run))
    _failures(console, run, failures)
    if run.recalled:
        console.print(f"Units: {run.units} computed, {run.recalled} found in the lake", markup=False)
    if run.vanished:
        gone = "removed" if run.pruned else "kept; --prune removes them"
        console.print(f"{run.vanished} assets whose file is gone from the sources: {gone}", markup=False)
    if unchanged_failed:
        console.print(
            f"{unchanged_failed} of the unchanged files failed before, wholly or in part; "
            f"try them again with: gloss retry --lake {lake_uri}",
            markup=False,
        )
    if ledger.totals["sound_seconds"]:
        console.print(_heard(ledger), markup=False)
    elif ledger.totals["with_sound"]:
        console.print(
            f"Speech was not recognised: {ledger.totals['with_sound']} files have sound; words come from "
            "subtitles only. See: gloss models list",
            markup=False,
        )
    if run.captions:
        console.print(_looked(run), markup=False)
    if asked := sum(stage.items for stage in run.stages if stage.stage == Stage.SUMMARISE):
        console.print(_written(ledger, asked), markup=False)
    console.print(f"Lake: {lake_uri}", markup=False)
    console.print(
        f'Next: gloss query "SELECT kind, title, summary FROM assets" --lake {lake_uri}', markup=False
    )


def _found(ledger: Ledger) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ledger.kinds.items()))
    totals = ledger.totals
    return (
        f"Found: {kinds}; {totals['clips']} clips, {totals['pages']} pages, "
        f"{totals['sampled']} frames sampled, {totals['distinct']} distinct; "
        f"{totals['read_whole']} pictures read whole and {totals['read_parts']} in parts"
    )


def _heard(ledger: Ledger) -> str:
    totals = ledger.totals
    return (
        f"Heard: {totals['sound_seconds']} s of sound, {totals['speech_seconds']} s of it with a voice, "
        f"{totals['worded_seconds']} s of that in words"
    )


def _looked(run: RunRow) -> str:
    used = f" and {run.visual_tokens} used" if run.visual_tokens else ""  # servers do not tell
    return (
        f"Looked at: {run.captions} clips and pages; {run.planned_visual_tokens} visual tokens "
        f"planned{used}, {run.input_tokens} tokens in all went in and {run.output_tokens} came out"
    )


def _written(ledger: Ledger, asked: int) -> str:
    totals = ledger.totals
    return (
        f"Written: {asked} questions for summaries; {totals[CAUGHT]} sentences without support "
        f"are in reviews, {totals[REWRITTEN]} were mended, {totals[WITHDRAWN]} taken back"
    )


def _stages(run: RunRow) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    for name in ("seconds", "items", "MB"):
        table.add_column(name, justify="right")
    for stage in run.stages:
        table.add_row(stage.stage, f"{stage.seconds:.1f}", str(stage.items), f"{stage.bytes / 1e6:.1f}")
    return table


def failures_of(lake: Lake, run: RunRow) -> list[tuple[Any, ...]]:
    """Read the first failures of a run: URI, reason, page, message; one more than are shown."""
    if not run.failures_by_reason:
        return []
    with lake.connect("failures") as connection:
        return connection.execute(
            "SELECT uri, reason, page, message FROM failures WHERE run_id = ? ORDER BY uri, page LIMIT ?",
            [run.run_id, _FAILURES_SHOWN + 1],
        ).fetchall()


def _failures(console: Console, run: RunRow, rows: Sequence[tuple[Any, ...]]) -> None:
    if not run.failures_by_reason:
        return
    reasons = ", ".join(f"{item.count} {item.name}" for item in run.failures_by_reason)
    console.print(f"Failures: {reasons}", markup=False)
    for uri, reason, page, message in rows[:_FAILURES_SHOWN]:
        where = f" page {page}" if page else ""
        line = f"  {reason}: {uri}{where}: {message}"
        console.print("".join(char if char.isprintable() else "?" for char in line), markup=False)
    if len(rows) > _FAILURES_SHOWN:
        console.print("  … the rest: SELECT * FROM failures", markup=False)
