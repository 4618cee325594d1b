"""Operators on Ray: every row comes back, and a dying worker costs its own row alone."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
import ray.data
from hypothesis import given
from hypothesis import strategies as st

from cluster.nodes import Share
from cluster.session import session
from cluster.stage import add_actors, add_tasks, fan_out
from cluster.steps import BatchActor, RowTask
from schemas.arrow import from_table, to_table
from schemas.config import Config


@dataclass(frozen=True, slots=True)
class Number:
    """A row."""

    value: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A row that says where it was worked on."""

    value: int
    worker: int


def spread(row: Number) -> Iterator[Number]:
    """Give ten rows for one."""
    yield from (Number(row.value * 10 + digit) for digit in range(10))


def look(poison: int, row: Number) -> Iterator[Seen]:
    """Say who worked; die of one row, as a native library would."""
    if row.value == poison:
        os.kill(os.getpid(), signal.SIGSEGV)
    yield Seen(row.value, os.getpid())


def make_spread() -> Callable[[Number], Iterator[Number]]:
    """Make the operator."""
    return spread


def make_look(poison: int) -> Callable[[Number], Iterator[Seen]]:
    """Make the operator."""
    return partial(look, poison)


class Mark:
    """An operator on an actor; dies of one row, loses another."""

    def __init__(self, poison: int) -> None:
        """Load."""
        self.poison = poison

    def __call__(self, rows: list[Seen]) -> list[Seen]:
        """Give each row back."""
        if any(row.value == self.poison for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        return [Seen(row.value, os.getpid()) for row in rows]


def run_chain(task_poison: int, actor_poison: int, workers: tuple[int, int] = (2, 2)) -> list[Seen]:
    """Two numbers through a fan-out, a task stage and an actor stage."""
    dataset: ray.data.Dataset = ray.data.from_arrow([to_table(Number, [Number(value)]) for value in (1, 2)])
    dataset = add_tasks(dataset, RowTask(make_spread, Number, Number), Share(0.25))
    dataset = fan_out(dataset, Share(0.25))
    dataset = add_tasks(dataset, RowTask(partial(make_look, task_poison), Number, Seen), Share(0.25))
    dataset = add_actors(
        dataset, partial(Mark, actor_poison), Seen, Seen, Share(0.5), workers=workers, in_flight=1
    )
    tables = dataset.iter_batches(batch_format="pyarrow", batch_size=None)
    return [row for table in tables for row in from_table(Seen, table)]


def test_every_row_comes_back_once(ray_cluster: None) -> None:
    """Rows fan out of two tasks and are all there at the end, from a fixed pool and from one that grows."""
    with session(Config()):
        rows, grown = run_chain(-1, -1), run_chain(-1, -1, workers=(1, 2))

    assert sorted(row.value for row in rows) == list(range(10, 30))
    assert sorted(row.value for row in grown) == list(range(10, 30))


def test_crashing_rows_cost_themselves_alone(ray_cluster: None) -> None:
    """A task that segfaults and an actor that is killed lose their rows; the run ends by itself.

    With two blocks in flight the actor's second is lost too; the careful way holds one.
    """
    with session(Config()):
        values = {row.value for row in run_chain(13, 27)}

    assert values == set(range(10, 30)) - {13, 27}


@dataclass(frozen=True, slots=True)
class Bag:
    """A row with and without work."""

    name: int
    items: list[int]


@given(st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=9))
def test_rows_without_work_pass_an_operator_by(work: list[list[int]]) -> None:
    """Only rows with something in the named column reach the operator; all come back in their order."""
    seen: list[int] = []

    def empty(rows: list[Bag]) -> list[Bag]:
        seen.extend(row.name for row in rows)
        return [Bag(row.name, []) for row in rows]

    rows = [Bag(name, items) for name, items in enumerate(work)]
    table = BatchActor(lambda: empty, Bag, Bag, "items")(to_table(Bag, rows))

    assert [row.name for row in from_table(Bag, table)] == list(range(len(work)))
    assert seen == [row.name for row in rows if row.items]
    assert all(not row.items for row in from_table(Bag, table))


def test_batch_that_loses_a_row_is_refused() -> None:
    """An operator that gives back fewer rows than it was given is found at once."""
    actor = BatchActor(lambda: lambda rows: rows[1:], Number, Number)

    with pytest.raises(RuntimeError, match="was given 2 rows and gave back 1"):
        actor(to_table(Number, [Number(1), Number(2)]))
