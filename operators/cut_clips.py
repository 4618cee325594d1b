"""Cut a video into clips where its picture changes, evenly, and not too often.

A clip is what a reader of the tables sees as one moment: one slide, one scene, or a stretch
of a long one. Film that cuts twice a second must not turn into a row per cut, and the
borders at which decoding was split must not show.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from operators.track_text import Tracked, text_key
from operators.words import is_unspaced, letter_count
from schemas.perception import Line, View

MIN_CLIP_SECONDS = 2.0
"""No clip is shorter unless slides with text change faster; also how long a new text must
stand to count as a slide where the picture around it did not change."""

SPARE_SLIDES = 5
"""Slides flicked through faster than one in `MIN_CLIP_SECONDS` that still get clips of
their own, over the length of a video."""

PAUSE_SECONDS = 5.0
"""A border that would cut what is being said in two goes to a pause so near."""

SLIDE_LETTERS = 12
"""Least letters of a text whose change counts as a change of slide."""

SUBTITLES_BELOW = 0.75
"""Lines that begin below this height do not count: subtitles in the picture change every few
seconds, and the picture above them is the same."""

KEPT_SHARE = 0.4
"""A text has changed wholesale when less of the shorter of two texts than this is kept."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, `[start_seconds, end_seconds)`."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """A time at which the picture changed."""

    seconds: float
    """First sampled time of the new picture."""
    slide: bool = False
    """One text was replaced by another: worth a clip however short."""


def cut_clips(
    duration_seconds: float,
    cuts: Sequence[Cut],
    clip_seconds: float,
    min_seconds: float = MIN_CLIP_SECONDS,
) -> list[Span]:
    """Tile `[0, duration_seconds)` with clips.

    Stretches between kept cuts that are longer than `clip_seconds` are divided evenly.

    Args:
        duration_seconds: length of the asset; 0 or less gives no clips.
        cuts: in any order; those outside the asset are ignored.
        clip_seconds: longest clip.
        min_seconds: least distance of cuts, except for slides.

    Returns:
        Clips in order, without gaps or overlap: at most one for each `min_seconds` and
        `SPARE_SLIDES` more, before long ones are divided.
    """
    if duration_seconds <= 0:
        return []
    borders = [0.0, *_kept(duration_seconds, cuts, min_seconds), duration_seconds]
    spans: list[Span] = []
    for start, end in pairwise(borders):
        spans.extend(_divide(start, end, clip_seconds))
    return spans


def _kept(duration_seconds: float, cuts: Sequence[Cut], min_seconds: float) -> list[float]:
    """Thin cuts out: slides first, then the rest where there is room."""
    inside = sorted(
        (cut for cut in cuts if 0 < cut.seconds < duration_seconds),
        key=lambda cut: (cut.seconds, not cut.slide),
    )
    kept: list[Cut] = []
    for cut in inside:
        last = kept[-1].seconds if kept else 0.0
        if cut.seconds == last:
            continue
        near = cut.seconds - last < min_seconds
        if near and cut.slide and kept and not kept[-1].slide:
            # A transition and then its slide: the slide's cut is the one that counts.
            kept[-1] = cut
        elif cut.slide and near:
            if len(kept) < cut.seconds / min_seconds + SPARE_SLIDES - 1:
                kept.append(cut)
        elif not near and (cut.slide or duration_seconds - cut.seconds >= min_seconds):
            kept.append(cut)
    return [cut.seconds for cut in kept]


def _divide(start: float, end: float, clip_seconds: float) -> list[Span]:
    pieces = _pieces(start, end, clip_seconds)
    borders = [start + (end - start) * i / pieces for i in range(pieces)] + [end]
    return [Span(a, b) for a, b in pairwise(borders)]


def _pieces(start: float, end: float, clip_seconds: float) -> int:
    return max(1, math.ceil((end - start) / clip_seconds - 1e-9))


def cut_in_pauses(duration_seconds: float, said: Sequence[Span], clip_seconds: float) -> list[Span]:
    """Tile `[0, duration_seconds)` with clips that end in pauses where there are any.

    Args:
        duration_seconds: length of the asset; 0 or less gives no clips.
        said: utterances, in order of their starts.
        clip_seconds: longest clip.

    Returns:
        Clips in order, without gaps or overlap. What is left is divided evenly after each clip,
        so that without speech the clips are those of `cut_clips`.
    """
    pauses = _pauses(said)
    spans: list[Span] = []
    start = origin = 0.0
    pieces, place = _pieces(0.0, duration_seconds, clip_seconds), 0
    while start < duration_seconds:
        place += 1
        end = even = duration_seconds
        if place < pieces:
            even = origin + (duration_seconds - origin) * place / pieces
            latest = min(start + clip_seconds, duration_seconds - MIN_CLIP_SECONDS)
            end = _in_pause(even, pauses, start + MIN_CLIP_SECONDS, latest)
        spans.append(Span(start, end))
        start = end
        if end != even:
            origin, place, pieces = end, 0, _pieces(end, duration_seconds, clip_seconds)
    return spans


def _pauses(said: Sequence[Span]) -> list[Span]:
    """Find the stretches in which nobody speaks, also those of no length between two utterances."""
    until = accumulate((span.end_seconds for span in said), max, initial=0.0)
    starts = [*(span.start_seconds for span in said), math.inf]
    return [Span(end, start) for end, start in zip(until, starts, strict=True) if end <= start]


def _in_pause(seconds: float, pauses: Sequence[Span], earliest: float, latest: float) -> float:
    """Return the time in a pause, near to a time and within bounds, or else the time itself."""
    after = bisect_right(pauses, seconds, key=lambda pause: pause.start_seconds)
    near = [
        min(max(seconds, pause.start_seconds), pause.end_seconds)
        for pause in pauses[max(0, after - 1) : after + 1]
    ]
    near = [place for place in near if abs(place - seconds) <= PAUSE_SECONDS and earliest <= place <= latest]
    return min(near, key=lambda place: (abs(place - seconds), place), default=seconds)


def find_cuts(
    views: Sequence[View],
    tracked: Tracked,
    picture_cuts: Sequence[float],
    boilerplate: Collection[int] = (),
) -> list[Cut]:
    """Join the cuts seen in the picture with those seen in the text.

    A picture cut is a slide where the text before and after it differ. Where no picture cut
    is known (a plain white slide following another, or the border of two spans) a text that
    was replaced wholesale and then stands for a while is a cut too.

    Args:
        views: in order of time.
        tracked: their regions.
        picture_cuts: seconds, in any order.
        boilerplate: regions that stand for the whole video and tell nothing.
    """
    weights = [_text_weight(region.line) for region in tracked.regions]
    shown = [[region for region in seen if region not in boilerplate] for seen in tracked.seen]
    pages = [_Page.of(seen, tracked, weights) for seen in shown]
    starts = [view.time_seconds or 0.0 for view in views]
    changed = {index for index in range(1, len(views)) if replaced(pages[index - 1], pages[index])}
    firsts = {seconds: bisect_left(starts, seconds - 1e-6) for seconds in picture_cuts}
    cuts = [Cut(seconds, first in changed) for seconds, first in sorted(firsts.items())]
    unseen = sorted(changed.difference(firsts.values()))
    cuts.extend(Cut(starts[index]) for index in unseen if _stands(index, starts, pages))
    return cuts


@dataclass(frozen=True, slots=True)
class _Page:
    """The text of one view, for comparison."""

    regions: dict[int, int]
    """Region to its weight in letters."""
    keys: frozenset[str]
    texts: dict[int, str]
    weight: int

    @classmethod
    def of(cls, seen: Sequence[int], tracked: Tracked, weights: Sequence[int]) -> "_Page":
        texts = {region: text_key(tracked.regions[region].line.text) for region in seen}
        regions = {region: weights[region] for region in seen}
        return cls(regions, frozenset(texts.values()), texts, sum(regions.values()))


def _text_weight(line: Line) -> int:
    """Letters of a line; those of scripts without spaces say twice as much each."""
    if line.y0 > SUBTITLES_BELOW:
        return 0
    return letter_count(line.text) * (2 if is_unspaced(line.text) else 1)


def replaced(before: _Page, after: _Page) -> bool:
    """Tell whether one text took the place of another, rather than growing or shrinking."""
    if max(before.weight, after.weight) < SLIDE_LETTERS:
        return False
    less = min(before.weight, after.weight)
    return less == 0 or _kept_weight(before, after) < KEPT_SHARE * less


def _kept_weight(before: _Page, after: _Page) -> int:
    """Letters that stand in both: the same region, or the same text elsewhere (scrolled)."""
    return sum(
        weight
        for region, weight in after.regions.items()
        if region in before.regions or after.texts[region] in before.keys
    )


def _stands(index: int, starts: Sequence[float], pages: Sequence[_Page]) -> bool:
    """Tell whether the text of a view is still there `MIN_CLIP_SECONDS` later.

    Letters read into foliage or crowds change from picture to picture; a slide stays.
    """
    for later in range(index + 1, len(pages)):
        if starts[later] >= starts[index] + MIN_CLIP_SECONDS:
            break
        if replaced(pages[index], pages[later]):
            return False
    return True
