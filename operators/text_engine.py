"""One small interface in front of every language model that writes summaries.

The operator knows only this interface, so that an engine can be exchanged by configuration and
replaced by a fake in a test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from operators.vision_engine import Answer, Generation
from schemas.failure import InputError


@dataclass(frozen=True, slots=True)
class Question:
    """One question, whole: a language model is told nothing else."""

    text: str
    tokens: int
    """Of the text; never too low."""
    schema: Mapping[str, Any] | None = None
    """The JSON schema of the answer, for engines that can hold a model to one."""


class TextEngine(Protocol):
    """Answers questions in words."""

    name: str
    """As summaries bear it: `transformers:Qwen2.5-1.5B-Instruct`."""
    revision: str
    """Which weights, or what the server calls its model."""

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer questions together, as one batch.

        At temperature 0 what is said of a question does not depend on what it is answered together
        with, as far as the arithmetic of the device allows.

        Returns:
            One outcome for each question, in order; an error for one that cannot be answered while
            others can.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        ...
