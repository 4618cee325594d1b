"""What all rivals share: the recogniser, the frames that are read, and the rows that are written."""

import argparse
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import av
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Pixels = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""

ROWS = pa.schema([("video", pa.string()), ("time_seconds", pa.float64()), ("text", pa.string())])
"""One for each line seen in a frame."""

MIN_CONFIDENCE = 0.5
"""As `ocr.min_confidence`."""

SPAN_SECONDS = 30
"""What one task decodes, so that a single video keeps all cores busy."""


class Reader(Protocol):
    """Reads the lines of one picture."""

    def __call__(self, pixels: Pixels) -> list[str]:
        """Return them."""
        ...


def make_reader(engine: str) -> Reader:
    """Load a recogniser that works in one thread.

    Args:
        engine: `gloss` takes PP-OCR as Gloss runs it, from the weights in RapidOCR's wheel;
            `package` takes `RapidOCR()` as it comes.
    """
    return _package() if engine == "package" else _gloss()


def _gloss() -> Reader:
    from operators.ocr_rapidocr import RapidOcrEngine

    loaded = RapidOcrEngine(None, 1)

    def read(pixels: Pixels) -> list[str]:
        (lines,) = loaded.read([pixels])
        return [line.text for line in lines if line.text and line.confidence >= MIN_CONFIDENCE]

    return read


def _package() -> Reader:
    from rapidocr import RapidOCR

    loaded: Any = RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": MIN_CONFIDENCE,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )

    def read(pixels: Pixels) -> list[str]:
        return list(loaded(pixels[..., ::-1]).txts or ())

    return read


class Span(NamedTuple):
    """Part of a video."""

    video: str
    start_seconds: int
    end_seconds: int


def spans_of(video: str, seconds: int = SPAN_SECONDS) -> list[Span]:
    """Cut a video into spans."""
    with av.open(video) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        end = -(-stream.duration * stream.time_base // 1)
    return [Span(video, at, min(at + seconds, int(end))) for at in range(0, int(end), seconds)]


def frames_of(span: Span) -> Iterator[tuple[float, Pixels]]:
    """Give the frame that is on screen at each whole second of a span, with its time.

    PyAV at its best: one seek, one thread beside the other process, and pictures to which no other
    refers are left out unless they are wanted. (A frame is wanted if a whole second lies between its
    time and the next one's; frame rates here are constant.)
    """
    with av.open(span.video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        assert stream.time_base is not None
        assert stream.average_rate is not None
        base, step = stream.time_base, 1 / stream.average_rate
        container.seek(int(span.start_seconds / base), stream=stream)
        due = Fraction(span.start_seconds)
        for packet in container.demux(stream):
            if packet.pts is None:
                wanted = True
            else:
                time = packet.pts * base
                if packet.dts is not None and packet.dts * base > span.end_seconds + 1:
                    break
                wanted = -(-time // 1) < time + step
            stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
            for frame in packet.decode():
                assert frame.pts is not None
                shown = frame.pts * base
                if due < shown + step and due < span.end_seconds:
                    yield float(shown), frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                    due += 1


def arguments(name: str) -> argparse.Namespace:
    """Read the command line that all rivals have."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.rivals.{name}")
    parser.add_argument("videos", nargs="+", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("--out", type=Path, required=True, help="folder for Parquet files; must not exist")
    parser.add_argument("--engine", choices=("gloss", "package"), default="gloss")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def rows_of(video: str, read: Sequence[tuple[float, Sequence[str]]]) -> pa.Table:
    """Write a row for each line."""
    rows = [(video, time, text) for time, texts in read for text in texts]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, ROWS, strict=True)], ROWS)
