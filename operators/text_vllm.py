"""Writing with vLLM on a GPU (the extra `gloss[vllm]`), loaded in the worker.

vLLM forms batches of its own, keeps its weights in a process of its own, and can hold an answer to a JSON
schema.

Not yet run: it needs a GPU. What is checked without one is what it is asked with.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from operators.text_engine import Question
from operators.vision_engine import Answer, Generation
from operators.vision_plain_text import control_tokens, plain_text
from schemas.failure import InputError, Reason

_GPU_SHARE = 0.9
"""Of its GPU, or of its share of one: vLLM's own default."""


class VllmTextEngine:
    """A language model in vLLM; it is loaded by the first question."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str,
        precision: str,
        context: int,
        gpu: float,
        seed: int,
    ) -> None:
        """Prepare without loading anything.

        Args:
            folder: As `save_pretrained` writes it, with safetensors.
            name: Of engine and model.
            revision: Of library and weights.
            precision: As configured.
            context: Most tokens of question and answer together.
            gpu: GPUs, or a share of one.
            seed: Of the engine.
        """
        self.name = name
        self.revision = revision
        self.arguments = {
            "model": str(folder),
            "dtype": "bfloat16" if precision == "auto" else precision,
            "max_model_len": context,
            "seed": seed,
            "trust_remote_code": False,
            "load_format": "safetensors",
            "tensor_parallel_size": max(1, int(gpu)),
            "gpu_memory_utilization": round(_GPU_SHARE * (gpu if 0 < gpu < 1 else 1), 3),
            # What a checkpoint says of sampling is its own habit, and changes answers.
            "generation_config": "vllm",
        }
        self._llm: Any = None

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer questions together.

        Raises:
            MemoryError: The GPU has no room for them.
        """
        llm = self._loaded()
        tokenizer = llm.get_tokenizer()
        control = control_tokens(tokenizer)
        chats = [
            [{"role": "user", "content": plain_text(question.text, tokenizer, control)}]
            for question in questions
        ]
        try:
            outputs = llm.chat(
                chats,
                sampling_params=[_sampling(question, how) for question in questions],
                use_tqdm=False,
                chat_template_kwargs={"enable_thinking": False},
            )
        except RuntimeError as error:
            if "out of memory" not in str(error).lower():
                raise
            raise MemoryError(str(error)) from error
        return [_answer(output) for output in outputs]

    def close(self) -> None:
        """Let go of the engine, which ends its process."""
        self._llm = None

    def _loaded(self) -> Any:
        if self._llm is None:
            from vllm import LLM

            self._llm = LLM(**self.arguments)
        return self._llm


def sampling_arguments(how: Generation) -> dict[str, Any]:
    """Make the arguments of vLLM's `SamplingParams`, the schema aside."""
    return {
        "max_tokens": how.max_new_tokens,
        "temperature": how.temperature,
        "seed": how.seed,
        "repetition_penalty": how.repetition_penalty,
    }


def _sampling(question: Question, how: Generation) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    held = None if question.schema is None else StructuredOutputsParams(json=dict(question.schema))
    return SamplingParams(**sampling_arguments(how), structured_outputs=held)


def _answer(output: Any) -> Answer | InputError:
    """Read a `RequestOutput`."""
    if not output.outputs:
        return InputError(Reason.NO_ANSWER, "Wanted an answer from vLLM; found a request without one.")
    said = output.outputs[0]
    return Answer(
        text=said.text.strip(),
        finished=said.finish_reason != "length",
        input_tokens=len(output.prompt_token_ids or []),
        visual_tokens=None,
        output_tokens=len(said.token_ids),
    )
