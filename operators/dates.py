"""Dates of a text by what they state: year, month, day or weekday, in the main languages.

`2024-03-12`, `12 March 2024`, `March 12, 2024`, `12.03.2024` and `2024年3月12日` are the same date. One that
states less (`March 2024`) is borne out by one that states more, not the other way.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain

from operators.quantities import NARROW

_MONTHS = (
    "january janvier januar jänner enero gennaio janeiro januari январь января jan",
    "february février februar febrero febbraio fevereiro februari февраль февраля feb fév",
    "march mars märz marzo março maart март марта mar mär",
    "april avril abril aprile апрель апреля apr avr abr",
    "may mai mayo maggio maio mei май мая",
    "june juin juni junio giugno junho июнь июня jun",
    "july juillet juli julio luglio julho июль июля jul",
    "august août agosto augustus август августа aug",
    "september septembre septiembre settembre setembro сентябрь сентября sep sept",
    "october octobre oktober octubre ottobre outubro октябрь октября oct okt",
    "november novembre noviembre novembro ноябрь ноября nov",
    "december décembre dezember diciembre dicembre dezembro декабрь декабря dec dez dic déc",
)
_MONTH_NUMBER = {
    name: number for number, names in reversed(list(enumerate(_MONTHS, 1))) for name in names.split()
}
_NO_MONTH_ALONE = frozenset(
    (
        "may",
        "mars",
        "mai",
        "mar",
        "jan",
        "jun",
        "jul",
        "sept",
        "sep",
        "dec",
        "nov",
        "oct",
        "april",
        "avr",
        "apr",
    )
)
"""Short forms, and names that are other words too; alone these are words and names, not dates."""

_WEEKDAYS = (
    "monday montag lundi lunes lunedì segunda-feira maandag понедельник 星期一 周一 月曜日 월요일",
    "tuesday dienstag mardi martes martedì terça-feira dinsdag вторник 星期二 周二 火曜日 화요일",
    "wednesday mittwoch mercredi miércoles mercoledì quarta-feira woensdag среда 星期三 周三 水曜日 수요일",
    "thursday donnerstag jeudi jueves giovedì quinta-feira donderdag четверг 星期四 周四 木曜日 목요일",
    "friday freitag vendredi viernes venerdì sexta-feira vrijdag пятница 星期五 周五 金曜日 금요일",
    "saturday samstag sonnabend samedi sábado sabato zaterdag суббота 星期六 周六 土曜日 토요일",
    "sunday sonntag dimanche domingo domenica zondag воскресенье 星期日 星期天 周日 日曜日 일요일",
)
_WEEKDAY_NUMBER = {name: number for number, names in enumerate(_WEEKDAYS, 1) for name in names.split()}

DATE_WORDS = frozenset(
    name
    for names in (_WEEKDAY_NUMBER, _MONTH_NUMBER)
    for name in names
    if len(name) > 3 and name not in _NO_MONTH_ALONE
)
"""Weekdays and months that are no other words, casefolded."""

_MONTH = "(?P<month>" + "|".join(sorted(map(re.escape, _MONTH_NUMBER), key=len, reverse=True)) + r")\b\.?"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:\.|st|nd|rd|th|er|º|ª)?"
_YEAR = r"(?P<year>1[0-9]\d\d|20\d\d|21\d\d)"
_OF = r"(?:\s+(?:of|de|del|di)\s+|\s*,?\s*)"
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\d-]){_YEAR}-(?P<month>0[1-9]|1[0-2])-{_DAY}(?!\d)",
        rf"(?<!\d){_YEAR}\s*[年년]\s*(?P<month>1[0-2]|0?[1-9])\s*[月월](?:\s*(?P<day>3[01]|[12]\d|0?[1-9])\s*[日号號일])?",
        r"(?<!\d)(?P<month>1[0-2]|0?[1-9])\s*[月월]\s*(?P<day>3[01]|[12]\d|0?[1-9])\s*[日号號일]",
        rf"(?<![\d.]){_DAY}\s?(?P<month>0?[1-9]|1[0-2])\.\s?{_YEAR}(?![\d])",
        rf"\b{_DAY}{_OF}{_MONTH}(?:{_OF}{_YEAR}\b)?",
        rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}\b(?!\s*[:.]\d)(?:\s*,?\s+{_YEAR}\b)?",
        rf"\b{_MONTH}{_OF}{_YEAR}\b",
    )
]
_SLASHED = re.compile(rf"(?<![\d/])(?P<first>\d\d?)/(?P<second>\d\d?)/{_YEAR}(?![\d/])")
_YEAR_FIRST = re.compile(rf"(?<![\d/]){_YEAR}/(?P<month>\d\d?)/(?P<day>\d\d?)(?![\d/])")
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"[^\W\d_]+(?:-feira)?")
_ASIAN_DAY = re.compile(
    r"星期[一二三四五六日天]|周[一二三四五六日]|[月火水木金土日]曜日|[월화수목금토일]요일"
)


@dataclass(frozen=True, slots=True)
class Date:
    """What a text states of a date."""

    start: int
    end: int
    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    """1 is Monday."""

    @property
    def key(self) -> str:
        """`2024-03-12`, with `*` for what is not stated; a weekday as `weekday 5`."""
        if self.weekday is not None:
            return f"weekday {self.weekday}"
        year = "*" if self.year is None else f"{self.year:04}"
        month = "*" if self.month is None else f"{self.month:02}"
        return f"{year}-{month}-" + ("*" if self.day is None else f"{self.day:02}")


def dates(text: str) -> list[Date]:
    """Find the dates of a text, in order; a year alone is a number.

    `03/04/2024` is the third of April and the fourth of March, so that it gives both.
    """
    text = text.translate(NARROW)
    found: list[Date] = []
    if not _DIGIT.search(text):
        return sorted(_names(text), key=lambda item: item.start)
    for match in chain.from_iterable(pattern.finditer(text) for pattern in _PATTERNS):
        parts = match.groupdict()
        month = parts["month"].casefold()
        number = int(month) if month.isdecimal() else _MONTH_NUMBER[month]
        year, day = parts.get("year"), parts.get("day")
        _add(found, Date(*match.span(), int(year) if year else None, number, int(day) if day else None))
    for match in _YEAR_FIRST.finditer(text):
        year, month, day = map(int, match.group("year", "month", "day"))
        if month <= 12:
            _add(found, Date(*match.span(), year, month, day))
    for match in _SLASHED.finditer(text):
        first, second, year = map(int, match.group("first", "second", "year"))
        both = {(first, second), (second, first)}
        found.extend(Date(*match.span(), year, month, day) for day, month in sorted(both) if month <= 12)
    for single in _names(text):
        _add(found, single)
    return sorted(found, key=lambda item: (item.start, item.key))


def _add(found: list[Date], new: Date) -> None:
    if not any(new.start < other.end and other.start < new.end for other in found):
        found.append(new)


def _names(text: str) -> Iterator[Date]:
    """Find weekdays and months that stand alone."""
    for match in chain(_NAME.finditer(text), _ASIAN_DAY.finditer(text)):
        name = match.group().casefold()
        if name in _WEEKDAY_NUMBER:
            yield Date(*match.span(), weekday=_WEEKDAY_NUMBER[name])
        elif (
            name in _MONTH_NUMBER
            and len(name) > 3
            and name not in _NO_MONTH_ALONE
            and (name not in ("march", "august") or match.group()[0].isupper())
        ):
            yield Date(*match.span(), month=_MONTH_NUMBER[name])


def states(source: Date, stated: Date) -> bool:
    """Tell whether a source states all that a date states."""
    if stated.weekday is not None:
        return _weekday(source) == stated.weekday
    return all(
        part is None or part == other
        for part, other in (
            (stated.year, source.year),
            (stated.month, source.month),
            (stated.day, source.day),
        )
    )


def _weekday(source: Date) -> int | None:
    """A whole date has a weekday too, which a summary may name."""
    if source.weekday is None and source.year and source.month and source.day:
        try:
            return date(source.year, source.month, source.day).isoweekday()
        except ValueError:
            return None  # the 31st of a shorter month: misread, and no day of the week
    return source.weekday


def mentioned_numbers(found: Iterable[Date]) -> set[str]:
    """Years and days that stand in dates; they are numbers of the text too."""
    return {str(part) for item in found for part in (item.year, item.day) if part is not None}
