"""Keep within a model's context window whatever the length: what is too long is told in parts.

Map-reduce over text, as Wu et al. sum up books (https://arxiv.org/abs/2109.10862): lines are packed
into stretches that fit, each stretch becomes a few sentences, and those are lines again, until all
fit one question. The arithmetic is here; asking is not.
"""

from collections.abc import Sequence

LEAST_SHRINK = 0.5
"""A stretch may become at most this share of its tokens, so that there is an end to it. Ten hours of talk
(290,000 tokens as they are counted) fit a window of 8,192 after one round of 44 questions: a stretch of 6,500
tokens becomes a dozen sentences."""

HEADING_TOKENS = 2
"""For the break of a line, and its bar."""


def pack(tokens: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Pack lines, in their order, into the fewest stretches, alike in length.

    Args:
        tokens: Of each line; none may exceed `most`.
        most: Tokens of a stretch.

    Returns:
        `[first, end)` of each stretch; they follow each other without a gap.

    Raises:
        ValueError: A line does not fit.
    """
    if any(each > most for each in tokens):
        msg = f"Wanted lines of at most {most} tokens; found one of {max(tokens)}. Cut it first."
        raise ValueError(msg)
    # As few as can be, but of like length: a last stretch of two lines would get as many sentences
    # as the full ones before it.
    count = len(_greedy(tokens, most))
    low, high = max([*tokens, -(-sum(tokens) // max(1, count))], default=0), most
    while low < high:
        middle = (low + high) // 2
        if len(_greedy(tokens, middle)) <= count:
            high = middle
        else:
            low = middle + 1
    return _greedy(tokens, high)


def sentences_for(tokens: int, most: int, tokens_each: int) -> int:
    """Say how many sentences a stretch may become, so that what follows is shorter.

    Args:
        tokens: Of the stretch.
        most: Never more.
        tokens_each: Of a sentence, about.
    """
    return max(1, min(most, int(tokens * LEAST_SHRINK / tokens_each)))


def _greedy(tokens: Sequence[int], most: int) -> list[tuple[int, int]]:
    stretches: list[tuple[int, int]] = []
    first = held = 0
    for index, each in enumerate(tokens):
        if held + each > most and index > first:
            stretches.append((first, index))
            first = index
            held = 0
        held += each
    if tokens:
        stretches.append((first, len(tokens)))
    return stretches
