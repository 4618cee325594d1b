"""A pipeline goes on when nodes die, with as many workers as the others can hold."""

import json
import subprocess
import sys
from pathlib import Path

from tests.shrinking_cluster import ROWS


def test_a_node_that_dies_takes_no_row_with_it() -> None:
    """Two workers on nodes of one core: on one node alone they would leave no core to any task, for ever."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.shrinking_cluster"],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rounds = json.loads(done.stdout.splitlines()[-1])
    came = [row for one in rounds for row in one["came"]]
    assert sorted(came) == list(range(ROWS))
    assert rounds[0]["workers"] == 2
    assert rounds[-1]["workers"] == 1, "on the node that is left there is room for one"
