"""Numbers written as words, which speech is full of: a summary says 45 where the speaker said `forty-five`.

European languages are left to text2num (Allo-Media, MIT), whose parser runs at about 4 µs a sentence;
Chinese and Japanese numerals, which it does not know, are read here. Other languages have none.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from text_to_num import alpha2digit, find_numbers

SPOKEN = frozenset(("da", "de", "en", "es", "fr", "it", "nl", "pt"))
"""Languages whose number words text2num reads."""

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[^\w\s]")

_LARGE: dict[str, dict[str, int]] = {
    "en": {"million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12},
    "de": {"million": 6, "millionen": 6, "mio": 6, "milliarde": 9, "milliarden": 9, "mrd": 9},
    "fr": {"million": 6, "millions": 6, "milliard": 9, "milliards": 9},
    "es": {"millón": 6, "millones": 6, "millon": 6, "billón": 12, "billones": 12},
    "it": {"milione": 6, "milioni": 6, "mln": 6, "miliardo": 9, "miliardi": 9, "mld": 9},
    "pt": {"milhão": 6, "milhões": 6, "bilhão": 9, "bilhões": 9, "bilião": 12, "biliões": 12},
    "nl": {"miljoen": 6, "miljard": 9, "mln": 6, "mld": 9},
    "da": {"million": 6, "millioner": 6, "mio": 6, "milliard": 9, "milliarder": 9, "mia": 9},
    "ru": {"миллион": 6, "миллиона": 6, "миллионов": 6, "млн": 6, "миллиард": 9, "миллиардов": 9, "млрд": 9},
}
_THOUSAND = {
    "en": ("thousand",),
    "de": ("tausend", "tsd"),
    "fr": ("mille",),
    "es": ("mil",),
    "it": ("mila", "mille"),
    "pt": ("mil",),
    "nl": ("duizend",),
    "da": ("tusind", "tusinde"),
    "ru": ("тысяч", "тысячи", "тысяча", "тыс"),
}
_HALF = {
    "en": r"half(?:\s+an?)?\s+(million|billion)",
    "de": r"halbe[nr]?\s+(million|milliarde)",
    "fr": r"demi-(million|milliard)",
    "es": r"medio\s+(millón)",
    "it": r"mezzo\s+(milione|miliardo)",
    "pt": r"meio\s+(milhão|bilhão)",
    "nl": r"half\s+(miljoen|miljard)",
}

MASK = "___"
"""Stands for 百分之, which has numerals in it and is none."""

LARGE_ASIAN = {"万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12, "만": 4, "억": 8}
"""Powers of ten that follow digits in Chinese, Japanese and Korean (`3.5亿`)."""

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_NUMERAL = re.compile("[零〇一二三四五六七八九两兩十百千万萬亿億]+(?:点[零〇一二三四五六七八九]+)?")
_NO_NUMERALS = frozenset(("万一", "千万", "一一", "万万"))
"""In case, by all means, one by one, by no means."""
_VERY = re.compile("十分(?![钟鐘之])")
_COUNTED = frozenset(
    "个個种種次年月日天点點倍名人章步项項条條层層元块塊米秒分小岁歳回本枚件课課号號度周週页頁つ時"
)
"""What stands behind a numeral that counts; without it a single 三 is more often part of a word."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A number in words, and where it stands."""

    start: int
    end: int
    value: Decimal
    ordinal: bool = False
    sure: bool = True
    """False for a numeral that may be part of a word, such as 三 in a name."""


class _Token:
    """What text2num asks of a token."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self) -> str:
        return self._text

    def nt_separated(self, _previous: "_Token") -> bool:
        return False

    def not_a_number_part(self) -> bool:
        return False


def spoken_numbers(text: str, language: str | None) -> list[Spoken]:
    """Find numbers in words, in order; large scales (`million`) are not yet multiplied.

    Args:
        text: Any text.
        language: ISO 639-1 code; words of other languages are not read.
    """
    if language in ("zh", "ja"):
        return _numerals(text)
    if language not in SPOKEN or alpha2digit(text, language, threshold=0.0) == text:
        return []
    tokens = list(_TOKEN.finditer(text))
    large = _LARGE[language]
    # Scales are taken out, because text2num reads `3 million` as two numbers.
    read = [_Token("|" if token.group().casefold() in large else token.group()) for token in tokens]
    found = []
    for number in find_numbers(read, language, threshold=0.0):
        start, end = tokens[number.start].start(), tokens[number.end - 1].end()
        if end - start > 1 and not text[start:end].isdecimal():
            found.append(Spoken(start, end, Decimal(str(number.value)).normalize(), number.is_ordinal))
    return _years(text, found)


def _years(text: str, numbers: list[Spoken]) -> list[Spoken]:
    """Join `nineteen` and `eighty-four`, which speakers of English and Dutch say for a year."""
    joined: list[Spoken] = []
    for number in numbers:
        before = joined[-1] if joined else None
        if (
            before is not None
            and not before.ordinal
            and not number.ordinal
            and text[before.end : number.start].isspace()
            and 11 <= before.value <= 20
            and 10 <= number.value <= 99
        ):
            joined[-1] = Spoken(before.start, number.end, before.value * 100 + number.value)
        else:
            joined.append(number)
    return joined


def _numerals(text: str) -> list[Spoken]:
    found = []
    for match in _NUMERAL.finditer(text):
        written = match.group()
        if all(sign in LARGE_ASIAN for sign in written):
            continue  # `3.5亿`: the scale of digits
        before, after = text[: match.start()], text[match.end() : match.end() + 1]
        if written in _NO_NUMERALS or _VERY.match(text, match.start()):
            continue
        counted = after in _COUNTED or before.endswith((MASK, "第"))
        value = numeral_value(written)
        sure = (counted or len(written) > 1) and value != 1
        found.append(Spoken(match.start(), match.end(), value, before.endswith("第"), sure))
    return found


def numeral_value(written: str) -> Decimal:
    """Read a Chinese numeral: 三千五百 is 3500, 二〇二四 is 2024, 一点五 is 1.5."""
    whole, _, fraction = written.partition("点")
    if len(whole) > 1 and all(sign in _DIGITS for sign in whole):
        total = int("".join(str(_DIGITS[sign]) for sign in whole))
    else:
        total = section = digit = 0
        for sign in whole:
            if sign in _DIGITS:
                digit = _DIGITS[sign]
            elif sign in _SMALL:
                section += (digit or 1) * _SMALL[sign]
                digit = 0
            else:
                scale, block = 10 ** LARGE_ASIAN[sign], section + digit
                total = total + block * scale if total >= scale else (total + block or 1) * scale
                section = digit = 0
        total += section + digit
    return Decimal(f"{total}.{''.join(str(_DIGITS[sign]) for sign in fraction)}" if fraction else total)


@cache
def scale_pattern(language: str | None) -> re.Pattern[str]:
    """Match what multiplies the number before it: `million`, `Mrd.`, `mil millones`, 万."""
    asian = "|".join(LARGE_ASIAN)
    names = "|".join(sorted(map(re.escape, _scales(language)), key=len, reverse=True))
    # `Mio.` and `Mrd.` have a full stop of their own.
    words = rf"\s?(?:{names})\b(?:(?<=io|rd|sd|ln|ld|bn|mn|ыс|рд|лн)\.)?"
    return re.compile(rf"(?:{words}|[ -]?(?:{asian}))", re.IGNORECASE)


def scale_power(written: str, language: str | None) -> int:
    """Power of ten of what `scale_pattern` matched."""
    name = " ".join(written.split()).strip(" .-").casefold()
    return LARGE_ASIAN[name] if name in LARGE_ASIAN else _scales(language)[name]


@cache
def _scales(language: str | None) -> dict[str, int]:
    key = language if language in _LARGE else "en"
    assert key is not None
    scales = dict(_LARGE[key])
    scales.update(dict.fromkeys(_THOUSAND[key], 3))
    if key == "es":
        scales["mil millones"] = 9
    return scales


@cache
def half_pattern(language: str | None) -> re.Pattern[str] | None:
    """Match `half a million`, whose group 1 is the scale."""
    written = _HALF.get(language or "en")
    return re.compile(rf"\b{written}\b", re.IGNORECASE) if written else None
