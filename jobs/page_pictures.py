"""Pictures of the pages and frames where something went wrong, decoded from the sources again.

Sources are untrusted and may be the very files that break decoders, so that they are decoded as in a run, in
a child process within limits. Pictures are few and small: the page holds them in itself.
"""

import base64
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from jobs.page_facts import Row
from operators.evidence_pictures import Source, Spot, evidence_pictures
from schemas.config import Config
from schemas.failure import InputError
from schemas.media import Kind

MOST_PICTURES = 16
MOST_OF_ASSET = 4
MOST_BYTES = 4 << 20
"""Of all pictures together, as JPEG."""

_LONGEST_PX = 900
_QUALITY = 72

_UNIT_SECONDS = 30.0
"""A page is looked at soon: what needs longer has no picture."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of a failure, or why there is none."""

    data: str = ""
    """As a `data:` URL; empty where there is none."""
    width_px: int = 0
    height_px: int = 0
    why: str = ""


def pictures_of(failures: Sequence[Row], config: Config) -> dict[int, Shot]:
    """Decode pictures of failures.

    Args:
        failures: With place, kind and size of their assets, as `jobs.page_facts` reads them.
        config: `limits` and `store` apply.

    Returns:
        By the index of the failure; those that concern no page or frame are left out.
    """
    limits = config.limits.model_copy(update={"unit_seconds": min(_UNIT_SECONDS, config.limits.unit_seconds)})
    bounded = config.model_copy(update={"limits": limits})
    shots: dict[int, Shot] = {}
    spent = 0
    for source, wanted in _wanted(failures).items():
        spots = [_spot(failures[index]) for index in wanted]
        for index, picture in zip(wanted, evidence_pictures(source, spots, bounded), strict=True):
            shot = _no_room() if spent >= MOST_BYTES else _shot(picture)
            spent += len(shot.data)
            shots[index] = shot
    return shots


def _wanted(failures: Sequence[Row]) -> dict[Source, list[int]]:
    """Choose failures on a page or at a moment of a file that is known; each place once."""
    wanted: dict[Source, list[int]] = defaultdict(list)
    seen: set[tuple[object, ...]] = set()
    for index, row in enumerate(failures):
        place = row["asset_id"], row["page"], row["start_seconds"]
        shown = row["kind"] in (Kind.VIDEO, Kind.DOCUMENT, Kind.IMAGE) and place[1:] != (None, None)
        if not shown or place in seen or len(seen) >= MOST_PICTURES or row["stage"] in _UNSEEN:
            continue
        source = Source(row["asset_id"], row["uri"], row["kind"], row["bytes"])
        if len(wanted[source]) < MOST_OF_ASSET:
            wanted[source].append(index)
            seen.add(place)
    return {source: indices for source, indices in wanted.items() if indices}


_UNSEEN = ("sound", "asr")
"""Stages that have to do with nothing that is seen."""

_A4 = (595, 842)


def _spot(row: Row) -> Spot:
    width, height = row["width_px"] or _A4[0], row["height_px"] or _A4[1]
    time_seconds = None if row["page"] is not None else row["start_seconds"]
    return Spot(width, height, time_seconds, row["page"], turned_degrees=row["turned_degrees"])


def _shot(picture: Image.Image | InputError) -> Shot:
    if isinstance(picture, InputError):
        return Shot(why=picture.message)
    picture.thumbnail((_LONGEST_PX, _LONGEST_PX))
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=_QUALITY, optimize=True)
    data = base64.b64encode(held.getvalue()).decode()
    return Shot(f"data:image/jpeg;base64,{data}", picture.width, picture.height)


def _no_room() -> Shot:
    return Shot(why="Left out: the page has as many pictures as it may hold.")


def places(failures: Sequence[Row]) -> Iterator[str]:
    """Say for each failure where it is: page, or stretch of time."""
    for row in failures:
        if row["page"] is not None:
            yield f"page {row['page']}"
        elif row["start_seconds"] is not None:
            end = row["end_seconds"]
            yield f"{row['start_seconds']:.1f} s" + ("" if end is None else f" to {end:.1f} s")
        else:
            yield ""
