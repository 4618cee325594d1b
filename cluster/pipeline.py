"""A pipeline of steps, wherever it runs: on a Ray cluster, or in threads of this process.

What is said of a pipeline in `jobs.chain` is said once; `cluster.executor` decides where it runs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

import pyarrow as pa

from cluster.here import node_here
from cluster.nodes import Node, Share
from cluster.steps import RowTask


class Pipeline(Protocol):
    """Steps to be run one after the other, each on what comes out of the one before."""

    def tasks(self, task: RowTask[Any, Any], share: Share) -> Self:
        """Append a step that does each row by itself.

        Args:
            task: The step.
            share: What each task takes of a node.
        """
        ...

    def spread(self, share: Share) -> Self:
        """Let each row travel alone from here, so that those of one asset spread over all cores.

        Args:
            share: What it takes of a node.
        """
        ...

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
    ) -> Self:
        """Append a step of workers, each of which makes its operator once and keeps it.

        Args:
            make: Makes the operator.
            row_in: Its row type.
            row_out: The row type it gives back.
            share: What each worker takes of a node.
            workers: How many there are at first, and at most.
            in_flight: Blocks of rows that a worker holds. With two it never waits for the next; but when
                it dies, both are lost. With one, what kills it is alone.
            work: A list column; rows in which it is empty pass the step by.
            batch_rows: Rows an operator is given at once; null gives it rows as they come.
        """
        ...

    def stream(self, fits: Callable[[Sequence[Node]], bool] | None = None) -> Iterator[pa.Table]:
        """Run it and yield tables of what comes out of the last step, as it comes.

        Args:
            fits: Tells whether the workers find room on nodes; where nodes die and it no longer does, the
                pipeline ends early. Null lets it run to its end.
        """
        ...


def begin(row: type, blocks: Sequence[Sequence[Any]]) -> Pipeline:
    """Begin a pipeline with rows of one type; rows of one block are handed out together."""
    if (node := node_here()) is not None:
        from cluster.threads import ThreadPipeline

        return ThreadPipeline(row, blocks, int(node.cpus))
    from cluster.ray_pipeline import RayPipeline  # imports Ray, which takes a second and more

    return RayPipeline.of(row, blocks)
