"""The right caption reaches the right clip, whatever the batch, order and workers: a model that sees."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.ingest import run_ingest
from jobs.plan import Selection
from operators.lake import Lake
from operators.vision_engines import load_vision
from operators.vision_models import resolve_vision
from operators.vlm import Vlm
from schemas.config import Config, load_config
from schemas.look import Glance, Look, Shown
from schemas.media import Asset, Unit, UnitKind
from schemas.perception import Perception
from tests import scenes
from tests.media import save
from tests.scenes import Scene, caption_of, draw_scenes, pdf_of, picture, png_of, video_of

SIZES = ((168, 168), (252, 140), (140, 252), (112, 196), (196, 112))
"""Buckets: multiples of 28, so that they are shown as they are; square, wide and tall."""


def configured(folder: Path, *settings: str) -> Config:
    """The configuration that loads the tiny model as a user's own."""
    vision = ["vision.engine=transformers", f"vision.model={folder}", "vision.max_new_tokens=60"]
    fixed = ["speech.engine=off", *vision, "vision.max_details=0", "resources.vision_threads=1"]
    return load_config("embedded", None, [*fixed, *settings])


def look_of(number: int, shown: Sequence[Scene], size: tuple[int, int]) -> Perception:
    """A clip in which scenes follow each other, ready to be looked at."""
    asset = Asset(f"a{number}", "v", f"file:///{number}.mp4", "video", 1, "f", f"c{number}")
    times = [5.0 * number + 2.0 * place for place in range(len(shown))]
    tokens = size[0] * size[1] // 784
    glances = [Glance(*size, tokens, time_seconds=time) for time in times]
    look = Look(number, glances, "caption", seen="words on a slide" if number % 3 else "", text_tokens=400)
    look = replace(look, visual_tokens=tokens * len(shown))
    pictures = [
        Shown(*size, picture(scene, size).tobytes(), time) for scene, time in zip(shown, times, strict=True)
    ]
    unit = Unit(number, UnitKind.LOOK, 5.0 * number, 5.0 * number + 5, look=look)
    return Perception(asset, unit, shown=pictures)


@pytest.fixture(scope="module")
def looks() -> list[tuple[Perception, str]]:
    """Clips of one to three pictures in every bucket, with the truth about each."""
    drawn: Iterator[Scene] = iter(draw_scenes(4, 48))
    made = []
    for number in range(20):
        shown = [next(drawn) for _ in range(1 + number % 3)]
        made.append((look_of(number, shown, SIZES[number % len(SIZES)]), caption_of(*shown)))
    return made


@pytest.mark.parametrize(("batch", "tokens"), [(1, 4096), (3, 4096), (8, 100_000), (8, 1500)])
def test_captions_do_not_depend_on_batches_or_order(
    tiny_vlm_folder: Path, looks: list[tuple[Perception, str]], batch: int, tokens: int
) -> None:
    """Each look gets the words about its own pictures, in batches of any size and in any order."""
    settings = (f"resources.vision_batch={batch}", f"resources.vision_batch_tokens={tokens}")
    config = resolve_vision(configured(tiny_vlm_folder, *settings), lambda _: None)
    vlm = Vlm(config, load_vision(config.vision, threads=1, gpu=False))
    mixed = random.Random(batch + tokens).sample(looks, len(looks))  # noqa: S311 - an order, not a secret
    answered = vlm([perception for perception, _ in mixed])
    assert [item.unit.index for item in answered] == [item.unit.index for item, _ in mixed]
    said = [[caption.text for caption in item.captions] for item in answered]
    assert said == [[truth] for _, truth in mixed]
    for item in answered:
        assert item.captions[0].visual_tokens == item.captions[0].planned_visual_tokens
        assert not item.shown


def make_corpus(folder: Path) -> dict[tuple[str, int], str]:
    """Write videos, pages and pictures of scenes; return the truth by file and clip."""
    folder.mkdir()
    truth: dict[tuple[str, int], str] = {}
    drawn = iter(draw_scenes(7, 40))
    for number, size in enumerate([(256, 144), (640, 360), (360, 640), (1280, 720)]):
        shots = [next(drawn) for _ in range(3)]
        shown = [scenes.Shown(3.0 * place, shot) for place, shot in enumerate(shots)]
        save(folder, f"{number}.mp4", video_of(shown, 9.0, size))
        truth |= {(f"{number}.mp4", clip): caption_of(shot) for clip, shot in enumerate(shots)}
    for number, sides in enumerate([(420.0, 595.0), (595.0, 420.0)]):
        shots = [next(drawn) for _ in range(2)]
        save(folder, f"{number}.pdf", pdf_of(shots, sides))
        truth |= {(f"{number}.pdf", clip): caption_of(shot) for clip, shot in enumerate(shots)}
    for number, size in enumerate([(320, 240), (300, 500)]):
        shot = next(drawn)
        save(folder, f"{number}.png", png_of(shot, size))
        truth[f"{number}.png", 0] = caption_of(shot)
    return truth


def captions(lake: str) -> dict[tuple[str, int], str]:
    """What stands in the lake, by file name and clip."""
    with Lake(lake).connect() as connection:
        rows = connection.execute(
            "SELECT regexp_extract(uri, '[^/]+$'), clip, caption FROM clips JOIN assets USING (asset_id)"
        ).fetchall()
    return {(name, clip): caption for name, clip, caption in rows}


@pytest.mark.usefixtures("ray_cluster")
def test_every_clip_and_page_of_a_corpus_gets_its_caption(tiny_vlm_folder: Path, tmp_path: Path) -> None:
    """With one worker and single looks, and with two workers, batches and another order: the same rows."""
    truth = make_corpus(tmp_path / "corpus")
    single = configured(tiny_vlm_folder, "resources.vision_batch=1", "vision.max_visual_tokens=64")
    several = configured(
        tiny_vlm_folder,
        "resources.vision_batch=5",
        "resources.vision_workers=2",
        "vision.max_visual_tokens=64",
    )
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert run_ingest([str(tmp_path / "corpus")], first, single) == 0
    assert captions(first) == truth
    selection = Selection(shuffle_seed=3)
    assert run_ingest([str(tmp_path / "corpus")], second, several, selection=selection) == 0
    assert captions(second) == truth
    with Lake(first).connect() as connection:
        most, error, looked = connection.execute(
            "SELECT max(visual_tokens), max(abs(visual_tokens - planned_visual_tokens)), count(caption) "
            "FROM clips"
        ).fetchall()[0]
    assert (error, looked) == (0, len(truth))
    assert most <= 64
