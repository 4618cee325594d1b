"""From the codes of a page's glyphs to text that a search finds.

Fonts state meanings in many ways for one word: a ligature as one character or as pieces in
reversed order, an accent as a sign of its own beside its letter, a bullet as a private-use
code, a hyphen as a soft one. This module, which knows nothing of PDFium, gives them one form.
"""

import unicodedata
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise

Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points of the page as shown, y downwards."""
Part = tuple[str, Corners]
"""What a glyph means, and where it stands."""

_SPACES = frozenset("\t\u00a0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}
_INVISIBLE = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")
"""Zero-width joiners are not among them: Persian and Indic words need them."""
_HYPHENS = frozenset("\u00ad\u2010\u2011")
"""Where a page shows a hyphen, finding the word must not depend on which one it is."""
_SYMBOLS = {
    0xF02D: "-", 0xF06C: "●", 0xF06E: "■", 0xF06F: "□", 0xF071: "❑", 0xF076: "❖", 0xF0A7: "▪", 0xF0A8: "◻",
    0xF0B7: "•", 0xF0D8: "➢", 0xF0E0: "→", 0xF0E8: "➔", 0xF0FC: "✓", 0xF0FE: "☑",
}  # fmt: skip
"""Bullets of the Symbol and Wingdings fonts, which word processors write as private-use codes."""
_COMPATIBILITY = ((0x2E80, 0x2FDF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE70, 0xFEFE))
"""Radicals, compatibility ideographs, ligatures and presentation forms: one letter, another
code. Full-width forms and superscripts stay as they are."""
_ACCENTS = {
    "\u0060": "\u0300", "\u00b4": "\u0301", "\u02c6": "\u0302", "\u02dc": "\u0303", "\u00af": "\u0304",
    "\u02d8": "\u0306", "\u02d9": "\u0307", "\u00a8": "\u0308", "\u02da": "\u030a", "\u02dd": "\u030b",
    "\u02c7": "\u030c", "\u00b8": "\u0327", "\u02db": "\u0328",
}  # fmt: skip
"""TeX sets an accented letter as two glyphs, the accent as a spacing sign."""
_RAISED = 0.85
"""Letters at most this high, beside higher ones, are notes or exponents."""
_NOTE_LETTERS = 3
"""A raised figure behind a word of this length is a note, behind `m` or `km` an exponent. Words
of other scripts are no units."""


@lru_cache(maxsize=8192)
def meaning(code: int) -> str | None:
    """Text of one character code: empty for what is not seen, None for what is not stated."""
    if code in _SYMBOLS:
        return _SYMBOLS[code]
    character = chr(code) if 0 <= code <= 0x10FFFF else "\ufffd"
    if character in _SPACES:
        return " "
    if character in _INVISIBLE:
        return ""
    if character in _HYPHENS:
        return "-"
    if character == "\ufffd" or unicodedata.category(character) in ("Cc", "Co", "Cn"):
        return None
    if any(first <= code <= last for first, last in _COMPATIBILITY):
        return unicodedata.normalize("NFKC", character)
    return character


def attach_marks(texts: list[str | None], boxes: Sequence[Corners]) -> None:
    """Give accents and vowel signs that stand apart in the order to the letter they stand on.

    The letter is the one whose box holds the middle of the mark. The space that PDFium put
    where it jumped to the mark goes with it. Changes `texts` in place.
    """
    for at, text in enumerate(texts):
        if not text or (mark := _mark(text)) is None:
            continue
        base = _base(texts, boxes, at)
        if base is None or (base == at - 1 and mark == text):
            continue
        texts[base] = f"{texts[base]}{mark}"
        texts[at] = ""
        for beside in (at - 1, at + 1):
            # Generated spaces have no width.
            if 0 <= beside < len(texts) and texts[beside] == " " and boxes[beside][0] == boxes[beside][2]:
                texts[beside] = ""


@lru_cache(maxsize=8192)
def _mark(text: str) -> str | None:
    """Combining form of an accent or vowel sign; None for everything else."""
    mark = _ACCENTS.get(text, text)
    return mark if len(mark) == 1 and unicodedata.category(mark) == "Mn" else None


_NEAR = 12
"""Characters before and after a mark among which its letter is looked for."""


def _base(texts: Sequence[str | None], boxes: Sequence[Corners], at: int) -> int | None:
    """Index of the letter that a mark stands on."""
    x0, y0, x1, y1 = boxes[at]
    middle = (x0 + x1) / 2
    near: list[int] = [*range(at - 1, max(-1, at - _NEAR), -1), *range(at + 1, min(len(texts), at + _NEAR))]
    for other in near:
        left, top, right, bottom = boxes[other]
        letter = (texts[other] or "")[:1]
        if letter.isalpha() and left <= middle <= right and top <= y1 and y0 <= bottom:
            return other
    return None


def compose(texts: Sequence[str | None], boxes: Sequence[Corners], axis: int) -> str:
    """Join the characters of one line, in content order, to text in reading order.

    Args:
        texts: meaning of each character; None is left out.
        boxes: their places.
        axis: direction of the line, 0 along x and 1 along y.
    """
    parts = [(text, box) for text, box in zip(texts, boxes, strict=True) if text]
    plain = "".join(text for text, _ in parts)
    # Most lines are neither; both tests cost a tenth of what they save.
    if not plain.isascii() and any(map(_is_rtl, plain)):
        parts = list(_unreversed(parts))
        joined = "".join(_spaced(parts, _turns_round, axis))
    elif _has_notes(parts, axis):
        joined = "".join(_spaced(parts, _leaves_note, axis))
    else:
        joined = plain
    # PDFium may hand out characters beyond the basic plane as two surrogates.
    joined = joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return unicodedata.normalize("NFC", " ".join(joined.split()))


def _unreversed(parts: Sequence[Part]) -> Iterator[Part]:
    """Put the pieces of right-to-left ligatures into their order.

    PDFium reverses a right-to-left run character by character, and with it the letters that
    the font states for one ligature: Arabic lam-alef comes out as alef-lam. Such letters
    share one box.
    """
    for (is_rtl, _), group in groupby(parts, lambda part: (_is_rtl(part[0]), part[1])):
        pieces = list(group)
        if is_rtl and len(pieces) > 1 and "".join(text for text, _ in pieces) not in _rtl_ligatures():
            pieces.reverse()
        yield from pieces


@lru_cache(maxsize=8192)
def _is_rtl(text: str) -> bool:
    return unicodedata.bidirectional(text[0]) in ("R", "AL")


@lru_cache(maxsize=1)
def _rtl_ligatures() -> frozenset[str]:
    """Expansions of the ligatures Unicode knows; PDFium writes those in logical order itself."""
    codes = (*range(0xFB1D, 0xFE00), *range(0xFE70, 0xFEFF))
    forms = (unicodedata.normalize("NFKC", chr(code)) for code in codes)
    return frozenset(form for form in forms if len(form) > 1)


def _spaced(
    parts: Sequence[Part], parts_at: Callable[[Sequence[Part], int, int], bool], axis: int
) -> Iterator[str]:
    """Add spaces that the file does not state before the parts that a test names."""
    for at, (text, _) in enumerate(parts):
        if at and parts_at(parts, at, axis):
            yield " "
        yield text


def _turns_round(parts: Sequence[Part], at: int, axis: int) -> bool:  # noqa: ARG001 - the shape `_spaced` wants
    """Between letters of opposite directions: files often lack that space, and PDFium misplaces it."""
    before, text = parts[at - 1][0][-1], parts[at][0][0]
    return before.isalpha() and text.isalpha() and _is_rtl(before) != _is_rtl(text)


def _height(box: Corners, axis: int) -> float:
    return box[3 - axis] - box[1 - axis]


def _has_notes(parts: Sequence[Part], axis: int) -> bool:
    heights = [_height(box, axis) for text, box in parts if text.isdigit()]
    return bool(heights) and min(heights) <= _RAISED * max(_height(box, axis) for _, box in parts)


def _leaves_note(parts: Sequence[Part], at: int, axis: int) -> bool:
    """Between a word and the small figure that points to a note, or such a figure and its note."""
    (before, before_box), (text, box) = parts[at - 1], parts[at]
    if not (before.isdigit() and text.isalpha()) and not (before.isalpha() and text.isdigit()):
        return False
    small, large = (before_box, box) if before.isdigit() else (box, before_box)
    if _height(small, axis) > _RAISED * _height(large, axis):
        return False
    word = "".join(part for part, _ in parts[max(0, at - _NOTE_LETTERS) : at])
    is_word = not before.isascii() or (len(word) == _NOTE_LETTERS and word.isalpha())
    return before.isdigit() or is_word


def gap_between(one: Sequence[Corners], other: Sequence[Corners], axis: int) -> float:
    """Free space between two groups of boxes along an axis; negative where they overlap."""
    return max(
        min(box[axis] for box in other) - max(box[axis + 2] for box in one),
        min(box[axis] for box in one) - max(box[axis + 2] for box in other),
    )


def empty_stretches(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the gaps between spans, from low to high."""
    ordered = sorted(spans)
    reached = [ordered[0][1]] if ordered else []
    for _, high in ordered[1:]:
        reached.append(max(reached[-1], high))
    return [(end, low) for end, (low, _) in zip(reached, ordered[1:], strict=False) if low > end]


def part_at(cuts: Sequence[float], places: Sequence[float]) -> list[list[int]]:
    """Group indices of places by the cuts they lie between, groups in order of first index."""
    groups: dict[int, list[int]] = {}
    for index, place in enumerate(places):
        groups.setdefault(bisect(cuts, place), []).append(index)
    return list(groups.values())


def is_stacked(boxes: Sequence[Corners]) -> bool:
    """Upright letters one below the other: vertical writing of Chinese, Japanese and Korean."""
    across = sum(abs(a[0] + a[2] - b[0] - b[2]) for a, b in pairwise(boxes))
    down = sum(abs(a[1] + a[3] - b[1] - b[3]) for a, b in pairwise(boxes))
    return down > 2 * across
