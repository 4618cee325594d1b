"""Pieces of sound go to the engine in batches; one that fails does not take its batch along.

A batch that fails, for want of memory or because of one piece, is halved until the culprit is
alone; where memory was short, later batches stay small for a while and then grow again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from operators.batch_by_length import batches_by_length
from operators.speech_engine import LADDER, Samples, SpeechEngine, Transcript
from schemas.failure import InputError, Reason

_GROW_AFTER = 8
"""Batches that must succeed before a reduced size is doubled."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What became of a piece."""

    outcome: Transcript | InputError
    seconds: float
    """The piece's share of the time its batch took."""


class Recogniser:
    """An engine, and how many pieces it can take at once."""

    def __init__(self, engine: SpeechEngine, batch: int) -> None:
        """Begin with the size that is wanted.

        Args:
            engine: The engine.
            batch: Most pieces of a batch.
        """
        self.engine = engine
        self.batch = batch
        self.size = batch
        self._succeeded = 0

    def hear(self, pieces: Sequence[Samples], language: str | None) -> list[Hearing]:
        """Recognise pieces in batches of like length; the result is in the order of the pieces."""
        found: dict[int, Hearing] = {}
        waiting = batches_by_length([len(piece) for piece in pieces], self.size)
        while waiting:
            batch = waiting.pop(0)
            if len(batch) > self.size:
                waiting[:0] = [batch[: self.size], batch[self.size :]]
                continue
            hearings = self._try([pieces[index] for index in batch], [language] * len(batch), (0.0,))
            if hearings is None:
                half = len(batch) // 2
                waiting[:0] = [batch[:half], batch[half:]]
                continue
            found.update(zip(batch, hearings, strict=True))
        return [found[index] for index in range(len(pieces))]

    def hear_again(self, piece: Samples, language: str | None) -> Hearing:
        """Recognise a piece alone, at rising temperatures while the result cannot be trusted."""
        hearings = self._try([piece], [language], LADDER)
        assert hearings is not None
        return hearings[0]

    def _try(
        self, pieces: list[Samples], languages: list[str | None], temperatures: Sequence[float]
    ) -> list[Hearing] | None:
        """Recognise a batch; None when it failed and can be halved."""
        started = time.perf_counter()
        outcomes: Sequence[Transcript | InputError]
        try:
            outcomes = self.engine.transcribe(pieces, languages, temperatures)
            assert len(outcomes) == len(pieces)
        except Exception as raised:  # the culprit is found, and reported, alone
            error = _as_input_error(raised)
            self._failed(error, len(pieces))
            if len(pieces) > 1:
                return None
            outcomes = [error]
        else:
            self._grow()
        seconds = (time.perf_counter() - started) / len(pieces)
        return [Hearing(outcome, seconds) for outcome in outcomes]

    def _failed(self, error: InputError, count: int) -> None:
        self._succeeded = 0
        if error.reason == Reason.MEMORY and count > 1:
            self.size = min(self.size, max(1, count // 2))

    def _grow(self) -> None:
        self._succeeded += 1
        if self.size < self.batch and self._succeeded >= _GROW_AFTER:
            self.size = min(self.batch, 2 * self.size)
            self._succeeded = 0


def _as_input_error(error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    if isinstance(error, MemoryError):
        return InputError(Reason.MEMORY, f"Wanted memory to recognise speech; there was none ({error}).")
    msg = f"Wanted the words of a piece of sound; the engine raised {type(error).__name__}: {error}"
    return InputError(Reason.INTERNAL, msg)
