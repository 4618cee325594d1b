"""Work on several items at once that must not take each other along."""

import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def together(
    items: Sequence[In], work: Callable[[Sequence[In]], list[Out]], give_up: Callable[[In, str], Out]
) -> list[Out]:
    """Work on items together; where that raises, on each alone, and give up those that raise by themselves.

    Args:
        items: To work on.
        work: Gives one result for each item, in order.
        give_up: Makes the result of an item that cannot be worked on, told why.

    Returns:
        One result for each item, in order.
    """
    try:
        return work(items)
    except Exception as error:  # the boundary that keeps one item from taking others along
        if len(items) > 1:
            return [result for item in items for result in together([item], work, give_up)]
        traceback.print_exc()
        return [give_up(item, f"{type(error).__name__}: {error}. Please report this.") for item in items]
