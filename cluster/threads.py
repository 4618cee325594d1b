"""A pipeline in threads of this process, for a machine that is the whole cluster.

Decoders, recognisers and models work in child processes of their own, wherever an operator runs; what is left
to do around them is a small part of the work. On a machine with few cores a cluster of processes gives
nothing then, and costs its start, its service processes and a copy of every picture. So the same steps run in
threads here, and rows are handed on as they are.

A thread for each core does the work of all tasks, the last step first, so that what was begun is finished
before more is begun. Each worker of a pool has a thread and an operator of its own. What waits for a pool is
bounded in bytes; a thread that would hand on more waits.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import pyarrow as pa

from cluster.nodes import Share
from cluster.steps import RowTask
from schemas.arrow import as_stored, to_table

Row = Any

_BLOCK_BYTES = 16 << 20
"""What a worker takes at once, and what waits for each worker: some pictures of a slide video, a batch of
pages. A single row may be larger."""

_BLOCK_ROWS = 16
_TASK_ROWS = 64
"""Rows that wait for a task; they hold plans, not pixels."""

_OUT_ROWS = 256
"""Finished rows that wait to be taken; they hold words."""

_TABLE_ROWS = 64
_LINGER_SECONDS = 0.25
"""Finished rows are taken together, and waited for so long: a table of one row costs 5 ms to make and to look
through, a table of 32 costs 0.4 ms for each."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Step:
    """A step of the pipeline, what waits for it and who works at it."""

    row_out: type
    task: RowTask[Any, Any] | None = None
    make: Callable[[], Callable[[list[Row]], list[Row]]] | None = None
    workers: int = 0
    room_bytes: int = 0
    work: str | None = None
    batch_rows: int | None = None
    waiting: deque[tuple[Row, int]] = field(default_factory=deque)
    waiting_bytes: int = 0
    active: int = 0

    def is_full(self) -> bool:
        """Tell whether those who hand on have to wait."""
        if self.task is not None:
            return len(self.waiting) >= _TASK_ROWS
        return self.waiting_bytes >= self.room_bytes and bool(self.waiting)

    def add(self, row: Row, size_bytes: int) -> None:
        """Let a row wait."""
        self.waiting.append((row, size_bytes))
        self.waiting_bytes += size_bytes

    def take(self) -> Row:
        """Take the row that has waited longest."""
        row, size_bytes = self.waiting.popleft()
        self.waiting_bytes -= size_bytes
        return row

    def has_work(self, row: Row) -> bool:
        """Tell whether a row does not pass this step by."""
        return self.work is None or bool(getattr(row, self.work))


class ThreadPipeline:
    """Steps that run in threads of this process; shares of a node mean nothing here."""

    def __init__(self, row: type, blocks: Sequence[Sequence[Row]], cores: int) -> None:
        """Prepare without starting anything.

        Args:
            row: The type of the rows that go in.
            blocks: The rows.
            cores: Threads that do tasks.
        """
        self._rows = [as_stored(row, item) for block in blocks for item in block]
        self._cores = cores
        self._steps: list[_Step] = []

    def tasks(self, task: RowTask[Any, Any], share: Share) -> "ThreadPipeline":  # noqa: ARG002
        """Append a task; every row is one of its own."""
        self._steps.append(_Step(task.row_out, task))
        return self

    def spread(self, share: Share) -> "ThreadPipeline":  # noqa: ARG002
        """Rows travel one by one already."""
        return self

    def actors(
        self,
        make: Callable[[], Callable[[list[Any]], list[Any]]],
        row_in: type,  # noqa: ARG002
        row_out: type,
        share: Share,  # noqa: ARG002
        *,
        workers: tuple[int, int],
        in_flight: int = 2,
        work: str | None = None,
        batch_rows: int | None = None,
    ) -> "ThreadPipeline":
        """Append workers that keep an operator; arguments as in `cluster.stage.add_actors`."""
        count = workers[0]
        # Where rows are handed out with care, none waits for a worker that is at work.
        room_bytes = _BLOCK_BYTES * count if in_flight > 1 else 1
        self._steps.append(_Step(row_out, None, make, count, room_bytes, work, batch_rows))
        return self

    def stream(self, fits: object = None) -> Iterator[pa.Table]:  # noqa: ARG002
        """Run it and yield tables of finished rows as they come.

        Raises:
            Exception: What a worker's operator could not be made for.
        """
        run = _Running(self._steps, self._rows, self._cores)
        row = self._steps[-1].row_out
        try:
            while rows := run.finished():
                yield to_table(row, rows)
        finally:
            run.stop()


class _Running:
    """Threads at work; all that they share is guarded by one lock, for rows are few."""

    def __init__(self, steps: Sequence[_Step], rows: Sequence[Row], cores: int) -> None:
        self._steps = steps
        self._source = iter(rows)
        self._exhausted = not rows
        self._out: deque[Row] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._error: BaseException | None = None
        for _ in range(cores):
            threading.Thread(target=self._do_tasks, name="task", daemon=True).start()
        for at, step in enumerate(steps):
            for _ in range(step.workers):
                threading.Thread(target=self._work, args=(at,), name=f"worker-{at}", daemon=True).start()

    def finished(self) -> list[Row]:
        """Wait for finished rows and take them; none are left when there are none.

        Raises:
            Exception: What ended the pipeline.
        """
        with self._changed:
            while not self._out and not self._is_over():
                self._changed.wait()
            until = time.monotonic() + _LINGER_SECONDS
            while self._out and len(self._out) < _TABLE_ROWS and not self._is_over():
                if not self._changed.wait(until - time.monotonic()):
                    break
                if time.monotonic() >= until:
                    break
            if self._error is not None:
                raise self._error
            rows = list(self._out)
            self._out.clear()
            self._changed.notify_all()
            return rows

    def _is_over(self) -> bool:
        """Tell whether there is nothing more to wait for."""
        return self._error is not None or self._ended_before(len(self._steps))

    def stop(self) -> None:
        """Let threads end with what they are at; nobody waits for them."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _ended_before(self, at: int) -> bool:
        """Tell whether nothing more will come to a step."""
        return self._exhausted and not any(step.waiting or step.active for step in self._steps[:at])

    def _do_tasks(self) -> None:
        made: dict[int, Callable[[Row], Any]] = {}
        while (picked := self._pick()) is not None:
            at, row = picked
            step = self._steps[at]
            try:
                assert step.task is not None
                if at not in made:
                    made[at] = step.task.make()
                for out in made[at](row):
                    if not self._hand_on(at + 1, as_stored(step.row_out, out)):
                        return
            except Exception:
                # As on a cluster: what does not come back is found missing, and tried once more.
                _log.exception("A row was lost in step %d", at)
            finally:
                self._leave(step)

    def _pick(self) -> tuple[int, Row] | None:
        """Wait for a row for a task, of the last step that has any and can hand on."""
        places = [at for at, step in enumerate(self._steps) if step.task is not None]
        with self._changed:
            while not self._stopped:
                for at in reversed(places):
                    if self._is_full(at + 1):
                        continue
                    if (row := self._next_row(at)) is not None:
                        self._steps[at].active += 1
                        return at, row
                if self._ended_before(places[-1] + 1):
                    return None
                self._changed.wait()
        return None

    def _next_row(self, at: int) -> Row | None:
        """Take a row for a step, of those that wait or, for the first step, of the source."""
        if self._steps[at].waiting:
            row = self._steps[at].take()
            self._changed.notify_all()
            return row
        if at or self._exhausted:
            return None
        row = next(self._source, None)
        if row is None:
            self._exhausted = True
            self._changed.notify_all()
        return row

    def _work(self, at: int) -> None:
        step = self._steps[at]
        assert step.make is not None
        try:
            operator = step.make()
        except BaseException as error:  # handed to the one that waits for rows
            with self._changed:
                self._error = error
                self._changed.notify_all()
            return
        while rows := self._take(at):
            try:
                done = operator(rows)
                if len(done) != len(rows):
                    msg = f"{type(operator).__name__} was given {len(rows)} rows and gave back {len(done)}"
                    raise RuntimeError(msg)
                for out in done:
                    if not self._hand_on(at + 1, as_stored(step.row_out, out)):
                        return
            except Exception:
                _log.exception("%d rows were lost in step %d", len(rows), at)
            finally:
                self._leave(step)

    def _take(self, at: int) -> list[Row]:
        """Wait for the rows of one call; none when there are no more."""
        step = self._steps[at]
        with self._changed:
            while not self._stopped:
                ended = self._ended_before(at)
                if len(step.waiting) >= (step.batch_rows or 1) or (step.waiting and ended):
                    rows: list[Row] = []
                    size_bytes = 0
                    most = step.batch_rows or self._fair(step)
                    while step.waiting and len(rows) < most and (not rows or size_bytes < _BLOCK_BYTES):
                        size_bytes += step.waiting[0][1] if step.batch_rows is None else 0
                        rows.append(step.take())
                    step.active += 1
                    self._changed.notify_all()
                    return rows
                if ended and not step.waiting:
                    return []
                self._changed.wait()
        return []

    def _fair(self, step: _Step) -> int:
        """Leave something for the other workers."""
        if step.room_bytes == 1:
            return 1
        return min(_BLOCK_ROWS, -(-len(step.waiting) // step.workers))

    def _hand_on(self, at: int, row: Row) -> bool:
        """Give a row to the next step that it does not pass by; False where nobody wants it any more."""
        while at < len(self._steps) and not self._steps[at].has_work(row):
            at += 1
        size_bytes = nbytes(row) if at < len(self._steps) and self._steps[at].make is not None else 0
        with self._changed:
            # One that does tasks must not wait for tasks to be done.
            while self._waits(at) and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return False
            if at == len(self._steps):
                self._out.append(row)
            else:
                self._steps[at].add(row, size_bytes)
            self._changed.notify_all()
        return True

    def _waits(self, at: int) -> bool:
        return self._is_full(at) and (at == len(self._steps) or self._steps[at].task is None)

    def _is_full(self, at: int) -> bool:
        if at == len(self._steps):
            return len(self._out) >= _OUT_ROWS
        return self._steps[at].is_full()

    def _leave(self, step: _Step) -> None:
        with self._changed:
            step.active -= 1
            self._changed.notify_all()


def nbytes(row: Row) -> int:
    """Count the bytes of pixels and samples that a row holds: byte strings in its lists of rows."""
    total = 0
    for column in fields(row):
        value = getattr(row, column.name)
        if isinstance(value, bytes):
            total += len(value)
        elif isinstance(value, list) and value and is_dataclass(value[0]):
            total += sum(_own_bytes(item) for item in value)
    return total


def _own_bytes(item: Any) -> int:
    values = (getattr(item, column.name) for column in fields(item))
    return sum(len(value) for value in values if isinstance(value, bytes))
