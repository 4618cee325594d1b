"""Which lines and utterances go on in the next, so that a sentence cut in two is found whole.

A slide breaks its lines where they are full, and speech recognition its utterances where somebody breathes.
"""

from collections.abc import Sequence
from itertools import pairwise

from operators.evidence import Evidence, Kind
from operators.sentences import ends_sentence

NEAR = 2
"""Pieces before and after one, of the same clip, that are near it."""

_OPEN_ENDS = tuple(":：,，-–&/(")


class Continuity:
    """What stands beside a piece of evidence."""

    def __init__(self, evidence: Sequence[Evidence], contents: Sequence[Sequence[str]]) -> None:
        """Find the pieces that go on in the next.

        Args:
            evidence: In the order it was shown and said.
            contents: The words of each piece that say something.
        """
        self._evidence = evidence
        self._goes_on = [
            _goes_on(here, following, bare=not contents[place] or not contents[place + 1])
            for place, (here, following) in enumerate(pairwise(evidence))
        ]

    def beside(self, place: int) -> list[int]:
        """The pieces that go on in this one, or in which it goes on."""
        found = [place - 1] if place > 0 and self._goes_on[place - 1] else []
        return [*found, place + 1] if place < len(self._goes_on) and self._goes_on[place] else found

    def near(self, places: Sequence[int]) -> list[int]:
        """Pieces up to `NEAR` before and after some, of their clips, and these themselves."""
        return [
            other
            for place in places
            for other in range(max(0, place - NEAR), min(len(self._evidence), place + NEAR + 1))
            if self._evidence[other].clip == self._evidence[place].clip
        ]

    def runs(self, places: Sequence[int]) -> list[tuple[int, ...]]:
        """Join pieces, and what is beside them, that go on in each other; in the order of the pieces."""
        free = {other for place in places for other in (place, *self.beside(place))}
        runs = []
        for place in places:
            if place not in free:
                continue
            first = last = place
            while first - 1 in free and self._goes_on[first - 1]:
                first -= 1
            while last + 1 in free and self._goes_on[last]:
                last += 1
            runs.append(tuple(range(first, last + 1)))
            free.difference_update(runs[-1])
        return runs


def _goes_on(here: Evidence, following: Evidence, *, bare: bool) -> bool:
    if here.clip != following.clip or here.kind != following.kind or ends_sentence(here.text):
        return False
    if here.kind == Kind.SAID or following.text.lstrip()[:1].islower():
        return True
    # `Efficiency:` and `about 6 percent`; and a figure that stands alone belongs to what is around it.
    return bare or here.text.rstrip()[-1:] in _OPEN_ENDS
