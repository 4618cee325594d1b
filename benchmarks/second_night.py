"""What a second night costs: 1 % of the files new, 5 % renamed, one setting of summaries changed.

    python -m benchmarks.second_night --files 200

Units are counted by the runs themselves; CPU seconds are those of the whole machine, so nothing
else should run meanwhile.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.slides import make_slide_video
from jobs.ingest import run_ingest
from operators.lake import Lake
from schemas.config import load_config


@dataclass(frozen=True, slots=True)
class Night:
    """One run."""

    what: str
    files_done: int
    units_computed: int
    units_recalled: int
    wall_seconds: float
    cpu_seconds: float


def make_picture(path: Path, text: str) -> None:
    """Draw a notice of four lines."""
    picture = Image.new("RGB", (640, 360), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(28)
    for row in range(4):
        pen.text((30, 30 + 70 * row), f"{text}, line {row + 1} of four", fill="black", font=font)
    picture.save(path)


def machine_cpu_seconds() -> float:
    """CPU time spent by everything on this machine since it started."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system = (int(field) for field in fields[:3])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def night(what: str, corpus: Path, lake: Path, *settings: str) -> Night:
    """Run one ingest and account for it."""
    started, cpu = time.perf_counter(), machine_cpu_seconds()
    run_ingest([str(corpus)], str(lake), load_config("embedded", None, settings), prune=True)
    wall, cpu = time.perf_counter() - started, machine_cpu_seconds() - cpu
    ((done, units, recalled),) = (
        Lake(lake)
        .connect()
        .execute("SELECT ok + partial + failed, units, recalled FROM runs ORDER BY started_at DESC LIMIT 1")
        .fetchall()
    )
    return Night(what, done, units, recalled, round(wall, 1), round(cpu, 1))


def main() -> None:
    """Generate, run the nights, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.second_night", description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        corpus, lake = Path(folder, "corpus"), Path(folder, "lake")
        corpus.mkdir()
        for number in range(files - 5):
            make_picture(corpus / f"notice-{number:05}.png", f"Notice {number}")
        for number in range(5):
            make_slide_video(corpus / f"talk-{number}.mp4", seconds=60 + 10 * number)
        nights = [night("first night", corpus, lake)]
        nights.append(night("second night, nothing changed", corpus, lake))
        for number in range(max(1, files // 100)):
            make_picture(corpus / f"new-{number}.png", f"Not seen before {number}")
        for number in range(files // 20):
            name = f"notice-{number:05}.png"
            (corpus / name).rename(corpus / f"renamed-{name}")
        nights.append(night("1 % new, 5 % renamed", corpus, lake))
        nights.append(night("another summary setting", corpus, lake, "summary.asset_sentences=3"))
        (held,) = Lake(lake).connect().execute("SELECT count(*) FROM units").fetchall()
    first = nights[0].cpu_seconds
    for item in nights:
        print(
            f"{item.what:32} {item.files_done:6} files {item.units_computed:6} units computed "
            f"{item.units_recalled:6} recalled {item.wall_seconds:8.1f} s wall {item.cpu_seconds:8.1f} s CPU "
            f"({100 * item.cpu_seconds / first:5.1f} % of the first)"
        )
    print(json.dumps({"units_in_the_lake": held[0], "nights": [asdict(item) for item in nights]}))


if __name__ == "__main__":
    main()
