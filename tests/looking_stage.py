"""A stage of Ray's that stands in for vLLM, which wants a GPU: it answers from the pictures it gets.

Needs what `ray.data.llm` imports (aiohttp).
"""

import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import ray.data
from ray.llm._internal.batch.processor.base import OfflineProcessorConfig, Processor
from ray.llm._internal.batch.stages.base import StatefulStage, StatefulStageUDF

from cluster.vllm import Rows, bound_retries
from operators.vision_vllm import ERROR
from tests.openai_server import COLOURS

Row = dict[str, Any]


def answered(text: str, tokens: int = 7, **more: object) -> Row:
    """Columns as Ray's stage gives them."""
    columns = {
        "generated_text": text,
        "num_generated_tokens": tokens,
        "num_input_tokens": 90,
        "time_taken_llm": 0.25,
        "prompt_token_ids": [1, 2],
        "embeddings": None,
        "metrics": {},
        ERROR: "",
    }
    return {**columns, **more}


class Looking(StatefulStageUDF):
    """Stands in for vLLM: answers from the pixels, as Ray's stage does, in another order."""

    async def udf(self, rows: list[Row]) -> AsyncIterator[Row]:  # type: ignore[override]
        """Answer; refuse green as vLLM refuses a prompt, die of purple as a driver would."""
        for row in reversed(rows):
            pictures = row.pop("multimodal_data")["image"]
            row.pop("sampling_params")
            names = [self._colour(picture) for picture in pictures]
            if "purple" in names:
                os.kill(os.getpid(), signal.SIGKILL)
            index = {self.IDX_IN_BATCH_COLUMN: row[self.IDX_IN_BATCH_COLUMN]}
            if "green" in names:
                yield {**answered("", 0, time_taken_llm=-1, **{ERROR: "ValueError: too green"}), **index}
            else:
                yield {**answered(f"One after the other the frames are {' and '.join(names)}."), **index}

    @staticmethod
    def _colour(picture: Any) -> str:
        [pixel] = {tuple(value) for value in np.asarray(picture).reshape(-1, 3).tolist()}
        return next(name for name, colour in COLOURS.items() if colour == pixel)


class LookingStage(StatefulStage):
    """The stage of it."""

    fn: type[StatefulStageUDF] = Looking

    def get_required_input_keys(self) -> dict[str, str]:
        """As Ray's."""
        return {"messages": "", "sampling_params": ""}


def build_looking(arguments: Row, rows: Rows, task: Row) -> Callable[[ray.data.Dataset], ray.data.Dataset]:
    """Ray's own processor around a stage that needs no GPU."""
    settings = OfflineProcessorConfig(
        model_source=arguments["model_source"],
        batch_size=arguments["batch_size"],
        should_continue_on_error=arguments["should_continue_on_error"],
    )
    stage = LookingStage(
        map_batches_kwargs={
            "zero_copy_batch": True,
            "compute": ray.data.ActorPoolStrategy(
                size=1, max_tasks_in_flight_per_actor=arguments.get("max_tasks_in_flight_per_actor")
            ),
            "num_cpus": 0.25,
        }
    )
    processor: Any = Processor(settings, [stage], rows.to_ray, rows.from_ray, task, task)
    bound_retries(processor)
    return processor  # type: ignore[no-any-return]
