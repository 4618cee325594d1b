"""Looks of like length go to a model together, and never more than its budget of tokens holds.

In a batch every prompt is padded to the longest, and every answer may grow to the limit, so a
batch costs `members * (longest prompt + longest answer)` tokens of memory and of work.
"""

import math
from collections.abc import Hashable, Sequence

from operators.cut_batches import cut_batches

_STEPS_PER_DOUBLING = 16
"""Lengths that differ by less than a twentieth count as alike; among them pictures of the same size
go together, which some processors can stack without padding."""


def batches_by_tokens(
    tokens: Sequence[int],
    shapes: Sequence[Hashable],
    *,
    answer: int,
    budget: int,
    most: int,
) -> list[list[int]]:
    """Cut indices, longest first, into batches.

    The longest come first, so that a batch too large for the memory fails at once and not late.

    Args:
        tokens: Of each prompt, pictures included.
        shapes: Of the pictures of each; equal ones are kept together where lengths are alike.
        answer: Tokens of the longest answer.
        budget: Most tokens of a batch, padding and answers included. A look that exceeds it goes alone.
        most: Most looks of a batch.
    """
    names: dict[Hashable, int] = {}
    ranks = [names.setdefault(shape, len(names)) for shape in shapes]
    order = sorted(
        range(len(tokens)), key=lambda index: (-_step(tokens[index]), ranks[index], -tokens[index], index)
    )
    cuts = cut_batches([tokens[index] for index in order], most, extra=answer, budget=budget)
    return [[order[place] for place in cut] for cut in cuts]


def batch_tokens(tokens: Sequence[int], batch: Sequence[int], answer: int) -> int:
    """Count what a batch takes: all its prompts as long as the longest, and all answers."""
    return len(batch) * (max(tokens[index] for index in batch) + answer)


def padding_share(tokens: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Return which share of the prompts of all batches is padding, 0-1."""
    padded = sum(batch_tokens(tokens, batch, 0) for batch in batches)
    return 1 - sum(tokens[index] for batch in batches for index in batch) / padded if padded else 0.0


def _step(tokens: int) -> int:
    return math.floor(_STEPS_PER_DOUBLING * math.log2(max(1, tokens)))
