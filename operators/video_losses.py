"""What of a span of video was lost, and what its container had promised.

Each kind of loss is one failure that says from when to when: pictures that the file no longer holds,
those beyond the limit, damaged ones and those whose times go backwards.
"""

from fractions import Fraction

from av.video.stream import VideoStream

from operators.read_frames import FrameReader
from operators.video_span import Span
from schemas.failure import Failure, Reason, Stage

_MISSING_SECONDS = Fraction(1)
"""An end that comes earlier than promised by less is rounding, not loss."""


def leaves(reader: FrameReader, span: Span) -> Fraction:
    """Return when the last frame leaves the screen: it stands to the end, unless that is lost."""
    if reader.account.stopped is not None:
        return reader.account.stopped
    end = reader.account.last_frame or span.start
    return end if _promised(reader) - end > _MISSING_SECONDS else max(end, span.end)


def _promised(reader: FrameReader) -> Fraction:
    """Return when the video should end by what its container says; 0 if it says nothing."""
    promised = max(_promised_pictures(reader.stream, reader.start), _promised_all(reader))
    # Probing has refused longer videos, or found that what they declare is absurd.
    return promised if promised <= reader.believable_seconds else Fraction(0)


def _promised_pictures(stream: VideoStream, start: Fraction) -> Fraction:
    if stream.duration is None or stream.time_base is None:
        return Fraction(0)
    return ((stream.start_time or 0) + stream.duration) * stream.time_base - start


def _promised_all(reader: FrameReader) -> Fraction:
    """Return the container's end if not even sound comes close to it."""
    duration = reader.container.duration
    if not duration or duration < 0:
        return Fraction(0)
    end = Fraction(duration, 1_000_000)
    return end if end - reader.last_packet() > _MISSING_SECONDS else Fraction(0)


def losses(reader: FrameReader, span: Span, *, is_empty: bool) -> list[Failure]:
    """Turn the reader's account into failures, one for each kind of loss.

    Args:
        reader: That has read the span.
        span: The span.
        is_empty: No picture came of it: that is a failure even if nothing else explains it.
    """
    cut_short = _cut_short(reader, span)
    sound_until = None if cut_short is None else cut_short.start_seconds
    found = [
        cut_short,
        _too_many(reader, span),
        _damaged(reader, span, sound_until),
        _disorder(reader, span),
    ]
    failures = [failure for failure in found if failure is not None]
    if is_empty and not failures:
        msg = "Wanted at least one picture, found none that can be decoded. Check that this part plays."
        failures = [_failure(Reason.CORRUPT, msg, span, span.start, span.end)]
    return failures


def _cut_short(reader: FrameReader, span: Span) -> Failure | None:
    """Report what the container promised after the last packet of pictures there is."""
    account = reader.account
    promised = _promised(reader)
    last = reader.last_picture() if account.packets else span.start
    if not account.ended or last is None or promised - last <= _MISSING_SECONDS:
        return None
    start, end = max(last, span.start), promised if span.last else min(promised, span.end)
    if end <= start:
        return None
    msg = (
        f"Wanted pictures up to {float(promised):.2f} s, as declared; they end at {float(last):.2f} s. "
        "The file is cut short: copy or download it again."
    )
    return _failure(Reason.TRUNCATED, msg, span, start, end)


def _too_many(reader: FrameReader, span: Span) -> Failure | None:
    """Report what comes after the last frame that was allowed."""
    stopped = reader.account.stopped
    if stopped is None:
        return None
    end = max(span.end, _promised(reader)) if span.last else span.end
    msg = (
        f"Wanted at most {reader.most_frames} frames in this span, the limit; they end at "
        f"{float(stopped):.2f} s. Raise limits.frames if the video really has so many."
    )
    return _failure(Reason.TOO_LARGE, msg, span, max(stopped, span.start), end)


def _damaged(reader: FrameReader, span: Span, sound_until: float | None) -> Failure | None:
    """Report pictures that could not be decoded, up to the next key frame after them.

    The last pictures of a file that was cut short are damaged too, but that is reported already.
    """
    bad = [
        moment for moment in reader.account.bad if span.start <= moment and (span.last or moment < span.end)
    ]
    if sound_until is not None:
        bad = [moment for moment in bad if moment < sound_until - _MISSING_SECONDS]
    if not bad:
        return None
    first, last = min(bad), max(bad)
    healed = min((key for key in reader.account.keys if key > last), default=None)
    end = (
        healed if healed is not None else max(reader.account.last_frame or last, last + reader.frame_seconds)
    )
    end = end if span.last else min(end, span.end)
    msg = (
        f"{len(bad)} pictures between {float(first):.2f} s and {float(last):.2f} s are damaged and left out; "
        "the next ones may be flawed up to a key frame. Copy the file again if there is a sound one."
    )
    return _failure(Reason.CORRUPT, msg, span, first, max(end, last))


def _disorder(reader: FrameReader, span: Span) -> Failure | None:
    lost_seconds = reader.account.disordered * reader.frame_seconds
    if lost_seconds < _MISSING_SECONDS:
        return None
    msg = (
        f"{reader.account.disordered} pictures whose time stamps go backwards were left out. "
        "The file was joined from several: remux it so that time goes on."
    )
    return _failure(Reason.CORRUPT, msg, span, span.start, span.end)


def _failure(reason: Reason, message: str, span: Span, start: Fraction, end: Fraction) -> Failure:
    return Failure(
        Stage.DECODE, reason, message, unit=span.index, start_seconds=float(start), end_seconds=float(end)
    )
