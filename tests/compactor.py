"""A process that compacts a lake and is killed on the way: `python -m tests.compactor LAKE STEP`.

It counts what changes the lake: opening and closing of files, commits, the views, deletions. At
step number STEP it kills itself, without a word to anybody; it prints the number of steps when it
survives.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from jobs.compact import run_compact
from operators import compact
from operators.lake import Lake

_steps = 0


def deadly(function: Callable[..., Any], last: int) -> Callable[..., Any]:
    """Make a function that may be the last thing done, before or after it has worked."""

    def step() -> None:
        global _steps
        _steps += 1
        if _steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def call(*args: Any, **options: Any) -> Any:
        step()
        result = function(*args, **options)
        step()
        return result

    return call


def main(uri: str, last: int) -> None:
    """Compact, and die at a step."""
    for owner, name in (
        (compact._Writer, "close"),
        (compact, "_replace"),
        (Lake, "write_views"),
        (compact, "_vacuum"),
    ):
        setattr(owner, name, deadly(getattr(owner, name), last))
    run_compact(uri, retention_hours=0)
    print(_steps)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
