"""A pipeline that runs on a Ray cluster, as a dataset of Ray Data."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import pyarrow as pa
import ray.data
from ray.data import Dataset

from cluster.nodes import Node, Share
from cluster.stage import add_actors, add_tasks, fan_out
from cluster.steps import RowTask
from cluster.stream import stream
from cluster.vllm import Row, Rows, add_vllm
from schemas.arrow import to_table


class RayPipeline:
    """Steps of a dataset; what they are is said in `cluster.pipeline.Pipeline`."""

    def __init__(self, dataset: Dataset) -> None:
        """Begin with a dataset."""
        self.dataset = dataset

    @classmethod
    def of(cls, row: type, blocks: Sequence[Sequence[Any]]) -> Self:
        """Begin with rows of one type, a block for each sequence."""
        return cls(ray.data.from_arrow([to_table(row, block) for block in blocks]))

    def tasks(self, task: RowTask[Any, Any], share: Share) -> "RayPipeline":
        """Append a stage of tasks."""
        return RayPipeline(add_tasks(self.dataset, task, share))

    def spread(self, share: Share) -> "RayPipeline":
        """Make every row a block of its own."""
        return RayPipeline(fan_out(self.dataset, share))

    def actors(
        self,
        make: Callable[[], Callable[[list[Any]], list[Any]]],
        row_in: type,
        row_out: type,
        share: Share,
        *,
        workers: tuple[int, int],
        in_flight: int = 2,
        work: str | None = None,
        batch_rows: int | None = None,
    ) -> "RayPipeline":
        """Append a stage of actors."""
        return RayPipeline(
            add_actors(
                self.dataset,
                make,
                row_in,
                row_out,
                share,
                workers=workers,
                in_flight=in_flight,
                work=work,
                batch_rows=batch_rows,
            )
        )

    def vllm(self, arguments: Row, rows: Rows, *, cpus: float) -> "RayPipeline":
        """Append vLLM; arguments as in `cluster.vllm.add_vllm`."""
        return RayPipeline(add_vllm(self.dataset, arguments, rows, cpus=cpus))

    def stream(self, fits: Callable[[Sequence[Node]], bool] | None = None) -> Iterator[pa.Table]:
        """Run it and yield tables as they come."""
        if fits is None:
            return iter(self.dataset.iter_batches(batch_format="pyarrow", batch_size=None))
        return stream(self.dataset, fits)
