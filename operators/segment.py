"""Join clips to segments: the chapters of a video, the sections of a document.

A border is best where the title changes: a new slide, a heading. Without titles it lies
where the words change (TextTiling: Hearst 1997, "Segmenting text into multi-paragraph
subtopic passages"), and without words where the picture was cut, but not at every cut.
"""

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean, pstdev

from operators.titles import same_title
from operators.words import cosine

MOST_SEGMENTS = 60
"""A table of contents longer than this is not read."""

PAGES_FACTOR = 3.0
"""A document of n pages gets at most 3·√n segments: 9 for 9 pages, 30 for 100."""

LEAST_SLIDE_SECONDS = 3.0
"""Shortest segment where titles change; a slide flicked past is no chapter. It grows with
the video, to a 120th."""

LEAST_TOPIC_SECONDS = 30.0
"""Shortest segment by words or by scenes; it grows with the video, to a 60th."""

SPARSE_PAGES = 8
"""Where fewer than one page in so many opens with a heading, words decide as well."""

TITLED_SHARE = 0.5
"""Titles decide when clips of this share of the time bear one."""

WORDED_SHARE = 0.5
"""Words decide when this share of the clips has some."""

WINDOW = 3
"""Blocks on each side that are compared at a gap."""

LEAST_BLOCKS = 4
"""Fewer blocks have no topics to shift between."""

LEAST_WORDS = 8
"""A block with fewer words says nothing about a topic."""

STRENGTH_STEP = 0.25
"""Borders whose strength differs by less count as equal; then lengths decide."""

_TITLE_BORDER = 2.0
"""Strength of a border where the title changes; topic shifts have 0 to 2."""


@dataclass(frozen=True, slots=True)
class Block:
    """A clip or page as segmenting sees it."""

    length: float
    """Seconds, or pages."""
    title: str | None
    words: Mapping[str, int]
    title_strength: float = 1.0
    """How large the title stands over the text, for headings."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of blocks, `[first, end)`."""

    first: int
    end: int
    title: str | None


def segment_video(blocks: Sequence[Block]) -> list[Segment]:
    """Segment the clips of a video or audio file.

    Returns:
        Segments in order; every block lies in exactly one.
    """
    total = sum(block.length for block in blocks)
    titled = sum(block.length for block in blocks if block.title is not None)
    worded = sum(1 for block in blocks if sum(block.words.values()) >= LEAST_WORDS)
    if total > 0 and titled >= TITLED_SHARE * total:
        borders = title_borders(blocks)
        least = max(LEAST_SLIDE_SECONDS, total / 120)
    else:
        least = max(LEAST_TOPIC_SECONDS, total / MOST_SEGMENTS)
        if worded >= LEAST_BLOCKS and worded >= WORDED_SHARE * len(blocks):
            borders = topic_borders(blocks)
        else:
            borders = dict.fromkeys(range(1, len(blocks)), 1.0)
    return _segments(blocks, merge(blocks, borders, least, MOST_SEGMENTS), LEAST_SLIDE_SECONDS)


def segment_document(blocks: Sequence[Block]) -> list[Segment]:
    """Segment the pages of a document; a segment is a run of whole pages."""
    most = min(MOST_SEGMENTS, max(1, math.ceil(PAGES_FACTOR * math.sqrt(len(blocks)))))
    borders = title_borders(blocks)
    if SPARSE_PAGES * len(borders) < len(blocks):
        # Headings win over topic shifts at the same page, being stronger.
        borders = topic_borders(blocks) | borders
    return _segments(blocks, merge(blocks, borders, 1.0, most), 1.0)


def _segments(blocks: Sequence[Block], firsts: Sequence[int], least: float) -> list[Segment]:
    if not blocks:
        return []
    ends = [*firsts[1:], len(blocks)]
    return [
        Segment(first, end, _segment_title(blocks[first:end], least))
        for first, end in zip(firsts, ends, strict=True)
    ]


def _segment_title(blocks: Sequence[Block], least: float) -> str | None:
    """Take the title that opens the segment, or of several the one that stands longest."""
    if blocks[0].title is not None and blocks[0].length >= least:
        return blocks[0].title
    lengths: dict[str, float] = {}
    for block in blocks:
        if block.title is not None:
            lengths[block.title] = lengths.get(block.title, 0.0) + block.length
    return max(lengths, key=lambda title: lengths[title], default=None)


def title_borders(blocks: Sequence[Block]) -> dict[int, float]:
    """Put a border before each block whose title is new; blocks without one go on.

    Returns:
        First block of each segment but the first, with the strength of the border: larger
        for larger headings and where the words differ too.
    """
    borders: dict[int, float] = {}
    current: str | None = None
    for index, block in enumerate(blocks):
        if block.title is None or (current is not None and same_title(current, block.title)):
            continue
        if index > 0 and (current is not None or not _prelude(blocks[:index])):
            alike = cosine(blocks[index - 1].words, block.words)
            borders[index] = _TITLE_BORDER + block.title_strength + 0.5 * (1 - alike)
        current = block.title
    return borders


def _prelude(blocks: Sequence[Block]) -> bool:
    """Tell whether these first blocks are a short, silent lead to the first title."""
    silent = not any(block.words for block in blocks)
    return silent and sum(block.length for block in blocks) < LEAST_TOPIC_SECONDS


def topic_borders(blocks: Sequence[Block]) -> dict[int, float]:
    """Put borders where the words on both sides differ more than around (TextTiling).

    Similarity is the cosine of the words of up to `WINDOW` blocks on each side; the depth of
    a gap is how far similarity falls there from the peaks on both sides. Gaps deeper than
    the mean by half a standard deviation, and deepest among their neighbours, are borders.

    Returns:
        First block of each segment but the first, with the depth of the border.
    """
    if len(blocks) < LEAST_BLOCKS:
        return {}
    likeness = _likeness(blocks)
    left, right = _peaks(likeness), _peaks(likeness[::-1])[::-1]
    depths = [l_peak + r_peak - 2 * here for l_peak, r_peak, here in zip(left, right, likeness, strict=True)]
    cutoff = fmean(depths) + pstdev(depths) / 2
    return {
        gap + 1: depth
        for gap, depth in enumerate(depths)
        if depth > max(cutoff, 0.05) and depth == max(depths[max(0, gap - 1) : gap + 2])
    }


def _likeness(blocks: Sequence[Block]) -> list[float]:
    """Cosine of the words before and after each gap."""
    weights = _weights(blocks)
    return [
        cosine(
            _total(blocks[max(0, gap - WINDOW) : gap], weights), _total(blocks[gap : gap + WINDOW], weights)
        )
        for gap in range(1, len(blocks))
    ]


def _weights(blocks: Sequence[Block]) -> dict[str, float]:
    seen: Counter[str] = Counter()
    for block in blocks:
        seen.update(block.words.keys())
    return {word: math.log((1 + len(blocks)) / count) for word, count in seen.items()}


def _total(blocks: Sequence[Block], weights: Mapping[str, float]) -> dict[str, float]:
    total: dict[str, float] = {}
    for block in blocks:
        for word, count in block.words.items():
            total[word] = total.get(word, 0.0) + count * weights[word]
    return total


def _peaks(likeness: Sequence[float]) -> list[float]:
    """For each gap, the value reached by climbing to the left from it."""
    peaks: list[float] = []
    for gap, value in enumerate(likeness):
        climbs = gap > 0 and likeness[gap - 1] >= value
        peaks.append(peaks[-1] if climbs else value)
    return peaks


def merge(blocks: Sequence[Block], borders: Mapping[int, float], least: float, most: int) -> list[int]:
    """Take borders away until no segment is shorter than `least` and at most `most` remain.

    The shortest segment loses one of its two borders first: clearly the weaker, or else the
    one to its shorter neighbour. Then, while there are too many, the weakest border goes, of
    equals the one whose segments are shortest together. Each step costs log n.

    Returns:
        First block of each segment, beginning with 0; empty without blocks.
    """
    if not blocks:
        return []
    runs = _Runs(blocks, borders)
    _drop_short(runs, least)
    _drop_weak(runs, most)
    return sorted(runs.end)


class _Runs:
    """Runs of blocks that are joined one border at a time."""

    def __init__(self, blocks: Sequence[Block], borders: Mapping[int, float]) -> None:
        self.count = len(blocks)
        self.tiers = {index: round(strength / STRENGTH_STEP) for index, strength in borders.items()}
        self.passed = list(accumulate((block.length for block in blocks), initial=0.0))
        firsts = [0, *sorted(index for index in borders if 0 < index < self.count)]
        self.end = dict(zip(firsts, [*firsts[1:], self.count], strict=True))
        """First block of each run to the first of the next."""
        self.before = dict(pairwise(firsts[::-1]))

    def length(self, first: int) -> float:
        return self.passed[self.end[first]] - self.passed[first]

    def joined_length(self, border: int) -> float:
        """Length of the two runs at a border together."""
        return self.length(self.before[border]) + self.length(border)

    def weaker(self, first: int) -> int:
        """Choose which border of a run goes, and return the block that begins at it."""
        end = self.end[first]
        if first == 0:
            return end
        if end == self.count or self.tiers[first] != self.tiers[end]:
            return first if end == self.count or self.tiers[first] < self.tiers[end] else end
        return min(first, end, key=self.joined_length)

    def join(self, border: int) -> int:
        """Remove a border; return the first block of the run that results."""
        into = self.before.pop(border)
        self.end[into] = self.end.pop(border)
        if self.end[into] < self.count:
            self.before[self.end[into]] = into
        return into


def _drop_short(runs: _Runs, least: float) -> None:
    queue = [(runs.length(first), first) for first in runs.end]
    heapq.heapify(queue)
    while queue and queue[0][0] < least - 1e-9 and len(runs.end) > 1:
        length, first = heapq.heappop(queue)
        if first in runs.end and runs.length(first) == length:
            into = runs.join(runs.weaker(first))
            heapq.heappush(queue, (runs.length(into), into))


def _drop_weak(runs: _Runs, most: int) -> None:
    def entry(border: int) -> tuple[int, float, int]:
        return runs.tiers[border], runs.joined_length(border), border

    queue = [entry(border) for border in runs.before]
    heapq.heapify(queue)
    while len(runs.end) > most:
        popped = heapq.heappop(queue)
        if popped[2] in runs.before and popped == entry(popped[2]):
            into = runs.join(popped[2])
            for border in (into, runs.end[into]):
                if border in runs.before:
                    heapq.heappush(queue, entry(border))
