"""Daft: its video source gives frames as rows, a class with a model reads them, Parquet is written."""

import os
from typing import Any

import av
import daft
import numpy as np
from daft import DataType, col

from benchmarks.rivals.work import arguments, make_reader


def main() -> None:
    """Read videos."""
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    given = arguments("daft_frames")
    with av.open(given.videos[0]) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height

    @daft.cls(max_concurrency=given.workers, use_process=True)
    class Recognise:
        def __init__(self, engine: str) -> None:
            self.reader = make_reader(engine)

        @daft.method(return_dtype=DataType.list(DataType.string()))
        def read(self, pixels: Any) -> list[str]:
            return self.reader(np.asarray(pixels, np.uint8))

    recognise: Any = Recognise(given.engine)
    frames = daft.read_video_frames(
        given.videos, image_height=height, image_width=width, sample_interval_seconds=1.0
    )
    read = frames.select(
        col("path").alias("video"),
        col("frame_time").alias("time_seconds"),
        recognise.read(col("data")).alias("text"),
    )
    read.explode("text").where(~col("text").is_null()).write_parquet(str(given.out))


if __name__ == "__main__":
    main()
