"""`gloss ingest`: from sources to tables.

discover -> leave out what the lake already holds -> perceive on the cluster -> fan in -> compose
-> commit. Everything that can be refused is refused before the first file is touched; whatever
goes wrong with a file after that is a row in `failures`, and the rest goes on.
"""

import json
import os
import platform
import sys
import traceback
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from cluster.quiet import Terminal, quiet
from jobs.ledger import Ledger, counts
from jobs.progress import Progress
from jobs.report import report
from operators.commit import put_run, put_skips, touch_assets
from operators.compose import summary_version
from operators.discover import Discovery, SourceError, discover
from operators.fan_in import Complete, FanIn, Header
from operators.lake import Lake, LakeError
from operators.ocr_engines import check_engine
from operators.perception_id import perception_id
from operators.probe import fingerprint
from schemas import ids
from schemas.arrow import to_table
from schemas.config import Config, ConfigError
from schemas.failure import Failure, Reason, SkipReason, Stage
from schemas.media import Asset, Listing, Unit, UnitKind
from schemas.perception import Perception
from schemas.tables import AssetRow, RunRow, SkipRow

if TYPE_CHECKING:
    from jobs.committer import Committer

EXIT_OK, EXIT_BROKEN, EXIT_USAGE, EXIT_SOME_FAILED = 0, 1, 2, 3

_PASSES = 2
"""Times that files are handed out: what a dying worker lost is tried once more, then a failure."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the lake holds of an asset."""

    fingerprint: str
    version: str
    perception: str
    summary_version: str
    status: str


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to do, as decided before anything is read."""

    todo: list[Listing]
    reasons: dict[str, int]
    """How many of `todo` are new, changed, or configured otherwise."""
    unchanged: list[Listing]
    unsupported: list[Listing]
    """Files that this version has looked at before and does not read."""
    unchanged_failed: int
    """Unchanged assets that are in the lake as failed or partial."""


def run_ingest(
    sources: Sequence[str], lake: str, config: Config, *, dry_run: bool = False, verbose: bool = False
) -> int:
    """Ingest sources into a lake and return the exit code.

    Raises:
        ConfigError: Something that makes the run impossible, found before any work.
    """
    target = _open_lake(lake, config)
    discovery = find(sources, target, config)
    known, skipped = (known_assets(target), known_skips(target)) if target.exists() else ({}, {})
    work = plan_work(discovery.listings, known, skipped, config)
    if dry_run:
        print_plan(discovery, work)
        return EXIT_OK
    return run(target, config, discovery, work, sources=sources, verbose=verbose)


def _open_lake(lake: str, config: Config) -> Lake:
    problem = check_engine(config.ocr)
    if problem is not None:
        raise ConfigError(problem)
    try:
        return Lake(lake, config.store.storage_options)
    except (ImportError, ValueError) as error:
        msg = f"Wanted a path or URL for --lake; {lake!r} cannot be used ({error})."
        raise ConfigError(msg) from error


def find(sources: Sequence[str], lake: Lake, config: Config) -> Discovery:
    """List the sources.

    Raises:
        ConfigError: A source does not exist.
    """
    try:
        return discover(
            sources, hidden=config.run.hidden, exclude=lake.uri, options=config.store.storage_options
        )
    except SourceError as error:
        raise ConfigError(str(error)) from error


def known_assets(lake: Lake) -> dict[str, Known]:
    """Read what the lake holds, by asset id."""
    rows = (
        lake.connect()
        .execute("SELECT asset_id, fingerprint, version, perception, summary_version, status FROM assets")
        .fetchall()
    )
    return {row[0]: Known(*row[1:]) for row in rows}


def known_skips(lake: Lake) -> dict[str, str]:
    """Read the marks of the unsupported files that the lake lists, by asset id."""
    return dict(
        lake.connect().execute("SELECT asset_id, mark FROM skips WHERE reason = 'unsupported'").fetchall()
    )


def skip_mark(listing: Listing) -> str:
    """Say what an unsupported file looked like, and to whom: another version may read it."""
    return ids.digest(fingerprint(listing), gloss_version())


def plan_work(
    listings: Sequence[Listing], known: Mapping[str, Known], skipped: Mapping[str, str], config: Config
) -> Work:
    """Tell new, changed and unchanged files apart by their listings alone.

    Args:
        listings: What was discovered.
        known: What the lake holds, by asset id.
        skipped: Marks of the unsupported files it lists, by asset id.
        config: The run's configuration.
    """
    perception, summaries = perception_id(config), summary_version(config)
    todo: list[Listing] = []
    unchanged: list[Listing] = []
    unsupported: list[Listing] = []
    reasons = {"new": 0, "changed": 0, "configuration": 0}
    failed = 0
    for listing in listings:
        asset_id = ids.asset_id(listing.uri)
        held = known.get(asset_id)
        if held is None and skipped.get(asset_id) == skip_mark(listing):
            unsupported.append(listing)
        elif held is None:
            reasons["new"] += 1
            todo.append(listing)
        elif (held.perception, held.summary_version) != (perception, summaries):
            reasons["configuration"] += 1
            todo.append(listing)
        elif held.fingerprint != fingerprint(listing):
            reasons["changed"] += 1
            todo.append(replace(listing, known_version=held.version))
        else:
            unchanged.append(listing)
            failed += held.status != "ok"
    return Work(todo, reasons, unchanged, unsupported, failed)


def print_plan(discovery: Discovery, work: Work) -> None:
    """Print as JSON what a run would do."""
    skips: dict[str, int] = {}
    for skip in discovery.skips:
        skips[skip.reason] = skips.get(skip.reason, 0) + 1
    if work.unsupported:
        skips[SkipReason.UNSUPPORTED] = skips.get(SkipReason.UNSUPPORTED, 0) + len(work.unsupported)
    plan = {
        "discovered": len(discovery.listings) + len(discovery.skips) + len(discovery.unlisted),
        "to_ingest": len(work.todo),
        "because": work.reasons,
        "bytes": sum(listing.size_bytes for listing in work.todo),
        "unchanged": len(work.unchanged),
        "skipped": skips,
        "cannot_be_listed": len(discovery.unlisted),
    }
    sys.stdout.write(json.dumps(plan, indent=2) + "\n")


def run(
    lake: Lake,
    config: Config,
    discovery: Discovery,
    work: Work,
    *,
    sources: Sequence[str],
    verbose: bool = False,
) -> int:
    """Do the work and write the run's row, whatever happens.

    Raises:
        ConfigError: The lake or the cluster cannot be used.
    """
    try:
        lake.create()
    except LakeError as error:
        raise ConfigError(str(error)) from error
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    ledger = Ledger(len(discovery.listings) + len(discovery.skips) + len(discovery.unlisted))
    row = _started(run_id, config, sources, ledger)
    put_run(lake, row)
    status, code, message = "failed", EXIT_BROKEN, None
    with quiet(verbose) as terminal, Progress(terminal.stream, ledger, verbose=verbose) as progress:
        try:
            _Run(lake, config, run_id, ledger, progress).do(discovery, work, verbose)
            ledger.check()
            status = "finished"
            bad = ledger.status["failed"] + ledger.status["partial"] + work.unchanged_failed
            code = EXIT_SOME_FAILED if bad else EXIT_OK
        except KeyboardInterrupt:
            status, message = "interrupted", "Stopped by the user; run the same command to go on."
        except ConfigError as error:
            message = str(error)
            raise
        except Exception as error:  # the run's row and report say what broke it, the log where
            message = f"{type(error).__name__}: {error}"
            traceback.print_exc()
        finally:
            finished = _finished(row, status, code, message, ledger)
            put_run(lake, finished)
            lake.write_views()
            progress.stop()
            report(terminal.stream, lake, finished, ledger, work.unchanged_failed)
            _point_to_log(terminal, status)
    return code


def _point_to_log(terminal: Terminal, status: str) -> None:
    if status == "failed" and terminal.log is not None:
        terminal.stream.write(f"What Ray and the libraries said is in {terminal.log}\n")


class _Run:
    """One run: the state that its steps share."""

    def __init__(self, lake: Lake, config: Config, run_id: str, ledger: Ledger, progress: Progress) -> None:
        self.lake = lake
        self.config = config
        self.run_id = run_id
        self.ledger = ledger
        self.progress = progress
        self.fan_in = FanIn()
        self.skips: list[SkipRow] = []
        self.touched: list[Asset] = []

    def do(self, discovery: Discovery, work: Work, verbose: bool) -> None:
        """Count what needs no work, do the rest, record the skips."""
        if work.unchanged:
            self.ledger.skip(SkipReason.UNCHANGED, len(work.unchanged))
        if work.unsupported:
            self.ledger.skip(SkipReason.UNSUPPORTED, len(work.unsupported))
        for skip in discovery.skips:
            self._skip(skip.uri, skip.reason, skip.message)
        if work.todo or discovery.unlisted:
            self._work(discovery, work.todo, verbose)
        put_skips(self.lake, self._new_skips())
        touch_assets(self.lake, self.touched)

    def _work(self, discovery: Discovery, todo: Sequence[Listing], verbose: bool) -> None:
        # Ray is slow to import and needed only when there is something to do.
        from cluster.resources import require_fit
        from cluster.session import cluster_cpus, cluster_gpus, session
        from jobs.committer import Committer

        with ExitStack() as stack:
            self.progress.say("starting Ray")
            stack.enter_context(session(self.config, verbose=verbose))
            require_fit(self.config, cluster_cpus(), cluster_gpus())
            self.progress.say("loading engines")
            committer = stack.enter_context(Committer(self.lake, self.config, self.run_id, self._committed))
            for item in discovery.unlisted:
                committer.put(_unread(item.uri, self.config, Stage.DISCOVER, Reason.UNREADABLE, item.message))
            self._perceive(todo, committer)

    def _perceive(self, todo: Sequence[Listing], committer: "Committer") -> None:
        from jobs.chain import perceive

        waiting = {ids.asset_id(listing.uri): listing for listing in todo}
        for attempt in range(_PASSES):
            if attempt:
                self.progress.say(f"trying {len(waiting)} files again that a lost worker had")
            for table in perceive(list(waiting.values()), self.config, careful=attempt > 0):
                for header, complete in self.fan_in.add(table):
                    self._perceived(header)
                    if complete is not None:
                        waiting.pop(complete.asset.asset_id, None)
                        self._completed(complete, committer)
            if not waiting:
                return
            if attempt < _PASSES - 1:
                for asset_id in waiting:
                    self.fan_in.forget(asset_id)
        unfinished = self.fan_in.unfinished()
        for asset_id, listing in waiting.items():
            complete = _give_up(listing, unfinished.get(asset_id), self.fan_in, self.config)
            self._completed(complete, committer)

    def _perceived(self, header: Header) -> None:
        self.ledger.perceived(header)
        self.progress.unit(header)

    def _completed(self, complete: Complete, committer: "Committer") -> None:
        if complete.skipped is None:
            committer.put(complete)
            return
        if complete.skipped == SkipReason.UNCHANGED:
            self.ledger.skip(SkipReason.UNCHANGED)
            self.touched.append(complete.asset)
            return
        (messages,) = complete.rows["failures"].to_pylist()
        mark = ids.digest(complete.asset.fingerprint, gloss_version())
        self._skip(complete.asset.uri, complete.skipped, messages[0]["message"], mark)

    def _committed(self, rows: Sequence[AssetRow]) -> None:
        self.ledger.committed(rows)
        self.progress.committed()

    def _skip(self, uri: str, reason: str, message: str, mark: str = "") -> None:
        self.ledger.skip(reason)
        at = datetime.now(UTC)
        self.skips.append(SkipRow(ids.asset_id(uri), uri, reason, message, mark, self.run_id, at))

    def _new_skips(self) -> list[SkipRow]:
        """Leave out what the lake already lists, so that a second run adds nothing."""
        if not self.skips:
            return []
        held = self.lake.table("skips").to_pyarrow_table(columns=["asset_id", "reason", "mark"])
        listed = {tuple(row.values()) for row in held.to_pylist()}
        return [row for row in self.skips if (row.asset_id, row.reason, row.mark) not in listed]


def _unread(
    uri: str, config: Config, stage: Stage, reason: Reason, message: str, listing: Listing | None = None
) -> Complete:
    """Account for a file or folder of which nothing came back."""
    mark = fingerprint(listing or Listing(uri, 0))
    asset = Asset(
        asset_id=ids.asset_id(uri),
        version=ids.version(f"unread:{mark}", [], perception_id(config)),
        uri=uri,
        kind="",
        size_bytes=0 if listing is None else listing.size_bytes,
        fingerprint=mark,
        content_hash="",
    )
    lost = Perception(asset, Unit(0, UnitKind.NOTHING), failures=[Failure(stage, reason, message)])
    return Complete(asset, to_table(Perception, [lost]), None)


def _give_up(
    listing: Listing, under_way: tuple[Asset, set[int]] | None, fan_in: FanIn, config: Config
) -> Complete:
    """Complete an asset whose missing units were lost twice, with a failure for each."""
    message = (
        f"Handed out {_PASSES} times and never came back: its worker died each time. "
        "Run gloss retry; if it happens again, the file makes a library crash."
    )
    if under_way is None:
        return _unread(listing.uri, config, Stage.DECODE, Reason.LOST, message, listing)
    asset, missing = under_way
    rows = [
        Perception(
            asset,
            Unit(index, UnitKind.NOTHING),
            failures=[Failure(Stage.DECODE, Reason.LOST, message, index)],
        )
        for index in sorted(missing)
    ]
    (complete,) = [done for _, done in fan_in.add(to_table(Perception, rows)) if done is not None]
    return complete


@cache
def gloss_version() -> str:
    """Return the installed version."""
    try:
        return version("gloss")
    except PackageNotFoundError:
        return "not installed"


def _versions() -> dict[str, str]:
    names = ("gloss", "ray", "av", "pypdfium2", "rapidocr", "paddleocr", "onnxruntime", "deltalake", "duckdb")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _started(run_id: str, config: Config, sources: Sequence[str], ledger: Ledger) -> RunRow:
    return RunRow(
        run_id=run_id,
        started_at=datetime.now(UTC),
        finished_at=None,
        status="running",
        exit_code=None,
        sources=[source if "://" in source else os.path.abspath(source) for source in sources],  # noqa: PTH100
        profile=config.profile,
        config=config.model_dump_json(),
        versions=json.dumps(_versions()),
        discovered=ledger.discovered,
        ok=0,
        partial=0,
        failed=0,
        skipped=0,
        skipped_by_reason=[],
        failures_by_reason=[],
        units=0,
        sampled_frames=0,
        distinct_frames=0,
    )


def _finished(row: RunRow, status: str, code: int, message: str | None, ledger: Ledger) -> RunRow:
    return replace(
        row,
        finished_at=datetime.now(UTC),
        status=status,
        exit_code=code,
        ok=ledger.status["ok"],
        partial=ledger.status["partial"],
        failed=ledger.status["failed"],
        skipped=sum(ledger.skipped.values()),
        skipped_by_reason=counts(ledger.skipped.items()),
        failures_by_reason=counts(ledger.failures.items()),
        units=ledger.units,
        sampled_frames=ledger.totals["sampled"],
        distinct_frames=ledger.totals["distinct"],
        stages=ledger.stages(),
        message=message,
    )
