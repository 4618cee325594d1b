"""Looks at a video at which only what may have changed is decoded.

What is on screen at each look is known from time stamps alone. A look is decoded if the coded pictures
since the one before are not all proved to repeat it (see `packet_sizes`); so looks are decoded one by
one until two have been found equal to the pixel. First only the latest picture that is not proved is
decoded and compared with what was read: often it is a key picture, or comes soon after one, and repeats
that. Key pictures check the sizes too: where one shows that a part of the screen has changed though all
pictures before it were proved, the looks before it are decoded.

Damage in pictures that are not decoded is not found, and costs nothing: what they show was read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from av.video.frame import VideoFrame

from operators.decode_chosen import ChosenDecoder
from operators.distinct import Change, Verdict
from operators.held_packets import Held
from operators.packet_sizes import PacketSizes, Places
from operators.sample import Look

Place = TypeVar("Place")

_LOOK_BACK = 64
"""Codecs reorder by fewer pictures."""

Judge = Callable[[VideoFrame], Change]
"""Compares a frame with what was read up to now; called between two looks."""
Equal = Callable[[VideoFrame, VideoFrame], bool]
"""Tells whether two frames are equal to the pixel."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[Place]):
    """What is known of a look."""

    look: Look[Place]
    frame: VideoFrame | None
    """None where it was not decoded, because it shows what was read."""


class WatchedLooks:
    """The looks at a span."""

    def __init__(self, held: Held, decoder: ChosenDecoder, judge: Judge, equal: Equal) -> None:
        """Judge sizes; nothing is decoded yet.

        Args:
            held: The span's packets.
            decoder: Of these packets.
            judge: Compares a frame with what was read.
            equal: Compares two frames with each other.
        """
        self._held, self._decoder, self._judge, self._equal = held, decoder, judge, equal
        self._sizes = PacketSizes(held.coded())
        self._stamps = np.asarray(held.stamps, np.int64)
        self._shown = frozenset(held.shown)
        self._following: dict[int, int] = {}
        self._latest: VideoFrame | None = None

    def changed(self, looks: Sequence[Look[int]], first_inside: int) -> Iterator[Seen[int]]:
        """Give every look, with its frame where that may be another one than before.

        Args:
            looks: In order; those before the span first.
            first_inside: Number of looks before the span. They and the first one in it get a frame.
        """
        self._following = {one.value: other.value for one, other in pairwise(looks)}
        before = looks[0].value
        waiting: list[Look[int]] = []
        for number, look in enumerate(looks):
            since = self._since(before, look.value)
            new = self._sizes.unproved(since)
            before = look.value
            if not len(new) and number > first_inside:
                waiting.append(look)
                continue
            yield from self._settle(waiting, new)
            waiting = []
            if number > first_inside and self._is_read(look, new):
                yield Seen(look, None)
                continue
            earlier, frame = self._latest, self._exactly(look)
            if earlier is not None and self._sizes.are_quiet(since) and self._equal(earlier, frame):
                self._sizes.prove(since)
            yield Seen(look, frame)
        places = np.arange(before + 1, len(self._held.packets))
        yield from self._settle(waiting, self._sizes.unproved(places))

    def _settle(self, waiting: list[Look[int]], new: Places) -> Iterator[Seen[int]]:
        """Give looks at which nothing is new, checked by the key picture after them.

        Another picture as a whole begins with a key picture; a part that changed may have before.
        """
        is_part = False
        if waiting and len(new) and self._is_key(int(new[0])):
            change = self._judge(self._decoder.picture(int(new[0]), is_last=False))
            is_part = change.verdict is Verdict.PART
        for look in waiting:
            yield Seen(look, self._exactly(look) if is_part else None)

    def _is_read(self, look: Look[int], new: Places) -> bool:
        """Tell by the latest picture that may show something new whether a look shows what was read."""
        latest = int(new[np.argmax(self._stamps[new])])
        if self._stamps[latest] >= self._stamps[look.value] or latest not in self._shown:
            return False
        frame = self._decoder.picture(latest, is_last=self._is_key(latest))
        if self._judge(frame).verdict is not Verdict.SAME:
            return False
        self._latest = frame
        return True

    def _exactly(self, look: Look[int]) -> VideoFrame:
        following = self._following.get(look.value)
        is_last = following is None or self._held.chain(following) > look.value
        self._latest = self._decoder.picture(look.value, is_last=is_last)
        return self._latest

    def _since(self, before: int, now: int) -> Places:
        """List the pictures that may have changed what is seen from one look to another.

        Those count that are decoded up to `now`, unless they were already shown at `before`.
        """
        places = np.arange(max(0, before - _LOOK_BACK), now + 1)
        is_later = (places > before) | (self._stamps[places] > self._stamps[before])
        return np.asarray(places[is_later], np.int64)

    def _is_key(self, place: int) -> bool:
        return self._held.packets[place].is_keyframe


def every_look(held: Held, decoder: ChosenDecoder, looks: Sequence[Look[int]]) -> Iterator[Seen[int]]:
    """Give every look with its frame, decoding only what leads to it."""
    for look, following in zip(looks, [*looks[1:], None], strict=True):
        is_last = following is None or held.chain(following.value) > look.value
        yield Seen(look, decoder.picture(look.value, is_last=is_last))
