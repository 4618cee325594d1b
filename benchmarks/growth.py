"""What growth costs: 1, 3 and 10 times the corpus, each in a process of its own.

    python -m benchmarks.growth --assets 24 --times 1 3 10

A corpus is short slide videos at 360p, small PDFs and pictures, no two of them alike. For each size: seconds
from the command to its end (start-up and all), the driver's peak of memory, and when the first asset could
be seen in the lake by somebody else. Every file must be in the lake as ok, else nothing is printed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import publish
from benchmarks.second_night import make_picture
from benchmarks.slides import make_slide_video
from operators.lake import Lake

_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Grown:
    """One run over one corpus."""

    assets: int
    seconds: float
    first_visible_seconds: float
    driver_mb: float
    cpu_seconds: float
    """Of the driver and its children."""


def make_corpus(folder: Path, assets: int, video_seconds: int) -> None:
    """Make as many files: of twelve one video, five PDFs of a page, six pictures."""
    folder.mkdir(parents=True)
    for number in range(assets):
        if number % 12 == 0:
            # Of another length each: equal slides would be one content.
            make_slide_video(folder / f"talk-{number:06}.mp4", seconds=video_seconds + number // 12 % 10)
        elif number % 12 <= 5:
            lines = [f"Page {number:06} of the harbour book.", "The ferry leaves the north pier at noon."]
            (folder / f"page-{number:06}.pdf").write_bytes(text_pdf(lines))
        else:
            make_picture(folder / f"notice-{number:06}.png", f"Notice {number}")


def text_pdf(lines: Sequence[str]) -> bytes:
    """Lay out one page with a text layer, about a kilobyte."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    content = f"BT /F1 12 Tf 50 150 Td 16 TL {shown} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{text}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end += f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + end.encode()


def grow(corpus: Path, lake: Path, assets: int, settings: Sequence[str]) -> Grown:
    """Ingest a corpus in a process of its own and watch its lake.

    Raises:
        RuntimeError: Not every file is in the lake as ok.
    """
    command = [sys.executable, "-m", "benchmarks.growth", "--one", str(corpus), str(lake), *settings]
    started = time.perf_counter()
    first = None
    # A long run says more than a pipe holds that nobody reads meanwhile.
    with tempfile.TemporaryFile("w+") as errors_file:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors_file, text=True) as process:  # noqa: S603
            while process.poll() is None:
                if first is None and any((lake / "assets").glob("*.parquet")) and _committed(lake):
                    first = time.perf_counter() - started
                time.sleep(_LOOK_SECONDS)
            seconds = time.perf_counter() - started
            said, _ = process.communicate()
        errors_file.seek(0)
        errors = errors_file.read()
    found = {}
    if process.returncode == 0:
        with Lake(lake).connect("assets") as connection:
            found = dict(connection.execute("SELECT status, count(*) FROM assets GROUP BY 1").fetchall())
    if found != {"ok": assets}:
        msg = (
            f"Wanted {assets} assets that are ok; found {found} (code {process.returncode}): {errors[-2000:]}"
        )
        raise RuntimeError(msg)
    spent = json.loads(said.splitlines()[-1])
    return Grown(assets, seconds, seconds if first is None else first, **spent)


def _committed(lake: Path) -> bool:
    """Tell whether `assets` has a commit beyond the one that made it."""
    return any(
        path.stem.isdigit() and int(path.stem) > 0 for path in (lake / "assets/_delta_log").glob("*.json")
    )


def _one(corpus: str, lake: str, settings: Sequence[str]) -> None:
    """Be the driver."""
    from jobs.ingest import run_ingest
    from schemas.config import load_config

    code = run_ingest([corpus], lake, load_config("embedded", None, settings))
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(used.ru_utime + used.ru_stime for used in (own, children))
    sys.stdout.write(json.dumps({"driver_mb": own.ru_maxrss / 1024, "cpu_seconds": cpu}) + "\n")
    raise SystemExit(code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--assets", type=int, default=36)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--video-seconds", type=int, default=10)
    parser.add_argument("--set", action="append", default=["speech.engine=off"], dest="settings")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.one:
        _one(asked.one[0], asked.one[1], asked.one[2:])
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for times in asked.times:
            corpus, assets = Path(folder, f"corpus-{times}"), asked.assets * times
            make_corpus(corpus, assets, asked.video_seconds)
            runs.append(grow(corpus, Path(folder, f"lake-{times}"), assets, asked.settings))
    base = runs[0]
    rows = [
        {
            "assets": run.assets,
            "seconds": run.seconds,
            "times the first": run.seconds / base.seconds,
            "CPU times": run.cpu_seconds / base.cpu_seconds,
            "first visible, s": run.first_visible_seconds,
            "driver MB": run.driver_mb,
            "memory times": run.driver_mb / base.driver_mb,
        }
        for run in runs
    ]
    publish("Growth of the corpus", rows, asked.json, ["Start-up is in every figure."])


if __name__ == "__main__":
    main()
