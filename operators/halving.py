"""Items go to an engine in batches; one that fails does not take its batch along.

A batch that fails, for want of memory or because of one item, is halved until the culprit is
alone; where memory was short, later batches stay small for a while and then grow again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from operators.stopwatch import Spent, Stopwatch
from schemas.failure import InputError, Reason
from schemas.perception import UNBATCHED, Filled

_GROW_AFTER = 8
"""Batches that must succeed before a reduced size is doubled."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tried(Generic[T]):
    """What became of an item."""

    outcome: T | InputError
    spent: Spent
    """The item's share of the time its batch took."""
    filled: Filled = UNBATCHED
    """The item's share of its batch; nothing of what failed."""

    @property
    def seconds(self) -> float:
        """Its share of the time on the wall."""
        return self.spent.seconds


class Halving:
    """How many items an engine can take at once."""

    def __init__(self, most: int, wanted: str) -> None:
        """Begin with the size that is wanted.

        Args:
            most: Most items of a batch.
            wanted: What the engine is to give, for messages: `the words of a piece of sound`.
        """
        self.most = most
        self.size = most
        self._wanted = wanted
        self._succeeded = 0

    def run(
        self,
        batches: Sequence[Sequence[int]],
        engine: Callable[[list[int]], Sequence[T | InputError]],
        lengths: Sequence[float] | None = None,
    ) -> dict[int, Tried[T]]:
        """Hand batches to an engine, in order.

        Args:
            batches: Indices of items; none may be longer than is wanted.
            engine: Gives an outcome for each index of a batch, or raises.
            lengths: Of items: those of a batch are padded to its longest. Null where batches mean nothing
                to the engine.
        """
        found: dict[int, Tried[T]] = {}
        waiting = [list(batch) for batch in batches]
        while waiting:
            batch = waiting.pop(0)
            if len(batch) > self.size:
                waiting[:0] = [batch[: self.size], batch[self.size :]]
                continue
            outcomes = self._try(batch, engine)
            if outcomes is None:
                half = len(batch) // 2
                waiting[:0] = [batch[:half], batch[half:]]
                continue
            if lengths is not None:
                outcomes = self._filled(batch, outcomes, lengths)
            found.update(zip(batch, outcomes, strict=True))
        return found

    def _filled(
        self, batch: list[int], outcomes: Sequence[Tried[T]], lengths: Sequence[float]
    ) -> list[Tried[T]]:
        """Note what part of the batch each item was."""
        places, longest = self.most / len(batch), max(lengths[index] for index in batch)
        return [
            tried
            if isinstance(tried.outcome, InputError)
            else replace(tried, filled=Filled(1, places, lengths[index], longest))
            for index, tried in zip(batch, outcomes, strict=True)
        ]

    def _try(
        self, batch: list[int], engine: Callable[[list[int]], Sequence[T | InputError]]
    ) -> list[Tried[T]] | None:
        """Hand over one batch; None when it failed and can be halved."""
        watch = Stopwatch()
        try:
            values = self._answered(batch, engine)
        except Exception as raised:  # the culprit is found, and reported, alone
            error = self._as_input_error(raised)
            self._failed(error, len(batch))
            # A server that cannot be reached is so for all; each half would wait for it anew.
            if len(batch) > 1 and error.reason != Reason.UNREACHABLE:
                return None
            values = [error] * len(batch)
        else:
            self._grow()
        spent = watch.read().share(len(batch))
        return [Tried(value, spent) for value in values]

    @staticmethod
    def _answered(
        batch: list[int], engine: Callable[[list[int]], Sequence[T | InputError]]
    ) -> Sequence[T | InputError]:
        values = engine(batch)
        if len(values) != len(batch):
            msg = f"Wanted {len(batch)} outcomes of the engine, one for each item; found {len(values)}."
            raise InputError(Reason.MALFORMED, msg)
        return values

    def _failed(self, error: InputError, count: int) -> None:
        self._succeeded = 0
        if error.reason == Reason.MEMORY and count > 1:
            self.size = min(self.size, max(1, count // 2))

    def _grow(self) -> None:
        self._succeeded += 1
        if self.size < self.most and self._succeeded >= _GROW_AFTER:
            self.size = min(self.most, 2 * self.size)
            self._succeeded = 0

    def _as_input_error(self, error: Exception) -> InputError:
        if isinstance(error, InputError):
            return error
        if isinstance(error, MemoryError):
            return InputError(Reason.MEMORY, f"Wanted memory for {self._wanted}; there was none ({error}).")
        msg = f"Wanted {self._wanted}; the engine raised {type(error).__name__}: {error}"
        return InputError(Reason.INTERNAL, msg)
