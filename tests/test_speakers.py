"""Telling the voices of a recording apart by their prints."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.speakers import cluster, tell_apart, without_minor
from schemas.perception import Utterance

ENGINE = "faster-whisper:small"


def voice(rng: np.random.Generator, centre: int, spread: float = 0.3, dimensions: int = 64) -> list[float]:
    """Draw the print of a voice: around one axis for each speaker."""
    print_ = rng.normal(0, spread / np.sqrt(dimensions), dimensions)
    print_[centre] += 1
    return [float(x) for x in np.round(print_ / np.linalg.norm(print_), 4)]


def said(start: float, seconds: float, print_: list[float], source: str = ENGINE) -> Utterance:
    """Make an utterance."""
    return Utterance(start, start + seconds, "words", source=source, voice=print_)


def speakers(utterances: list[Utterance], distance: float = 0.6) -> list[str | None]:
    """Name who speaks."""
    return [one.speaker for one in tell_apart(utterances, distance)]


def average_linkage(
    prints: NDArray[np.float32], weights: NDArray[np.float32], distance: float
) -> set[frozenset[int]]:
    """Cluster by the definition: join the closest two until the average distance is too large."""
    apart = 1 - prints.astype(float) @ prints.T.astype(float)
    groups = [[i] for i in range(len(prints))]

    def average(one: list[int], other: list[int]) -> float:
        shares = np.outer(weights[one], weights[other])
        return float((apart[np.ix_(one, other)] * shares).sum() / shares.sum())

    while len(groups) > 1:
        gap, first, second = min(
            (average(groups[i], groups[j]), i, j) for i, j in itertools.combinations(range(len(groups)), 2)
        )
        if gap >= distance:
            break
        groups[first] += groups.pop(second)
    return {frozenset(group) for group in groups}


@given(st.integers(0, 10_000), st.integers(1, 24), st.integers(2, 8), st.floats(0.05, 1.5), st.booleans())
def test_clusters_are_those_of_average_linkage(
    seed: int, count: int, dimensions: int, distance: float, equal: bool
) -> None:
    """Joining all mutual neighbours at once gives what joining the closest two one by one gives."""
    rng = np.random.default_rng(seed)
    prints = rng.normal(size=(count, dimensions)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    weights = np.ones(count, np.float32) if equal else rng.uniform(0.5, 30, count).astype(np.float32)
    labels = cluster(prints, weights.copy(), distance)
    found = {frozenset(np.flatnonzero(labels == label).tolist()) for label in labels}
    assert found == average_linkage(prints, weights, distance)


@given(st.lists(st.integers(0, 3), max_size=40), st.floats(0.1, 1.9))
def test_equal_voices_are_one_speaker(centres: list[int], distance: float) -> None:
    """Prints that are exactly equal, where every distance ties, end together whatever the distance."""
    prints = np.eye(4, dtype=np.float32)[centres]
    labels = cluster(prints, np.ones(len(centres), np.float32), distance)
    wanted = len(set(centres)) if distance <= 1 else min(1, len(centres))
    assert len(set(labels.tolist())) == wanted
    assert all(
        labels[i] == labels[j]
        for i, j in itertools.combinations(range(len(centres)), 2)
        if centres[i] == centres[j]
    )


def test_speakers_are_numbered_as_they_appear() -> None:
    """Three voices that take turns are numbered as they are first heard, whatever the order of rows."""
    rng = np.random.default_rng(1)
    turns = [2, 0, 2, 1, 0, 0, 1, 2]
    rows = [said(5.0 * i, 4.0, voice(rng, who)) for i, who in enumerate(turns)]
    wanted = {2: "speaker 1", 0: "speaker 2", 1: "speaker 3"}
    assert speakers(rows) == [wanted[who] for who in turns]
    assert speakers(rows[::-1]) == [wanted[who] for who in turns][::-1]


def test_what_else_is_known_stays() -> None:
    """Only the speaker of an utterance changes; the print stays for another distance."""
    rows = [said(0.0, 3.0, voice(np.random.default_rng(0), 0))]
    (found,) = tell_apart(rows, 0.6)
    assert (found.text, found.voice, found.speaker) == ("words", rows[0].voice, "speaker 1")


def test_the_distance_decides_who_is_another() -> None:
    """Two voices at a cosine distance of 0.5 are one speaker from 0.6 and two from 0.4."""
    rows = [said(0.0, 3.0, [1.0, 0.0]), said(4.0, 3.0, [0.5, 0.75**0.5])]
    assert speakers(rows, 0.6) == ["speaker 1", "speaker 1"]
    assert speakers(rows, 0.4) == ["speaker 1", "speaker 2"]


def test_a_short_answer_is_the_neighbours_or_nobodys() -> None:
    """Without a print an utterance is said by the nearest in time within a second, else by nobody."""
    rows = [
        said(0.0, 3.0, [1.0, 0.0]),
        said(3.4, 0.3, []),
        said(4.5, 3.0, [0.0, 1.0]),
        said(7.6, 0.3, []),
        said(20.0, 0.3, []),
    ]
    assert speakers(rows) == ["speaker 1", "speaker 1", "speaker 2", "speaker 2", None]


def test_without_prints_nobody_is_named() -> None:
    """Where no voice was printed every speaker stays null."""
    assert speakers([said(0.0, 0.3, []), said(1.0, 0.3, [])]) == [None, None]
    assert tell_apart([], 0.6) == []


def test_subtitles_are_left_alone() -> None:
    """A subtitle keeps the speaker that it has, beside speech that is told apart."""
    named = Utterance(0.0, 3.0, "words", source="subtitle:embedded:2", speaker="ANNA")
    rows = [named, said(0.5, 3.0, [1.0, 0.0]), Utterance(3.6, 4.0, "words", source="subtitle:talk.srt")]
    assert speakers(rows) == ["ANNA", "speaker 1", None]


def test_stray_prints_of_short_sounds_make_no_speakers() -> None:
    """A second of sound whose print is far from all is given to the voice it is least far from."""
    rows = [
        said(0.0, 5.0, [1.0, 0.0, 0.0]),
        said(6.0, 5.0, [0.0, 1.0, 0.0]),
        said(12.0, 1.0, [0.1, 0.3, 0.95]),
    ]
    assert speakers(rows) == ["speaker 1", "speaker 2", "speaker 2"]
    long = [*rows[:2], said(12.0, 2.5, [0.1, 0.3, 0.95])]
    assert speakers(long)[2] == "speaker 3"


def test_short_sounds_alone_are_still_told_apart() -> None:
    """Where nobody speaks for long the clusters stand as they are."""
    prints = np.eye(2, dtype=np.float32)
    labels = without_minor(prints, np.ones(2, np.float32), np.array([0, 1]))
    assert labels.tolist() == [0, 1]


@pytest.mark.timeout(60)
def test_hours_of_speech_are_told_apart() -> None:
    """Three hours of six voices, 4,000 utterances with scattered prints, come out right."""
    rng = np.random.default_rng(2)
    turns = [i % 6 for i in range(6)] + rng.integers(0, 6, 3994).tolist()
    rows = [said(2.5 * i, 2.0, voice(rng, who, spread=0.9, dimensions=192)) for i, who in enumerate(turns)]
    assert speakers(rows) == [f"speaker {who + 1}" for who in turns]
