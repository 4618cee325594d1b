"""What the recogniser stage makes of a recogniser that errs in every known way.

The engine here is scripted: the value of a piece's samples says what it will hear, so that each
fault can be called up. The genuine engines are tested in test_speech_engines.py and, through the
whole pipeline, in test_speech.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.asr import Asr
from operators.recogniser import Recogniser
from operators.speech_engine import LADDER, SAMPLE_RATE, Heard, Samples, Transcript
from schemas.config import Config
from schemas.failure import InputError, Reason, Stage
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Doubt, Perception, Piece, Stretch, Word

ASSET = Asset("id", "version", "file:///talk.mp3", Kind.AUDIO, 1, "fingerprint", "hash")


def heard(
    text: str, *, at: float = 0.0, log_probability: float = -0.2, ratio: float = 1.0, temperature: float = 0.0
) -> Heard:
    """Words of 0.4 s, one after the other."""
    words = [
        Word(f" {word}", at + 0.4 * index, at + 0.4 * (index + 1), 0.9)
        for index, word in enumerate(text.split())
    ]
    return Heard(text, at, words[-1].end_seconds if words else at, words, log_probability, ratio, temperature)


def transcript(
    *stretches: Heard, language: str = "en", sure: float = 0.98, silence: float = 0.02
) -> Transcript:
    """What a piece holds."""
    return Transcript(language, sure, silence, list(stretches))


Answer = Callable[[Samples, str | None, Sequence[float]], Transcript]


@dataclass
class Scripted:
    """Hears what its script says of a piece's value."""

    script: dict[int, Answer | Transcript]
    name: str = "scripted:model"
    revision: str = "1"
    calls: list[tuple[list[int], tuple[float, ...], list[str | None]]] = field(default_factory=list)

    def transcribe(
        self,
        pieces: Sequence[Samples],
        languages: Sequence[str | None],
        temperatures: Sequence[float] = (0.0,),
    ) -> list[Transcript]:
        """Look each piece up."""
        values = [round(float(piece[0]) * 32768) for piece in pieces]
        self.calls.append((values, tuple(temperatures), list(languages)))
        found = []
        for value, piece, language in zip(values, pieces, languages, strict=True):
            answer = self.script[value]
            found.append(answer if isinstance(answer, Transcript) else answer(piece, language, temperatures))
        return found


def piece(value: int, start: float, seconds: float, *speech: tuple[float, float]) -> Piece:
    """A piece whose samples all have one value; without stretches all of it is speech."""
    samples = np.full(round(seconds * SAMPLE_RATE), value, "<i2").tobytes()
    stretches = [Stretch(*pair) for pair in speech] or [Stretch(start, start + seconds)]
    return Piece(start, start + seconds, samples, stretches)


def unit(*pieces: Piece, index: int = 0) -> Perception:
    """A stretch of sound with such pieces."""
    speech = sum(item.end_seconds - item.start_seconds for one in pieces for item in one.speech)
    return Perception(
        ASSET, Unit(index, UnitKind.SPEECH, 0.0, 120.0), pieces=list(pieces), speech_seconds=speech
    )


def listen(engine: Scripted, *perceptions: Perception, config: Config | None = None) -> list[Perception]:
    """Call the stage."""
    return Asr(config or Config(), engine)(list(perceptions))


def texts(perception: Perception) -> list[str]:
    """What was said."""
    return [utterance.text for utterance in perception.utterances]


def test_words_come_back_to_their_piece_on_the_clock_of_the_asset() -> None:
    """Pieces of several units are recognised together and each gets its own words and times."""
    script = {value: transcript(heard(f"piece number {value}")) for value in range(1, 8)}
    engine = Scripted(dict(script))
    first = unit(piece(1, 3.5, 1.2), piece(2, 40.0, 1.2))
    second = unit(*(piece(value, 10.0 * value, 1.2 + value / 10) for value in range(3, 8)), index=1)
    done = listen(engine, first, Perception(ASSET, Unit(2, UnitKind.SPEECH)), second)
    assert texts(done[0]) == ["piece number 1", "piece number 2"]
    assert texts(done[2]) == [f"piece number {value}" for value in range(3, 8)]
    assert [item.start_seconds for item in done[0].utterances] == [3.5, 40.0]
    assert done[0].utterances[0].words[1] == Word("number", 3.9, 4.3, 0.9)
    assert all(not item.pieces and not item.failures for item in done)
    assert done[0].utterances[0].source == "scripted:model"
    assert done[0].worded_seconds == pytest.approx(2.4)
    assert [cost.items for cost in done[0].costs] == [2]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 5), st.randoms())
def test_batch_size_and_order_change_nothing(values: list[int], size: int, random: object) -> None:
    """Whatever pieces are recognised together, each row gets what it would get alone."""
    engine = Scripted({value: transcript(heard(f"word {value}")) for value in range(31)})
    rows = [
        unit(piece(value, 1.0 * index, 0.5 + value / 10), index=index) for index, value in enumerate(values)
    ]
    config = Config.model_validate({"resources": {"speech_batch": size}})
    together = listen(engine, *rows, config=config)
    alone = [listen(engine, row)[0] for row in rows]
    assert [replace(row, costs=[]) for row in together] == [replace(row, costs=[]) for row in alone]


def test_a_loop_is_heard_again_at_other_temperatures() -> None:
    """Text that repeats itself is not taken when a higher temperature gives better."""

    def looped(_: Samples, __: str | None, temperatures: Sequence[float]) -> Transcript:
        if len(temperatures) == 1:
            return transcript(heard("so so so so so so", ratio=5.0))
        return transcript(heard("so we begin", temperature=0.4))

    engine = Scripted({1: looped})
    (done,) = listen(engine, unit(piece(1, 0.0, 2.4)))
    assert texts(done) == ["so we begin"]
    assert engine.calls[1][1] == LADDER
    assert done.utterances[0].temperature == 0.4
    assert done.utterances[0].doubts == []


def test_what_stays_doubtful_is_marked() -> None:
    """A loop that no temperature ends stays, with its doubt."""
    engine = Scripted({1: transcript(heard("so so so so so so", ratio=5.0, log_probability=-1.5))})
    (done,) = listen(engine, unit(piece(1, 0.0, 2.4)))
    assert done.utterances[0].doubts == [Doubt.REPETITION, Doubt.IMPROBABLE]


def test_a_voice_without_words_is_heard_alone_and_then_a_failure() -> None:
    """Nothing is lost quietly: where no word comes even alone, there is a row in failures."""
    engine = Scripted({1: transcript(heard("only this")), 2: transcript(silence=0.9)})
    (done,) = listen(engine, unit(piece(1, 0.0, 9.0, (0.0, 1.0), (4.0, 9.0)), piece(2, 60.0, 3.0)))
    assert texts(done)[0] == "only this"
    (failure,) = [item for item in done.failures if item.start_seconds == 60.0]
    assert (failure.stage, failure.reason, failure.end_seconds) == (Stage.ASR, Reason.NO_WORDS, 63.0)
    assert "0.90" in failure.message


def test_words_that_were_left_out_are_found_alone() -> None:
    """A recogniser that stops in the middle of a piece is asked again for the rest."""

    def lazy(samples: Samples, _: str | None, __: Sequence[float]) -> Transcript:
        if len(samples) > 10 * SAMPLE_RATE:
            return transcript(heard("the first words"))
        return transcript(heard("and the last", at=0.3))

    (done,) = listen(Scripted({1: lazy}), unit(piece(1, 100.0, 12.0, (100.0, 101.2), (106.0, 107.5))))
    assert texts(done) == ["the first words", "and the last"]
    assert done.utterances[1].start_seconds == pytest.approx(106.0)
    assert not done.failures
    assert done.worded_seconds == pytest.approx(2.65, abs=0.1)


def test_words_begin_and_end_with_the_voice() -> None:
    """Silence that the alignment gives to the first and the last word is taken off."""
    words = [Word(" well", 0.0, 1.4, 0.9), Word(" then", 1.4, 4.0, 0.9)]
    whole = Heard("well then", 0.0, 4.0, words, -0.2, 1.0, 0.0)
    (done,) = listen(Scripted({1: transcript(whole)}), unit(piece(1, 10.0, 4.0, (11.0, 11.8))))
    assert [(word.start_seconds, word.end_seconds) for word in done.utterances[0].words] == [
        (11.0, 11.4),
        (11.4, 11.8),
    ]


def test_a_second_hearing_that_fails_says_why() -> None:
    """What ended the recogniser is the reason of the stretch that was tried alone."""

    def dies(_: Samples, __: str | None, temperatures: Sequence[float]) -> Transcript:
        if len(temperatures) > 1:
            raise InputError(Reason.TIMEOUT, "Nothing came out of the recogniser of speech.")
        return transcript()

    (done,) = listen(Scripted({1: dies}), unit(piece(1, 5.0, 2.0)))
    assert [(failure.reason, failure.start_seconds) for failure in done.failures] == [(Reason.TIMEOUT, 5.0)]


def test_a_cough_is_no_loss() -> None:
    """Voices of less than half a second need no words."""
    (done,) = listen(
        Scripted({1: transcript(heard("yes indeed"))}), unit(piece(1, 0.0, 9.0, (0.0, 0.8), (5.0, 5.3)))
    )
    assert not done.failures


def test_one_short_piece_in_another_language_is_heard_in_that_of_the_rest() -> None:
    """A flip of the language that is not sure gives way to the language around it."""

    def short(_: Samples, language: str | None, __: Sequence[float]) -> Transcript:
        if language == "en":
            return transcript(heard("okay then", log_probability=-0.1))
        return transcript(heard("oké dan", log_probability=-0.6), language="nl", sure=0.4)

    engine = Scripted({1: transcript(heard("good morning everyone")), 2: short})
    (done,) = listen(engine, unit(piece(1, 0.0, 20.0, (0.0, 1.2)), piece(2, 30.0, 0.9)))
    assert texts(done) == ["good morning everyone", "okay then"]
    assert [item.language for item in done.utterances] == ["en", "en"]


def test_another_language_that_is_sure_stays() -> None:
    """Who speaks two languages is believed."""
    engine = Scripted(
        {
            1: transcript(heard("good morning everyone")),
            2: transcript(heard("guten Morgen zusammen"), language="de"),
        }
    )
    (done,) = listen(engine, unit(piece(1, 0.0, 20.0, (0.0, 1.2)), piece(2, 30.0, 6.0, (30.0, 31.2))))
    assert [item.language for item in done.utterances] == ["en", "de"]
    assert all(not item.doubts for item in done.utterances)


def test_a_flip_that_stays_likelier_is_marked() -> None:
    """Where the other language fits better, its words stay and are doubted."""

    def short(_: Samples, language: str | None, __: Sequence[float]) -> Transcript:
        if language == "en":
            return transcript(heard("unlikely", log_probability=-0.9))
        return transcript(heard("danke", log_probability=-0.1), language="de", sure=0.45)

    engine = Scripted({1: transcript(heard("good morning everyone")), 2: short})
    (done,) = listen(engine, unit(piece(1, 0.0, 20.0, (0.0, 1.2)), piece(2, 30.0, 0.9)))
    assert done.utterances[1].text == "danke"
    assert done.utterances[1].doubts == [Doubt.LANGUAGE]


def test_words_without_a_voice_are_marked() -> None:
    """Text in silence is known by the voice detector's disagreement."""
    engine = Scripted({1: transcript(heard("hello there."), heard("thank you", at=6.0))})
    (done,) = listen(engine, unit(piece(1, 0.0, 8.0, (0.0, 0.8))))
    assert [item.doubts for item in done.utterances] == [[], [Doubt.NO_VOICE]]


def test_one_bad_piece_does_not_take_its_batch_along() -> None:
    """The culprit alone becomes a failure, with its place; the others are recognised."""

    def bad(*_: object) -> Transcript:
        raise InputError(Reason.CRASHED, "The recogniser of speech crashed (SIGSEGV).")

    engine = Scripted({value: transcript(heard(f"word {value}")) for value in range(1, 6)} | {9: bad})
    pieces = [piece(value, 10.0 * value, 0.9) for value in (1, 2, 9, 3, 4, 5)]
    (done,) = listen(engine, unit(*pieces))
    assert texts(done) == [f"word {value}" for value in range(1, 6)]
    (failure,) = done.failures
    assert (failure.reason, failure.start_seconds, failure.end_seconds) == (Reason.CRASHED, 90.0, 90.9)


def test_batches_shrink_when_memory_is_short_and_grow_again() -> None:
    """A batch too large for the device is halved; after a while larger ones are tried again."""
    largest = [0]

    @dataclass
    class Small(Scripted):
        room: int = 2

        def transcribe(
            self,
            pieces: Sequence[Samples],
            languages: Sequence[str | None],
            temperatures: Sequence[float] = (0.0,),
        ) -> list[Transcript]:
            largest.append(len(pieces))
            if len(pieces) > self.room:
                raise MemoryError
            return super().transcribe(pieces, languages, temperatures)

    engine = Small({value: transcript(heard(f"word {value}")) for value in range(1, 40)})
    recogniser = Recogniser(engine, 8)
    samples = [np.full(1000 + value, value / 32768, np.float32) for value in range(1, 40)]
    hearings = recogniser.hear(samples, None)
    found = [item.outcome.heard[0].text for item in hearings if isinstance(item.outcome, Transcript)]
    assert found == [f"word {value}" for value in range(1, 40)]
    assert largest[1:4] == [8, 4, 2]
    assert max(largest[3:11]) == 2
    engine.room = 8
    recogniser.hear(samples, None)
    recogniser.hear(samples, None)
    assert recogniser.size == 8


def test_the_language_that_is_given_is_taken() -> None:
    """Nothing is detected where the configuration says what is spoken."""
    engine = Scripted({1: transcript(heard("hallo"), language="de", sure=1.0)})
    config = Config.model_validate({"speech": {"language": "de"}})
    listen(engine, unit(piece(1, 0.0, 0.8)), config=config)
    assert engine.calls[0][2] == ["de"]
