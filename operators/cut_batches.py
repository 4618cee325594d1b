"""Where an ordered row of items is cut into batches, so that least of them is padding.

A batch takes as long as its longest member. Full batches alone leave no choice; a few places left
empty, where lengths change fast, save more padding than they cost. The best cuts are found exactly, by
dynamic programming over the number of batches (as for breaking lines: D. E. Knuth and M. F. Plass, 1981).
"""

from collections.abc import Sequence

import numpy as np

LEAST_FILL = 0.9
"""Of the places of all batches, this share stays filled if the fewest batches would be full."""


def cut_batches(
    lengths: Sequence[float], most: int, *, extra: float = 0.0, budget: float = float("inf")
) -> list[range]:
    """Cut items, in the order given, into batches with the least padding.

    Args:
        lengths: Of the items; best longest first.
        most: Most items of a batch; at least 1.
        extra: Added to the longest of a batch for what it costs, such as the longest answer.
        budget: Most that `items * (longest + extra)` of a batch may be. An item beyond it goes alone.

    Returns:
        Ranges that follow each other.
    """
    count = len(lengths)
    if not count:
        return []
    costs = _costs(np.asarray(lengths, np.float64), min(most, count), extra, budget)
    fewest = _fewest(costs, count)
    batches = max(fewest, int(fewest / LEAST_FILL))
    best = np.full(count + 1, np.inf)
    best[0] = 0
    sizes, totals = [], []
    for _ in range(batches):
        best, chosen = _one_more(best, costs)
        sizes.append(chosen)
        totals.append(best[count])
    # Of equally good ways the one with the fewest batches.
    number, end, cut = int(np.argmin(totals)), count, list[range]()
    for chosen in reversed(sizes[: number + 1]):
        start = end - int(chosen[end])
        cut.append(range(start, end))
        end = start
    return cut[::-1]


def _costs(
    lengths: np.ndarray[tuple[int], np.dtype[np.float64]], most: int, extra: float, budget: float
) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """For 1, 2… items from each start: the items times the longest; infinite where it is too much."""
    count, longest, costs = len(lengths), lengths.copy(), []
    for size in range(1, most + 1):
        if size > 1:
            longest = np.maximum(longest[:-1], lengths[size - 1 :])
        cost = size * longest
        allowed = (size == 1) | (size * (longest + extra) <= budget)
        costs.append(np.where(allowed, cost, np.inf))
    assert len(costs[0]) == count
    return costs


def _fewest(costs: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]], count: int) -> int:
    """Count the batches when each takes all it can."""
    at = batches = 0
    while at < count:
        size = 1
        while size < len(costs) and at + size < count and np.isfinite(costs[size][at]):
            size += 1
        at, batches = at + size, batches + 1
    return batches


def _one_more(
    before: np.ndarray[tuple[int], np.dtype[np.float64]],
    costs: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]],
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """From the least cost of the first items in so many batches, that in one batch more, and its size."""
    best = np.full(len(before), np.inf)
    chosen = np.zeros(len(before), np.int64)
    for size, cost in enumerate(costs, start=1):
        found = before[: len(cost)] + cost
        better = found < best[size:]
        best[size:] = np.where(better, found, best[size:])
        chosen[size:] = np.where(better, size, chosen[size:])
    return best, chosen
