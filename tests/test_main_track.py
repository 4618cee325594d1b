"""Of several tellings of the same speech one makes the transcript."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.main_track import main_sources
from schemas.perception import Utterance

HEARD, SIDECAR, TRACK = "faster-whisper:small", "subtitle:talk.srt", "subtitle:embedded:2"


def said(
    source: str, *spans: tuple[float, float], language: str | None = None, **columns: object
) -> list[Utterance]:
    """Utterances of ten letters a second."""
    return [
        Utterance(start, end, "x" * round(10 * (end - start)), language, source=source, **columns)  # type: ignore[arg-type]
        for start, end in spans
    ]


@pytest.mark.parametrize(
    ("covered", "chosen"), [((0.0, 100.0), SIDECAR), ((0.0, 51.0), SIDECAR), ((0.0, 49.0), HEARD)]
)
def test_subtitles_win_where_they_cover_the_speech(covered: tuple[float, float], chosen: str) -> None:
    """Half of the seconds in which speech was recognised; forced or cut-off tracks have less."""
    utterances = said(HEARD, (0.0, 40.0), (40.0, 100.0)) + said(SIDECAR, covered)
    assert main_sources(utterances, None) == {chosen}


def test_subtitles_beside_the_speech_do_not_cover_it() -> None:
    """A track of signs is as long as the speech and stands elsewhere."""
    utterances = said(HEARD, (0.0, 50.0)) + said(SIDECAR, (50.0, 100.0))
    assert main_sources(utterances, None) == {HEARD}


def test_speech_wins_if_it_is_preferred() -> None:
    """However whole the subtitles are; but words where nobody speaks are no speech."""
    subtitles = said(SIDECAR, (0.0, 100.0))
    assert main_sources(said(HEARD, (5.0, 9.0)) + subtitles, None, "speech") == {HEARD}
    invented = said(HEARD, (5.0, 9.0), doubts=["no_voice"])
    assert main_sources(invented + subtitles, None, "speech") == {SIDECAR}
    assert main_sources(subtitles, None, "speech") == {SIDECAR}


def test_words_where_nobody_speaks_need_no_subtitles() -> None:
    """A recogniser that invents a minute of text in music does not outvote ten true seconds."""
    invented = said(HEARD, (20.0, 80.0), doubts=["no_speech"])
    utterances = [*said(HEARD, (0.0, 10.0)), *invented, *said(SIDECAR, (0.0, 9.0))]
    assert main_sources(utterances, None) == {SIDECAR}


def test_the_track_in_the_language_that_is_heard_wins() -> None:
    """Before the language that the file states, and before a longer translation."""
    tracks = said(SIDECAR, (0.0, 90.0), language="de") + said(TRACK, (0.0, 70.0), language="eng")
    assert main_sources(said(HEARD, (0.0, 100.0), language="en") + tracks, "de") == {TRACK}
    assert main_sources(tracks, "de") == {SIDECAR}
    assert main_sources(tracks, "fr") == {SIDECAR}


def test_a_damaged_track_gives_way_to_a_whole_one() -> None:
    """Though its language is the right one."""
    tracks = said(SIDECAR, (0.0, 90.0), language="de") + said(TRACK, (0.0, 20.0), language="en")
    assert main_sources(said(HEARD, (0.0, 100.0), language="en") + tracks, None) == {SIDECAR}


def test_all_that_was_recognised_is_one_telling() -> None:
    """Parts that another model recognised in an earlier run belong to the transcript too."""
    utterances = (
        said(HEARD, (0.0, 50.0)) + said("transformers:other", (50.0, 90.0)) + said(SIDECAR, (0.0, 9.0))
    )
    assert main_sources(utterances, None) == {HEARD, "transformers:other"}
    assert main_sources([], None) == frozenset()


_ITEMS = st.lists(
    st.builds(
        lambda source, start, length, doubts: said(source, (start, start + length), doubts=doubts)[0],
        st.sampled_from([HEARD, SIDECAR, TRACK]),
        st.integers(0, 50).map(float),
        st.integers(1, 20).map(float),
        st.sampled_from([[], ["no_voice"]]),
    ),
    max_size=8,
)


@given(_ITEMS, st.sampled_from(["subtitles", "speech"]))
def test_the_choice_is_one_telling_that_is_there(utterances: list[Utterance], prefer: str) -> None:
    """Whatever was told, in any order; nothing is chosen only where nothing was told."""
    chosen = main_sources(utterances, "en", prefer)  # type: ignore[arg-type]
    assert chosen <= {item.source for item in utterances}
    assert bool(chosen) == bool(utterances)
    assert len(chosen) == 1 or not utterances
    assert main_sources(utterances[::-1], "en", prefer) == chosen  # type: ignore[arg-type]
