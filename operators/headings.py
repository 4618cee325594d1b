"""Find the headings of a document: what opens a section.

Headings are set larger than the text, or numbered, or in capitals, or merely set off from
it; and each of these is also true of something that is no heading: an item of a list, a
cell of a table, a line of a form. What tells them apart is what stands around them.
"""

import re
from collections.abc import Collection, Sequence

from operators.sentences import ends_sentence
from operators.titles import Heading, Layout, grow, is_title, letter_size
from operators.words import letter_count, word_count
from schemas.perception import Line

LARGER = 1.15
"""Letters of a heading are larger than those of the body by at least this factor, where a
text layer states their size."""

LARGER_RECOGNISED = 1.25
"""The same for recognised lines, whose size is known to about a tenth."""

MUCH_LARGER = 1.5
"""From here on, a line is a heading whatever else it looks like."""

MOST_WORDS = 16
MOST_WORDS_SET_OFF = 10

WEAK = 1.0
"""Strength of headings that are no larger than the text."""

RUNNING_WORDS = 7
"""A line of running text has at least so many words."""

_NUMBERED = re.compile(
    r"^(?:(?:chapter|section|part|appendix|kapitel|abschnitt|teil|anhang|chapitre|partie|annexe|capítulo|parte|глава)\s+"
    r"(?:\d+|[IVXLC]+|[A-Z])\b|第\s*[0-9一二三四五六七八九十百]+\s*[章节節部編编]|"
    r"\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+(?=[^\W\d_])|[IVX]{1,5}\.\s+(?=[^\W\d_])|[A-H]\.\s+(?=[A-Z]))",
    re.IGNORECASE,
)
_CAPTION = re.compile(
    r"^(?:table|figure|fig|tab|tabelle|abbildung|abb|tableau|tabla|figura|exhibit|listing|algorithm|chart)\b\.?\s*\d"
    r"|^[图表圖図]\s*\d",
    re.IGNORECASE,
)
"""What names a table or figure opens no section."""
_CAPITALS = re.compile(r"^[A-ZÀ-ÖØ-ÞΑ-ΩА-Я][^a-zß-öø-ÿα-ωа-я]*$")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")


def headings(layout: Layout, body_px: float, skip: Collection[int] = ()) -> list[Heading]:
    """Find the headings of a page.

    Args:
        layout: the page.
        body_px: letter size of running text in the whole document, in the unit of the page.
        skip: indices of lines that are boilerplate.

    Returns:
        Headings in reading order. Their strength is the size of their letters over that of
        the text; numbered ones count a little more, deeper ones less.
    """
    usable = [index for index in range(len(layout.lines)) if index not in skip and layout.lies(index)]
    strengths = {index: strength for index in usable if (strength := _strength(layout, index, body_px)) > 0}
    capitals = {index for index in usable if _CAPITALS.match(layout.lines[index].text.strip())}
    found: list[Heading] = []
    taken: set[int] = set()
    for index, strength in strengths.items():
        if index in taken:
            continue
        # The second line of a heading in capitals has no white space above it.
        near = strengths.keys() | capitals if index in capitals else strengths.keys()
        heading = grow(layout, index, near - taken, strength)
        taken.update(heading.lines)
        if is_title(heading.text) and not heading.text.rstrip().endswith((",", ";")):
            found.append(heading)
    return found


def _strength(layout: Layout, index: int, body_px: float) -> float:
    """Rate a line as (the beginning of) a heading; 0 for none."""
    line = layout.lines[index]
    text = line.text.strip()
    if not layout.may_open(index) or _CAPTION.match(text):
        return 0.0
    if word_count(text) > MOST_WORDS or not letter_count(text):
        return 0.0
    ratio = layout.letter_size(index) / body_px if body_px > 0 else 1.0
    if ratio >= MUCH_LARGER:
        return ratio
    if ends_sentence(text) or _shares_row(layout.lines, index):
        return 0.0
    numbered = _NUMBERED.match(text)
    larger = ratio >= (LARGER if line.source == "text_layer" else LARGER_RECOGNISED)
    if not larger and layout.words[index] > MOST_WORDS:
        return 0.0
    if numbered and ratio >= 0.9 and _set_off(layout.lines, index) and _names_section(text, numbered):
        depth = numbered.group().rstrip(". ").count(".")
        return max(ratio, WEAK) + 0.15 - 0.05 * depth
    if larger:
        return ratio if _is_phrase(text) or _opens_text(layout.lines, index) else 0.0
    return WEAK if ratio >= 0.85 and _looks_like_heading(layout.lines, index) else 0.0


def _names_section(text: str, numbered: re.Match[str]) -> bool:
    rest = text[numbered.end() :].strip()
    return len(rest) <= 90 and not text.endswith((",", ";", ":")) and not rest[:1].islower()


def _is_phrase(text: str) -> bool:
    """Tell whether a text has more than one word; single ones are often cells or labels."""
    return word_count(text) >= 2


def _looks_like_heading(lines: Sequence[Line], index: int) -> bool:
    """Tell a heading of the size of the text: set off, and in capitals or opening a text."""
    text = lines[index].text.strip()
    if not _set_off(lines, index) or text.endswith((",", ";")):
        return False
    if _CAPITALS.match(text):
        return letter_count(text) >= 6
    words = _LONG_WORD.findall(text)
    named = bool(words) and 2 * sum(1 for word in words if word[0].isupper()) >= len(words)
    return named and word_count(text) <= MOST_WORDS_SET_OFF and _opens_text(lines, index)


def _set_off(lines: Sequence[Line], index: int) -> bool:
    """Tell whether there is more white space above a line than within running text."""
    if index == 0:
        return True
    before, line = lines[index - 1], lines[index]
    return before.y1 <= line.y0 - 0.4 * (line.y1 - line.y0) or line.y1 < before.y0


def _opens_text(lines: Sequence[Line], index: int) -> bool:
    """Tell whether a line of running text follows directly, flush with this one."""
    if index + 1 >= len(lines):
        return False
    line, after = lines[index], lines[index + 1]
    close = line.y0 < after.y0 <= line.y1 + 1.5 * (line.y1 - line.y0)
    flush = abs(line.x0 - after.x0) < 0.03
    return close and flush and word_count(after.text) >= RUNNING_WORDS and len(after.text) > len(line.text)


def _shares_row(lines: Sequence[Line], index: int) -> bool:
    """Tell whether something stands beside a line: it is a cell, or a label of a form."""
    around = (other for other in (index - 1, index + 1) if 0 <= other < len(lines))
    return any(_in_row(lines[index], lines[other]) for other in around)


def _in_row(left: Line, right: Line) -> bool:
    shared = min(left.y1, right.y1) - max(left.y0, right.y0)
    return shared > 0.5 * min(left.y1 - left.y0, right.y1 - right.y0)


def body_size(pages: Sequence[tuple[int, int, Sequence[Line]]]) -> float:
    """Find the letter size in which most of a document is set.

    Args:
        pages: width, height and lines of each page.

    Returns:
        The median over letters, in the unit of the heights; 0 without text.
    """
    sized = sorted(
        (letter_size(line, width_px, height_px), len(line.text))
        for width_px, height_px, lines in pages
        for line in lines
    )
    half = sum(count for _, count in sized) / 2
    passed = 0
    for size, count in sized:
        passed += count
        if passed >= half:
            return size
    return 0.0
