"""A program: two nodes of one core, each with a worker; one node is killed, and all rows come out.

Run by a test in a process of its own, because it has a cluster of its own. Prints each round's rows as JSON.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

import ray
from ray.cluster_utils import Cluster

import cluster.stream
from cluster.nodes import Share, cluster_nodes, place
from cluster.session import session
from cluster.stage import RowTask, add_actors, add_tasks
from cluster.stream import stream
from schemas.arrow import from_table, to_table
from schemas.config import Config
from tests.test_stage import Number

TASK, WORKER = Share(0.4), Share(0.5)
ROWS = 24


def slow(row: Number) -> Iterator[Number]:
    """Take a moment."""
    time.sleep(0.2)
    yield row


def make_slow() -> Callable[[Number], Iterator[Number]]:
    """Make the operator."""
    return slow


class Keep:
    """An operator on an actor."""

    def __call__(self, rows: list[Number]) -> list[Number]:
        """Give each row back."""
        time.sleep(0.2)
        return rows


def room_for(count: int) -> bool:
    """Tell whether so many workers and a task fit the nodes that live."""
    left = place(cluster_nodes(), WORKER, count)
    return left is not None and place(left, TASK, 1) is not None


def main() -> None:
    """Lose a node after the third row, and go on with what is left."""
    cluster.stream._LOOK_SECONDS, cluster.stream._GRACE_SECONDS = 0.5, 2.0
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    doomed = [nodes.add_node(num_cpus=1) for _ in range(2)][-1]
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    todo, rounds = set(range(ROWS)), []
    with session(Config()):
        while todo and len(rounds) < 4:
            workers = 2 if room_for(2) else 1
            dataset: ray.data.Dataset = ray.data.from_arrow([to_table(Number, [Number(at)]) for at in todo])
            dataset = add_tasks(dataset, RowTask(make_slow, Number, Number), TASK)
            dataset = add_actors(dataset, Keep, Number, Number, WORKER, workers=(workers, workers))
            came = []
            for table in stream(dataset, lambda _, count=workers: room_for(count)):
                came += [row.value for row in from_table(Number, table)]
                if not rounds and len(came) == 3:
                    kill = partial(nodes.remove_node, doomed, allow_graceful=False)
                    threading.Thread(target=kill, daemon=True).start()
            rounds.append({"workers": workers, "came": came})
            todo -= set(came)
    sys.stdout.write(json.dumps(rounds) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the cluster is broken on purpose; its clean-up would wait for the dead


if __name__ == "__main__":
    main()
