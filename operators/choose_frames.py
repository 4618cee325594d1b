"""Which pictures of a clip are shown to a model: the distinct ones, evenly in time.

A view stands from its time until the next one, or until its last sampled time where what comes
after it was lost. A clip is shown what stands in it, a picture that stood already at its start
included: that one is shown as it is at the clip's start, so that what is decoded is what stands
there and its time lies in the clip.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from operators.words import letter_count
from schemas.media import UnitKind
from schemas.perception import Perception, View


@dataclass(frozen=True, slots=True)
class Standing:
    """A view and how long it stands, `[start, end)` in seconds."""

    view: View
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that could be shown of a clip."""

    view: View
    time: float
    """In the clip."""
    until: float
    """When it is gone, or the clip ends."""
    picture: int
    """Equal for views of one picture that goes on."""


def standing(units: Sequence[Perception]) -> list[Standing]:
    """List the views of a video in order of time, with how long each stands.

    Args:
        units: of one asset, in any order.
    """
    views = sorted(
        (view for unit in units for view in unit.views if view.time_seconds is not None),
        key=lambda view: view.time_seconds or 0.0,
    )
    lost = sorted(
        unit.unit.start_seconds or 0.0
        for unit in units
        if unit.unit.kind == UnitKind.SPAN and unit.failures and not unit.views
    )
    starts = [view.time_seconds or 0.0 for view in views]
    found = []
    for view, start, following in zip_longest(views, starts, starts[1:]):
        if following == start:
            continue  # the parts of a damaged span may meet: the later one is what stands
        end = math.inf if following is None else following
        gap = next((begin for begin in lost if start < begin < end), None)
        if gap is not None:
            end = max(start, min(gap, view.until_seconds or start))
        found.append(Standing(view, start, end))
    return found


class Screen:
    """All that a video shows; finds what stands in a clip without walking through all of it."""

    def __init__(self, units: Sequence[Perception]) -> None:
        """Put the views of a video in order."""
        self._all = standing(units)
        self._starts = [item.start for item in self._all]
        self._pictures = _pictures(units, self._all)

    def candidates(self, start: float, end: float) -> list[Candidate]:
        """List what stands at any time of `[start, end)`, in order of time.

        A picture that was last seen before the clip, and is gone when it is looked at next, is left
        out where there are others: what is on screen between two looks is not known. So is a slide
        of which the next picture shows all and more: it is shown once it is complete.
        """
        first = max(0, bisect_right(self._starts, start) - 1)
        found: list[Candidate] = []
        for item, picture in zip(self._all[first:], self._pictures[first:], strict=True):
            if item.start >= end:
                break
            if item.end <= start and item.start < start:
                continue
            if found and found[-1].picture == picture:
                found[-1] = replace(found[-1], until=min(item.end, end))
            else:
                found.append(Candidate(item.view, max(item.start, start), min(item.end, end), picture))
        if len(found) > 1 and _was_gone(found[0].view, start):
            found = found[1:]
        return [
            item
            for item, following in zip_longest(found, found[1:])
            if following is None or not _grows(item.view, following.view)
        ]

    def still(self, start: float, end: float) -> int | None:
        """Number the picture that stands for all of `[start, end)`; null where there are several."""
        pictures = {candidate.picture for candidate in self.candidates(start, end)}
        return pictures.pop() if len(pictures) == 1 else None


def _pictures(units: Sequence[Perception], views: Sequence[Standing]) -> list[int]:
    """Number views so that those of one picture are equal.

    The first picture of each span of a video is read anew. Where it says what the one before said,
    it is the same.
    """
    firsts = {id(min(unit.views, key=lambda view: view.time_seconds or 0.0)) for unit in units if unit.views}
    numbers: list[int] = []
    for index, item in enumerate(views):
        goes_on = index > 0 and id(item.view) in firsts and _says_the_same(views[index - 1].view, item.view)
        numbers.append(numbers[-1] if goes_on else index)
    return numbers


def _says_the_same(view: View, following: View) -> bool:
    texts, others = ([line.text for line in item.lines] for item in (view, following))
    return texts == others and sum(map(letter_count, texts)) >= _LEAST_LETTERS


def _was_gone(view: View, start: float) -> bool:
    """Tell whether a view was last seen before a clip begins."""
    return max(view.time_seconds or 0.0, view.until_seconds or 0.0) < start


_LEAST_LETTERS = 8
"""Fewer letters do not tell whether two pictures show the same slide."""


def _grows(view: View, following: View) -> bool:
    """Tell whether a picture is the next one's beginning: a slide on which points come one by one."""
    if following.read != "parts":
        return False
    texts, more = ({line.text for line in item.lines} for item in (view, following))
    return texts < more and sum(map(letter_count, texts)) >= _LEAST_LETTERS


def choose(candidates: Sequence[Candidate], most: int, start: float, end: float) -> list[Candidate]:
    """Choose so many pictures of a clip, evenly in time.

    Of each of `most` equal parts of the clip the picture is taken that stands longest in it. Where one
    picture stands longest in several, those farthest from all that were taken fill the number.

    Returns:
        At most `most`, in order of time.
    """
    if len(candidates) <= most:
        return list(candidates)
    part = (end - start) / most
    chosen = {
        max(
            range(len(candidates)),
            key=lambda index: (_overlap(candidates[index], start + slot * part, part), -index),
        )
        for slot in range(most)
    }
    left = [index for index in range(len(candidates)) if index not in chosen]
    distance = {
        index: min(abs(candidates[index].time - candidates[other].time) for other in chosen) for index in left
    }
    while len(chosen) < most:
        farthest = max(distance, key=lambda index: (distance[index], -index))
        chosen.add(farthest)
        del distance[farthest]
        for index in distance:
            gap = abs(candidates[index].time - candidates[farthest].time)
            distance[index] = min(distance[index], gap)
    return [candidates[index] for index in sorted(chosen)]


def _overlap(candidate: Candidate, start: float, seconds: float) -> float:
    return max(0.0, min(candidate.until, start + seconds) - max(candidate.time, start))
