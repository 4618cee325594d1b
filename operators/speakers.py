"""Utterances become those of speaker 1, speaker 2…: the voices of one recording are told apart.

Sound is recognised in windows on several workers, and a voice comes back in any of them. So each
utterance carries a print of its voice, and who speaks is told when a recording is composed: prints
that are alike are one speaker. That is group-average agglomerative clustering (Sokal & Michener,
1958) of cosine distances, and small clusters given to large ones, as 3D-Speaker does it
(https://github.com/modelscope/3D-Speaker, `speakerlab/process/cluster.py`). Two voices at once, and
a change of voice within an utterance, are not told apart.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from schemas.perception import Utterance

_MINOR_SECONDS = 2.0
"""Whoever speaks for less in all is held for one of the others: prints of so little sound stray.
3D-Speaker asks for 4 windows of 1.5 s that overlap by half, 3.75 s."""

_NEAR_SECONDS = 1.0
"""How far from an utterance one without a print still counts as said by the same voice."""

_ROWS = 512
"""Prints compared with all others at once: 20 MB for 10,000 prints."""

_EQUAL = 1e-6
"""A distance that is nothing but the rounding of single precision."""

_SUBTITLE = "subtitle:"


def tell_apart(utterances: Sequence[Utterance], distance: float) -> list[Utterance]:
    """Name the speaker of each utterance by its voice.

    Args:
        utterances: Of one recording, in any order.
        distance: Cosine distance (0-2) from which two voices are two speakers.

    Returns:
        The same utterances in the same order with `speaker 1`, `speaker 2`… in order of first
        appearance. One without a print is the neighbour's within a second, else nobody's; subtitles
        are as they were.
    """
    heard = [index for index, one in enumerate(utterances) if not one.source.startswith(_SUBTITLE)]
    heard.sort(key=lambda index: (utterances[index].start_seconds, utterances[index].end_seconds))
    spoken = [utterances[index] for index in heard]
    named = _named_by_voice(spoken, distance)
    speakers = dict(zip(heard, (_speaker(spoken, named, at) for at in range(len(spoken))), strict=True))
    return [
        replace(one, speaker=speakers[index]) if index in speakers else one
        for index, one in enumerate(utterances)
    ]


def _named_by_voice(spoken: Sequence[Utterance], distance: float) -> dict[int, str]:
    """Name who speaks in utterances with a print, given in order of time."""
    printed = [at for at, one in enumerate(spoken) if one.voice]
    if not printed:
        return {}
    prints = np.array([spoken[at].voice for at in printed], np.float32)
    seconds = np.array([spoken[at].end_seconds - spoken[at].start_seconds for at in printed], np.float32)
    labels = without_minor(prints, seconds, cluster(prints, seconds, distance))
    order: dict[int, str] = {}
    for label in labels.tolist():
        order.setdefault(label, f"speaker {len(order) + 1}")
    return {at: order[label] for at, label in zip(printed, labels.tolist(), strict=True)}


def _speaker(spoken: Sequence[Utterance], named: Mapping[int, str], at: int) -> str | None:
    """Say who speaks in an utterance: by its own voice, or else that of the nearest in time."""
    if at in named:
        return named[at]
    own = spoken[at]
    gaps: list[tuple[float, int]] = []
    for step in (-1, 1):
        other = at + step
        while 0 <= other < len(spoken) and other not in named:
            other += step
        if 0 <= other < len(spoken):
            near = spoken[other]
            gap = max(near.start_seconds - own.end_seconds, own.start_seconds - near.end_seconds, 0.0)
            gaps.append((gap, other))
    gap, nearest = min(gaps, default=(np.inf, -1))
    return named[nearest] if gap <= _NEAR_SECONDS else None


def cluster(prints: NDArray[np.float32], weights: NDArray[np.float32], distance: float) -> NDArray[np.intp]:
    """Join what is alike until the average distance between any two clusters is `distance` or more.

    The average over all pairs of two clusters is the product of the means of their prints, so that no
    matrix of distances is kept. What is closest to each other stays so whatever else is joined
    (group average is reducible: Murtagh, A Survey of Recent Advances in Hierarchical Clustering,
    1983), so that all such pairs can be joined at once, and a cluster whose closest is too far is done.

    Args:
        prints: Of length 1, shape (prints, dimensions).
        weights: How much each counts in an average, shape (prints,): an utterance counts by its
            seconds, as if it were cut into windows of one length.
        distance: Cosine distance, 0-2.

    Returns:
        The number of a cluster for each print, shape (prints,).
    """
    weights = np.maximum(weights, np.float32(1e-3))
    means, labels, open_ = prints.copy(), np.arange(len(prints)), np.arange(len(prints))
    closest, gaps = np.full(len(prints), -1), np.zeros(len(prints), np.float32)
    while len(open_) > 1:
        stale = open_[closest[open_] < 0]
        closest[stale], gaps[stale] = _closest(stale, open_, means)
        open_ = open_[gaps[open_] < distance]
        pairs = _to_join(open_, closest, gaps)
        for first, second in pairs:
            means[first] = np.average(means[[first, second]], 0, weights[[first, second]])
            weights[first] += weights[second]
            labels[labels == second] = first
        changed = np.ravel(pairs)
        open_ = np.setdiff1d(open_, [second for _, second in pairs])
        closest[open_[np.isin(open_, changed) | np.isin(closest[open_], changed)]] = -1
    return labels


def _closest(
    rows: NDArray[np.intp], among: NDArray[np.intp], means: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find for each of some clusters the closest other one, and its distance."""
    found, gaps = np.empty(len(rows), np.intp), np.empty(len(rows), np.float32)
    columns = means[among].T
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS]
        alike = means[block] @ columns
        alike[np.arange(len(block)), np.searchsorted(among, block)] = -np.inf
        best = alike.argmax(1)
        found[start : start + _ROWS] = among[best]
        gaps[start : start + _ROWS] = 1 - alike[np.arange(len(block)), best]
    return found, gaps


def _to_join(
    open_: NDArray[np.intp], closest: NDArray[np.intp], gaps: NDArray[np.float32]
) -> list[tuple[int, int]]:
    """List the pairs to join, none with what another takes in.

    Those are the pairs that are closest to each other. Where many prints are equal most have the same
    closest, and all that do join it.
    """
    if not len(open_):
        return []
    equal = open_[gaps[open_] < _EQUAL]
    second = equal[~np.isin(equal, closest[equal])]
    if not len(second):
        second = open_[(closest[closest[open_]] == open_) & (open_ > closest[open_])]
    if not len(second):  # rounding can hide the pair
        second = open_[[gaps[open_].argmin()]]
    return list(zip(closest[second].tolist(), second.tolist(), strict=True))


def without_minor(
    prints: NDArray[np.float32], seconds: NDArray[np.float32], labels: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Give what speaks too little to be known to the speaker whose voice is closest.

    Args:
        prints: Of length 1, shape (prints, dimensions).
        seconds: Which each is the print of, shape (prints,).
        labels: The cluster of each, shape (prints,).

    Returns:
        Labels, shape (prints,); those given where nobody speaks long enough.
    """
    totals: defaultdict[int, float] = defaultdict(float)
    for label, length in zip(labels.tolist(), seconds.tolist(), strict=True):
        totals[label] += length
    major = np.array([label for label, total in totals.items() if total >= _MINOR_SECONDS], np.intp)
    if not len(major):
        return labels
    voices = np.stack([(prints[labels == label] * seconds[labels == label, None]).sum(0) for label in major])
    voices /= np.linalg.norm(voices, axis=1, keepdims=True)
    closest = major[(prints @ voices.T).argmax(1)]
    return np.where(np.isin(labels, major), labels, closest)
