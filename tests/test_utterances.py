"""Words become utterances, and voices without words are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.utterances import covered_seconds, phrases, total_seconds, uncovered
from schemas.perception import Stretch, Word


def spoken(text: str, *, start: float = 0.0, length: float = 0.3, pause: float = 0.1) -> list[Word]:
    """Words one after the other, each with the space before it."""
    words = []
    for index, word in enumerate(text.split()):
        at = start + index * (length + pause)
        words.append(Word(f" {word}", at, at + length, 0.9))
    return words


def test_sentences_are_utterances_of_their_own() -> None:
    """A full stop ends an utterance; an initial or an abbreviation does not."""
    cut = phrases(spoken("Good morning. Dr. Okafor and J. Smith are here! Really?"))
    assert [phrase.text for phrase in cut] == [
        "Good morning.",
        "Dr. Okafor and J. Smith are here!",
        "Really?",
    ]
    assert cut[1].start_seconds == pytest.approx(0.8)
    assert [word.word for word in cut[0].words] == ["Good", "morning."]


def test_a_pause_begins_an_utterance() -> None:
    """Without punctuation a pause of a second parts what is said."""
    words = spoken("one two") + spoken("three four", start=1.9)
    assert [phrase.text for phrase in phrases(words)] == ["one two", "three four"]


def test_scripts_without_spaces_stay_without() -> None:
    """Text is joined as the words stand, so that Chinese gets no spaces."""
    words = [Word("光合", 0.0, 0.4, 1.0), Word("作用。", 0.4, 0.8, 1.0), Word("叶", 0.8, 1.0, 0.5)]
    cut = phrases(words)
    assert [phrase.text for phrase in cut] == ["光合作用。", "叶"]
    assert cut[1].confidence == 0.5


@given(
    st.lists(
        st.tuples(st.sampled_from([" a", " b.", " Dr.", " ", "。", " c?"]), st.floats(0, 2), st.floats(0, 2)),
        max_size=30,
    )
)
def test_every_word_is_in_one_utterance(parts: list[tuple[str, float, float]]) -> None:
    """Nothing that is said is lost or doubled, and order stays."""
    at, words = 0.0, []
    for text, pause, length in parts:
        at += pause
        words.append(Word(text, at, at + length, 0.5))
        at += length
    kept = [word for phrase in phrases(words) for word in phrase.words]
    assert [word.word for word in kept] == [word.word.strip() for word in words if word.word.strip()]
    assert all(phrase.start_seconds <= phrase.end_seconds for phrase in phrases(words))


SPANS = st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 10)), max_size=8)


@given(st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.01, 10)), max_size=6), SPANS, st.floats(0, 1))
def test_voice_is_either_covered_or_not(
    parts: list[tuple[float, float]], spans: list[tuple[float, float]], slack: float
) -> None:
    """Covered and uncovered seconds make the whole, and no word touches what is uncovered."""
    at, voice = 0.0, []
    for gap, length in parts:
        voice.append(Stretch(at + gap, at + gap + length))
        at += gap + length
    words = [Word("w", start, start + length, 1.0) for start, length in spans]
    left = uncovered(voice, words, slack)
    assert covered_seconds(voice, words, slack) + total_seconds(left) == pytest.approx(total_seconds(voice))
    for stretch in left:
        assert not any(
            word.start_seconds - slack < stretch.end_seconds - 1e-9
            and word.end_seconds + slack > stretch.start_seconds + 1e-9
            for word in words
        )


def test_a_gap_between_words_is_uncovered() -> None:
    """What lies between two words, less the slack of both, is the gap."""
    words = [Word("a", 0.0, 1.0, 1.0), Word("b", 5.0, 6.0, 1.0)]
    assert uncovered([Stretch(0.0, 6.0)], words, 0.5) == [Stretch(1.5, 4.5)]
