"""Choose the few pieces of evidence that together say most of a sentence.

Greedy: the piece with the most, by rarity of its words, then the one that adds most, and so on (the usual
(1 - 1/e) approximation of maximum coverage). What keeps a sentence from being put together out of anything
that was ever said is that each piece must have a good part of it by itself, or be near one that has.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np

from operators.continuity import NEAR, Continuity
from operators.evidence import Evidence
from operators.evidence_index import EvidenceIndex, Places
from operators.facts import Fact, FactKind, Stated, stated, states_fact

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

MOST_EVIDENCE = 3
"""Pieces a sentence may rest on; more would let it be put together from anywhere."""

LEAST_SHARE = 0.3
"""Share of a sentence that each piece must have by itself, and two of its words."""

MOSTLY = 0.6
"""Or share of a piece's own words that the sentence has: a heading or short line that it takes up."""

LEAST_GAIN = 0.1
"""Share by which a further piece must add to the score, unless it states a fact."""

CITED = 1.2
"""Advantage of a piece that the writer named itself; it has to bear the sentence out all the same."""

FACT_GAIN = 0.15
"""What stating the sentence's numbers and dates is worth when pieces are compared."""

FACT_SHARE = 0.2
"""Share of a sentence that the first piece must have where it states a number or date of it."""

PARALLEL = 0.6
"""Share of a sentence from which a piece that adds no word may still add a number: `680 nm and 700 nm`."""

EXACT = 0.01
"""Advantage of a piece that says nothing but what the sentence says."""

_EPSILON = 1e-9
"""Sums of weights may fall short of a threshold by rounding."""

_CANDIDATES = 8
"""Pieces with the most words that are looked through for facts."""


class EvidencePool:
    """The evidence of an asset, to be chosen from."""

    def __init__(self, evidence: Sequence[Evidence], language: str | None) -> None:
        """Index the evidence, which is in this language."""
        self.evidence = evidence
        self.language = language
        self.index = EvidenceIndex(evidence, language)
        self.continuity = Continuity(evidence, self.index.contents)
        self._clips = np.array([item.clip for item in evidence], np.int64)
        self._of_clip: dict[int, list[int]] = {}
        for place, item in enumerate(evidence):
            self._of_clip.setdefault(item.clip, []).append(place)
        self._stated = lru_cache(maxsize=4096)(self._read)

    def allowed(self, clips: Collection[int] | None) -> Flags:
        """Flag the pieces of some clips; None for all."""
        if clips is None:
            return np.ones(len(self.evidence), np.bool_)
        allowed = np.zeros(len(self.evidence), np.bool_)
        for clip in clips:
            allowed[self._of_clip.get(clip, [])] = True
        return allowed

    def weights(self, words: Sequence[str]) -> Floats:
        """Weigh the words of a sentence by rarity; the sum is 1."""
        weights = np.array([self.index.rarity(word) for word in words])
        shares: Floats = weights / weights.sum()
        return shares

    def choose(
        self,
        words: Sequence[str],
        weights: Floats,
        exact: Sequence[Fact],
        allowed: Flags,
        cited: Sequence[int],
    ) -> tuple[list[int], Floats]:
        """Take the pieces that add most, one after the other.

        Args:
            words: Plain words of a sentence, each once.
            weights: Of the words.
            exact: Its numbers and dates.
            allowed: Pieces it may rest on.
            cited: Indices of allowed pieces that have an advantage.

        Returns:
            Their indices, and for each word 1 where they have it.
        """
        places = [self.index.places(word) for word in words]
        own = np.bincount(
            np.concatenate(places), np.repeat(weights, [len(found) for found in places]), len(self.evidence)
        )
        # From here on only those are looked at that have something of the sentence, and what is near them.
        core = np.flatnonzero(allowed & (own >= LEAST_GAIN - _EPSILON))
        pool = np.unique(np.concatenate([core + step for step in range(-NEAR, NEAR + 1)]))
        pool = pool[(pool >= 0) & (pool < len(self.evidence))]
        pool = pool[allowed[pool]]
        has = self._has(places, pool)
        own = own[pool] + _EPSILON
        count = has.sum(axis=0)
        enough = own >= LEAST_GAIN
        strong = (own >= LEAST_SHARE) & (count >= min(2, len(words)))
        taken_up = (count >= MOSTLY * self.index.content_counts[pool]) & enough
        # Of pieces that have the same words, the one that says the least besides.
        bonus = 1 + EXACT * count / np.maximum(1, self.index.content_counts[pool])
        bonus[np.isin(pool, list(cited))] *= CITED
        covered = np.zeros(len(words))
        chosen: list[int] = []
        open_facts = list(exact)
        while len(chosen) < MOST_EVIDENCE:
            gain = (weights * (1 - covered)) @ has + _EPSILON
            if chosen:
                # From another clip a piece with one word of the sentence proves nothing.
                among = np.isin(self._clips[pool], self._clips[chosen])
                near = np.isin(pool, self.continuity.near(chosen))
                may = (strong | (taken_up & (among | (count > 1))) | near) & (gain >= LEAST_GAIN)
                # A title page states the date beside the topic, a short line that of an event.
                dated = any(fact.kind == FactKind.DATE for fact in open_facts)
                by_fact = (own >= PARALLEL) | ((taken_up | near) & dated)
                free = ~np.isin(pool, chosen)
                may, by_fact = may & free, by_fact & free
            else:
                may = strong | taken_up
                by_fact = own >= FACT_SHARE
            best, found = self._best(pool, gain * bonus, may, by_fact, open_facts)
            if best is None:
                break
            chosen.append(best)
            open_facts = [fact for fact in open_facts if fact not in found]
            taken = (best, *self.continuity.beside(best))
            for at in np.flatnonzero(covered == 0).tolist():
                covered[at] = any(self.index.has(place, words[at]) for place in taken)
        return chosen, covered

    def _has(self, places: Sequence[Places], pool: Places) -> Flags:
        """Which of some words (rows) which pieces of a pool (columns) have."""
        has = np.zeros((len(places), len(pool)), np.bool_)
        mark = np.zeros(len(self.evidence), np.bool_)
        for row, found in zip(has, places, strict=True):
            mark[found] = True
            row[:] = mark[pool]
            mark[found] = False
        return has

    def _best(
        self, pool: Places, gain: Floats, may: Flags, by_fact: Flags, open_facts: Sequence[Fact]
    ) -> tuple[int | None, list[Fact]]:
        """Find the piece that adds most, words and facts together, and the facts that it states.

        Args:
            pool: Indices of the pieces.
            gain: What each piece adds in words.
            may: Pieces that may be taken.
            by_fact: Those that may where they state a fact.
            open_facts: Numbers and dates that no piece so far states.
        """
        candidates = np.flatnonzero(may | by_fact if open_facts else may)
        if not len(candidates):
            return None, []
        if not open_facts:
            return int(pool[candidates[np.argmax(gain[candidates])]]), []
        best, most, found_there = None, 0.0, list[Fact]()
        for at in candidates[np.argsort(-gain[candidates], kind="stable")[:_CANDIDATES]].tolist():
            place = int(pool[at])
            found = [fact for fact in open_facts if states_fact(self.sources([place]), fact)]
            value = gain[at] + FACT_GAIN * len(found) / len(open_facts)
            if (may[at] or found) and value > most:
                best, most, found_there = place, value, found
        return best, found_there

    def sources(self, chosen: Sequence[int]) -> list[Stated]:
        """What some pieces state, and those that go on in them."""
        places = dict.fromkeys(other for place in chosen for other in (place, *self.continuity.beside(place)))
        return [self._stated(place) for place in places]

    def _read(self, place: int) -> Stated:
        return stated(self.evidence[place].text, self.language)

    def is_taken_up(self, place: int, words: Sequence[str]) -> bool:
        """Tell whether a sentence has most words of a piece."""
        count = sum(self.index.has(place, word) for word in words)
        return bool(count >= MOSTLY * self.index.content_counts[place])
