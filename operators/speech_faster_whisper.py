"""Recognising speech with faster-whisper: Whisper on CTranslate2, for CPUs and GPUs.

Its batched pipeline takes one language for all that it is given and reports none, and what it
heard in one piece bears upon the times of the next. Its parts are used here instead: the
features, the encoder, the decoder, the alignment; each piece keeps its own language and clock.
Retries at other temperatures follow the library's own rules, piece by piece.

Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from operators.speech_engine import (
    MAX_COMPRESSION_RATIO,
    MAX_NO_SPEECH_PROBABILITY,
    MIN_LOG_PROBABILITY,
    SAMPLE_RATE,
    Samples,
    Transcript,
)
from operators.whisper_words import Alignment, Features, Written, count_frames, transcript

SEED = 0
"""Of the sampling at temperatures above 0: what is heard in a piece can be heard again."""

Result = TypeVar("Result")


class FasterWhisperEngine:
    """Whisper on CTranslate2."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str,
        precision: str,
        beam_size: int,
        threads: int,
        gpu: bool,
    ) -> None:
        """Load a converted model.

        Args:
            folder: With `model.bin`, `config.json`, `tokenizer.json` and a vocabulary.
            name: Of engine and model.
            revision: Of library and weights.
            precision: As CTranslate2 names it.
            beam_size: Width of the search.
            threads: Of one inference on a CPU.
            gpu: Whether it runs on a GPU.

        Raises:
            RuntimeError: The model cannot be read, or there is no GPU.
            MemoryError: It does not fit.
        """
        self.name = name
        self.revision = revision
        self._beam_size = beam_size
        self._loading: dict[str, Any] = {
            "model_size_or_path": str(folder),
            "device": "cuda" if gpu else "cpu",
            "compute_type": precision,
            "cpu_threads": threads,
            "num_workers": 1,
            "local_files_only": True,
        }
        self._model = _within_memory(lambda: WhisperModel(**self._loading))
        self._has_sampled = False
        self._tokenizer = lru_cache(maxsize=None)(self._new_tokenizer)

    def transcribe(
        self,
        pieces: Sequence[Samples],
        languages: Sequence[str | None],
        temperatures: Sequence[float] = (0.0,),
    ) -> list[Transcript]:
        """Recognise pieces together; with several temperatures, one after the other.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        if tuple(temperatures) == (0.0,):
            return _within_memory(lambda: self._together(pieces, languages)) if pieces else []
        return _within_memory(
            lambda: [
                self._retry(piece, language, temperatures)
                for piece, language in zip(pieces, languages, strict=True)
            ]
        )

    # --- together ---------------------------------------------------------------------------

    def _together(self, pieces: Sequence[Samples], languages: Sequence[str | None]) -> list[Transcript]:
        features = np.stack([self._features(piece) for piece in pieces])
        encoded = self._model.encode(features)
        spoken = self._spoken(encoded, languages)
        codes = [code for code, _ in spoken]
        written = self._write(encoded, codes)
        frames = [count_frames(len(piece)) for piece in pieces]
        aligned = self._align(features, encoded, codes, written, frames)
        return [
            transcript(text, alignment, self._tokenizer(language[0]), len(piece) / SAMPLE_RATE, language)
            for text, alignment, piece, language in zip(written, aligned, pieces, spoken, strict=True)
        ]

    def _features(self, piece: Samples) -> Features:
        # The last frame is made of the padding that the extractor adds.
        features: Features = pad_or_trim(self._model.feature_extractor(piece)[..., :-1])
        return features

    def _spoken(self, encoded: Any, languages: Sequence[str | None]) -> list[tuple[str, float]]:
        """Give each piece its language and how sure that is."""
        if not self._model.model.is_multilingual:
            return [("en", 1.0)] * len(languages)
        given = [(code, 1.0) for code in languages if code is not None]
        if len(given) == len(languages):
            return given
        detected = [languages[0] for languages in self._model.model.detect_language(encoded)]
        return [
            (code, 1.0) if code is not None else (token[2:-2], float(probability))
            for code, (token, probability) in zip(languages, detected, strict=True)
        ]

    def _write(self, encoded: Any, codes: Sequence[str]) -> list[Written]:
        tokenizers = [self._tokenizer(code) for code in codes]
        results = self._model.model.generate(
            encoded,
            [[*tokenizer.sot_sequence, tokenizer.no_timestamps] for tokenizer in tokenizers],
            beam_size=self._beam_size,
            max_length=self._model.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=_suppressed(tokenizers[0]),
        )
        return [_written(result, tokenizer) for result, tokenizer in zip(results, tokenizers, strict=True)]

    def _align(
        self,
        features: Features,
        encoded: Any,
        codes: Sequence[str],
        written: Sequence[Written],
        frames: Sequence[int],
    ) -> list[Alignment]:
        """Find the frame of each token; CTranslate2 takes one language at a time.

        Where there are several, their features are encoded again: an encoded batch cannot be
        divided without moving it from the GPU.
        """
        members = defaultdict(list)
        for index, code in enumerate(codes):
            members[code].append(index)
        aligned: dict[int, Alignment] = {}
        for code, indices in members.items():
            results = self._model.model.align(
                encoded if len(members) == 1 else self._model.encode(features[indices]),
                self._tokenizer(code).sot_sequence,
                [written[index].tokens for index in indices],
                [frames[index] for index in indices],
            )
            aligned |= zip(indices, map(_alignment, results), strict=True)
        return [aligned[index] for index in range(len(codes))]

    def _new_tokenizer(self, code: str) -> Tokenizer:
        multilingual = self._model.model.is_multilingual
        return Tokenizer(self._model.hf_tokenizer, multilingual, task="transcribe", language=code)

    # --- one after the other ----------------------------------------------------------------

    def _retry(self, piece: Samples, language: str | None, temperatures: Sequence[float]) -> Transcript:
        """Hear one piece at one temperature after the other, by the library's own rules.

        Its whole transcription would go on behind the last word it heard, again and again: a
        model that makes words up in noise takes minutes for a piece of three seconds.
        """
        self._seed()
        encoded = self._model.encode(self._features(piece))
        ((code, sure),) = self._spoken(encoded, [language])
        tokenizer = self._tokenizer(code)
        self._has_sampled = True
        result, mean, temperature, _ = self._model.generate_with_fallback(
            encoded,
            [*tokenizer.sot_sequence, tokenizer.no_timestamps],
            tokenizer,
            _fallback(self._beam_size, temperatures, _suppressed(tokenizer)),
        )
        self._has_sampled = temperature > 0
        words = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
        text = tokenizer.decode(words).strip()
        written = Written(words, text, mean, result.no_speech_prob, float(temperature))
        frames = count_frames(len(piece))
        (aligned,) = self._model.model.align(encoded, tokenizer.sot_sequence, [words], [frames])
        return transcript(written, _alignment(aligned), tokenizer, len(piece) / SAMPLE_RATE, (code, sure))

    def _seed(self) -> None:
        """Let sampling begin anew.

        CTranslate2 seeds the generator of a thread when the thread first draws from it, and never
        again: only a new model, which has new threads, can be seeded.
        """
        if self._has_sampled:
            del self._model
            self._model = WhisperModel(**self._loading)
            self._has_sampled = False
        ctranslate2.set_random_seed(SEED)


def _fallback(beam_size: int, temperatures: Sequence[float], suppressed: list[int]) -> SimpleNamespace:
    """Give what the library's fallback reads of its options; what is not of Gloss is its default."""
    return SimpleNamespace(
        temperatures=list(temperatures),
        compression_ratio_threshold=MAX_COMPRESSION_RATIO,
        log_prob_threshold=MIN_LOG_PROBABILITY,
        no_speech_threshold=MAX_NO_SPEECH_PROBABILITY,
        beam_size=beam_size,
        best_of=5,
        patience=1,
        length_penalty=1,
        repetition_penalty=1,
        no_repeat_ngram_size=0,
        suppress_blank=True,
        suppress_tokens=suppressed,
        max_new_tokens=None,
        max_initial_timestamp=1.0,
    )


def _suppressed(tokenizer: Tokenizer) -> list[int]:
    return list(get_suppressed_tokens(tokenizer, [-1]))


def _written(result: Any, tokenizer: Tokenizer) -> Written:
    (tokens, *_), (score, *_) = result.sequences_ids, result.scores
    words = [token for token in tokens if token < tokenizer.eot]
    # The score is a mean without the token that ends the text; Whisper's includes it.
    mean = score * len(tokens) / (len(tokens) + 1)
    return Written(words, tokenizer.decode(words).strip(), mean, result.no_speech_prob, 0.0)


def _alignment(result: Any) -> Alignment:
    return Alignment(result.alignments, result.text_token_probs)


def _within_memory(work: Callable[[], Result]) -> Result:
    """Do work; CTranslate2 says only in words that memory did not suffice.

    Raises:
        MemoryError: It did not.
    """
    try:
        return work()
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise MemoryError(str(error)) from error
        raise
