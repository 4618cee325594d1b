"""The frame or page on which a piece of evidence stands, for a person to look at.

It is decoded from the source when somebody asks for it: a lake keeps words and places, no pictures. The
source is untrusted, so that it is decoded as in a run, in a child process within `limits`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image, ImageDraw

from operators.decode import Decode
from operators.sniff import HEAD_BYTES, UnsupportedError, sniff
from operators.source import open_source, unreadable
from schemas.box import Box
from schemas.config import Config
from schemas.failure import InputError, Reason
from schemas.look import Glance, Look, Shown
from schemas.media import Asset, Kind, Planned, Unit, UnitKind

LONGEST_PX = 1600
"""Longest side of a picture: body text of a page stays legible, and a screen holds it."""

_RED = (230, 0, 0)

_FRAME = 1 / 400
"""Width of the frame around the evidence, as a share of the longest side; two pixels at least."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was ingested, as the lake knows it."""

    asset_id: str
    uri: str
    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A moment of a video or a page, and the part of it that matters."""

    width_px: int
    height_px: int
    """Of the upright frame or page; only their proportions count for a page of a document."""
    time_seconds: float | None = None
    page: int | None = None
    """1-based."""
    box: Box | None = None
    """In fractions of the upright picture."""
    turned_degrees: int = 0
    """Clockwise turn that makes it upright, beyond what the container says."""


def evidence_pictures(
    source: Source, spots: Sequence[Spot], config: Config
) -> Iterator[Image.Image | InputError]:
    """Decode the frames or pages of one source.

    Args:
        source: A video, document or picture file.
        spots: In it.
        config: `limits` and `store` apply.

    Yields:
        For each spot in order its picture, the box framed in red; or why there is none.
    """
    try:
        asset = _opened(source, config)
    except InputError as error:
        yield from (error for _ in spots)
        return
    units = [Unit(index, UnitKind.LOOK, look=_look(spot, source.kind)) for index, spot in enumerate(spots)]
    for perception in Decode(config)(Planned(asset, units)):
        if not perception.shown:
            (failure,) = perception.failures
            yield InputError(Reason(failure.reason), failure.message)
            continue
        yield _framed(perception.shown[0], spots[perception.unit.index].box)


def _opened(source: Source, config: Config) -> Asset:
    """Check that a source is still there, and tell its format by its first bytes.

    Another size means other content. That another content has the same size is taken for improbable:
    hashing a video of gigabytes for two pictures would cost far more than they do.

    Raises:
        InputError: It is gone, is another file now, or cannot be read.
    """
    try:
        with open_source(source.uri, config.store.storage_options) as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
        sniffed = sniff(head, PurePosixPath(source.uri).name)
    except OSError as error:
        raise unreadable(source.uri, error) from error
    except UnsupportedError as error:
        raise InputError(Reason.UNREADABLE, f"Wanted what was ingested at {source.uri}; {error}.") from None
    if size != source.size_bytes:
        msg = (
            f"Wanted the {source.size_bytes} bytes that were ingested of {source.uri}; it has {size} now. "
            "Run gloss ingest on it again."
        )
        raise InputError(Reason.UNREADABLE, msg)
    return Asset(
        asset_id=source.asset_id,
        version="",
        uri=source.uri,
        kind=source.kind,
        size_bytes=size,
        fingerprint="",
        content_hash="",
        container=sniffed.container,
    )


def _look(spot: Spot, kind: str) -> Look:
    longest = max(spot.width_px, spot.height_px, 1)
    # A page of a document has no pixels of its own; nothing else is enlarged.
    scale = LONGEST_PX / longest if kind == Kind.DOCUMENT else min(1.0, LONGEST_PX / longest)
    size = max(1, round(spot.width_px * scale)), max(1, round(spot.height_px * scale))
    glance = Glance(*size, 0, spot.time_seconds, spot.page, turned_degrees=spot.turned_degrees)
    return Look(0, [glance], "caption")


def _framed(shown: Shown, box: Box | None) -> Image.Image:
    """Draw a frame just outside of a box."""
    size = (shown.width_px, shown.height_px)
    picture = Image.frombytes("RGB", size, shown.pixels)
    if box is None:
        return picture
    line = max(2, round(max(size) * _FRAME))
    left, top = (max(0, round(at * side) - line) for at, side in zip((box.x0, box.y0), size, strict=True))
    right, bottom = (
        min(side - 1, round(at * side) + line) for at, side in zip((box.x1, box.y1), size, strict=True)
    )
    ImageDraw.Draw(picture).rectangle(
        (min(left, right), min(top, bottom), right, bottom), outline=_RED, width=line
    )
    return picture
