"""The detector hears a stream as it would hear the whole sound at once."""

import subprocess
import sys

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model
from numpy.typing import NDArray

from operators.speech_engine import SAMPLE_RATE
from operators.voice import FRAME_SAMPLES, VoiceDetector
from tests.corpus import CORPUS, needs_corpus
from tests.speech_media import Placed, read_sound, say, track, vocabulary

Samples = NDArray[np.int16]


def quantised(wave: NDArray[np.float32]) -> Samples:
    """Write samples as 16 bits."""
    return (np.clip(wave, -1, 1) * 32767).astype(np.int16)


def probabilities(samples: Samples, blocks: list[int] | None = None) -> NDArray[np.float32]:
    """Let a new detector hear samples, in blocks of these sizes by turns."""
    detector, heard, first, turn = VoiceDetector(), list[NDArray[np.float32]](), 0, 0
    while first < len(samples):
        size = len(samples) if blocks is None else blocks[turn % len(blocks)]
        heard.append(detector.hear(samples[first : first + size]))
        first, turn = first + size, turn + 1
    return np.concatenate([*heard, detector.finish()])


@pytest.fixture(scope="module")
def spoken() -> Samples:
    """Six seconds with a sentence from 2.0 s on, and a little noise."""
    text = " ".join(vocabulary("en")[:4])
    noise = np.random.default_rng(1).normal(0, 0.001, 6 * SAMPLE_RATE)
    return quantised(track([Placed(2.0, text)], 6.0).samples + noise.astype(np.float32))


def test_it_hears_what_faster_whisper_hears(spoken: Samples) -> None:
    """Streaming changes nothing: the probabilities are those of faster-whisper's own call."""
    whole = spoken[: len(spoken) // FRAME_SAMPLES * FRAME_SAMPLES].astype(np.float32) / 32768
    # Its call zeroes the end of its last frame, so that one is given to it as silence.
    expected = get_vad_model()(np.concatenate([whole, np.zeros(FRAME_SAMPLES, np.float32)]))
    heard = probabilities(spoken)
    np.testing.assert_allclose(heard[: len(whole) // FRAME_SAMPLES], expected.reshape(-1)[:-1], atol=1e-5)


@pytest.mark.parametrize("blocks", [[160], [1, 511, 4000], [16384], [50_000, 3]])
def test_blocks_do_not_matter(spoken: Samples, blocks: list[int]) -> None:
    """The same sound gives exactly the same probabilities, whatever blocks it comes in."""
    np.testing.assert_array_equal(probabilities(spoken, blocks), probabilities(spoken))


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 16384, 16385])
def test_each_frame_has_a_probability(count: int) -> None:
    """Every sample lies in a frame that is judged, the last frame filled up with silence."""
    assert len(probabilities(np.zeros(count, np.int16))) == -(-count // FRAME_SAMPLES)


def test_it_tells_a_voice_from_silence_and_noise(spoken: Samples) -> None:
    """Words are heard where they are; noise and a tone are no voice."""
    heard = probabilities(spoken) >= 0.5
    at = 2 * SAMPLE_RATE // FRAME_SAMPLES
    length = len(say(" ".join(vocabulary("en")[:4])).samples) // FRAME_SAMPLES
    assert heard[at : at + length].mean() > 0.6
    assert not heard[: at - 1].any()
    assert not heard[at + length + 4 :].any()
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE).astype(np.float32)
    tone = (0.3 * np.sin(np.arange(5 * SAMPLE_RATE) * 2 * np.pi * 440 / SAMPLE_RATE)).astype(np.float32)
    assert (probabilities(quantised(noise)) < 0.5).all()
    assert (probabilities(quantised(tone)) < 0.5).all()


def test_torch_is_not_needed() -> None:
    """Importing the detector does not import torch, which takes seconds and gigabytes."""
    code = "import sys, operators.voice; operators.voice.VoiceDetector(); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.corpus
@needs_corpus
def test_a_real_voice_is_heard() -> None:
    """In eleven seconds of a speech a voice is heard most of the time."""
    samples = quantised(read_sound(CORPUS / "audio" / "whisper_jfk.flac"))
    assert 0.5 < (probabilities(samples) >= 0.5).mean() < 0.95
