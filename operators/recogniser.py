"""Pieces of sound go to the engine in batches of like length."""

from collections.abc import Sequence

from operators.batch_by_length import batches_by_length
from operators.halving import Halving, Tried
from operators.speech_engine import LADDER, Samples, SpeechEngine, Transcript

Hearing = Tried[Transcript]
"""What became of a piece."""


class Recogniser:
    """An engine, and how many pieces it can take at once."""

    def __init__(self, engine: SpeechEngine, batch: int) -> None:
        """Begin with the size that is wanted.

        Args:
            engine: The engine.
            batch: Most pieces of a batch.
        """
        self.engine = engine
        self._batches = Halving(batch, "the words of a piece of sound")

    @property
    def size(self) -> int:
        """Most pieces of a batch for now: fewer after memory was short."""
        return self._batches.size

    def hear(self, pieces: Sequence[Samples], language: str | None) -> list[Hearing]:
        """Recognise pieces in batches of like length; the result is in the order of the pieces."""

        def transcribe(batch: list[int]) -> Sequence[Transcript]:
            return self.engine.transcribe([pieces[index] for index in batch], [language] * len(batch), (0.0,))

        lengths = [len(piece) for piece in pieces]
        found = self._batches.run(batches_by_length(lengths, self.size), transcribe, lengths)
        return [found[index] for index in range(len(pieces))]

    def hear_again(self, piece: Samples, language: str | None) -> Hearing:
        """Recognise a piece alone, at rising temperatures while the result cannot be trusted."""
        return self._batches.run([[0]], lambda _: self.engine.transcribe([piece], [language], LADDER))[0]
