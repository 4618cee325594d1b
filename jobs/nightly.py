"""`gloss nightly`: an ingest that nobody watches.

It reads all that changed since whatever was finished before, so that a missed night costs nothing but
time. Two never run at once: the lake's claim sees to that, and the second one says who has it. What came
out is compared with the nights before, and somebody is told how it ended, however it ended.
"""

import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

from jobs.caps import NO_CAPS, Caps
from jobs.ingest import run_ingest
from jobs.night import Night, count_missed, read_run, said, show
from jobs.notify import Recipients, notify, recipients
from jobs.output import check_format, complain, note
from jobs.plan import Selection
from jobs.run import EXIT_BROKEN, EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE, new_run_id
from operators.claim import Claim, LakeBusyError
from operators.commit import append_files
from operators.drift import compare
from operators.lake import Lake, LakeError
from operators.retrying import with_retries
from operators.run_measures import earlier, measure
from operators.write import rows_of, write_rows
from schemas.config import Config, ConfigError
from schemas.tables import DriftRow

EXIT_DRIFT, EXIT_BUSY, EXIT_UNTOLD = 4, 5, 6
"""A limit is missed; another run has the lake; nobody could be told of a run that went well."""

_WAIT_SECONDS = 60.0
"""For whoever takes the lake between the run and the storing of its drift."""


def run_nightly(
    sources: Sequence[str],
    lake: str,
    config: Config,
    *,
    selection: Selection | None = None,
    prune: bool = False,
    caps: Caps = NO_CAPS,
    format: str = "table",  # noqa: A002
    verbose: bool = False,
) -> int:
    """Ingest, compare with earlier runs, and tell.

    Args:
        sources: Files, folders, globs or URLs.
        lake: Path or URL of the lake.
        config: The run's configuration; `nightly` holds limits and recipients.
        selection: Which part of the work is wanted; null means all.
        prune: Remove assets whose file is gone.
        caps: What captions may cost.
        format: Of the report on stdout: table or json.
        verbose: Show what Ray says.

    Returns:
        The exit code: as of `run_ingest`, or one of those above.

    Raises:
        ConfigError: Something that makes the run impossible, found before any work.
        LakeError: The lake cannot be used.
    """
    check_format(format, known=("table", "json"))
    to = recipients(config.nightly)
    night = Night(lake=lake, run_id=new_run_id(), started_at=datetime.now(UTC).replace(tzinfo=None))
    try:
        with _ended_by_sigterm():
            night.exit_code = run_ingest(
                sources, lake, config, selection=selection, prune=prune, caps=caps, verbose=verbose,
                run_id=night.run_id,
            )  # fmt: skip
    except LakeBusyError as busy:
        night.status, night.message, night.exit_code = "busy", str(busy), EXIT_BUSY
        note(f"Nothing was done: {busy}")
    except BaseException as error:
        _take_broken(night, config, error)
        _tell(night, to)
        if isinstance(error, KeyboardInterrupt | SystemExit):  # Ray makes the latter of a SIGTERM
            return complain(f"The run was stopped. {night.message or ''}".strip(), EXIT_BROKEN)
        raise
    else:
        night.exit_code = _look_back(night, config, night.exit_code)
    show(night, format)
    untold = _tell(night, to)
    return EXIT_UNTOLD if untold and night.exit_code == EXIT_OK else night.exit_code


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Take the signal by which schedulers stop a run for Ctrl-C, which keeps what is finished."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _take_broken(night: Night, config: Config, error: BaseException) -> None:
    """Note what broke a run, from its row where it got so far."""
    refused = isinstance(error, ConfigError | LakeError)
    night.status, night.exit_code = ("refused", EXIT_USAGE) if refused else ("broken", EXIT_BROKEN)
    night.message = f"{error}" if refused else f"{type(error).__name__}: {error}".removesuffix(": ")
    try:
        target = Lake(night.lake, config.store.storage_options)
        if target.exists():
            with target.connect() as connection:
                message = night.message
                read_run(night, connection)
                night.message = night.message or message
    except Exception as second:  # what broke the run may keep its row from being read: it is told without
        note(f"The row of the run cannot be read: {type(second).__name__}: {second}")


def _look_back(night: Night, config: Config, code: int) -> int:
    """Compare a run with those before it, store what came of it, and return the exit code.

    The run's own outcome is safe in the lake by now; what breaks here is told beside it.
    """
    settings = config.nightly
    try:
        lake = Lake(night.lake, config.store.storage_options)
        with lake.connect() as connection:
            read_run(night, connection)
            _count(night, config)
            if night.status == "finished":
                before = earlier(connection, night.run_id, settings.baseline_runs)
                night.drift = compare(measure(connection, night.run_id), before, settings)
    except Exception as error:  # by whatever a store's library raises
        traceback.print_exc()
        night.message = f"The run cannot be compared with earlier ones: {type(error).__name__}: {error}"
        return complain(night.message, EXIT_BROKEN)
    _store(lake, night)
    if code == EXIT_SOME_FAILED and settings.tolerate_failures:
        code = EXIT_OK
    if night.missed_limits:
        return complain(f"Not as before: {said(night.missed_limits)}.", EXIT_DRIFT)
    return code


def _count(night: Night, config: Config) -> None:
    if night.started_at is not None and night.last_run_at is not None:
        night.missed_runs, night.late_seconds = count_missed(
            config.nightly, night.started_at.replace(tzinfo=UTC), night.last_run_at.replace(tzinfo=UTC)
        )


def _store(lake: Lake, night: Night) -> None:
    """Put the drift of a run into the lake; the claim keeps a compaction away meanwhile."""
    if not night.drift:
        return
    at = night.started_at.replace(tzinfo=UTC) if night.started_at else datetime.now(UTC)
    rows = [
        DriftRow(
            night.run_id, at, change.metric, change.part, change.value, change.baseline, change.change,
            change.limit, change.missed,
        )
        for change in night.drift
    ]  # fmt: skip
    try:
        with Claim(lake, night.run_id, what="nightly", wait_seconds=_WAIT_SECONDS) as claim:
            files = rows_of([write_rows(lake, "drift", rows)])
            claim.check()
            append_files(lake, files)
            with_retries(lake.write_views)
    except Exception as error:  # later runs measure this one anew, by what is left of it
        note(f"The numbers of this run could not be stored: {type(error).__name__}: {error}")


def _tell(night: Night, to: Recipients) -> bool:
    """Notify; return whether somebody who should know does not."""
    problems = notify(to, night.as_json())
    for problem in problems:
        note(f"Nobody was told: {problem} The run itself is not affected.")
    return bool(problems)
