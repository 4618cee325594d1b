"""Pieces of sound become utterances: what was said, when, and how sure it is.

Pieces of all units of a call are recognised in batches of like length, whatever files they come
from; then each unit is looked through for the known faults of recognisers, and what is at fault
is heard again alone. Every stretch in which a voice was detected ends as words or as a failure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from operators.cost_of import cost_of
from operators.recogniser import Hearing, Recogniser
from operators.second_hearing import (
    Said,
    better,
    is_doubtful,
    is_flip,
    is_voiced,
    joined,
    log_probability,
    main_language,
    on_clock,
    within,
    wordless,
)
from operators.speech_engine import PIECE_SECONDS, SAMPLE_RATE, Samples, SpeechEngine, Transcript
from operators.speech_isolated import isolated_speech_engine
from operators.stopwatch import Spent, Stopwatch, total
from operators.utterances import Phrase, covered_seconds, phrases, total_seconds
from operators.voiceprints import IsolatedVoicePrints, isolated_voice_prints
from schemas.config import Config
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.perception import Cost, Doubt, Filled, Perception, Piece, Stretch, Utterance, Word

_MARGIN_SECONDS = 0.3
"""What is heard around a stretch that is tried alone."""

_COVER_SLACK_SECONDS = 0.25
"""A word covers so much of the voice beside it: pauses between words are part of speech."""


class Asr:
    """Perceptions with pieces of sound in, perceptions with utterances out: the same, in order."""

    def __init__(self, config: Config, engine: SpeechEngine | None = None) -> None:
        """Prepare the configured engine; it is loaded with the first piece, which may never come.

        Args:
            config: Of the run, its speech resolved.
            engine: To hear with instead of the configured one.

        Raises:
            ValueError: The configured engine cannot run; the message says what to do.
        """
        self.language = config.speech.language
        self.recogniser: Recogniser | None = None
        self.voices: IsolatedVoicePrints | None = None
        if config.speech.listens and config.speech.speakers != "off":
            self.voices = isolated_voice_prints(config)
        if engine is None and config.speech.listens:
            engine = isolated_speech_engine(config)
        if engine is not None:
            self.recogniser = Recogniser(engine, config.resources.pieces_per_batch())

    def __call__(self, perceptions: list[Perception]) -> list[Perception]:
        """Recognise all pieces; what cannot be recognised becomes a failure."""
        if self.recogniser is None:
            return [replace(perception, pieces=[]) for perception in perceptions]
        pieces = [piece for perception in perceptions for piece in perception.pieces]
        hearings = iter(self.recogniser.hear([samples_of(piece) for piece in pieces], self.language))
        return [
            self._with_voices(
                perception.pieces,
                _Listener(perception, self.recogniser, self.language).finish(
                    [next(hearings) for _ in perception.pieces]
                ),
            )
            if perception.pieces
            else perception
            for perception in perceptions
        ]

    def _with_voices(self, pieces: Sequence[Piece], heard: Perception) -> Perception:
        """Take a print of the voice of each utterance, by which speakers are told apart later."""
        if self.voices is None or not heard.utterances:
            return heard
        voiced = [one for one in heard.utterances if Doubt.NO_VOICE not in one.doubts]
        watch = Stopwatch()
        try:
            prints = self.voices.prints([_sound_of(one, pieces) for one in voiced])
        except InputError as error:
            failure = Failure(Stage.ASR, error.reason, error.message, heard.unit.index)
            return replace(heard, failures=[*heard.failures, failure])
        known = dict(zip(map(id, voiced), prints, strict=True))
        utterances = [replace(one, voice=known.get(id(one), [])) for one in heard.utterances]
        return replace(heard, utterances=utterances, costs=_longer(heard.costs, watch.read()))


def _longer(costs: Sequence[Cost], spent: Spent) -> list[Cost]:
    """Add to the cost of hearing, which is the last, what telling voices apart took."""
    *others, cost = costs
    hearing = Spent(cost.seconds, cost.cpu_seconds, cost.started_at, cost.ended_at) + spent
    longer = replace(
        cost,
        seconds=hearing.seconds,
        cpu_seconds=hearing.cpu_seconds,
        started_at=hearing.started_at,
        ended_at=hearing.ended_at,
    )
    return [*others, longer]


def _sound_of(utterance: Utterance, pieces: Sequence[Piece]) -> Samples:
    """Cut the sound of an utterance out of the piece that holds most of it."""
    start, end = utterance.start_seconds, utterance.end_seconds
    piece = max(pieces, key=lambda one: min(one.end_seconds, end) - max(one.start_seconds, start))
    first, last = (round(max(0.0, at - piece.start_seconds) * SAMPLE_RATE) for at in (start, end))
    return samples_of(piece)[first:last]


def samples_of(piece: Piece) -> Samples:
    """Return the samples of a piece as floats, -1 to 1."""
    return (np.frombuffer(piece.samples, "<i2") / np.float32(32768)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Silent:
    """A stretch of voice without words, and what the model holds of it."""

    stretch: Stretch
    no_speech_probability: float


class _Listener:
    """Looks through one unit after its pieces were heard once."""

    def __init__(self, perception: Perception, recogniser: Recogniser, language: str | None) -> None:
        self.perception = perception
        self.pieces = perception.pieces
        self.recogniser = recogniser
        self.language = language
        self.spent = Spent()
        self.filled: list[Filled] = []
        self.failures: list[Failure] = []

    def finish(self, hearings: Sequence[Hearing]) -> Perception:
        """Turn the hearings of all pieces into utterances, failures and what it cost."""
        self.spent += total([hearing.spent for hearing in hearings])
        self.filled = [hearing.filled for hearing in hearings]
        transcripts = [self._settled(*pair) for pair in zip(self.pieces, hearings, strict=True)]
        main = self.language or main_language(self.pieces, transcripts)
        said: list[Said] = []
        silent: list[_Silent] = []
        for piece, transcript in zip(self.pieces, transcripts, strict=True):
            if transcript is not None:
                found, rest = self._filled(piece, self._in_language(piece, transcript, main), main)
                said += found
                silent += rest
        return self._give_back(said, silent)

    def _settled(self, piece: Piece, hearing: Hearing) -> Transcript | None:
        """Hear a doubtful piece again; None when it cannot be heard at all."""
        if isinstance(hearing.outcome, InputError):
            self.failures.append(self._lost(piece, hearing.outcome))
            return None
        if not is_doubtful(hearing.outcome):
            return hearing.outcome
        second = self._alone(piece, hearing.outcome.language)
        # When that fails, what was heard before still stands.
        return hearing.outcome if isinstance(second, InputError) else better(hearing.outcome, second)

    def _alone(self, piece: Piece, language: str | None) -> Transcript | InputError:
        hearing = self.recogniser.hear_again(samples_of(piece), language)
        self.spent += hearing.spent
        return hearing.outcome

    def _in_language(self, piece: Piece, transcript: Transcript, main: str | None) -> list[Said]:
        """Hear a piece whose language is doubtful in the language of the rest, and keep the likelier."""
        if not is_flip(piece, transcript, main):
            return on_clock(piece, transcript)
        second = self._alone(piece, main)
        if (
            not isinstance(second, InputError)
            and not is_doubtful(second)
            and log_probability(second) >= log_probability(transcript)
        ):
            return on_clock(piece, second)
        return on_clock(piece, transcript, flipped=True)

    def _filled(self, piece: Piece, said: list[Said], main: str | None) -> tuple[list[Said], list[_Silent]]:
        """Hear alone what of a piece has a voice and no words."""
        words = [word for item in said for word in item.heard.words]
        silent: list[_Silent] = []
        for stretch in wordless(piece.speech, words):
            part = _cut(piece, stretch)
            transcript = self._alone(part, main)
            if isinstance(transcript, InputError):
                self.failures.append(self._lost(part, transcript))
                continue
            heard = on_clock(part, transcript)
            inside = [item for one in heard if (item := within(one, stretch, words)) is not None]
            said = [*said, *inside]
            if not inside:
                silent.append(_Silent(stretch, transcript.no_speech_probability))
        return said, silent

    def _give_back(self, said: Sequence[Said], silent: Sequence[_Silent]) -> Perception:
        perception, engine = self.perception, self.recogniser.engine
        speech = [stretch for piece in self.pieces for stretch in piece.speech]
        utterances = [
            _utterance(phrase, item, speech, engine) for item in said for phrase in phrases(item.heard.words)
        ]
        utterances.sort(key=lambda utterance: utterance.start_seconds)
        words: list[Word] = [word for utterance in utterances for word in utterance.words]
        cost = cost_of(
            "asr",
            self.spent,
            items=len(self.pieces),
            size_bytes=sum(len(piece.samples) for piece in self.pieces),
            filled=self.filled,
        )
        return replace(
            perception,
            pieces=[],
            utterances=[*perception.utterances, *utterances],
            failures=[*perception.failures, *self.failures, *self._silences(silent)],
            costs=[*perception.costs, cost],
            worded_seconds=covered_seconds(speech, words, _COVER_SLACK_SECONDS),
        )

    def _lost(self, piece: Piece, error: InputError) -> Failure:
        return self._failure(error.reason, error.message, piece.start_seconds, piece.end_seconds)

    def _silences(self, silent: Sequence[_Silent]) -> Iterator[Failure]:
        """Report voices without words, a failure for each run of them."""
        doubts = {item.stretch: item.no_speech_probability for item in silent}
        for group in joined(doubts):
            held = max(doubts[stretch] for stretch in group)
            msg = (
                f"A voice was detected for {total_seconds(group):.1f} s and no word was recognised, also "
                f"not when that was heard alone; the model holds it for no speech with {held:.2f}. Listen "
                "to it: where it is music or noise, nothing is lost."
            )
            yield self._failure(Reason.NO_WORDS, msg, group[0].start_seconds, group[-1].end_seconds)

    def _failure(self, reason: Reason, message: str, start: float, end: float) -> Failure:
        index = self.perception.unit.index
        return Failure(Stage.ASR, reason, message, index, start_seconds=start, end_seconds=end)


def _cut(piece: Piece, stretch: Stretch) -> Piece:
    """Cut a stretch out of a piece, with a little around it."""
    first = round(max(0.0, stretch.start_seconds - _MARGIN_SECONDS - piece.start_seconds) * SAMPLE_RATE)
    last = round((stretch.end_seconds + _MARGIN_SECONDS - piece.start_seconds) * SAMPLE_RATE)
    last = min(last, first + round(PIECE_SECONDS * SAMPLE_RATE))
    samples = piece.samples[2 * first : 2 * last]
    start = piece.start_seconds + first / SAMPLE_RATE
    return Piece(start, start + len(samples) / 2 / SAMPLE_RATE, samples, [stretch])


def _utterance(phrase: Phrase, said: Said, speech: Sequence[Stretch], engine: SpeechEngine) -> Utterance:
    doubts = list(said.doubts)
    if not is_voiced(phrase.words, speech):
        doubts.append(Doubt.NO_VOICE)
    heard, transcript = said.heard, said.transcript
    return Utterance(
        phrase.start_seconds,
        max(phrase.end_seconds, phrase.start_seconds),
        phrase.text,
        transcript.language,
        round(phrase.confidence, 4),
        phrase.words,
        source=engine.name,
        revision=engine.revision,
        language_probability=transcript.language_probability,
        log_probability=heard.log_probability,
        no_speech_probability=transcript.no_speech_probability,
        compression_ratio=heard.compression_ratio,
        temperature=heard.temperature,
        doubts=[str(doubt) for doubt in doubts],
    )
