"""Looking with a vision-language model through transformers (the extra `gloss[transformers]`).

Any model of a family that `operators.visual_tokens` knows, in a folder as `save_pretrained` writes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import torch
from transformers import AutoModelForImageTextToText

from operators.model_arguments import OnTorch
from operators.torch_generate import TorchGenerator, read_answer, within_memory
from operators.vision_checkpoints import context_tokens
from operators.vision_engine import Answer, Generation, Request
from operators.vision_processing import Inputs, Processing
from schemas.failure import InputError, Reason


class TransformersVisionEngine(TorchGenerator):
    """A vision-language model on PyTorch."""

    def __init__(self, folder: Path, **runs: Unpack[OnTorch]) -> None:
        """Load a checkpoint.

        Args:
            folder: As `save_pretrained` writes it, with safetensors.
            runs: How it runs.

        Raises:
            ValueError: Weights are missing, which the library would make up, or files do not fit.
            MemoryError: It does not fit.
        """
        self._context = context_tokens(folder)
        self._processing = Processing(folder)
        tokenizer = self._processing.tokenizer
        super().__init__(AutoModelForImageTextToText, folder, tokenizer, "a vision-language model", **runs)

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
                answers = within_memory(self._answer, [requests[index] for index in chosen], how)
                outcomes.update(zip(chosen, answers, strict=True))
        return [outcomes[index] for index in range(len(requests))]

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
        tokenizer = self._processing.tokenizer
        said = self._drawn(self._on_device(inputs), how, begun, tokenizer.pad_token_id)
        return [
            read_answer(row, self._ends, tokenizer, input_tokens=whole, visual_tokens=visual)
            for row, visual, whole in zip(said, inputs.visual_tokens, inputs.input_tokens, strict=True)
        ]

    def _on_device(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        return {
            name: tensor.to(self._model.device, self._model.dtype if tensor.is_floating_point() else None)
            for name, tensor in inputs.tensors.items()
        }


def _has_encoder(model: Any) -> bool:
    """Tell whether the prompt has a part of the model for itself, as with T5: answers come without it."""
    return bool(model.config.get_text_config().is_encoder_decoder)
