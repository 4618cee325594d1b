"""Find titles: of a slide, of a page, of a whole file.

Whoever made a slide or page set its title in the largest letters, near the top. What is
large but tells nothing (page numbers, dates, addresses, watermarks) must not become one.
"""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from operators.sentences import NEIGHBOURS, page_of, paragraphs
from operators.track_text import same_text, text_key
from operators.words import is_unspaced, letter_count, word_count
from schemas.perception import Line

MOST_TITLE_LETTERS = 160
"""Longer is a paragraph in large letters."""

SAME_LETTERS = 0.85
"""Lines whose letters are at least this share as large belong to one title."""

MOST_TITLE_LINES = 4

MOST_TITLE_WORDS = 30
"""A paragraph has more lines or words than a title."""

TITLE_GAP = 0.5
"""Largest white space between lines of a title, in line heights."""

WIDE = 0.45
"""A line over this share of the width may have ended for want of room."""

HEIGHT_WEIGHT = 0.4
"""A line at the foot of a picture must be larger by this share than one at its head."""

_ADDRESS = re.compile(
    r"\S@\S+\.\S|https?:|www\.|^\S+\.(?:com|org|net|edu|gov|io|de|fr|uk|cn|jp)(?:/\S*)?$", re.IGNORECASE
)
_PAGE_NUMBER = re.compile(
    r"^\W*(?:page|p\.|pg\.?|seite|página|pagina|slide|folie|第|стр\.?)?\W*(?:\d+|[ivxlc]{1,6})\W*"
    r"(?:(?:of|von|de|/|sur|из|-|–|\|)\W*\d+)?\W*(?:页|頁|ページ)?\W*$",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|févr|avr|juin|juil|août|déc|"
    r"ene|abr|ago|dic|gen|mag|giu|lug|set|ott)[a-zéûäü]*\.?"
)
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun)\.?"
_DATE_WORDS = re.compile(
    rf"\b(?:{_MONTH}|{_WEEKDAY}|\d{{1,4}}(?:st|nd|rd|th)?|am|pm|utc|gmt|de|of|vom|den)\b|[年月日]",
    re.IGNORECASE,
)
_COUNTER = re.compile(
    r"\s*[\(\[]?\s*(?:(?:\d+|[ivx]+)\s*(?:/|of|von|de)\s*(?:\d+|[ivx]+)|cont(?:inued|'d|d)?\.?|contd\.?|forts\.?|續|续)\s*[\)\]]?\s*$",
    re.IGNORECASE,
)
_LIKE_FILE_NAME = re.compile(
    r"\.(?:docx?|pdf|pptx?|exe|xlsx?|odt|odp|rtf|tex|dvi|eps|indd|qxd|wpd|txt|html?|jpe?g|png|tiff?|gif|bmp|"
    r"mp4|m4v|mov|mkv|avi|webm|wmv|mp3|wav|p65|pub|vsdx?|cdr)(?:\W|$)|[\\/]\S*[\\/]|^[0-9a-f-]{16,}$",
    re.IGNORECASE,
)
_MEANINGLESS = re.compile(
    r"^(?:untitled|title|titel|slide|folie|page|doc|document|dokument|layout|image|video|movie|unknown|none|null|"
    r"presentation|präsentation|power ?point[ -](?:presentation|präsentation)|new document|default|temp|test|"
    r"print|scan|scanned(?: document)?|unbenannt|sans titre|sin título|senza titolo|без названия|"
    r"无标题|無題)[\W\d]*$",
    re.IGNORECASE,
)
"""Titles that programs write by themselves, numbers aside."""

_PROGRAM = re.compile(
    r"^microsoft (?:word|powerpoint|excel)\b|^(?:word|powerpoint|excel) [-–]"
    r"|^(?:img|dsc|vid|mov|scan|screenshot)[_ -]?\d",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading found on a page."""

    text: str
    lines: tuple[int, ...]
    """Indices of its lines on the page."""
    strength: float
    """How much it stands out; for headings the letter size over that of the body."""


def is_title(text: str) -> bool:
    """Tell whether a text may be a title: not a number, date, address or paragraph."""
    stripped = text.strip()
    letters = letter_count(stripped)
    least = 2 if is_unspaced(stripped) else 3
    if letters < least or len(stripped) > MOST_TITLE_LETTERS:
        return False
    if 2 * letters < sum(1 for character in stripped if not character.isspace()):
        return False
    if _ADDRESS.search(stripped) or _PAGE_NUMBER.match(stripped):
        return False
    return letter_count(_DATE_WORDS.sub("", stripped)) >= least


def same_title(left: str, right: str) -> bool:
    """Tell whether two titles name the same: slips and counters (`2/3`, `cont.`) aside."""
    return same_text(text_key(_COUNTER.sub("", left)), text_key(_COUNTER.sub("", right)))


def metadata_title(stated: str | None) -> str | None:
    """Return the title a file states, if a person seems to have written it."""
    if stated is None:
        return None
    title = " ".join(stated.split())
    if _MEANINGLESS.match(title) or _PROGRAM.search(title):
        return None
    if _LIKE_FILE_NAME.search(title) or not is_title(title):
        return None
    return None if "_" in title and " " not in title else title


def file_title(uri: str) -> str:
    """Return the file name of a URI without its extension."""
    if uri.startswith("file://"):  # `#` and `?` are letters of a local name
        path = unquote(uri.removeprefix("file://"))
    else:
        path = unquote(urlsplit(uri).path) if "://" in uri else uri
    name = PurePosixPath(path.rstrip("/")).name
    stem = PurePosixPath(name).stem
    return stem or name or uri


@dataclass(frozen=True, slots=True)
class Layout:
    """The lines of a picture or page, with what their neighbours tell about them."""

    lines: Sequence[Line]
    """In reading order."""
    width_px: int
    height_px: int
    slide: bool
    running: set[int]
    """Lines of paragraphs, which are no titles however large."""
    words: dict[int, float]
    """Words of the paragraph that each line belongs to."""

    @classmethod
    def of(cls, lines: Sequence[Line], width_px: int, height_px: int) -> "Layout":
        """Find the paragraphs among some lines."""
        page = page_of(lines, width_px, height_px)
        running: set[int] = set()
        words: dict[int, float] = {}
        for group in paragraphs(lines, page):
            total = sum(word_count(lines[index].text) for index in group)
            words.update(dict.fromkeys(group, total))
            if len(group) > MOST_TITLE_LINES or total > MOST_TITLE_WORDS:
                running.update(group)
        return cls(lines, width_px, height_px, page.slide, running, words)

    def may_open(self, index: int) -> bool:
        """Tell whether a line may begin a title: on pages, not with a small letter."""
        text = self.lines[index].text.lstrip("([\"'“‘«• ")
        return index not in self.running and (self.slide or not text[:1].islower())

    def letter_size(self, index: int) -> float:
        """Size of a line's letters in pixels (points on pages)."""
        return letter_size(self.lines[index], self.width_px, self.height_px)

    def lies(self, index: int) -> bool:
        """Tell whether a line runs across; one that runs up the margin only seems large."""
        line = self.lines[index]
        across = (line.x1 - line.x0) * self.width_px
        up = (line.y1 - line.y0) * self.height_px
        return up <= 1.5 * across or len(line.text.strip()) < 4 or is_unspaced(line.text)


def letter_size(line: Line, width_px: int, height_px: int) -> float:
    """Estimate the size of a line's letters in pixels (points on pages).

    A text layer states it. The box of a recognised line is higher or lower by a fifth for
    the letters that happen to be in it (`p`, `l`); its width for its number of letters errs
    in other ways, so that the geometric mean of both tells sizes apart that neither does.
    """
    height = line.size * height_px
    if line.source == "text_layer":
        return height
    ems = sum(1.0 if is_unspaced(letter) else 0.5 for letter in line.text.strip())
    width = (line.x1 - line.x0) * width_px / max(ems, 0.5)
    return math.sqrt(height * width)


def picture_title(layout: Layout, skip: Collection[int] = ()) -> Heading | None:
    """Find the title of a slide or of a first page: the largest text near the top.

    Args:
        layout: the picture.
        skip: indices of lines that are boilerplate.

    Returns:
        The title, of several lines where it is broken, or None when nothing may be one.
    """
    lines = layout.lines
    usable = [
        index
        for index, line in enumerate(lines)
        if index not in skip and index not in layout.running and is_title(line.text) and layout.lies(index)
    ]
    sizes = {index: layout.letter_size(index) for index in usable}
    weigh = {index: sizes[index] * (1 - HEIGHT_WEIGHT * lines[index].y0) for index in usable}
    best = max(
        (index for index in usable if layout.may_open(index)), key=lambda i: (weigh[i], -i), default=None
    )
    if best is None:
        return None
    near = [index for index in usable if sizes[index] >= SAME_LETTERS * sizes[best]]
    first = min(
        (index for index in near if lines[index].y0 <= lines[best].y0 and layout.may_open(index)),
        key=lambda index: (lines[index].y0, index),
        default=best,
    )
    return grow(layout, first, set(near), 1.0)


def grow(layout: Layout, first: int, near: Collection[int], strength: float) -> Heading:
    """Add the lines, of those in `near`, that continue a title below its first line."""
    lines = layout.lines
    chosen = [first]
    while len(chosen) < MOST_TITLE_LINES:
        following = chosen[-1] + 1
        if following not in near or not _follows(layout, chosen[-1]):
            break
        text = " ".join(lines[index].text for index in [*chosen, following])
        if len(text) > MOST_TITLE_LETTERS:
            break
        chosen.append(following)
    return Heading(_title_text([lines[index].text for index in chosen]), tuple(chosen), strength)


def _follows(layout: Layout, index: int) -> bool:
    """Tell whether the line after this one continues its title."""
    before, line = layout.lines[index], layout.lines[index + 1]
    sizes = sorted((layout.letter_size(index), layout.letter_size(index + 1)))
    height = max(before.y1 - before.y0, line.y1 - line.y0)
    below = before.y0 < line.y0 <= before.y1 + TITLE_GAP * height
    shared = min(before.x1, line.x1) - max(before.x0, line.x0)
    return sizes[0] >= SAME_LETTERS * sizes[1] and below and shared > 0 and _broken(layout, index)


def _broken(layout: Layout, index: int) -> bool:
    """Tell whether a line was ended for want of room, and not on purpose.

    Centred lines were; of others, those whose text plainly goes on, and those in which the
    next word would not have fitted.
    """
    before, line = layout.lines[index], layout.lines[index + 1]
    off_centre = abs((before.x0 + before.x1) - (line.x0 + line.x1)) / 2
    if off_centre < 0.02 and abs(before.x0 - line.x0) > 0.01:
        return True
    if before.text.rstrip().endswith(("-", "\u00ad", ":", ",", "&")) or line.text.lstrip()[:1].islower():
        return True
    near = [*layout.lines[max(0, index - NEIGHBOURS) : index], *layout.lines[index + 1 :][:NEIGHBOURS]]
    column = [other for other in near if min(other.x1, before.x1) > max(other.x0, before.x0)]
    right = max(other.x1 for other in [*column, before])
    width = before.x1 - before.x0
    word = line.text.split(maxsplit=1)[0] if line.text.strip() else ""
    full = right - before.x1 < width / max(1, len(before.text)) * (len(word) + 1)
    # A line that is alone in being so long says nothing about the room, unless it is long.
    return full and (width >= WIDE or any(other.x1 >= before.x1 - 0.02 for other in column))


def _title_text(texts: Sequence[str]) -> str:
    joined = ""
    for text in (" ".join(text.split()) for text in texts):
        if joined.endswith(("-", "\u00ad")) and text[:1].islower():
            joined = joined[:-1] + text
        elif joined and not (is_unspaced(joined[-1]) and is_unspaced(text[:1])):
            joined += " " + text
        else:
            joined += text
    return joined
