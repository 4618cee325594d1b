"""Names of a text: people, places, products, codes.

There is no model here, only how names are written: with capitals where an ordinary word has none, in
capitals alone (`NASA`), mixed (`PyTorch`) or with digits (`GPT-4`). Scripts without capitals have no names
but Latin ones; German writes every noun with a capital, so that only runs of two or more count there; and
of headings, which may have capitals throughout, only codes and what is known to be a name.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from operators.stop_words import generic_words, stop_words
from operators.word_forms import plain

_LETTER = r"[^\W_\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7a3]"
"""Of a script with capitals, or at least with spaces."""

_TOKEN = re.compile(rf"{_LETTER}+(?:[-–]{_LETTER}+)*(?:\.[A-Z]\b)*(?:['’](?:[sS]|t|re|ve|ll|m|d)\b)?")
_WORD = re.compile(r"[^\W\d_]{2,}")
_WITHIN = re.compile(r"[^\W\d_,] $")
_START = re.compile(r"(?:^|[.!?:;…\n\"“„«‘(\[])[\s\"'“”‘’«»(\[•–—*-]*$")
_SMALL = (
    "de",
    "da",
    "di",
    "del",
    "della",
    "dos",
    "von",
    "van",
    "der",
    "den",
    "la",
    "le",
    "al",
    "bin",
    "ibn",
    "of",
)
_LINK = re.compile(rf"\s(?:(?:{'|'.join(_SMALL)})\s){{0,2}}|-|\.\s?")
"""What may stand between the words of one name."""
_MIXED = re.compile(r"[^\W\d_]*[a-zà-ÿ][A-ZÀ-Þ]|[A-ZÀ-Þ]{2}[A-Za-zÀ-ÿ]*[a-zà-ÿ]")
_ORDINARY_ENDINGS = (
    *("s", "ing", "ed", "ly", "tion", "ity", "ment", "ness", "ism", "al", "ance", "ence", "ful", "ive"),
    *("age", "ure", "ary", "ory", "ware"),
)
"""Endings of English words that begin a sentence with no article before them."""

_NEXT_WORD = re.compile(r"\s([a-z]+)\b")
_VERBS = frozenset(
    [
        *("is", "was", "has", "had", "does", "did", "will", "would", "can", "could", "then", "also"),
        *("gives", "makes", "takes", "teaches", "works", "leads", "thinks"),
    ]
)
_SPECIAL = frozenset(
    [
        *("i", "ii", "iii", "iv", "vi", "vii", "viii", "ix", "am", "pm", "ok", "phd"),
        *("dr", "mr", "mrs", "ms", "prof", "professor", "president", "director", "engineer", "researcher"),
        *(
            "herr",
            "frau",
            "madame",
            "monsieur",
            "senor",
            "senora",
            "signor",
            "signora",
            "fig",
            "figs",
            "eq",
            "vol",
        ),
    ]
)
"""Written with capitals and no names: numerals and titles."""

HEADING_WORDS = 8
"""Most words of a heading that say something."""

_CAPITAL_NAMES = frozenset(("US", "WHO", "IT"))
"""Names that are function words but for their capitals."""


@dataclass(frozen=True, slots=True)
class Name:
    """A run of words that is a name."""

    start: int
    end: int
    parts: tuple[str, ...]
    """Its words, as written; small ones between (`de`, `of`) left out."""
    code: bool
    """It has a digit, or capitals within the word: it is spelled one way in every language."""


def names(text: str, language: str | None, known: Collection[str] = ()) -> list[Name]:
    """Find the names of one sentence, in order.

    Args:
        text: A sentence; the word that begins it counts where capitals go on behind it, where it is
            known to be a name, and in English where it stands as the subject with no article and
            looks like no ordinary word (`Okafor explains`).
        language: ISO 639-1 code; for German, lone capitalised words are nouns.
        known: Plain words that are names elsewhere.
    """
    tokens = [match for match in _TOKEN.finditer(text) if match.group()[0].isalnum()]
    found: list[Name] = []
    run: list[re.Match[str]] = []
    for match in tokens:
        if run and not _LINK.fullmatch(text[run[-1].end() : match.start()]):
            _close(found, run, text, language, known)
            run = []
        if _is_capital(match.group()):
            run.append(match)
        elif run and match.group() not in _SMALL:
            _close(found, run, text, language, known)
            run = []
    _close(found, run, text, language, known)
    if _is_heading(text, tokens, language):
        return [
            Name(match.start(), match.end(), (match.group(),), is_code(match.group()))
            for match in tokens
            if _may_be(match, text, language) and (is_code(match.group()) or plain(match.group()) in known)
        ]
    return found


def _is_heading(text: str, tokens: Sequence[re.Match[str]], language: str | None) -> bool:
    """Tell whether all words have capitals, as in English titles; then capitals mark no names."""
    telling = [match.group() for match in tokens if not _ordinary(plain(match.group()), language)]
    small = sum(word[0].islower() for word in telling)
    return 1 < len(telling) <= HEADING_WORDS and not small and text.rstrip()[-1:] not in tuple(".!?")


def known_names(texts: Iterable[str]) -> frozenset[str]:
    """Plain words that stand with a capital within the sentences of some texts and nowhere without one."""
    capital: set[str] = set()
    small: set[str] = set()
    for text in texts:
        for match in _WORD.finditer(text):
            word = match.group()
            if word.islower():
                small.add(plain(word))
            elif word[0].isupper() and _WITHIN.search(text, max(0, match.start() - 2), match.start()):
                capital.add(plain(word))
    return frozenset(capital - small)


def _is_capital(token: str) -> bool:
    """A word written as names are: a capital first, or inside, or letters with digits."""
    if token.islower() and token.isalpha():
        return False
    if any(sign.isdigit() for sign in token):
        return any(sign.isalpha() for sign in token)
    return token[0].isupper() or bool(_MIXED.search(token))


def is_code(token: str) -> bool:
    """Letters with digits (`H2O`), all capitals (`NASA`) or capitals within (`PyTorch`)."""
    letters = [sign for sign in token if sign.isalpha()]
    if any(sign.isdigit() for sign in token):
        return bool(letters)
    return (len(letters) > 1 and all(sign.isupper() for sign in letters)) or bool(_MIXED.search(token))


def _close(
    found: list[Name], run: list[re.Match[str]], text: str, language: str | None, known: Collection[str]
) -> None:
    """Make a name of a run of capitalised words, or nothing."""
    run = [match for match in run if _may_be(match, text, language)]
    if run and _starts(run[0], text) and not is_code(run[0].group()):
        first = plain(run[0].group())
        alone = len(run) == 1 or not _LINK.fullmatch(text[run[0].end() : run[1].start()])
        # `Engineer Maria Okafor`: of a longer run the first may be any word.
        doubtful = len(run) > 2 or (alone and not _subject(run[0], text, language))
        if doubtful and first not in known:
            run = run[1:]
    if not run:
        return
    codes = [is_code(match.group()) for match in run]
    if language == "de" and len(run) == 1 and not codes[0] and plain(run[0].group()) not in known:
        return
    found.append(Name(run[0].start(), run[-1].end(), tuple(match.group() for match in run), all(codes)))


def _may_be(match: re.Match[str], text: str, language: str | None) -> bool:
    """Leave out numerals, titles, pronouns and function words, which headings write with capitals."""
    token = match.group()
    word = plain(token)
    if word in _SPECIAL or (len(token) == 1 and text[match.end() : match.end() + 1] != "."):
        return False
    return not _ordinary(word, language) or token in _CAPITAL_NAMES


def _ordinary(word: str, language: str | None) -> bool:
    return word in _plain_stops(language)


@cache
def _plain_stops(language: str | None) -> frozenset[str]:
    return frozenset(map(plain, stop_words(language) | generic_words(language)))


def _starts(match: re.Match[str], text: str) -> bool:
    return bool(_START.search(text[: match.start()]))


def _subject(match: re.Match[str], text: str, language: str | None) -> bool:
    """Tell whether the first word is a name by its place: `Okafor explains`, not `Water is`.

    Nouns that need no article either (`Electricity is made of coal`) are taken for names too; they cost
    nothing where the sources have the word.
    """
    if language not in ("en", None):
        return False
    if re.search(r"['’][sS]$", match.group()):
        return True
    word = plain(match.group())
    if word.endswith(_ORDINARY_ENDINGS):
        return False
    following = _NEXT_WORD.match(text, match.end())
    if following is None:
        return False
    verb = following.group(1)
    # Of words in -s only those by which speakers are reported: `cells` may be a noun.
    return verb in _VERBS or verb.endswith("ed") or (verb.endswith("s") and verb in generic_words("en"))
