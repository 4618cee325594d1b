"""How long something took, on the wall and of all processors that worked for it.

Decoders, recognisers and models work in child processes, whose CPU time no clock of this process tells.
Each child says how much it has used with everything it gives back, and what is left is counted when it
has ended; a stopwatch adds what children of its thread used to what the thread used itself.
"""

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """Time that something took."""

    seconds: float = 0.0
    """On the wall, or a share of it."""
    cpu_seconds: float = 0.0
    started_at: float = 0.0
    """In seconds since 1970; 0 where it is not known."""
    ended_at: float = 0.0
    fetched_bytes: int = 0
    """From object stores."""

    def __add__(self, other: "Spent") -> "Spent":
        """Add work on the same thing; it began with the first and ended with the last."""
        starts = [at for at in (self.started_at, other.started_at) if at]
        return Spent(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            min(starts, default=0.0),
            max(self.ended_at, other.ended_at),
            self.fetched_bytes + other.fetched_bytes,
        )

    def share(self, count: int) -> "Spent":
        """Return what falls to each of so many that were worked on together, from beginning to end.

        Nothing is fetched in batches.
        """
        return Spent(self.seconds / count, self.cpu_seconds / count, self.started_at, self.ended_at)


def total(parts: "list[Spent]") -> Spent:
    """Add up; nothing took no time."""
    return sum(parts, Spent())


class _Children(threading.local):
    """What child processes have used that worked for this thread."""

    cpu_seconds = 0.0
    fetched_bytes = 0


_CHILDREN = _Children()
_FETCHED = 0
_LOCK = threading.Lock()


def note_child(cpu_seconds: float, fetched_bytes: int = 0) -> None:
    """Count what a child process has used for this thread's stopwatches."""
    _CHILDREN.cpu_seconds += max(0.0, cpu_seconds)
    _CHILDREN.fetched_bytes += fetched_bytes


def note_fetched(size_bytes: int) -> None:
    """Count bytes that this process got from an object store, in whichever thread."""
    global _FETCHED
    with _LOCK:
        _FETCHED += size_bytes


def fetched_bytes() -> int:
    """Return the bytes that this process got from object stores so far."""
    return _FETCHED


class Stopwatch:
    """Runs from its making on; for one thread."""

    def __init__(self) -> None:
        """Start."""
        self.restart()

    def restart(self) -> None:
        """Start anew."""
        self._started_at = time.time()
        self._wall, self._cpu = time.perf_counter(), self._cpu_seconds()
        self._fetched = self._fetched_bytes()

    def read(self) -> Spent:
        """Say what has been spent since the start."""
        seconds = time.perf_counter() - self._wall
        cpu_seconds = max(0.0, self._cpu_seconds() - self._cpu)
        fetched = self._fetched_bytes() - self._fetched
        return Spent(seconds, cpu_seconds, self._started_at, self._started_at + seconds, fetched)

    @staticmethod
    def _cpu_seconds() -> float:
        return time.thread_time() + _CHILDREN.cpu_seconds

    @staticmethod
    def _fetched_bytes() -> int:
        return fetched_bytes() + _CHILDREN.fetched_bytes
