"""Decoding the least gives the rows of decoding everything, and decodes little of slides."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.decode_chosen import ChosenDecoder
from operators.decode_video import decode_span
from operators.probe_video import plan_spans, probe_media
from schemas.config import load_config
from schemas.media import Asset, Kind
from schemas.perception import Perception
from tests.media import Encoding, Pixels, encode, slide, steady, with_dot

SIZE = (480, 270)
SECONDS, RATE = 8, 15
WORDS = ["harbour", "lantern", "survey", "granite", "meadow", "signal", "copper", "orchard", "timber"]

ENCODINGS = {
    "bframes": Encoding(options={"crf": "26", "preset": "veryfast"}),
    "no_scene_cut": Encoding(options={"crf": "30", "preset": "veryfast", "sc_threshold": "0"}),
    "short_groups": Encoding(options={"crf": "32", "preset": "fast"}, key_every=30),
    "open_gop": Encoding(
        options={"crf": "26", "preset": "veryfast", "x264-params": "open-gop=1:bframes=3"},
        container="matroska",
        key_every=40,
    ),
    "low_delay": Encoding(options={"crf": "28", "preset": "ultrafast", "tune": "zerolatency"}),
    "constant_rate": Encoding(
        options={"preset": "veryfast", "b": "200000", "maxrate": "200000", "bufsize": "200000"}
    ),
    "hevc": Encoding(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none"}),
    "vp9_hidden": Encoding(
        codec="libvpx-vp9",
        container="webm",
        options={"deadline": "good", "cpu-used": "8", "crf": "35", "b": "0", "lag-in-frames": "25"},
    ),
    "mpeg4": Encoding(codec="mpeg4", options={"qscale": "5", "flags": "+qscale"}),
}


@dataclass(frozen=True)
class Event:
    """Something that happens on the screen."""

    time: float
    what: str
    """`slide`, `line` (added), `digit` (another), `erase` (a line), `back` (to the slide before)."""


EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(1, SECONDS * RATE - 1).map(lambda place: place / RATE),
        st.sampled_from(["slide", "line", "digit", "erase", "back"]),
    ),
    max_size=6,
)


def screens(events: list[Event]) -> list[tuple[float, Pixels]]:
    """Draw the slides that events lead to, each with the time from which it is shown."""
    lines = ["Lesson 1", "harbour 680 lantern", "granite 12 meadow"]
    before, shown = lines, [(0.0, lines)]
    for number, event in enumerate(sorted(events, key=lambda event: event.time)):
        word = f"{WORDS[number % len(WORDS)]} {WORDS[(5 * number + 3) % len(WORDS)]} {number}"
        after = {
            "slide": [f"Lesson {number + 2}", word, word[::-1]],
            "line": [*lines[:4], word],
            "digit": [*lines[:-1], f"{lines[-1][:-1]}{(number * 7 + 3) % 10}"],
            "erase": lines[:-1] if len(lines) > 1 else lines,
            "back": before,
        }[event.what]
        before, lines = lines, after
        shown.append((event.time, lines))
    return [(time, slide(text, SIZE, letter_px=16)) for time, text in shown]


def decoded(content: bytes, demuxer: str, *settings: str) -> list[Perception]:
    """Decode all spans of a video."""
    config = load_config(settings=settings)
    facts = probe_media(io.BytesIO(content), demuxer, config.limits)
    units = plan_spans(facts.duration_seconds, config.sampling.span_seconds)
    asset = Asset(
        "id", "v", "memory://a", Kind.VIDEO, 0, "", "", container=demuxer,
        duration_seconds=facts.duration_seconds, unit_count=len(units),
    )  # fmt: skip
    return [decode_span(io.BytesIO(content), asset, unit, config) for unit in units]


def moving(kind: str, frames: list[tuple[float, Pixels]]) -> Iterator[tuple[float, Pixels]]:
    """Add motion to slides."""
    rng = np.random.default_rng(0)
    for index, (time, pixels) in enumerate(frames):
        if kind == "dot":
            yield time, with_dot(pixels, 30 + (index * 7) % 420, 255)
        elif kind == "pause" and index // 40 % 2:
            yield time, with_dot(pixels, 30 + index * 3, 255)
        elif kind == "typing":
            yield time, _typed(pixels, "the quick brown fox jumps"[: index // 4 % 25])
        elif kind == "head":
            patch = pixels.copy()
            patch[-60:, -80:] = rng.integers(0, 255, (60, 80, 3))
            yield time, patch
        elif kind != "uneven" or index % 7 in (0, 1, 4):
            yield time, pixels


def _typed(pixels: Pixels, text: str) -> Pixels:
    band = slide([text], (SIZE[0], 40), letter_px=12)
    return np.concatenate([pixels[:-40], band])


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from(["none", "none", "dot", "pause", "typing", "head", "uneven"]),
    EVENTS,
    st.sampled_from([60, 3]),
)
def test_least_decoding_gives_the_rows_of_full_decoding(
    name: str, motion: str, events: list[Event], span_seconds: int
) -> None:
    """Whatever is coded and however it moves: equal pictures at equal times, equal cuts."""
    encoding = ENCODINGS[name]
    content = encode(moving(motion, list(steady(screens(events), SECONDS, RATE))), encoding)
    demuxer = "mov" if encoding.container == "mp4" else "matroska"
    span = f"sampling.span_seconds={span_seconds}"

    least, every = (decoded(content, demuxer, span, f"sampling.decode={mode}") for mode in ("least", "all"))

    assert [each.pictures for each in least] == [each.pictures for each in every]
    assert [each.cuts for each in least] == [each.cuts for each in every]
    assert [each.sampled for each in least] == [each.sampled for each in every]


def test_every_look_is_the_same_picture_however_it_is_decoded() -> None:
    """The strategy `interval` gives equal rows too."""
    content = encode(moving("head", list(steady(screens([Event(3.2, "slide")]), SECONDS, RATE))))
    strategy = "sampling.strategy=interval"

    least, every = (decoded(content, "mov", strategy, f"sampling.decode={mode}") for mode in ("least", "all"))

    assert [each.pictures for each in least] == [each.pictures for each in every]
    assert [each.cuts for each in least] == [each.cuts for each in every] == [[4.0]]


def test_little_of_still_slides_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is learned in two seconds what still pictures take; then key pictures and changes are decoded."""
    fed: list[int] = []
    feed = ChosenDecoder._feed

    def counted(self: ChosenDecoder, target: int) -> None:
        fed.append(target)
        feed(self, target)

    monkeypatch.setattr(ChosenDecoder, "_feed", counted)
    shown = screens([Event(10.4, "slide")])
    content = encode(steady(shown, 20, 25), Encoding(options={"preset": "veryfast"}, key_every=100))

    (perception,) = decoded(content, "mov")

    assert [picture.time_seconds for picture in perception.pictures] == [0.0, 11.0]
    assert 0 < len(fed) < 200
