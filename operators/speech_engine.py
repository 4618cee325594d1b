"""One small interface in front of every recogniser of speech.

The operator knows only this interface, so that an engine can be exchanged by configuration
and replaced by a fake in a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.perception import Word

SAMPLE_RATE = 16_000
"""Samples a second, as Whisper and the voice detector want them."""

PIECE_SECONDS = 30.0
"""The longest piece: Whisper's encoder sees exactly so much."""

Samples = NDArray[np.float32]
"""Mono at `SAMPLE_RATE`, shape (samples,), -1 to 1."""

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Temperatures that Whisper tries one after the other (Radford et al., 2022, section 4.5)."""

MAX_COMPRESSION_RATIO = 2.4
MIN_LOG_PROBABILITY = -1.0
MAX_NO_SPEECH_PROBABILITY = 0.6
"""Beyond these a transcript is not trusted (Radford et al., 2022, section 4.5)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Words that were heard together. Times are seconds from the start of the piece."""

    text: str
    start_seconds: float
    end_seconds: float
    words: list[Word]
    """Each as it stands in the text: with the space before it, where there is one."""
    log_probability: float
    """Mean over the tokens."""
    compression_ratio: float
    temperature: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard in one piece."""

    language: str | None
    """ISO 639-1; null when the engine cannot tell."""
    language_probability: float | None
    """1 where the language was given."""
    no_speech_probability: float
    heard: list[Heard] = field(default_factory=list)
    """In order of time; empty when nothing was said."""


class SpeechEngine(Protocol):
    """Recognises speech in short pieces."""

    name: str
    """As utterances bear it: `faster-whisper:small`."""
    revision: str
    """Which weights hear."""

    def transcribe(
        self,
        pieces: Sequence[Samples],
        languages: Sequence[str | None],
        temperatures: Sequence[float] = (0.0,),
    ) -> list[Transcript]:
        """Recognise pieces together, as one batch.

        What is heard in a piece does not depend on what it is recognised together with.

        Args:
            pieces: Each of at most `PIECE_SECONDS`.
            languages: For each piece the language to take; null detects it.
            temperatures: With several, a piece whose transcript is too repetitive or too
                improbable at one is heard again at the next.

        Returns:
            One transcript for each piece, in order.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        ...
