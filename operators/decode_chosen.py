"""Single pictures out of the middle of a video, each decoded from its key picture.

A decoder gives a picture only after those it refers to, and gives it late. Here a picture is asked
for by its position: what leads to it is fed, pictures to which no other refers are left out, and
where nothing more is wanted nearby the decoder is emptied instead of being fed on.
"""

from collections.abc import Set

from av.video.frame import VideoFrame

from operators.held_packets import Held, UnevenError
from operators.read_frames import FrameReader

_LATE = 64
"""Packets after which a picture that has not come out will not."""


class ChosenDecoder:
    """Decodes pictures of held packets; going on is cheap, going back costs what leads there."""

    def __init__(self, reader: FrameReader, held: Held, wanted: Set[int]) -> None:
        """Begin anywhere.

        Args:
            reader: Whose decoder is used; nobody else may meanwhile.
            held: Its packets.
            wanted: Positions of pictures that may be asked for later: they are never left out.
        """
        self._reader, self._held, self._wanted = reader, held, wanted
        self._stamps = {held.stamps[place] for place in wanted}
        self._fed = -1
        self._begin = self._latest = 0
        self._is_running = False
        self._frames: dict[int, VideoFrame] = {}

    def picture(self, place: int, *, is_last: bool) -> VideoFrame:
        """Decode the picture at a position.

        Args:
            place: Among the held packets.
            is_last: Nothing soon after it is going to be wanted.

        Raises:
            UnevenError: It does not come out, or damaged; everything has to be decoded then.
        """
        stamp = self._held.stamps[place]
        if stamp in self._frames:
            return self._frames[stamp]
        begin = self._held.chain(place)
        is_past = place <= self._fed and (stamp <= self._latest or place not in self._wanted)
        if not self._is_running or is_past or begin > self._fed + 1:
            self._restart(begin)
        self._frames = {other: frame for other, frame in self._frames.items() if other > stamp}
        while self._fed < place:
            self._feed(place)
        while stamp not in self._frames and not is_last and self._more(place):
            self._feed(place)
        if stamp not in self._frames:
            self._take(self._reader.decode(None), place)
            self._is_running = False
        if stamp not in self._frames or self._frames[stamp].is_corrupt:
            raise UnevenError
        return self._frames[stamp]

    def _more(self, place: int) -> bool:
        return self._fed + 1 < len(self._held.packets) and self._fed < place + _LATE

    def _restart(self, begin: int) -> None:
        self._reader.restart()
        self._begin, self._fed, self._is_running = begin, begin - 1, True
        self._latest = self._held.stamps[begin] - 1
        self._frames.clear()

    def _feed(self, target: int) -> None:
        self._fed += 1
        place = self._fed
        if place > self._begin and self._held.stamps[place] < self._held.stamps[self._begin]:
            return  # it is shown before the key picture and refers to pictures that were not decoded
        wanted = place == target or place in self._wanted
        self._take(self._reader.decode(self._held.packets[place], wanted=wanted), target)

    def _take(self, frames: list[VideoFrame], target: int) -> None:
        if self._reader.account.bad:
            raise UnevenError
        asked = self._held.stamps[target]
        for frame in frames:
            self._latest = max(self._latest, frame.pts or 0)
            if frame.pts is not None and (frame.pts == asked or frame.pts in self._stamps):
                self._frames[frame.pts] = frame
