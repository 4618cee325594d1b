"""One run: the work that a plan left, done on a cluster, with every file accounted for.

perceive on the cluster -> fan in -> compose -> commit, and then once more with captions, where a
vision-language model is to look: it gets the machine for itself, knows what was read and said, and the
words are in the lake before it begins. A language model that writes summaries comes last, for the same
reasons. Whatever goes wrong with a file is a row
in `failures`, and the rest goes on; whatever goes wrong with the run ends it with everything
finished kept, so that the same command goes on from there.
"""

import json
import os
import platform
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from cluster.quiet import Terminal, quiet
from jobs.awaiting import Awaiting
from jobs.budget import BudgetSpent, check_budget
from jobs.caps import NO_CAPS, Caps, check_caps
from jobs.caption_pass import CaptionPass, Tools, store_of
from jobs.embedding_pass import due_assets, embed
from jobs.ledger import Ledger, counts
from jobs.observed import Observed
from jobs.plan import Work, skip_mark
from jobs.progress import Progress
from jobs.report import failures_of, report
from operators.asked import INPUT_TOKENS, OUTPUT_TOKENS
from operators.claim import Claim
from operators.commit import put_run, put_skips, remove_assets, touch_assets
from operators.content import copies_last, of_equal_size, with_stated_hashes
from operators.discover import Discovery
from operators.embedding_isolated import quiet_seconds
from operators.fan_in import Complete, FanIn, Header
from operators.lake import Lake
from operators.language import load_identifier
from operators.source import local_uri
from operators.unit_id import perception_id
from operators.unit_store import open_store
from schemas import ids
from schemas.arrow import to_table
from schemas.config import Config, ConfigError
from schemas.failure import Failure, Reason, SkipReason, Stage
from schemas.listings import fingerprint
from schemas.media import Asset, Listing, Unit, UnitKind
from schemas.perception import Perception
from schemas.tables import AssetRow, RunRow, SkipRow

if TYPE_CHECKING:
    from jobs.committer import Committer

EXIT_OK, EXIT_BROKEN, EXIT_USAGE, EXIT_SOME_FAILED = 0, 1, 2, 3


def new_run_id() -> str:
    """Name a run: when it began, and what tells it from another that began then."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Task:
    """What a run is asked to do."""

    discovery: Discovery
    work: Work
    sources: Sequence[str]
    vanished: Sequence[str] = ()
    """Assets of the lake whose file is gone."""
    prune: bool = False
    """Whether to remove them."""
    caps: Caps = NO_CAPS
    """What captions may cost."""
    run_id: str = field(default_factory=new_run_id)


def run(lake: Lake, config: Config, task: Task, claim: Claim, *, verbose: bool = False) -> int:
    """Do the work and write the run's row, whatever happens.

    Args:
        lake: An existing lake.
        config: The run's configuration.
        task: What to do.
        claim: The right to write to the lake.
        verbose: Show what Ray says.

    Raises:
        ConfigError: The cluster cannot be used.
    """
    discovery, work = task.discovery, task.work
    ledger = Ledger(len(discovery.listings) + len(discovery.skips) + len(discovery.unlisted))
    row = _started(config, task, ledger)
    observed = Observed(lake, config, task.run_id, ledger)
    put_run(lake, row)
    ended = _Ended("failed", EXIT_BROKEN)
    with (
        quiet(verbose) as terminal,
        Progress(terminal.stream, ledger, verbose=verbose, log=observed.speak(terminal.stream)) as progress,
    ):
        try:
            _Run(lake, config, task.run_id, claim, ledger, progress, observed).do(task, verbose)
            ledger.check()
            bad = ledger.status["failed"] + ledger.status["partial"] + ledger.unembedded
            bad += work.unchanged_failed
            ended = _Ended("finished", EXIT_SOME_FAILED if bad else EXIT_OK)
        except KeyboardInterrupt:
            ended = _Ended("interrupted", EXIT_BROKEN, "Stopped by the user; run the same command to go on.")
        except BudgetSpent as spent:
            ended = _Ended("stopped", EXIT_BROKEN, f"{spent} Run the same command to go on.")
        except ConfigError as error:
            ended = replace(ended, message=str(error))
            raise
        except Exception as error:  # the run's row and report say what broke it, the log where
            ended = replace(ended, message=f"{_named(error)} Run the same command to go on.")
            traceback.print_exc()
        finally:
            code = _end(lake, row, ended, ledger, task, terminal, progress, observed)
    return code


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a run ended."""

    status: str
    code: int
    message: str | None = None


def _named(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _end(
    lake: Lake,
    row: RunRow,
    ended: _Ended,
    ledger: Ledger,
    task: Task,
    terminal: Terminal,
    progress: Progress,
    observed: Observed,
) -> int:
    """Write the end of the run and return its exit code; a lake that is gone must not hide why it ended."""
    if (rest := ledger.discovered - ledger.finished) > 0 and ended.status != "finished":
        ledger.skip(SkipReason.NOT_REACHED, rest)
    finished = _finished(row, ended, ledger)
    code = ended.code
    progress.stop()
    say = _speaker(terminal, observed)
    try:
        observed.flush()
        put_run(lake, finished)
        lake.write_views()
        failures = failures_of(lake, finished)
    except Exception as error:
        failures, code = [], EXIT_BROKEN
        traceback.print_exc()
        say(f"The end of the run cannot be written to the lake: {_named(error)}")
    unheard = observed.end(finished)
    if observed.log is None:
        report(terminal.stream, lake.uri, finished, ledger, failures, task.work.unchanged_failed)
        for problem in unheard:
            say(problem)
    if ended.status == "failed":
        for line in terminal.last_words():
            say(line)
    return code


def _speaker(terminal: Terminal, observed: Observed) -> Callable[[str], object]:
    """Speak to people, or to a collector of logs."""
    if (log := observed.log) is not None:
        return lambda text: log.write("error", "message", text)
    return lambda text: terminal.stream.write(f"{text}\n")


class _Run:
    """One run: the state that its steps share."""

    def __init__(
        self,
        lake: Lake,
        config: Config,
        run_id: str,
        claim: Claim,
        ledger: Ledger,
        progress: Progress,
        observed: Observed,
    ) -> None:
        self.lake = lake
        self.config = config
        self.claim = claim
        self.run_id = run_id
        self.ledger = ledger
        self.progress = progress
        self.observed = observed
        self.fan_in = FanIn()
        self.waiting: dict[str, Listing] = {}
        self.awaiting = Awaiting(config)
        self.skips: list[SkipRow] = []
        self.touched: list[Asset] = []

    def do(self, task: Task, verbose: bool) -> None:
        """Count what needs no work, do the rest, record the skips, remove what vanished."""
        work, discovery = task.work, task.discovery
        for reason, count in (
            (SkipReason.UNCHANGED, len(work.unchanged)),
            (SkipReason.UNSUPPORTED, len(work.unsupported)),
            (SkipReason.NOT_SELECTED, work.unselected),
        ):
            if count:
                self.ledger.skip(reason, count)
        for skip in discovery.skips:
            self._skip(skip.uri, skip.reason, skip.message)
        if work.todo or work.captions or work.summaries or discovery.unlisted or self._lacks_vectors(work):
            self._work(task, verbose)
        if not self.config.embedding.embeds_text:
            self._embed(work)  # which takes out what is there, and needs no cluster
        self.claim.check()
        put_skips(self.lake, self._new_skips())
        touch_assets(self.lake, self.touched)
        self.ledger.vanished = len(task.vanished)
        if task.prune and task.vanished:
            remove_assets(self.lake, task.vanished)
            self.ledger.pruned = len(task.vanished)

    def _work(self, task: Task, verbose: bool) -> None:
        # Ray is slow to import and needed only when there is something to do.
        from cluster.executor import call_beside, needs_ray, session
        from cluster.gone import ClusterGone
        from cluster.nodes import cluster_nodes
        from cluster.resources import plan_workers
        from jobs.first_children import first_children

        with ExitStack() as stack:
            on_ray = needs_ray(self.config)
            if on_ray:
                self.progress.say("starting Ray")
            stack.enter_context(session(self.config, verbose=verbose))
            workers = plan_workers(self.config, cluster_nodes())  # what does not fit is refused
            self.progress.say("loading engines")
            if task.work.todo:
                if not on_ray:
                    stack.enter_context(first_children(self.config, workers.ocr))
                # What is composed first is seen first, and waited for this: 2 to 4 s beside decoders.
                call_beside(load_identifier)
            # What composes, and all that a pipeline names, takes a second to import: children do meanwhile.
            from jobs.committer import Committer

            stack.callback(self.observed.disconnect)
            committer = stack.enter_context(
                Committer(
                    self.lake,
                    self.config,
                    self.run_id,
                    self._committed,
                    self.claim.check,
                    self.observed.costs.take,
                )
            )
            self.observed.connected(committer)
            for item in task.discovery.unlisted:
                folder = unread(item.uri, self.config, Stage.DISCOVER, Reason.UNREADABLE, item.message)
                self._completed(folder, committer)
            try:
                self._perceive(task.work.todo, committer)
                self._caption(task, committer)
                self._summarise(task, committer)
                if self.config.embedding.embeds_text:
                    committer.flush()
                    self._embed(task.work)
            except ClusterGone:
                committer.cluster_is_gone()
                raise

    def _perceive(self, todo: Sequence[Listing], committer: "Committer") -> None:
        """Hand files out: the first of each content, its copies, then with care what was lost."""
        todo = with_stated_hashes(todo, self.config.store.identity)
        from cluster.nodes import cluster_nodes

        self.waiting = {ids.asset_id(listing.uri): listing for listing in todo}
        self.awaiting.expect(todo)
        first, copies = copies_last(todo, self._hashes(todo))
        nodes = len(cluster_nodes())
        self._pass(first, committer)
        self._pass(copies, committer)
        while self.waiting and (left := len(cluster_nodes())) < nodes:
            nodes = left
            self.progress.say(f"a node has died; going on with {len(self.waiting)} files on the others")
            self._pass(list(self.waiting.values()), committer)
        if self.waiting:
            self.progress.say(f"trying {len(self.waiting)} files again that a lost worker had")
            self._pass(list(self.waiting.values()), committer, careful=True)
        unfinished = self.fan_in.unfinished()
        for asset_id, listing in list(self.waiting.items()):
            self._completed(_give_up(listing, unfinished.get(asset_id), self.fan_in, self.config), committer)

    def _caption(self, task: Task, committer: "Committer") -> None:
        """Let a model look at what was perceived, now or by an earlier run, and has no captions yet."""
        from jobs.chain import survey

        if not self.config.vision.looks:
            return
        committer.flush()
        todo = [*task.work.captions, *self.awaiting.ready()]
        if not todo:
            return
        if task.caps:
            self.progress.say("counting what the model will be shown")
            store = store_of(self.lake, todo, self.awaiting.held)
            check_caps(self._watched(survey(todo, self.config, store)), self.config, task.caps)
        self.progress.say("loading the vision-language model")
        tools = Tools(self.lake, self.config, self.ledger, self.progress, self._watched, committer)
        if unread := CaptionPass(tools, self.awaiting.held).look(todo):
            # A file of the store is lost or damaged: those assets are read anew.
            self.fan_in = FanIn()
            self._perceive(unread, committer)
            committer.flush()
            if CaptionPass(tools, self.awaiting.held).look(self.awaiting.ready()):
                msg = "What was read could not be found again twice. Run gloss status --check on the lake."
                raise RuntimeError(msg)

    def _summarise(self, task: Task, committer: "Committer") -> None:
        """Write the summaries that are not as configured, of what this run read and of what was there."""
        from jobs.summary_pass import SummaryPass, due_assets

        committer.flush()
        wanted = [*self.awaiting.unsummarised, *(ids.asset_id(item.uri) for item in task.work.summaries)]
        if not wanted:
            return
        due = due_assets(self.lake, self.config, wanted)
        if self.config.summary.writes:
            self.progress.say("loading the language model")
        self.progress.begin_summaries(len(due))
        tools = Tools(self.lake, self.config, self.ledger, self.progress, self._watched, committer)
        SummaryPass(tools, self.run_id).write(due)
        if self.config.summary.looks_closer:
            self._look_closer(wanted, tools, task.caps)

    def _look_closer(self, asset_ids: Sequence[str], tools: Tools, caps: Caps) -> None:
        """Let a model look for what summaries say and no text bears out."""
        from jobs.closer_pass import CloserPass, unlooked_assets

        if unlooked := unlooked_assets(self.lake, self.config, asset_ids):
            self.progress.say(f"looking closer at pictures of {len(unlooked)} assets")
            CloserPass(tools, self.run_id).look(unlooked, caps)

    def _lacks_vectors(self, work: Work) -> bool:
        return self.config.embedding.embeds_text and bool(due_assets(self.lake, self.config, _worked(work)))

    def _embed(self, work: Work) -> None:
        """Give the texts of what this run read, and of what was there, vectors that fit them."""
        done = embed(
            self.lake,
            self.config,
            _worked(work),
            run_id=self.run_id,
            watched=lambda tables: self._watched(tables, patience=quiet_seconds(self.config)),
            may_commit=self.claim.check,
            say=self.progress.say,
        )
        if done.assets:
            self.ledger.embedded(done.work, done.failures)

    def _hashes(self, todo: Sequence[Listing]) -> dict[str, str]:
        from jobs.chain import hash_contents

        alike = of_equal_size(todo)
        if not alike:
            return {}
        self.progress.say(f"comparing {len(alike)} files of equal size")
        tables = self._watched(hash_contents(alike, self.config))
        return {row["uri"]: row["content_hash"] for table in tables for row in table.to_pylist()}

    def _pass(self, listings: Sequence[Listing], committer: "Committer", *, careful: bool = False) -> None:
        """Perceive files; what does not come back stays in `waiting`."""
        from jobs.chain import perceive

        if not listings:
            return
        committer.flush()
        store = open_store(self.lake, (listing.size_bytes for listing in listings))
        committer.plans = store.plans
        for listing in listings:
            self.fan_in.forget(ids.asset_id(listing.uri))
        for table in self._watched(perceive(listings, self.config, store, careful=careful), committer):
            come = list(self.fan_in.add(table))
            for header, _ in come:
                self._perceived(header)
            # What was spent is committed before what it was spent on: after a kill, work that is
            # found again was paid for, and work that is lost too.
            committer.put_units(table)
            for _, complete in come:
                if complete is not None:
                    self._completed(complete, committer)

    def _watched(
        self, tables: Iterator[pa.Table], committer: "Committer | None" = None, patience: float = 0.0
    ) -> Iterator[pa.Table]:
        from cluster.watch import watched

        def look() -> None:
            if committer is not None:
                committer.check()
            check_budget(self.ledger, self.config.run)

        return watched(tables, max(self.config.run.stall_seconds, patience), look)

    def _perceived(self, header: Header) -> None:
        self.ledger.perceived(header)
        self.progress.unit(header)

    def _completed(self, complete: Complete, committer: "Committer") -> None:
        self.waiting.pop(complete.asset.asset_id, None)
        self.observed.completed(complete)
        if complete.skipped is None:
            self.ledger.completed(complete)
            self.awaiting.hold(complete)
            committer.put(complete)
            return
        if complete.skipped == SkipReason.UNCHANGED:
            self.ledger.skip(SkipReason.UNCHANGED)
            self.touched.append(complete.asset)
            return
        (messages,) = complete.rows["failures"].to_pylist()
        mark = skip_mark(complete.asset.fingerprint)
        self._skip(complete.asset.uri, complete.skipped, messages[0]["message"], mark)

    def _committed(self, rows: Sequence[AssetRow]) -> None:
        """Count what is done; what awaits captions is in the lake, and counts when it has them."""
        self.ledger.committed(self.awaiting.committed(rows))
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


def _worked(work: Work) -> Iterator[str]:
    """Yield the assets that a run answers for: not those that it was asked to leave for another."""
    listings = chain(work.todo, work.captions, work.summaries, work.unchanged)
    return (ids.asset_id(listing.uri) for listing in listings)


def unread(
    uri: str, config: Config, stage: Stage, reason: Reason, message: str, listing: Listing | None = None
) -> Complete:
    """Account for a file or folder of which nothing came back."""
    mark = fingerprint(listing or Listing(uri, 0))
    asset = Asset(
        asset_id=ids.asset_id(uri),
        version=ids.version(f"unread:{mark}", "", perception_id(config)),
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
        "Handed out twice and never came back: its worker died each time. "
        "Run gloss retry; if it happens again, the file makes a library crash."
    )
    if under_way is None:
        return unread(listing.uri, config, Stage.DECODE, Reason.LOST, message, listing)
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


def _versions() -> dict[str, str]:
    names = ("gloss", "ray", "av", "pypdfium2", "rapidocr", "paddleocr", "onnxruntime", "deltalake", "duckdb")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _source(source: str) -> str:
    """Name a source as `runs` shows it: absolute, and in characters that a table can hold."""
    if "://" in source:
        return source
    return local_uri(os.path.abspath(source)).removeprefix("file://")  # noqa: PTH100 - keeps `..` apart


def _started(config: Config, task: Task, ledger: Ledger) -> RunRow:
    return RunRow(
        run_id=task.run_id,
        started_at=datetime.now(UTC),
        finished_at=None,
        status="running",
        exit_code=None,
        sources=[_source(source) for source in task.sources],
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


def _finished(row: RunRow, ended: _Ended, ledger: Ledger) -> RunRow:
    return replace(
        row,
        finished_at=datetime.now(UTC),
        status=ended.status,
        exit_code=ended.code,
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
        message=ended.message,
        recalled=ledger.recalled,
        vanished=ledger.vanished,
        pruned=ledger.pruned,
        captions=ledger.totals["captions"],
        planned_visual_tokens=ledger.totals["planned_visual_tokens"],
        visual_tokens=ledger.totals["visual_tokens"],
        planned_text_tokens=ledger.totals["planned_text_tokens"],
        input_tokens=ledger.totals[INPUT_TOKENS],
        output_tokens=ledger.totals[OUTPUT_TOKENS],
    )
