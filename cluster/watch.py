"""A pipeline that stands still is noticed, and so is a cluster that is gone.

Ray Data waits for ever for an actor that never comes back, and its own guard fails the whole
dataset after half an hour. When a node's raylet dies, Ray ends the driver's process some twenty
seconds later without a word (measured with 2.60). So rows are taken by a thread, and the one
that waits for them looks about each second: has anything come, is the cluster still there,
may the run go on.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from cluster.gone import ClusterGone
from cluster.here import node_here

Item = TypeVar("Item")

_LOOK_SECONDS = 1.0
_END = object()


class Stalled(ClusterGone):
    """Nothing has come out of the pipeline for too long."""


class ClusterLost(ClusterGone):
    """A process that the cluster cannot do without has died."""


def watched(items: Iterator[Item], stall_seconds: float, look: Callable[[], None]) -> Iterator[Item]:
    """Yield items as they come.

    Args:
        items: The pipeline; it is read in a thread of its own, and closed by it.
        stall_seconds: With no item for so long, it is stuck.
        look: Called about each second; what it raises ends the waiting.

    Raises:
        Stalled: No item came in time.
        ClusterLost: A process of a cluster that was started here has died.
        Exception: What the pipeline or `look` raised.
    """
    waiting: queue.Queue[object] = queue.Queue(maxsize=2)
    stop = threading.Event()
    reader = threading.Thread(target=_read, args=(items, waiting, stop), name="pipeline", daemon=True)
    reader.start()
    came_at = time.monotonic()
    try:
        while True:
            try:
                item = waiting.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                _check(time.monotonic() - came_at, stall_seconds)
                look()
                continue
            if item is _END:
                return
            if isinstance(item, _Raised):
                # What Ray raises when a node dies says less than that it has died.
                _check(0.0, stall_seconds)
                raise item.error
            look()
            yield item  # type: ignore[misc]  # what the thread puts is an item, an error or the end
            came_at = time.monotonic()
    finally:
        stop.set()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _read(items: Iterator[Item], waiting: "queue.Queue[object]", stop: threading.Event) -> None:
    """Take items until there are no more or nobody wants them."""
    last: object = _END
    try:
        for item in items:
            if not _offer(item, waiting, stop):
                return
    except BaseException as error:  # handed to the one that waits
        last = _Raised(error)
    _offer(last, waiting, stop)


def _offer(item: object, waiting: "queue.Queue[object]", stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            waiting.put(item, timeout=_LOOK_SECONDS)
        except queue.Full:
            continue
        return True
    return False


def _check(quiet_seconds: float, stall_seconds: float) -> None:
    if dead := _dead_processes():
        msg = f"Ray's {' and '.join(dead)} died."
        raise ClusterLost(msg)
    if quiet_seconds > stall_seconds:
        msg = f"Nothing came out of the pipeline for {quiet_seconds:.0f} s (run.stall_seconds)."
        raise Stalled(msg)


def _dead_processes() -> list[str]:
    if node_here() is not None:
        return []
    from cluster.session import dead_processes  # imports Ray

    return dead_processes()
