"""The sound of a video or audio file becomes pieces in which somebody speaks.

One track is decoded once, from beginning to end; a voice detector listens along, and the sound is cut
where nobody speaks. Each unit is a window of time and is handed on as soon as no further piece
can begin in it, so that a recording of many hours is never in memory. A piece belongs to the window
in which it begins.
"""

import os
import re
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from av.audio.stream import AudioStream

from operators.containers import audio_stream, media_errors, open_container
from operators.cut_speech import Cut, SpeechCutter
from operators.read_sound import Block, Loss, SoundReader
from operators.speech_engine import SAMPLE_RATE
from operators.voice import VoiceDetector
from schemas.config import Config
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Asset, Kind, Unit
from schemas.perception import Cost, Perception, Piece, Stretch

_MISSING_SECONDS = 1.0
"""An end that comes earlier than promised by less is rounding, not loss."""

_TAIL_SECONDS = 0.1
"""Damage at the very end that is shorter is padding, or a tag that was taken for sound."""

_ESTIMATED = frozenset({"aac", "ac3", "mp3", "amr"})
"""Demuxers that guess the duration from size and bit rate: they promise nothing."""


_OWN_LENGTHS = frozenset({"mov", "avi"})
"""Demuxers of videos whose files state the length of each track."""

_TAG_SECONDS = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)")

_WAV_HEAD_BYTES = 64 << 10
_WAV_PLACEHOLDER = 0x7FFF_0000
"""Writers that cannot go back to the header put sizes from here on into it (SoX 0x7FFFF000, others
0x7FFFFFFF, 0x80000000 or 0xFFFFFFFF): they promise nothing."""


def decode_sound(
    file: BinaryIO | str, asset: Asset, units: Sequence[Unit], config: Config
) -> Iterator[Perception]:
    """Decode the sound of an asset, from the first of some units on.

    Args:
        file: The asset's bytes, seekable, or its local path.
        asset: As probed; names the demuxer.
        units: Consecutive windows. The last one takes all sound that comes after it.
        config: `speech.language` chooses among tracks; `limits.seconds` bounds the sound.

    Yields:
        For each unit in order its pieces and a failure for each stretch that was lost. A unit beyond
        the end of the sound has none.

    Raises:
        InputError: The file cannot be opened, or has no sound to decode.
    """
    with media_errors():
        missing_bytes = _missing_wav_bytes(file) if asset.container == "wav" else 0
    with media_errors(), open_container(file, asset.container) as container:
        stream = audio_stream(container, config.speech.language)
        if stream is None:
            msg = f"Wanted a sound track that can be decoded, found none ({asset.container}). Probe it again."
            raise InputError(Reason.NO_CONTENT, msg)
        reader, listener = SoundReader(container, stream, config.limits.seconds), _Listener()
        windows = _Windows(asset, units, reader)
        for block in reader.blocks(units[0].start_seconds or 0.0):
            windows.sounds(block)
            windows.take(listener.hear(block), _closed(reader))
            yield from windows.complete(min(listener.settled, _settled(reader)))
        windows.take(listener.finish(), _at_end(reader, asset, missing_bytes))
        yield from windows.complete(float("inf"))


def _settled(reader: SoundReader) -> float:
    """Return the place before which no further loss will begin."""
    loss = reader.account.open_loss
    return reader.next if loss is None else loss.start * SAMPLE_RATE


class _Run:
    """Unbroken sound, as far as pieces may still be cut from it."""

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._detector, self._cutter = VoiceDetector(), SpeechCutter()
        self._kept: deque[Block] = deque()

    @property
    def settled(self) -> int:
        """The place before which no further piece will begin."""
        return self.start + self._cutter.settled

    def hear(self, block: Block) -> Iterator[Piece]:
        self.end = block.end
        self._kept.append(block)
        yield from self._pieces(self._cutter.push(self._detector.hear(block.samples).tolist()))
        while self._kept and self._kept[0].end <= self.settled:
            self._kept.popleft()

    def finish(self) -> Iterator[Piece]:
        yield from self._pieces(self._cutter.push(self._detector.finish().tolist()))
        yield from self._pieces(self._cutter.finish(self.end - self.start))

    def _pieces(self, cuts: Iterable[Cut]) -> Iterator[Piece]:
        for cut in cuts:
            samples = self._samples(self.start + cut.start, self.start + cut.end)
            speech = [Stretch(self._seconds(start), self._seconds(end)) for start, end in cut.speech]
            yield Piece(self._seconds(cut.start), self._seconds(cut.end), samples, speech)

    def _seconds(self, sample: int) -> float:
        return (self.start + sample) / SAMPLE_RATE

    def _samples(self, start: int, end: int) -> bytes:
        parts = [
            block.samples[max(start - block.start, 0) : max(end - block.start, 0)] for block in self._kept
        ]
        return np.concatenate(parts).astype("<i2").tobytes()


class _Listener:
    """Cuts sound into pieces; begins anew after each gap."""

    def __init__(self) -> None:
        self._run: _Run | None = None

    @property
    def settled(self) -> float:
        """The place before which no further piece will begin."""
        return float("inf") if self._run is None else self._run.settled

    def hear(self, block: Block) -> Iterator[Piece]:
        if self._run is not None and block.start != self._run.end:
            yield from self.finish()
        if self._run is None:
            self._run = _Run(block.start)
        yield from self._run.hear(block)

    def finish(self) -> Iterator[Piece]:
        if self._run is not None:
            yield from self._run.finish()
        self._run = None


@dataclass(slots=True)
class _Window:
    """What was found in a unit so far."""

    pieces: list[Piece] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    samples: int = 0


class _Windows:
    """Sorts what was found into units, and hands them on in order."""

    def __init__(self, asset: Asset, units: Sequence[Unit], reader: SoundReader) -> None:
        self._asset, self._units, self._reader = asset, units, reader
        self._borders = [unit.start_seconds or 0.0 for unit in units]
        self._windows = [_Window() for _ in units]
        self._done = 0
        self._started, self._bytes = time.perf_counter(), 0

    def sounds(self, block: Block) -> None:
        """Count sound where it stands."""
        start = block.start
        while start < block.end:
            index = self._index(start / SAMPLE_RATE)
            ends = index + 1 < len(self._borders)
            border = round(self._borders[index + 1] * SAMPLE_RATE) if ends else block.end
            end = min(max(border, start + 1), block.end)
            self._windows[index].samples += end - start
            start = end

    def take(self, pieces: Iterable[Piece], failures: Iterable[Failure]) -> None:
        """Sort in what was found."""
        for piece in pieces:
            self._windows[self._index(piece.start_seconds)].pieces.append(piece)
        for failure in failures:
            self._windows[self._index(failure.start_seconds or 0.0)].failures.append(failure)

    def complete(self, until: float) -> Iterator[Perception]:
        """Hand on the units that end before a place, in samples."""
        borders = [border * SAMPLE_RATE for border in self._borders[1:]] + [float("inf")]
        while self._done < len(self._units) and borders[self._done] <= until:
            perception = self._perception(self._units[self._done], self._windows[self._done])
            self._windows[self._done] = _Window()
            self._done += 1
            yield perception
            self._started = time.perf_counter()

    def _index(self, seconds: float) -> int:
        """Find the unit for a time; what belongs to one that is handed on goes to the next."""
        return max(bisect_right(self._borders, seconds) - 1, min(self._done, len(self._units) - 1))

    def _perception(self, unit: Unit, window: _Window) -> Perception:
        read_bytes = self._reader.account.packet_bytes
        elapsed = time.perf_counter() - self._started
        cost = Cost("sound", elapsed, len(window.pieces), read_bytes - self._bytes)
        self._bytes = read_bytes
        speech = [stretch for piece in window.pieces for stretch in piece.speech]
        return Perception(
            self._asset,
            unit,
            pieces=window.pieces,
            failures=[_of_unit(failure, unit) for failure in window.failures],
            costs=[cost],
            sound_seconds=window.samples / SAMPLE_RATE,
            speech_seconds=sum(stretch.end_seconds - stretch.start_seconds for stretch in speech),
        )


def _closed(reader: SoundReader) -> list[Failure]:
    """Take the losses that are over out of the reader's account."""
    losses, reader.account.losses = reader.account.losses, []
    return [_failure_of(loss) for loss in losses if _counts(loss)]


def _at_end(reader: SoundReader, asset: Asset, missing_bytes: int) -> list[Failure]:
    """Turn what is left of the reader's account into failures."""
    account, cut_short = reader.account, _cut_short(reader, _promised(reader, asset, missing_bytes))
    if account.open_loss is not None and not _is_tail(reader, account.open_loss):
        account.losses.append(account.open_loss)
    account.open_loss = None
    if cut_short is not None and cut_short.start_seconds is not None:
        # The last packets of a file that was cut short are damaged too, but that is reported already.
        until = cut_short.start_seconds - _MISSING_SECONDS
        account.losses = [loss for loss in account.losses if loss.start < until]
    found = [cut_short, _too_much(reader), *_closed(reader)]
    failures = [failure for failure in found if failure is not None]
    if not failures and not account.given and not reader.heard_until and asset.kind == Kind.AUDIO:
        msg = "Wanted sound, found a track without a single sample. Leave the file out, or record it again."
        failures = [Failure(Stage.SOUND, Reason.NO_CONTENT, msg)]
    return failures


def _is_tail(reader: SoundReader, loss: Loss) -> bool:
    """Tell whether a loss is only what was found behind the last sound."""
    is_last = loss.end >= reader.heard_until and reader.account.given > 0
    return is_last and loss.end - loss.start < _TAIL_SECONDS


def _counts(loss: Loss) -> bool:
    """Tell whether a loss is worth a row: sound that came twice for less than a second is not."""
    return loss.packets > 0 or loss.samples >= _MISSING_SECONDS * SAMPLE_RATE


def _failure_of(loss: Loss) -> Failure:
    start, end = loss.start, loss.end
    if not loss.packets:
        msg = (
            f"{loss.samples / SAMPLE_RATE:.1f} s of sound whose time had passed already at {start:.2f} s "
            "were left out. The file was joined from several: remux it so that time goes on."
        )
    else:
        msg = (
            f"{loss.packets} packets of sound between {start:.2f} s and {end:.2f} s are damaged: words may "
            "be missing there. Copy the file again if there is a sound one."
        )
    return Failure(Stage.SOUND, Reason.CORRUPT, msg, start_seconds=start, end_seconds=end)


def _too_much(reader: SoundReader) -> Failure | None:
    """Report that there is more sound than is allowed."""
    stopped = reader.account.stopped
    if stopped is None:
        return None
    msg = (
        f"Wanted at most {reader.most_seconds:g} s of sound, the limit; there is more. "
        "Raise limits.seconds if the recording is really so long."
    )
    return Failure(Stage.SOUND, Reason.TOO_LARGE, msg, start_seconds=stopped / SAMPLE_RATE)


def _cut_short(reader: SoundReader, promised: float) -> Failure | None:
    """Report what the container promised after the last packet of sound there is."""
    if reader.account.stopped is not None:
        return None
    last = reader.account.ends.get(reader.stream.index, 0.0)
    if promised - last <= _MISSING_SECONDS:
        return None
    msg = (
        f"Wanted sound up to {promised:.2f} s, as declared; it ends at {last:.2f} s. "
        "The file is cut short: copy or download it again."
    )
    return Failure(Stage.SOUND, Reason.TRUNCATED, msg, start_seconds=last, end_seconds=promised)


def _promised(reader: SoundReader, asset: Asset, missing_bytes: int) -> float:
    """Return when the sound should end by what its container says; 0 if it says nothing."""
    stream, end = reader.stream, 0.0
    if asset.container in _ESTIMATED:
        return end
    if (stated := _stated_seconds(stream)) is not None:
        end = stated
    elif stream.duration is not None and stream.time_base is not None and _is_own(reader, asset):
        end = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - reader.start
        end += 8 * missing_bytes / (stream.codec_context.bit_rate or 1) if missing_bytes else 0.0
    elif reader.container.duration:
        # Sound may well be shorter than the pictures; but if neither comes close, the file is cut short.
        declared = reader.container.duration / 1_000_000
        last = max(reader.account.ends.values(), default=0.0)
        end = declared if declared - last > _MISSING_SECONDS else 0.0
    return end if end <= reader.most_seconds else 0.0


def _is_own(reader: SoundReader, asset: Asset) -> bool:
    """Tell whether the length of the track is its own: FFmpeg lends that of the file where there is none."""
    if asset.kind == Kind.AUDIO:
        return True
    stream = reader.stream
    return asset.container in _OWN_LENGTHS and (stream.index in reader.account.ends or stream.frames > 0)


def _stated_seconds(stream: AudioStream) -> float | None:
    """Read the end of a track of a Matroska file from its tag, if it has one."""
    found = _TAG_SECONDS.match(stream.metadata.get("DURATION", ""))
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _missing_wav_bytes(file: BinaryIO | str) -> int:
    """Return how much sound the header of a WAV promises beyond the end of the file.

    FFmpeg hides it: its duration is that of the bytes there are.
    """
    if isinstance(file, str):
        with Path(file).open("rb") as opened:
            return _missing_wav_bytes(opened)
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    head, place = file.read(_WAV_HEAD_BYTES), 12
    while place + 8 <= len(head):
        length = int.from_bytes(head[place + 4 : place + 8], "little")
        if head[place : place + 4] == b"data":
            return max(place + 8 + length - size_bytes, 0) if length < _WAV_PLACEHOLDER else 0
        place += 8 + length + length % 2
    return 0


def _of_unit(failure: Failure, unit: Unit) -> Failure:
    return replace(failure, unit=unit.index)
