"""What a night costs on which no file has changed, beside the least that could tell so.

    python -m benchmarks.unchanged --files 10000 100000

The least: every file is listed with its size and date, and `assets` is read once (those columns that say
whether an asset is as it should be). The night: all of `gloss ingest` but the start of its process. Both are
run by turns. The lake is made in bulk after one file that was truly ingested; a night in which not
every file was told to be unchanged gives no figure.
"""

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.growth import text_pdf
from benchmarks.report import Spread, by_turns, publish, ratio
from jobs.ingest import run_ingest
from operators.commit import append_files, remove_assets
from operators.discover import discover
from operators.lake import Lake
from operators.write import write_table
from schemas import ids
from schemas.arrow import from_table, to_table
from schemas.config import load_config
from schemas.listings import fingerprint
from schemas.tables import AssetRow

_FILES_OF_FOLDER = 1000
_ROWS_OF_FILE = 5000
_COMPARED = (
    "uri, kind, fingerprint, version, perception, composition, summary_version, caption_version, status, "
    "content_hash, plan_id, run_id, clip_count"
)
_SETTINGS = ("speech.engine=off", "ocr.engine=off", "run.executor=threads")


def make_corpus(folder: Path, files: int) -> None:
    """Make as many PDFs of one page and a kilobyte, no two alike."""
    for number in range(files):
        inside = folder / f"{number // _FILES_OF_FOLDER:04}"
        if number % _FILES_OF_FOLDER == 0:
            inside.mkdir(parents=True)
        lines = [f"Notice {number:07} of the harbour office.", "The ferry leaves the north pier at noon."]
        (inside / f"notice-{number:07}.pdf").write_bytes(text_pdf(lines))


def make_lake(lake: Lake, corpus: Path) -> int:
    """Put every file into a new lake as if it had been ingested; returns their number.

    Raises:
        RuntimeError: The one file that is ingested to see how, is not in the lake as ok.
    """
    listings = discover([str(corpus)]).listings
    if (code := night(lake, Path(listings[0].uri.removeprefix("file://")))) != 0:
        msg = f"Wanted one file ingested; gloss ingest ended with code {code}"
        raise RuntimeError(msg)
    (made,) = from_table(AssetRow, lake.table("assets").to_pyarrow_table())
    remove_assets(lake, [made.asset_id])
    for start in range(0, len(listings), _ROWS_OF_FILE):
        rows = []
        for listing in listings[start : start + _ROWS_OF_FILE]:
            content = ids.digest(listing.uri)
            version = ids.version(content, "", made.perception)
            row = replace(made, uri=listing.uri, bytes=listing.size_bytes, fingerprint=fingerprint(listing))
            row = replace(row, version=version, content_hash=content, write_id=ids.digest(version))
            rows.append(replace(row, asset_id=ids.asset_id(listing.uri)))
        append_files(lake, [write_table(lake, "assets", to_table(AssetRow, rows))])
    lake.write_views()
    return len(listings)


def night(lake: Lake, source: Path) -> int:
    """Ingest, unheard; returns the exit code."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return run_ingest([str(source)], lake.uri, load_config("embedded", None, _SETTINGS))


def least(lake: Lake, corpus: Path) -> int:
    """List all files and read `assets` once; returns the number of files."""
    found = []
    for folder, _, names in os.walk(corpus):
        for name in names:
            path = f"{folder}/{name}"
            status = os.stat(path)  # noqa: PTH116 - the least; a Path takes twice as long
            found.append((path, status.st_size, status.st_mtime_ns))
    with lake.connect("assets") as connection:
        held = connection.sql(f"SELECT {_COMPARED} FROM assets").to_arrow_table()
    return min(len(found), int(held.num_rows))


def measure(folder: Path, files: int, rounds: int) -> dict[str, object]:
    """Measure one size.

    Raises:
        RuntimeError: A night has not told every file to be unchanged.
    """
    corpus, lake = folder / "corpus", Lake(folder / "lake")
    make_corpus(corpus, files)
    make_lake(lake, corpus)
    works = {"least": lambda: least(lake, corpus), "night": lambda: night(lake, corpus)}
    turns = by_turns(works, rounds)
    with lake.connect("runs") as connection:
        nights = connection.execute(
            "SELECT discovered, skipped FROM runs ORDER BY started_at DESC LIMIT ?", [rounds]
        ).fetchall()
    if set(nights) != {(files, files)} or {turn.result for turn in turns["least"]} != {files}:
        msg = f"Wanted {files} unchanged files in each night; found (discovered, skipped) {nights}"
        raise RuntimeError(msg)
    wall = {name: [turn.wall_seconds for turn in found] for name, found in turns.items()}
    cpu = {name: [turn.cpu_seconds for turn in found] for name, found in turns.items()}
    return {
        "files": files,
        "least, s": Spread(tuple(wall["least"])),
        "night, s": Spread(tuple(wall["night"])),
        "times the least": ratio(wall["night"], wall["least"]),
        "least, CPU s": Spread(tuple(cpu["least"])),
        "night, CPU s": Spread(tuple(cpu["night"])),
        "CPU times": ratio(cpu["night"], cpu["least"]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unchanged", description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    rows = []
    for files in asked.files:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder), files, asked.rounds))
    publish("A night without changes", rows, asked.json, ["The start of the process is in no figure."])


if __name__ == "__main__":
    main()
