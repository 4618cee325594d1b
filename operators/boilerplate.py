"""Find text that repeats without telling anything: running headers, footers, watermarks.

It stays in the tables, since it was seen, but must not become a title or a sentence of a
summary, and must not hide that everything else on the screen has changed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median

from operators.track_text import Tracked, text_key
from operators.words import letter_count
from schemas.perception import Line

SAME_HEIGHT = 0.03
"""Lines repeat at the same place when their centres differ by less, as a fraction of the
picture's height."""

MARGIN = 0.12
"""Headers and footers stand in this outer fraction of a page."""

LEAST_REPEATS = 3
"""Twice may be chance."""

MARGIN_SHARE = 0.3
"""A line in the margin is a running header when this share of the pages between its first
and last appearance bears it: left and right pages often differ."""

PAGE_SHARE = 0.5
"""The same for a line elsewhere on the page, such as a stamp."""

SLIDE_SHARE = 0.6
"""Least share of a video's slides that a watermark stands on."""

_DIGITS = re.compile(r"\d+")


def repeat_key(text: str) -> str:
    """Reduce a text so that `Page 3 of 9` repeats `Page 4 of 9`; empty without letters."""
    return _DIGITS.sub("#", text_key(text)) if letter_count(text) else ""


def page_boilerplate(pages: Sequence[Sequence[Line]]) -> set[tuple[int, int]]:
    """Find running headers and footers of a document.

    Args:
        pages: lines of each page.

    Returns:
        (page, line) indices of lines that repeat at the same height on many pages.
    """
    places: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for page, lines in enumerate(pages):
        for index, line in enumerate(lines):
            if key := repeat_key(line.text):
                places[key].append((page, index, (line.y0 + line.y1) / 2))
    found: set[tuple[int, int]] = set()
    for sightings in places.values():
        if len(sightings) >= min(LEAST_REPEATS, len(pages)) and len(sightings) > 1:
            found.update(_repeating(sightings, len(pages)))
    return found


def _repeating(sightings: Sequence[tuple[int, int, float]], page_count: int) -> list[tuple[int, int]]:
    height = median(y for _, _, y in sightings)
    here = [(page, index) for page, index, y in sightings if abs(y - height) <= SAME_HEIGHT]
    bearing = {page for page, _ in here}
    if len(bearing) < (2 if page_count == 2 else LEAST_REPEATS):
        return []
    in_margin = height < MARGIN or height > 1 - MARGIN
    if page_count == 2 and not in_margin:
        return []
    range_pages = max(bearing) - min(bearing) + 1
    share = len(bearing) / (range_pages if in_margin else page_count)
    return here if share >= (MARGIN_SHARE if in_margin else PAGE_SHARE) else []


def video_boilerplate(tracked: Tracked, cuts: Sequence[int]) -> set[int]:
    """Find watermarks, logos and slide footers of a video.

    A line that stands over most of the video is boilerplate only when everything else was
    replaced under it at least twice: the title of a slide that is built up bullet by bullet
    stands as long. Without other text, a small line in a corner under which the picture was
    cut at least twice is a logo.

    Args:
        tracked: regions of the video.
        cuts: indices of views before which the picture as a whole changed.

    Returns:
        Regions that are boilerplate.
    """
    with_text = [seen for seen in tracked.seen if seen]
    by_key: dict[str, set[int]] = defaultdict(set)
    for index, region in enumerate(tracked.regions):
        if key := repeat_key(region.line.text):
            by_key[key].add(index)
    counts = Counter(key for seen in with_text for key in _keys(tracked, seen))
    lasting = {key for key, count in counts.items() if count >= LEAST_REPEATS and 2 * count >= len(with_text)}
    if not lasting:
        return set()
    slides = _slides(tracked, with_text, lasting)
    bearing = Counter(key for slide in slides for key in slide)
    marks = {
        key for key, count in bearing.items() if count >= LEAST_REPEATS and count >= SLIDE_SHARE * len(slides)
    }
    marks |= _logos(tracked, lasting, by_key, cuts)
    return {region for key in marks for region in by_key[key]}


def _keys(tracked: Tracked, seen: Iterable[int]) -> set[str]:
    return {key for region in seen if (key := repeat_key(tracked.regions[region].line.text))}


def _slides(tracked: Tracked, seen: Sequence[Sequence[int]], lasting: Collection[str]) -> list[set[str]]:
    """Group views into slides by the text besides `lasting`; list the lasting lines of each."""
    slides: list[set[str]] = []
    text: set[str] = set()
    for regions in seen:
        keys = _keys(tracked, regions)
        rest = keys.difference(lasting)
        if not rest:
            continue
        if not slides or len(text & rest) < 0.4 * min(len(text), len(rest)):
            slides.append(set())
        slides[-1] |= keys & set(lasting)
        text = rest
    return slides


def _logos(
    tracked: Tracked, lasting: Iterable[str], by_key: Mapping[str, set[int]], cuts: Sequence[int]
) -> set[str]:
    survived: Counter[str] = Counter()
    for cut in cuts:
        if 0 < cut < len(tracked.seen):
            before, after = tracked.seen[cut - 1], tracked.seen[cut]
            survived.update(_keys(tracked, before) & _keys(tracked, after))
    return {
        key
        for key in lasting
        if survived[key] >= 2 and all(in_corner(tracked.regions[region].line) for region in by_key[key])
    }


def in_corner(line: Line) -> bool:
    """Tell whether a line is small and stands in a corner of the picture."""
    high_or_low = line.y1 < 0.15 or line.y0 > 0.85
    return high_or_low and (line.x1 < 0.35 or line.x0 > 0.65)
