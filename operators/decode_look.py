"""The pictures of planned looks are decoded: exactly those, each at exactly its size.

The frame of a glance is the one that is on screen at its time: the last whose presentation time
is not later. It is read by the same reader and on the same clock as for recognition, so a time that
a view states leads to the frame that was read. A part is cut out of the frame or page at full
resolution before it is scaled; a page of a document is rendered so large that its most enlarged part
is sharp.
"""

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import BinaryIO

import numpy as np
import pypdfium2 as pdfium
from numpy.typing import NDArray
from PIL import Image

from operators.containers import media_errors, open_container, video_stream
from operators.decode_image import frames_of, read_frame
from operators.decode_pdf import opened_page, render_page
from operators.open_pdf import open_pdf
from operators.orientation import turn_picture
from operators.read_frames import Frame, FrameReader
from operators.sample import exact
from operators.upright import Converter
from schemas.box import Box
from schemas.config import Config
from schemas.failure import InputError, Reason
from schemas.look import Glance, Shown
from schemas.media import Asset, Kind, Unit
from schemas.perception import Cost, Perception

Pixels = NDArray[np.uint8]

_ROUNDING = Fraction(1, 1_000_000)
"""A time that was a fraction (1001/30000) comes back from a float a little too early; ticks of
containers are ten times as long, and longer."""

_NEAR_SECONDS = 5.0
"""Up to this distance reading on costs less than a seek, which leads back to the key frame before:
coders set them some ten seconds apart."""

_HORIZON_SECONDS = Fraction(10)
"""How far beyond the last frame a next one is looked for where all is damaged."""

_WHOLE = Box(0.0, 0.0, 1.0, 1.0)

_SPARE = 1.25
"""Times the pixels that are needed are decoded, as proportions are rounded."""


def decode_looks(file: BinaryIO, asset: Asset, units: Sequence[Unit], config: Config) -> Iterator[Perception]:
    """Yield one `Perception` for each unit, in order, with the pictures its look plans.

    Args:
        file: a stream that can be read and sought; it is not closed.
        asset: a video, document or picture file.
        units: of kind `LOOK`.
        config: `limits` apply.

    Raises:
        InputError: The file cannot be opened, or a picture of the next unit cannot be decoded.
    """
    match asset.kind:
        case Kind.DOCUMENT:
            yield from _look_at_document(file, asset, units, config)
        case Kind.IMAGE:
            places = frames_of(file, config)
            for unit in units:
                yield _finished(asset, unit, _look_at_image(file, places, unit, config))
        case _:
            yield from _look_at_video(file, asset, units, config)


def _finished(asset: Asset, unit: Unit, shown: Iterator[tuple[int, Shown]]) -> Perception:
    """Put the pictures of a unit in the order of its look, whatever the order they were decoded in."""
    started = time.perf_counter()
    found = dict(shown)
    pictures = [found[index] for index in sorted(found)]
    if len(pictures) != len(_glances(unit)):
        msg = f"Wanted {len(_glances(unit))} pictures of a look, decoded {len(pictures)}. Please report this."
        raise InputError(Reason.INTERNAL, msg)
    pixels = sum(picture.width_px * picture.height_px for picture in pictures)
    cost = Cost("decode", time.perf_counter() - started, items=len(pictures), bytes=pixels)
    return Perception(asset, unit, shown=pictures, costs=[cost])


def _glances(unit: Unit) -> list[Glance]:
    if unit.look is None:
        msg = f"Unit {unit.index} has no look that says what is to be shown. Please report this."
        raise InputError(Reason.INTERNAL, msg)
    return unit.look.glances


def _shown(pixels: Pixels, glance: Glance) -> Shown:
    """Cut and scale what a glance shows out of the upright picture."""
    height, width = pixels.shape[:2]
    box = glance.box or _WHOLE
    # Filters cover all of what becomes one pixel: nothing thin is lost when much is scaled away.
    scaled = Image.fromarray(pixels).resize(
        (glance.width_px, glance.height_px),
        Image.Resampling.LANCZOS,
        box=(box.x0 * width, box.y0 * height, min(box.x1, 1.0) * width, min(box.y1, 1.0) * height),
        reducing_gap=3.0,
    )
    return Shown(
        glance.width_px, glance.height_px, scaled.tobytes(), glance.time_seconds, glance.page, glance.box
    )


def _shown_of(pixels: Pixels, glances: Sequence[tuple[int, Glance]]) -> Iterator[tuple[int, Shown]]:
    """Show the glances at one frame or page as it was decoded."""
    for turn in sorted({glance.turned_degrees for _, glance in glances}):
        upright = turn_picture(pixels, turn)
        for index, glance in glances:
            if glance.turned_degrees == turn:
                yield index, _shown(upright, glance)


# --- videos --------------------------------------------------------------------------------


def _look_at_video(
    file: BinaryIO, asset: Asset, units: Sequence[Unit], config: Config
) -> Iterator[Perception]:
    with media_errors(), open_container(file, asset.container) as container:
        stream = video_stream(container)
        if stream is None:
            msg = (
                f"Wanted a video stream that can be decoded, found none ({asset.container}). Probe it again."
            )
            raise InputError(Reason.NO_CONTENT, msg)
        reader = FrameReader(container, stream, config.limits.pixels)
        reader.most_frames = config.limits.frames
        reader.believable_seconds = config.limits.seconds
        converter = Converter(stream.sample_aspect_ratio, config.limits.pixels)
        for unit in units:
            yield _finished(asset, unit, _frames(reader, converter, unit))


def _frames(reader: FrameReader, converter: Converter, unit: Unit) -> Iterator[tuple[int, Shown]]:
    """Decode the frames of a look; each once, for its whole and its parts."""
    at: dict[float, list[tuple[int, Glance]]] = {}
    for index, glance in enumerate(_glances(unit)):
        at.setdefault(glance.time_seconds or 0.0, []).append((index, glance))
    for times in near_groups(sorted(at)):
        for moment, frame in _on_screen(reader, times):
            pixels, _ = converter.pixels(frame.value)
            yield from _shown_of(pixels, at[moment])


def near_groups(times: Sequence[float]) -> Iterator[list[float]]:
    """Group times that are read in one go.

    Args:
        times: in order.
    """
    group: list[float] = []
    for moment in times:
        if group and moment - group[-1] > _NEAR_SECONDS:
            yield group
            group = []
        group.append(moment)
    if group:
        yield group


def _on_screen(reader: FrameReader, times: Sequence[float]) -> Iterator[tuple[float, Frame]]:
    """Give the frame that is on screen at each time.

    Damaged frames serve only where there are no others. A video that begins late is seen at its
    first frame.
    """
    for keep_damaged in (False, True):
        reader.keep_damaged = keep_damaged
        found = 0
        for pair in _read(reader, times):
            found += 1
            yield pair
        if found or not reader.account.bad:
            break
    reader.keep_damaged = False
    if found < len(times):
        raise _missing(reader, times[found])


def _read(reader: FrameReader, times: Sequence[float]) -> Iterator[tuple[float, Frame]]:
    reader.horizon = exact(times[-1]) + _HORIZON_SECONDS
    waiting = list(times)
    current: Frame | None = None
    for frame in reader.frames(exact(times[0])):
        while waiting and current is not None and frame.time > exact(waiting[0]) + _ROUNDING:
            yield waiting.pop(0), current
        if not waiting:
            return
        current = frame
    # The last frame stands until the end, unless there were too many frames to reach it.
    if current is not None and reader.account.stopped is None:
        for moment in waiting:
            yield moment, current


def _missing(reader: FrameReader, moment: float) -> InputError:
    if reader.account.stopped is not None:
        msg = (
            f"Wanted the frame at {moment:.3f} s; limits.frames={reader.most_frames} allows none beyond "
            f"{float(reader.account.stopped):.3f} s. Raise it if the file can be trusted."
        )
        return InputError(Reason.TOO_LARGE, msg)
    msg = f"Wanted the frame at {moment:.3f} s; none can be decoded there. Check that this part plays."
    return InputError(Reason.CORRUPT, msg)


# --- pages ---------------------------------------------------------------------------------


def _by_page(unit: Unit) -> dict[int, list[tuple[int, Glance]]]:
    pages: dict[int, list[tuple[int, Glance]]] = {}
    for index, glance in enumerate(_glances(unit)):
        pages.setdefault(glance.page or 1, []).append((index, glance))
    return pages


def _look_at_document(
    file: BinaryIO, asset: Asset, units: Sequence[Unit], config: Config
) -> Iterator[Perception]:
    with open_pdf(file) as document:
        for unit in units:
            shown = (
                pair
                for page, glances in _by_page(unit).items()
                for pair in _look_at_page(document, page, glances, config)
            )
            yield _finished(asset, unit, shown)


def _look_at_page(
    document: pdfium.PdfDocument, number: int, glances: Sequence[tuple[int, Glance]], config: Config
) -> Iterator[tuple[int, Shown]]:
    """Render a page once, as large as its most enlarged part asks for."""
    with opened_page(document, number) as page:
        width, height = page.get_size()
        scale = max(_scale(glance, width, height) for _, glance in glances)
        pixels = render_page(page, number, max(1.0, scale), config.limits)
    yield from _shown_of(pixels, glances)


def _scale(glance: Glance, width: float, height: float) -> float:
    """Return the pixels per point at which a glance is rendered as large as it is shown."""
    if glance.turned_degrees in (90, 270):
        width, height = height, width
    box = glance.box or _WHOLE
    return max(
        glance.width_px / max(1e-6, (box.x1 - box.x0) * width),
        glance.height_px / max(1e-6, (box.y1 - box.y0) * height),
    )


def _look_at_image(
    file: BinaryIO, places: list[int], unit: Unit, config: Config
) -> Iterator[tuple[int, Shown]]:
    for page, glances in _by_page(unit).items():
        needed = max(_pixels(glance) for _, glance in glances)
        most = min(config.limits.pixels, round(_SPARE * needed))
        # That the file breaks off was reported when it was read.
        pixels, _ = read_frame(file, places, page, most, config)
        yield from _shown_of(pixels, glances)


def _pixels(glance: Glance) -> float:
    """Return the pixels of the whole picture at which a glance is as large as it is shown."""
    box = glance.box or _WHOLE
    return glance.width_px * glance.height_px / max(1e-9, (box.x1 - box.x0) * (box.y1 - box.y0))
