"""Tables that a model wrote when it transcribed a page: Markdown, or plain HTML.

The text of a cell is untrusted: what is handed on as HTML is made anew of escaped text, with no
tag or attribute from the answer. What is not clearly a table stays text.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

MOST_CELLS = 20_000
"""Of one table; an answer of some thousand tokens has fewer."""

_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_BAR = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r"\s*(?:```|~~~)(\w*)")
_HTML_TABLE = re.compile(r"<table\b[^>]*>.*?</table\s*>", re.IGNORECASE | re.DOTALL)
_TABLE_END = re.compile(r"</table\s*>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SPACE = re.compile(r"[^\S\n]+")


@dataclass(frozen=True, slots=True)
class AnsweredTable:
    """A table of a page."""

    html: str
    """`<table>` of rows of `<th>` (the first row, where it is a heading) and `<td>`, text escaped."""
    cells: list[list[str]]
    """Rows of equal length, the heading first; a cell over several columns or rows stands in each."""


def answered_tables(text: str) -> list[AnsweredTable]:
    """Find the tables of a transcription, in order.

    Args:
        text: Markdown, in which tables may also be HTML.
    """
    found: list[tuple[int, AnsweredTable]] = []
    # Beyond the last end no table ends, and many beginnings would each be searched to the end.
    last = max((match.end() for match in _TABLE_END.finditer(text)), default=0)
    for match in _HTML_TABLE.finditer(text, 0, last):
        table = _html_table(match[0])
        if table is not None:
            found.append((match.start(), table))
    # Of equal length, so that places stay.
    rest = _HTML_TABLE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text[:last]) + text[last:]
    found += _markdown_tables(rest)
    return [table for _, table in sorted(found, key=lambda one: one[0])]


# --- Markdown ------------------------------------------------------------------------------


def _markdown_tables(text: str) -> Iterator[tuple[int, AnsweredTable]]:
    """Find a heading, a rule of as many cells below it, and the rows that follow."""
    lines = _without_code(text.split("\n"))
    places = [0]
    for line in lines:
        places.append(places[-1] + len(line) + 1)
    at = 0
    while at + 1 < len(lines):
        heading = _cells(lines[at])
        if not _is_heading(lines[at], lines[at + 1], len(heading)):
            at += 1
            continue
        end = at + 2
        while end < len(lines) and "|" in lines[end] and lines[end].strip():
            end += 1
        rows = [heading, *(_fitted(_cells(line), len(heading)) for line in lines[at + 2 : end])]
        if len(rows) * len(heading) <= MOST_CELLS:
            yield places[at], _table(rows, headed=any(heading))
        at = end


def _is_heading(line: str, rule: str, width: int) -> bool:
    return "|" in line and "|" in rule and bool(_RULE.fullmatch(rule)) and len(_cells(rule)) == width


def _without_code(lines: Sequence[str]) -> list[str]:
    """Blank out blocks of code, unless they are said to be Markdown."""
    kept: list[str] = []
    fence: str | None = None
    for line in lines:
        match = _FENCE.match(line)
        if match is not None:
            fence = match[1].lower() if fence is None else None
        code = fence is not None and fence not in ("markdown", "md")
        kept.append(" " * len(line) if match is not None or code else line)
    return kept


def _cells(line: str) -> list[str]:
    """Split a row at its bars; one after a backslash belongs to the cell."""
    text = line.strip()
    text = text[1:] if text.startswith("|") else text
    text = text[:-1] if text.endswith("|") and not text.endswith("\\|") else text
    return [_plain(cell) for cell in _BAR.split(text)]


def _plain(cell: str) -> str:
    """Take the signs of Markdown and HTML off the text of a cell."""
    cell = _BREAK.sub("\n", cell.replace("\\|", "|"))
    cell = html.unescape(_TAG.sub("", cell))
    cell = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", cell)
    return _tidy(cell)


def _fitted(row: list[str], width: int) -> list[str]:
    """Fill a row up to the width of the heading; what is too much goes into its last cell."""
    if len(row) > width:
        row = [*row[: width - 1], " | ".join(row[width - 1 :])]
    return [*row, *[""] * (width - len(row))]


# --- HTML ----------------------------------------------------------------------------------


class _Reader(HTMLParser):
    """Collects the rows of one table."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[_Cell]] = []
        self.nested = False
        self._text: list[str] | None = None
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a table, a row or a cell."""
        if tag == "table":
            self._depth += 1
            self.nested = self.nested or self._depth > 1
        elif tag == "tr":
            self._end_cell()
            self.rows.append([])
        elif tag in ("td", "th"):
            self._end_cell()
            if not self.rows:
                self.rows.append([])
            spans = {name: _span(value) for name, value in attrs}
            self.rows[-1].append(_Cell(tag == "th", spans.get("colspan", 1), spans.get("rowspan", 1)))
            self._text = []
        elif tag in ("br", "p", "div", "li") and self._text is not None:
            self._text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Close a cell."""
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()

    def handle_data(self, data: str) -> None:
        """Take the text of a cell."""
        if self._text is not None:
            self._text.append(data)

    def _end_cell(self) -> None:
        if self._text is not None:
            self.rows[-1][-1].text = _tidy("".join(self._text))
            self._text = None


@dataclass(slots=True)
class _Cell:
    heading: bool
    columns: int
    rows: int
    text: str = ""


def _span(value: str | None) -> int:
    text = (value or "").strip()
    return min(1000, max(1, int(text))) if re.fullmatch(r"[0-9]{1,4}", text) else 1


def _html_table(source: str) -> AnsweredTable | None:
    reader = _Reader()
    reader.feed(source)
    reader.close()
    rows = [row for row in reader.rows if row]
    if reader.nested or not rows:
        return None
    grid = _grid(rows)
    if grid is None:
        return None
    headed = all(cell.heading for cell in rows[0]) and len(rows) > 1
    return _table(grid, headed=headed)


def _grid(rows: Sequence[Sequence[_Cell]]) -> list[list[str]] | None:
    """Lay cells out in rows and columns; None when there are too many."""
    taken: dict[tuple[int, int], str] = {}
    for down, row in enumerate(rows):
        across = 0
        for cell in row:
            while (down, across) in taken:
                across += 1
            height = min(cell.rows, len(rows) - down)
            if len(taken) + height * cell.columns > MOST_CELLS:
                return None
            for y in range(down, down + height):
                for x in range(across, across + cell.columns):
                    taken.setdefault((y, x), cell.text)
            across += cell.columns
    width = 1 + max(x for _, x in taken)
    if width * len(rows) > MOST_CELLS:
        return None
    return [[taken.get((y, x), "") for x in range(width)] for y in range(len(rows))]


# --- both ----------------------------------------------------------------------------------


def _tidy(text: str) -> str:
    lines = (_SPACE.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _table(cells: list[list[str]], *, headed: bool) -> AnsweredTable:
    rows = []
    for index, row in enumerate(cells):
        tag = "th" if headed and index == 0 else "td"
        rows.append("".join(f"<{tag}>{_escaped(cell)}</{tag}>" for cell in row))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return AnsweredTable(f"<table>{body}</table>", cells)


def _escaped(cell: str) -> str:
    return html.escape(cell).replace("\n", "<br>")
