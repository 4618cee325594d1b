"""Turn lines seen in picture after picture into lines that stand from one time to another.

A slide that stands for a minute is seen in many sampled pictures, and each reading of it
differs by a character here and there. Without tracking, a line would be counted once per
picture; with exact comparison, once per misreading.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from schemas.perception import Line, View

SAME_TEXT = 0.9
"""Least edit similarity of two readings of one line: a slip or two in twenty characters."""

SAME_PLACE = 0.5
"""Least overlap, as a share of the smaller box, of two sightings of one line."""

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Region:
    """One line of text for as long as it stands in place."""

    line: Line
    """The reading with the highest confidence."""
    time_seconds: float
    """First sampled time at which it is seen."""
    until_seconds: float
    """Last sampled time at which it is seen."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """Regions in order of first sight, and which of them each view shows."""

    regions: list[Region]
    seen: list[list[int]]
    """For each view, the region of each of its lines, in reading order."""


@dataclass(slots=True)
class _Standing:
    """A region that is still being seen."""

    region: int
    key: str
    last: Line
    best: Line
    time_seconds: float
    until_seconds: float

    def see(self, line: Line, until_seconds: float) -> None:
        self.last = line
        self.key = text_key(line.text)
        self.until_seconds = until_seconds
        if line.confidence > self.best.confidence:
            self.best = line


@lru_cache(maxsize=1 << 14)
def text_key(text: str) -> str:
    """Reduce a text to what must agree: width, case and spaces are often misread."""
    return _SPACE.sub("", unicodedata.normalize("NFKC", text)).casefold()


def same_text(left: str, right: str) -> bool:
    """Tell whether two keys are readings of the same text.

    At most a tenth of the characters may differ, and no digit may: `Step 11` is not a
    misread `Step 12`. A digit read for a similar letter (0 for o) is a misreading.
    """
    if left == right:
        return True
    longest = max(len(left), len(right))
    allowed = int(longest * (1 - SAME_TEXT) + 1e-9)
    if allowed == 0 or abs(len(left) - len(right)) > allowed:
        return False
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    if matcher.quick_ratio() < 1 - 2 * (1 - SAME_TEXT):
        return False
    edits = 0
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag != "equal":
            edits += max(i_end - i, j_end - j)
            if edits > allowed or _digits_differ(left[i:i_end], right[j:j_end]):
                return False
    return True


def _digits_differ(left: str, right: str) -> bool:
    if len(left) != len(right):
        return any(character.isdigit() for character in left + right)
    return any(a.isdigit() and b.isdigit() for a, b in zip(left, right, strict=True))


def overlap(left: Line, right: Line) -> float:
    """Share of the smaller box that the two boxes have in common (0-1)."""
    width = min(left.x1, right.x1) - max(left.x0, right.x0)
    height = min(left.y1, right.y1) - max(left.y0, right.y0)
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((left.x1 - left.x0) * (left.y1 - left.y0), (right.x1 - right.x0) * (right.y1 - right.y0))
    return width * height / smaller


def track(views: Sequence[View], breaks: Collection[int] = ()) -> Tracked:
    """Follow lines through the views of a video.

    A line belongs to a region of the view directly before when the text is the same or
    nearly so and the boxes overlap; a line that vanishes and returns opens a new region.

    Args:
        views: in order of time; each lists all lines that stand in its picture.
        breaks: indices of views before which something is missing (a span that failed), so
            that nothing is known to have stood until then.

    Returns:
        The regions. Each line of each view belongs to exactly one.
    """
    standing: list[_Standing] = []
    everything: list[_Standing] = []
    seen: list[list[int]] = []
    for index, view in enumerate(views):
        start = view.time_seconds or 0.0
        until = max(start, start if view.until_seconds is None else view.until_seconds)
        matched = match([] if index in breaks else standing, view.lines)
        standing = []
        for line, before in zip(view.lines, matched, strict=True):
            if before is not None:
                before.see(line, until)
            else:
                everything.append(_Standing(len(everything), text_key(line.text), line, line, start, until))
            standing.append(before or everything[-1])
        seen.append([item.region for item in standing])
    regions = [Region(item.best, item.time_seconds, item.until_seconds) for item in everything]
    return Tracked(regions, seen)


def match(standing: Sequence[_Standing], lines: Sequence[Line]) -> list[_Standing | None]:
    """Pair each line with the standing region it continues, or None.

    Equal texts are paired first, through a table, so that a view in which nothing changed
    costs one look-up a line; only the rest is compared by similarity, and only with regions
    at the same height.
    """
    result: list[_Standing | None] = [None] * len(lines)
    free = set(range(len(standing)))
    by_key: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(standing):
        by_key[item.key].append(place)
    for index, line in enumerate(lines):
        places = [place for place in by_key.get(text_key(line.text), ()) if place in free]
        _take(index, line, places, standing, free, result)
    rest = [index for index, found in enumerate(result) if found is None]
    if rest and free:
        near = _by_height(standing, free)
        for index in rest:
            line = lines[index]
            key = text_key(line.text)
            places = [p for p in near(line) if p in free and overlap(standing[p].last, line) >= SAME_PLACE]
            places = [p for p in places if same_text(standing[p].key, key)]
            _take(index, line, places, standing, free, result)
    return result


def _take(
    index: int,
    line: Line,
    places: list[int],
    standing: Sequence[_Standing],
    free: set[int],
    result: list[_Standing | None],
) -> None:
    """Give the line the place with the most overlap, if there is enough."""
    best = max(places, key=lambda place: (overlap(standing[place].last, line), -place), default=None)
    if best is not None and overlap(standing[best].last, line) >= SAME_PLACE:
        free.discard(best)
        result[index] = standing[best]


def _by_height(standing: Sequence[_Standing], free: set[int]) -> Callable[[Line], list[int]]:
    """Index regions by height; the function returned lists those that may meet a line."""
    order = sorted(free, key=lambda place: (standing[place].last.y0, place))
    tops = [standing[place].last.y0 for place in order]
    tallest = max(standing[place].last.y1 - standing[place].last.y0 for place in order)

    def near(line: Line) -> list[int]:
        return order[bisect_left(tops, line.y0 - tallest) : bisect_right(tops, line.y1)]

    return near


def reading_order(tracked: Tracked, views: Sequence[int]) -> list[int]:
    """Order all regions seen in some consecutive views as one text, each text once.

    A line that appears goes behind the line it follows on the screen, and behind lines that
    have vanished by then; so bullets that come one by one stay in their order, and the next
    slide follows the one before although both share a header. A line that returns, scrolls
    (the same text, elsewhere) or is being typed (the longer text replaces its beginning)
    stands once.

    Returns:
        Indices into `tracked.regions`.
    """
    order = _Order()
    before: list[int] = []
    for view in views:
        now = tracked.seen[view]
        if now != before:
            vanished = sorted(set(before).difference(now))
            _merge(order, tracked.regions, now, vanished)
        before = now
    return order.listed()


_HEAD = -1
"""Stands before the first region of an order."""


class _Order:
    """A linked list of regions, so that a line can go in anywhere at constant cost."""

    def __init__(self) -> None:
        self.after: dict[int, int | None] = {_HEAD: None}
        self.by_key: dict[str, int] = {}
        self.hidden: set[int] = set()
        """Regions whose text stands in the order already, or that grew into another."""

    def insert(self, region: int, place: int) -> None:
        self.after[region], self.after[place] = self.after[place], region

    def listed(self) -> list[int]:
        found = []
        region = self.after[_HEAD]
        while region is not None:
            if region not in self.hidden:
                found.append(region)
            region = self.after[region]
        return found


def _merge(order: _Order, regions: Sequence[Region], now: Sequence[int], vanished: Sequence[int]) -> None:
    """Bring the lines of one view into the order."""
    showing = set(now)
    place = _HEAD
    for region in now:
        if region not in order.after and region not in order.hidden:
            key = text_key(regions[region].line.text)
            twin = order.by_key.setdefault(key, region)
            if twin != region and twin not in showing:
                order.hidden.add(region)
                continue
            order.hidden.update(_beginnings(regions, region, vanished))
            while (following := order.after[place]) is not None and following not in showing:
                place = following
            order.insert(region, place)
        if region in order.after:
            place = region


def _beginnings(regions: Sequence[Region], region: int, vanished: Sequence[int]) -> list[int]:
    """Find lines that have just grown into this one: text that is being typed."""
    line = regions[region].line
    key = text_key(line.text)
    return [
        old
        for old in vanished
        if key.startswith(text_key(regions[old].line.text)) and overlap(regions[old].line, line) >= SAME_PLACE
    ]
