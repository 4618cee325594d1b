"""Compare text that was read or heard with what really stands there or was said.

Case, punctuation, spaces and the forms of one character (full-width letters, ligatures) are no
errors. Words are compared as words; scripts that write no spaces have none, and each of their
characters counts as one, which is how speech recognition of Chinese and Japanese is scored.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Kana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3134F),
)

_APOSTROPHES = "'’ʼ"
"""Within a word they are often lost, in speech and in print: `don't` is `dont`."""


class _Spelling(dict[int, str]):
    """What each character becomes, found once: itself, a word of its own, a space or nothing."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char)[0] in "LMN":
            alone = any(first <= code <= last for first, last in _UNSPACED)
            shown = f" {char} " if alone else char
        else:
            shown = "" if char in _APOSTROPHES else " "
        self[code] = shown
        return shown


_SPELLING = _Spelling()


def tokens(text: str) -> list[str]:
    """Split a text into comparable words, in order; numbers are words too."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_SPELLING).split()


def letters(text: str) -> str:
    """Write a text as its letters and digits alone."""
    return "".join(tokens(text))


def holds_phrase(text: str, phrase: str) -> bool:
    """Tell whether the words of a phrase stand side by side in a text; a phrase without words does not."""
    wanted = tokens(phrase)
    return bool(wanted) and f" {' '.join(wanted)} " in f" {' '.join(tokens(text))} "


def similarity(left: str, right: str) -> float:
    """Compare two short texts, such as titles: 1 less the share of letters that must be changed."""
    return Levenshtein.normalized_similarity(letters(left), letters(right))


@dataclass(frozen=True, slots=True)
class Bag:
    """How many words two texts share, in whatever order."""

    shared: int
    """Each word counts as often as it stands in both."""
    true: int
    found: int


def compare_bags(truth: str, found: str) -> Bag:
    """Count the words of a text that were found, and those found that are right."""
    wanted, have = Counter(tokens(truth)), Counter(tokens(found))
    return Bag((wanted & have).total(), wanted.total(), have.total())


def character_errors(truth: str, found: str) -> tuple[int, int]:
    """Count the letters to change, add or drop (Levenshtein 1966) until a text is the true one.

    Returns:
        Errors, and letters of the truth. More than there are letters can be wrong.
    """
    wanted = letters(truth)
    return Levenshtein.distance(wanted, letters(found)), len(wanted)


@dataclass(frozen=True, slots=True)
class WordErrors:
    """What was heard wrong, by the alignment with the fewest errors."""

    substitutions: int
    deletions: int
    """Said and not heard."""
    insertions: int
    """Heard and not said."""
    true: int
    """Words that were said."""

    @property
    def errors(self) -> int:
        """All of them; more than there are words can be wrong."""
        return self.substitutions + self.deletions + self.insertions


def word_errors(truth: Sequence[str], found: Sequence[str]) -> WordErrors:
    """Count the words to change, drop or add, as the word error rate does.

    Args:
        truth: Words that were said, from `tokens`.
        found: Words that were heard.
    """
    kinds = Counter(step.tag for step in Levenshtein.editops(truth, found))
    return WordErrors(kinds["replace"], kinds["delete"], kinds["insert"], len(truth))


def aligned(truth: Sequence[str], found: Sequence[str]) -> dict[int, int]:
    """Pair the words that are the same in the alignment with the fewest errors.

    Returns:
        Place in `found` of each place in `truth` that was heard right; both only grow.
    """
    return {
        block.src_start + step: block.dest_start + step
        for block in Levenshtein.opcodes(truth, found)
        if block.tag == "equal"
        for step in range(block.src_end - block.src_start)
    }
