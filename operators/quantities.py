"""Numbers of a text, by value and unit, however they are written.

`1,000`, `1.000`, `1 000` and `one thousand` are the same number, `3.5` and `3,5` too, and `45 %` is
`45 percent`. A separator with three digits behind it can mean either (`1.234`): as a statement it is
read as thousands, as a source it bears out both.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

from operators.number_words import (
    Spoken,
    half_pattern,
    scale_pattern,
    scale_power,
    spoken_numbers,
)

_SPACES = " \u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"(?<![^\W_\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7a3])(?<!\d[.,:])(?:\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?!\d)"
    rf"|\d{{1,3}}(?:[{_SPACES}'’]\d{{3}})+(?:[.,]\d+)?(?!\d)"
    r"|\d+(?:[.,]\d+)*)"
)
_MINUS = re.compile(
    r"(?:(?<![\w.,)%])[-\u2212\u2013]|\b(?:minus|moins|menos|meno)\s|负|マイナス)$", re.IGNORECASE
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th|e|er|re|ère|ème|eme|º|ª|o|a)(?![^\W\d_])", re.IGNORECASE)
_LETTER_THOUSAND = re.compile(r"[kK](?![^\W\d_])")

_UNIT_NAMES = {
    "%": (
        "%|percent|per cent|prozent|pour cent|por ciento|por cento|per cento|procent|процент|"
        "процента|процентов|パーセント|퍼센트"
    ),
    "$": "$|dollar|dollars|usd|dólares|dollari|美元",
    "€": "€|euro|euros|eur|欧元",
    "£": "£|pound|pounds|gbp",
    "nm": "nm|nanometer|nanometers|nanometre|nanometres|纳米",
    "mm": "mm|millimeter|millimeters|millimetre|millimetres|毫米",
    "cm": "cm|centimeter|centimeters|centimetre|centimetres|zentimeter|厘米",
    "km": ("km|kilometer|kilometers|kilometre|kilometres|kilomètres|kilómetros|chilometri|quilômetros|公里"),
    "m": "m|meter|meters|metre|metres|mètres|metros|metri|米",
    "mg": "mg",
    "g": "g|gram|grams|gramm|grammes|gramos|grammi|gramas",
    "kg": "kg|kilogram|kilograms|kilogramm|公斤",
    "t": "t|ton|tons|tonne|tonnes|tonnen|toneladas|吨",
    "ms": "ms|millisecond|milliseconds",
    "s": "s|sec|second|seconds|sekunde|sekunden|secondes|segundos|secondi|秒",
    "min": "min|minute|minutes|minuten|minutos|minuti|分钟",
    "h": "h|hour|hours|stunde|stunden|heures|horas|ore|小时",
    "d": "day|days|tag|tage|tagen|jours|días|dias|giorni|天",
    "y": "year|years|jahr|jahre|jahren|ans|années|años|anni|anos",
    "°": "°",
    "°C": "°c|℃",
    "°F": "°f",
    "Hz": "hz",
    "kHz": "khz",
    "MHz": "mhz",
    "GHz": "ghz",
    "kB": "kb",
    "MB": "mb",
    "GB": "gb",
    "TB": "tb",
    "kW": "kw",
    "MW": "mw",
    "GW": "gw",
    "kWh": "kwh",
    "V": "v",
    "px": "px",
}
"""Units whose names and signs are known to mean the same; about all that lectures measure in."""

_UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names.split("|")}
_CASED = r"[^\W\d_\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7a3]"
"""A letter of a script that writes spaces; in Korean an ending may follow a unit."""

_UNIT = re.compile(
    r"[ \u00a0\u202f-]?("
    + "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
    + rf")(?!{_CASED})(?<![$€£](?=\s?\d))",
    re.IGNORECASE,
)
_UNIT_ASIAN = re.compile("(" + "|".join(name for name in _UNITS if name[0] > "\u3000") + ")")
_PERCENT_WORDS = re.compile(
    r"\b(?:pour cent|por ciento|por cento|per cento|per cent)\b|百分之", re.IGNORECASE
)
_UNIT_BEFORE = re.compile(r"(?:([$€£])\s?|\b(USD|EUR|GBP)\s|(百分之))$")


NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width signs of Chinese and Japanese to plain ones, each in its place."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a text."""

    start: int
    end: int
    """Where it stands, its scale included and its unit not."""
    value: str
    """Canonical: `1000`, `3.5`, `-5`; a time of day as `10:30`."""
    readings: tuple[str, ...]
    """All that it may mean; `value` is the first."""
    unit: str = ""
    """Of `_UNITS`, else empty."""
    until: int = 0
    """Where its unit ends, or itself without one behind it."""
    words: bool = False
    """It was written in words."""
    ordinal: bool = False
    sure: bool = True
    """False for a numeral that may be a part of a word."""


def quantities(text: str, language: str | None) -> list[Quantity]:
    """Find the numbers of a text, in order.

    Digits inside codes (`GPT-4`, `H2O`) are none. Signs are read where a minus stands directly before a
    number that follows a space.

    Args:
        text: Any text.
        language: ISO 639-1 code, for numbers in words; None reads digits alone, with English scales.
    """
    text = text.translate(NARROW)
    digits = _written(text, language)
    masked = _PERCENT_WORDS.sub(lambda match: "_" * len(match.group()), text)
    spoken = [number for number in spoken_numbers(masked, language) if not _overlaps(number, digits)]
    halves = list(_halves(text, language))
    words = [_spoken(text, number, language) for number in spoken if not _overlaps(number, halves)]
    return sorted(chain(digits, words, halves), key=lambda quantity: quantity.start)


def plain_value(value: Decimal) -> str:
    """Write a number without exponent or trailing zeros."""
    written = f"{value:f}"
    return written.rstrip("0").rstrip(".") or "0" if "." in written else written


def _overlaps(number: Spoken, others: list[Quantity]) -> bool:
    return any(number.start < other.end and other.start < number.end for other in others)


def _written(text: str, language: str | None) -> list[Quantity]:
    found = []
    end = 0
    for match in _NUMBER.finditer(text):
        if match.start() < end or _in_code(text, match):
            continue
        written, end = match.group(), match.end()
        if ":" in written:
            time = ":".join(
                str(int(part)) if not place else part for place, part in enumerate(written.split(":"))
            )
            found.append(Quantity(match.start(), end, time, (time,), until=end))
            continue
        values = _values(written)
        if not values:  # a section or a version: 2.1.3
            found.append(Quantity(match.start(), end, written, (written,), until=end))
            continue
        power, end = _scale(text, end, language)
        sign = "-" if _MINUS.search(text[: match.start()]) else ""
        readings = [sign + plain_value(value.scaleb(power)) for value in values]
        unit, until = _unit(text, match.start(), end)
        found.append(Quantity(match.start(), end, readings[0], tuple(readings), unit, until))
    return found


def _in_code(text: str, match: re.Match[str]) -> bool:
    """Digits with letters joined to them that are no unit, scale or ordinal: `3D`, `4K`, `mp4`."""
    after = text[match.end() : match.end() + 1]
    if after > "\u2e7f" or (not after.isalpha() and after != "_"):
        before = text[: match.start()]
        # A letter without case begins no code that would be a name: `코로나-19` states a number.
        return before[-1:] == "-" and before[-2:-1].lower() != before[-2:-1].upper()
    tail = text[match.end() :]
    known = _unit(tail, 0, 0)[0] or _ORDINAL.match(tail) or _LETTER_THOUSAND.match(tail)
    return not known and not re.match(r"(?:s|x|Mio|Mrd|mln|bn|mn)(?![^\W\d_])", tail)


def _values(written: str) -> list[Decimal]:
    """Read digits and separators, the most likely first; empty for what is no number."""
    digits = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in written)
    joined = re.sub(rf"[{_SPACES}'’]", "", digits)
    parts = re.split(r"[.,]", joined)
    if len(parts) == 1:
        return [Decimal(joined)]
    signs = [sign for sign in joined if sign in ".,"]
    grouped = all(len(part) == 3 for part in parts[1:]) and 1 <= len(parts[0]) <= 3 and parts[0][0] != "0"
    if len(signs) == 1:
        decimal = Decimal(f"{parts[0]}.{parts[1]}")
        return [Decimal("".join(parts)), decimal] if grouped and joined == digits else [decimal]
    if len(set(signs)) == 1 or signs[-1] == signs[0]:
        return [Decimal("".join(parts))] if grouped else []
    return [Decimal(f"{''.join(parts[:-1])}.{parts[-1]}")]


def _scale(text: str, end: int, language: str | None) -> tuple[int, int]:
    """Find the power of ten behind a number, and where it ends."""
    thousand = _LETTER_THOUSAND.match(text, end)
    if thousand:
        return 3, thousand.end()
    power = 0
    while match := scale_pattern(language).match(text, end):
        power, end = power + scale_power(match.group(), language), match.end()
    return power, end


def _unit(text: str, start: int, end: int) -> tuple[str, int]:
    """Find the unit of a number, and where it ends if it stands behind it."""
    after = _UNIT.match(text, end) or _UNIT_ASIAN.match(text, end)
    if after:
        unit = _UNITS[after.group(1).casefold()]
        # `5G` and `4 T` are no grams and tons.
        single = len(after.group(1)) == 1 and after.group(1).isalpha() and after.group(1).isascii()
        decade = single and unit == "s" and after.start(1) == end  # the 1980s
        if not decade and (not single or after.group(1) == unit):
            return unit, after.end()
    before = _UNIT_BEFORE.search(text[max(0, start - 4) : start])
    if before is None:
        return "", end
    return "%" if before.group(3) else _UNITS[(before.group(1) or before.group(2)).casefold()], end


def _spoken(text: str, number: Spoken, language: str | None) -> Quantity:
    power, end = _scale(text, number.end, language)
    value = plain_value(number.value.scaleb(power))
    unit, until = ("", end) if number.ordinal else _unit(text, number.start, end)
    return Quantity(number.start, end, value, (value,), unit, until, True, number.ordinal, number.sure)


def _halves(text: str, language: str | None) -> list[Quantity]:
    pattern = half_pattern(language)
    found = []
    for match in pattern.finditer(text) if pattern else ():
        value = plain_value(Decimal("0.5").scaleb(scale_power(match.group(1), language)))
        unit, until = _unit(text, match.start(), match.end())
        found.append(Quantity(match.start(), match.end(), value, (value,), unit, until, words=True))
    return found
