"""Pieces of like length are recognised together, so that little of a batch is waiting.

A batch takes as long as its longest member: the others are padded to it, or their text is
finished and waits. Sorting by length first keeps members alike, whatever files they come from.
"""

from collections.abc import Sequence

from operators.cut_batches import cut_batches


def batches_by_length(lengths: Sequence[float], size: int) -> list[list[int]]:
    """Cut indices, longest first, into batches.

    The longest come first, so that a batch too large for the memory fails at once and not late.

    Args:
        lengths: Of the pieces, in any unit.
        size: Most members of a batch.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    cuts = cut_batches([lengths[index] for index in order], size)
    return [[order[place] for place in cut] for cut in cuts]


def padding_share(lengths: Sequence[float], batches: Sequence[Sequence[int]]) -> float:
    """Return which share of all batches is padding, 0-1."""
    padded = sum(max(lengths[index] for index in batch) * len(batch) for batch in batches if batch)
    return 1 - sum(lengths[index] for batch in batches for index in batch) / padded if padded else 0.0
