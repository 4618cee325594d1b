"""Words of any script, for counting and comparing texts.

Scripts that write no spaces (Chinese, Japanese, Thai…) have no words to split at; pairs of
neighbouring characters serve in their place, which is the usual choice of search engines.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f"
)
"""Thai, Lao, Burmese, Khmer, Kana and Han."""

_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0971-\u0dff"
"""Vowel signs and accents, which `re` does not count as letters; without them an Indic or
pointed Arabic word falls into pieces."""

_PIECE = re.compile(rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])(?:[^\W\d_]|[{_MARKS}]))+")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]+")
_ASCII_WORD = re.compile(r"[A-Za-z]+")
_ONLY_ASCII_LETTERS = {code: None for code in range(128) if not chr(code).isalpha()}
"""Most text of most corpora is ASCII, for which counting letters this way is ten times faster."""
_LETTER = re.compile(rf"[^\W\d_]|[{_MARKS}]")

UNSPACED_LETTERS_PER_WORD = 2
"""A Chinese word has about 1.7 characters, a Japanese one a little more."""


def words(text: str) -> list[str]:
    """Split a text into comparable words, in order; numbers and signs are left out."""
    if text.isascii():
        return [_singular(word) for word in _ASCII_WORD.findall(text.lower())]
    found: list[str] = []
    for piece in _PIECE.findall(text.casefold()):
        if _UNSPACED_RUN.match(piece):
            found.extend(_pairs(piece))
        else:
            found.append(_singular(piece))
    return found


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def _singular(word: str) -> str:
    """Drop the plural s; longer stems are a matter of language and left alone."""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def letter_count(text: str) -> int:
    """Count letters (and vowel signs) of any script."""
    if text.isascii():
        return len(text.translate(_ONLY_ASCII_LETTERS))
    return len(_LETTER.findall(text))


def word_count(text: str) -> float:
    """Estimate how many words a reader would count."""
    if text.isascii():
        return float(len(_ASCII_WORD.findall(text)))
    runs = _UNSPACED_RUN.findall(text)
    spaced = len(_PIECE.findall(text)) - len(runs)
    return spaced + sum(map(len, runs)) / UNSPACED_LETTERS_PER_WORD


def is_unspaced(text: str) -> bool:
    """Tell whether most letters belong to a script that writes no spaces."""
    unspaced = sum(len(run) for run in _UNSPACED_RUN.findall(text))
    return unspaced > 0 and 2 * unspaced >= letter_count(text)


def dot(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    """Scalar product of two sparse vectors."""
    if len(left) > len(right):
        left, right = right, left
    return sum(value * right[word] for word, value in left.items() if word in right)


def cosine(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    """Cosine of two sparse vectors; 0 when either is empty."""
    product = dot(left, right)
    return product / (norm(left) * norm(right)) if product else 0.0


def norm(vector: Mapping[str, float]) -> float:
    """Euclidean length of a sparse vector."""
    return math.sqrt(sum(value * value for value in vector.values()))


def inverse_frequencies(texts: Iterable[Iterable[str]]) -> dict[str, float]:
    """Weigh words by rarity: `log((1 + n) / df)` over `n` texts.

    Function words stand in most sentences of any language, so that this does the work of a
    stop list without having one per language (Spärck Jones 1972).
    """
    seen: Counter[str] = Counter()
    total = 0
    for text in texts:
        seen.update(set(text))
        total += 1
    return {word: math.log((1 + total) / count) for word, count in seen.items()}
