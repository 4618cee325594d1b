"""Distinct pictures get vectors on their way, and nothing is read again because of them."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.decode_pdf import decode_pdf_pages
from operators.embed_frames import EmbedFrames
from operators.embedding_engine import Vectors, of_length_one
from operators.frame_rows import frame_rows
from operators.ocr import Ocr
from operators.recall import Recall
from operators.unit_id import ASR, DECODE, OCR, perception_id, unit_id
from operators.vision_engine import Pixels
from schemas.arrow import from_table, to_table
from schemas.box import Box
from schemas.config import Config, load_config
from schemas.failure import InputError, Reason
from schemas.media import Asset, Planned, Unit
from schemas.perception import Line, Perception, Picture, View
from schemas.tables import UnitRow
from tests import scenes
from tests.rows import NOW
from tests.scenes import Blank, Scene
from tests.small_lake import clip_row
from tests.tiny_embedders import CLIP, SIGLIP

RED, BLUE = (255, 0, 0), (0, 0, 255)
LINE = Line("Ebb and flow", 0.9, 0.1, 0.1, 0.5, 0.2, "ocr", 0.05)


def config_of(*settings: str, frames: Path | None = SIGLIP) -> Config:
    """The default configuration with a model of pictures, or without."""
    given = ["embedding.engine=transformers", f"embedding.frames={frames}"] if frames else []
    return load_config(settings=["ocr.engine=off", *given, *settings])


class MeanColour:
    """Embeds a picture by its mean colour; pictures of 13 pixels width kill it."""

    name, revision = "mean", "1"

    def __init__(self) -> None:
        """Begin."""
        self.seen: list[int] = []

    def embed_query(self, words: str) -> Vectors:
        """Not asked here."""
        raise NotImplementedError

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """One vector for each."""
        self.seen.append(len(pictures))
        if any(picture.shape[1] == 13 for picture in pictures):
            raise InputError(Reason.CRASHED, "The embedding model was killed.")
        return of_length_one(np.array([picture.mean((0, 1)) + 1 for picture in pictures]))


def picture(colour: tuple[int, int, int], width: int = 8, **columns: Any) -> Picture:
    """A picture of one colour."""
    pixels = np.full((6, width, 3), colour, np.uint8)
    return replace(Picture(width, 6, pixels.tobytes()), **columns)


def perception(kind: str = "span", **columns: Any) -> Perception:
    """A row on its way."""
    asset = Asset("a0", "v0", "file:///a0", "video", 10, "f", "c")
    return replace(Perception(asset, Unit(0, kind, 0.0, 60.0)), **columns)


def test_distinct_pictures_get_vectors_that_reach_their_views() -> None:
    """One of which a part changed is like the one before; the engine gets all of a call together."""
    changed = picture(BLUE, time_seconds=2.0, changed=[Box(0, 0, 0.1, 0.1)])
    rows = [
        perception(pictures=[picture(RED, time_seconds=1.0), changed]),
        perception(),
        perception(pictures=[picture(BLUE, time_seconds=5.0)]),
    ]
    embedder = MeanColour()
    config = config_of()
    embedded = EmbedFrames(config, embedder)(rows)
    assert embedder.seen == [2]
    assert embedded[1] == rows[1]
    # As it goes on: through Arrow, then without its pixels.
    travelled = from_table(Perception, to_table(Perception, embedded))
    views = [view for item in Ocr(config)(travelled) for view in item.views]
    assert [view.time_seconds for view in views] == [1.0, 2.0, 5.0]
    assert views[1].vector == []
    assert np.argmax(views[0].vector) == 0
    assert np.argmax(views[2].vector) == 2
    assert sum(cost.items for item in embedded for cost in item.costs if cost.stage == "embed") == 2


def test_a_picture_that_cannot_be_embedded_is_a_failure_and_read_all_the_same() -> None:
    """The others of its batch get their vectors."""
    rows = [perception(pictures=[picture(RED), picture(BLUE, 13, time_seconds=3.0), picture(BLUE)])]
    [found] = EmbedFrames(config_of(), MeanColour())(rows)
    assert [bool(item.vector) for item in found.pictures] == [True, False, True]
    [failure] = found.failures
    assert (failure.stage, failure.reason, failure.start_seconds) == ("embed", "crashed", 3.0)


def test_a_picture_that_is_here_for_its_vector_alone_ends_here() -> None:
    """Its view, which has its words already, gets the vector."""
    view = View(8, 6, [LINE], page=4, text_source="text_layer")
    rows = [perception("page", pictures=[picture(RED, page=4, to_read=False)], views=[view])]
    [found] = EmbedFrames(config_of(), MeanColour())(rows)
    assert found.pictures == []
    assert found.views[0].lines == [LINE]
    assert np.argmax(found.views[0].vector) == 0


def test_pages_with_a_text_layer_are_rendered_for_their_vectors_alone() -> None:
    """Only where pictures are embedded; a blank page has nothing to show."""
    text = "The ship left the port in the early morning, and it was a big one. " * 2
    data = scenes.pdf_of([Scene("red", "square", "white", text=text), Blank("white")])
    asset = Asset("a0", "v0", "file:///a0.pdf", "document", len(data), "f", "c")
    units = [Unit(0, "page", page=1), Unit(1, "page", page=2)]
    wish = "documents.text_layer=always"
    without = list(decode_pdf_pages(io.BytesIO(data), asset, units, config_of(wish, frames=None)))
    assert [len(item.views[0].lines) > 0 for item in without] == [True, False]
    assert [item.pictures for item in without] == [[], []]
    found = list(decode_pdf_pages(io.BytesIO(data), asset, units, config_of(wish)))
    assert [item.views for item in found] == [item.views for item in without]
    [glimpse], [] = found[0].pictures, found[1].pictures
    assert (glimpse.to_read, glimpse.page, max(glimpse.width_px, glimpse.height_px)) == (False, 1, 768)


# --- ids ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "stage"), [("span", DECODE), ("span", OCR), ("page", DECODE), ("page", OCR)]
)
def test_ids_follow_the_model_only_where_pictures_are_embedded(kind: str, stage: str) -> None:
    """Another model gives other ids; texts, and settings of how fast it runs, change none."""
    asset, unit = perception().asset, Unit(0, kind, 0.0, 60.0, 1 if kind == "page" else None)

    def name(config: Config) -> str:
        return unit_id(asset, unit, config, stage)

    off = name(config_of(frames=None))
    assert name(config_of("embedding.model=/any", "embedding.engine=transformers", frames=None)) == off
    assert len({off, name(config_of()), name(config_of(frames=CLIP))}) == 3
    assert name(config_of("embedding.batch=3")) == name(config_of())


def test_sound_does_not_follow_the_model_of_pictures() -> None:
    """Nor do audio files."""
    asset, unit = perception().asset, Unit(0, "speech", 0.0, 60.0)
    with_model, without = config_of(), config_of(frames=None)
    assert unit_id(asset, unit, with_model, ASR) == unit_id(asset, unit, without, ASR)
    assert perception_id(with_model, "audio") == perception_id(without, "audio")
    for kind in ("video", "document", "image", ""):
        assert perception_id(with_model, kind) != perception_id(without, kind)


# --- work that is there already -------------------------------------------------------------


class _Store:
    """Finished work by id."""

    def __init__(self, *rows: UnitRow) -> None:
        self.rows = {row.unit_id: row for row in rows}

    def read_units(self, _: str, ids: Sequence[str]) -> dict[str, UnitRow]:
        return {name: self.rows[name] for name in ids if name in self.rows}

    def held_units(self, _: str) -> dict[int, Perception]:
        return {}


def test_what_was_read_without_a_model_is_not_read_again(tmp_path: Path) -> None:
    """Pictures are decoded for their vectors; the words come from the lake, and so do both next time."""
    path = tmp_path / "scene.png"
    path.write_bytes(scenes.png_of(Scene("red", "square", "white")))
    asset = Asset("a0", "v0", path.as_uri(), "image", 10, "f", "c", container="png")
    unit = Unit(0, "page", page=1)
    read = unit_id(asset, unit, config_of(frames=None), OCR)
    words = View(320, 180, [LINE], page=1, text_source="ocr", read="whole")
    row = UnitRow(read, "c", 10, OCR, unit, [words], [], [], [], 0, 0.0, 0.0, 0.0, 1.0, "r0", NOW)

    recall = Recall(config_of(), _Store(row))  # type: ignore[arg-type]
    [decoded] = recall(Planned(asset, [unit]))
    assert [item.to_read for item in decoded.pictures] == [False]
    assert (decoded.stage, decoded.recalled) == (OCR, False)
    [embedded] = EmbedFrames(config_of(), MeanColour())([decoded])
    [finished] = Ocr(config_of())([embedded])
    assert finished.views == [replace(words, vector=finished.views[0].vector)]
    assert finished.views[0].vector

    kept = replace(row, unit_id=finished.unit_id, views=finished.views)
    again = Recall(config_of(), _Store(row, kept))  # type: ignore[arg-type]
    [recalled] = again(Planned(asset, [unit]))
    assert (recalled.recalled, recalled.views, recalled.pictures) == (True, finished.views, [])


# --- rows -----------------------------------------------------------------------------------


def test_vectors_stand_at_their_clips() -> None:
    """By time, by page, and not for pages that are no rows."""
    clips = [
        clip_row("a0", 0, "", "w0", start_seconds=0.0, end_seconds=30.0),
        clip_row("a0", 1, "", "w0", start_seconds=30.0, end_seconds=60.0),
    ]
    seen = [View(8, 6, time_seconds=at, vector=[1.0]) for at in (0.0, 29.9, 30.0)]
    units = [perception(views=[*seen, View(8, 6, time_seconds=40.0)])]
    rows = frame_rows(units, clips, "w9", config_of().embedding)
    assert [(row.clip, row.time_seconds) for row in rows] == [(0, 0.0), (0, 29.9), (1, 30.0)]
    assert {(row.level, row.model, row.write_id) for row in rows} == {("frame", "transformers:siglip", "w9")}

    pages = [clip_row("a0", place, "", "w0", page=page) for place, page in enumerate((1, 3))]
    units = [perception("page", views=[View(8, 6, page=page, vector=[1.0]) for page in (1, 2, 3)])]
    rows = frame_rows(units, pages, "w9", config_of().embedding)
    assert [(row.clip, row.page) for row in rows] == [(0, 1), (1, 3)]
    assert frame_rows(units, pages, "w9", config_of(frames=None).embedding) == []
