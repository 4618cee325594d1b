"""What is seen is compared with what was read, each frame once."""

import numpy as np
from av.video.frame import VideoFrame

from operators.distinct import Change, Plane, Reference
from operators.scenes import histogram
from operators.upright import Converter


class Eye:
    """Compares frames of a video with what was read of it; remembers the latest judgement.

    A key picture that is compared to find out whether more must be decoded is often the one on
    screen at the next look.
    """

    def __init__(self, converter: Converter) -> None:
        """Start with nothing read."""
        self.converter = converter
        self._reference = Reference()
        self._frame: VideoFrame | None = None
        self._planes: tuple[Plane, ...] = ()
        self._change: Change | None = None

    def judge(self, frame: VideoFrame) -> Change:
        """Compare a frame with what was read up to now."""
        planes = self._see(frame)
        if self._change is None:
            self._change = self._reference.compare(planes)
        return self._change

    def are_equal(self, one: VideoFrame, other: VideoFrame) -> bool:
        """Tell whether two frames are equal to the pixel."""
        pairs = zip(self.converter.planes(one), self._see(other), strict=False)
        return all(np.array_equal(mine, theirs) for mine, theirs in pairs)

    def follow(self, frame: VideoFrame, change: Change) -> None:
        """Take over what is now handed to the reader: the frame, or the parts of it that changed."""
        self._reference.follow(self._see(frame), change)
        self._change = None

    def tones(self, frame: VideoFrame) -> Plane:
        """Count the brightness of a frame."""
        return histogram(self._see(frame)[0])

    def shape(self, frame: VideoFrame) -> tuple[int, ...]:
        """Return the (height, width) in which boxes of changes are given."""
        return self._see(frame)[0].shape

    def _see(self, frame: VideoFrame) -> tuple[Plane, ...]:
        if frame is not self._frame:
            self._frame, self._planes, self._change = frame, self.converter.planes(frame), None
        return self._planes
