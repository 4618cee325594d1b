"""Pictures become views: every line of text in them, with its place, in reading order.

Most of the work of a run is done here, so the least is done: pictures of all units of a call
are read in batches of one shape, and of each what is not blank; a picture of which only a
part has changed is read there alone; a large picture is looked at reduced first and again only
where its letters are small.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from operators.buckets import bucket_of
from operators.cost_of import cost_of
from operators.cut_blank import is_blank, is_cut, read_inked
from operators.multiscale import (
    CELL_PX,
    WORTH_SCALE,
    Part,
    detector_scale,
    fine_detail,
    merge,
    overlap,
    parts,
    place,
    second_looks,
)
from operators.ocr_engine import OcrEngine, Pixels
from operators.ocr_isolated import isolated_engine
from operators.orientation import cut, find_turn, turn_picture
from operators.pack import pack, unpack
from operators.reading_order import in_reading_order
from operators.stopwatch import Spent, Stopwatch, total
from schemas.config import Config
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.perception import UNBATCHED, Filled, Line, Perception, Picture, View

_BATCH_PICTURES = 8
_BATCH_PIXELS = 16_000_000
"""A batch holds its pictures and their cut-out lines in memory at once: about 100 MB."""

_IN_THE_WAY = 0.3
"""Overlap with a line that did not change from which a find at the rim of a crop is a piece of it."""

_SAME_PLACE = 0.5


@dataclass(frozen=True, slots=True)
class _Task:
    """A picture to be read, and the perception (by index) it belongs to."""

    owner: int
    picture: Picture


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a picture."""

    view: View
    spent: Spent
    failure: Failure | None = None
    filled: Filled = UNBATCHED
    """Of the batch it was in, if it was in one."""


class Ocr:
    """Perceptions with pictures in, perceptions with views out: the same ones, in order."""

    def __init__(self, config: Config, engine: OcrEngine | None = None, warm: bool = True) -> None:
        """Make the configured engine ready, in a child process of its own.

        Args:
            config: of the run.
            engine: to read with instead of the configured one.
            warm: Load the engine now; otherwise with the first picture, which may never come.

        Raises:
            ValueError: The configured engine cannot run; the message says what to do.
        """
        self.config = config.ocr
        self.engine = engine
        if engine is None and config.ocr.engine != "off":
            self.engine = _make_ready(config, warm)

    def __call__(self, perceptions: list[Perception]) -> list[Perception]:
        """Read all pictures; each becomes a view, and a picture that cannot be read a failure too."""
        if self.engine is None:
            return [_unread(perception) for perception in perceptions]
        reader = _Reader(self.engine, self.config.min_confidence, self.config.detail, self.config.orientation)
        tasks = [
            _Task(owner, picture)
            for owner, perception in enumerate(perceptions)
            for picture in perception.pictures
        ]
        return _give_back(perceptions, tasks, _read_all(reader, tasks))


def _make_ready(config: Config, warm: bool) -> OcrEngine:
    engine = isolated_engine(config)
    try:
        if warm:
            engine.start()
    except InputError as error:
        msg = f"Wanted to load the OCR engine {engine.name}; it could not be. {error.message}"
        raise ValueError(msg) from error
    return engine


def _unread(perception: Perception) -> Perception:
    views = [_view(picture, "none", "none") for picture in perception.pictures]
    return _with_views(perception, views)


def _with_views(perception: Perception, views: Sequence[View]) -> Perception:
    merged = sorted([*perception.views, *views], key=lambda view: (view.page or 0, view.time_seconds or 0.0))
    return replace(perception, pictures=[], views=merged)


def _view(picture: Picture, source: str, read: str, lines: Sequence[Line] = (), turned: int = 0) -> View:
    width, height = picture.width_px, picture.height_px
    if turned in (90, 270):
        width, height = height, width
    return View(
        width_px=width,
        height_px=height,
        lines=list(lines),
        time_seconds=picture.time_seconds,
        until_seconds=picture.until_seconds,
        page=picture.page,
        text_source=source,
        turned_degrees=turned,
        read=read,
        vector=picture.vector,
    )


def _give_back(
    perceptions: Sequence[Perception], tasks: Sequence[_Task], outcomes: Sequence[_Outcome]
) -> list[Perception]:
    """Add what was read to the perceptions it belongs to."""
    found: list[list[_Outcome]] = [[] for _ in perceptions]
    for task, outcome in zip(tasks, outcomes, strict=True):
        found[task.owner].append(outcome)
    given = []
    for perception, here in zip(perceptions, found, strict=True):
        if not here:
            given.append(perception)
            continue
        failures = [
            replace(outcome.failure, unit=perception.unit.index) for outcome in here if outcome.failure
        ]
        read = _with_views(perception, [outcome.view for outcome in here])
        cost = cost_of(
            "ocr",
            total([outcome.spent for outcome in here]),
            items=len(here) - len(failures),
            filled=[outcome.filled for outcome in here],
        )
        given.append(
            replace(read, failures=[*perception.failures, *failures], costs=[*perception.costs, cost])
        )
    return given


def _read_all(reader: "_Reader", tasks: Sequence[_Task]) -> list[_Outcome]:
    """Read whole pictures in batches, then those of which a part changed, each after the one before it."""
    whole = [index for index in range(len(tasks)) if not _is_part(tasks, index)]
    outcomes = dict(zip(whole, reader.read_whole([tasks[index].picture for index in whole]), strict=True))
    for index, task in enumerate(tasks):
        if index not in outcomes:
            outcomes[index] = reader.read_changed(task.picture, outcomes[index - 1].view)
    return unpack(len(tasks), outcomes.items())


def _is_part(tasks: Sequence[_Task], index: int) -> bool:
    """Tell whether a picture can be read by its changes: there is one before it in its unit."""
    if not tasks[index].picture.changed or index == 0:
        return False
    task, before = tasks[index], tasks[index - 1]
    size = task.picture.width_px, task.picture.height_px
    return task.owner == before.owner and size == (before.picture.width_px, before.picture.height_px)


@dataclass(frozen=True, slots=True)
class _Reader:
    """How pictures are read, by any engine."""

    engine: OcrEngine
    min_confidence: float
    detail: str
    orientation: bool

    def read_whole(self, pictures: Sequence[Picture]) -> list[_Outcome]:
        """Read pictures whole, in batches of one shape."""
        sizes = [(picture.width_px, picture.height_px) for picture in pictures]
        batches = pack(sizes, bucket_of, _BATCH_PICTURES, _BATCH_PIXELS)
        return unpack(
            len(pictures),
            (
                (index, outcome)
                for batch in batches
                for index, outcome in zip(
                    batch, self._read_batch([pictures[index] for index in batch]), strict=True
                )
            ),
        )

    def _read_batch(self, pictures: Sequence[Picture]) -> Iterator[_Outcome]:
        """Read a batch; when it fails, each picture alone, so that one cannot take the others along."""
        watch = Stopwatch()
        try:
            first = read_inked(self.engine, [pixels_of(picture) for picture in pictures])
        except Exception:  # the culprit is found, and reported, by reading each picture alone
            yield from (self._attempt(picture, self._read_alone) for picture in pictures)
            return
        spent, filled = watch.read().share(len(pictures)), _filled(pictures)
        for picture, fill, lines in zip(pictures, filled, first, strict=True):
            outcome = self._attempt(picture, partial(self._finish, lines=lines))
            yield replace(outcome, spent=spent + outcome.spent, filled=fill)

    def _read_alone(self, picture: Picture) -> View:
        (lines,) = read_inked(self.engine, [pixels_of(picture)])
        return self._finish(picture, lines)

    def read_changed(self, picture: Picture, before: View) -> _Outcome:
        """Read what changed since the view before; whole where that one is no use for it."""
        if before.read == "none" or before.turned_degrees:
            return self._attempt(picture, self._read_alone)
        return self._attempt(picture, partial(self._read_parts, before=before))

    def _attempt(self, picture: Picture, read: Callable[[Picture], View]) -> _Outcome:
        """Read a picture; whatever goes wrong concerns this picture alone and gets a reason."""
        watch = Stopwatch()
        failure = None
        try:
            view = read(picture)
        except Exception as error:
            view = _view(picture, "none", "none")
            failure = _failure(picture, error)
        return _Outcome(view, watch.read(), failure)

    def _finish(self, picture: Picture, lines: Sequence[Line]) -> View:
        """Turn a page upright, look again at small letters, and put the lines in order."""
        pixels, turned = pixels_of(picture), 0
        # Frames of a video keep the direction their container states: boxes of one scene must
        # stay comparable, and pages are what scanners turn.
        if self.orientation and picture.page is not None:
            turned = find_turn(pixels, lines, self.engine)
        if turned:
            pixels = turn_picture(pixels, turned)
            (lines,) = read_inked(self.engine, [pixels])
        sure = self._sure(lines)
        if self.detail == "auto":
            sure = merge(sure, self._look_again(pixels, sure))
        height, width = pixels.shape[:2]
        return _view(picture, "ocr", "whole", in_reading_order(sure, width, height), turned)

    def _sure(self, lines: Sequence[Line]) -> list[Line]:
        return [line for line in lines if line.text and line.confidence >= self.min_confidence]

    def _look_again(self, pixels: Pixels, lines: Sequence[Line]) -> list[Line]:
        height, width = pixels.shape[:2]
        if detector_scale(width, height) >= WORTH_SCALE or is_cut(pixels):
            return []
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        rects = second_looks(width, height, lines, fine_detail(grey), CELL_PX)
        found = self.engine.read([cut(pixels, rect) for rect in rects]) if rects else []
        return self._sure(
            [
                place(line, rect, width, height)
                for rect, here in zip(rects, found, strict=True)
                for line in here
            ]
        )

    def _read_parts(self, picture: Picture, before: View) -> View:
        pixels = pixels_of(picture)
        chosen = parts(picture.width_px, picture.height_px, picture.changed, before.lines)
        if chosen is None:
            return self._read_alone(picture)
        # Where something has gone from blank paper nothing is left to read: a pointer moves on.
        shown = [part for part in chosen if not is_blank(cut(pixels, part.rect))]
        found = self.engine.read([cut(pixels, part.rect) for part in shown]) if shown else []
        replaced = {index for part in chosen for index in part.replaced}
        standing = [line for index, line in enumerate(before.lines) if index not in replaced]
        lines = list(standing)
        for part, here in zip(shown, found, strict=True):
            lines += self._replace(part, here, before, standing, picture)
        order = in_reading_order(lines, picture.width_px, picture.height_px)
        return _view(picture, "ocr", "parts", order)

    def _replace(
        self,
        part: Part,
        found: Sequence[Line],
        before: View,
        standing: Sequence[Line],
        picture: Picture,
    ) -> Iterator[Line]:
        """Give the lines of a part; one that reads as before is the same line as before."""
        old = [before.lines[index] for index in part.replaced]
        for line in self._sure(found):
            new = place(line, part.rect, picture.width_px, picture.height_px)
            if any(overlap(new, other) > _IN_THE_WAY for other in standing):
                continue
            same = (other for other in old if other.text == new.text and overlap(new, other) > _SAME_PLACE)
            yield next(same, new)


def _filled(pictures: Sequence[Picture]) -> list[Filled]:
    """Say for each picture of a batch what part of the batch it was, and how much of it is padding."""
    width, height = bucket_of(pictures[0].width_px, pictures[0].height_px)
    places = max(1, min(_BATCH_PICTURES, _BATCH_PIXELS // (width * height))) / len(pictures)
    return [
        Filled(1, places, float(picture.width_px * picture.height_px), float(width * height))
        for picture in pictures
    ]


def pixels_of(picture: Picture) -> Pixels:
    """View the bytes of a picture as an array of shape (height, width, 3).

    Raises:
        InputError: There are not as many bytes as the size says.
    """
    wanted = picture.width_px * picture.height_px * 3
    if len(picture.pixels) != wanted or wanted <= 0:
        msg = (
            f"Wanted {wanted} bytes for a picture of {picture.width_px}x{picture.height_px} pixels; "
            f"found {len(picture.pixels)}. Please report this."
        )
        raise InputError(Reason.CORRUPT, msg)
    return np.frombuffer(picture.pixels, np.uint8).reshape(picture.height_px, picture.width_px, 3)


def _failure(picture: Picture, error: Exception) -> Failure:
    """Name what went wrong with a picture."""
    if isinstance(error, InputError):
        reason, message = error.reason, error.message
    elif isinstance(error, MemoryError):
        reason = Reason.MEMORY
        message = (
            f"Wanted memory to read a picture of {picture.width_px}x{picture.height_px}; there was none."
        )
    else:
        reason = Reason.INTERNAL
        message = f"Wanted the text of a picture; the engine raised {type(error).__name__}: {error}"
    return Failure(
        stage=Stage.OCR,
        reason=reason,
        message=message,
        page=picture.page,
        start_seconds=picture.time_seconds,
        end_seconds=picture.until_seconds,
    )
