"""Videos are cut into clips where their picture changes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from operators.cut_clips import (
    MIN_CLIP_SECONDS,
    PAUSE_SECONDS,
    SPARE_SLIDES,
    Cut,
    Span,
    cut_clips,
    cut_in_pauses,
    find_cuts,
)
from operators.track_text import track
from schemas.perception import View
from tests.made_perceptions import line, slide, view

_CUTS = st.lists(st.builds(Cut, st.floats(-5, 400, allow_nan=False), st.booleans()), max_size=60)


@given(st.floats(0.01, 300), _CUTS, st.floats(1, 60))
def test_clips_tile_the_video(duration: float, cuts: list[Cut], clip_seconds: float) -> None:
    """Clips have no gap and no overlap, none is empty and none longer than allowed."""
    spans = cut_clips(duration, cuts, clip_seconds)
    assert spans[0].start_seconds == 0.0
    assert spans[-1].end_seconds == duration
    for before, after in pairwise(spans):
        assert before.end_seconds == after.start_seconds
    for span in spans:
        assert 0 < span.end_seconds - span.start_seconds <= clip_seconds + 1e-6


@given(st.floats(1, 300), _CUTS)
def test_fast_cuts_do_not_explode(duration: float, cuts: list[Cut]) -> None:
    """However often it cuts, a video has no more than a clip per two seconds and a few."""
    spans = cut_clips(duration, cuts, clip_seconds=3600)
    assert len(spans) <= duration / MIN_CLIP_SECONDS + SPARE_SLIDES + 1


@given(st.floats(1, 300), _CUTS)
def test_the_order_of_cuts_does_not_matter(duration: float, cuts: list[Cut]) -> None:
    """Clips depend on which cuts there are, not on which span reported first."""
    assert cut_clips(duration, cuts, 30) == cut_clips(duration, cuts[::-1], 30)


def test_a_long_scene_is_divided_evenly() -> None:
    """Seventy seconds at 30 a clip are three equal clips, not two and a crumb."""
    spans = cut_clips(70.0, [], 30.0)
    assert [round(span.start_seconds, 3) for span in spans] == [0.0, 23.333, 46.667]
    assert cut_clips(60.0, [], 30.0) == [Span(0.0, 30.0), Span(30.0, 60.0)]


def test_scene_cuts_too_close_are_thinned_and_slides_are_kept() -> None:
    """A shot under two seconds is no clip; a slide of one second is."""
    shots = [Cut(5.0), Cut(6.0), Cut(7.5), Cut(19.0)]
    assert [span.start_seconds for span in cut_clips(20.0, shots, 30.0)] == [0.0, 5.0, 7.5]
    slides = [Cut(5.0, True), Cut(6.0, True), Cut(7.5, True)]
    assert [span.start_seconds for span in cut_clips(20.0, slides, 30.0)] == [0.0, 5.0, 6.0, 7.5]


def test_a_transition_gives_way_to_its_slide() -> None:
    """A fade at 5 s and the slide at 6 s are one cut: the slide's."""
    assert [span.start_seconds for span in cut_clips(20.0, [Cut(5.0), Cut(6.0, True)], 30.0)] == [0.0, 6.0]


def test_an_empty_video_has_no_clips() -> None:
    """A duration of zero gives no clip of zero length."""
    assert cut_clips(0.0, [Cut(1.0)], 30.0) == []


def _found(views: list[View], picture_cuts: list[float]) -> list[Cut]:
    return find_cuts(views, track(views), picture_cuts)


def test_the_border_of_two_spans_is_no_cut_while_the_slide_stands() -> None:
    """Decoding was split at 60 s; the slide was not."""
    same = slide("What a leaf needs", "Light from the sun", "Water from the roots")
    assert _found([view(same, 50, 59), view(same, 60, 70)], []) == []


def test_another_slide_after_the_border_is_a_cut() -> None:
    """No picture cut is known at a border, but the text was replaced."""
    views = [
        view(slide("What a leaf needs", "Light from the sun"), 50, 59),
        view(slide("Numbers to remember", "Efficiency in percent"), 60, 70),
    ]
    assert [cut.seconds for cut in _found(views, [])] == [60.0]


def test_a_growing_slide_is_no_cut_and_its_picture_cuts_are_no_slides() -> None:
    """Bullets that come one by one do not cut; a new slide where the picture changed does."""
    views = [
        view(slide("Plan"), 0, 4),
        view(slide("Plan", "Read the whole book"), 5, 9),
        view(slide("Plan", "Read the whole book", "Write everything down"), 10, 14),
        view(slide("Results", "The book was rather long"), 15, 20),
    ]
    assert [cut.seconds for cut in _found(views, [])] == [15.0]
    assert _found(views, [10.0, 15.0]) == [Cut(10.0, False), Cut(15.0, True)]


def test_subtitles_in_the_picture_are_no_slides() -> None:
    """Lines low in the picture that change every few seconds cut nothing."""
    said = ["Good morning everyone here", "Welcome to the lecture hall", "Let us begin with leaves"]
    assert _found([view([line(text, 0.85)], 4 * i, 4 * i + 3) for i, text in enumerate(said)], []) == []


def test_letters_that_flicker_are_no_slides() -> None:
    """Text read into foliage changes with every picture; only text that stands cuts."""
    noise = ["qwerty uiopas dfghjk", "zxcvbn mlkjhg fdsapo", "iuytre wqasdf ghjklm", "poiuyt rewqlk jhgfds"]
    assert _found(
        [view([line(text, 0.3)], 10 + 0.5 * i, 10 + 0.5 * i) for i, text in enumerate(noise)], []
    ) == [Cut(11.5)]


# --- clips of sound --------------------------------------------------------------------------

_SAID = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 12)), max_size=60).map(
    lambda pairs: [Span(start, start + length) for start, length in sorted(pairs)]
)


@given(st.floats(0.1, 300), _SAID, st.floats(5, 60))
def test_clips_of_sound_tile_it_and_cut_no_speech_without_need(
    duration: float, said: list[Span], clip_seconds: float
) -> None:
    """No gap, no overlap, none too long; a border within speech has no pause near that would do."""
    spans = cut_in_pauses(duration, said, clip_seconds)
    assert spans[0].start_seconds == 0.0
    assert spans[-1].end_seconds == duration
    for before, after in pairwise(spans):
        assert before.end_seconds == after.start_seconds
    for span in spans:
        assert 0 < span.end_seconds - span.start_seconds <= clip_seconds + 1e-6
    for span in spans[:-1]:
        border = span.end_seconds
        if any(item.start_seconds < border < item.end_seconds for item in said):
            for place in (item.end_seconds for item in said):
                free = not any(item.start_seconds < place < item.end_seconds for item in said)
                allowed = span.start_seconds + MIN_CLIP_SECONDS <= place <= span.start_seconds + clip_seconds
                inside = place <= duration - MIN_CLIP_SECONDS
                assert not (free and allowed and inside and abs(place - border) < PAUSE_SECONDS - 1e-6)


@given(st.floats(0.1, 5000), st.floats(1, 60))
def test_without_speech_sound_is_divided_as_pictures_are(duration: float, clip_seconds: float) -> None:
    """The same clips as those of a scene of that length, to the last bit."""
    assert cut_in_pauses(duration, [], clip_seconds) == cut_clips(duration, [], clip_seconds)


def test_a_border_goes_to_the_nearest_pause() -> None:
    """To the end of one at 12 s, not to that at 20 s; a pause at the border itself is not left."""
    said = [Span(0.0, 9.0), Span(12.0, 20.0), Span(20.0, 30.0)]
    assert [span.start_seconds for span in cut_in_pauses(30.0, said, 20.0)] == [0.0, 12.0]
    assert [span.start_seconds for span in cut_in_pauses(21.0, said, 15.0)] == [0.0, 10.5]
    assert [
        span.start_seconds for span in cut_in_pauses(40.0, [Span(0.0, 20.0), Span(20.0, 39.0)], 30.0)
    ] == [0.0, 20.0]
    assert [span.start_seconds for span in cut_in_pauses(60.0, [Span(0.0, 60.0)], 30.0)] == [0.0, 30.0]
