"""Both recognisers of speech hear the same words at the same times, alone and in company."""

import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.speech_engine import LADDER, Samples, SpeechEngine, Transcript
from operators.speech_engines import load_engine
from operators.speech_models import ENGINES
from operators.whisper_words import Written, best, count_frames, time_warp
from schemas.config import Speech
from tests.speech_media import Speech as Spoken
from tests.speech_media import noise, say, tone

SENTENCES = (
    ("en", "dragon elephant window"),
    ("de", "pferd schule kirche insel"),
    ("en", "orange jungle butterfly river yellow"),
    ("de", "gabel wolke eisenbahn"),
)


@pytest.fixture(scope="module")
def folders(whisper_folder: Path, ctranslate_folder: Path) -> dict[str, Path]:
    """Find the tiny Whisper for each engine."""
    return {"transformers": whisper_folder, "faster-whisper": ctranslate_folder}


@pytest.fixture(scope="module")
def engines(folders: dict[str, Path]) -> dict[str, SpeechEngine]:
    """Load each engine once."""
    return {engine: load_engine(section(engine, folders), 1) for engine in ENGINES}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, engines: dict[str, SpeechEngine]) -> SpeechEngine:
    """Give one engine after the other."""
    return engines[request.param]


def section(engine: str, folders: dict[str, Path], **changes: object) -> Speech:
    """Configure an engine with the tiny Whisper."""
    return Speech.model_validate({"engine": engine, "model": str(folders[engine]), **changes})


def spoken() -> list[Spoken]:
    """Say each sentence after a breath of silence, in alternating voices."""
    return [_after(0.1, say(text, language, index % 2)) for index, (language, text) in enumerate(SENTENCES)]


def _after(seconds: float, speech: Spoken) -> Spoken:
    silence = np.zeros(round(seconds * 16_000), np.float32)
    return Spoken(
        np.concatenate([silence, speech.samples]), tuple(word.later(seconds) for word in speech.words)
    )


def pieces() -> list[Samples]:
    """Take the samples alone."""
    return [speech.samples for speech in spoken()]


def words(transcript: Transcript) -> list[str]:
    """List what was heard, without punctuation."""
    return [word.word.strip(" .").lower() for heard in transcript.heard for word in heard.words]


def starts(transcripts: Sequence[Transcript]) -> list[float]:
    """List when each word was heard."""
    return [word.start_seconds for one in transcripts for heard in one.heard for word in heard.words]


NOBODY = [None] * len(SENTENCES)


def test_the_right_words_are_heard_at_the_right_times(engine: SpeechEngine) -> None:
    """Every word of every piece, in its language, with a median error of at most 0.15 s."""
    said = spoken()
    heard = engine.transcribe(pieces(), NOBODY)
    assert [words(one) for one in heard] == [text.split() for _, text in SENTENCES]
    assert [one.language for one in heard] == [language for language, _ in SENTENCES]
    wanted = [word.start_seconds for speech in said for word in speech.words]
    errors = [abs(there - here) for there, here in zip(starts(heard), wanted, strict=True)]
    assert statistics.median(errors) <= 0.15
    assert max(errors) <= 0.35
    for one in heard:
        assert one.language_probability is not None
        assert one.language_probability > 0.9
        assert one.no_speech_probability < 0.5
        (what,) = one.heard
        assert what.log_probability > -0.5
        assert what.temperature == 0.0
        assert 0 < what.compression_ratio < 2.4
        assert min(word.probability for word in what.words) > 0.5
        assert what.start_seconds == what.words[0].start_seconds
        assert what.end_seconds == what.words[-1].end_seconds


def test_both_engines_hear_the_same(engines: dict[str, SpeechEngine]) -> None:
    """Other code, other arithmetic, the same words within a tenth of a second."""
    one, other = (engine.transcribe(pieces(), NOBODY) for engine in engines.values())
    assert [words(piece) for piece in one] == [words(piece) for piece in other]
    apart = [abs(here - there) for here, there in zip(starts(one), starts(other), strict=True)]
    assert statistics.median(apart) <= 0.1


def test_what_is_heard_does_not_depend_on_company(engine: SpeechEngine) -> None:
    """Alone, in every order, beside noise and beside a long piece: the same, to the last digit."""
    alone = [engine.transcribe([piece], [None])[0] for piece in pieces()]
    assert engine.transcribe(pieces(), NOBODY) == alone
    assert engine.transcribe(pieces()[::-1], NOBODY) == alone[::-1]
    company = [noise(0.3), pieces()[1], np.zeros(16_000 * 9, np.float32), pieces()[1]]
    crowd = engine.transcribe(company, [None] * 4)
    assert [crowd[1], crowd[3]] == [alone[1], alone[1]]


def test_a_language_that_is_given_is_taken(engine: SpeechEngine) -> None:
    """It is not detected, also where others in the batch are."""
    given, detected = engine.transcribe(pieces()[1:3], ["de", None])
    assert (given.language, given.language_probability) == ("de", 1.0)
    assert detected.language == "en"
    assert words(given) == SENTENCES[1][1].split()
    forced, _ = engine.transcribe(pieces()[1:3], ["en", None])
    assert (forced.language, forced.language_probability) == ("en", 1.0)


def test_nothing_is_heard_where_nobody_speaks(engine: SpeechEngine) -> None:
    """Noise, a tone, silence, and pieces of no length at all."""
    nobody = [noise(3.0), tone(2.0), np.zeros(16_000, np.float32), np.zeros(0, np.float32), noise(0.01)]
    heard = engine.transcribe(nobody, [None] * 5)
    assert [one.heard for one in heard] == [[]] * 5
    assert min(one.no_speech_probability for one in heard) > 0.6
    assert engine.transcribe([], []) == []


def test_words_end_with_their_piece(engine: SpeechEngine) -> None:
    """The model sees 30 s, of which a short piece fills the beginning."""
    cut = [speech.samples[: round(0.8 * len(speech.samples))] for speech in spoken()]
    for piece, one in zip(cut, engine.transcribe(cut, NOBODY), strict=True):
        assert one.heard
        times = [time for word in one.heard[0].words for time in (word.start_seconds, word.end_seconds)]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= len(piece) / 16_000 + 0.01


def test_what_is_trusted_is_not_tried_again(engine: SpeechEngine) -> None:
    """The ladder ends at its first step where that gives a good transcript."""
    assert engine.transcribe(pieces(), NOBODY, LADDER) == engine.transcribe(pieces(), NOBODY)


def doubtful() -> list[Samples]:
    """Words that are hard to hear: spoken backwards, and all at once."""
    rng = np.random.default_rng(5)
    together = max(pieces(), key=len).copy()
    for piece in pieces():
        together[: len(piece)] += piece
    return [together[::-1] + rng.normal(0, 0.05, len(together)).astype(np.float32), together]


def test_retries_are_drawn_alike_every_time(engine: SpeechEngine) -> None:
    """Sampling is random, but the same piece gives the same words, whatever was heard before it."""
    hard = doubtful()
    warm = LADDER[3:]
    first = engine.transcribe(hard, ["en", "en"], warm)
    engine.transcribe(pieces(), NOBODY, warm)
    assert engine.transcribe(hard[::-1], ["en", "en"], warm) == first[::-1]
    assert engine.transcribe(hard[1:], ["en"], warm) == first[1:]


def test_a_temperature_above_zero_is_told(engine: SpeechEngine) -> None:
    """What is heard at another temperature says so."""
    (one,) = engine.transcribe(pieces()[:1], ["en"], (0.2, 0.4))
    assert one.heard[0].temperature == 0.2
    assert words(one) == SENTENCES[0][1].split()


@pytest.mark.parametrize("name", ENGINES)
def test_width_and_precision_are_taken_from_the_configuration(name: str, folders: dict[str, Path]) -> None:
    """Greedy search in another precision hears the same easy words."""
    precision = "float32" if name == "faster-whisper" else "bfloat16"
    greedy = load_engine(section(name, folders, beam_size=1, precision=precision), 1)
    assert greedy.name == f"{name}:{folders[name].name}"
    assert folders[name].name in greedy.revision
    heard = greedy.transcribe(pieces()[:2], ["en", "de"])
    assert [words(one) for one in heard] == [text.split() for _, text in SENTENCES[:2]]


def test_memory_that_runs_out_is_a_memory_error(
    engine: SpeechEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator halves its batch on it; the libraries say so in other ways."""

    def full(*_: object, **__: object) -> None:
        msg = "CUDA failed with error out of memory"
        raise RuntimeError(msg)

    monkeypatch.setattr(engine, "_encode" if "transformers" in engine.name else "_features", full)
    with pytest.raises(MemoryError, match="out of memory"):
        engine.transcribe(pieces()[:1], [None])
    with pytest.raises(MemoryError, match="out of memory"):
        engine.transcribe(pieces()[:1], [None], LADDER)


# --- arithmetic -----------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_time_warping_finds_the_cheapest_path(tokens: int, frames: int, seed: int) -> None:
    """As cheap as the best of all paths, which is found cell by cell; it never goes back."""
    cost = np.random.default_rng(seed).normal(size=(tokens, frames)).astype(np.float32)
    path = time_warp(cost)
    assert path[0] == (0, 0)
    assert path[-1] == (tokens - 1, frames - 1)
    for (token, frame), (next_token, next_frame) in pairwise(path):
        assert (next_token - token, next_frame - frame) in {(0, 1), (1, 0), (1, 1)}
    total = np.full((tokens + 1, frames + 1), np.inf)
    total[0, 0] = 0
    for token in range(tokens):
        for frame in range(frames):
            before = min(total[token, frame], total[token, frame + 1], total[token + 1, frame])
            total[token + 1, frame + 1] = cost[token, frame] + before
    assert sum(cost[cell] for cell in path) == pytest.approx(total[-1, -1], abs=1e-4)


def test_time_warping_follows_a_diagonal() -> None:
    """Where each token clearly rests on three frames, the path does."""
    attention = np.kron(np.eye(4), np.ones((1, 3))).astype(np.float32)
    assert time_warp(1 - 2 * attention) == [(frame // 3, frame) for frame in range(12)]


def written(text: str, log_probability: float, no_speech: float = 0.0) -> Written:
    """Make a transcript."""
    return Written([], text, log_probability, no_speech, 0.0)


def test_transcripts_are_trusted_by_whispers_rules() -> None:
    """Repetition and improbability are not; silence needs no second try."""
    loop = "and then " * 40
    assert written("an ordinary sentence", -0.3).is_trusted
    assert not written(loop, -0.3).is_trusted
    assert not written("an ordinary sentence", -1.2).is_trusted
    assert written("an ordinary sentence", -1.2, no_speech=0.7).is_trusted
    assert written("an ordinary sentence", -1.2, no_speech=0.7).is_silence
    assert not written("an ordinary sentence", -0.8, no_speech=0.9).is_silence
    plain, likely_loop = written("an ordinary sentence", -1.9), written(loop, -0.1)
    assert best([plain, likely_loop, written("another one", -2.0)]) is plain
    assert best([written(loop, -0.5), likely_loop]) is likely_loop


@given(st.integers(0, 480_000))
def test_frames_hold_all_samples(samples: int) -> None:
    """One frame for each 10 ms begun, never none and never more than the model sees."""
    frames = count_frames(samples)
    assert 2 <= frames <= 3000
    assert frames == 2 or (frames - 1) * 160 < samples <= frames * 160
