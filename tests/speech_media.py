"""Speech made for tests, with the exact time of every word stated by its maker.

A small bank of words, spoken by eSpeak NG in two languages and two voices each, is committed as Opus;
sentences are words of the bank joined with short gaps, and tracks are sentences placed at stated times.
The bank is read through PyAV, so that no speech synthesiser is needed to run a test.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

Samples = npt.NDArray[np.float32]

RATE_HZ = 16000
"""Sampling rate of everything here; writers resample to what the codec takes."""

BANK = Path(__file__).parent / "tiny_whisper"

VOICES: Mapping[str, tuple[str, ...]] = {"en": ("en-us", "en-us+f3"), "de": ("de", "de+f3")}
"""eSpeak NG voices by language: a low one and a high one."""

WORD_GAP_SECONDS = 0.08
"""Silence between two words of a sentence. The tiny Whisper has learnt gaps of 0.02 to 0.2 s."""
SENTENCE_GAP_SECONDS = 0.8
"""Silence between two sentences. The tiny Whisper takes 0.5 s and more for the end of a sentence."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and where it sounds, in seconds from the beginning of its samples."""

    text: str
    start_seconds: float
    end_seconds: float
    language: str

    def later(self, seconds: float) -> "SpokenWord":
        """Shift in time."""
        return replace(
            self, start_seconds=self.start_seconds + seconds, end_seconds=self.end_seconds + seconds
        )


@dataclass(frozen=True, slots=True)
class Speech:
    """Mono samples at 16 kHz within [-1, 1], and every word in them in order of time."""

    samples: Samples
    words: tuple[SpokenWord, ...]

    @property
    def text(self) -> str:
        """The words, joined by spaces, without punctuation."""
        return " ".join(word.text for word in self.words)

    @property
    def seconds(self) -> float:
        """Length of the samples."""
        return len(self.samples) / RATE_HZ


@dataclass(frozen=True, slots=True)
class Placed:
    """A sentence of the vocabulary and the time at which its first word begins."""

    start_seconds: float
    text: str
    language: str = "en"
    voice: int = 0
    gain: float = 1.0


@functools.cache
def word_index() -> dict[str, dict[str, tuple[int, int]]]:
    """Read, by eSpeak NG voice and word, the first sample in the bank and the number of samples."""
    raw = json.loads((BANK / "words.json").read_text(encoding="utf-8"))
    return {
        voice: {word: (place[0], place[1]) for word, place in words.items()} for voice, words in raw.items()
    }


@functools.cache
def word_bank() -> dict[str, dict[str, Samples]]:
    """Decode the bank once per process: samples by eSpeak NG voice and word."""
    sound = read_sound(BANK / "words.opus")
    return {
        voice: {word: sound[first : first + count] for word, (first, count) in words.items()}
        for voice, words in word_index().items()
    }


def vocabulary(language: str = "en") -> tuple[str, ...]:
    """List the words that can be said in a language ("en" or "de")."""
    return tuple(word_index()[VOICES[language][0]])


def sentence(
    rng: np.random.Generator, language: str = "en", count: int | None = None, without: Sequence[str] = ()
) -> str:
    """Draw a sentence of `count` distinct words, or of three to six, none of them in `without`."""
    count = int(rng.integers(3, 7)) if count is None else count
    words = [word for word in vocabulary(language) if word not in without]
    return " ".join(rng.choice(words, count, replace=False))


def say(
    text: str,
    language: str = "en",
    voice: int = 0,
    *,
    gap_seconds: float = WORD_GAP_SECONDS,
    gain: float = 1.0,
) -> Speech:
    """Say words of the vocabulary without silence before and after them.

    Raises:
        ValueError: A word is not in the bank.
    """
    bank = word_bank()[VOICES[language][voice]]
    if unknown := [word for word in text.split() if word not in bank]:
        raise ValueError(f"wanted words of the {language} vocabulary, found {unknown}; it has {sorted(bank)}")
    gap = np.zeros(round(gap_seconds * RATE_HZ), np.float32)
    parts: list[Samples] = []
    words: list[SpokenWord] = []
    at = 0
    for word in text.split():
        if parts:
            parts.append(gap)
            at += len(gap)
        parts.append(bank[word] * np.float32(gain))
        end = at + len(parts[-1])
        words.append(SpokenWord(word, at / RATE_HZ, end / RATE_HZ, language))
        at = end
    return Speech(np.concatenate(parts) if parts else gap[:0], tuple(words))


def track(placed: Sequence[Placed], total_seconds: float) -> Speech:
    """Put sentences at their times into a track of silence; they may overlap.

    Raises:
        ValueError: A sentence ends after `total_seconds`.
    """
    samples = np.zeros(round(total_seconds * RATE_HZ), np.float32)
    words: list[SpokenWord] = []
    for item in placed:
        speech = say(item.text, item.language, item.voice, gain=item.gain)
        first = round(item.start_seconds * RATE_HZ)
        if first + len(speech.samples) > len(samples):
            end = item.start_seconds + speech.seconds
            raise ValueError(
                f"wanted sentences within {total_seconds} s, found {item.text!r} ending at {end:.2f} s"
            )
        samples[first : first + len(speech.samples)] += speech.samples
        words += [word.later(first / RATE_HZ) for word in speech.words]
    return Speech(samples, tuple(sorted(words, key=lambda word: word.start_seconds)))


def talk(
    rng: np.random.Generator,
    total_seconds: float,
    languages: Sequence[str] = ("en",),
    *,
    gap_seconds: float = SENTENCE_GAP_SECONDS,
    lead_seconds: float = 0.3,
) -> list[Placed]:
    """Draw sentences that fill a track, one after another, in languages that take turns.

    A word is not said again within the next twelve: what the tiny Whisper heard last tells it where it is.
    """
    placed: list[Placed] = []
    said: list[str] = []
    at = lead_seconds
    while True:
        language = languages[len(placed) % len(languages)]
        text = sentence(rng, language, without=said[-12:])
        seconds = say(text, language).seconds
        if at + seconds + lead_seconds > total_seconds:
            return placed
        placed.append(Placed(at, text, language))
        said += text.split()
        at += seconds + gap_seconds


def tone(seconds: float, hertz: float = 440.0, level: float = 0.2) -> Samples:
    """Make a sine."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(
        np.float32
    )


def noise(seconds: float, level: float = 0.02, seed: int = 0) -> Samples:
    """Make white noise; `level` is its root mean square."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


CODECS: Mapping[str, str] = {
    ".wav": "pcm_s16le",
    ".flac": "flac",
    ".mp3": "libmp3lame",
    ".m4a": "aac",
    ".mp4": "aac",
    ".mov": "aac",
    ".mkv": "libopus",
    ".webm": "libopus",
    ".ogg": "libopus",
    ".opus": "libopus",
}
"""Default codec by file extension."""


def write_sound(
    path: Path,
    samples: Samples,
    *,
    codec: str | None = None,
    rate_hz: int | None = None,
    channels: int = 1,
    start_seconds: float = 0.0,
    bit_rate: int | None = None,
    picture: npt.NDArray[np.uint8] | None = None,
    picture_seconds: float | None = None,
    language: str | None = None,
) -> Path:
    """Write samples to a file; with `picture`, as the sound of a video that shows it at 5 frames a second.

    Args:
        path: Its extension chooses container and default codec.
        samples: At 16 kHz. Shape (n,), or (channels, n).
        codec: Encoder, such as "aac".
        rate_hz: Sampling rate of the file; by default 16 kHz, and 48 kHz for Opus.
        channels: One-dimensional samples are copied to each of them.
        start_seconds: Time of the first sample on the clock of the file.
        bit_rate: In bits per second.
        picture: RGB pixels with even width and height.
        picture_seconds: Length of the video; by default that of the sound.
        language: Tag of the sound stream, such as "deu".
    """
    codec = codec or CODECS[path.suffix.lower()]
    rate_hz = rate_hz or (48000 if codec == "libopus" else RATE_HZ)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(str(path), "w") as container:
        video = None if picture is None else _video_stream(container, picture)
        audio = cast(AudioStream, container.add_stream(codec, rate=rate_hz))
        audio.codec_context.layout = layout
        if bit_rate:
            audio.codec_context.bit_rate = bit_rate
        if language:
            audio.metadata["language"] = language
        if video is not None and picture is not None:
            seconds = picture_seconds or start_seconds + samples.shape[-1] / RATE_HZ
            _write_pictures(container, video, picture, seconds)
        _write_frames(
            container, audio, np.broadcast_to(samples, (channels, samples.shape[-1])), layout, start_seconds
        )
    return path


def _video_stream(container: OutputContainer, picture: npt.NDArray[np.uint8]) -> VideoStream:
    video = container.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
    video.width, video.height, video.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
    return video


def _write_pictures(
    container: OutputContainer, stream: VideoStream, picture: npt.NDArray[np.uint8], seconds: float
) -> None:
    for index in range(max(1, round(seconds * 5))):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, 5)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_frames(
    container: OutputContainer, stream: AudioStream, samples: Samples, layout: str, start_seconds: float
) -> None:
    """Resample to what the encoder takes and encode, with time stamps that begin at `start_seconds`."""
    context = stream.codec_context
    resampler = av.AudioResampler(format=context.format, layout=layout, rate=context.sample_rate)
    offset = round(start_seconds * context.sample_rate)
    done = 0
    for frame in _resampled(resampler, samples, layout):
        frame.pts, frame.time_base = offset + done, Fraction(1, context.sample_rate)
        done += frame.samples
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _resampled(resampler: av.AudioResampler, samples: Samples, layout: str) -> Iterator[AudioFrame]:
    for first in range(0, samples.shape[1], RATE_HZ):
        block = np.ascontiguousarray(samples[:, first : first + RATE_HZ], np.float32)
        frame = AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate = RATE_HZ
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def read_sound(path: Path) -> Samples:
    """Decode the first sound stream to mono at 16 kHz, without regard to time stamps."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)
