"""What a stage spent on one unit, from what its parts took."""

from collections.abc import Iterable

from operators.stopwatch import Spent
from schemas.perception import Cost, Filled


def cost_of(
    stage: str, spent: Spent, *, items: int, size_bytes: int = 0, filled: Iterable[Filled] = ()
) -> Cost:
    """Put a cost together.

    Args:
        stage: Its name.
        spent: Time it took.
        items: That were worked on.
        size_bytes: Of them.
        filled: How they were batched.
    """
    return Cost(
        stage,
        spent.seconds,
        items,
        size_bytes,
        spent.cpu_seconds,
        spent.started_at,
        spent.ended_at,
        spent.fetched_bytes,
        sum_filled(filled),
    )


def sum_filled(parts: Iterable[Filled]) -> Filled:
    """Add up how batches were filled."""
    whole = Filled()
    for part in parts:
        whole = Filled(
            whole.items + part.items,
            whole.places + part.places,
            whole.length + part.length,
            whole.padded + part.padded,
        )
    return whole
