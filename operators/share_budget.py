"""How a budget of visual tokens is shared: more pictures, larger pictures, or enlarged parts.

Whole pictures come first and share the budget evenly; there are fewer of them where they would become
too small to show anything. Where letters stay too small to be read, whole pictures of less
resolution with enlarged parts are weighed against whole pictures alone: by the letters that become
legible. The sum is counted over all pictures of a request together, because some families cut a
picture that stands alone into more tiles than one of many.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from operators.choose_details import Detail, Source, choose_details, legible_letters, most_legible
from operators.visual_rule import Size
from operators.visual_tokens import TokenRule
from schemas.box import Box

USEFUL_PIXELS = 50_000
"""Least area of a picture (300 x 168) while it is not the only one: smaller ones show that there is
a person or a slide, and not what is going on."""

_SHARES = (0.7, 0.5, 0.35)
"""Of the budget for whole pictures where parts are shown too."""

_WORTH = 1.05
"""Parts must make so many times as many letters legible as whole pictures alone."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One picture of a request."""

    source: int
    """Which of the pictures it is, or is a part of."""
    box: Box | None
    size: Size
    """Width and height in pixels at which it is shown."""
    tokens: int


def share_budget(
    sources_of: Callable[[int], Sequence[Source]],
    most_pictures: int,
    most_details: int,
    budget: int,
    rule: TokenRule,
) -> list[Sight]:
    """Plan the pictures of one request.

    Args:
        sources_of: gives so many pictures of the clip or page, or fewer where there are no more.
        most_pictures: that are shown whole.
        most_details: parts that are shown besides.
        budget: visual tokens of all together.
        rule: of the model's family.

    Returns:
        Whole pictures in order, each followed by its parts, whose tokens sum up to the budget at most;
        empty where not even one picture fits or there is none.
    """
    plain = _whole(sources_of, most_pictures, budget, 0, rule)
    if plain is None:
        return []
    sources, sizes = plain
    best, letters = _sights(sizes, [], rule), legible_letters(sources, sizes, [])
    if most_details == 0 or letters >= most_legible(sources):
        return best
    least = -(-len(sources) // 2)
    for details_wanted in {most_details, 1}:
        for share in _SHARES:
            mixed = _whole(sources_of, most_pictures, round(share * budget), details_wanted, rule)
            if mixed is None or len(mixed[0]) < least:
                continue
            found = _with_details(*mixed, details_wanted, budget, rule)
            if found is None:
                continue
            sights, legible = found
            if legible > letters * _WORTH:
                best, letters = sights, legible
    return best


def _with_details(
    sources: Sequence[Source], sizes: Sequence[Size], details_wanted: int, budget: int, rule: TokenRule
) -> tuple[list[Sight], float] | None:
    """Add parts to whole pictures; None where none helps or all together cost too much."""
    pictures = len(sizes) + details_wanted
    spent = sum(rule.count([*sizes, *[sizes[0]] * details_wanted])[: len(sizes)])
    details = choose_details(sources, sizes, details_wanted, budget - spent, pictures, rule)
    while details:
        sights = _sights(sizes, details, rule)
        if sum(sight.tokens for sight in sights) <= budget:
            return sights, legible_letters(sources, sizes, details)
        details = details[:-1]
    return None


def _whole(
    sources_of: Callable[[int], Sequence[Source]], most: int, budget: int, details: int, rule: TokenRule
) -> tuple[Sequence[Source], list[Size]] | None:
    """Find how many pictures fit into a budget at a useful size, and how large each is."""
    wanted = len(sources_of(most))
    while wanted:
        sources = sources_of(wanted)
        sizes = [source.size for source in sources]
        shown = _sizes(sizes, budget, details, rule)
        if shown is not None and (wanted == 1 or _are_useful(sizes, shown, budget, rule)):
            return sources, shown
        wanted -= 1
    return None


def _sizes(sizes: Sequence[Size], budget: int, details: int, rule: TokenRule) -> list[Size] | None:
    """Give each picture an equal share; None where one does not fit into it."""
    pictures = len(sizes) + details
    each = budget // len(sizes)
    fitted = {size: rule.fit(size, each, pictures) for size in set(sizes)}
    found = [size for size in (fitted[size] for size in sizes) if size is not None]
    if len(found) < len(sizes):
        return None
    counts = rule.count([*found, *[found[0]] * details])[: len(found)]
    return found if sum(counts) <= budget else None


def _are_useful(sizes: Sequence[Size], shown: Sequence[Size], budget: int, rule: TokenRule) -> bool:
    """Tell whether pictures are large enough, or as large as each would be alone."""
    for size, fitted in set(zip(sizes, shown, strict=True)):
        area = fitted[0] * fitted[1]
        if area < USEFUL_PIXELS:
            alone = rule.fit(size, budget, len(sizes))
            if alone is None or area < min(USEFUL_PIXELS, alone[0] * alone[1]):
                return False
    return True


def _sights(sizes: Sequence[Size], details: Sequence[Detail], rule: TokenRule) -> list[Sight]:
    """Put each whole picture in front of its parts, and count what each costs in that company."""
    order: list[tuple[int, Box | None, Size]] = []
    for source, size in enumerate(sizes):
        order.append((source, None, size))
        order += ((source, detail.box, detail.size) for detail in details if detail.source == source)
    tokens = rule.count([size for _, _, size in order])
    return [Sight(*place, cost) for place, cost in zip(order, tokens, strict=True)]
