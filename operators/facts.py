"""Numbers, dates and names of a sentence, and which of them its sources do not state.

A language model writes fluent sentences with a wrong figure in them; the words around it are right, so
that no measure of likeness sees it. What a sentence states exactly must therefore stand in its sources,
each number, date and name of it (as in the entity checks of summaries by Nan et al. 2021).

What this cannot see: two right numbers in each other's place, a name that is given another's deed, and
roles turned round. Numbers in words are read in the languages of `number_words`.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from text_to_num import alpha2digit

from operators.dates import Date, dates, mentioned_numbers, states
from operators.names import names
from operators.number_words import SPOKEN
from operators.quantities import Quantity, quantities
from operators.word_forms import LONG, alike, plain, plain_words, spelled_words

_CHUNK = re.compile(r"\d+|[^\W\d_]+")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3})+(?![\d.,])")
_JOINED = re.compile(r"(?<=[^\W\d_])-?(\d+)(?![.,]?\d)")

SPOKEN_ORDER = 3
"""`first`, `second` and `third` put a summary's own sentences in order and are not checked in words;
nor is `one`, which is a pronoun and an article more often than a number."""


class FactKind(StrEnum):
    """What a fact is."""

    NUMBER = "number"
    DATE = "date"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a text states exactly."""

    kind: FactKind
    text: str
    """As it is written, a number with its unit."""
    key: str
    """Normalised: equal for what is the same."""
    unit: str = ""
    """Of a number, where it is known: `%`, `km`, `$`."""
    start: int = 0
    end: int = 0
    """Where it stands."""
    code: bool = False
    """A name that is spelled alike in every language: `GPT-4`."""


def facts(text: str, language: str | None, known: Collection[str] = ()) -> list[Fact]:
    """List what a sentence states exactly, in order.

    Counts are facts like other numbers, also those a summary may have made itself (`two speakers`): a
    count is as easily invented as a measure, and most are said in the source. Only words for one, and
    for first to third, are none.

    Args:
        text: One sentence.
        language: ISO 639-1 code of the sentence, for number words and for how names are written; None
            reads digits, dates and names as in English.
        known: Plain words that are names elsewhere in the sources; decides on the first word.
    """
    found = [
        Fact(FactKind.DATE, text[item.start : item.end], item.key, "", item.start, item.end)
        for item in dates(text)
    ]
    for item in quantities(text, language):
        if _stated(item) and not _within(item.start, item.end, found):
            written = text[item.start : item.until]
            found.append(Fact(FactKind.NUMBER, written, item.value, item.unit, item.start, item.until))
    exact = tuple(found)
    for name in names(text, language, known):
        if not _within(name.start, name.end, exact):
            key = " ".join(map(plain, name.parts))
            written = text[name.start : name.end]
            found.append(Fact(FactKind.NAME, written, key, "", name.start, name.end, name.code))
    return sorted(found, key=lambda fact: (fact.start, fact.key))


def _stated(item: Quantity) -> bool:
    if not item.sure or (item.words and item.value == "1"):
        return False
    return not (item.words and item.ordinal and len(item.value) == 1 and int(item.value) <= SPOKEN_ORDER)


def _within(start: int, end: int, taken: Sequence[Fact]) -> bool:
    return any(start < fact.end and fact.start < end for fact in taken)


@dataclass(frozen=True, slots=True)
class Stated:
    """All that a source states, to look facts up in."""

    numbers: Mapping[str, Collection[str]]
    """Every reading of every number, with the units it stands with; an empty one where none is known."""
    dates: tuple[Date, ...]
    words: frozenset[str]
    joined: str
    """The whole text, plain, its words between single spaces."""
    compact: str
    """The same without spaces, which OCR loses and speech recognition adds."""


def stated(text: str, language: str | None) -> Stated:
    """Read all that a source states, more generously than a sentence that has to be borne out."""
    found = dates(text)
    numbers: dict[str, set[str]] = {part: {""} for part in mentioned_numbers(found)}
    for item in quantities(text, language):
        for reading in (*item.readings, *(reading.removeprefix("-") for reading in item.readings)):
            numbers.setdefault(reading, set()).add(item.unit)
    # `120 345` in a row of a table may be two numbers, and `iPhone15` has one.
    for match in _GROUPED.finditer(text):
        for piece in match.group().split():
            numbers.setdefault(str(int(piece)), set()).add("")
    for match in _JOINED.finditer(text):
        numbers.setdefault(str(int(match.group(1))), set()).add("")
    digits = alpha2digit(text, language, threshold=0.0) if language in SPOKEN else text
    joined = " ".join(spelled_words(text))
    if digits != text:
        joined += " | " + " ".join(spelled_words(digits))
    words = frozenset(joined.split()) | frozenset(plain_words(text))
    return Stated(numbers, tuple(found), words, f" {joined} ", joined.replace(" ", ""))


def missing_facts(sentence: str, sources: Sequence[str], language: str | None) -> list[Fact]:
    """List the facts of a sentence that none of its sources states, in order.

    Numbers compare by value, and by unit where both have one that is known (`6 %` is not borne out by
    `6 nm`). Dates compare by what they state. Of a name every word must stand in a source, in any case
    and form, or one letter misread where it has six or more.

    Args:
        sentence: One sentence.
        sources: Texts in the same language.
        language: ISO 639-1 code of both.
    """
    return unstated(facts(sentence, language), [stated(source, language) for source in sources])


def unstated(wanted: Sequence[Fact], sources: Sequence[Stated]) -> list[Fact]:
    """List those facts that no source states, in order."""
    readings = Counter(fact.text for fact in wanted if states_fact(sources, fact))
    # `03/04/2024` comes as two dates, of which one is meant.
    return [
        fact
        for fact in wanted
        if not states_fact(sources, fact) and not (fact.kind == FactKind.DATE and readings[fact.text])
    ]


def states_fact(sources: Sequence[Stated], fact: Fact) -> bool:
    """Tell whether a fact stands in the sources; the words of a name may stand in several."""
    if fact.kind == FactKind.NUMBER:
        return any(_same_unit(source.numbers.get(fact.key), fact.unit) for source in sources)
    if fact.kind == FactKind.DATE:
        wanted = dates(fact.text)
        return any(
            states(date, item)
            for source in sources
            for date in source.dates
            for item in wanted
            if item.key == fact.key
        )
    if all(any(_has_word(source, part) for source in sources) for part in fact.key.split()):
        return True
    joined = fact.key.replace(" ", "")
    return joined.isalpha() and len(joined) >= LONG and any(joined in source.compact for source in sources)


def _same_unit(units: Collection[str] | None, unit: str) -> bool:
    return units is not None and (not unit or unit in units or "" in units)


def _has_word(source: Stated, part: str) -> bool:
    if part in source.words:
        return True
    chunks = _CHUNK.findall(part)
    if len(chunks) > 1:  # GPT-4 may be written GPT 4, and Jean-Luc in two words
        pattern = r"\W*".join(map(re.escape, chunks))
        return bool(re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", source.joined))
    if len(part) >= LONG and part in source.compact:
        return True
    if any(alike(part, word) for word in source.words):
        return True
    if f" {' '.join(part)} " in source.joined:  # N A S A, as speech recognition spells it
        return True
    return len(part) >= 3 and _abbreviates(part, source)


def _abbreviates(part: str, source: Stated) -> bool:
    """Tell whether a row of words of the source has these letters as its first: NLP."""
    return part in "".join(word[0] for word in source.joined.split())
