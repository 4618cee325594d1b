"""A program with a cluster of its own: a head without cores and two nodes, of which it loses one.

Run by a test, because the tests' own cluster has one node. Prints as JSON where workers and tasks ran, and
what came out of each round while a node died.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

import ray
from ray.cluster_utils import Cluster

import cluster.stream
from cluster.nodes import Node, Share, cluster_nodes, place
from cluster.session import session
from cluster.stage import add_actors, add_tasks
from cluster.steps import RowTask
from cluster.stream import stream
from schemas.arrow import from_table, to_table
from schemas.config import Config

TASK, WORKER = Share(0.4), Share(0.5)
ROWS = 24
LICENSED = Share(0.1, custom={"licence": 0.5})
ON_GPU = Share(0.2, gpus=0.5, accelerator="L4")
READERS = 4


@dataclass(frozen=True, slots=True)
class Number:
    """A row, and where it was."""

    value: int
    task_node: str = ""
    worker: str = ""
    worker_node: str = ""
    gpu: str = ""


def here() -> str:
    """Name this node."""
    return str(ray.get_runtime_context().get_node_id())


def slow(row: Number) -> Iterator[Number]:
    """Take a moment."""
    time.sleep(0.2)
    yield Number(row.value, task_node=here())


def make_slow() -> Callable[[Number], Iterator[Number]]:
    """Make the operator."""
    return slow


class Keep:
    """An operator on an actor."""

    def __call__(self, rows: list[Number]) -> list[Number]:
        """Give each row back."""
        time.sleep(0.2)
        context = ray.get_runtime_context()
        gpus = ",".join(context.get_accelerator_ids().get("GPU", []))
        return [Number(row.value, row.task_node, str(context.get_actor_id()), here(), gpus) for row in rows]


def pipeline(values: set[int], task: Share, worker: Share, workers: int) -> ray.data.Dataset:
    """Rows through a stage of tasks and one of actors."""
    dataset: ray.data.Dataset = ray.data.from_arrow([to_table(Number, [Number(value)]) for value in values])
    dataset = add_tasks(dataset, RowTask(make_slow, Number, Number), task)
    return add_actors(dataset, Keep, Number, Number, worker, workers=(workers, workers), in_flight=1)


def placed() -> list[Number]:
    """Run what wants a licence and an L4."""
    dataset = pipeline(set(range(ROWS)), LICENSED, ON_GPU, READERS)
    return [row for table in stream(dataset, lambda _: True) for row in from_table(Number, table)]


def room_for(count: int) -> bool:
    """Tell whether so many workers and a task fit the nodes that live."""
    left = place(cluster_nodes(), WORKER, count)
    return left is not None and place(left, TASK, 1) is not None


def fits(count: int, _: Sequence[Node]) -> bool:
    """Tell the same as the pipeline asks for it."""
    return room_for(count)


def shrunk(kill: Callable[[], Any]) -> list[dict[str, Any]]:
    """Lose a node after the third row, and go on with what is left."""
    cluster.stream._LOOK_SECONDS, cluster.stream._GRACE_SECONDS = 0.5, 2.0
    todo = set(range(ROWS))
    rounds: list[dict[str, Any]] = []
    while todo and len(rounds) < 4:
        workers = 2 if room_for(2) else 1
        came: list[int] = []
        for table in stream(pipeline(todo, TASK, WORKER, workers), partial(fits, workers)):
            came += [row.value for row in from_table(Number, table)]
            if not rounds and len(came) == 3:
                threading.Thread(target=kill, daemon=True).start()
        rounds.append({"workers": workers, "came": came})
        todo -= set(came)
    return rounds


def main() -> None:
    """Start the nodes, run both, and leave without a clean-up that would wait for the dead."""
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    special = nodes.add_node(num_cpus=1, num_gpus=2, resources={"licence": 1, "accelerator_type:L4": 1})
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    with session(Config()):
        rows = placed()
        rounds = shrunk(partial(nodes.remove_node, special, allow_graceful=False))
    places = [[row.value, row.task_node, row.worker, row.worker_node, row.gpu] for row in rows]
    said = {"special": special.node_id, "placed": places, "rounds": rounds}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
