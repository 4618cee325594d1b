"""Captions by vLLM on GPUs, through the pipeline Ray has for it (`ray.data.llm`): settings and rows.

Ray's stages stand in the graph where otherwise our own actor does (`cluster.vllm`): one that lays
out the prompt, and one that holds the engine. A look is asked once only, because Ray's stage gives
an answer and no second chance. Rows with nothing to show take the way that Ray keeps for rows in
error: every stage hands them on untouched.

Not yet run on a GPU: vLLM itself. What is checked without one is that Ray's own classes take these
settings, and that rows go through Ray's own processor and come back whole.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import pyarrow as pa
from PIL import Image

from operators.asked import Asked, conditions, lost, most_new_tokens
from operators.prompt_files import Prompt
from operators.prompts import request_of
from operators.vision_engine import Answer, Generation, Request
from operators.vision_engines import context_of, vision_name, vision_revision
from operators.vision_models import vision_folder
from operators.vlm import all_prompts, finish
from schemas.arrow import from_table, to_table
from schemas.config import Config
from schemas.failure import InputError, Reason
from schemas.perception import Perception

Row: TypeAlias = dict[str, Any]

ERROR = "__inference_error__"
"""Ray's name for the column that says what went wrong with a row; such rows pass all stages by."""

PASSES = "nothing to look at"
"""What stands there of rows that pass by because nothing is asked of them."""

PACKED = "perception"
"""A whole row as the bytes of an Arrow stream: Ray's stages would turn its lists into arrays."""

_ANSWERED = ("generated_text", "num_generated_tokens", "num_input_tokens", "time_taken_llm")
"""Ray's columns of an answer that are kept."""

_PROMPT_TOKENS = 1024
"""Room for the words of a prompt, its labels and the marks of a chat, beyond what is quoted."""

_SEQUENCES = 256
"""What vLLM answers at once on most GPUs; Ray's default of batches would feed it half of that."""

_GPU_SHARE = 0.9
"""Of its GPU, or of its share of one: vLLM's own default."""

_TOO_LONG = ("maximum model length", "max_model_len", "context length", "too long")


def processor_arguments(
    config: Config, model_source: str | None = None, *, workers: int = 1, careful: bool = False
) -> Row:
    """Make the arguments of Ray's `vLLMEngineProcessorConfig`.

    Args:
        config: Of the run, its vision resolved.
        model_source: Folder of the checkpoint, at the same path on every node; null takes that of
            the configuration.
        workers: How many copies of the model.
        careful: Whether to hand out one look at a time, so that what kills an engine is alone.
    """
    use = config.resources
    batch = 1 if careful else use.looks_per_batch()
    cpu_stage = {"num_cpus": use.vision_cpus, "concurrency": (1, workers)}
    arguments: Row = {
        "model_source": str(vision_folder(config.vision)) if model_source is None else model_source,
        "engine_kwargs": _engine_arguments(config),
        "batch_size": batch,
        "max_concurrent_batches": 1 if careful else max(1, math.ceil(_SEQUENCES / batch)),
        "concurrency": (workers, workers),
        # Without it one prompt that vLLM refuses fails all rows of its batch.
        "should_continue_on_error": True,
        "log_engine_metrics": False,
        # Pictures are handed to the engine as they are, and their places to the chat template.
        "prepare_multimodal_stage": False,
        "chat_template_stage": {"enabled": True, **cpu_stage},
        # vLLM does both by itself; the tokenizer of the processor would have to agree with it.
        "tokenize_stage": False,
        "detokenize_stage": False,
    }
    if careful:
        # What an engine holds besides dies with it.
        arguments["max_tasks_in_flight_per_actor"] = 1
    if 0 < use.vision_gpus < 1:
        arguments["placement_group_config"] = {"bundles": [{"CPU": 1, "GPU": use.vision_gpus}]}
    return arguments


def _engine_arguments(config: Config) -> Row:
    vision, gpus = config.vision, config.resources.vision_gpus
    return {
        "max_model_len": _longest(config),
        "limit_mm_per_prompt": {"image": vision.max_frames + vision.max_details},
        "dtype": "bfloat16" if vision.precision == "auto" else vision.precision,
        "seed": vision.seed,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "tensor_parallel_size": max(1, int(gpus)),
        "gpu_memory_utilization": round(_GPU_SHARE * (gpus if 0 < gpus < 1 else 1), 3),
    }


def _longest(config: Config) -> int:
    """Sum up the longest question and answer there can be; the model's own limit is never passed.

    vLLM keeps room for what it is told; the full length of a model (32,768 and more) would leave
    room for few looks at once.
    """
    vision = config.vision
    answer = most_new_tokens(vision, "read" if vision.pages == "read" else "caption")
    needed = vision.max_visual_tokens + vision.max_quoted_tokens + _PROMPT_TOKENS + answer
    known = context_of(vision)
    return needed if known is None else min(needed, known)


# --- a row on its way to Ray's stages and back -----------------------------------------------


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def pack(perception: Perception) -> bytes:
    """Write a row into one value."""
    return _stream(to_table(Perception, [perception]))


def unpack(value: bytes) -> Perception:
    """Read what `pack` wrote."""
    with pa.ipc.open_stream(value) as reader:
        [perception] = from_table(Perception, reader.read_all())
    return perception


class VllmRows:
    """Takes perceptions to Ray's stages and back, as `cluster.vllm` wants it. It travels to workers."""

    def __init__(
        self,
        config: Config,
        *,
        prompts: Mapping[str, Prompt] | None = None,
        name: str | None = None,
        revision: str | None = None,
    ) -> None:
        """Load the prompts.

        Args:
            config: Of the run, its vision resolved.
            prompts: By name, instead of those of the configuration.
            name: Of engine and model; null takes that of the configuration.
            revision: Which weights; null takes those of the configuration.

        Raises:
            ConfigError: A prompt cannot be used.
            CheckpointError: The weights are not there.
        """
        self.vision = config.vision
        self.prompts = dict(all_prompts(config.vision) if prompts is None else prompts)
        self.name = vision_name(config.vision) if name is None else name
        self.revision = vision_revision(config.vision) if revision is None else revision

    def packed(self, table: pa.Table) -> pa.Table:
        """Write each `Perception` of a table into one value, which no stage looks into."""
        rows = [_stream(table.slice(at, 1)) for at in range(table.num_rows)]
        return pa.table({PACKED: pa.array(rows, pa.large_binary())})

    def to_ray(self, row: Row) -> Row:
        """Make of a packed row what Ray's stages want; of one that is not to be asked, one they pass by."""
        perception = unpack(row[PACKED])
        if not perception.shown:
            return {PACKED: row[PACKED], ERROR: PASSES}
        try:
            asked = Asked(perception, self.prompts)
            request = request_of(asked.look, perception.shown, asked.prompt)
        except InputError as error:
            return {PACKED: pack(lost(perception, error)), ERROR: PASSES}
        how = conditions(self.vision, asked.prompt.name)
        # Its pixels go on as pictures, and not a second time.
        return {PACKED: pack(replace(perception, shown=[])), ERROR: "", **question_of(request, how)}

    def from_ray(self, row: Row) -> Row:
        """Keep of an answered row what an answer is made of."""
        return {name: row[name] for name in (PACKED, *_ANSWERED)}

    def finished(self, table: pa.Table) -> pa.Table:
        """Turn what came out of Ray's stages into perceptions again, in its order.

        Args:
            table: With `PACKED`, `ERROR` and, of answered rows, the columns of an answer.
        """
        wanted = [name for name in (PACKED, ERROR, *_ANSWERED) if name in table.column_names]
        return to_table(Perception, map(self._finished, table.select(wanted).to_pylist()))

    def _finished(self, row: Row) -> Perception:
        perception = unpack(row[PACKED])
        look = perception.unit.look
        most = conditions(self.vision, look.prompt if look else "").max_new_tokens
        outcome = answer_of(row, most)
        if outcome is None:
            return perception
        return finish(
            perception,
            outcome,
            prompts=self.prompts,
            name=self.name,
            revision=self.revision,
            seconds=max(0.0, float(row.get("time_taken_llm") or 0.0)),
        )


def question_of(request: Request, how: Generation) -> Row:
    """Write a request as Ray's stages take it: a chat with places for pictures, and the pictures."""
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
        for part in request.parts
    ]
    pictures = [Image.fromarray(part) for part in request.parts if not isinstance(part, str)]
    sampling = {
        "max_tokens": how.max_new_tokens,
        "temperature": how.temperature,
        "seed": how.seed,
        "repetition_penalty": how.repetition_penalty,
    }
    return {
        "messages": [{"role": "user", "content": content}],
        "multimodal_data": {"image": pictures},
        "sampling_params": sampling,
    }


def answer_of(row: Row, most: int) -> Answer | InputError | None:
    """Read what became of a look; None for one that was not asked.

    Ray does not hand on why an answer ended: one as long as it may be counts as cut off.

    Args:
        row: As Ray's stages give it.
        most: Tokens the answer may have had.
    """
    if error := row.get(ERROR):
        return None if error == PASSES else _refused(str(error))
    text, tokens = row.get("generated_text"), row.get("num_generated_tokens")
    if text is None or tokens is None:
        msg = "Wanted the columns of an answer from Ray's vLLM stage; found none. Is this another release?"
        return InputError(Reason.INTERNAL, msg)
    return Answer(
        text=text,
        finished=int(tokens) < most,
        input_tokens=int(row["num_input_tokens"]),
        visual_tokens=None,
        output_tokens=int(tokens),
    )


def _refused(error: str) -> InputError:
    """Turn the message of an exception inside the stage into the reason of a failure."""
    said = " ".join(error.split())[:300].rstrip(".")
    msg = f"Wanted an answer from vLLM; found {said}."
    lowered = said.lower()
    if any(words in lowered for words in _TOO_LONG):
        advice = "Lower vision.max_visual_tokens or vision.max_quoted_tokens."
        return InputError(Reason.TOO_LARGE, f"{msg} {advice}")
    if "out of memory" in lowered or lowered.startswith("memoryerror"):
        return InputError(Reason.MEMORY, f"{msg} Lower vision.max_visual_tokens.", transient=True)
    return InputError(Reason.INTERNAL, msg)
