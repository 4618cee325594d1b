"""Where one scene ends and the next begins.

Two answers for two needs. `find_cuts` works on the changes that were measured between
sampled frames anyway: slide and scene changes to within one interval, for free.
`SceneFinder` looks at every frame with PySceneDetect's content detector, for the strategy
that takes one picture of each scene.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detector import FlashFilter
from scenedetect.detectors.content_detector import ContentDetector

from operators.distinct import Change, Plane, Verdict, changed_cells, judge, structured_cells

_BINS = 32
_NEIGHBOURS = 3
"""Samples on either side that say what change is usual here."""
_LOST = 0.5
"""Least share of the structure that is gone at a cut."""
_ABOVE_USUAL = 0.35
"""How far a cut's lost structure stands above the usual; motion loses much all the time."""
_TONE = 0.25
_TONE_TIMES = 2.5
"""Least shift of brightness at a cut between moving scenes, and how many times the usual."""

_SCENE_SECONDS = Fraction(6, 10)
_SETTLED_SECONDS = Fraction(3, 10)
"""How long after a cut the picture of a scene is taken, when flashes and fades are over."""
_DETECTOR_PX = 256
"""Width to which frames are scaled for the detector, as PySceneDetect does by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One sampled frame against the one before it."""

    time: float
    """When it was first seen, in seconds."""
    change: Change
    tone: float
    """Distance of the histograms of brightness, 0 (alike) to 1 (nothing in common)."""


def histogram(luma: Plane) -> Plane:
    """Count brightness in 32 steps as shares of 255; every fourth pixel each way is enough."""
    counts = np.bincount((luma[::4, ::4] >> 3).ravel(), minlength=_BINS)
    return np.asarray(np.round(255 * counts / counts.sum()), np.uint8)


def tone_distance(before: Plane, now: Plane) -> float:
    """Return half the sum of absolute differences of two histograms, 0 to 1."""
    return float(np.abs(before.astype(np.int32) - now.astype(np.int32)).sum()) / (2 * 255)


def find_cuts(steps: Sequence[Step]) -> list[float]:
    """Return the times at which the picture as a whole became another one.

    Slides are told from motion by what is usual around them: where most structure changes
    from every sample to the next (a moving camera), only a shift of brightness counts. By
    the numbers of one sample alone a turning globe and a new slide look the same.
    """
    return [step.time for index, step in enumerate(steps) if _is_cut(step, _around(steps, index))]


def _around(steps: Sequence[Step], index: int) -> list[Step]:
    return [*steps[max(0, index - _NEIGHBOURS) : index], *steps[index + 1 : index + 1 + _NEIGHBOURS]]


def _is_cut(step: Step, around: list[Step]) -> bool:
    if step.change.verdict is not Verdict.WHOLE or step.change.lost < _LOST:
        return False
    usual_lost = _low(other.change.lost for other in around)
    usual_tone = _low(other.tone for other in around)
    shifted = step.tone >= max(_TONE, _TONE_TIMES * usual_tone)
    return step.change.lost >= usual_lost + _ABOVE_USUAL or shifted


def _low(values: Iterable[float]) -> float:
    """Take the lower quartile: cuts among the neighbours do not make cuts usual."""
    listed = list(values)
    return float(np.quantile(listed, 0.25)) if listed else 0.0


class SceneFinder:
    """Finds hard cuts in a run of frames, all of which it must be shown.

    The content detector averages over the picture, and slides on equal paper differ too
    little for it (2 of the 27 it wants). So a frame is also a cut if most structure of a
    picture that stood still before is gone in it.
    """

    def __init__(self, rate: Fraction) -> None:
        """Start a run; `rate` is the average number of frames a second."""
        self._rate = rate
        self._detector = ContentDetector(
            min_scene_len=float(_SCENE_SECONDS), filter_mode=FlashFilter.Mode.SUPPRESS
        )
        self._small = VideoReformatter()
        self._before: Plane | None = None
        self._was_lost = 1.0
        self._latest: Fraction | None = None

    def is_cut(self, time: Fraction, frame: VideoFrame) -> bool:
        """Tell whether a new scene begins with this frame, shown at `time` (seconds)."""
        width = min(frame.width, _DETECTOR_PX)
        height = max(1, round(frame.height * width / frame.width))
        small = self._small.reformat(
            frame, width, height, "bgr24", interpolation=Interpolation.AREA, threads=1
        ).to_ndarray()
        stamp = Timecode(round(time * 1_000_000), Fraction(1, 1_000_000))
        found = bool(self._detector.process_frame(FrameTimecode(stamp, self._rate), np.asarray(small)))
        found |= self._is_other_slide(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8))
        if not found or (self._latest is not None and time - self._latest < _SCENE_SECONDS):
            return False
        self._latest = time
        return True

    def _is_other_slide(self, luma: Plane) -> bool:
        before, self._before = self._before, luma
        was_lost, self._was_lost = self._was_lost, 0.0
        if before is None or before.shape != luma.shape:
            return False
        changed = changed_cells((before,), (luma,))
        if changed is None:
            return False
        change = judge(changed, structured_cells(before), luma.shape)
        self._was_lost = change.lost
        return change.verdict is Verdict.WHOLE and change.lost >= _LOST and was_lost <= _LOST - _ABOVE_USUAL


def settled(cut: Fraction) -> Fraction:
    """Return when the picture of a scene that begins at `cut` should be taken."""
    return cut + _SETTLED_SECONDS
