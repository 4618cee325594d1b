"""Processes that take spans of videos from a queue, decode, read and write; nothing else."""

import multiprocessing
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.rivals.work import Reader, Span, arguments, frames_of, make_reader, rows_of, spans_of

_reader: Reader | None = None
_out: Path | None = None


def _begin(engine: str, out: Path) -> None:
    global _reader, _out
    _reader, _out = make_reader(engine), out


def _read(numbered: tuple[int, Span]) -> None:
    assert _reader is not None
    assert _out is not None
    number, span = numbered
    read = [(time, _reader(pixels)) for time, pixels in frames_of(span)]
    pq.write_table(rows_of(span.video, read), _out / f"part-{number:05}.parquet")


def main() -> None:
    """Read videos."""
    given = arguments("loop")
    given.out.mkdir(parents=True)
    # As long as a group of pictures mostly is, so that little is decoded twice; and short, so that no
    # process is left alone with a long one at the end.
    whole = [span for video in given.videos for span in spans_of(video, 10)]
    few = len(whole) < 4 * given.workers
    spans = [span for video in given.videos for span in spans_of(video, 2)] if few else whole
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.workers, _begin, (given.engine, given.out)) as pool:
        for _ in pool.imap_unordered(_read, enumerate(spans)):
            pass


if __name__ == "__main__":
    main()
