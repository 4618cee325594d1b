"""Sound of one track as mono at 16 kHz, with exact times, whatever happens.

Decoders count samples, containers stamp times, and the two disagree: tracks begin late, pause, run
at rates that are not quite what they say, overlap, jump, change their format or are damaged. This
module puts every sample where its time stamp says, on a grid of samples that begins where the
asset's clock reads zero. It yields blocks in order of time and keeps an account of what was lost.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import av.error
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from operators.containers import as_input_error, clock_start, only, video_stream
from operators.speech_engine import SAMPLE_RATE

FILLED_SAMPLES = SAMPLE_RATE
"""A gap up to this (1 s) is filled with silence; a longer one divides the sound."""

_TOLERANCE_SECONDS = 0.03
"""How far time stamps may differ from the count of samples before they are followed.
Containers that count milliseconds or packets are off by up to 26 ms (one frame of MP3)."""

_LEAD_SECONDS = 1.0
"""Decoding begins so much before the wanted time: the state of a codec reaches back some 0.1 s."""

_MERGED_SECONDS = 2.0
"""Losses that are closer together count as one."""

_DISORDERED_SAMPLES = SAMPLE_RATE // 2
"""Sound later than this comes from a clock that was set back; less is drift."""

_MOST_READ_ERRORS = 50
_MOST_FRAME_SAMPLES = 4 << 20
"""Samples of one channel in one decoded frame; real codecs have up to some seconds."""
_RATES = range(1_000, 768_001)
"""Sampling rates that exist. A damaged header beyond them would make filters or frames of gigabytes."""
_MOST_MIXED = 8
"""Channels that FFmpeg can mix by the places of their loudspeakers."""
_BLOCK_SAMPLES = 16_384
"""Samples handed on at once, as many as the voice detector takes: coders have frames of 20 ms, and
each costs as much again in Python."""
_HALF_POWER = 0.5**0.5

_UNPLACED = re.compile(r"channels$|^ambisonic")
"""Names of layouts that do not say where loudspeakers stand."""

Wave = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples."""

    start: int
    """Place of the first on the asset's clock, in samples at 16 kHz."""
    samples: NDArray[np.int16]

    @property
    def end(self) -> int:
        """Where the next sample would be."""
        return self.start + len(self.samples)


@dataclass(slots=True)
class Loss:
    """A stretch of sound that is damaged, or was left out."""

    start: float
    end: float
    packets: int = 0
    """Packets that could not be decoded, or were marked as damaged on their way…"""
    samples: int = 0
    """…or samples at 16 kHz whose time had passed already."""


@dataclass(slots=True)
class SoundAccount:
    """What happened while reading."""

    packet_bytes: int = 0
    losses: list[Loss] = field(default_factory=list)
    """Those that are over; the caller may take them out."""
    open_loss: Loss | None = None
    """The latest one, while it may still grow."""
    given: int = 0
    """Samples given, silence in short gaps included."""
    stopped: int | None = None
    """Where reading ended because there was too much."""
    ends: dict[int, float] = field(default_factory=dict)
    """Latest end of a packet of each stream read, on the asset's clock."""

    def lose(self, start: float, end: float, packets: int = 0, samples: int = 0) -> None:
        """Enter a loss, joined with the one before it where that is near."""
        self.settle(start)
        if self.open_loss is None:
            self.open_loss = Loss(start, end)
        self.open_loss.end = max(self.open_loss.end, end)
        self.open_loss.packets += packets
        self.open_loss.samples += samples

    def settle(self, now: float) -> None:
        """End the open loss if there was good sound for long enough."""
        if self.open_loss is not None and now - self.open_loss.end > _MERGED_SECONDS:
            self.losses.append(self.open_loss)
            self.open_loss = None


class SoundReader:
    """Reads one track of an open container."""

    def __init__(self, container: InputContainer, stream: AudioStream, most_seconds: float) -> None:
        """Prepare decoding.

        Args:
            container: As `open_container` gives it; not used by anybody else.
            stream: The track.
            most_seconds: Sound beyond this is left out, and later time stamps are not believed.

        Raises:
            InputError: The decoder does not accept the track.
        """
        self.container = container
        self.stream = stream
        self.account = SoundAccount()
        self.start = float(clock_start(container))
        self.most_seconds = most_seconds
        self.next = 0
        """Place of the next sample to be given."""
        # Where the track does not state its length, the pictures tell whether the file is cut short.
        pictures = None if stream.duration else video_stream(container)
        self._streams: list[Stream] = [stream] if pictures is None else [stream, pictures]
        only(container, *self._streams)
        self._decoder = _decoder(stream)
        self.heard_until = 0.0
        """End of the last frame decoded, on the asset's clock."""
        assert stream.time_base is not None
        self._base = float(stream.time_base)

    def blocks(self, begin: float) -> Iterator[Block]:
        """Yield the sound from a time on, in order.

        A block that does not begin where the one before it ended comes after a gap. Packets
        before `begin` are read and thrown away: seeking would be faster, but many formats (MP3,
        ADTS) only guess the time after it.

        Raises:
            InputError: The decoder ran out of memory.
        """
        self.next, self.heard_until = round(begin * SAMPLE_RATE), begin
        for start, wave in self._converted(begin):
            block = self._placed(start, wave)
            if block is not None:
                yield block
            if self.account.stopped is not None:
                return

    def _placed(self, start: int, wave: Wave) -> Block | None:
        """Leave out what comes too late, fill a short gap, and stop when there is too much."""
        account, late = self.account, self.next - start
        if late > 0:
            is_lost = account.given > 0 or start < -_DISORDERED_SAMPLES  # else it is priming, or the lead
            if is_lost and late > _DISORDERED_SAMPLES:
                now = self.next / SAMPLE_RATE
                account.lose(now, now, samples=min(late, len(wave)))
            start, wave = self.next, wave[late:]
        if not len(wave):
            return None
        samples = _quantised(wave)
        if account.given and 0 < start - self.next <= FILLED_SAMPLES:
            samples = np.concatenate([np.zeros(start - self.next, np.int16), samples])
            start = self.next
        room = int(self.most_seconds * SAMPLE_RATE) - account.given
        if len(samples) > room:
            samples = samples[:room]
            account.stopped = start + room
        account.given += len(samples)
        block = Block(start, samples)
        self.next = block.end
        account.settle(start / SAMPLE_RATE)
        return block if len(samples) else None

    def _converted(self, begin: float) -> Iterator[tuple[int, Wave]]:
        """Convert frames; begin anew where their format changes or their clock goes another way."""
        converter: _Converter | None = None
        for time, frame in self._believed(begin):
            expected = begin if converter is None else converter.expected
            is_late = time is not None and abs(time - expected) > _TOLERANCE_SECONDS
            if converter is None or is_late or converter.form != _form(frame):
                if converter is not None:
                    yield from converter.finish()
                is_set = time is not None and (is_late or converter is None)
                converter = _Converter(frame, time if is_set and time is not None else expected)
            try:
                yield from converter.convert(frame)
            except av.error.MemoryError as error:
                raise as_input_error(error) from error
            except av.error.FFmpegError:
                self.account.lose(converter.expected, converter.expected, packets=1)
        if converter is not None:
            yield from converter.finish()

    def _believed(self, begin: float) -> Iterator[tuple[float | None, AudioFrame]]:
        """Drop the times that cannot be: after the next frame's, or beyond the limit."""
        held: tuple[float | None, AudioFrame] | None = None
        for time, frame in self._decoded(begin):
            if time is not None and time > self.most_seconds:
                time = None  # noqa: PLW2901 - samples are counted instead
            if held is not None:
                is_outlier = held[0] is not None and time is not None and held[0] > time
                yield (None if is_outlier else held[0]), held[1]
            held = time, frame
        if held is not None:
            yield held

    def _decoded(self, begin: float) -> Iterator[tuple[float | None, AudioFrame]]:
        for packet in self._packets(begin):
            for frame in self._decode(packet):
                time = None if frame.pts is None else frame.pts * self._base - self.start
                if frame.sample_rate not in _RATES or not frame.layout.nb_channels:
                    self._lose(packet)
                    continue
                if not frame.samples:
                    continue
                length = frame.samples / frame.sample_rate
                self.heard_until = (self.heard_until if time is None else time) + length
                if frame.is_corrupt:
                    self.account.lose(self.heard_until - length, self.heard_until, packets=1)
                yield time, frame

    def _decode(self, packet: "Packet[AudioStream]") -> list[AudioFrame]:
        try:
            return self._decoder.decode(packet if packet.size else None)
        except av.error.EOFError:
            return []
        except av.error.MemoryError as error:
            raise as_input_error(error) from error
        except av.error.FFmpegError:
            self._lose(packet)
            return []

    def _lose(self, packet: "Packet[AudioStream]") -> None:
        stamp = _stamp(packet)
        start = self.heard_until if stamp is None else stamp * self._base - self.start
        if start > self.most_seconds:
            start = self.heard_until
        length = min((packet.duration or 0) * self._base, _LEAD_SECONDS)
        self.account.lose(start, start + length, packets=1)

    def _packets(self, begin: float) -> "Iterator[Packet[AudioStream]]":
        """Yield the packets of the track, the last one empty; keep count of all."""
        errors, is_over = 0, False
        while not is_over:
            try:
                for packet in self.container.demux(*self._streams):
                    end = self._count(packet)
                    is_early = end is not None and end < begin - _LEAD_SECONDS
                    if packet.size and packet.stream_index == self.stream.index and not is_early:
                        yield cast("Packet[AudioStream]", packet)
                is_over = True
            except av.error.FFmpegError:
                errors += 1
                self.account.lose(self.heard_until, self.heard_until, packets=1)
                is_over = errors >= _MOST_READ_ERRORS
        yield cast("Packet[AudioStream]", Packet())

    def _count(self, packet: "Packet[Stream]") -> float | None:
        """Note where a packet ends, and return that time; None without a time stamp."""
        if packet.size and packet.stream_index == self.stream.index:
            self.account.packet_bytes += packet.size
        stamp = _stamp(packet)
        if not packet.size or stamp is None or packet.time_base is None:
            return None
        end = (stamp + (packet.duration or 0)) * float(packet.time_base) - self.start
        if end <= self.most_seconds:
            ends = self.account.ends
            ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
        return end


def _stamp(packet: "Packet[Stream] | Packet[AudioStream]") -> int | None:
    return packet.pts if packet.pts is not None else packet.dts


def _decoder(stream: AudioStream) -> AudioCodecContext:
    """Open a decoder that refuses frames which no codec makes."""
    decoder = stream.codec_context
    decoder.options = {**decoder.options, "max_samples": str(_MOST_FRAME_SAMPLES)}
    decoder.thread_count = 1
    try:
        decoder.open(strict=False)
    except av.error.FFmpegError as error:
        raise as_input_error(error) from error
    return decoder


_Form = tuple[str, str, int]


def _form(frame: AudioFrame) -> _Form:
    return frame.format.name, frame.layout.name, frame.sample_rate


class _Converter:
    """Turns frames of one format that follow on each other into mono at 16 kHz."""

    def __init__(self, frame: AudioFrame, start: float) -> None:
        self.form = _form(frame)
        self._start, self._taken = start, 0
        self._place = round(start * SAMPLE_RATE)
        channels = frame.layout.nb_channels
        # The places of the loudspeakers are unknown, or FFmpeg cannot mix them all.
        is_placed = not _UNPLACED.search(frame.layout.name)
        self._is_mean = channels > _MOST_MIXED or (channels > 2 and not is_placed)
        # FFmpeg's own weights are 1 for the centre and 0.7 for the sides: the same sound in two
        # channels would become 1.4 times as loud and clip.
        self._gain = np.float32(1 if channels == 1 or self._is_mean else _HALF_POWER)
        self._unpacker = AudioResampler("flt")
        self._resampler = AudioResampler("flt", "mono", SAMPLE_RATE, frame_size=_BLOCK_SAMPLES)

    @property
    def expected(self) -> float:
        """When the next frame should begin, by the count of samples."""
        return self._start + self._taken / self.form[2]

    def convert(self, frame: AudioFrame) -> Iterator[tuple[int, Wave]]:
        """Yield samples that are ready, each array with the place of its first."""
        self._taken += frame.samples
        # The clock of the frames is not that of the samples: the resampler must not see it.
        frame.pts = None
        mixed = [self._mean(item) for item in self._unpacker.resample(frame)] if self._is_mean else [frame]
        for item in mixed:
            yield from self._counted(self._resampler.resample(item))

    def finish(self) -> Iterator[tuple[int, Wave]]:
        """Yield what the filter still holds."""
        yield from self._counted(self._resampler.resample(None))

    def _mean(self, frame: AudioFrame) -> AudioFrame:
        channels = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
        mono = np.nan_to_num(channels, posinf=0, neginf=0).mean(axis=1, dtype=np.float32)
        mixed = AudioFrame.from_ndarray(mono.reshape(1, -1), format="flt", layout="mono")
        mixed.sample_rate = frame.sample_rate
        return mixed

    def _counted(self, frames: Sequence[AudioFrame | None]) -> Iterator[tuple[int, Wave]]:
        for frame in frames:
            if frame is not None:  # a resampler without work passes the end on
                wave = frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)
                yield self._place, wave * self._gain
                self._place += len(wave)


def _quantised(wave: Wave) -> NDArray[np.int16]:
    """Round to 16 bits; what is no number becomes silence."""
    finite = np.nan_to_num(wave, nan=0, posinf=0, neginf=0)
    return np.rint(np.clip(finite * 32768, -32768, 32767)).astype(np.int16)
