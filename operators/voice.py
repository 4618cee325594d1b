"""Hear in which moments somebody speaks.

Silero VAD (https://github.com/snakers4/silero-vad, MIT) gives for every 32 ms of sound the
probability of a voice. Its ONNX file and session come with faster-whisper; here it listens to
a stream: the recurrent state and the last samples are carried on, so that the result is that of
the whole sound at once, and whatever blocks it arrives in, the model always sees the same ones.
"""

import numpy as np
from faster_whisper.vad import get_vad_model
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

FRAME_SAMPLES = 512
"""Samples at 16 kHz of which each probability tells: 32 ms."""

_CONTEXT_SAMPLES = 64
_BATCH_FRAMES = 32
"""Frames given to the model at once. One size always: other sizes round differently. Of 32 frames (1 s)
each costs 60 µs, of 8 it costs 74 µs, of 256 again 63 µs."""
_STATE = (1, 1, 128)


class VoiceDetector:
    """Gives the probability of a voice for each frame of one unbroken stream."""

    def __init__(self) -> None:
        """Begin in silence; the model is loaded once in a process (0.07 s, one thread)."""
        self._session = get_vad_model().session
        self._hidden, self._cell = np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)
        self._waiting = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def hear(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Take the next samples.

        Args:
            samples: Mono at 16 kHz, shape (samples,), any number of them.

        Returns:
            Probabilities of the next frames that are complete; up to a second is held back.
        """
        self._waiting = np.concatenate([self._waiting, samples.astype(np.float32) / 32768])
        heard = [np.zeros(0, np.float32)]
        batch = _BATCH_FRAMES * FRAME_SAMPLES
        while len(self._waiting) >= _CONTEXT_SAMPLES + batch:
            heard.append(self._infer(self._waiting[: _CONTEXT_SAMPLES + batch]))
            self._waiting = self._waiting[batch:]
        return np.concatenate(heard)

    def finish(self) -> NDArray[np.float32]:
        """Return the probabilities of what was held back; silence fills up the last frame."""
        held = len(self._waiting) - _CONTEXT_SAMPLES
        padding = np.zeros(_BATCH_FRAMES * FRAME_SAMPLES - held, np.float32)
        heard = self._infer(np.concatenate([self._waiting, padding]))
        self._waiting = self._waiting[held:]
        return heard[: -(-held // FRAME_SAMPLES)]

    def _infer(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        frames = sliding_window_view(samples, _CONTEXT_SAMPLES + FRAME_SAMPLES)[::FRAME_SAMPLES]
        given = {"input": np.ascontiguousarray(frames), "h": self._hidden, "c": self._cell}
        heard, self._hidden, self._cell = self._session.run(None, given)
        return np.asarray(heard, np.float32).reshape(-1)
