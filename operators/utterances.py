"""Words with times become utterances: what is said in one breath or one sentence.

Recognisers give the words of up to half a minute together. People look for a sentence, and want
to hear from where it begins. All of it is arithmetic on words.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.perception import Stretch, Word

_PAUSE_SECONDS = 0.8
"""A pause from which another utterance begins, whatever the punctuation."""

_ENDS = re.compile(r"[.!?…。！？｡]+[\"'”’»)\]]*$")
_ABBREVIATED = re.compile(r"^\W*(?:\w|Mr|Mrs|Ms|Dr|St|Prof|vs|etc|e\.g|i\.e|z\.B|usw|Nr)\.$", re.IGNORECASE)
"""A full stop that ends no sentence: initials and the commonest abbreviations."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that make one utterance."""

    text: str
    words: list[Word]

    @property
    def start_seconds(self) -> float:
        """When it begins."""
        return self.words[0].start_seconds

    @property
    def end_seconds(self) -> float:
        """When the last word is over; never before it began."""
        return max(word.end_seconds for word in self.words)

    @property
    def confidence(self) -> float:
        """Mean probability of its words."""
        return sum(word.probability for word in self.words) / len(self.words)


def phrases(words: Sequence[Word]) -> list[Phrase]:
    """Cut words at the ends of sentences and at pauses.

    Args:
        words: In order of time, each as it stands in the text: with the space before it.

    Returns:
        Phrases that hold every word once, in order; their words are without spaces around.
    """
    groups: list[list[Word]] = []
    for word in words:
        if not groups or _ends(groups[-1][-1], word):
            groups.append([])
        groups[-1].append(word)
    cut = [Phrase("".join(word.word for word in group).strip(), _bare(group)) for group in groups]
    return [phrase for phrase in cut if phrase.text and phrase.words]


def _ends(last: Word, following: Word) -> bool:
    if following.start_seconds - last.end_seconds >= _PAUSE_SECONDS:
        return True
    text = last.word.strip()
    return bool(_ENDS.search(text)) and not _ABBREVIATED.match(text)


def _bare(words: Iterable[Word]) -> list[Word]:
    return [
        Word(word.word.strip(), word.start_seconds, word.end_seconds, word.probability)
        for word in words
        if word.word.strip()
    ]


def covered_seconds(stretches: Iterable[Stretch], words: Iterable[Word], slack_seconds: float) -> float:
    """Count the seconds of stretches that words cover, each word widened by some slack."""
    whole = list(stretches)
    left = uncovered(whole, words, slack_seconds)
    return max(0.0, total_seconds(whole) - total_seconds(left))


def total_seconds(stretches: Iterable[Stretch]) -> float:
    """Sum up the lengths of stretches."""
    return sum(stretch.end_seconds - stretch.start_seconds for stretch in stretches)


def uncovered(stretches: Iterable[Stretch], words: Iterable[Word], slack_seconds: float) -> list[Stretch]:
    """Return what of some stretches no word covers.

    Args:
        stretches: In order of time, without overlap.
        words: In any order.
        slack_seconds: A word is taken to reach so far beyond both its ends.
    """
    spans = sorted((word.start_seconds - slack_seconds, word.end_seconds + slack_seconds) for word in words)
    left: list[Stretch] = []
    for stretch in stretches:
        at = stretch.start_seconds
        for start, end in spans:
            if end <= at or start >= stretch.end_seconds:
                continue
            if start > at:
                left.append(Stretch(at, start))
            at = max(at, end)
        if at < stretch.end_seconds:
            left.append(Stretch(at, stretch.end_seconds))
    return left
