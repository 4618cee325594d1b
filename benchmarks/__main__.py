"""`make bench`: Gloss beside what a good engineer would write without it, by turns, in one run.

A slide video is read one frame a second with the same recogniser by a hand-written loop over two
processes, by plain Ray Data, by Daft and by `gloss ingest`, each a process of its own that is timed
from its start to its end. First Gloss too reads every frame; then it runs as it comes, where each
different picture is read once. The rows must be the same before a ratio is printed.

Daft reads a short and a longer video too, which gives its start-up and its time for a frame. What is said of
it on a still longer one follows from these two, unless `--full` lets all sides read that one.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.corpora import make
from benchmarks.corpora.cache import default_folder
from benchmarks.corpora.truth import Made
from benchmarks.report import Spread, Timed, publish, ratio
from benchmarks.rows import Frames, compare, recall, require_same
from benchmarks.sides import DAFT, DISTINCT, EVERY, LOOP, RAY, Side, gloss, rival


@dataclass(slots=True)
class Found:
    """What one side took for one video, in several turns."""

    turns: list[Timed[Frames]] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        """Wall seconds of each turn."""
        return [turn.wall_seconds for turn in self.turns]

    @property
    def rows(self) -> Frames:
        """Of the last turn."""
        return self.turns[-1].result


class Race:
    """Lets sides read videos by turns."""

    def __init__(self, folder: Path, corpora: Path, rounds: int, *, pointer: bool) -> None:
        """Begin with nothing measured.

        Args:
            folder: For what the sides write.
            corpora: Where videos are kept.
            rounds: How often each reads each video.
            pointer: Whether a dot moves over the slides.
        """
        self.folder, self.corpora, self.rounds, self.pointer = folder, corpora, rounds, pointer
        self.found: dict[tuple[str, int], Found] = {}
        self.made: dict[int, Sequence[Made]] = {}

    def run(self, sides: Sequence[Side], seconds: int) -> None:
        """Let sides read a video of some length."""
        _, made = make("slides", self.corpora, seconds=seconds, pointer=self.pointer)
        self.made[seconds] = made
        for _ in range(self.rounds):
            for side in sides:
                out = self.folder / "out"
                turn = side.read([item.path for item in made], out)
                self.found.setdefault((side.name, seconds), Found()).turns.append(turn)
                shutil.rmtree(out)

    def recall(self, name: str, seconds: int) -> float:
        """Share of the words that truly stand in each second which a side found."""
        return recall(self.made[seconds], self.found[name, seconds].rows)

    def line(self, name: str, short: int, seconds: int) -> tuple[float, float]:
        """Split the time of a side into its start-up and the time of each further second of video."""
        first, second = (
            Spread(tuple(self.found[name, length].seconds)).median for length in (short, seconds)
        )
        rate = max(second - first, 1e-9) / (seconds - short)
        return max(0.0, first - rate * short), rate


def every_frame(race: Race, length: int) -> list[Mapping[str, object]]:
    """Compare the reading of every frame."""
    rows: list[Mapping[str, object]] = []
    base = race.found[LOOP, length]
    for name in (LOOP, EVERY, RAY, DAFT):
        found = race.found[name, length]
        same = require_same(base.rows, found.rows, (LOOP, name))
        rows.append(
            {
                "every frame is read": name,
                f"seconds for {length} s": Spread(tuple(found.seconds)),
                "CPU seconds": found.turns[-1].cpu_seconds,
                "speed": ratio(base.seconds, found.seconds),
                "rows equal": same.rows,
                "recall": race.recall(name, length),
            }
        )
    return rows


def default_mode(
    race: Race, short: int, seconds: int, long: int, *, full: bool
) -> list[Mapping[str, object]]:
    """Compare Gloss as it comes, start-up included, with Daft reading by frames."""
    rows: list[Mapping[str, object]] = []
    for length in (seconds, long):
        mine = race.found[DISTINCT, length]
        measured = length == seconds or full
        if measured:
            theirs = race.found[DAFT, length]
            against = require_same(theirs.rows, mine.rows, (DAFT, DISTINCT)).rows
            took = theirs.seconds
        else:
            start, rate = race.line(DAFT, short, seconds)
            took, against = [start + rate * length] * len(mine.seconds), None
        rows.append(
            {
                "slide video of": f"{length} s",
                f"{DISTINCT}, seconds": Spread(tuple(mine.seconds)),
                "Daft by frames, seconds": Spread(tuple(took)),
                "Daft is": "measured" if measured else "extrapolated",
                "times as fast": ratio(took, mine.seconds),
                "recall": race.recall(DISTINCT, length),
                "rows equal": against,
            }
        )
    return rows


def main() -> None:
    """Make corpora, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--short", type=int, default=40, help="seconds of the video that shows Daft's start-up"
    )
    parser.add_argument("--seconds", type=int, default=120, help="length of the video that all sides read")
    parser.add_argument("--long", type=int, default=1200, help="length of the video Gloss reads as it comes")
    parser.add_argument("--full", action="store_true", help="let the rivals read the long video too")
    parser.add_argument("--pointer", action="store_true", help="let a dot move over the slides")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each side")
    parser.add_argument(
        "--engine", choices=("gloss", "package"), default="gloss", help="what rivals recognise with"
    )
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where corpora are kept")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    if not given.short < given.seconds < given.long:
        parser.error("Wanted --short below --seconds below --long.")
    rivals = [
        rival(module, name, given.engine)
        for module, name in (("loop", LOOP), ("ray_data", RAY), ("daft_frames", DAFT))
    ]
    every, distinct = gloss(EVERY, "sampling.strategy=interval"), gloss(DISTINCT)
    with tempfile.TemporaryDirectory() as folder:
        race = Race(Path(folder), given.folder, given.rounds, pointer=given.pointer)
        race.run([side for side in rivals if side.name == DAFT], given.short)
        race.run([*rivals, every, distinct], given.seconds)
        race.run([*rivals, every, distinct] if given.full else [distinct], given.long)
        notes = [
            "Videos: 1280x720, 25 frames a second, a new slide every 10 s"
            + (", a pointer that never rests." if given.pointer else ", nothing else moves."),
            f"Rivals recognise with: {given.engine}.",
            "Speed: seconds of the hand-written loop over those of each; above 1 is faster.",
            "Start-up is part of all; with --full it is a small one.",
        ]
        first = every_frame(race, given.long if given.full else given.seconds)
        second = default_mode(race, given.short, given.seconds, given.long, full=given.full)
        publish("Every sampled frame", first, notes=notes)
        alike = compare(race.found[EVERY, given.seconds].rows, race.found[DISTINCT, given.seconds].rows)
        publish(
            "Each different picture once, start-up included",
            second,
            given.json,
            [f"Words of every frame that the default mode lost: {alike.lost:.2%}, added: {alike.added:.2%}."],
            every_frame=first,
        )


if __name__ == "__main__":
    main()
