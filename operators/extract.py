"""Pick the sentences that stand for a text.

Sentences near the centroid of a text in TF-IDF space carry its topic (MEAD: Radev, Jing,
Styś and Tam 2004); picking one at a time and subtracting what resembles those already
picked avoids saying things twice (maximal marginal relevance: Carbonell and Goldstein 1998).
A prior for early sentences and a judgement of form, which needs no language, complete it.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from operators.words import dot, is_unspaced, letter_count, norm, word_count, words

RELEVANCE = 0.65
"""Weight of relevance against novelty (lambda of MMR)."""

LEAD = 0.35
"""How much more the first sentence of a text counts than the last."""

LEAD_SENTENCES = 8.0
"""Sentences over which the lead fades to a third."""

SAME = 0.85
"""Cosine from which two sentences say the same."""

SAME_PART = 0.6
"""Factor on relevance for each sentence already taken from the same part of a source."""

LEAST_SHARE = 0.2
"""A sentence is left out when it scores less than this share of the best."""

LEAST_FORM = 0.12
"""A sentence of worse form is never taken: rows of numbers, addresses, tables of contents."""

_SHORT_WORDS, _LONG_WORDS = 5.0, 35.0
"""Lengths between which a sentence reads well."""

_CONTACT = re.compile(r"\S@\S|https?:|www\.|doi\.org|\bdoi:", re.IGNORECASE)
_LEADERS = re.compile(r"(?:\.\s?){4,}|…{2,}|_{4,}|·{4,}")
_CAPITAL = re.compile(r"(?<![^\W\d_])[^\W\d_]+")
_DIGIT = re.compile(r"\d")
_DIGIT_WORD = re.compile(r"\d\S*")
_REFERENCE = re.compile(
    r"^\s*(?:\[\d+\]|\(\d{4}\))|\bet al\b|\bpp\.|\bISBN\b|\bVol\.|©|\(c\) \d{4}|\bCopyright\b", re.IGNORECASE
)
_NOTE_MARK = re.compile(r"^\d{1,3}[^\W\d_]")
"""A footnote, its mark run together with its first word."""
_DANGLING = re.compile(
    r"^(?:and|but|or|so|also|however|therefore|thus|hence|then|moreover|furthermore|nevertheless|otherwise|"
    r"in addition|in contrast|for example|for instance|similarly|finally|"
    r"this|that|these|those|it|they|he|she)\b",
    re.IGNORECASE,
)
"""English openings that lean on the sentence before."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be picked."""

    text: str
    form: float
    """How well it reads by itself (0-1), from `form`."""
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, text: str, *, whole: bool, running: bool) -> "Candidate":
        """Judge and tokenise a sentence."""
        return cls(text, form(text, whole=whole, running=running), tuple(words(text)))


def form(text: str, *, whole: bool, running: bool) -> float:
    """Judge how well a sentence reads by itself.

    Args:
        text: the sentence.
        whole: it begins and ends like a sentence.
        running: it comes from running text or speech, where sentences are whole; lines of
            slides are not and need not be.

    Returns:
        0 (a row of numbers) to 1.
    """
    visible = len("".join(text.split()))
    if letter_count(text) < (2 if is_unspaced(text) else 4):
        return 0.0
    letters = letter_count(text) / visible
    value = _ramp(letters, 0.45, 0.75) * _length(word_count(text), running)
    value *= 1.0 - 0.8 * _ramp(len(_DIGIT.findall(text)) / visible, 0.1, 0.3)
    value *= 1.0 - 0.6 * _ramp(_digit_words(text), 0.08, 0.4)
    if _CONTACT.search(text):
        value *= 0.15
    if _LEADERS.search(text):
        value *= 0.1
    if _REFERENCE.search(text):
        value *= 0.4
    if running:
        value *= 1.0 if whole else 0.45
        value *= 1.0 - 0.7 * _ramp(_capital_share(text), 0.35, 0.7)
    if _NOTE_MARK.match(text):
        value *= 0.5
    if _DANGLING.match(text):
        value *= 0.75
    return value


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, straight between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _digit_words(text: str) -> float:
    """Share of words with a digit: codes, sizes, variables of an example."""
    return len(_DIGIT_WORD.findall(text)) / len(text.split())


def _length(count: float, running: bool) -> float:
    """Judge a length in words; a line of a slide may be short."""
    if count > _LONG_WORDS:
        return max(0.2, 1.0 - (count - _LONG_WORDS) / 40)
    shortest = _SHORT_WORDS if running else 3.0
    return min(1.0, (count / shortest) ** (2 if running else 1))


def _capital_share(text: str) -> float:
    """Share of words, after the first, that begin with a capital: names and references."""
    found = _CAPITAL.findall(text)[1:]
    cased = [word for word in found if word[0].isupper() or word[0].islower()]
    return sum(1 for word in cased if word[0].isupper()) / len(cased) if len(cased) >= 3 else 0.0


def unit_vector(tokens: Sequence[str], rarity: Mapping[str, float]) -> dict[str, float]:
    """Weigh the words of a sentence (TF-IDF, of length 1); empty when no word counts.

    Args:
        tokens: words of the sentence.
        rarity: inverse document frequency of each word, over the whole asset.
    """
    vector = {
        word: (1 + math.log(count)) * weight
        for word, count in Counter(tokens).items()
        if (weight := rarity.get(word, 0.0)) > 0
    }
    length = norm(vector)
    return {word: value / length for word, value in vector.items()}


def pick(
    candidates: Sequence[Candidate],
    vectors: Sequence[Mapping[str, float]],
    count: int,
    bonus: Sequence[float] | None = None,
    groups: Sequence[int] | None = None,
) -> list[int]:
    """Pick up to `count` sentences.

    Args:
        candidates: in order of the source.
        vectors: `unit_vector` of each.
        count: most sentences.
        bonus: factor for each candidate; 1 where missing.
        groups: part of the source (a clip, a segment) each candidate comes from; one more
            from the same part counts less, so that a summary covers the parts.

    Returns:
        Indices in order of choice, best first: a smaller count gives a beginning of the same
        list. The cost grows with `len(candidates) * count`.
    """
    scores = relevance(candidates, vectors)
    if bonus is not None:
        scores = [score * factor for score, factor in zip(scores, bonus, strict=True)]
    floor = LEAST_SHARE * max(scores, default=0.0)
    free = [
        index
        for index, score in enumerate(scores)
        if score > 0 and score >= floor and candidates[index].form >= LEAST_FORM
    ]
    resemblance = dict.fromkeys(free, 0.0)
    chosen: list[int] = []
    while free and len(chosen) < count:
        best = max(free, key=lambda i: (RELEVANCE * scores[i] - (1 - RELEVANCE) * resemblance[i], -i))
        chosen.append(best)
        alike = {index: dot(vectors[best], vectors[index]) for index in free if index != best}
        free = [index for index, value in alike.items() if value < SAME]
        for index in free:
            resemblance[index] = max(resemblance[index], alike[index])
            if groups is not None and groups[index] == groups[best]:
                scores[index] *= SAME_PART
    return chosen


def fit(candidates: Sequence[Candidate], order: Sequence[int], count: int, most_characters: int) -> list[int]:
    """Take from the beginning of an order what there is room for.

    The first sentence is taken whatever its length; a later one that is too long makes room
    for the next.
    """
    taken: list[int] = []
    room = most_characters
    for index in order:
        length = len(candidates[index].text)
        if len(taken) < count and (not taken or length <= room):
            taken.append(index)
            room -= length
    return taken


def relevance(candidates: Sequence[Candidate], vectors: Sequence[Mapping[str, float]]) -> list[float]:
    """Score sentences: nearness to the centroid, lifted for early ones, times form."""
    centroid = _centroid(candidates, vectors)
    length = norm(centroid)
    if length == 0.0:
        # No word is rarer than another: all that is left is form, and the order.
        return [candidate.form for candidate in candidates]
    scores = []
    for place, (candidate, vector) in enumerate(zip(candidates, vectors, strict=True)):
        near = dot(vector, centroid) / length
        lead = LEAD * math.exp(-place / LEAD_SENTENCES)
        scores.append((near + lead * min(1.0, 4 * near)) * candidate.form)
    return scores


def _centroid(candidates: Sequence[Candidate], vectors: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sum of the vectors: by form, so that tables do not pull the topic, and by length."""
    total: dict[str, float] = {}
    for candidate, vector in zip(candidates, vectors, strict=True):
        weight = candidate.form * math.sqrt(len(candidate.tokens))
        for word, value in vector.items():
            total[word] = total.get(word, 0.0) + value * weight
    return total
