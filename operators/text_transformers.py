"""Writing with a causal language model through transformers (the extra `gloss[transformers]`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import torch
from transformers import AutoModelForCausalLM

from operators.model_arguments import OnTorch
from operators.text_chat import Chat
from operators.text_engine import Question
from operators.torch_generate import TorchGenerator, read_answer, within_memory
from operators.vision_engine import Answer, Generation
from schemas.failure import InputError, Reason


class TransformersTextEngine(TorchGenerator):
    """A language model on PyTorch."""

    def __init__(self, folder: Path, *, context: int, **runs: Unpack[OnTorch]) -> None:
        """Load a checkpoint.

        Args:
            folder: As `save_pretrained` writes it, with safetensors.
            context: Most tokens of question and answer together.
            runs: How it runs.

        Raises:
            ValueError: Weights are missing, which the library would make up, or files do not fit.
            MemoryError: It does not fit.
        """
        self._context = context
        self._chat = Chat(folder)
        super().__init__(AutoModelForCausalLM, folder, self._chat.tokenizer, "a language model", **runs)

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer questions together, as one batch.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        prompts = [self._chat.ids(question.text) for question in questions]
        refused = [self._refusal(len(prompt), how) for prompt in prompts]
        chosen = [prompt for prompt, problem in zip(prompts, refused, strict=True) if problem is None]
        answers = iter(within_memory(self._answer, chosen, how) if chosen else [])
        return [next(answers) if problem is None else problem for problem in refused]

    def _refusal(self, tokens: int, how: Generation) -> InputError | None:
        wanted = tokens + how.max_new_tokens
        if wanted <= self._context:
            return None
        msg = (
            f"Wanted a prompt and an answer of at most {self._context} tokens, the window of the model or "
            f"summary.context_tokens; found {wanted}. Lower summary.max_new_tokens, or take a model with a "
            "larger window."
        )
        return InputError(Reason.TOO_LARGE, msg)

    def _answer(self, prompts: Sequence[list[int]], how: Generation) -> list[Answer]:
        longest = max(map(len, prompts))
        pad = self._chat.tokenizer.pad_token_id or 0
        blanks = [longest - len(prompt) for prompt in prompts]
        rows = [[pad] * blank + prompt for blank, prompt in zip(blanks, prompts, strict=True)]
        mask = [[0] * blank + [1] * (longest - blank) for blank in blanks]
        device = self._model.device
        inputs = {
            "input_ids": torch.tensor(rows, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }
        said = self._drawn(inputs, how, longest, pad)
        return [
            read_answer(row, self._ends, self._chat.tokenizer, input_tokens=len(prompt))
            for row, prompt in zip(said, prompts, strict=True)
        ]
