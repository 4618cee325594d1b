"""A media file is opened as what it is, and opens nothing else.

FFmpeg, left to itself, guesses: a text file named `talk.mp4` may turn out to be a playlist
that points at local secrets or at the network. Here the caller names the one demuxer, only
demuxers of self-contained files are allowed, the bytes come from a Python file object, and
every further file or URL the demuxer asks for is refused through its `io_open` hook.
"""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import BinaryIO, NoReturn

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from operators.language import iso_639_1
from schemas.failure import InputError, Reason

DEMUXERS = frozenset(
    {
        *("aac", "ac3", "aiff", "amr", "asf", "au", "avi", "caf", "flac", "flv", "ivf", "matroska"),
        *("mov", "mp3", "mpeg", "mpegts", "mxf", "nut", "ogg", "wav", "w64"),
    }
)
"""Demuxers whose files hold all their streams themselves."""

_HEADERLESS = frozenset({"aac", "ac3", "mp3", "mpeg", "mpegts"})
"""Formats that only repeat a mark: nothing but the end of the file says that it is not there."""

_BUFFER_BYTES = 128 << 10
"""One read. Reading 3 MB of packets takes 43 ms at FFmpeg's 32 KiB, 28 ms at 128 KiB and
26 ms when FFmpeg opens the path itself; larger ones reread more after each seek."""

_COVERS = Disposition.attached_pic | Disposition.timed_thumbnails

_DEFAULT_BONUS_PX = 5_000_000
"""What the mark `default` weighs against area when FFmpeg's command line picks a stream."""


class _OwnedFile(io.FileIO):
    """A file that closes with its last reader, the container."""

    def __del__(self) -> None:
        self.close()


def open_container(file: BinaryIO | str, demuxer: str) -> InputContainer:
    """Open a media file with exactly one demuxer.

    Args:
        file: A seekable binary file, or a local path.
        demuxer: FFmpeg's name of it, one of `DEMUXERS`.

    Raises:
        InputError: EMPTY; REFUSED for any other demuxer or a file that refers to another
            one; CORRUPT or TRUNCATED when it is not what the demuxer requires; UNREADABLE when
            its store fails.
    """
    if demuxer not in DEMUXERS:
        msg = (
            f"Wanted a self-contained media file ({', '.join(sorted(DEMUXERS))}), found {demuxer!r}. "
            "Playlists and scripts are not opened; ingest the files they name."
        )
        raise InputError(Reason.REFUSED, msg)
    with media_errors():
        reader = _OwnedFile(file, "rb") if isinstance(file, str) else file
        if not reader.seek(0, os.SEEK_END):
            raise InputError(Reason.EMPTY, "The file has no bytes. Copy it again from where it came.")
        reader.seek(0)
        try:
            return av.open(
                reader,
                "r",
                format=demuxer,
                metadata_errors="replace",
                buffer_size=_BUFFER_BYTES,
                io_open=_refuse,
            )
        except av.error.InvalidDataError as error:
            raise _not_a(demuxer, reader, error) from error
        except av.error.EOFError as error:
            if demuxer in _HEADERLESS:
                raise _not_a(demuxer, reader, error) from error
            raise


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    """Answer FFmpeg's wish to open something else."""
    msg = f"The file refers to another one ({url[:200]!r}), which is not opened. Ingest that one."
    raise InputError(Reason.REFUSED, msg)


@contextmanager
def media_errors() -> Iterator[None]:
    """Turn what FFmpeg and the store raise into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (av.error.FFmpegError, OSError) as error:
        raise as_input_error(error) from error


def as_input_error(error: Exception) -> InputError:
    """Name the reason of an error of FFmpeg or of the store."""
    if isinstance(error, MemoryError):
        return InputError(
            Reason.MEMORY, "The file asks for more memory than there is. It is damaged or hostile."
        )
    if isinstance(error, EOFError) or _ran_out(error):
        msg = "The file ends before FFmpeg found in it what its header promises. Copy or download it again."
        return InputError(Reason.TRUNCATED, msg)
    if isinstance(error, av.error.DecoderNotFoundError | av.error.PatchWelcomeError):
        return InputError(
            Reason.NO_CONTENT, f"No decoder for it ({error.strerror}). Convert it to a common codec."
        )
    if isinstance(error, av.error.FFmpegError):
        return InputError(
            Reason.CORRUPT, f"FFmpeg cannot read it: {error.strerror}. Check that it plays, or copy it again."
        )
    return InputError(Reason.UNREADABLE, f"Reading failed: {error}. Check its store and try again.")


def _ran_out(error: Exception) -> bool:
    """Tell whether a demuxer came to the end too early: an error of the store is raised as it is."""
    return isinstance(error, av.error.FFmpegError) and error.errno == errno.EIO


def _not_a(demuxer: str, file: BinaryIO | io.FileIO, error: av.error.FFmpegError) -> InputError:
    if demuxer == "mov" and last_box_is_cut(file):
        msg = (
            "The file ends in the middle, before the index of its pictures (moov). Copy or download it again."
        )
        return InputError(Reason.TRUNCATED, msg)
    msg = f"The demuxer {demuxer} cannot open it: {error.strerror}. It is damaged or another kind of file."
    return InputError(Reason.CORRUPT, msg)


def last_box_is_cut(file: BinaryIO | io.FileIO) -> bool:
    """Walk the top-level boxes of an MP4; tell whether one promises more than there is."""
    size_bytes = file.seek(0, os.SEEK_END)
    position = 0
    while position + 8 <= size_bytes:
        file.seek(position)
        head = file.read(16) or b""
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 or length < 8 or not head[4:8].isalnum():
            return False
        position += length
    return position > size_bytes


def video_stream(container: InputContainer) -> VideoStream | None:
    """Choose the pictures to look at: the largest, preferring what is marked default.

    This is the rule of FFmpeg's command line. Cover pictures, thumbnails and streams
    without a decoder or without a size are never chosen.
    """
    streams = [item for item in container.streams.video if _is_seen(item)]
    return max(streams, key=_rank, default=None)


def _is_seen(stream: VideoStream) -> bool:
    decodable = stream.codec_context is not None
    return decodable and not stream.disposition & _COVERS and stream.width > 0 and stream.height > 0


def _rank(stream: VideoStream) -> tuple[int, int]:
    bonus = _DEFAULT_BONUS_PX if stream.disposition & Disposition.default else 0
    return stream.width * stream.height + bonus, -stream.index


def audio_stream(container: InputContainer, language: str | None = None) -> AudioStream | None:
    """Choose the sound: in the language first, then marked default, then the first with a decoder.

    Args:
        container: An open file.
        language: A tag (`en`, `eng`, `en-US`); tracks that state another one are taken if none
            states it.
    """
    wanted = iso_639_1(language)
    streams = [item for item in container.streams.audio if item.codec_context is not None]

    def rank(item: AudioStream) -> tuple[bool, bool, int]:
        is_other = wanted is not None and iso_639_1(item.language) != wanted
        return is_other, not item.disposition & Disposition.default, item.index

    return min(streams, key=rank, default=None)


def clock_start(container: InputContainer) -> Fraction:
    """Return the time stamp at which the asset's clock reads zero, in seconds.

    It is the earliest start of the chosen pictures and sound. Sound that starts below zero
    is the priming of its encoder, which is not played, so it counts from zero.
    """
    starts = []
    for stream in (video_stream(container), audio_stream(container)):
        if stream is None or stream.start_time is None or stream.time_base is None:
            continue
        start = stream.start_time * stream.time_base
        starts.append(max(start, Fraction(0)) if stream.type == "audio" else start)
    return min(starts, default=Fraction(0))


def only(container: InputContainer, *streams: Stream) -> None:
    """Let the demuxer skip every stream but these."""
    for stream in container.streams:
        stream.discard = Discard.default if stream in streams else Discard.all
