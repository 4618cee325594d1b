"""Items are put together for one call: enough to keep it busy, few enough to spread over workers."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def grouped(items: Sequence[T], weigh: Callable[[T], int], weight: int, count: int) -> list[list[T]]:
    """Group items that follow each other.

    Args:
        items: In their order.
        weigh: Of one item.
        weight: Most of a group, unless one item alone is heavier.
        count: Most items of a group.
    """
    groups: list[list[T]] = []
    held = 0
    for item in items:
        if not groups or held + weigh(item) > weight or len(groups[-1]) >= count:
            groups.append([])
            held = 0
        groups[-1].append(item)
        held += weigh(item)
    return groups
