"""vLLM in the graph, by the processor that Ray has for it.

Ray's stages are several: a row is packed, laid out as a chat, answered by the engine and unpacked.
What a row says is none of this module's business.
"""

import warnings
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import pyarrow as pa
from ray.data import Dataset

Row: TypeAlias = dict[str, Any]
Processor: TypeAlias = Callable[[Dataset], Dataset]


class Rows(Protocol):
    """Takes rows to Ray's stages and back; it is pickled to the workers."""

    def packed(self, table: pa.Table) -> pa.Table:
        """Write each row into one value."""
        ...

    def to_ray(self, row: Row) -> Row:
        """Make of a packed row what the stages want."""
        ...

    def from_ray(self, row: Row) -> Row:
        """Keep of an answered row what is needed; rows in error keep all."""
        ...

    def finished(self, table: pa.Table) -> pa.Table:
        """Read rows as they were before, with what was answered."""
        ...


def add_vllm(
    dataset: Dataset,
    arguments: Row,
    rows: Rows,
    *,
    cpus: float,
    build: Callable[[Row, Rows, Row], Processor] | None = None,
) -> Dataset:
    """Append vLLM to a dataset.

    Args:
        dataset: What to append to.
        arguments: Of Ray's `vLLMEngineProcessorConfig`.
        rows: Takes rows there and back.
        cpus: Cores of each task around the stages.
        build: Makes the processor, in place of `build_vllm`.

    Raises:
        ImportError: The extra `gloss[vllm]` is not installed.
    """
    task: Row = {"num_cpus": cpus, "max_retries": 1}
    with warnings.catch_warnings():
        # As in `cluster.stage`: Ray 2.60 has no other place for retries and restarts yet.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        processor = (build or build_vllm)(arguments, rows, task)
        dataset = dataset.map_batches(rows.packed, batch_format="pyarrow", batch_size=None, **task)
        dataset = processor(dataset)
        return dataset.map_batches(rows.finished, batch_format="pyarrow", batch_size=None, **task)


def build_vllm(arguments: Row, rows: Rows, task: Row) -> Processor:
    """Build Ray's processor.

    Args:
        arguments: Of Ray's `vLLMEngineProcessorConfig`.
        rows: Takes rows there and back.
        task: What the tasks around the stages take of the cluster.
    """
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    processor = build_processor(
        vLLMEngineProcessorConfig(**arguments),
        preprocess=rows.to_ray,
        postprocess=rows.from_ray,
        preprocess_map_kwargs=task,
        postprocess_map_kwargs=task,
    )
    bound_retries(processor)
    return processor


def bound_retries(processor: Any) -> None:
    """Let the stages of a processor be restarted, but not their tasks.

    Ray would hand a row that kills its engine to the next engine, without end. What is lost with a
    worker is found by comparing what was handed out with what came back.
    """
    for name in processor.list_stage_names():
        processor.get_stage_by_name(name).map_batches_kwargs.update(max_restarts=-1, max_task_retries=0)
