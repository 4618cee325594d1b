"""Looking with a vision-language model through transformers (the extra `gloss[transformers]`).

Any model of a family that `operators.visual_tokens` knows, in a folder as `save_pretrained` writes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from operators.torch_generate import drawn_as, ends_of, load_pretrained, penalty_of, release, within_memory
from operators.vision_checkpoints import context_tokens
from operators.vision_engine import Answer, Generation, Request
from operators.vision_processing import Inputs, Processing
from schemas.failure import InputError, Reason


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
        self._model = within_memory(
            load_pretrained,
            AutoModelForImageTextToText,
            folder,
            dtype,
            self._device,
            "a vision-language model",
        )
        self._ends = ends_of(self._model, self._processing.tokenizer)

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

    def close(self) -> None:
        """Let go of the model and its memory."""
        self._model = None
        release()

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
                generation_config=drawn_as(
                    how, self._model, self._ends, self._processing.tokenizer.pad_token_id
                ),
                logits_processor=penalty_of(how, begun),
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


def _has_encoder(model: Any) -> bool:
    """Tell whether the prompt has a part of the model for itself, as with T5: answers come without it."""
    return bool(model.config.get_text_config().is_encoder_decoder)
