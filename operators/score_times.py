"""Compare when and where things were found with when and where they are.

Things are first paired one to one, then their times and places are compared. What has no partner
counts against recall and has no error of time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from operators.score_text import aligned, letters, tokens
from schemas.box import Box

SAME_LINE = 0.8
"""Lines with this share of equal letters are one line, read with errors."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A line and how long it stands."""

    text: str
    start_seconds: float
    end_seconds: float
    """Exclusive."""
    box: Box | None = None


def pair_lines(truth: Sequence[Standing], found: Sequence[Standing]) -> dict[int, int]:
    """Pair each true line with the one that is most like it; of equals, with the one it stands with longest.

    Returns:
        Index in `found` of each index in `truth` that has a partner; no two have the same.
    """
    if not truth or not found:
        return {}
    alike = cdist(
        [letters(line.text) for line in truth],
        [letters(line.text) for line in found],
        scorer=Levenshtein.normalized_similarity,
        score_cutoff=SAME_LINE,
    )
    near = [(int(row), int(column)) for row, column in zip(*np.nonzero(alike), strict=True)]
    ranked = sorted(
        near,
        key=lambda pair: (
            -round(float(alike[pair]), 4),
            -overlap(truth[pair[0]], found[pair[1]]),
            abs(truth[pair[0]].start_seconds - found[pair[1]].start_seconds),
            pair,
        ),
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for true, other in ranked:
        if true not in pairs and other not in taken:
            pairs[true] = other
            taken.add(other)
    return pairs


def overlap(left: Standing, right: Standing) -> float:
    """Seconds that two lines stand together over the seconds that either does, 0-1."""
    shared = min(left.end_seconds, right.end_seconds) - max(left.start_seconds, right.start_seconds)
    either = max(left.end_seconds, right.end_seconds) - min(left.start_seconds, right.start_seconds)
    return max(0.0, shared) / either if either > 0 else 0.0


def box_overlap(left: Box, right: Box) -> float:
    """Area that two boxes share over the area that they cover (intersection over union), 0-1."""
    width = min(left.x1, right.x1) - max(left.x0, right.x0)
    height = min(left.y1, right.y1) - max(left.y0, right.y0)
    shared = max(0.0, width) * max(0.0, height)
    either = _area(left) + _area(right) - shared
    return shared / either if either > 0 else 0.0


def _area(box: Box) -> float:
    return (box.x1 - box.x0) * (box.y1 - box.y0)


def pair_places(truth: Sequence[float], found: Sequence[float], within: float) -> dict[int, int]:
    """Pair as many places as can be, one to one, that lie at most `within` apart.

    Args:
        truth: Growing.
        found: Growing.
        within: In the same unit.

    Returns:
        Index in `found` of each index in `truth` that has a partner.
    """
    pairs: dict[int, int] = {}
    other = 0
    for true, place in enumerate(truth):
        while other < len(found) and found[other] < place - within:
            other += 1
        # The earliest that fits: any later one may serve the next place as well.
        if other < len(found) and found[other] <= place + within:
            pairs[true] = other
            other += 1
    return pairs


# --- speech -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """A word of an utterance, with what is known of its time and speaker."""

    token: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    speaker: str | None = None


def heard_words(
    text: str,
    start_seconds: float,
    end_seconds: float,
    words: Iterable[tuple[str, float, float]],
    speaker: str | None,
) -> list[Heard]:
    """Give the words of an utterance their times.

    Args:
        text: The utterance.
        start_seconds: When it begins.
        end_seconds: When it ends.
        words: Each word, its start and end in seconds; may be none (subtitles) or not fit the text.
        speaker: Who speaks.

    Returns:
        A row for each of `tokens(text)`. Without times of words, only when the first begins and
        the last ends is known.
    """
    timed = [Heard(token, start, end, speaker) for word, start, end in words for token in tokens(word)]
    wanted = tokens(text)
    if [item.token for item in timed] == wanted:
        return timed
    last = len(wanted) - 1
    return [
        Heard(token, start_seconds if place == 0 else None, end_seconds if place == last else None, speaker)
        for place, token in enumerate(wanted)
    ]


@dataclass(frozen=True, slots=True)
class Spoken:
    """How well the times and speakers of speech are known."""

    starts: list[float]
    """Seconds by which the first word of an utterance is early or late, where it was heard right…"""
    ends: list[float]
    """…and the last one."""
    right_speakers: int
    """Words said by whom they are said to be said by…"""
    speaker_words: int
    """…of all that were heard right and have a true speaker."""


def compare_speech(truth: Sequence[tuple[str, float, float, str | None]], found: Sequence[Heard]) -> Spoken:
    """Compare the times and speakers of what was said, by the words that were heard right.

    Names of speakers need not be the same: each true speaker is taken for the found one with whom
    the most words are shared, one to one, those with the most words first.

    Args:
        truth: Text, start and end in seconds, and speaker of each utterance, in order.
        found: Words that were heard, in order.
    """
    said = [tokens(text) for text, *_ in truth]
    same = aligned([token for words in said for token in words], [word.token for word in found])
    starts, ends = [], []
    voices: dict[tuple[str, str], int] = {}
    speaker_words = first = 0
    for words, (_, start, end, speaker) in zip(said, truth, strict=True):
        places = [found[same[place]] if place in same else None for place in range(first, first + len(words))]
        first += len(words)
        if places and places[0] is not None and places[0].start_seconds is not None:
            starts.append(abs(places[0].start_seconds - start))
        if places and places[-1] is not None and places[-1].end_seconds is not None:
            ends.append(abs(places[-1].end_seconds - end))
        for word in places:
            if word is not None and speaker is not None:
                speaker_words += 1
                if word.speaker is not None:
                    voices[speaker, word.speaker] = voices.get((speaker, word.speaker), 0) + 1
    return Spoken(starts, ends, _shared(voices), speaker_words)


def _shared(voices: Mapping[tuple[str, str], int]) -> int:
    """Sum the words of the pairs of speakers, one to one, the largest first."""
    total = 0
    pairs: dict[str, str] = {}
    for (true, other), count in sorted(voices.items(), key=lambda item: (-item[1], item[0])):
        if true not in pairs and other not in pairs.values():
            pairs[true] = other
            total += count
    return total
