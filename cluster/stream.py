"""Rows come out of a pipeline for as long as the cluster can hold it.

Ray Data starts the workers of a node that dies again on the nodes that are left. Where these have no room,
the workers take the cores that tasks would need as soon as one is free, and then nothing ever moves again
(seen with 2.60: two nodes of one core, each with one worker of 0.5 and tasks of 0.4, one of them killed).
So the nodes are watched: when what is held no longer fits those that live, and no other comes in time, the
pipeline is ended. What has not come out of it is found missing and handed out again, to as many workers as
there is room for then.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from ray.data import Dataset

from cluster.nodes import Node, cluster_nodes

_LOOK_SECONDS = 2.0
_GRACE_SECONDS = 10.0
"""For another node that is starting already; one that has to be made takes minutes."""

_log = logging.getLogger(__name__)


def stream(dataset: Dataset, fits: Callable[[Sequence[Node]], bool]) -> Iterator[pa.Table]:
    """Yield tables as they come; end early where nodes died and the others cannot hold the pipeline.

    Args:
        dataset: The pipeline.
        fits: Tells whether its workers and a task find room on nodes.
    """
    executors: list[Any] = []
    create = dataset._create_executor

    def created() -> Any:
        executors.append(create())
        return executors[-1]

    # Ray names no other way to the one that runs before its first row is there.
    dataset._create_executor = created  # type: ignore[method-assign]
    done, ended = threading.Event(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(fits, executors, done, ended), name="nodes", daemon=True)
    watcher.start()
    try:
        yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)
    except Exception:
        if not ended.is_set():
            raise
    finally:
        done.set()


def _watch(
    fits: Callable[[Sequence[Node]], bool],
    executors: Sequence[Any],
    done: threading.Event,
    ended: threading.Event,
) -> None:
    """End a pipeline that has no room for long enough."""
    wanting_seconds = 0.0
    while not done.wait(_LOOK_SECONDS):
        try:
            nodes = cluster_nodes()
        except Exception as error:  # by whatever Ray says so; a cluster that is gone is noticed by others
            _log.debug("The nodes cannot be listed: %s", error)
            continue
        wanting_seconds = 0.0 if fits(nodes) else wanting_seconds + _LOOK_SECONDS
        if wanting_seconds >= _GRACE_SECONDS:
            _log.warning("Nodes have died, and the %d that are left cannot hold what runs.", len(nodes))
            ended.set()
            for executor in executors:
                executor.shutdown(force=True)
            return
