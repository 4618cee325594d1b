"""This machine as the whole cluster, for a run that needs no other.

What a process may use of a machine is less than the machine has where it runs in a container, so cores and
memory are those of its control group.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.nodes import Node

_GROUP = Path("/sys/fs/cgroup")
"""Of this process, where version 2 of control groups is mounted and has a name space of its own."""

_node: Node | None = None


def node_here() -> Node | None:
    """Return this machine while a run has it for its cluster; None where Ray is asked."""
    return _node


@contextmanager
def only_here(cores: int) -> Iterator[None]:
    """Let this machine be the whole cluster.

    Args:
        cores: How many of its cores to use.
    """
    global _node
    before, _node = _node, Node({"CPU": float(cores), "memory": float(memory_bytes())})
    try:
        yield
    finally:
        _node = before


def cores_here() -> int:
    """Count the cores that this process may use, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _limit("cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        allowed = min(allowed, -(-int(quota) // int(period)))
    return max(1, allowed)


def memory_bytes() -> int:
    """Return the memory that this process may use."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _limit("memory.max")
    return min(there, int(limit)) if limit.isdecimal() else there


def _limit(name: str) -> str:
    """Read a limit of the control group; nothing where there is none."""
    try:
        return (_GROUP / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""
