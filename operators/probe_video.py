"""What a video or audio file is, before anything of it is decoded for good.

Headers are believed where they can be checked cheaply and read from the packets where they
are missing or absurd. One frame is decoded, because only decoded frames say how the picture
is turned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO

import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from operators.containers import audio_stream, clock_start, media_errors, only, open_container, video_stream
from operators.upright import Turn, square_size, turn_of
from schemas.config import Limits
from schemas.failure import InputError, Reason
from schemas.media import Kind, Unit, UnitKind

TEXT_SUBTITLES = frozenset({"mov_text", "srt", "subrip", "ass", "ssa", "webvtt", "text"})
_ESTIMATED = frozenset({"aac", "ac3", "mp3", "amr", "ivf"})
"""Demuxers that guess the duration from size and bit rate; variable rates make it wrong."""
_LEAST_BITS = 2_000
"""Bits a second below which a declared duration of more than an hour is not believed unseen."""
_HOUR_SECONDS = 3600.0
_TRIES = 200
"""Packets after which a first frame is given up."""
_TAIL_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What the headers of a media file state, checked."""

    kind: str
    """`Kind.VIDEO` or `Kind.AUDIO`."""
    duration_seconds: float | None
    width_px: int | None = None
    """As shown: pixel aspect and turning applied."""
    height_px: int | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    frame_rate: float | None = None
    """Declared average; for information, never for time arithmetic."""
    title: str | None = None
    language: str | None = None
    """Of the sound, else of the pictures."""
    start_seconds: float = 0.0
    """Time stamp at which the asset's clock reads zero."""
    has_subtitles: bool = False
    """There are subtitle tracks made of text."""


def probe_media(file: BinaryIO | str, demuxer: str, limits: Limits) -> MediaFacts:
    """Read the facts of a video or audio file.

    Args:
        file: Its bytes, seekable, or its local path.
        demuxer: The one that may open it.
        limits: `seconds` and `pixels` are enforced.

    Raises:
        InputError: TOO_LARGE beyond the limits, NO_CONTENT without pictures or sound that
            can be decoded, or why it cannot be opened.
    """
    with media_errors(), open_container(file, demuxer) as container:
        pictures, sound = video_stream(container), audio_stream(container)
        if pictures is None and sound is None:
            raise _nothing(container)
        if pictures is not None:
            _check_pixels(pictures, limits)
        start = clock_start(container)
        turn = Turn() if pictures is None else _turn(container, pictures)
        streams: list[Stream] = [stream for stream in (pictures, sound) if stream is not None]
        duration = _duration(container, streams, demuxer, start, limits)
        _check_seconds(duration, limits)
        return _facts(container, pictures, sound, turn, start, duration)


def _nothing(container: InputContainer) -> InputError:
    found = ", ".join(_described(stream) for stream in container.streams)
    advice = "Convert it to a common codec" if found else "It is empty, or damaged: copy it again"
    msg = f"Wanted pictures or sound with a decoder, found {found or 'no stream at all'}. {advice}."
    return InputError(Reason.NO_CONTENT, msg)


def _described(stream: Stream) -> str:
    codec = _codec(stream)
    if codec and isinstance(stream, VideoStream) and not stream.width:
        return f"video ({codec}) that states no size, as if cut off"
    return f"{stream.type} ({codec or 'no decoder'})"


def _check_pixels(stream: VideoStream, limits: Limits) -> None:
    if stream.width * stream.height > limits.pixels:
        msg = (
            f"A frame has {stream.width} x {stream.height} pixels; limits.pixels allows {limits.pixels}. "
            "Raise it, or scale the video down."
        )
        raise InputError(Reason.TOO_LARGE, msg)


def _check_seconds(duration: float | None, limits: Limits) -> None:
    if duration is not None and duration > limits.seconds:
        msg = (
            f"The file lasts {duration:.0f} s; limits.seconds allows {limits.seconds:.0f}. "
            "Raise it, or cut the file into parts."
        )
        raise InputError(Reason.TOO_LARGE, msg)


def _facts(
    container: InputContainer,
    pictures: VideoStream | None,
    sound: AudioStream | None,
    turn: Turn,
    start: Fraction,
    duration: float | None,
) -> MediaFacts:
    if pictures is None and duration is None:
        raise InputError(Reason.NO_CONTENT, "The file declares sound but holds none. Leave it out.")
    facts = MediaFacts(
        kind=Kind.AUDIO,
        duration_seconds=duration,
        audio_codec=_codec(sound) or None,
        title=str(container.metadata.get("title", "")).strip() or None,
        language=stated_language(sound) or stated_language(pictures),
        start_seconds=float(start),
        has_subtitles=any(_codec(stream) in TEXT_SUBTITLES for stream in container.streams.subtitles),
    )
    if pictures is None:
        return facts
    width, height = turn.size(*square_size(pictures.width, pictures.height, pictures.sample_aspect_ratio))
    rate = pictures.average_rate or pictures.guessed_rate
    return replace(
        facts,
        kind=Kind.VIDEO,
        width_px=width,
        height_px=height,
        video_codec=_codec(pictures) or None,
        frame_rate=float(rate) if rate else None,
    )


def _codec(stream: Stream | None) -> str:
    """Return the format's name (`av1`, not `libdav1d`), empty if there is no decoder."""
    if stream is None or stream.codec_context is None:
        return ""
    return stream.codec_context.codec.canonical_name


def stated_language(stream: Stream | None) -> str | None:
    """Return the language a stream states, unless it is `und`."""
    language = None if stream is None else stream.language
    return language if language and language != "und" else None


def _turn(container: InputContainer, stream: VideoStream) -> Turn:
    """Decode up to the first frame and read how it is turned; upright if none decodes.

    A damaged beginning is no error here: what is lost is reported where it is decoded, with
    its time.
    """
    only(container, stream)
    for tries, packet in enumerate(_readable(container, stream)):
        frame = _first_frame(packet)
        if frame is not None:
            return turn_of(frame)
        if tries > _TRIES:
            break
    return Turn()


def _first_frame(packet: "Packet[Stream]") -> VideoFrame | None:
    try:
        return next((frame for frame in packet.decode() if isinstance(frame, VideoFrame)), None)
    except av.error.FFmpegError:
        return None


def _readable(container: InputContainer, *streams: Stream) -> "Iterator[Packet[Stream]]":
    """Yield packets up to the end, or to the first place that cannot be read."""
    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError:
        return


def _duration(
    container: InputContainer, streams: list[Stream], demuxer: str, start: Fraction, limits: Limits
) -> float | None:
    """Return the declared duration, or that of the packets where it is missing or absurd."""
    declared = container.duration / 1_000_000 if container.duration and container.duration > 0 else None
    if (
        declared is not None
        and demuxer not in _ESTIMATED
        and not _is_absurd(declared, container, streams, limits)
    ):
        return declared
    only(container, *streams)
    ends = [end for packet in _readable(container, *streams) if (end := _end_of(packet)) is not None]
    return float(max(ends) - start) if ends else None


def _end_of(packet: "Packet[Stream]") -> Fraction | None:
    stamp = packet.pts if packet.pts is not None else packet.dts
    if not packet.size or stamp is None:
        return None
    return (stamp + (packet.duration or 0)) * packet.time_base


def _is_absurd(declared: float, container: InputContainer, streams: list[Stream], limits: Limits) -> bool:
    """Tell whether a header promises more than the bytes can hold."""
    bits = 8 * container.size
    if declared > limits.seconds or (declared > _HOUR_SECONDS and bits / declared < _LEAST_BITS):
        return True
    sound = [stream for stream in streams if isinstance(stream, AudioStream)]
    is_raw = len(sound) == len(streams) and all(_codec(stream).startswith("pcm_") for stream in sound)
    rate = sum(stream.codec_context.bit_rate or 0 for stream in sound)
    return is_raw and rate > 0 and declared > 1.01 * bits / rate + 1


def plan_spans(
    duration_seconds: float | None, span_seconds: float, kind: UnitKind = UnitKind.SPAN, first: int = 0
) -> list[Unit]:
    """Cut the pictures or the sound of a file into spans to decode.

    A tail of less than a quarter of a span is joined to the span before it. Without a known
    duration there is one span, to the end.

    Args:
        duration_seconds: Of the file.
        span_seconds: Wanted length of a span.
        kind: Of the units.
        first: Index of the first.

    Returns:
        Units `first..first+n-1`, half-open and without gaps; the last ends at the duration.
    """
    if duration_seconds is None or duration_seconds <= span_seconds:
        return [Unit(first, kind, 0.0, duration_seconds)]
    whole, tail = divmod(duration_seconds, span_seconds)
    count = int(whole) + (tail >= _TAIL_SHARE * span_seconds)
    borders = [index * span_seconds for index in range(count)] + [duration_seconds]
    return [Unit(first + index, kind, borders[index], borders[index + 1]) for index in range(count)]
