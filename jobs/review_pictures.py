"""`gloss review list --pictures`: the frame or page behind each doubt, as a picture to look at."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from jobs.output import note
from operators.evidence_pictures import Source, Spot, evidence_pictures
from schemas.box import Box
from schemas.config import Config, ConfigError
from schemas.failure import InputError
from schemas.media import Kind

MOST_PICTURES = 2
"""Of each review, of its best evidence."""

_DIGITS = 12
"""Of the review's id, in the name of a file."""

_PLACES = """
    SELECT a.asset_id, a.uri, a.kind, a.bytes, a.width_px AS asset_width, a.height_px AS asset_height,
        c.clip, c.width_px, c.height_px, c.turned_degrees
    FROM assets a JOIN clips c USING (asset_id) WHERE list_contains($assets, a.asset_id)"""


@dataclass(frozen=True, slots=True)
class Place:
    """A clip or page on which evidence stands."""

    source: Source
    width_px: int
    height_px: int
    turned_degrees: int


Places = Mapping[tuple[str, int], Place]
"""By asset and clip."""


def places_of(connection: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]]) -> Places:
    """Find where the evidence of reviews stands.

    Args:
        connection: To the lake.
        rows: Of `reviews`.
    """
    cursor = connection.execute(_PLACES, {"assets": sorted({row["asset_id"] for row in rows})})
    names = [column[0] for column in cursor.description or ()]
    places = {}
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        width, height = row["width_px"] or row["asset_width"], row["height_px"] or row["asset_height"]
        # Clips of a video state the size of its frames as they are stored, pages that of the upright page.
        if row["kind"] == Kind.VIDEO and row["turned_degrees"] in (90, 270):
            width, height = height, width
        if width and height:
            source = Source(row["asset_id"], row["uri"], row["kind"], row["bytes"])
            places[row["asset_id"], row["clip"]] = Place(source, width, height, row["turned_degrees"])
    return places


def add_pictures(rows: Sequence[dict[str, Any]], places: Places, folder: Path, config: Config) -> None:
    """Write the pictures of reviews into a folder, and name each file in its evidence as `picture`.

    A source that is gone or cannot be decoded is noted on stderr.

    Args:
        rows: Of `reviews`; each piece of evidence gets a `picture`, null where it has none.
        places: Of their evidence.
        folder: Made if it is missing.
        config: Of the lake's last run.

    Raises:
        ConfigError: The folder cannot be written to.
    """
    _make(folder)
    wanted: dict[Source, list[tuple[Spot, dict[str, Any], Path]]] = defaultdict(list)
    for row in rows:
        for part in row["evidence"]:
            part["picture"] = None
        for number, (part, place) in enumerate(islice(_shown(row, places), MOST_PICTURES), 1):
            path = folder / f"{row['review_id'][:_DIGITS]}-{number}.png"
            wanted[place.source].append((_spot(part, place), part, path))
    for source, items in wanted.items():
        said = set()
        pictures = evidence_pictures(source, [spot for spot, _, _ in items], config)
        for (_, part, path), picture in zip(items, pictures, strict=True):
            if isinstance(picture, InputError):
                if picture.message not in said:
                    note(f"gloss: no picture {path.name}: {picture.message}")
                said.add(picture.message)
                continue
            try:
                picture.save(path)
            except OSError as error:
                raise _unwritable(folder, error) from error
            part["picture"] = str(path)


def _shown(row: Mapping[str, Any], places: Places) -> Iterable[tuple[dict[str, Any], Place]]:
    """Give the evidence of a review that can be seen, the best first; one place once."""
    seen = set()
    for part in row["evidence"]:
        place = places.get((row["asset_id"], part["clip"]))
        at = tuple(part[name] for name in ("time_seconds", "page", "x0", "y0", "x1", "y1"))
        if place is None or place.source.kind == Kind.AUDIO or at[:2] == (None, None) or at in seen:
            continue
        seen.add(at)
        yield part, place


def _spot(part: Mapping[str, Any], place: Place) -> Spot:
    corners = [part[name] for name in ("x0", "y0", "x1", "y1")]
    box = None if None in corners else Box(*corners)
    return Spot(
        place.width_px, place.height_px, part["time_seconds"], part["page"], box, place.turned_degrees
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    why = error.strerror or str(error)
    return ConfigError(
        f"Wanted a folder for pictures at {folder}; it cannot be written to ({why}). Choose another."
    )
