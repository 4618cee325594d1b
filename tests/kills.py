"""Runs are killed at random; what they leave must be as if they had not been.

    python -m tests.kills --kills 100 --seed 1

A generated corpus is ingested once undisturbed. Then, again and again, an ingest of it into
another lake is started, and something of it is killed by SIGKILL: the command itself, a worker,
a raylet, the cluster's store, a decoding child. Runs that are killed work on Ray or in threads; the
undisturbed one works in the other way. The same command follows, until the lake is
complete; then another lake is begun. All the while a reader polls the views and counts torn
assets. At the end each lake must hold the rows of the undisturbed one, and no unit that was
durable when its run died may have been computed again.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from operators.lake import Lake
from schemas.tables import CHILDREN
from tests import media, pages

COMMIT_SECONDS = 2
"""Instead of 20, so that short runs have something to lose and something to keep."""

_RUN_COLUMNS = ("run_id", "at", "ingested_at", "write_id")

_RUN_SECONDS = 240
"""A run that has not ended by then is stuck."""


def make_corpus(folder: Path, scale: int = 1) -> None:
    """Write documents, pictures, a long video and broken files: some 30 units each of OCR and text."""
    folder.mkdir(parents=True)
    for number in range(2 * scale):
        texts = [f"Report {number} page {page}. " + pages.WORDS for page in range(6)]
        content = pages.drawn_pdf(*(_prose(text) for text in texts), title=f"Report {number}")
        (folder / f"report-{number}.pdf").write_bytes(content)
    for number in range(4 * scale):
        picture = pages.text_picture(f"Poster number {number}", (640, 200))
        (folder / f"poster-{number}.png").write_bytes(pages.picture_bytes(picture, "PNG"))
    shown = [(4.0 * at, media.slide([f"Slide {at}", f"The word is {at * 37}"])) for at in range(10 * scale)]
    video = media.encode(media.steady(shown, 40.0 * scale, rate=5))
    (folder / "talk.mp4").write_bytes(video)
    shutil.copy(folder / "poster-0.png", folder / "poster-again.png")
    (folder / "cut.mp4").write_bytes(video[: len(video) // 2])
    (folder / "empty.pdf").write_bytes(b"")


def _prose(text: str) -> Any:
    return lambda canvas: pages.prose(canvas, words=text)


@dataclass(slots=True)
class Place:
    """One lake under way, and what its runs said of their units."""

    root: Path
    corpus: Path
    executor: str
    """Where its runs do their work."""

    @property
    def lake(self) -> Path:
        """The lake."""
        return self.root / "lake"

    @property
    def units(self) -> Path:
        """What came back, by all runs."""
        return self.root / "units.txt"

    def command(self) -> list[str]:
        """The command that is killed and run again; always the same."""
        return [
            sys.executable, "-m", "tests.counted_ingest", str(self.units), "ingest", str(self.corpus),
            "--lake", str(self.lake), "--set", f"store.commit_seconds={COMMIT_SECONDS}",
            "--set", "sampling.span_seconds=4", "--set", "sampling.clip_seconds=4",
            "--set", "documents.pages_per_task=2", "--set", "run.cpus=2",
            "--set", f"run.executor={self.executor}",
        ]  # fmt: skip

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it in a session of its own."""
        with (self.root / "log.txt").open("ab") as log:
            return subprocess.Popen(self.command(), stdout=log, stderr=log, start_new_session=True)

    def came_back(self) -> list[tuple[str, int, str]]:
        """(uri, unit, computed or recalled or failed), in order."""
        if not self.units.exists():
            return []
        lines = self.units.read_text(encoding="utf-8").splitlines()
        return [(uri, int(unit), kind) for uri, unit, kind in (line.rsplit(" ", 2) for line in lines)]

    def durable(self) -> set[tuple[str, int]]:
        """(content, unit) of what the lake holds."""
        lake = Lake(self.lake)
        if not lake.exists():
            return set()
        return set(lake.connect().execute("SELECT content_hash, unit.index FROM units").fetchall())

    def lost(self) -> int:
        """Count the failures that the next run tries to do without: a worker died twice at a unit."""
        return len(Lake(self.lake).connect().execute("FROM failures WHERE reason = 'lost'").fetchall())


def rows(lake: Path) -> dict[str, list[str]]:
    """All rows of all tables, without what belongs to a run."""
    connection = Lake(lake).connect()
    found = {}
    for table in ("assets", *CHILDREN, "skips"):
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description or []]
        found[table] = sorted(
            json.dumps({n: v for n, v in zip(names, row, strict=True) if n not in _RUN_COLUMNS}, default=str)
            for row in cursor.fetchall()
        )
    return found


# --- the reader ----------------------------------------------------------------------------

_TORN = """
SELECT asset_id FROM assets a WHERE
    clip_count <> (SELECT count(*) FROM clips c WHERE c.asset_id = a.asset_id)
    OR segment_count <> (SELECT count(*) FROM segments s WHERE s.asset_id = a.asset_id)
    OR failure_count <> (SELECT count(*) FROM failures f WHERE f.asset_id = a.asset_id)
UNION ALL SELECT asset_id FROM clips WHERE asset_id NOT IN (SELECT asset_id FROM assets)
"""


@dataclass(slots=True)
class Reader:
    """Polls the views of whatever lake is under way, as plain DuckDB sees them."""

    lake: Path
    looks: int = 0
    seen: int = 0
    """Assets seen, summed over looks."""
    torn: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> None:
        """Look until told to stop."""
        while not self.stop.wait(0.25):
            views = self.lake / "views.sql"
            if views.exists():
                self._look(views.read_text(encoding="utf-8"))

    def _look(self, views: str) -> None:
        with duckdb.connect() as connection:
            connection.execute(views)
            self.torn += [asset for (asset,) in connection.execute(_TORN).fetchall()]
            ((count,),) = connection.execute("SELECT count(*) FROM assets").fetchall()
            self.looks += 1
            self.seen += count


# --- the killer ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a run."""

    pid: int
    kind: str


def processes(driver: int) -> list[Process]:
    """Find the processes below a driver, by what they are."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.name))
    found = [Process(driver, "driver")]
    below = list(parents.get(driver, []))
    while below:
        pid = below.pop()
        below += parents.get(pid, [])
        if (kind := _kind(pid)) is not None:
            found.append(Process(pid, kind))
    return found


def _kind(pid: int) -> str | None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    if "operators.isolate" in command:
        return "child"
    # Ray's own agents and actors are named like workers; a raylet ends with its agents.
    if command.startswith("ray::") and ("Map" in command or "compose" in command):
        return "worker"
    for name in ("raylet", "gcs_server"):
        if f"/{name} " in command.split("--")[0]:
            return name
    return None


VICTIMS = {
    "ray": (*("driver",) * 3, *("worker",) * 4, *("raylet",) * 2, "child", "gcs_server"),
    "threads": ("driver", "driver", "child"),
}
"""How often each is chosen, by executor. Of a run that is starting only the driver is: without the others Ray
waits for a minute before it says so."""


@dataclass(slots=True)
class Tally:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    """Units that had come back and were not durable when their run died."""
    again: int = 0
    """Units computed more than once."""
    durable_again: int = 0
    """Units computed again although they were durable: must stay zero."""
    lakes: int = 0
    units: int = 0


_KILLS_OF_A_RUN = 4
"""Most kills that a run may survive: a unit that loses its worker twice is given up, as it should be."""


def kill_some(place: Place, draw: random.Random, victims: Sequence[str], tally: Tally) -> int | None:
    """Run the command, kill something of it, wait for its end; return its exit code if it gave one.

    What a run survives may be followed by another kill.
    """
    run = place.start()
    killed = None
    for attempt in range(draw.randint(1, _KILLS_OF_A_RUN)):
        early = attempt == 0 and "driver" in victims and draw.random() < 0.3
        _wait(place, run, draw, early=early)
        wanted = "driver" if early else draw.choice(victims)
        if run.poll() is None and (hit := _kill(run.pid, wanted, draw)) is not None:
            tally.kills[hit] += 1
            killed = hit
    try:
        code = run.wait(_RUN_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        tally.ends[f"stuck after {killed}"] += 1
        return None
    tally.ends[f"{killed or 'none'} -> {code}"] += 1
    return code


def _wait(place: Place, run: "subprocess.Popen[bytes]", draw: random.Random, *, early: bool) -> None:
    """Wait for a moment to strike: while the run is starting, or while units come back."""
    if early:
        time.sleep(draw.uniform(0.5, 9))
        return
    before, more = len(place.came_back()), draw.randint(0, 12)
    until = time.monotonic() + 60
    while run.poll() is None and len(place.came_back()) < before + more and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(draw.uniform(0, 2))


def _kill(driver: int, wanted: str, draw: random.Random) -> str | None:
    found = [process for process in processes(driver) if process.kind == wanted]
    if not found:
        return None
    try:
        os.kill(draw.choice(found).pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return wanted


def run_kills(
    root: Path, kills: int, seed: int, *, executor: str, scale: int = 1, victims: Sequence[str] | None = None
) -> tuple[Tally, Reader, list[str]]:
    """Kill so many times; return what happened, what the reader saw, and tables that differ."""
    victims = victims or VICTIMS[executor]
    draw, tally = random.Random(seed), Tally()  # noqa: S311 - to be repeated, not to be secret
    corpus = root / "corpus"
    make_corpus(corpus, scale)
    calm = Place(root / "calm", corpus, "ray" if executor == "threads" else "threads")
    calm.root.mkdir()
    assert calm.start().wait(_RUN_SECONDS) == 3, (calm.root / "log.txt").read_text()[-3000:]
    expected = rows(calm.lake)
    reader = Reader(calm.lake)
    thread = threading.Thread(target=reader.poll, daemon=True)
    thread.start()
    differences: list[str] = []
    while sum(tally.kills.values()) < kills:
        tally.lakes += 1
        place = Place(root / f"lake-{tally.lakes}", corpus, executor)
        place.root.mkdir()
        reader.lake = place.lake
        _until_complete(place, draw, victims, tally, kills)
        found = rows(place.lake)
        differences += [f"{place.root.name}: {name}" for name in found if found[name] != expected[name]]
        _report(tally, reader, differences)
    reader.stop.set()
    thread.join()
    return tally, reader, differences


def _until_complete(
    place: Place, draw: random.Random, victims: Sequence[str], tally: Tally, kills: int
) -> None:
    """Kill runs into one lake until one of them completes it."""
    contents = _contents(place.corpus)
    came = 0
    while True:
        enough = sum(tally.kills.values()) >= kills
        durable = place.durable()
        code = _finish(place) if enough else kill_some(place, draw, victims, tally)
        lines = place.came_back()
        new, came = lines[came:], len(lines)
        computed = {(contents[uri], unit) for uri, unit, kind in new if kind == "computed"}
        tally.units += len(computed)
        tally.durable_again += len(computed & durable)
        if code == 3 and not place.lost():
            break
        tally.lost += len(computed - place.durable())
    everything = Counter((contents[uri], unit) for uri, unit, kind in place.came_back() if kind == "computed")
    tally.again += sum(count - 1 for count in everything.values())


def _finish(place: Place) -> int:
    return place.start().wait(_RUN_SECONDS)


def _contents(corpus: Path) -> dict[str, str]:
    from schemas.ids import content_hash

    found = {}
    for path in corpus.iterdir():
        with path.open("rb") as file:
            found[f"file://{path}"] = content_hash(file)
    return found


def _report(tally: Tally, reader: Reader, differences: list[str]) -> None:
    print(
        f"{sum(tally.kills.values())} kills {dict(tally.kills)}, {tally.lakes} lakes, "
        f"ends {dict(tally.ends)}; "
        f"{tally.units} units computed, {tally.lost} lost in flight, {tally.again} computed again, "
        f"{tally.durable_again} of them although durable; {reader.looks} looks at {reader.seen} assets, "
        f"{len(reader.torn)} torn; differences: {differences or 'none'}",
        flush=True,
    )


def main() -> None:
    """Kill, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--executor", choices=sorted(VICTIMS), default="ray")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally, reader, differences = run_kills(
            Path(folder), given.kills, given.seed, executor=given.executor, scale=given.scale
        )
    stuck = [end for end in tally.ends if end.startswith("stuck")]
    sys.exit(bool(reader.torn or differences or tally.durable_again or stuck))


if __name__ == "__main__":
    main()
