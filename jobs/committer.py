"""Finished assets are composed on the cluster and committed while the run goes on.

Composing is text work of milliseconds, so assets are sent in groups; committing is the
driver's alone. Both happen in a thread beside the one that takes rows from the pipeline, so
that neither waits for the other; a bounded queue between them keeps memory in check.
"""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import ray

from operators.commit import commit
from operators.compose import Composed, compose, compose_failed
from operators.fan_in import Complete
from operators.lake import DataFile, Lake
from operators.write import rows_of, write_rows
from schemas.arrow import from_table
from schemas.config import Config
from schemas.failure import Failure, Reason, Stage
from schemas.perception import Perception
from schemas.tables import CHILDREN, AssetRow

_GROUP_UNITS = 256
"""Units composed by one task: some megabytes of text, some hundred milliseconds of work."""

_QUEUE_ASSETS = 512
_TASKS_IN_FLIGHT = 4


@dataclass(frozen=True, slots=True)
class Written:
    """What one compose task wrote; not visible until committed."""

    assets: list[AssetRow]
    files: list[DataFile]


def compose_and_write(
    lake: Lake, assets: Sequence[pa.Table], config: Config, run_id: str, at: datetime
) -> Written:
    """Compose a group of assets and write one file for each child table.

    Args:
        lake: Where to write.
        assets: For each asset its `Perception` rows.
        config: The run's configuration.
        run_id: The run's id.
        at: The time of ingest to state.
    """
    composed = [_compose_one(from_table(Perception, rows), config, run_id, at) for rows in assets]
    files = [
        write_rows(lake, table, [row for item in composed for row in getattr(item, table)])
        for table in CHILDREN
    ]
    return Written([item.asset for item in composed], rows_of(files))


def _compose_one(perceptions: list[Perception], config: Config, run_id: str, at: datetime) -> Composed:
    """Compose one asset; an error of ours costs this asset, with a reason, and no other."""
    write_id = uuid.uuid4().hex
    try:
        return compose(perceptions, config, run_id=run_id, at=at, write_id=write_id)
    except Exception as error:  # the boundary that keeps one asset from taking its group along
        message = f"{type(error).__name__}: {error}. Please report this."
        failure = Failure(Stage.COMPOSE, Reason.INTERNAL, message)
        return compose_failed(perceptions, failure, config, run_id=run_id, at=at, write_id=write_id)


# Text work beside the pipeline: asking for no CPU, it can never wait for the actors to end.
_compose_task = ray.remote(num_cpus=0, max_retries=2)(compose_and_write)


class Committer:
    """The thread that composes and commits. Use as a context manager."""

    def __init__(
        self, lake: Lake, config: Config, run_id: str, on_commit: Callable[[Sequence[AssetRow]], None]
    ) -> None:
        """Prepare; the thread starts on entering.

        Args:
            lake: Where to commit.
            config: The run's configuration.
            run_id: The run's id.
            on_commit: Called in the thread with the rows that have just become visible.
        """
        self.lake = lake
        self.config = config
        self.run_id = run_id
        self.on_commit = on_commit
        self._queue: queue.Queue[Complete | None] = queue.Queue(_QUEUE_ASSETS)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)

    def __enter__(self) -> "Committer":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Commit what has been put, also when the run is broken off, and end the thread."""
        self._put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def put(self, complete: Complete) -> None:
        """Hand over a complete asset; waits when too many are under way.

        Raises:
            Exception: What broke the thread.
        """
        self._put(complete)

    def _put(self, item: Complete | None) -> None:
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
        tasks: list[ray.ObjectRef[Written]] = []
        written: list[Written] = []
        committed_at = time.monotonic()
        open_ended = True
        while open_ended or tasks:
            group, open_ended = self._next_group() if open_ended else ([], False)
            if group:
                rows = [complete.rows for complete in group]
                tasks.append(
                    _compose_task.remote(self.lake, rows, self.config, self.run_id, datetime.now(UTC))
                )
            done, tasks = _finished(tasks, wait=not open_ended or len(tasks) >= _TASKS_IN_FLIGHT)
            written += done
            if self._due(written, committed_at):
                self._commit(written)
                written, committed_at = [], time.monotonic()
        self._commit(written)

    def _next_group(self) -> tuple[list[Complete], bool]:
        """Take assets until there are enough units, or none has come for half a second."""
        group: list[Complete] = []
        units = 0
        while units < _GROUP_UNITS:
            try:
                item = self._queue.get(timeout=0.5)
            except queue.Empty:
                break
            if item is None:
                return group, False
            group.append(item)
            units += item.rows.num_rows
        return group, True

    def _due(self, written: Sequence[Written], committed_at: float) -> bool:
        store = self.config.store
        count = sum(len(item.assets) for item in written)
        waited = time.monotonic() - committed_at
        return count > 0 and (count >= store.commit_assets or waited >= store.commit_seconds)

    def _commit(self, written: Sequence[Written]) -> None:
        assets = [row for item in written for row in item.assets]
        if assets:
            commit(self.lake, assets, [file for item in written for file in item.files])
            self.on_commit(assets)


def _finished(
    tasks: list[ray.ObjectRef[Written]], *, wait: bool
) -> tuple[list[Written], list[ray.ObjectRef[Written]]]:
    if not tasks:
        return [], []
    done, rest = ray.wait(tasks, num_returns=1, timeout=None if wait else 0, fetch_local=True)
    return ray.get(done), rest
