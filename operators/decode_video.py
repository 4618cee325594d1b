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
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, BinaryIO

from av.video.frame import VideoFrame

from operators.containers import media_errors, open_container, video_stream
from operators.decode_chosen import ChosenDecoder
from operators.distinct import FIRST, Change, PixelBox, Plane, Verdict
from operators.eye import Eye
from operators.held_packets import UnevenError, hold
from operators.look_where_changed import Seen, WatchedLooks, every_look
from operators.read_account import Account
from operators.read_frames import Frame, FrameReader
from operators.sample import Look, on_screen
from operators.scenes import SceneFinder, Step, find_cuts, settled, tone_distance
from operators.upright import Converter, Turn
from operators.video_losses import leaves, losses
from operators.video_span import Span
from schemas.box import Box
from schemas.config import Config
from schemas.failure import InputError, Reason
from schemas.media import Asset, Unit
from schemas.perception import Cost, Perception, Picture

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
        span = Span(unit, config, asset.duration_seconds)
        reader = FrameReader(container, stream, config.limits.pixels)
        reader.most_frames = config.limits.frames
        reader.believable_seconds = config.limits.seconds
        chosen = _choose(reader, span, config)
        if not chosen.pictures and reader.account.bad:
            reader.keep_damaged = True
            chosen = _choose(reader, span, config)
        failures = losses(reader, span, is_empty=not chosen.pictures)
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


def _choose(reader: FrameReader, span: Span, config: Config) -> _Chosen:
    reader.horizon = None if span.last else span.end + _HORIZON_SECONDS
    converter = Converter(reader.stream.sample_aspect_ratio, config.sampling.max_pixels)
    if config.sampling.strategy == "keyframes":
        return _keyframes(reader, span, converter)
    if config.sampling.strategy == "scenes":
        return _scenes(reader, span, converter)
    distinct = config.sampling.strategy == "distinct"
    if config.sampling.decode == "least" and not reader.keep_damaged:
        with suppress(UnevenError):
            eye = Eye(converter)
            return _even(_least_looks(reader, span, eye, distinct=distinct), span, eye, distinct=distinct)
    reader.account = Account()
    eye = Eye(converter)
    every = (Seen(look, look.value) for look in _looks(reader, span, final=distinct))
    return _even(every, span, eye, distinct=distinct)


def _even(looks: Iterable[Seen[Any]], span: Span, eye: Eye, *, distinct: bool) -> _Chosen:
    """Look at even intervals; keep every look, or only what is not read yet."""
    chosen, steps = _Chosen(), list[Step]()
    tones: Plane | None = None
    is_first = True
    for seen in looks:
        look, frame = seen.look, seen.frame
        at, until = span.clamp(look.time), max(span.clamp(look.last), span.clamp(look.time))
        change, shift = _AS_BEFORE, 0.0
        if frame is not None:
            change, before, tones = eye.judge(frame), tones, eye.tones(frame)
            shift = 0.0 if before is None else tone_distance(before, tones)
        inside = look.last >= span.start
        if inside and not is_first:
            steps.append(Step(at, change, shift))
        is_first = False
        if not inside:
            if frame is not None:
                eye.follow(frame, change)
            continue
        chosen.sampled += 1
        if not distinct or not chosen.pictures:
            assert frame is not None
            eye.follow(frame, FIRST)
            chosen.pictures.append(_picture(eye, frame, at, until, FIRST))
        elif frame is None or change.verdict is Verdict.SAME:
            chosen.stands_until(until)
        else:
            eye.follow(frame, change)
            chosen.pictures.append(_picture(eye, frame, at, until, change))
    chosen.cuts = find_cuts(steps)
    return chosen


_AS_BEFORE = Change(Verdict.SAME)


def _least_looks(reader: FrameReader, span: Span, eye: Eye, *, distinct: bool) -> Iterator[Seen[int]]:
    """Give the looks, decoding only what may have changed, or for `interval` what leads to them.

    Raises:
        UnevenError: The packets do not tell enough, or something is damaged.
    """
    grid = span.grid(lead=True)
    reader.horizon = None
    held = hold(reader, grid.begin, None if span.last else span.end, closing=distinct)
    looks = list(on_screen(held.on_grid(grid), grid, lambda: leaves(reader, span)))
    if not looks:
        raise UnevenError
    last = held.shown[-1]
    if distinct and span.last:
        time = reader.time_of(held.stamps[last])
        if time >= max(span.start, looks[-1].last + span.interval / 2):
            looks.append(Look(time, time, time, last))
    wanted = {look.value for look in looks} | set(held.keys)
    decoder = ChosenDecoder(reader, held, wanted)
    if not distinct:
        return every_look(held, decoder, looks)
    before_span = sum(look.last < span.start for look in looks)
    return WatchedLooks(held, decoder, eye.judge, eye.are_equal).changed(looks, before_span)


def _looks(reader: FrameReader, span: Span, *, final: bool) -> Iterator[Look[VideoFrame]]:
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
    for look in on_screen(noted(reader.frames(grid.begin, grid)), grid, lambda: leaves(reader, span)):
        yield look
    if final and span.last and newest and look is not None:
        (frame,) = newest
        if frame.time >= max(span.start, look.last + span.interval / 2):
            yield Look(frame.time, frame.time, frame.time, frame.value)


def _picture(eye: Eye, frame: VideoFrame, at: float, until: float, change: Change) -> Picture:
    pixels, turn = eye.converter.pixels(frame)
    changed = [_fractions(box, eye.shape(frame), turn) for box in change.boxes]
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


def _keyframes(reader: FrameReader, span: Span, converter: Converter) -> _Chosen:
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


def _keep(chosen: _Chosen, converter: Converter, span: Span, frame: Frame) -> None:
    at = span.clamp(frame.time)
    chosen.sampled += 1
    chosen.pictures.append(_picture(Eye(converter), frame.value, at, at, FIRST))


def _scenes(reader: FrameReader, span: Span, converter: Converter) -> _Chosen:
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
