"""A plain Ray Data script: decode in tasks, recognise in a pool of actors, write Parquet.

Spans spread over the cores, the actors hold a model each, and CPUs are fractions so that decoding and
recognising overlap on few cores; everything else is as Ray comes, the size of its blocks too.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from benchmarks.rivals.work import Span, arguments, frames_of, make_reader, spans_of


def _decode(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    span = Span(row["video"], int(row["start_seconds"]), int(row["end_seconds"]))
    for time, pixels in frames_of(span):
        yield {"video": span.video, "time_seconds": time, "pixels": pixels}


class _Recognise:
    def __init__(self, engine: str) -> None:
        self.reader = make_reader(engine)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        read = [self.reader(np.asarray(pixels, np.uint8)) for pixels in batch["pixels"]]
        counts = [len(texts) for texts in read]
        return {
            "video": np.repeat(batch["video"], counts),
            "time_seconds": np.repeat(batch["time_seconds"], counts),
            "text": np.array([text for texts in read for text in texts], dtype=object),
        }


def main() -> None:
    """Read videos."""
    given = arguments("ray_data")
    ray.init(address="local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    DataContext.get_current().enable_progress_bars = False
    spans = [span._asdict() for video in given.videos for span in spans_of(video)]
    dataset: Dataset = ray.data.from_items(spans, override_num_blocks=len(spans))
    dataset = dataset.flat_map(_decode, num_cpus=0.25)
    dataset = dataset.map_batches(
        _Recognise,
        fn_constructor_args=(given.engine,),
        batch_size=8,
        num_cpus=0.75,
        compute=ActorPoolStrategy(size=given.workers),
    )
    dataset.write_parquet(str(given.out))
    ray.shutdown()


if __name__ == "__main__":
    main()
