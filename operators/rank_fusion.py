"""Several rankings become one."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

Place = TypeVar("Place", bound=Hashable)

K = 60
"""Of the paper: how little the first places of a ranking stand out."""


def fuse(rankings: Sequence[Sequence[Place]], k: int = K) -> list[tuple[Place, float]]:
    """Rank by reciprocal rank fusion: scores of different kinds need not be compared.

    A place scores `1 / (k + rank)` in each ranking that has it (Cormack, Clarke and Büttcher, Reciprocal
    Rank Fusion outperforms Condorcet and individual Rank Learning Methods, SIGIR 2009).

    Args:
        rankings: Each with the best place first. One that occurs again in a ranking counts once.
        k: At least 0.

    Returns:
        Each place once with its score, the best first; of equal ones that which stands higher in an
        earlier ranking.
    """
    scores: dict[Place, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(dict.fromkeys(ranking), 1):
            scores[place] = scores.get(place, 0.0) + 1 / (k + rank)
    return sorted(scores.items(), key=lambda item: -item[1])
