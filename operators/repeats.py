"""Does a text run in a loop, as when a model cannot find its end?

Three signs, each blind to something: a row of words that comes again at once (exact loops of any
length), a text that compresses too well (loops that change a word each time, as for Whisper), and
a tail of the same few characters. Tables and lists repeat themselves rightly, so rows are compared
with rows only, and lists are left out of the compression.
"""

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
_STUTTER = re.compile(r"([^\W\d_]{1,12}?)\1{11,}")
_ROW = re.compile(r"\s*\||.*<t[rdh]\b", re.IGNORECASE)
_ITEM = re.compile(r"\s*(?:[-*+•·–]|\(?\d{1,3}[.):]|\(?[a-zA-Z][.)])\s")

_FILLING = re.compile(r"([\W_])\1+")
"""Leaders, rules and white space, which compress well and say nothing."""

_LONGEST_UNIT = 80
"""Words of the longest row that is looked for."""

_WINDOW = 600
"""Characters that are compressed together. Longer text compresses better whatever it says."""

MAX_COMPRESSION = 2.6
"""Of a window. 673 pieces of documentation and licences are at 1.7 in the middle and 2.3 at most; a
sentence that comes four times is at 2.9 or above."""

_ROWS = 12
"""Equal rows of a table that are a loop; forms have empty ones, and those do not count."""

_TAIL = 25
"""Repeats of a few characters at an end that was cut off."""


def words_of(text: str) -> list[str]:
    """Split text into words, casefolded; in Chinese and Japanese each character is one."""
    return _WORD.findall(text.casefold())


def is_loop(text: str, finished: bool = True) -> bool:
    """Tell whether a text runs in a loop.

    Args:
        text: An answer.
        finished: Whether the model ended it. A loop mostly runs into the limit, so what repeats
            itself there needs fewer repeats.
    """
    lines = text.splitlines()
    rows = [line for line in lines if _ROW.match(line)]
    prose = [line for line in lines if not _ROW.match(line)]
    plain = "\n".join(prose)
    return (
        _STUTTER.search(plain) is not None
        or _repeats_words(words_of(plain), finished)
        or _repeats_rows(rows, finished)
        or _compresses("\n".join(line for line in prose if not _ITEM.match(line)))
        or (not finished and _ends_in_a_rut(text))
    )


def compression(text: str) -> float:
    """Divide the length of a text by its compressed length, in bytes."""
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded) / len(zlib.compress(encoded, 9)) if encoded else 0.0


def _repeats_words(words: Sequence[str], finished: bool) -> bool:
    """Look for a row of words that follows itself; numbers may count up meanwhile (`1. … 2. …`)."""
    counted = ["0" if word.isdecimal() else word for word in words]
    return _repeats(words, finished, numbered=False) or _repeats(counted, finished, numbered=True)


def _repeats(words: Sequence[str], finished: bool, *, numbered: bool) -> bool:
    names: dict[str, int] = {}
    codes = np.array([names.setdefault(word, len(names)) for word in words], np.int64)
    for unit in range(4 if numbered else 1, min(_LONGEST_UNIT, len(words) // 2) + 1):
        length, end = _longest_run(codes[unit:] == codes[:-unit])
        repeats = 1 + length / unit
        at_end = not finished and end == len(words) - unit
        if repeats < _needed(unit, at_end) + numbered:
            continue
        row = words[end : end + unit]  # the last repeat
        numbers = sum(word.isdecimal() for word in row)
        if numbered and unit - numbers < 3:
            continue
        if numbers < unit or repeats * unit >= 30:
            return True
    return False


def _needed(unit: int, at_end: bool) -> float:
    """Repeats from which a row of so many words is a loop."""
    if unit == 1:
        return 8
    if unit < 4:
        return 6
    if unit < 10:
        return 4
    return 2.3 if at_end else 3


def _longest_run(same: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[int, int]:
    """Find the longest run of truth: its length, and where it ends (exclusive)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    if not len(edges):
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    # Of equally long ones the last, which may reach the end.
    at = len(starts) - 1 - int(np.argmax((ends - starts)[::-1]))
    return int(ends[at] - starts[at]), int(ends[at])


def _repeats_rows(rows: Sequence[str], finished: bool) -> bool:
    same, longest = 1, 1
    for before, row in pairwise(rows):
        same = same + 1 if row.strip() == before.strip() and _WORD.search(row) else 1
        longest = max(longest, same)
    return longest >= _ROWS or (not finished and same >= _ROWS // 2)


def _compresses(prose: str) -> bool:
    prose = _FILLING.sub(r"\1", prose)
    if len(prose) < _WINDOW // 3:
        return False
    starts = range(0, max(1, len(prose) - _WINDOW // 2), _WINDOW // 2)
    windows = (prose[start : start + _WINDOW] for start in starts)
    return any(compression(window) > MAX_COMPRESSION for window in windows)


def _ends_in_a_rut(text: str) -> bool:
    for unit in range(1, 13):
        tail = text[-unit * _TAIL :]
        if len(tail) == unit * _TAIL and tail == tail[:unit] * _TAIL:
            return True
    return False
