"""Where operators meet Ray Data, and the only place.

A stage turns a step into a Ray Data call: the operator's share of the cluster, and what happens when a
worker dies. Ray itself would retry a crashing row without end (measured with 2.60), so each
task gets one more attempt, an actor is restarted but its task is not, and what is lost is
found by comparing what was handed out with what came back.
"""

import warnings
from collections.abc import Callable
from typing import Any

from ray.data import ActorPoolStrategy, Dataset

from cluster.nodes import Share
from cluster.steps import BatchActor, RowTask


def _map_batches(dataset: Dataset, operator: Any, share: Share, **arguments: Any) -> Dataset:
    """Call `Dataset.map_batches` on Arrow.

    Ray 2.60 deprecates passing retries and restarts here, for removal in 2.64, and has no other
    place for them yet; without them it retries without end. `pyproject.toml` holds Ray below.
    """
    wanted = share.remote_args()
    gpus = wanted.pop("num_gpus", None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        mapped = dataset.map_batches(operator, batch_format="pyarrow", **wanted, **arguments)
    if gpus:
        # Where a GPU is asked for, Ray wants to be told a number of rows, and gathers blocks until it has
        # them; operators batch for themselves and take blocks as they come. So it is set in the plan.
        planned: Any = mapped._logical_plan.dag
        planned.ray_remote_args.update(num_gpus=gpus)
    return mapped


def add_tasks(dataset: Dataset, task: RowTask[Any, Any], share: Share) -> Dataset:
    """Append a stage of tasks, each of which takes a share of a node."""
    return _map_batches(dataset, task, share, batch_size=None, max_retries=1)


def add_actors(
    dataset: Dataset,
    make: Callable[[], Callable[[list[Any]], list[Any]]],
    row_in: type,
    row_out: type,
    share: Share,
    *,
    workers: tuple[int, int],
    in_flight: int = 2,
    work: str | None = None,
    batch_rows: int | None = None,
) -> Dataset:
    """Append a stage of actors; they start at once, while what comes before already works.

    Args:
        dataset: What to append to.
        make: Makes the operator, once for each actor.
        row_in: Its row type.
        row_out: The row type it gives back.
        share: What each actor takes of a node.
        workers: How many actors there are at first, and at most.
        in_flight: Blocks an actor holds. With two it never waits for the next; but when it dies,
            both are lost. With one, what kills it is alone.
        work: A list column; rows in which it is empty pass the operator by.
        batch_rows: Rows an operator is given at once, gathered from several blocks; null gives it
            blocks as they come.
    """
    return _map_batches(
        dataset,
        BatchActor,
        share,
        batch_size=batch_rows,
        fn_constructor_args=(make, row_in, row_out, work),
        compute=ActorPoolStrategy(
            min_size=workers[0],
            max_size=workers[1],
            initial_size=workers[0],
            max_tasks_in_flight_per_actor=in_flight,
        ),
        udf_modifying_row_count=False,
        max_restarts=-1,
        max_task_retries=0,
    )


def fan_out(dataset: Dataset, share: Share) -> Dataset:
    """Make every row a block of its own, so that the rows of one asset spread over all cores.

    Ray Data runs one task for each block; without this, the spans of one long video, planned
    by one task, would also be decoded by one. Ray 2.60 takes a whole core for a task of this stage
    and has no argument for it: where actors hold more than all cores but one, nothing would ever
    move again. So its share is set in the plan. Its retries differ from those of other stages,
    because Ray fuses stages of equal arguments, and rows that are fused with what follows do not spread.

    Args:
        dataset: What to append to.
        share: What each task takes of a node.
    """
    spread = dataset.repartition(target_num_rows_per_block=1)
    operator: Any = spread._logical_plan.dag
    operator.ray_remote_args.update(share.remote_args(), max_retries=2)
    return spread
