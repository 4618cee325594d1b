"""Where operators meet Ray Data, and the only place.

An operator takes and gives typed rows and knows nothing of Ray. A stage turns it into a Ray
Data call: Arrow tables in and out, the operator's share of the cluster, and what happens when
a worker dies. Ray itself would retry a crashing row without end (measured with 2.60), so each
task gets one more attempt, an actor is restarted but its task is not, and what is lost is
found by comparing what was handed out with what came back.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from schemas.arrow import from_table, to_table

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class RowTask(Generic[In, Out]):
    """A stage of tasks: the operator is made where it runs and called for each row."""

    make: Callable[[], Callable[[In], Iterable[Out]]]
    row_in: type[In]
    row_out: type[Out]

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Stream one small table for each row that comes out; Ray cuts blocks of them."""
        operator = self.make()
        for row in from_table(self.row_in, table):
            for out in operator(row):
                yield to_table(self.row_out, [out])


class BatchActor(Generic[In, Out]):
    """A stage of actors: the operator is made once for each and called for each batch."""

    def __init__(
        self, make: Callable[[], Callable[[list[In]], list[Out]]], row_in: type[In], row_out: type[Out]
    ) -> None:
        """Make the operator: models are loaded here."""
        self.operator = make()
        self.row_in = row_in
        self.row_out = row_out

    def __call__(self, table: pa.Table) -> pa.Table:
        """Give back exactly one row for each row of the batch.

        Raises:
            RuntimeError: The operator lost or doubled a row.
        """
        rows = self.operator(from_table(self.row_in, table))
        if len(rows) != table.num_rows:
            msg = f"{type(self.operator).__name__} was given {table.num_rows} rows and gave back {len(rows)}"
            raise RuntimeError(msg)
        return to_table(self.row_out, rows)


def _map_batches(dataset: Dataset, operator: Any, **arguments: Any) -> Dataset:
    """Call `Dataset.map_batches` on whole blocks of Arrow.

    Ray 2.60 deprecates passing retries and restarts here, for removal in 2.64, and has no other
    place for them yet; without them it retries without end. `pyproject.toml` holds Ray below.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        return dataset.map_batches(operator, batch_format="pyarrow", batch_size=None, **arguments)


def add_tasks(dataset: Dataset, task: RowTask[Any, Any], *, cpus: float) -> Dataset:
    """Append a stage of tasks."""
    return _map_batches(dataset, task, num_cpus=cpus, max_retries=1)


def add_actors(
    dataset: Dataset,
    make: Callable[[], Callable[[list[Any]], list[Any]]],
    row_in: type,
    row_out: type,
    *,
    workers: int,
    cpus: float,
    gpus: float = 0.0,
    in_flight: int = 2,
) -> Dataset:
    """Append a stage of actors; all start at once, while what comes before already works.

    Args:
        dataset: What to append to.
        make: Makes the operator, once for each actor.
        row_in: Its row type.
        row_out: The row type it gives back.
        workers: How many actors.
        cpus: Cores of each.
        gpus: GPUs of each.
        in_flight: Blocks an actor holds. With two it never waits for the next; but when it dies,
            both are lost. With one, what kills it is alone.
    """
    return _map_batches(
        dataset,
        BatchActor,
        fn_constructor_args=(make, row_in, row_out),
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=in_flight),
        num_cpus=cpus,
        num_gpus=gpus or None,
        udf_modifying_row_count=False,
        max_restarts=-1,
        max_task_retries=0,
    )


def fan_out(dataset: Dataset) -> Dataset:
    """Make every row a block of its own, so that the rows of one asset spread over all cores.

    Ray Data runs one task for each block; without this, the spans of one long video, planned
    by one task, would also be decoded by one.
    """
    return dataset.repartition(target_num_rows_per_block=1)
