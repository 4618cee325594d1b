"""From the tokens of a Whisper model to words with times.

Both engines share this: what a model wrote is trusted or not by Whisper's rules, its tokens are
grouped into words, and each word gets the time at which the model's cross-attention rested on it.
The grouping and the repairs of long words are faster-whisper's, which follow OpenAI's. They are
applied to one piece at a time: in a batch, faster-whisper lets the end of one piece bear upon
the first word of the next.

Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, section 4.5.
Word times: https://github.com/openai/whisper, `whisper/timing.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import WhisperModel, get_compression_ratio
from numpy.typing import NDArray

from operators.speech_engine import (
    MAX_COMPRESSION_RATIO,
    MAX_NO_SPEECH_PROBABILITY,
    MIN_LOG_PROBABILITY,
    SAMPLE_RATE,
    Heard,
    Transcript,
)
from schemas.perception import Word

FRAMES_PER_SECOND = 100
"""Of the log-mel spectrogram."""

MAX_FRAMES = 3000

_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"
"""Punctuation that belongs to the next and to the previous word, as in OpenAI's code."""

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which frame each token rests on."""

    alignments: Sequence[tuple[int, int]]
    """Pairs of token and frame (of 20 ms) along the path of least cost, as CTranslate2 names it."""
    text_token_probs: Sequence[float]
    """Probability of each token among those of text."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote for a piece."""

    tokens: list[int]
    """Of text alone."""
    text: str
    log_probability: float
    no_speech_probability: float
    temperature: float

    @property
    def compression_ratio(self) -> float:
        """Tell how often the text repeats itself."""
        return compression_ratio(self.text)

    @property
    def is_silence(self) -> bool:
        """Whether the model itself says that nobody speaks."""
        return (
            self.no_speech_probability > MAX_NO_SPEECH_PROBABILITY
            and self.log_probability < MIN_LOG_PROBABILITY
        )

    @property
    def is_trusted(self) -> bool:
        """Whether no other temperature needs to be tried."""
        fails = self.compression_ratio > MAX_COMPRESSION_RATIO or self.log_probability < MIN_LOG_PROBABILITY
        return self.is_silence or not fails


def compression_ratio(text: str) -> float:
    """Divide the length of a text by its compressed length, as Whisper does."""
    return float(get_compression_ratio(text))


def best(tried: Sequence[Written]) -> Written:
    """Choose among transcripts of which none is trusted: the most probable that does not repeat."""
    plain = [written for written in tried if written.compression_ratio <= MAX_COMPRESSION_RATIO]
    return max(plain or tried, key=lambda written: written.log_probability)


def count_frames(samples: int) -> int:
    """Count the frames of the spectrogram that hold sound, at least one that the decoder can look at."""
    return min(MAX_FRAMES, max(2, -(-samples * FRAMES_PER_SECOND // SAMPLE_RATE)))


def transcript(
    written: Written,
    alignment: Alignment,
    tokenizer: Tokenizer,
    seconds: float,
    language: tuple[str, float],
) -> Transcript:
    """Put together what was heard in one piece.

    Args:
        written: What the model wrote.
        alignment: Of its tokens.
        tokenizer: Of the language.
        seconds: Length of the piece; no word ends later.
        language: With its probability.
    """
    code, probability = language
    heard = []
    if written.text and not written.is_silence:
        words = _words(written.tokens, alignment, tokenizer, seconds)
        heard = [
            Heard(
                text=written.text,
                start_seconds=words[0].start_seconds if words else 0.0,
                end_seconds=words[-1].end_seconds if words else round(seconds, 2),
                words=words,
                log_probability=round(written.log_probability, 4),
                compression_ratio=round(written.compression_ratio, 4),
                temperature=written.temperature,
            )
        ]
    return Transcript(code, round(probability, 4), round(written.no_speech_probability, 4), heard)


def _words(tokens: list[int], alignment: Alignment, tokenizer: Tokenizer, seconds: float) -> list[Word]:
    segment: dict[str, Any] = {"seek": 0, "start": 0.0, "end": seconds, "tokens": tokens}
    WhisperModel.add_word_timestamps(
        _OnePiece(alignment), [[segment]], tokenizer, None, 0, _PREPENDED, _APPENDED, 0.0
    )
    return [
        _word_within(timed["word"], timed["start"], timed["end"], timed["probability"], seconds)
        for timed in segment["words"]
        if timed["word"].strip()
    ]


def _word_within(text: str, start: float, end: float, probability: float, seconds: float) -> Word:
    """Make a word that lies inside its piece: the model sees 30 s, however short the piece is."""
    first = min(max(float(start), 0.0), seconds)
    last = min(max(float(end), first), seconds)
    return Word(text, round(first, 2), round(last, 2), round(float(probability), 4))


class _OnePiece:
    """Stands in for faster-whisper's model where the alignment of one piece is known."""

    frames_per_second = FRAMES_PER_SECOND
    tokens_per_second = FRAMES_PER_SECOND // 2
    find_alignment = WhisperModel.find_alignment

    def __init__(self, alignment: Alignment) -> None:
        self.model = self
        self._alignment = alignment

    def align(self, *_: object, **__: object) -> list[Alignment]:
        return [self._alignment]


def time_warp(cost: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Find the path of least cost from the first to the last cell that never goes back.

    Dynamic time warping (Sakoe and Chiba, 1978), one diagonal of cells at a time: 100 tokens by
    1,500 frames take 20 ms, cell by cell in Python 400 ms.

    Args:
        cost: Of resting on a frame, shape (tokens, frames).

    Returns:
        Pairs of token and frame, in order.
    """
    tokens, frames = cost.shape
    total = np.full((tokens + 1, frames + 1), np.inf, np.float64)
    total[0, 0] = 0
    step = np.zeros((tokens + 1, frames + 1), np.int8)
    step[0, :], step[:, 0] = 2, 1
    for diagonal in range(2, tokens + frames + 1):
        row = np.arange(max(1, diagonal - frames), min(tokens, diagonal - 1) + 1)
        column = diagonal - row
        before = np.stack((total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]))
        # Of equal costs the last is taken: to stay on the token.
        choice = 2 - np.argmin(before[::-1], axis=0)
        step[row, column] = choice
        total[row, column] = cost[row - 1, column - 1] + before[choice, np.arange(len(row))]
    return _path(step)


def _path(step: NDArray[np.int8]) -> list[tuple[int, int]]:
    token, frame = step.shape[0] - 1, step.shape[1] - 1
    path = []
    while token > 0 or frame > 0:
        path.append((token - 1, frame - 1))
        came = step[token, frame]
        token -= int(came != 2)
        frame -= int(came != 1)
    return path[::-1]
