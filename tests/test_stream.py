"""On several nodes: work goes where its share is, and on when a node dies."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.small_cluster import READERS, ROWS

pytestmark = pytest.mark.timeout(600)
"""Of which most is waiting for three nodes to start."""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What the program with the small cluster found."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.small_cluster"],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_work_goes_where_its_share_is(said: dict[str, Any]) -> None:
    """Tasks with a licence and workers on half an L4 run on the one node with both, two on each GPU."""
    assert sorted(row[0] for row in said["placed"]) == list(range(ROWS))
    workers: dict[str, set[str]] = defaultdict(set)
    for _, task_node, worker, worker_node, gpu in said["placed"]:
        assert task_node == worker_node == said["special"]
        workers[gpu].add(worker)
    assert set(workers) <= {"0", "1"}
    assert all(len(sharing) <= 2 for sharing in workers.values())
    assert 2 <= sum(len(sharing) for sharing in workers.values()) <= READERS


def test_a_node_that_dies_takes_no_row_with_it(said: dict[str, Any]) -> None:
    """Two workers on nodes of one core: on one node alone they would leave no core to any task, for ever."""
    rounds = said["rounds"]
    came = [row for one in rounds for row in one["came"]]
    assert sorted(came) == list(range(ROWS))
    assert rounds[0]["workers"] == 2
    assert rounds[-1]["workers"] == 1, "on the node that is left there is room for one"
