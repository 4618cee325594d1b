"""Words that are one word in two forms: case, accents, inflection, a letter misread.

No stemmer per language: two words are alike when they share their beginning, which holds for the
inflection of most languages written with spaces, or when they are long and one letter apart.
"""

import re
import unicodedata
from functools import lru_cache

LEAST_SHARED = 4
"""Letters that two forms of a word share at least."""

SHARED = 0.7
"""Share of the longer word that they have in common: `absorb` and `absorption` are too far apart."""

LONG = 6
"""Letters from which a word may be one slip of OCR apart from itself."""

_ENDINGS = frozenset(
    (
        "",
        "s",
        "e",
        "es",
        "ed",
        "d",
        "ing",
        "er",
        "ers",
        "en",
        "em",
        "n",
        "r",
        "t",
        "te",
        "ten",
        "st",
        "a",
        "o",
        "as",
        "os",
        "i",
        "ly",
    )
)
"""Endings of inflection; two forms may differ in them alone, however short the stem is."""

WORD = re.compile(r"[^\W_]+(?:['’](?:[sS]|t|re|ve|ll|d|m)(?![^\W_]))?")
"""A word, with what English writes behind an apostrophe; `l'eau` of French is two."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PIECE = re.compile(rf"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_POSSESSIVE = re.compile(r"['’](?:s|S)?$")


@lru_cache(maxsize=1 << 15)
def plain(word: str) -> str:
    """Take case, accents, width and the possessive from a word."""
    if word.isascii():
        return word.casefold().removesuffix("'s")
    bare = unicodedata.normalize("NFKD", _POSSESSIVE.sub("", word).casefold())
    return "".join(sign for sign in bare if not unicodedata.combining(sign))


def spelled_words(text: str) -> list[str]:
    """Split a text into plain words, in order; runs of scripts without spaces stay whole."""
    found: list[str] = []
    for match in WORD.findall(text):
        if match.isascii() or not _HAS_UNSPACED.search(match):
            found.append(plain(match))
        else:
            found.extend(map(plain, _PIECE.findall(match)))
    return found


def plain_words(text: str) -> list[str]:
    """Split a text into plain words, in order; runs of scripts without spaces into pairs of characters."""
    found: list[str] = []
    for word in spelled_words(text):
        if word.isascii() or not _HAS_UNSPACED.search(word):
            found.append(word)
        else:
            found.extend(pairs(word))
    return found


def pairs(run: str) -> list[str]:
    """Pairs of neighbouring characters, as search engines index Chinese."""
    return [run] if len(run) == 1 else [run[place : place + 2] for place in range(len(run) - 1)]


def alike(left: str, right: str) -> bool:
    """Tell whether two plain words are forms of one word."""
    if left == right:
        return True
    if not (left.isalpha() and right.isalpha()):
        return False
    shorter, longer = (left, right) if len(left) <= len(right) else (right, left)
    shared = _shared(shorter, longer)
    if shared >= max(LEAST_SHARED, SHARED * len(longer)):
        return True
    if shared >= LEAST_SHARED and shorter[shared:] in _ENDINGS and longer[shared:] in _ENDINGS:
        return True
    if shared == len(shorter) == LEAST_SHARED - 1 and longer[shared:] in ("s", "n", "e", "es"):
        return True
    return len(shorter) >= LONG and one_slip(left, right)


def _shared(left: str, right: str) -> int:
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


def one_slip(left: str, right: str) -> bool:
    """Tell whether one letter was changed, lost or added."""
    if abs(len(left) - len(right)) > 1:
        return False
    start = _shared(left, right)
    rest_left, rest_right = left[start:], right[start:]
    if len(left) == len(right):
        return rest_left[1:] == rest_right[1:]
    return rest_left[1:] == rest_right if len(left) > len(right) else rest_left == rest_right[1:]
