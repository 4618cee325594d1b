"""Read the words a PDF page states, as lines with places, in reading order.

PDFium gives characters in the order of the page's content, with generated spaces and line
ends. What it leaves to do: a row of a table or of two columns comes as one line; a raised
figure breaks a line; a hyphen at a line's end swallows the line break; shadows and fake bold
say everything twice; text lies outside the page, or turned.

One call into PDFium costs 1.2 µs, a box 2.9 µs: a page of 3,000 characters takes 20 to 30 ms.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from numpy.typing import NDArray

from operators.glyph_text import (
    Corners,
    attach_marks,
    compose,
    empty_stretches,
    gap_between,
    is_stacked,
    meaning,
    part_at,
)
from operators.page_order import reading_order
from schemas.perception import Line


@dataclass(frozen=True, slots=True)
class TextLayer:
    """The text of one page."""

    lines: list[Line]
    """In reading order, boxes in fractions of the page turned upright."""
    glyphs: int
    """Glyphs inside the page, without spaces."""
    unmapped: int
    """Of these, glyphs the file states no meaning for; they are in no line."""
    lost: int
    """Of these, glyphs in lines of which nothing is left."""
    turned_degrees: int
    """Clockwise turn that brings most of the text upright, beyond the page's own rotation."""

    @property
    def text(self) -> str:
        """All lines, separated by newlines."""
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class _Glyphs:
    """Characters of a page in content order, as parallel columns."""

    texts: list[str | None]
    """What each means: empty for what is not seen, None for what the file does not state."""
    boxes: list[Corners]
    ends: list[bool]
    """The line ends with this character."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Indices of the characters of one line."""

    every: list[int]
    inked: list[int]
    """Without blanks; never empty."""
    turn: int
    """Clockwise turn (degrees, multiple of 90) that makes it upright."""
    size: float
    """Median height of its letters, in points."""

    @property
    def axis(self) -> int:
        """Direction of the line on the page: 0 along x, 1 along y."""
        return self.turn // 90 % 2


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of text without a wide gap: a line, or a cell of a row."""

    text: str
    box: Corners
    size: float
    turn: int
    glyphs: int
    unmapped: int


_LINE_HYPHENS = (0x02, 0x2D, 0xAD)
"""Codes PDFium uses for a hyphen at a line's end."""
_GAP_EM = 1.5
"""A gap wider than this parts cells or columns. Justified lines stretch spaces up to 1 em."""
_GAP_SPACES = 3.0
"""…and wider than so many of the line's own spaces."""
_SPACE_EM = 0.12
"""Narrower than this is kerning, not a space."""
_KERN_EM = 0.5
"""Neighbours overlap by at most this, slanted letters and accents included."""
_SAME_ROW = 0.5
_LABEL_GAP_EM = 5.0
_LABEL = re.compile(r"[^\w\s]|[(\[]?(?:\w{1,3}|\d{1,3}(?:\.\d{1,3})+)[.)\]:]?")
"""Bullet, number or letter in front of a list item or heading."""
_TURNED_SHARE = 0.8
"""A page counts as turned when so many of its glyphs agree."""
_TWIN_EM = 0.3
"""The same text within this distance is a shadow or fake bold."""


def read_text_layer(page: pdfium.PdfPage, size: tuple[float, float]) -> TextLayer:
    """Read the text of a page.

    Args:
        page: an open page; the text page made from it is closed again.
        size: width and height of the page as shown (points, rotation applied).

    Raises:
        pypdfium2.PdfiumError: The page's text cannot be loaded.
    """
    textpage = page.get_textpage()
    try:
        rotation = page.get_rotation()
        glyphs = _read_glyphs(textpage, page.get_bbox(), rotation)
        runs = _runs(textpage, glyphs, rotation)
    finally:
        textpage.close()
    pieces = [_piece(glyphs, cell, run) for run in runs for cell in _cells(glyphs, run)]
    return _layer([piece for piece in pieces if _is_inside(piece, size)], size)


def _layer(pieces: list[_Piece], size: tuple[float, float]) -> TextLayer:
    turned = _main_turn(pieces)
    shown = _unique([_turned(piece, turned, size) for piece in pieces if piece.text])
    width, height = size if turned in (0, 180) else size[::-1]
    # Stamps along the margin are read last, wherever the file has them.
    ordered = reading_order(
        [piece for piece in shown if piece.turn == 0], lambda piece: piece.box, lambda piece: len(piece.text)
    ) + [piece for piece in shown if piece.turn]
    return TextLayer(
        lines=[_line(piece, width, height) for piece in ordered],
        glyphs=sum(piece.glyphs for piece in pieces),
        unmapped=sum(piece.unmapped for piece in pieces),
        lost=sum(piece.unmapped for piece in pieces if not piece.text),
        turned_degrees=turned,
    )


def _read_glyphs(textpage: pdfium.PdfTextPage, bbox: tuple[float, ...], rotation: int) -> _Glyphs:
    raw, count = textpage.raw, textpage.count_chars()
    codes = [pdfium_c.FPDFText_GetUnicode(raw, index) for index in range(count)]
    # Only blanks are ever generated.
    generated = [
        code <= 0x20 and pdfium_c.FPDFText_IsGenerated(raw, at) == 1 for at, code in enumerate(codes)
    ]
    hyphens = [
        code in _LINE_HYPHENS and pdfium_c.FPDFText_IsHyphen(raw, at) == 1 for at, code in enumerate(codes)
    ]
    errors = [pdfium_c.FPDFText_HasUnicodeMapError(raw, index) == 1 for index in range(count)]
    states = list(zip(codes, hyphens, generated, errors, strict=True))
    texts = [
        "-" if hyphen else " " if blank else None if error else meaning(code)
        for code, hyphen, blank, error in states
    ]
    boxes: list[Corners] = [
        (x0, y0, x1, y1) for x0, y0, x1, y1 in _upright(_read_boxes(raw, count), bbox, rotation).tolist()
    ]
    attach_marks(texts, boxes)
    ends = [hyphen or (blank and code in (0x0A, 0x0D)) for code, hyphen, blank, _ in states]
    return _Glyphs(texts, boxes, ends)


def _read_boxes(raw: object, count: int) -> NDArray[np.float64]:
    """Boxes of the font's full height, (count, 4): left, bottom, right, top in page units."""
    rect, get_box = pdfium_c.FS_RECTF(), pdfium_c.FPDFText_GetLooseCharBox
    values = []
    for index in range(count):
        get_box(raw, index, rect)
        values.append((rect.left, rect.bottom, rect.right, rect.top))
    return np.array(values, dtype=np.float64).reshape(count, 4)


def _upright(boxes: NDArray[np.float64], bbox: tuple[float, ...], rotation: int) -> NDArray[np.float64]:
    """Turn page units (y upwards, unrotated) into points of the page as shown (y downwards)."""
    left, bottom, right, top = bbox
    shown = np.column_stack([boxes[:, 0] - left, top - boxes[:, 3], boxes[:, 2] - left, top - boxes[:, 1]])
    return _turn_boxes(shown, rotation, right - left, top - bottom)


def _turn_boxes(boxes: NDArray[np.float64], turn: int, width: float, height: float) -> NDArray[np.float64]:
    """Turn boxes on a page of the given size clockwise by a multiple of 90 degrees."""
    x0, y0, x1, y1 = boxes.T
    if turn == 90:
        return np.column_stack([height - y1, x0, height - y0, x1])
    if turn == 180:
        return np.column_stack([width - x1, height - y1, width - x0, height - y0])
    if turn == 270:
        return np.column_stack([y0, width - x1, y1, width - x0])
    return boxes


def _runs(textpage: pdfium.PdfTextPage, glyphs: _Glyphs, rotation: int) -> list[_Run]:
    """Cut the characters into lines: where PDFium ends one, and after hyphens at a line's end."""
    runs: list[_Run] = []
    start = 0
    for stop in [*(at + 1 for at, end in enumerate(glyphs.ends) if end), len(glyphs.ends)]:
        every = list(range(start, stop))
        start = stop
        inked = _inked(glyphs, every)
        if inked:
            turn = (_angle(textpage, inked[0]) - rotation) % 360
            _add_run(glyphs, runs, _Run(every, inked, turn, _letter_size(glyphs, inked, turn)))
    return runs


def _inked(glyphs: _Glyphs, indices: list[int]) -> list[int]:
    return [index for index in indices if glyphs.texts[index] is None or (glyphs.texts[index] or "").strip()]


def _angle(textpage: pdfium.PdfTextPage, index: int) -> int:
    """Direction of a character, counter-clockwise on the unrotated page, to the next 90 degrees."""
    clockwise = math.degrees(pdfium_c.FPDFText_GetCharAngle(textpage.raw, index))
    return -90 * round(clockwise / 90) % 360


def _letter_size(glyphs: _Glyphs, indices: list[int], turn: int) -> float:
    """Median height of letters across the direction of writing, in points."""
    across = 1 - turn // 90 % 2
    return median(glyphs.boxes[index][across + 2] - glyphs.boxes[index][across] for index in indices)


def _add_run(glyphs: _Glyphs, runs: list[_Run], run: _Run) -> None:
    """Append a run, or lengthen the one before it where PDFium broke a line at a raised letter."""
    gap = _step(glyphs, runs[-1], run) if runs else None
    if gap is None:
        runs.append(run)
        return
    before = runs[-1]
    kept = (
        before.every
        if gap > _SPACE_EM * before.size
        else before.every[: before.every.index(before.inked[-1]) + 1]
    )
    inked = before.inked + run.inked
    runs[-1] = _Run(kept + run.every, inked, before.turn, _letter_size(glyphs, inked, before.turn))


def _step(glyphs: _Glyphs, before: _Run, run: _Run) -> float | None:
    """Gap from one run to the next if it goes on in the same row, else None."""
    # Only directions in which the place on the page grows along the line.
    if before.turn != run.turn or before.turn not in (0, 270) or glyphs.ends[before.inked[-1]]:
        return None
    along, across = before.axis, 1 - before.axis
    last, first = glyphs.boxes[before.inked[-1]], glyphs.boxes[run.inked[0]]
    gap = first[along] - last[along + 2]
    size = max(before.size, run.size)
    overlap = min(last[across + 2], first[across + 2]) - max(last[across], first[across])
    smaller = min(last[across + 2] - last[across], first[across + 2] - first[across])
    is_next = -_KERN_EM * size <= gap <= _GAP_EM * size and overlap >= _SAME_ROW * smaller
    return gap if is_next else None


def _cells(glyphs: _Glyphs, run: _Run) -> list[list[int]]:
    """Part a run where a wide stretch of the line is empty.

    The stretch is found in space, not in the order of characters: in a right-to-left line
    with a left-to-right word in it, neighbours in order are far apart.
    """
    axis = 1 - run.axis if is_stacked([glyphs.boxes[index] for index in run.inked]) else run.axis
    gaps = empty_stretches(
        [(glyphs.boxes[index][axis], glyphs.boxes[index][axis + 2]) for index in run.inked]
    )
    spaces = [high - low for low, high in gaps if high - low > _SPACE_EM * run.size]
    widest = max(_GAP_EM * run.size, _GAP_SPACES * median(spaces) if len(spaces) > 3 else 0.0)
    cuts = [(low + high) / 2 for low, high in gaps if high - low > widest]
    if not cuts:
        return [run.every]
    places = [(glyphs.boxes[index][axis] + glyphs.boxes[index][axis + 2]) / 2 for index in run.every]
    cells = [[run.every[at] for at in group] for group in part_at(cuts, places)]
    return _with_labels(glyphs, [cell for cell in cells if _inked(glyphs, cell)], axis, run.size)


def _with_labels(glyphs: _Glyphs, cells: list[list[int]], axis: int, size: float) -> list[list[int]]:
    """Give a bullet or number back to the text it stands before."""
    label = "".join(glyphs.texts[index] or "" for index in cells[0]).strip()
    if len(cells) < 2 or not _LABEL.fullmatch(label):
        return cells
    one, other = ([glyphs.boxes[index] for index in _inked(glyphs, cell)] for cell in cells[:2])
    if gap_between(one, other, axis) > _LABEL_GAP_EM * size:
        return cells
    return [cells[0] + cells[1], *cells[2:]]


def _piece(glyphs: _Glyphs, cell: list[int], run: _Run) -> _Piece:
    inked = _inked(glyphs, cell)
    boxes = [glyphs.boxes[index] for index in inked]
    x0s, y0s, x1s, y1s = zip(*boxes, strict=True)
    size = _letter_size(glyphs, inked, run.turn)
    return _Piece(
        text=compose(
            [glyphs.texts[index] for index in cell], [glyphs.boxes[index] for index in cell], run.axis
        ),
        box=(min(x0s), min(y0s), max(x1s), max(y1s)),
        size=size,
        turn=run.turn,
        glyphs=len(inked),
        unmapped=sum(glyphs.texts[index] is None for index in inked),
    )


def _is_inside(piece: _Piece, size: tuple[float, float]) -> bool:
    """The middle of the piece lies on the page."""
    x0, y0, x1, y1 = piece.box
    return 0 <= (x0 + x1) / 2 <= size[0] and 0 <= (y0 + y1) / 2 <= size[1]


def _main_turn(pieces: list[_Piece]) -> int:
    """Turn that most glyphs ask for."""
    votes: Counter[int] = Counter()
    for piece in pieces:
        votes[piece.turn] += piece.glyphs
    turn, count = votes.most_common(1)[0] if votes else (0, 0)
    return turn if count >= _TURNED_SHARE * votes.total() else 0


def _turned(piece: _Piece, turn: int, size: tuple[float, float]) -> _Piece:
    """Place a piece on the page turned clockwise."""
    x0, y0, x1, y1 = _turn_boxes(np.array([piece.box]), turn, *size)[0].tolist()
    return replace(piece, box=(x0, y0, x1, y1), turn=(piece.turn - turn) % 360)


def _unique(pieces: list[_Piece]) -> list[_Piece]:
    """Drop pieces printed twice at nearly the same place (shadow, fake bold)."""
    kept: list[_Piece] = []
    places: dict[str, list[_Piece]] = {}
    for piece in pieces:
        twins = places.setdefault(piece.text, [])
        if not any(_is_same_place(piece, twin) for twin in twins):
            twins.append(piece)
            kept.append(piece)
    return kept


def _is_same_place(one: _Piece, other: _Piece) -> bool:
    reach = _TWIN_EM * max(one.size, other.size)
    return abs(one.box[0] - other.box[0]) <= reach and abs(one.box[1] - other.box[1]) <= reach


def _line(piece: _Piece, width: float, height: float) -> Line:
    x0, y0, x1, y1 = piece.box
    return Line(
        text=piece.text,
        confidence=1.0,
        x0=_share(x0, width),
        y0=_share(y0, height),
        x1=_share(x1, width),
        y1=_share(y1, height),
        source="text_layer",
        size=_share(piece.size, height),
    )


def _share(value: float, whole: float) -> float:
    return min(max(value / whole, 0.0), 1.0)
