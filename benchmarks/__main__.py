"""`make bench`: ratios measured side by side in one run, as a table and as JSON.

The same slide video is read in three ways with the same recogniser: every sampled frame in a
plain loop, distinct frames in a plain loop, and the whole of `gloss ingest` with its Ray, its
tables and its start-up. Absolute seconds belong to the machine; the ratios travel.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.slides import make_slide_video
from jobs.ingest import run_ingest
from operators.decode import Decode
from operators.discover import discover
from operators.lake import Lake
from operators.ocr import Ocr
from operators.probe import Probe
from schemas.config import Config, load_config


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """Wall seconds of some work, and what it counted."""
    started = time.perf_counter()
    count = work()
    return time.perf_counter() - started, count


def read_plainly(corpus: Path, config: Config) -> int:
    """Read a corpus in one process; return the number of pictures recognised."""
    probe, decode, ocr = Probe(config), Decode(config), Ocr(config)
    read = 0
    for listing in discover([str(corpus)]).listings:
        for planned in probe(listing):
            for perception in decode(planned):
                (done,) = ocr([perception])
                read += sum(view.read == "whole" for view in done.views)
    return read


def ingest(corpus: Path, lake: Path, config: Config) -> int:
    """Run the whole job; return the number of pictures recognised whole."""
    code = run_ingest([str(corpus)], str(lake), config)
    if code:
        msg = f"gloss ingest ended with exit code {code}"
        raise RuntimeError(msg)
    (row,) = Lake(lake).connect().execute("SELECT sum(read_whole) FROM assets").fetchall()
    return int(row[0])


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="length of the slide video")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        slides = make_slide_video(corpus / "slides.mp4", seconds=arguments.seconds)
        distinct = load_config("embedded")
        every = load_config("embedded", None, ["sampling.strategy=interval"])
        figures = {
            "every sampled frame, plain loop": timed(lambda: read_plainly(corpus, every)),
            "distinct frames, plain loop": timed(lambda: read_plainly(corpus, distinct)),
            "gloss ingest, start-up included": timed(lambda: ingest(corpus, Path(folder, "lake"), distinct)),
            "gloss ingest again, unchanged": timed(lambda: ingest(corpus, Path(folder, "lake"), distinct)),
        }
    base = figures["every sampled frame, plain loop"][0]
    rows = [
        {"what": name, "seconds": round(seconds, 2), "times_as_fast": round(base / seconds, 2), "read": count}
        for name, (seconds, count) in figures.items()
    ]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    sys.stdout.write(f"{arguments.seconds} s of 720p slide video, {slides} slides; {machine}\n\n")
    for row in rows:
        sys.stdout.write(
            f"{row['what']:<36} {row['seconds']:>8.2f} s {row['times_as_fast']:>8.2f} x"
            f" {row['read']:>5} pictures read whole\n"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "slides": slides, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
