"""`python -m benchmarks.captions`: what is planned for a vision-language model, and what it takes.

A mixed corpus (videos from 144p to 4K, portrait and wide ones, documents, scans, photos) is read and
planned; each look is decoded and answered by the tiny Qwen2-VL of the tests. Planned visual tokens
are compared with what the processor counted, planned text with what went in beside the pictures,
each batch with the budget, and padding by length with padding in the order of arrival.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from operators.asr import Asr
from operators.batch_by_tokens import batch_tokens, batches_by_tokens, padding_share
from operators.decode import Decode
from operators.discover import discover
from operators.ocr import Ocr
from operators.probe import Probe
from operators.survey import Survey
from operators.vision_models import resolve_vision
from operators.vlm import Vlm
from schemas.config import Config, load_config
from schemas.media import Planned
from schemas.perception import Perception
from tests.media import encode, save, slide, steady
from tests.pages import drawn_pdf, prose, text_picture
from tests.scenes import draw_scenes, picture
from tests.tiny_vlm import build_checkpoint

SIZES = (
    (256, 144),
    (426, 240),
    (640, 360),
    (640, 480),
    (1280, 720),
    (1920, 1080),
    (3840, 2160),
    (360, 640),
    (1080, 1920),
    (1280, 536),
)
"""Of the videos: 144p to 4K, portrait, and one as wide as film."""


@dataclass(frozen=True)
class Figures:
    """What the benchmark found."""

    files: int
    looks: int
    pictures: int
    details: int
    planned_visual_tokens: int
    visual_tokens: int
    largest_visual_error: int
    """Of a look, in tokens."""
    planned_text_tokens: int
    text_tokens: int
    least_text_margin: int
    """Tokens by which the plan for the text of a look was above what went in; below 0 it was too low."""
    looks_over_budget: int
    batches: int
    batches_over_budget: int
    padding_by_length: float
    padding_by_arrival: float
    plan_seconds: float
    """Composing and planning all files, on one core."""


def make_corpus(folder: Path, videos: int, pages: int) -> None:
    """Write videos of scenes and slides, documents, scans and photos."""
    folder.mkdir()
    for number in range(videos):
        size = SIZES[number % len(SIZES)]
        scenes = draw_scenes(number, 3)
        shown = [(2.0 * place, picture(scene, size)) for place, scene in enumerate(scenes)]
        if number % 3 == 0:
            shown.append((6.0, slide(["Tide tables of the harbour", "High water at noon"], size=size)))
        save(folder, f"{number:03}.mp4", encode(steady(shown, 2.0 * len(shown), rate=2)))
    for number in range(pages):
        size = [(595.0, 842.0), (842.0, 595.0), (300.0, 400.0), (1000.0, 1400.0)][number % 4]
        letters = [11.0, 6.0, 18.0][number % 3]
        sheets = [lambda canvas, y=size[1] - 80, s=letters: prose(canvas, 40, y, s)] * (1 + number % 3)
        save(folder, f"{number:03}.pdf", drawn_pdf(*sheets, size=size))
        photo = picture(draw_scenes(900 + number, 1)[0], (600 + 137 * number, 800))
        Image.fromarray(photo).save(folder / f"{number:03}.jpg")
        text_picture("Small letters in a wide strip").save(folder / f"{number:03}.png")


def read_all(folder: Path, config: Config) -> list[list[Perception]]:
    """Perceive all files in a plain loop, file by file."""
    probe, decode, ocr, asr = Probe(config), Decode(config), Ocr(config), Asr(config)
    return [
        sorted(
            asr(ocr([perception for task in probe(listing) for perception in decode(task)])),
            key=lambda item: item.unit.index,
        )
        for listing in discover([str(folder)]).listings
    ]


def measure(folder: Path, config: Config) -> Figures:
    """Plan, show and compare."""
    files = read_all(folder, config)
    survey, decode, vlm = Survey(config), Decode(config), Vlm(config)
    started = time.perf_counter()
    plans = [(units[0].asset, survey.looks(units)) for units in files]
    plan_seconds = time.perf_counter() - started
    decoded = [item for asset, looks in plans if looks for item in decode(Planned(asset, looks))]
    answered = vlm(decoded)
    vlm.close()
    failures = [failure for item in answered for failure in item.failures]
    looks = [item.unit.look for item in answered if item.unit.look is not None]
    captions = [caption for item in answered for caption in item.captions]
    # The tiny model may have nothing to say of a page; what went in is counted all the same.
    assert all(failure.stage == "vlm" for failure in failures), failures
    visual = [caption.visual_tokens or 0 for caption in captions]
    planned = [caption.planned_visual_tokens for caption in captions]
    # Of looks that were asked several times all tries are counted.
    once = [caption for caption in captions if caption.tries == 1]
    margins = [c.planned_text_tokens - ((c.input_tokens or 0) - (c.visual_tokens or 0)) for c in once]
    tokens = [look.visual_tokens + look.text_tokens for look in looks]
    answer, use = config.vision.max_new_tokens, config.resources
    shapes = [tuple((glance.width_px, glance.height_px) for glance in look.glances) for look in looks]
    budget, most = use.tokens_per_batch(), use.looks_per_batch()
    batches = batches_by_tokens(tokens, shapes, answer=answer, budget=budget, most=most)
    return Figures(
        files=len(files),
        looks=len(looks),
        pictures=sum(len(look.glances) for look in looks),
        details=sum(glance.box is not None for look in looks for glance in look.glances),
        planned_visual_tokens=sum(planned),
        visual_tokens=sum(visual),
        largest_visual_error=max(abs(a - b) for a, b in zip(planned, visual, strict=True)),
        planned_text_tokens=sum(c.planned_text_tokens for c in once),
        text_tokens=sum((c.input_tokens or 0) - (c.visual_tokens or 0) for c in once),
        least_text_margin=min(margins),
        looks_over_budget=sum(look.visual_tokens > config.vision.max_visual_tokens for look in looks),
        batches=len(batches),
        batches_over_budget=sum(
            len(batch) > 1 and batch_tokens(tokens, batch, answer) > budget for batch in batches
        ),
        padding_by_length=padding_share(tokens, batches),
        padding_by_arrival=padding_share(tokens, in_order(tokens, answer, budget, most)),
        plan_seconds=plan_seconds,
    )


def in_order(tokens: Sequence[int], answer: int, budget: int, most: int) -> list[list[int]]:
    """Fill batches in the order of arrival, within the same budget."""
    batches: list[list[int]] = [[]]
    for index in range(len(tokens)):
        longer = [*batches[-1], index]
        if batches[-1] and (len(longer) > most or batch_tokens(tokens, longer, answer) > budget):
            batches.append([index])
        else:
            batches[-1] = longer
    return batches


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=30)
    parser.add_argument("--pages", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    np.random.seed(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_corpus(root / "corpus", options.videos, options.pages)
        settings = [
            "speech.engine=off",
            "vision.engine=transformers",
            f"vision.model={build_checkpoint(root / 'tiny')}",
            "vision.max_new_tokens=40",
            f"resources.vision_batch={options.batch}",
            "resources.vision_batch_tokens=16384",
        ]
        config = resolve_vision(load_config("embedded", None, settings), lambda _: None)
        figures = asdict(measure(root / "corpus", config))
    for key, value in figures.items():
        sys.stdout.write(
            f"{key.replace('_', ' '):<26} {value:.3f}\n"
            if isinstance(value, float)
            else f"{key.replace('_', ' '):<26} {value}\n"
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
