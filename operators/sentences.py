"""Join lines to sentences, and know where each sentence stands.

A page or slide gives lines; readers and summaries want sentences. Lines are first joined to
paragraphs (over line breaks, hyphens and columns, but not over bullets, headings or lines
that were ended on purpose), then split at the ends of sentences of any script.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from operators.words import word_count
from schemas.perception import Line, Utterance

SAME_SIZE = 1.25
"""Lines of one paragraph differ in letter size by less than this factor."""

PARAGRAPH_GAP = 1.0
"""Largest white space between lines of a paragraph, in line heights (double spacing)."""

CELL_GAP = 2.0
"""Largest white space between pieces of one line, in line heights; wider is a table."""

NEIGHBOURS = 8
"""Lines before and after that are looked at to find where a column ends."""

SLIDE_SIZE = 0.02
"""Letter size, as a fraction of the height, from which a landscape page is a slide. A
landscape page is 540 points high, so that this is 11 points; text on slides is larger."""

POSTER_SIZE = 0.035
"""The same for upright pages and pictures: 30 points on A4."""

SPEECH_PAUSE_SECONDS = 2.0
"""A pause after which speech without punctuation starts a new sentence."""

SPEECH_LETTERS = 300
"""Speech without punctuation is cut into sentences of about this length, at utterances."""

_BULLET = re.compile(
    r"^\s*(?:[•‣▪▫■□●○◦◆◇►▶➢➤✓✔∙·*–—]\s*|-\s+|(?:\(?\d{1,3}[.)]|\(?[a-zA-Z][.)]|\([ivx]+\)|[①-⑳])\s+|\d{1,2}、)(?=\S)"
)
_LOOSE_BULLET = re.compile(r"^\s*[•‣▪▫■□●○◦◆◇►▶➢➤✓✔∙·*–—]\s*(?=\S)")
_HYPHEN_END = re.compile(r"[^\W_][-\u2010\u00ad\u00ac\u2013]$")
_TERMINAL = ".!?…。！？．؟۔।॥։።၊။:;：；"
_CLOSERS = "\"'”’»)]}」』）】〉》"
_SENTENCE_END = re.compile(
    rf"(?:[.!?…؟۔।॥։]+[{re.escape(_CLOSERS)}]*(?=\s)|[。！？．።။]+[{re.escape(_CLOSERS)}]*)"
)
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LAST_TOKEN = re.compile(r"(\S+)$")
_ABBREVIATIONS = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "vs",
        "etc",
        "eg",
        "ie",
        "e.g",
        "i.e",
        "cf",
        "fig",
        "figs",
        "eq",
        "eqs",
        "no",
        "nos",
        "vol",
        "pp",
        "al",
        "inc",
        "ltd",
        "co",
        "corp",
        "jr",
        "sr",
        "dept",
        "sec",
        "sect",
        "ch",
        "chap",
        "approx",
        "est",
        "ed",
        "eds",
        "gen",
        "gov",
        "sen",
        "rep",
        "rev",
        "hon",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "u.s",
        "u.k",
        "u.n",
        "ph.d",
        "a.m",
        "p.m",
        "art",
        "arts",
        "bzw",
        "z.b",
        "d.h",
        "u.a",
        "usw",
        "nr",
        "abs",
        "abb",
        "bd",
        "hr",
        "fr",
        "ca",
        "evtl",
        "ggf",
        "inkl",
        "vgl",
        "s.o",
        "s.u",
        "str",
        "m",
        "mm",
        "mme",
        "mlle",
        "p.ex",
        "env",
        "sra",
        "srta",
        "ud",
        "uds",
        "av",
        "ee.uu",
        "pág",
        "núm",
        "sig",
        "dott",
        "sigg",
        "т.е",
        "т.д",
        "г",
        "ул",
        "др",
        "см",
        "рис",
        "стр",
    ]
)
"""Words written with a full stop that mostly stand inside a sentence."""


_MAY_END = frozenset(("etc", "a.m", "p.m", "inc", "ltd", "corp", "jr", "sr", "usw"))
"""Of these, those after which a capital begins a new sentence."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, or a line of a slide, and the lines it was read from."""

    text: str
    parts: tuple[int, ...]
    """Indices of the lines or utterances it stands in."""
    whole: bool
    """It begins where a sentence may begin and ends in punctuation."""
    listed: bool = False
    """It was marked as an item of a list."""


@dataclass(frozen=True, slots=True)
class Page:
    """What must be known of a picture or page to join its lines."""

    width_px: int
    height_px: int
    """In the same unit; only their ratio counts."""
    slide: bool
    """Lines stand for themselves, unless they plainly continue."""


def page_of(lines: Sequence[Line], width_px: int, height_px: int) -> Page:
    """Tell slides from running text by the size of the letters."""
    if not lines:
        return Page(width_px, height_px, slide=False)
    size = median(line.size for line in lines)
    slide = size >= (SLIDE_SIZE if width_px > height_px else POSTER_SIZE)
    return Page(width_px, height_px, slide)


def line_sentences(
    lines: Sequence[Line], page: Page, vocabulary: Collection[str] = (), skip: Collection[int] = ()
) -> list[Sentence]:
    """Find the sentences of a page or slide.

    Args:
        lines: in reading order.
        page: what they stand on.
        vocabulary: words of the whole asset, casefolded; decides whether a hyphen at the end
            of a line belongs to the word.
        skip: indices of lines that belong to no sentence (headers, titles) and end one.

    Returns:
        Sentences in reading order; `parts` index `lines`.
    """
    found: list[Sentence] = []
    for paragraph in paragraphs(lines, page, skip):
        listed = bool(_BULLET.match(lines[paragraph[0]].text))
        text, starts = _join([lines[index].text for index in paragraph], vocabulary)
        for start, end in split_sentences(text):
            first, last = _at(starts, start), _at(starts, end - 1)
            sentence = _sentence(text[start:end], tuple(paragraph[first : last + 1]), listed and start == 0)
            if sentence.text:
                found.append(sentence)
    return found


def _sentence(text: str, parts: tuple[int, ...], listed: bool) -> Sentence:
    cleaned = _BULLET.sub("", text, count=1).strip() if listed else text.strip()
    begins = bool(cleaned) and not cleaned[0].islower()
    return Sentence(cleaned, parts, begins and ends_sentence(cleaned), listed)


def ends_sentence(text: str) -> bool:
    """Tell whether a text ends in punctuation that closes a sentence."""
    return text.rstrip().rstrip(_CLOSERS)[-1:] in tuple(".!?…。！？．؟۔।॥։።။")


def _at(starts: Sequence[int], offset: int) -> int:
    """Index of the piece that holds a character."""
    place = 0
    while place + 1 < len(starts) and starts[place + 1] <= offset:
        place += 1
    return place


# --- lines to paragraphs -------------------------------------------------------------------


def paragraphs(lines: Sequence[Line], page: Page, skip: Collection[int] = ()) -> list[list[int]]:
    """Group lines, given in reading order, into paragraphs; `skip` lines are left out."""
    found: list[list[int]] = []
    last: int | None = None
    if _is_right_to_left(lines):
        lines = [replace(line, x0=1 - line.x1, x1=1 - line.x0) for line in lines]
    for index, line in enumerate(lines):
        if index in skip or not line.text.strip():
            last = None
            continue
        if last is not None and _continues(lines, last, index, page, skip):
            found[-1].append(index)
        else:
            found.append([index])
        last = index
    return found


def _is_right_to_left(lines: Sequence[Line]) -> bool:
    """Tell whether most lines are Arabic or Hebrew; their columns are mirrored."""
    mirrored = sum(1 for line in lines if not line.text.isascii() and _RIGHT_TO_LEFT.search(line.text))
    return 2 * mirrored > len(lines)


def _continues(lines: Sequence[Line], last: int, index: int, page: Page, skip: Collection[int]) -> bool:
    before, line = lines[last], lines[index]
    larger, smaller = max(before.size, line.size), min(before.size, line.size)
    if larger > SAME_SIZE * smaller or _LOOSE_BULLET.match(line.text):
        return False
    if _same_row(before, line):
        return _gap(before, line, page) <= CELL_GAP
    if _BULLET.match(line.text):
        return False
    if not _below(before, line):
        return _next_column(before, line) and _runs_on(before, line)
    if page.slide:
        return _runs_on(before, line) and not ends_sentence(before.text)
    return _runs_on(before, line) or _broken_by_width(lines, last, index, skip)


def _same_row(before: Line, line: Line) -> bool:
    shared = min(before.y1, line.y1) - max(before.y0, line.y0)
    return shared > 0.6 * min(before.y1 - before.y0, line.y1 - line.y0) and line.x0 >= before.x1 - 0.005


def _gap(before: Line, line: Line, page: Page) -> float:
    """White space between two pieces of a row, in line heights."""
    height_px = (before.y1 - before.y0) * page.height_px
    return (line.x0 - before.x1) * page.width_px / height_px if height_px > 0 else 0.0


def _below(before: Line, line: Line) -> bool:
    height = max(before.y1 - before.y0, line.y1 - line.y0)
    shared = min(before.x1, line.x1) - max(before.x0, line.x0)
    narrower = min(before.x1 - before.x0, line.x1 - line.x0)
    return line.y0 > before.y0 and line.y0 - before.y1 <= PARAGRAPH_GAP * height and shared >= 0.5 * narrower


def _next_column(before: Line, line: Line) -> bool:
    return line.y1 < before.y0 and line.x0 >= before.x1 - 0.02


def _runs_on(before: Line, line: Line) -> bool:
    """The text itself shows that it goes on: a hyphen, or a small letter after no full stop."""
    if _HYPHEN_END.search(before.text.rstrip()):
        return True
    return line.text.lstrip()[:1].islower() and before.text.rstrip()[-1:] not in tuple(".!?…")


def _broken_by_width(lines: Sequence[Line], last: int, index: int, skip: Collection[int]) -> bool:
    """The first word of the line would not have fitted on the line before.

    Where it would have, the writer ended the line on purpose: an address, a heading, the end
    of a paragraph. Two short lines tell nothing about the width of a column.
    """
    before = lines[last]
    near = range(max(0, last - NEIGHBOURS), min(len(lines), last + NEIGHBOURS + 1))
    column = [lines[place] for place in near if place not in skip and _same_column(before, lines[place])]
    right = max(other.x1 for other in column)
    letter = (before.x1 - before.x0) / max(1, len(before.text))
    first_word = re.split(r"\s", lines[index].text.strip(), maxsplit=1)[0]
    room = right - before.x1
    full = room < letter * (min(len(first_word), 20) + 1)
    return full and (len(column) >= 3 or word_count(before.text) >= 6)


def _same_column(before: Line, other: Line) -> bool:
    shared = min(before.x1, other.x1) - max(before.x0, other.x0)
    narrower = min(before.x1 - before.x0, other.x1 - other.x0)
    alike = max(before.size, other.size) <= SAME_SIZE * min(before.size, other.size)
    return alike and shared >= 0.5 * narrower


def _join(texts: Sequence[str], vocabulary: Collection[str]) -> tuple[str, list[int]]:
    """Join the lines of a paragraph.

    Returns:
        The text, and for each line the offset at which it begins.
    """
    joined = ""
    starts: list[int] = []
    for text in texts:
        piece = text.strip()
        if joined and _HYPHEN_END.search(joined) and piece[:1].isalnum():
            joined = joined if _keeps_hyphen(joined, piece, vocabulary) else joined[:-1]
        elif joined and _needs_space(joined, piece, vocabulary):
            joined += " "
        starts.append(len(joined))
        joined += piece
    return joined, starts


def _keeps_hyphen(before: str, after: str, vocabulary: Collection[str]) -> bool:
    """Tell whether a hyphen at the end of a line belongs to the word.

    It does in front of a capital or digit; where the asset writes the word with it and never
    without; and where both halves are words and their compound is not.
    """
    head = _HEAD.search(before[:-1].casefold())
    tail = _TAIL.match(after.casefold())
    if head is None or tail is None or before[-1] in "\u00ad\u00ac":
        return False
    first, second = head.group(), tail.group()
    if first + second in vocabulary:
        return False
    if not after[0].islower() or f"{first}-{second}" in vocabulary or "-" in first + second:
        return True
    return min(len(first), len(second)) >= 4 and first in vocabulary and second in vocabulary


_HEAD = re.compile(r"[\w-]+$")
_TAIL = re.compile(r"\w+(?:-\w+)*")
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")


def _needs_space(before: str, after: str, vocabulary: Collection[str]) -> bool:
    """Chinese and Japanese have none; Korean lines may break within a word."""
    if _CJK.match(before[-1]) and _CJK.match(after):
        return False
    if _HANGUL.match(before[-1]) and _HANGUL.match(after):
        head, tail = _HEAD.search(before), _TAIL.match(after)
        return head is None or tail is None or head.group() + tail.group() not in vocabulary
    return True


def hyphen_vocabulary(texts: Iterable[str]) -> set[str]:
    """Collect the words of an asset, casefolded and with their hyphens, for `line_sentences`.

    Halves of words, before and after a hyphen at the end of a line, are left out.

    Args:
        texts: lines in reading order.
    """
    found: set[str] = set()
    broken = False
    for text in texts:
        tokens = _TAIL.findall(text.casefold())
        ends_broken = bool(_HYPHEN_END.search(text.rstrip()))
        found.update(tokens[1 if broken else 0 : len(tokens) - 1 if ends_broken else None])
        broken = ends_broken
    return found


# --- paragraphs to sentences ---------------------------------------------------------------


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Split running text at the ends of sentences.

    Not at abbreviations (`Dr.`), initials, numbers (`3.5`, `1. Introduction`) or before a
    small letter. Chinese, Japanese, Arabic, Indic, Armenian and Ethiopic stops count.

    Returns:
        `[start, end)` offsets without surrounding white space.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for found in _SENTENCE_END.finditer(text):
        if not _ends_here(text, start, found):
            continue
        _add(spans, text, start, found.end())
        start = found.end()
    _add(spans, text, start, len(text))
    return spans


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    if start < end:
        spans.append((start, end))


def _ends_here(text: str, start: int, found: re.Match[str]) -> bool:
    following = text[found.end() :].lstrip()[:1]
    if following.islower():
        return found.group()[0] in "。！？．።။"
    if found.group()[0] != ".":
        return True
    token = _LAST_TOKEN.search(text, start, found.start())
    if token is None:
        return False
    word = token.group().lstrip("([{\"'“‘«")
    if word.casefold() in _ABBREVIATIONS:
        return word.casefold() in _MAY_END and following.isupper()
    if len(word) == 1 and word.isupper():
        return False
    only_number = text[start : found.start()].strip()
    return not (len(only_number) <= 4 and any(character.isdigit() for character in only_number))


# --- speech --------------------------------------------------------------------------------


def speech_sentences(utterances: Sequence[Utterance]) -> list[Sentence]:
    """Find the sentences of a transcript, over the borders of its utterances.

    Args:
        utterances: of one track, in order of time.

    Returns:
        Sentences; `parts` index `utterances`.
    """
    found: list[Sentence] = []
    for group in _speech_groups(utterances):
        text, starts = _join([utterances[index].text for index in group], ())
        for start, end in split_sentences(text):
            first, last = _at(starts, start), _at(starts, end - 1)
            sentence = _sentence(text[start:end], tuple(group[first : last + 1]), listed=False)
            found.append(sentence)
    return found


def _speech_groups(utterances: Sequence[Utterance]) -> list[list[int]]:
    """Group utterances so that no sentence crosses a group and no group grows without end."""
    groups: list[list[int]] = []
    letters = 0
    for index, utterance in enumerate(utterances):
        before = utterances[index - 1] if index else None
        if (
            before is None
            or ends_sentence(before.text)
            or utterance.speaker != before.speaker
            or utterance.start_seconds - before.end_seconds > SPEECH_PAUSE_SECONDS
            or letters > SPEECH_LETTERS
        ):
            groups.append([])
            letters = 0
        groups[-1].append(index)
        letters += len(utterance.text)
    return groups
