"""What every benchmark needs: honest seconds, the machine they belong to, a table, and JSON.

Wall seconds of one machine say little about another; CPU seconds and ratios measured by turns say
more. CPU seconds are those of this process and of everything it started: Ray's workers are no
children of the driver, some are never waited for, and `getrusage` leaves those out. So the tree
of processes is watched while work goes on, and what ended in between counts as last seen.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.2
"""Between two looks at the tree of processes; the most that is missed of one that ends."""

_PACKAGES = ("ray", "av", "rapidocr", "onnxruntime", "pyarrow", "deltalake", "duckdb", "daft")


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """What some work took, and what it gave."""

    wall_seconds: float
    cpu_seconds: float
    """User and system time of this process and of all that descend from it."""
    result: T


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of the same thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Show the median, and the smallest and largest where there are several."""
        if len(self.values) == 1:
            return f"{self.median:.2f}"
        return f"{self.median:.2f} ({min(self.values):.2f} to {max(self.values):.2f})"


def timed(work: Callable[[], T]) -> Timed[T]:
    """Do some work once and say what it took."""
    with _Tree() as tree:
        started = time.perf_counter()
        result = work()
        wall = time.perf_counter() - started
    return Timed(wall, tree.cpu_seconds, result)


def timed_command(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)
) -> Timed[str]:
    """Run a command to its end, start-up and all; gives its standard output.

    Args:
        command: The program and its arguments.
        env: Set beside the environment of this process.
        codes: Exit codes that are right.

    Raises:
        RuntimeError: It ended with another exit code; the message ends with what it said last.
    """
    around = {**os.environ, **(env or {})}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=around, capture_output=True, text=True, check=False)  # noqa: S603

    done = timed(run)
    if done.result.returncode not in codes:
        said = (done.result.stderr or done.result.stdout)[-2000:]
        msg = f"Wanted exit code {codes} of {' '.join(command)}; found {done.result.returncode}: {said}"
        raise RuntimeError(msg)
    return Timed(done.wall_seconds, done.cpu_seconds, done.result.stdout)


def by_turns(works: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[Timed[T]]]:
    """Do several works by turns, each `rounds` times, so that a busy minute meets all of them."""
    found: dict[str, list[Timed[T]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(timed(work))
    return found


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Divide what was measured in the same turn."""
    return Spread(tuple(one / other for one, other in zip(above, below, strict=True)))


def machine() -> dict[str, str]:
    """Describe where figures come from: processor, memory, system, and versions that matter."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = {
        "processor": f"{cores} cores, {_processor()}",
        "memory": f"{gigabytes:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Lay rows out in columns as Markdown; numbers to the right."""
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_shown(row.get(name)) for name in names] for row in rows]
    right = [all(not isinstance(row.get(name), str) for row in rows) for name in names]
    widths = [max(len(line[column]) for line in [names, *cells]) for column in range(len(names))]

    def lay(line: Sequence[str]) -> str:
        parts = (
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, right, strict=True)
        )
        return f"| {' | '.join(parts)} |"

    rule = [
        f"{'-' * (width - 1)}:" if number else "-" * width
        for width, number in zip(widths, right, strict=True)
    ]
    return "\n".join([lay(names), f"| {' | '.join(rule)} |", *map(lay, cells)])


def publish(
    title: str,
    rows: Sequence[Mapping[str, object]],
    path: Path | None = None,
    notes: Sequence[str] = (),
    **more: object,
) -> None:
    """Print a table with its title, the machine and notes; write the same as JSON.

    Args:
        title: What was measured.
        rows: One for each thing measured; values are text, numbers or `Spread`.
        path: Where the JSON goes, if anywhere.
        notes: What a reader must know to understand the figures.
        more: Further figures, for the JSON alone.
    """
    where = machine()
    described = ", ".join(value if key == "processor" else f"{key} {value}" for key, value in where.items())
    lines = [f"\n## {title}", "", table(rows), "", *notes, f"Machine: {described}", ""]
    sys.stdout.write("\n".join(lines))
    sys.stdout.flush()
    if path is not None:
        plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
        kept = {"title": title, "machine": where, "rows": plain, "notes": list(notes), **more}
        path.write_text(json.dumps(kept, indent=2, default=_plain, ensure_ascii=False), encoding="utf-8")


class _Tree:
    """Adds up the CPU seconds of a process and its descendants while it is open."""

    def __enter__(self) -> "_Tree":
        self._last: dict[tuple[int, str], float] = {}
        self._first: dict[tuple[int, str], float] = {}
        self._ended = threading.Event()
        self._own = _own_seconds()
        self._look(first=True)
        self._thread = threading.Thread(target=self._watch, name="cpu-seconds", daemon=True)
        self._thread.start()
        self.cpu_seconds = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        own = _own_seconds() - self._own
        if not self._last and not self._first:  # no /proc, or nothing was ever seen to run beside us
            self.cpu_seconds = own + _waited_for() - self._waited
            return
        others = sum(last - self._first.get(key, 0.0) for key, last in self._last.items())
        # Children that came and went between two looks are in what was waited for; take what is more.
        self.cpu_seconds = own + max(others, _waited_for() - self._waited)

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._look()

    def _look(self, *, first: bool = False) -> None:
        if first:
            self._waited = _waited_for()
        now = _descendants(os.getpid(), set(self._last))
        self._last.update(now)
        if first:
            self._first = dict(now)


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _descendants(root: int, known: set[tuple[int, str]]) -> dict[tuple[int, str], float]:
    """Read the CPU seconds of all that descend from a process, or once did.

    Args:
        root: The process.
        known: Processes seen below it before; one whose parent died belongs to the system's first.

    Returns:
        By process and the time it started; nothing where there is no /proc.
    """
    tick = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    found: dict[int, tuple[str, float]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (OSError, UnicodeDecodeError):  # it ended meanwhile
            continue
        pid = int(entry.parent.name)
        parents[pid] = int(fields[1])
        found[pid] = (fields[19], (int(fields[11]) + int(fields[12])) / tick)

    seen = {pid for pid, (born, _) in found.items() if (pid, born) in known}

    def belongs(pid: int) -> bool:
        while pid in parents and pid not in seen:
            pid = parents[pid]
            if pid == root:
                return True
        return pid in seen

    return {(pid, born): used for pid, (born, used) in found.items() if belongs(pid)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, Spread):
        return {"median": value.median, "values": list(value.values)}
    if isinstance(value, float):
        return round(value, 4)
    if value is None or isinstance(value, str | int | list | dict):
        return value
    return str(value)
