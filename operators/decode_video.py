"""One span of a video becomes the pictures worth reading.

A span is `[start, end)` on the asset's clock; the last one of an asset takes every later
frame too. Times are those of the frames themselves: `time_seconds` is when the picture
appeared, or the span's start if it was on screen before; `until_seconds` is the last look at
which it still stood. So both lie in the span, and a burned-in clock shows `time_seconds`.

Strategies: `distinct` looks at even intervals and drops what was read already, `interval`
keeps every look, `keyframes` takes what the coder chose, `scenes` one frame of each scene.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import BinaryIO

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from operators.containers import media_errors, open_container, video_stream
from operators.distinct import FIRST, Change, PixelBox, Plane, Reference, Verdict
from operators.read_frames import Frame, FrameReader
from operators.sample import Grid, Look, exact, on_screen
from operators.scenes import SceneFinder, Step, find_cuts, histogram, settled, tone_distance
from operators.upright import Converter, Turn
from schemas.box import Box
from schemas.config import Config
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Asset, Unit
from schemas.perception import Cost, Perception, Picture

_MISSING_SECONDS = Fraction(1)
"""An end that comes earlier than promised by less is rounding, not loss."""

_HORIZON_SECONDS = Fraction(10)
"""How far beyond a span a next frame is looked for where all is damaged."""


def decode_span(file: BinaryIO | str, asset: Asset, unit: Unit, config: Config) -> Perception:
    """Decode one span and choose its pictures.

    Args:
        file: The asset's bytes, seekable, or its local path.
        asset: As probed; names the demuxer and the declared duration.
        unit: The span.
        config: `sampling` chooses the strategy; `limits` bounds the size of a frame and the
            number of frames.

    Returns:
        The span's pictures in order of time, the times of its cuts, and a failure for each
        stretch that was lost.

    Raises:
        InputError: The file cannot be opened, or has no pictures to decode.
    """
    started = time.perf_counter()
    with media_errors(), open_container(file, asset.container) as container:
        stream = video_stream(container)
        if stream is None:
            msg = (
                f"Wanted a video stream that can be decoded, found none ({asset.container}). Probe it again."
            )
            raise InputError(Reason.NO_CONTENT, msg)
        span = _Span(unit, config, asset.duration_seconds)
        reader = FrameReader(container, stream, config.limits.pixels)
        reader.most_frames = config.limits.frames
        reader.believable_seconds = config.limits.seconds
        reader.horizon = None if span.last else span.end + _HORIZON_SECONDS
        chosen = _choose(reader, span, config)
        if not chosen.pictures and reader.account.bad:
            reader.keep_damaged = True
            chosen = _choose(reader, span, config)
        failures = _losses(reader, span, chosen)
    cost = Cost("decode", time.perf_counter() - started, chosen.sampled, reader.account.packet_bytes)
    return Perception(
        asset,
        unit,
        pictures=chosen.pictures,
        cuts=chosen.cuts,
        failures=failures,
        costs=[cost],
        sampled=chosen.sampled,
    )


class _Span:
    """The span's borders as exact times."""

    def __init__(self, unit: Unit, config: Config, duration: float | None) -> None:
        self.index = unit.index
        self.start = exact(unit.start_seconds or 0.0)
        self.interval = exact(config.sampling.interval_seconds)
        end = unit.end_seconds if unit.end_seconds is not None else duration
        self.stated_end = None if end is None else exact(end)
        self.end = max(self.stated_end or self.start, self.start + Fraction(1, 1000))
        # The last span, or the last part of it, takes all that comes after it too.
        self.last = unit.end_seconds is None or duration is None or unit.end_seconds >= duration

    def grid(self, lead: bool) -> Grid:
        return Grid(self.start, self.end, self.interval, open=self.last, lead=lead and self.start > 0)

    def clamp(self, moment: Fraction) -> float:
        return float(max(moment, self.start))


@dataclass(slots=True)
class _Chosen:
    """What a strategy found."""

    pictures: list[Picture] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    sampled: int = 0

    def stands_until(self, moment: float) -> None:
        """The latest picture was still on screen at a later look."""
        latest = self.pictures[-1]
        if moment > (latest.until_seconds or 0.0):
            self.pictures[-1] = replace(latest, until_seconds=moment)


def _choose(reader: FrameReader, span: _Span, config: Config) -> _Chosen:
    converter = Converter(reader.stream.sample_aspect_ratio, config.sampling.max_pixels)
    if config.sampling.strategy == "keyframes":
        return _keyframes(reader, span, converter)
    if config.sampling.strategy == "scenes":
        return _scenes(reader, span, converter)
    return _even(reader, span, converter, distinct=config.sampling.strategy == "distinct")


def _even(reader: FrameReader, span: _Span, converter: Converter, *, distinct: bool) -> _Chosen:
    """Look at even intervals; keep every look, or only what is not read yet."""
    chosen, reference, steps = _Chosen(), Reference(), list[Step]()
    before: Plane | None = None
    for look in _looks(reader, span, final=distinct):
        planes = converter.planes(look.value)
        change, tones = reference.compare(planes), histogram(planes[0])
        at, until = span.clamp(look.time), max(span.clamp(look.last), span.clamp(look.time))
        inside = look.last >= span.start
        if before is not None and inside:
            steps.append(Step(at, change, tone_distance(before, tones)))
        before = tones
        if not inside:
            reference.follow(planes, change)
            continue
        chosen.sampled += 1
        if not distinct or not chosen.pictures:
            reference.follow(planes, FIRST)
            chosen.pictures.append(_picture(converter, look.value, at, until, FIRST, planes[0].shape))
        elif change.verdict is Verdict.SAME:
            chosen.stands_until(until)
        else:
            reference.follow(planes, change)
            chosen.pictures.append(_picture(converter, look.value, at, until, change, planes[0].shape))
    chosen.cuts = find_cuts(steps)
    return chosen


def _looks(reader: FrameReader, span: _Span, *, final: bool) -> Iterator[Look[VideoFrame]]:
    """Give the frame at each look, the last look before the span first.

    With `final`, the video's very last frame is looked at too if it comes half an interval
    or more after the last look: closing slides are short.
    """
    grid = span.grid(lead=True)
    newest: list[Frame] = []

    def noted(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            newest[:] = [frame]
            yield frame

    look: Look[VideoFrame] | None = None
    for look in on_screen(noted(reader.frames(grid.begin, grid)), grid, lambda: _leaves(reader, span)):
        yield look
    if final and span.last and newest and look is not None:
        (frame,) = newest
        if frame.time >= max(span.start, look.last + span.interval / 2):
            yield Look(frame.time, frame.time, frame.time, frame.value)


def _leaves(reader: FrameReader, span: _Span) -> Fraction:
    """Return when the last frame leaves the screen: it stands to the end, unless that is lost."""
    if reader.account.stopped is not None:
        return reader.account.stopped
    end = reader.account.last_frame or span.start
    return end if _promised(reader) - end > _MISSING_SECONDS else max(end, span.end)


def _picture(
    converter: Converter, frame: VideoFrame, at: float, until: float, change: Change, shape: tuple[int, ...]
) -> Picture:
    pixels, turn = converter.pixels(frame)
    changed = [_fractions(box, shape, turn) for box in change.boxes]
    return Picture(
        pixels.shape[1],
        pixels.shape[0],
        pixels.tobytes(),
        time_seconds=at,
        until_seconds=until,
        changed=changed,
    )


def _fractions(box: PixelBox, shape: tuple[int, ...], turn: Turn) -> Box:
    """Express a box of the compared luma in fractions of the upright picture."""
    height, width = shape[0], shape[1]
    return Box(*turn.place(box.x0 / width, box.y0 / height, box.x1 / width, box.y1 / height))


def _keyframes(reader: FrameReader, span: _Span, converter: Converter) -> _Chosen:
    """Take each key frame in the span; if there is none, the one on screen at its start."""
    reader.key_frames_only = True
    chosen = _Chosen()
    earlier: Frame | None = None
    for frame in reader.frames(span.start):
        if frame.time >= span.end and not span.last:
            break
        if frame.time <= span.start:
            earlier = frame
            continue
        if earlier is not None and earlier.time == span.start:
            _keep(chosen, converter, span, earlier)
        earlier = None if chosen.pictures else earlier
        _keep(chosen, converter, span, frame)
    if earlier is not None and (not chosen.pictures or earlier.time == span.start):
        _keep(chosen, converter, span, earlier)
    return chosen


def _keep(chosen: _Chosen, converter: Converter, span: _Span, frame: Frame) -> None:
    at = span.clamp(frame.time)
    chosen.sampled += 1
    chosen.pictures.append(_picture(converter, frame.value, at, at, FIRST, (1, 1)))


def _scenes(reader: FrameReader, span: _Span, converter: Converter) -> _Chosen:
    """Look at every frame for cuts; take one of each scene a little after it began."""
    chosen, finder = _Chosen(), SceneFinder(1 / reader.frame_seconds)
    due: Fraction | None = span.start
    previous: Frame | None = None
    for frame in reader.frames(span.grid(lead=True).begin):
        if frame.time >= span.end and not span.last:
            break
        cut = finder.is_cut(frame.time, frame.value)
        if due is not None and previous is not None and frame.time > span.start and (cut or frame.time > due):
            _keep(chosen, converter, span, previous)
            due = None
        if cut and frame.time >= span.start:
            chosen.cuts.append(float(frame.time))
            due = settled(frame.time)
        if chosen.pictures and frame.time >= span.start and due is None:
            chosen.stands_until(float(frame.time))
        previous = frame
    if due is not None and previous is not None:
        _keep(chosen, converter, span, previous)
    return chosen


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


def _losses(reader: FrameReader, span: _Span, chosen: _Chosen) -> list[Failure]:
    """Turn the reader's account into failures, one for each kind of loss."""
    cut_short = _cut_short(reader, span)
    sound_until = None if cut_short is None else cut_short.start_seconds
    found = [
        cut_short,
        _too_many(reader, span),
        _damaged(reader, span, sound_until),
        _disorder(reader, span),
    ]
    failures = [failure for failure in found if failure is not None]
    if not chosen.pictures and not failures:
        msg = "Wanted at least one picture, found none that can be decoded. Check that this part plays."
        failures = [_failure(Reason.CORRUPT, msg, span, span.start, span.end)]
    return failures


def _cut_short(reader: FrameReader, span: _Span) -> Failure | None:
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


def _too_many(reader: FrameReader, span: _Span) -> Failure | None:
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


def _damaged(reader: FrameReader, span: _Span, sound_until: float | None) -> Failure | None:
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


def _disorder(reader: FrameReader, span: _Span) -> Failure | None:
    lost_seconds = reader.account.disordered * reader.frame_seconds
    if lost_seconds < _MISSING_SECONDS:
        return None
    msg = (
        f"{reader.account.disordered} pictures whose time stamps go backwards were left out. "
        "The file was joined from several: remux it so that time goes on."
    )
    return _failure(Reason.CORRUPT, msg, span, span.start, span.end)


def _failure(reason: Reason, message: str, span: _Span, start: Fraction, end: Fraction) -> Failure:
    return Failure(
        Stage.DECODE, reason, message, unit=span.index, start_seconds=float(start), end_seconds=float(end)
    )
