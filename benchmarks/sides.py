"""The sides of a comparison: commands that read the same videos, and where their rows are."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Timed, timed_command
from benchmarks.rows import Frames, lake_rows, rival_rows


@dataclass(frozen=True, slots=True)
class Side:
    """One way to read videos."""

    name: str
    command: Callable[[Sequence[Path], Path], Sequence[str]]
    """Given videos and a folder that does not exist yet."""
    rows: Callable[[Path], Frames]
    """Read from that folder."""

    def read(self, videos: Sequence[Path], out: Path) -> Timed[Frames]:
        """Read videos in a process of its own, start-up included."""
        done = timed_command(self.command(videos, out), env={"OMP_NUM_THREADS": "1"})
        return Timed(done.wall_seconds, done.cpu_seconds, self.rows(out))


def rival(module: str, name: str, engine: str = "gloss") -> Side:
    """Name a rival by its module in `benchmarks.rivals`."""

    def command(videos: Sequence[Path], out: Path) -> Sequence[str]:
        start = [sys.executable, "-m", f"benchmarks.rivals.{module}"]
        return [*start, *map(str, videos), "--out", str(out), "--engine", engine]

    return Side(name, command, rival_rows)


def gloss(name: str, *settings: str) -> Side:
    """Gloss as it comes, without speech, with some settings."""

    def command(videos: Sequence[Path], out: Path) -> Sequence[str]:
        given = [part for setting in ("speech.engine=off", *settings) for part in ("--set", setting)]
        return [sys.executable, "-m", "jobs.cli", "ingest", *map(str, videos), "--lake", str(out), *given]

    return Side(name, command, lake_rows)


LOOP = "hand-written loop, 2 processes"
RAY = "plain Ray Data"
DAFT = "Daft"
EVERY = "gloss, every frame"
DISTINCT = "gloss, default"
