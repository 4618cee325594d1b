"""Writing with a causal language model through transformers (the extra `gloss[transformers]`)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from operators.text_chat import Chat
from operators.text_engine import Question
from operators.torch_generate import drawn_as, ends_of, load_pretrained, penalty_of, release, within_memory
from operators.vision_engine import Answer, Generation
from schemas.failure import InputError, Reason


class TransformersTextEngine:
    """A language model on PyTorch."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str,
        precision: str,
        threads: int,
        gpu: bool,
        context: int,
    ) -> None:
        """Load a checkpoint.

        Args:
            folder: As `save_pretrained` writes it, with safetensors.
            name: Of engine and model.
            revision: Of library and weights.
            precision: Name of a type of PyTorch.
            threads: Of one inference on a CPU.
            gpu: Whether it runs on a GPU.
            context: Most tokens of question and answer together.

        Raises:
            ValueError: Weights are missing, which the library would make up, or files do not fit.
            MemoryError: It does not fit.
        """
        self.name = name
        self.revision = revision
        torch.set_num_threads(threads)
        self._context = context
        self._chat = Chat(folder)
        device = torch.device("cuda" if gpu else "cpu")
        self._model = within_memory(
            load_pretrained,
            AutoModelForCausalLM,
            folder,
            getattr(torch, precision),
            device,
            "a language model",
        )
        self._ends = ends_of(self._model, self._chat.tokenizer)

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

    def close(self) -> None:
        """Let go of the model and its memory."""
        self._model = None
        release()

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
        with torch.inference_mode():
            torch.manual_seed(how.seed)
            sequences = self._model.generate(
                input_ids=torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=drawn_as(how, self._model, self._ends, pad),
                logits_processor=penalty_of(how, longest),
            )
        said = sequences[:, longest:].tolist()
        return [self._read(row, len(prompt)) for row, prompt in zip(said, prompts, strict=True)]

    def _read(self, row: Sequence[int], prompt_tokens: int) -> Answer:
        end = next((index for index, token in enumerate(row) if token in self._ends), None)
        said = list(row if end is None else row[:end])
        return Answer(
            text=self._chat.tokenizer.decode(said, skip_special_tokens=True).strip(),
            finished=end is not None,
            input_tokens=prompt_tokens,
            visual_tokens=None,
            output_tokens=len(said) + (end is not None),
        )
