"""Frames of one video stream from a given time on, with exact times, whatever happens.

Seeking lands where the container's index says, which may be late or absent; packets may be
damaged or missing; a decoder may be told to skip what no look needs. This module hides all
that: it yields clean frames in order of presentation and keeps an account of what was lost.
"""

import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from operators.containers import as_input_error, audio_stream, clock_start, only
from operators.open_decoder import SKIPPING, open_decoder
from operators.read_account import Account
from operators.sample import Grid, Needed, Timed
from schemas.failure import InputError, Reason

Frame = Timed[VideoFrame]

_STEPS_BACK = (Fraction(0), Fraction(10), Fraction(60))
"""Seconds by which a seek that landed late is tried again earlier; then from the start."""
_MOST_READ_ERRORS = 50


class FrameReader:
    """Reads one stream of an open container."""

    def __init__(self, container: InputContainer, stream: VideoStream, max_pixels: int) -> None:
        """Prepare decoding.

        Args:
            container: As `open_container` gives it; not used by anybody else.
            stream: The stream to decode.
            max_pixels: Frames that declare more are not decoded.

        Raises:
            InputError: The decoder does not accept the stream.
        """
        self.container = container
        self.stream = stream
        self.account = Account()
        self.start = clock_start(container)
        self.key_frames_only = False
        self.keep_damaged = False
        self.horizon: Fraction | None = None
        """Packets to be decoded after this time are not read; None reads to the end."""
        self.believable_seconds = float("inf")
        """Ends declared beyond this are not believed."""
        self.most_frames: int | None = None
        """Frames decoded from the wanted time on; those that only lead there, from a key frame
        that may lie an hour before, do not count."""
        self._moved = False
        self._begin = Fraction(0)
        sound = audio_stream(container)
        self._streams = [stream] if sound is None else [stream, sound]
        only(container, *self._streams)
        self._decoder = open_decoder(stream, max_pixels)
        rate = stream.average_rate or stream.guessed_rate
        self.frame_seconds = 1 / Fraction(rate) if rate else Fraction(1, 25)
        assert stream.time_base is not None
        self._time_base = stream.time_base

    def frames(self, begin: Fraction, grid: Grid | None = None) -> Iterator[Frame]:
        """Yield frames in order, starting with one on screen at `begin` or before it.

        Args:
            begin: In seconds on the asset's clock.
            grid: When looks are taken; pictures that no look needs are left out where that
                saves time and changes no other picture.

        Raises:
            InputError: The container cannot seek back to the start.
        """
        self._begin = begin
        for step in _STEPS_BACK:
            if begin - step <= 0 or not self._seek(begin - step):
                break
            frames = self._in_order(grid)
            first = next(frames, None)
            if self.account.first_packet is None:
                return
            if self.account.first_packet <= begin:
                if first is not None:
                    yield first
                yield from frames
                return
        self._rewind()
        yield from self._in_order(grid)

    def packets_from(self, begin: Fraction) -> "Iterator[Packet[VideoStream]]":
        """Yield packets in order, undecoded, from one at `begin` or before it; the last one is empty.

        Raises:
            InputError: The container cannot seek back to the start.
        """
        for step in _STEPS_BACK:
            if begin - step <= 0 or not self._seek(begin - step):
                break
            packets = self._packets()
            first = next(packets)
            if self.account.first_packet is None or self.account.first_packet <= begin:
                yield first
                yield from packets
                return
        self._rewind()
        yield from self._packets()

    def decode(self, packet: "Packet[VideoStream] | None", *, wanted: bool = True) -> list[VideoFrame]:
        """Decode a packet that was read before.

        Args:
            packet: The next one in the order of decoding; None for all that the decoder holds back,
                after which it must be restarted.
            wanted: Whether its own picture is; else it is left out if no other needs it.
        """
        if self.can_skip:
            self._decoder.skip_frame = "DEFAULT" if wanted or packet is None else "NONREF"
        return self._decode(cast("Packet[VideoStream]", Packet()) if packet is None else packet)

    def restart(self) -> None:
        """Let the decoder forget what it holds; a key picture must come next."""
        self._decoder.flush_buffers()

    @property
    def codec(self) -> str:
        """Name of the decoder."""
        return self._decoder.name

    @property
    def can_skip(self) -> bool:
        """Whether the decoder leaves out pictures to which no other refers, when told to."""
        return self._decoder.name in SKIPPING

    @property
    def unit(self) -> Fraction:
        """Seconds of one unit of the stream's time stamps."""
        return self._time_base

    def time_of(self, stamp: int) -> Fraction:
        """Turn a time stamp of the stream into seconds on the asset's clock."""
        return stamp * self._time_base - self.start

    def stamp_of(self, time: Fraction, *, up: bool = False) -> int:
        """Turn seconds on the asset's clock into a time stamp, the one at or before it, or after it."""
        exactly = (time + self.start) / self._time_base
        return math.ceil(exactly) if up else math.floor(exactly)

    def stands_until(self, stamp: int, duration: int) -> None:
        """Note when the last frame leaves the screen, by its packet."""
        seconds = duration * self._time_base if duration else self.frame_seconds
        self.account.last_frame = self.time_of(stamp) + seconds

    def last_picture(self) -> Fraction | None:
        """Return when the last packet of pictures that was read ends; None if there was none."""
        end = self.account.ends.get(self.stream.index)
        return None if end is None else self.time_of(end)

    def last_packet(self) -> Fraction:
        """Return when the last packet of pictures or sound that was read ends."""
        ends = self.account.ends
        times = [
            ends[item.index] * (item.time_base or 0) - self.start
            for item in self._streams
            if item.index in ends
        ]
        return max(times, default=Fraction(0))

    def _rewind(self) -> None:
        if self._moved and not self._seek(Fraction(0)):
            msg = "Wanted to read the video from its start again, but its container cannot seek. Remux it."
            raise InputError(Reason.CORRUPT, msg)

    def _seek(self, time: Fraction) -> bool:
        self._moved = True
        self.account = Account()
        try:
            self.container.seek(int((time + self.start) / self._time_base), stream=self.stream)
        except (av.error.FFmpegError, OSError):
            return False
        self._decoder.flush_buffers()
        return True

    def _in_order(self, grid: Grid | None) -> Iterator[Frame]:
        """Leave out frames that go back in time."""
        latest: Fraction | None = None
        for frame in self._decoded(grid):
            if latest is not None and frame.time <= latest:
                self.account.disordered += 1
                continue
            latest = frame.time
            yield frame

    def _decoded(self, grid: Grid | None) -> Iterator[Frame]:
        previous: Fraction | None = None
        for packet in self._chosen(grid):
            for frame in self._decode(packet):
                stamp = frame.pts if frame.pts is not None else frame.dts
                if stamp is not None:
                    time = self.time_of(stamp)
                else:
                    time = Fraction(0) if previous is None else previous + self.frame_seconds
                previous = time
                if self._is_too_much(time):
                    return
                if frame.is_corrupt:
                    self.account.bad.append(time)
                    if not self.keep_damaged:
                        continue
                duration = frame.duration * self._time_base if frame.duration else self.frame_seconds
                self.account.last_frame = time + duration
                yield Timed(time, frame)

    def _is_too_much(self, time: Fraction) -> bool:
        if self.most_frames is None or time < self._begin:
            return False
        self.account.frames += 1
        if self.account.frames <= self.most_frames:
            return False
        self.account.stopped = time
        return True

    def _decode(self, packet: "Packet[VideoStream]") -> list[VideoFrame]:
        try:
            return self._decoder.decode(packet if packet.size else None)
        except av.error.EOFError:
            return []
        except av.error.MemoryError as error:
            raise as_input_error(error) from error
        except av.error.FFmpegError:
            stamp = _stamp(packet)
            self.account.bad.append(self._now() if stamp is None else self.time_of(stamp))
            return []

    def _now(self) -> Fraction:
        return self.account.last_frame or Fraction(0)

    def _chosen(self, grid: Grid | None) -> "Iterator[Packet[VideoStream]]":
        """Yield packets, having told the decoder for each what it may leave out."""
        if self.key_frames_only:
            self._decoder.skip_frame = "NONKEY"
        if grid is None or not self.can_skip:
            yield from self._packets()
            return
        needed = Needed(grid, self._time_base, self.start)
        window: deque[Packet[VideoStream]] = deque()
        for packet in self._packets():
            if packet.pts is not None:
                needed.add(packet.pts)
            window.append(packet)
            if len(window) > needed.ahead:
                yield self._weighed(window.popleft(), needed)
        while window:
            yield self._weighed(window.popleft(), needed)

    def _weighed(self, packet: "Packet[VideoStream]", needed: Needed) -> "Packet[VideoStream]":
        wanted = packet.pts is None or needed.is_needed(packet.pts)
        self._decoder.skip_frame = "DEFAULT" if wanted else "NONREF"
        return packet

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        """Yield the packets of the stream, the last one empty; keep count of all.

        The empty packet makes the decoder hand out what it still holds. It is made here,
        because PyAV's own do not bear the index of their stream.
        """
        errors = 0
        self._moved = True
        last = None if self.horizon is None else int((self.horizon + self.start) / self._time_base)
        while not self.account.ended:
            try:
                for packet in self.container.demux(*self._streams):
                    self._count(packet)
                    if not packet.size or packet.stream_index != self.stream.index:
                        continue
                    if last is not None and packet.dts is not None and packet.dts > last:
                        return
                    yield cast("Packet[VideoStream]", packet)
                self.account.ended = True
            except av.error.FFmpegError:
                errors += 1
                self.account.bad.append(self._now())
                self.account.ended = errors >= _MOST_READ_ERRORS
        yield cast("Packet[VideoStream]", Packet())

    def _count(self, packet: "Packet[Stream]") -> None:
        stamp = _stamp(packet)
        if not packet.size or stamp is None:
            return
        end = stamp + (packet.duration or 0)
        latest = self.account.ends.get(packet.stream_index, end)
        self.account.ends[packet.stream_index] = max(end, latest)
        if packet.stream_index == self.stream.index:
            if not self.account.packets:
                self.account.first_packet = self.time_of(stamp)
            self.account.packets += 1
            self.account.packet_bytes += packet.size
            if packet.is_keyframe:
                self.account.keys.append(self.time_of(stamp))


def _stamp(packet: "Packet[Stream] | Packet[VideoStream]") -> int | None:
    return packet.pts if packet.pts is not None else packet.dts
