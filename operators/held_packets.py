"""The coded pictures of a span, held until it is known which of them must be decoded.

Reading packets takes a fortieth of decoding them. With all of a span at hand it is known, before
anything is decoded, which picture is on screen when, from which key picture each can be decoded,
and how many bytes each takes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from operators.packet_sizes import Coded
from operators.read_frames import FrameReader
from operators.sample import Grid, Timed

MOST_BYTES = 64 << 20
"""Of packets that are held at once: a minute at 9 Mbit/s."""
_REORDERED = 32
"""Pictures that may come between one and the next on screen; codecs reorder by 16 at most."""
_CLOSING_SECONDS = Fraction(25, 2)
"""How far beyond the span a key picture is looked for."""
_HIDING = frozenset({"vp8", "vp9", "libvpx", "libvpx-vp9", "libdav1d", "libaom-av1", "av1"})
"""Decoders of formats with pictures that are coded long before they are shown."""
_HIDDEN_PICTURES = 48
"""How long before, at the most; libaom looks ahead by 48 pictures, libvpx by 25."""
_SHOWN = 0x10
"""Bit of the first byte of a VP8 picture: it is shown. Others only help to predict."""


class UnevenError(Exception):
    """The packets do not say what decoding gives: all frames have to be decoded instead."""


class Held:
    """Packets in the order of decoding, the first one a key picture."""

    def __init__(self, packets: Sequence["Packet[VideoStream]"], reader: FrameReader) -> None:
        """Order the pictures.

        Raises:
            UnevenError: Time stamps are missing or double, or the first picture is no key picture.
        """
        self.packets = packets
        self.stamps = [_stamp(packet) for packet in packets]
        """When each is shown, in units of the time base."""
        self.keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
        shown = [place for place, packet in enumerate(packets) if _is_shown(packet, reader.codec)]
        self.shown = sorted(shown, key=self.stamps.__getitem__)
        """Positions of the pictures that are shown, in the order of presentation."""
        if len(set(self.stamps)) < len(packets) or not shown or not self.keys or self.keys[0]:
            raise UnevenError
        self._reader = reader

    def chain(self, place: int) -> int:
        """Return the position of the key picture from which a picture can be decoded.

        Pictures that are decoded after a key picture but shown before it need the one before.
        """
        stamp = self.stamps[place]
        before = self.keys[: bisect_right(self.keys, place)]
        return next((key for key in reversed(before) if self.stamps[key] <= stamp), 0)

    def coded(self) -> Coded:
        """Return what sizes can be judged by."""
        sizes = np.array([packet.size for packet in self.packets], np.int64)
        hidden = _HIDDEN_PICTURES if self._reader.codec in _HIDING else 0
        return Coded(sizes, self.stamps, self.keys, hidden)

    def on_grid(self, grid: Grid) -> Iterator[Timed[int]]:
        """Give the time and position of the pictures that can be on screen at a look, in order.

        The first, the last and the first one after the end are among them; of the rest those that
        no look sees are left out, because exact fractions for all would cost a tenth of decoding.
        """
        order = [self.stamps[place] for place in self.shown]
        last = len(order) - 1
        after = min(bisect_left(order, self._reader.stamp_of(grid.end, up=True)), last)
        chosen, look, place = {0, after, last}, grid.begin, 0
        while place < last and (grid.open or look < grid.end):
            place = max(0, bisect_right(order, self._reader.stamp_of(look)) - 1)
            chosen |= {place, min(place + 1, last)}
            look = grid.next_look(self._reader.time_of(order[min(place + 1, last)]))
        for place in sorted(chosen):
            yield Timed(self._reader.time_of(order[place]), self.shown[place])


def hold(reader: FrameReader, begin: Fraction, end: Fraction | None, *, closing: bool) -> Held:
    """Read the packets of a span without decoding any.

    Args:
        reader: At any place; its account begins anew.
        begin: What is on screen then is needed.
        end: Pictures from then on are not needed, but for how long the last one stands; null reads
            to the end of the file.
        closing: Read on to the next key picture, unless it is far.

    Raises:
        UnevenError: There are too many, some are damaged, or there is no key picture to begin with.
    """
    packets: list[Packet[VideoStream]] = []
    first = reader.stamp_of(begin)
    border = None if end is None else reader.stamp_of(end, up=True)
    limit = None if end is None else reader.stamp_of(end + _CLOSING_SECONDS)
    held_bytes = inside = beyond = 0
    for packet in reader.packets_from(begin):
        if not packet.size:
            break
        if packet.pts is None or packet.is_corrupt or reader.account.bad:
            raise UnevenError
        packets.append(packet)
        held_bytes += packet.size
        if border is None or packet.pts < border:
            inside += packet.pts >= first
        else:
            beyond += 1
            closing &= not packet.is_keyframe
            assert limit is not None
            if beyond >= _REORDERED and (not closing or packet.pts >= limit):
                break
        if held_bytes > MOST_BYTES or inside > (reader.most_frames or inside):
            raise UnevenError
    if reader.account.bad or not packets:
        raise UnevenError
    held = Held(packets, reader)
    last = packets[held.shown[-1]]
    reader.stands_until(held.stamps[held.shown[-1]], last.duration or 0)
    return held


def _stamp(packet: "Packet[VideoStream]") -> int:
    assert packet.pts is not None
    return packet.pts


def _is_shown(packet: "Packet[VideoStream]", codec: str) -> bool:
    if packet.is_discard:
        return False
    return codec != "vp8" or bool(memoryview(packet)[0] & _SHOWN)
