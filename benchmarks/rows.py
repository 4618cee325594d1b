"""Rows that several ways of reading the same videos give: brought to one form and compared.

A rival writes a row for each line of each frame. Gloss writes one for each line for as long as it
stands; it is laid out over the same moments. A speed counts only where the rows are the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.corpora.truth import Made
from operators.lake import Lake
from operators.score_text import tokens

Frames = Mapping[tuple[str, int], Counter[str]]
"""Lines seen, by file name and second."""

SAME = 0.99
"""Least share of words that must agree. A reading of a blurred line differs between frames; Gloss gives
a line that stands its best reading."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two sets of rows are, 0-1."""

    rows: float
    """Share of rows, of the larger set, that are equal letter by letter."""
    lost: float
    """Share of the words of the first that are not in the second…"""
    added: float
    """…and of those of the second that are not in the first, second by second."""


def rival_rows(folder: Path) -> Frames:
    """Read what a rival wrote."""
    rows = pq.read_table(folder, columns=["video", "time_seconds", "text"]).to_pylist()
    return _frames((row["video"], round(row["time_seconds"]), row["text"]) for row in rows)


def lake_rows(lake: Path) -> Frames:
    """Lay the lines of a lake out over the seconds in which they stand."""
    rows = Lake(lake).connect().execute(_LINES).fetchall()
    # A picture that first stands in the middle of a second is looked at at the next whole one.
    return _frames(
        (uri, second, text)
        for uri, time, until, text in rows
        for second in range(-int(-time // 1), int(until // 1) + 1)
    )


_LINES = """
SELECT uri, time_seconds, until_seconds, text FROM text_regions JOIN assets USING (asset_id, version)
WHERE time_seconds IS NOT NULL"""


def _frames(rows: Iterable[tuple[str, int, str]]) -> Frames:
    found: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for video, second, text in rows:
        found[video.rpartition("/")[2], second][text.strip()] += 1
    return found


def compare(one: Frames, other: Frames) -> Agreement:
    """Compare rows second by second."""
    equal = sum((one.get(key, Counter()) & other.get(key, Counter())).total() for key in one)
    sizes = [sum(lines.total() for lines in frames.values()) for frames in (one, other)]
    return Agreement(equal / max(1, *sizes), _missing(one, other), _missing(other, one))


def require_same(one: Frames, other: Frames, names: tuple[str, str]) -> Agreement:
    """Compare rows and refuse to go on where they differ.

    Raises:
        ValueError: Less than `SAME` of the words of either are in the other.
    """
    found = compare(one, other)
    if max(found.lost, found.added) > 1 - SAME:
        msg = (
            f"Wanted the same words from {names[0]} and {names[1]}; {found.lost:.1%} of the first are not in "
            f"the second, {found.added:.1%} of the second not in the first. A ratio would mean nothing."
        )
        raise ValueError(msg)
    return found


def recall(made: Sequence[Made], found: Frames) -> float:
    """Share of the words that truly stand in each second of videos which were found in that second."""
    truth = {
        (item.path.name, second): Counter({part.text: 1})
        for item in made
        for part in item.shown
        for second in range(int(part.start_seconds or 0), int(part.end_seconds or 0))
    }
    return 1 - _missing(truth, found)


def _missing(wanted: Frames, found: Frames) -> float:
    lost = total = 0
    for key, lines in wanted.items():
        words = _words(lines)
        lost += (words - _words(found.get(key, Counter()))).total()
        total += words.total()
    return lost / total if total else 0.0


def _words(lines: Counter[str]) -> Counter[str]:
    return Counter(word for text in lines.elements() for word in tokens(text))
