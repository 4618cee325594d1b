"""Finished work is made durable while the run goes on: units as they come, assets when complete.

Units go to the lake within `store.commit_seconds`, long before their asset is complete, so
that a run that dies has little to do again. Complete assets are composed on the cluster, in
groups, because composing is text work of milliseconds; committing is the driver's alone. All
of it happens in a thread beside the one that takes rows from the pipeline, so that neither
waits for the other; a bounded queue between them keeps memory in check.
"""

import queue
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from cluster.executor import Call, call_beside
from operators.commit import commit
from operators.compose import Composed, compose, compose_failed
from operators.fan_in import Complete
from operators.lake import DataFile, Lake
from operators.read_decisions import read_decisions
from operators.unit_store import (
    Index,
    plan_of,
    plan_row,
    unit_rows,
    worth_keeping,
    write_plans,
    write_units,
)
from operators.write import rows_of, write_rows
from schemas.arrow import from_table
from schemas.config import Config
from schemas.failure import Failure, Reason, Stage
from schemas.media import Asset
from schemas.perception import Perception
from schemas.tables import CHILDREN, AssetRow, CostRow, DecisionRow, PlanRow

_GROUP_UNITS = 256
"""Units composed by one task: some megabytes of text, some hundred milliseconds of work."""

_IDLE_SECONDS = 0.5
_QUEUE_ITEMS = 512
_TASKS_IN_FLIGHT = 4


@dataclass(frozen=True, slots=True)
class Group:
    """Assets to be composed together."""

    assets: list[pa.Table]
    """For each asset its `Perception` rows."""
    config: Config
    run_id: str
    at: datetime
    """The time of ingest to state."""
    known_plans: frozenset[str]
    """Those of their plans that the lake holds already."""
    captioned: bool
    """Whether a vision-language model has looked at them."""
    decisions: dict[str, list[DecisionRow]]
    """What people decided about their summaries, by asset."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one compose task wrote; not visible until committed."""

    assets: list[AssetRow]
    files: list[DataFile]


def compose_and_write(lake: Lake, group: Group) -> Written:
    """Compose a group of assets and write one file for each table that got rows."""
    composed: list[Composed] = []
    plans: list[PlanRow] = []
    for rows in group.assets:
        perceptions = from_table(Perception, rows)
        item = _compose_one(perceptions, group)
        composed.append(item)
        if item.asset.plan_id and item.asset.plan_id not in group.known_plans:
            plans.append(plan_row(perceptions, group.config, group.run_id, group.at))
    files = [
        write_rows(lake, table, [row for item in composed for row in getattr(item, table)])
        for table in CHILDREN
    ]
    files.append(write_plans(lake, plans) if plans else None)
    return Written([item.asset for item in composed], rows_of(files))


def _compose_one(perceptions: list[Perception], group: Group) -> Composed:
    """Compose one asset; an error of ours costs this asset, with a reason, and no other."""
    write_id = uuid.uuid4().hex
    config, run_id, at = group.config, group.run_id, group.at
    try:
        return compose(
            perceptions,
            config,
            run_id=run_id,
            at=at,
            write_id=write_id,
            captioned=group.captioned,
            decisions=group.decisions.get(perceptions[0].asset.asset_id, ()),
        )
    except Exception as error:  # the boundary that keeps one asset from taking its group along
        message = f"{type(error).__name__}: {error}. Please report this."
        failure = Failure(Stage.COMPOSE, Reason.INTERNAL, message)
        return compose_failed(perceptions, failure, config, run_id=run_id, at=at, write_id=write_id)


@dataclass(frozen=True, slots=True)
class _Composing:
    """A group under way: the task, and what it was given, should the cluster be lost."""

    task: Call[Written] | None
    group: Group


class Committer:
    """The thread that composes and commits. Use as a context manager."""

    def __init__(
        self,
        lake: Lake,
        config: Config,
        run_id: str,
        on_commit: Callable[[Sequence[AssetRow]], None],
        may_commit: Callable[[], None],
        spent: Callable[[], list[CostRow]] = list,
    ) -> None:
        """Prepare; the thread starts on entering.

        Args:
            lake: Where to commit.
            config: The run's configuration.
            run_id: The run's id.
            on_commit: Called in the thread with the rows that have just become visible.
            may_commit: Called in the thread before each commit; raises when this run may no
                longer write.
            spent: Called in the thread at each commit: what is not written yet of what was spent.
        """
        self.lake = lake
        self.config = config
        self.run_id = run_id
        self.on_commit = on_commit
        self.may_commit = may_commit
        self.spent = spent
        self.plans: Index | None = None
        """Plans that the lake held when the run began."""
        self.captioned = False
        """Whether what is put has been looked at by a vision-language model; changes only after `flush`."""
        self._decisions = read_decisions(lake)
        self._queue: queue.Queue[Complete | pa.Table | threading.Event | None] = queue.Queue(_QUEUE_ITEMS)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self.rows: Counter[str] = Counter()
        """Rows that were committed, by table."""
        self._units: list[pa.Table] = []
        self._composing: list[_Composing] = []
        self._cluster_is_gone = False
        self._written: list[Written] = []
        self._committed_at = time.monotonic()
        self._is_visible = False
        """Whether anything of this run can be seen in the lake."""

    def __enter__(self) -> "Committer":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Commit what has been put, also when the run is broken off, and end the thread."""
        self._put(None)
        self._thread.join()
        self.check()

    def check(self) -> None:
        """Raise what broke the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def put_units(self, perceptions: pa.Table) -> None:
        """Hand over rows of `Perception`; those worth keeping will be found by later runs."""
        kept = worth_keeping(perceptions)
        if kept.num_rows:
            self._put(kept)

    def put(self, complete: Complete) -> None:
        """Hand over a complete asset; waits when too many are under way.

        Raises:
            Exception: What broke the thread.
        """
        self._put(complete)

    def cluster_is_gone(self) -> None:
        """Do not speak to the cluster again; what it had under way is composed here."""
        self._cluster_is_gone = True

    def flush(self) -> None:
        """Wait until all that has been put is committed.

        Raises:
            Exception: What broke the thread.
        """
        done = threading.Event()
        self._put(done)
        while not done.wait(0.2):
            self.check()

    def _put(self, item: Complete | pa.Table | threading.Event | None) -> None:
        while self._error is None:
            try:
                self._queue.put(item, timeout=1)
            except queue.Full:
                continue
            return
        if item is not None:
            raise self._error

    def _work(self) -> None:
        try:
            self._loop()
        except BaseException as error:  # handed to the main thread, which raises it
            self._error = error

    def _loop(self) -> None:
        while True:
            group, sign = self._next()
            if group:
                self._compose(group)
            if sign is not _GO_ON:
                self._finish()
            if isinstance(sign, threading.Event):
                sign.set()
            elif sign is None:
                return
            self._collect(wait=len(self._composing) >= _TASKS_IN_FLIGHT)
            if self._due():
                self._commit()

    def _next(self) -> tuple[list[Complete], "threading.Event | str | None"]:
        """Take assets until there are enough units, none has come for half a second, or it is time.

        The first is not kept waiting for others: people see that the run gives something, however large the
        corpus. Units on the way are put aside. The sign says how to go on: null is the end, an event
        wants to be set when all is committed.
        """
        group: list[Complete] = []
        units = 0
        until = time.monotonic() + (self.config.store.commit_seconds / 4 if self._is_visible else 0)
        while units < _GROUP_UNITS and not (group and time.monotonic() >= until):
            try:
                item = self._queue.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                break
            if isinstance(item, pa.Table):
                self._units.append(item)
                units += item.num_rows
            elif isinstance(item, Complete):
                group.append(item)
                units += item.rows.num_rows
            else:
                return group, item
        return group, _GO_ON

    def _compose(self, complete: Sequence[Complete]) -> None:
        plans = [plan_of(item.asset, self.config) for item in complete if _is_read(item.asset)]
        known = frozenset(self.plans.find(plans) if self.plans is not None else ())
        rows = [item.rows for item in complete]
        named = {item.asset.asset_id for item in complete}
        decisions = {key: value for key, value in self._decisions.items() if key in named}
        group = Group(rows, self.config, self.run_id, datetime.now(UTC), known, self.captioned, decisions)
        task = None if self._cluster_is_gone else call_beside(compose_and_write, self.lake, group)
        self._composing.append(_Composing(task, group))

    def _collect(self, *, wait: bool) -> None:
        """Take what composing has finished; with `wait`, at least one group."""
        while self._composing:
            first = self._composing[0]
            task = self._task(first)
            if not wait and task is not None and not task.done():
                return
            self._written.append(self._result(first))
            del self._composing[0]
            wait = False

    def _result(self, composing: _Composing) -> Written:
        """Wait for a group; where the cluster has lost it, compose it here."""
        try:
            while (task := self._task(composing)) is not None:
                with suppress(TimeoutError):
                    return task.result(timeout=1)
        except Exception as error:  # whatever it says: composing here fails too if it is not the cluster
            print(f"Composing here, because the cluster did not: {error}", file=sys.stderr)
        return compose_and_write(self.lake, composing.group)

    def _task(self, composing: _Composing) -> Call[Written] | None:
        """Return the task while the cluster that has it is there."""
        return None if self._cluster_is_gone else composing.task

    def _finish(self) -> None:
        while self._composing:
            self._collect(wait=True)
        self._commit()

    def _due(self) -> bool:
        store = self.config.store
        if not self._written and not self._units:
            return False
        if self._written and not self._is_visible:
            return True
        count = sum(len(item.assets) for item in self._written)
        return count >= store.commit_assets or time.monotonic() - self._committed_at >= store.commit_seconds

    @property
    def waiting(self) -> int:
        """About how many assets and tables of units wait to be committed."""
        return self._queue.qsize() + len(self._composing) + len(self._units) + len(self._written)

    def commit(self, assets: Sequence[AssetRow], files: Sequence[DataFile]) -> None:
        """Commit assets that others have written, with all that was spent until now."""
        self.may_commit()
        files = [*self.cost_files(), *files]
        commit(self.lake, assets, files)
        self._count(assets, files)
        self.on_commit(assets)

    def _count(self, assets: Sequence[AssetRow], files: Sequence[DataFile]) -> None:
        self.rows["assets"] += len(assets)
        for file in files:
            self.rows[file.table] += file.rows

    def cost_files(self) -> list[DataFile]:
        """Write what was spent and is not written yet; to be committed before what it was spent on."""
        return rows_of([write_rows(self.lake, "costs", self.spent())])

    def _commit(self) -> None:
        """Commit units first: an asset must never be there without what it was made of."""
        costs = self.cost_files()
        if not self._units and not self._written and not costs:
            return
        self.may_commit()
        files = [file for item in self._written for file in item.files]
        if self._units:
            rows = unit_rows(pa.concat_tables(self._units), self.run_id, datetime.now(UTC))
            files.insert(0, write_units(self.lake, rows))
        assets = [row for item in self._written for row in item.assets]
        commit(self.lake, assets, [*costs, *files])
        self._count(assets, [*costs, *files])
        self._units, self._written, self._committed_at = [], [], time.monotonic()
        self._is_visible = self._is_visible or bool(assets)
        self.on_commit(assets)


_GO_ON = "go on"


def _is_read(asset: Asset) -> bool:
    return bool(asset.content_hash)
