"""Is the text layer of a page worth believing, or must the page be recognised?

A PDF stores glyphs, and only by courtesy what they mean. Scans carry no text or a stamp on
top of the picture; fonts without a mapping give control characters, private-use codes or
letters of five scripts in one word; subset fonts give plain ASCII that spells nothing.
Taking such a layer loses the page silently, while recognising a sound page costs seconds
and one word in thirty. The decision is arithmetic over a few signs of the page, so that it
can be read, tested and argued about without a PDF.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise


class Verdict(StrEnum):
    """What a page's text layer is."""

    SOUND = "sound"
    """Take it."""
    NOTHING = "nothing"
    """No text."""
    UNMAPPED = "unmapped"
    """Too many glyphs whose meaning the file does not state."""
    IMPLAUSIBLE = "implausible"
    """Characters that spell no language: a font with a wrong mapping."""
    SPARSE = "sparse"
    """A few words beside pictures or drawing that may well hold the rest of the text."""


@dataclass(frozen=True, slots=True)
class PageSigns:
    """What the judgement rests on."""

    text: str
    """The text inside the page's box, lines separated by newlines."""
    glyphs: int
    """Glyphs inside the page's box, without spaces; mapped or not."""
    unmapped: int = 0
    """Of these, glyphs without a stated meaning."""
    lost: int = 0
    """Of the unmapped, glyphs in lines of which nothing is left."""
    picture_share: float = 0.0
    """Share of the page covered by raster pictures (0-1)."""
    drawn_points: int = 0
    """Points of vector drawing on the page, up to a cap; outlined text has 20 to 40 a letter."""


_UNMAPPED_SHARE = 0.05
"""Formulas lose single symbols (under 2 % in the papers looked at); a font without mapping
takes whole words."""
_UNMAPPED = 3
"""Fewer are ornaments, also on a page of ten letters."""
_LOST_SHARE = 0.01
"""Whole lines gone, such as headings set in a font of their own."""
_PICTURE_SHARE = 0.5
_SPARSE_LETTERS = 100
"""A stamp, a page number or a file name over a scan has fewer letters than this."""
_DRAWN_POINTS = 1500
"""About 50 outlined letters."""
_LETTER_SHARE = 0.5
_ENOUGH_LATIN = 150
_VOWEL_SHARE = (0.22, 0.65)
"""Pages in Latin script have 33-50 % vowels, tables of names included; letters shifted by a
wrong mapping
mostly leave this range, lists of acronyms do not (the lowest seen is 27 %)."""
_ENOUGH_PAIRS = 20
_SWITCH_SHARE = 0.2

_FILLERS = re.compile(r"([^\w\s])(?:\s?\1){2,}")
"""Dot leaders, rules and boxes made of one repeated sign."""
_VOWELS = frozenset("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿœ")
_JOINT_SCRIPTS = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HANGUL": "CJK", "KATAKANA-HIRAGANA": "CJK"}


def judge_text_layer(signs: PageSigns) -> Verdict:
    """Judge a page's text layer from its signs.

    Text that is drawn invisibly over a scan is the usual form of a recognised scan and is
    judged like any other. The first verdict that applies is returned, gravest first.
    """
    if not signs.glyphs:
        return Verdict.NOTHING
    if _is_unmapped(signs):
        return Verdict.UNMAPPED
    if not _is_plausible(signs.text):
        return Verdict.IMPLAUSIBLE
    if _is_sparse(signs):
        return Verdict.SPARSE
    return Verdict.SOUND


def _is_unmapped(signs: PageSigns) -> bool:
    if signs.unmapped == signs.glyphs:
        return True
    is_much = signs.unmapped > _UNMAPPED_SHARE * signs.glyphs or signs.lost > _LOST_SHARE * signs.glyphs
    return is_much and signs.unmapped >= _UNMAPPED


def _is_sparse(signs: PageSigns) -> bool:
    letters = sum(character.isalnum() for character in signs.text)
    hidden = signs.picture_share >= _PICTURE_SHARE or signs.drawn_points >= _DRAWN_POINTS
    return hidden and letters < _SPARSE_LETTERS


def _is_plausible(text: str) -> bool:
    words = _FILLERS.sub(" ", text)
    return _has_letters(words) and _has_vowels(words) and _keeps_to_script(words)


def _has_letters(text: str) -> bool:
    """Letters, marks and digits outweigh signs; `"7+%-` is a word in an unmapped font."""
    signs = [character for character in text if not character.isspace()]
    # Combining vowels of Indic scripts are marks, not letters.
    lettered = sum(character.isalnum() or unicodedata.category(character)[0] == "M" for character in signs)
    return lettered >= _LETTER_SHARE * len(signs) > 0 or _is_lone_mark(signs)


def _is_lone_mark(signs: list[str]) -> bool:
    """A dash or an asterisk alone on a page is a page number's ornament, not a broken font."""
    return len(set(signs)) == 1


def _has_vowels(text: str) -> bool:
    latin = [letter for letter in text.lower() if letter.isalpha() and letter < "\u0250"]
    if len(latin) < _ENOUGH_LATIN:
        return True
    share = sum(letter in _VOWELS for letter in latin) / len(latin)
    return _VOWEL_SHARE[0] <= share <= _VOWEL_SHARE[1]


@lru_cache(maxsize=8192)
def _script(letter: str) -> str:
    """First word of the character's name, which for letters is the script."""
    script = unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
    return _JOINT_SCRIPTS.get(script, script)


def _keeps_to_script(text: str) -> bool:
    """Neighbouring letters of a word belong to one script; wrong mappings draw from several."""
    pairs = [(a, b) for a, b in pairwise(text) if a.isalpha() and b.isalpha()]
    if len(pairs) < _ENOUGH_PAIRS:
        return True
    return sum(_script(a) != _script(b) for a, b in pairs) < _SWITCH_SHARE * len(pairs)
