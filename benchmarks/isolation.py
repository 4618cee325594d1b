"""`python -m benchmarks.isolation`: what it costs to keep native code in child processes, and what it saves.

Decoding and recognition are done by turns in this process and in a child that is killed when it
misbehaves; the ratios are what to look at. Then many small pictures go through both children,
and their memory is printed at each tenth.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from benchmarks.slides import make_slide_video, slide
from operators.child_kinds import DECODER_MODULES
from operators.decode import Decode, decode_units
from operators.discover import discover
from operators.isolate import Bounds, shared_sandbox
from operators.ocr import Ocr
from operators.ocr_engine import OcrEngine, Pixels
from operators.ocr_engines import load_engine
from operators.ocr_isolated import IsolatedEngine, isolated_engine
from operators.probe import Probe
from schemas.config import Config, load_config

_TICKS_PER_SECOND = 100
_A4_AT_150_DPI = (1240, 1754)


@dataclass(frozen=True)
class Way:
    """One way to do some work, and the child that does it, if any."""

    work: Callable[[], object]
    child: Callable[[], int | None]


@dataclass(frozen=True)
class Spent:
    """Seconds of one run."""

    wall: float
    cpu: float
    """Of this process and the child."""


def run_once(way: Way) -> Spent:
    """Do the work once."""
    started, cpu = time.perf_counter(), time.process_time() + child_cpu_seconds(way.child())
    way.work()
    used = time.process_time() + child_cpu_seconds(way.child()) - cpu
    return Spent(time.perf_counter() - started, used)


def compare(name: str, here: Way, there: Way, runs: int) -> None:
    """Do the same work both ways by turns and print medians and ratios."""
    for way in (here, there):  # imports, caches and the start of the child are paid before
        run_once(way)
    spent: dict[int, list[Spent]] = {0: [], 1: []}
    for number in range(runs):
        for which in (0, 1) if number % 2 else (1, 0):
            spent[which].append(run_once((here, there)[which]))
    wall = [statistics.median(each.wall for each in spent[which]) for which in (0, 1)]
    cpu = [statistics.median(each.cpu for each in spent[which]) for which in (0, 1)]
    sys.stdout.write(
        f"{name:<34} {wall[0]:>8.3f} s {wall[1]:>8.3f} s {wall[1] / wall[0]:>7.3f}"
        f" {cpu[0]:>8.3f} s {cpu[1]:>8.3f} s {cpu[1] / cpu[0]:>7.3f}\n"
    )
    sys.stdout.flush()


def child_cpu_seconds(pid: int | None) -> float:
    """CPU time of a process so far."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def resident_mb(pid: int | str) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 1_000_000


def decoding(path: Path, config: Config) -> tuple[Way, Way]:
    """Decode a file in this process and in the child."""
    (listing,) = discover([str(path)]).listings
    tasks = list(Probe(config)(listing))
    decode = Decode(config)

    def here() -> None:
        for task in tasks:
            list(decode_units(task.asset, task.units, config))

    def there() -> None:
        for task in tasks:
            list(decode(task))

    return Way(here, lambda: None), Way(there, lambda: decoder_pid(config))


def decoder_pid(config: Config) -> int | None:
    """Process of the child that decodes."""
    return shared_sandbox(Bounds.of(config.limits), DECODER_MODULES).pid


def reading(here: OcrEngine, there: IsolatedEngine, pictures: list[Pixels]) -> tuple[Way, Way]:
    """Recognise pictures in this process and in the child."""
    return Way(lambda: here.read(pictures), lambda: None), Way(
        lambda: there.read(pictures), lambda: there.pid
    )


def make_text_pdf(path: Path, pages: int) -> None:
    """Write pages full of text."""
    canvas = Canvas(str(path), pagesize=A4)
    for page in range(pages):
        for line in range(48):
            canvas.drawString(
                60, 780 - 15 * line, f"{page}.{line} " + "the ledger of the harbour survey " * 3
            )
        canvas.showPage()
    canvas.save()


def text_page() -> Pixels:
    """Draw an A4 page of 40 lines as it is rendered at 150 dpi."""
    width, height = _A4_AT_150_DPI
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    for line in range(40):
        text = f"{line} the ledger of the harbour survey names each lantern and anchor"
        pen.text((90, 90 + 40 * line), text, "black", ImageFont.load_default(22))
    return np.asarray(image)


def make_pictures(folder: Path, count: int) -> None:
    """Write small pictures of many sizes, a line of text on each."""
    folder.mkdir()
    for number in range(count):
        image = Image.new("RGB", (240 + number % 97, 60 + number % 31), "white")
        ImageDraw.Draw(image).text((8, 12), f"ticket {number}", "black", ImageFont.load_default(24))
        image.save(folder / f"{number:06}.png", compress_level=1)


def long_run(folder: Path, config: Config) -> Iterator[tuple[int, int, int, int]]:
    """Probe, decode and read all pictures of a folder; yield memory at each tenth.

    Yields:
        Pictures so far, and MB of this process, of the decoder and of the recogniser.
    """
    listings = discover([str(folder)]).listings
    probe, decode, ocr = Probe(config), Decode(config), Ocr(config)
    assert isinstance(ocr.engine, IsolatedEngine)
    for done, listing in enumerate(listings, 1):
        for task in probe(listing):
            (read,) = ocr(list(decode(task)))
            assert not read.failures
            assert read.views[0].lines
        if done % max(1, len(listings) // 10) == 0:
            children = [decoder_pid(config), ocr.engine.pid]
            decoder, recogniser = (resident_mb(pid) if pid is not None else 0 for pid in children)
            yield done, resident_mb("self"), decoder, recogniser


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="runs of each way, by turns")
    parser.add_argument("--pictures", type=int, default=2000, help="pictures of the long run")
    parser.add_argument("--watermark-mb", type=int, help="resources.ocr_memory_bytes of the long run")
    arguments = parser.parse_args()
    config = load_config("embedded")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video, document = folder / "slides.mp4", folder / "text.pdf"
        make_slide_video(video, seconds=60)
        make_text_pdf(document, 40)
        sys.stdout.write(f"{'':<34} {'wall: here':>10} {'child':>10} {'ratio':>7}")
        sys.stdout.write(f" {'CPU: here':>10} {'child':>10} {'ratio':>7}\n")
        compare("decode 60 s of 720p slides", *decoding(video, config), arguments.runs)
        compare("decode 40 pages of text", *decoding(document, config), arguments.runs)
        here, there = load_engine(config.ocr, 1), isolated_engine(config)
        slides = [np.asarray(slide(number, 1280, 720)) for number in range(4)]
        compare("read a 720p slide", *reading(here, there, slides[:1]), arguments.runs)
        compare("read four 720p slides in a batch", *reading(here, there, slides), arguments.runs)
        compare("read an A4 page at 150 dpi", *reading(here, there, [text_page()]), arguments.runs)
        there.close()

        sys.stdout.write("\npictures   this process   decoder   recogniser   (MB resident)\n")
        settings = (
            [f"resources.ocr_memory_bytes={arguments.watermark_mb << 20}"] if arguments.watermark_mb else []
        )
        make_pictures(folder / "pictures", arguments.pictures)
        for row in long_run(folder / "pictures", load_config("embedded", None, settings)):
            sys.stdout.write("{:>8} {:>14} {:>9} {:>12}\n".format(*row))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
