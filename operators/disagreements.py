"""Where what is said and what is shown at once do not agree: the slide has 45 %, the speaker says 54.

One of the two was misread, misheard or misspoken, and a summary that repeats either should not do so
unseen. Such a finding is shown to a person, so that precision comes first: two statements are compared
only where they plainly measure the same thing.

What this cannot see: a thing called by different names; counts with no unit and no noun behind them;
labels (`chapter 5`), which differ rightly; tables and lists, where the line has several values of a kind;
a wrong value that is also shown or said rightly in the same clip, for a correction looks the same.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from operators.dates import Date, dates, states
from operators.evidence import Evidence, Kind
from operators.evidence_index import content_words
from operators.quantities import Quantity, quantities
from operators.word_forms import alike, plain_words
from operators.words import is_unspaced

SHARED = 2
"""Content words that two statements share to speak of the same thing; pairs of characters, one more."""

SHARED_PART = 0.4
"""Share of the words of the shorter statement that the other has too."""

RARE = 3
"""Pieces of evidence in which a word may stand so that it alone, with the same unit, is enough."""

ROUND_FROM = 100
"""From here a value of one significant digit is taken for a rounded one (`half a million` for 512,000)."""

NEARLY = Decimal("0.1")
"""By how much, of the larger, a value may be off that is rounded or said to be approximate."""

_APPROXIMATE = re.compile(
    r"\b(?:about|around|approximately|approx|roughly|nearly|almost|some|circa|ca|over|under|more than|less"
    r" than|up to|at least|at most|etwa|ungefähr|rund|fast|knapp|gut|über|unter|mehr als|weniger als|bis zu"
    r"|mindestens|environ|presque|près de|plus de|moins de|cerca de|casi|unos|alrededor de|más de|menos de"
    r"|quasi|più di|meno di|quase|mais de)\.?\s(?:\w+\s)?$|(?:约|大约|近|超过|不到|至少|ほぼ|約)$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d|21\d\d")
_YEAR_ALONE = re.compile(r"(?:^|[^\w.,/–-])?(?:\d{4}|[^\W\d_][^\d]*)(?![-–/.,]?\d)")
_NEXT_WORD = re.compile(r"[\s\u00a0-]*([^\W\d_]+)")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two statements of one thing that differ."""

    said: int
    """Index of the utterance."""
    shown: int
    """Index of the line."""
    said_value: str
    """As it is written, with its unit."""
    shown_value: str


@dataclass(frozen=True, slots=True)
class _Value:
    """A number or date that can be compared."""

    text: str
    measure: str
    """What it is a value of: a unit, a counted noun, `year`, `time`, `date`, `weekday`."""
    number: Decimal | None = None
    date: Date | None = None
    approximate: bool = False


def find_disagreements(evidence: Sequence[Evidence], language: str | None) -> list[Disagreement]:
    """Find where speech and screen state different values of one thing.

    An utterance and a line of the same clip are compared where each has exactly one value of a measure (a
    unit, a counted noun, a year, a date) and they share two content words, or one rare word and a unit.
    Values within rounding of each other agree, and so do all that also stand on the other side somewhere in
    the clip.

    Args:
        evidence: Of an asset, in any order; what a model described is passed over.
        language: ISO 639-1 code, for number words; None reads digits alone.

    Returns:
        At most one finding for each value said, in the order of the utterances.
    """
    # Documents say nothing: their numbers, thousands of them, need not be read.
    kinds: dict[int, set[Kind]] = defaultdict(set)
    for item in evidence:
        kinds[item.clip].add(item.kind)
    values = {
        place: here
        for place, item in enumerate(evidence)
        if item.kind != Kind.DESCRIBED
        and {Kind.SAID, Kind.SHOWN} <= kinds[item.clip]
        and (here := _values(item.text, language))
    }
    words = {place: set(content_words(evidence[place].text, language)) for place in values}
    common = (
        Counter(word for item in evidence for word in set(plain_words(item.text))) if values else Counter()
    )
    found: list[Disagreement] = []
    for places in _by_clip(evidence, list(values)).values():
        said = [place for place in places if evidence[place].kind == Kind.SAID]
        shown = [place for place in places if evidence[place].kind == Kind.SHOWN]
        for place in said:
            for value in _single(values[place]):
                if _stands(value, shown, values):
                    continue
                for other in shown:
                    against = _single_of(value.measure, values[other])
                    if (
                        against is not None
                        and _same_thing(words[place], words[other], value, common)
                        and _differing(values[place], values[other]) == 1
                        and not _stands(against, said, values)
                    ):
                        found.append(Disagreement(place, other, value.text, against.text))
                        break
    return sorted(found, key=lambda finding: (finding.said, finding.shown))


def _by_clip(
    evidence: Sequence[Evidence], places: Sequence[int] | dict[int, list[_Value]]
) -> dict[int, list[int]]:
    clips: dict[int, list[int]] = {}
    for place in places:
        clips.setdefault(evidence[place].clip, []).append(place)
    return clips


def _values(text: str, language: str | None) -> list[_Value]:
    stated = dates(text)
    found = [
        _Value(text[item.start : item.end], "weekday" if item.weekday else "date", date=item)
        for item in stated
    ]
    for item in quantities(text, language):
        if any(item.start < date.end and date.start < item.end for date in stated):
            continue
        measure = _measure(text, item)
        one = item.words and item.value == "1"  # a pronoun or an article, mostly
        if measure and item.sure and not item.ordinal and not one and len(item.readings) == 1:
            number = None if ":" in item.value else Decimal(item.value)
            approximate = bool(_APPROXIMATE.search(text[: item.start]))
            found.append(_Value(text[item.start : item.until], measure, number, approximate=approximate))
    return found


def _measure(text: str, item: Quantity) -> str:
    """Name what a number is a value of; empty for what cannot be compared."""
    if ":" in item.value:
        return "time"
    if item.value.count(".") > 1:
        return ""
    if item.unit:
        return item.unit
    if _YEAR.fullmatch(item.value) and _YEAR_ALONE.match(text, max(0, item.start - 1)):
        return "year"
    following = _NEXT_WORD.match(text, item.until)
    if following is None or is_unspaced(following.group(1)) or "." in item.value:
        return ""
    counted = content_words(following.group(1), None)
    return f"count {counted[0]}" if counted and len(counted[0]) > 2 else ""


def _single(values: Sequence[_Value]) -> Iterator[_Value]:
    """Values of which there is one of their measure."""
    for value in values:
        if _single_of(value.measure, values) is value:
            yield value


def _single_of(measure: str, values: Sequence[_Value]) -> _Value | None:
    """The one value of a measure; None where there are none or several, as in a row of a table."""
    same = [value for value in values if _same_measure(value.measure, measure)]
    return same[0] if len(same) == 1 else None


def _same_measure(left: str, right: str) -> bool:
    if left.startswith("count ") and right.startswith("count "):
        return alike(left.removeprefix("count "), right.removeprefix("count "))
    return left == right


def _same_thing(said: set[str], shown: set[str], value: _Value, common: Counter[str]) -> bool:
    counted = value.measure.removeprefix("count ") if value.measure.startswith("count ") else ""
    shared = [
        word
        for word in said
        if word != counted and (word in shown or any(alike(word, other) for other in shown))
    ]
    if len(shared) < SHARED_PART * min(len(said), len(shown)):
        return False
    if len(shared) >= SHARED + any(map(is_unspaced, shared)):
        return True
    measured = not counted and value.measure not in ("year", "time", "date", "weekday")
    return measured and any(common[word] <= RARE for word in shared)


def _differs(value: _Value, others: Sequence[_Value]) -> bool:
    other = _single_of(value.measure, others)
    return other is not None and not _agree(value, other)


def _differing(left: Sequence[_Value], right: Sequence[_Value]) -> int:
    """Count the measures that two pieces differ in; where there are two they speak of different things."""
    return sum(_differs(value, right) for value in _single(left))


def _stands(value: _Value, places: Sequence[int], values: dict[int, list[_Value]]) -> bool:
    """Tell whether a value is also stated in one of these pieces, under whatever name."""
    return any(
        _same_measure(value.measure, other.measure) and _agree(value, other)
        for place in places
        for other in values[place]
    )


def _agree(left: _Value, right: _Value) -> bool:
    if left.date is not None and right.date is not None:
        # `March 2024` and `12 March` do not contradict each other.
        return (
            states(left.date, right.date)
            or states(right.date, left.date)
            or not _comparable(left.date, right.date)
        )
    if left.number is None or right.number is None:
        return left.text == right.text
    if left.number == right.number:
        return True
    if left.measure == "year":
        return False
    if abs(left.number - right.number) > NEARLY * max(abs(left.number), abs(right.number)):
        return False
    if left.approximate or right.approximate:
        return True
    return _rounds_to(left, right) or _rounds_to(right, left)


def _comparable(left: Date, right: Date) -> bool:
    """Tell whether two dates state the same parts, so that they can differ."""
    return all(
        (mine is None) == (other is None)
        for mine, other in ((left.year, right.year), (left.month, right.month), (left.day, right.day))
    )


def _rounds_to(exact: _Value, rounded: _Value) -> bool:
    """Tell whether one value is the other, rounded to its significant digits."""
    assert exact.number is not None
    assert rounded.number is not None
    digits = rounded.number.normalize().as_tuple().digits
    if len(digits) < 2 and abs(rounded.number) < ROUND_FROM:
        return False
    step = Decimal(1).scaleb(rounded.number.adjusted() - len(digits) + 1)
    return (exact.number / step).quantize(Decimal(1), rounding=ROUND_HALF_UP) * step == rounded.number
