"""Looking with a vision-language model through transformers (the extra `gloss[transformers]`).

Any model of a family that `operators.visual_tokens` knows, in a folder as `save_pretrained` writes it.
"""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from transformers import (
    AutoModelForImageTextToText,
    GenerationConfig,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)

from operators.vision_checkpoints import context_tokens
from operators.vision_engine import Answer, Generation, Request
from operators.vision_processing import Inputs, Processing
from schemas.failure import InputError, Reason

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class TransformersVisionEngine:
    """A vision-language model on PyTorch."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str,
        precision: str,
        threads: int,
        gpu: bool,
    ) -> None:
        """Load a checkpoint.

        Args:
            folder: As `save_pretrained` writes it, with safetensors.
            name: Of engine and model.
            revision: Of library and weights.
            precision: Name of a type of PyTorch.
            threads: Of one inference on a CPU.
            gpu: Whether it runs on a GPU.

        Raises:
            ValueError: Weights are missing, which the library would make up, or files do not fit.
            MemoryError: It does not fit.
        """
        self.name = name
        self.revision = revision
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if gpu else "cpu")
        self._context = context_tokens(folder)
        self._processing = Processing(folder)
        dtype = getattr(torch, precision)
        self._model = _within_memory(_load, folder, dtype, self._device)
        self._ends = _ends(self._model, self._processing.tokenizer)

    def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
        """Answer requests together, as one batch.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        outcomes: dict[int, Answer | InputError] = {}
        for index, request in enumerate(requests):
            if (problem := self._refusal(request, how)) is not None:
                outcomes[index] = problem
        for has_pictures in (True, False):
            chosen = [
                index
                for index, request in enumerate(requests)
                if index not in outcomes and bool(self._processing.sizes(request)) == has_pictures
            ]
            if chosen:
                answers = _within_memory(self._answer, [requests[index] for index in chosen], how)
                outcomes.update(zip(chosen, answers, strict=True))
        return [outcomes[index] for index in range(len(requests))]

    def close(self) -> None:
        """Let go of the model and its memory."""
        self._model = None
        _release()

    def _refusal(self, request: Request, how: Generation) -> InputError | None:
        try:
            wanted = self._processing.length(request) + how.max_new_tokens
        except ValueError as error:
            return InputError(Reason.REFUSAL, str(error))
        if self._context is None or wanted <= self._context:
            return None
        msg = (
            f"Wanted a prompt and an answer of at most {self._context} tokens, which the model takes; found "
            f"{wanted}. Lower vision.max_visual_tokens, vision.max_quoted_tokens or vision.max_new_tokens."
        )
        return InputError(Reason.TOO_LARGE, msg)

    def _answer(self, requests: Sequence[Request], how: Generation) -> list[Answer]:
        inputs = self._processing.inputs(requests)
        begun = 1 if _has_encoder(self._model) else inputs.tensors["input_ids"].shape[1]
        with torch.inference_mode():
            torch.manual_seed(how.seed)
            sequences = self._model.generate(
                **self._on_device(inputs),
                generation_config=self._config(how),
                logits_processor=_penalty(how, begun),
            )
        rows = sequences[:, begun:].tolist()
        return [
            self._read(row, visual, whole)
            for row, visual, whole in zip(rows, inputs.visual_tokens, inputs.input_tokens, strict=True)
        ]

    def _read(self, row: Sequence[int], visual: int, whole: int) -> Answer:
        end = next((index for index, token in enumerate(row) if token in self._ends), None)
        said = list(row if end is None else row[:end])
        return Answer(
            text=self._processing.tokenizer.decode(said, skip_special_tokens=True).strip(),
            finished=end is not None,
            input_tokens=whole,
            visual_tokens=visual,
            output_tokens=len(said) + (end is not None),
        )

    def _on_device(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        return {
            name: tensor.to(self._device, self._model.dtype if tensor.is_floating_point() else None)
            for name, tensor in inputs.tensors.items()
        }

    def _config(self, how: Generation) -> GenerationConfig:
        draws: dict[str, Any] = {"do_sample": False}
        if how.temperature > 0:
            draws = {"do_sample": True, "temperature": how.temperature, "top_k": 0, "top_p": 1.0}
        genuine = self._model.generation_config
        text = self._model.config.get_text_config()
        start = genuine.decoder_start_token_id or getattr(text, "decoder_start_token_id", None)
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=how.max_new_tokens,
            bos_token_id=genuine.bos_token_id,
            eos_token_id=self._ends,
            pad_token_id=self._processing.tokenizer.pad_token_id,
            decoder_start_token_id=start,
            **draws,
        )


def _load(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    model, loading = loaded
    if missing := sorted(loading["missing_keys"]):
        msg = (
            f"Wanted all weights of a vision-language model in {folder}; found none for "
            f"{', '.join(missing[:3])} ({len(missing)} are missing). Take the folder as it was saved."
        )
        raise ValueError(msg)
    _forget_habits(model)
    return model.to(device).eval()


def _forget_habits(model: Any) -> None:
    """Leave of what a checkpoint says about decoding only its tokens.

    What a request does not set, the library takes from there: Qwen2.5-VL's penalty of 1.05 also
    for words of the prompt, and its sampling.
    """
    for part in model.modules():
        genuine = getattr(part, "generation_config", None)
        if genuine is not None:
            part.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
                bos_token_id=genuine.bos_token_id,
                eos_token_id=genuine.eos_token_id,
                pad_token_id=genuine.pad_token_id,
                decoder_start_token_id=genuine.decoder_start_token_id,
            )


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """List the tokens that end an answer."""
    stated = (model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id)
    flat = [token for one in stated for token in (one if isinstance(one, list) else [one])]
    return sorted({token for token in [*flat, tokenizer.eos_token_id] if token is not None})


def _has_encoder(model: Any) -> bool:
    """Tell whether the prompt has a part of the model for itself, as with T5: answers come without it."""
    return bool(model.config.get_text_config().is_encoder_decoder)


def _penalty(how: Generation, begun: int) -> LogitsProcessorList:
    """Make words that were said less probable; not those of the prompt, which are there to be quoted."""
    if how.repetition_penalty == 1.0:
        return LogitsProcessorList()
    return LogitsProcessorList(
        [RepetitionPenaltyLogitsProcessor(how.repetition_penalty, prompt_ignore_length=begun)]
    )


def _within_memory(call: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs) -> _Result:
    """Call, and turn every way of running out of memory into a `MemoryError`, with the memory freed."""
    try:
        return call(*given, **named)
    except torch.OutOfMemoryError as error:
        message = str(error)
    except RuntimeError as error:
        # The allocator for CPUs has no exception of its own.
        message = str(error)
        if "out of memory" not in message.lower() and "can't allocate memory" not in message.lower():
            raise
    # Only here, where no frame of the failed call holds its tensors any longer.
    _release()
    raise MemoryError(message)


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
