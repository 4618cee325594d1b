"""Writing with a vision-language model that is shown no picture: the one that captions can write as well."""

from collections.abc import Sequence
from pathlib import Path

from operators.text_engine import Question
from operators.vision_engine import Answer, Generation, Request
from operators.vision_transformers import TransformersVisionEngine
from schemas.failure import InputError


class SightedTextEngine:
    """Asks a vision-language model on PyTorch in words alone."""

    def __init__(
        self, folder: Path, *, name: str, revision: str, precision: str, threads: int, gpu: bool
    ) -> None:
        """Load a checkpoint; arguments and errors as of `TransformersVisionEngine`."""
        self.name = name
        self.revision = revision
        self._engine = TransformersVisionEngine(
            folder, name=name, revision=revision, precision=precision, threads=threads, gpu=gpu
        )

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer questions together, as one batch.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        requests = [Request([question.text], 0, question.tokens, []) for question in questions]
        return self._engine.generate(requests, how)

    def close(self) -> None:
        """Let go of the model and its memory."""
        self._engine.close()
