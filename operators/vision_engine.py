"""One small interface in front of every vision-language model.

The operator knows only this interface, so that an engine can be exchanged by configuration and
replaced by a fake in a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.failure import InputError

Pixels = NDArray[np.uint8]
"""A picture, shape (height, width, 3), RGB."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question: text and pictures in the order in which the model is to meet them."""

    parts: list[str | Pixels]
    visual_tokens: int
    """What the pictures cost by the plan."""
    text_tokens: int
    """What the text costs by the plan; never too low."""
    times: list[float | None]
    """For each picture its time in seconds, null for pages and enlarged parts."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How answers are drawn."""

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0
    repetition_penalty: float = 1.0
    """Above 1 words that were said become less probable (Keskar et al., 2019)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said."""

    text: str
    finished: bool
    """False when the answer was cut off at `max_new_tokens`."""
    input_tokens: int | None
    """Of the whole prompt, pictures included; null where a server does not say."""
    visual_tokens: int | None
    """Of the pictures; null where that cannot be told apart."""
    output_tokens: int | None
    refused: bool = False
    """The server says itself that it declined (a content filter)."""


class VisionEngine(Protocol):
    """Answers questions about pictures."""

    name: str
    """As captions bear it: `transformers:Qwen2-VL-2B-Instruct`."""
    revision: str
    """Which weights, or what the server calls its model."""

    def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
        """Answer requests together, as one batch.

        At temperature 0 what is said of a request does not depend on what it is answered together
        with, as far as the arithmetic of the device allows.

        Returns:
            One outcome for each request, in order; an error for one that cannot be answered while
            others can.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        ...
