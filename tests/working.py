"""Functions that use a known amount of CPU time, for child processes: importing them costs none."""

import os
import signal
import time
from collections.abc import Iterator


def work(items: int, cpu_seconds: float) -> Iterator[int]:
    """Give items of the same cost."""
    for item in range(items):
        _burn(cpu_seconds)
        yield item


def work_and_die(cpu_seconds: float) -> Iterator[int]:
    """Work, and die before anything could be told."""
    _burn(cpu_seconds)
    os.kill(os.getpid(), signal.SIGKILL)
    yield 0


def _burn(cpu_seconds: float) -> None:
    until = time.process_time() + cpu_seconds
    while time.process_time() < until:
        pass
