"""`python -m benchmarks.batching`: how full batches are, and how much of them is padding.

A mixed corpus (videos from 144p to 4K, portrait and square ones, scanned pages) and talks are read as
Gloss reads them, call by call; each stage is compared with a fixed batch filled in the order of arrival,
where every member is padded to the largest. Looks are planned for Qwen2-VL's way of counting tokens.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import make
from benchmarks.corpora.cache import default_folder
from benchmarks.report import publish
from operators.batch_by_length import batches_by_length
from operators.batch_by_tokens import batches_by_tokens
from operators.cost_of import sum_filled
from operators.decode import Decode
from operators.discover import discover
from operators.ocr import Ocr
from operators.ocr_engine import Pixels
from operators.ocr_rapidocr import RapidOcrEngine
from operators.ocr_stages import canonical_width, cut_line, places, scaled_width
from operators.probe import Probe
from operators.speech_models import resolve_speech
from operators.survey import Survey
from schemas.config import Config, load_config
from schemas.perception import Filled, Line, Perception
from tests.tiny_whisper import build_checkpoint, convert_checkpoint

T = TypeVar("T")
Rows = list[dict[str, object]]

_FIXED = 8
"""Members of a fixed batch, where the stage has no size of its own."""

_SOUND_UNITS: dict[int, int] = {4: 2, 16: 24}
"""Stretches of two minutes in a call, for batches on CPUs and on GPUs; as `jobs.chain` has it."""


def batch(lengths: Sequence[float], size: float, longest: float | None = None) -> Filled:
    """Measure a batch.

    Args:
        lengths: Of its members.
        size: Places it has.
        longest: To which all are padded, if not to the longest of them.
    """
    padded = len(lengths) * (max(lengths) if longest is None else longest)
    return Filled(len(lengths), size, sum(lengths), padded)


def rows_of(stage: str, fixed: Iterable[Filled], mine: Iterable[Filled], *, size: int, how: str) -> Rows:
    """Compare batches of a fixed size in the order of arrival with Gloss's own."""
    rows: Rows = []
    for name, batches in ((f"{size} in order", fixed), (f"gloss{how}", mine)):
        whole = sum_filled(batches)
        fill, padding = whole.items / whole.places, 1 - whole.length / whole.padded
        rows.append(
            {"stage": stage, "batches": name, "members": whole.items, "fill": fill, "padding": padding}
        )
    return rows


@dataclass(slots=True)
class Seen:
    """What a recogniser was given, call by call."""

    sizes: list[tuple[int, int]] = field(default_factory=list)
    """(width, height) of each picture its detector saw."""
    widths: list[list[int]] = field(default_factory=list)
    """Of the lines of each call, scaled."""


class Recording(RapidOcrEngine):
    """The recogniser, and a note of what goes through its two models."""

    def __init__(self) -> None:
        """Load the weights in the wheel."""
        super().__init__(None, 1)
        self.seen = Seen()

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Note that a call begins."""
        self.seen.widths.append([])
        return super().read(pictures)

    def find(self, picture: Pixels) -> NDArray[np.float32]:
        """Note the picture, and the lines that will be cut out of it."""
        quads = super().find(picture)
        self.seen.sizes.append((picture.shape[1], picture.shape[0]))
        shapes = [cut_line(picture, quad).shape for quad in quads]
        self.seen.widths[-1] += [scaled_width(width, height) for height, width, _ in shapes]
        return quads


def in_order(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut what comes into batches of a fixed size."""
    return (items[at : at + size] for at in range(0, len(items), size))


def pictures(seen: Seen) -> Rows:
    """Compare what the detector sees. It takes pictures one by one, each at its own size."""
    fixed = []
    for sizes in in_order(seen.sizes, _FIXED):
        widest, highest = (max(size[side] for size in sizes) for side in (0, 1))
        fixed.append(batch([width * height for width, height in sizes], _FIXED, widest * highest))
    mine = (batch([width * height], 1) for width, height in seen.sizes)
    return rows_of("pictures (detector)", fixed, mine, size=_FIXED, how="")


def lines(seen: Seen) -> Rows:
    """Compare what the recogniser sees: lines of one canonical width over the pictures of a call."""
    fixed = [
        batch(few, _FIXED) for few in in_order([width for call in seen.widths for width in call], _FIXED)
    ]
    mine = []
    for call in seen.widths:
        for padded in sorted(set(map(canonical_width, call))):
            alike = [width for width in call if canonical_width(width) == padded]
            mine += [batch(few, places(padded), padded) for few in in_order(alike, places(padded))]
    return rows_of("lines (recogniser)", fixed, mine, size=_FIXED, how="")


def sound(units: Sequence[Sequence[float]], size: int) -> Rows:
    """Compare batches of pieces of sound.

    Args:
        units: Lengths of the pieces of each stretch, in order.
        size: Most pieces of a batch.
    """
    fixed = [batch(few, size) for few in in_order([length for unit in units for length in unit], size)]
    mine: list[Filled] = []
    for call in in_order(units, _SOUND_UNITS[size]):
        lengths = [length for unit in call for length in unit]
        cuts = batches_by_length(lengths, size)
        mine += [batch([lengths[index] for index in members], size) for members in cuts]
    stage, how = f"pieces of sound, batches of {size}", f", {_SOUND_UNITS[size]} units a call"
    return rows_of(stage, fixed, mine, size=size, how=how)


def looks(files: Sequence[Sequence[Perception]], config: Config, size: int) -> Rows:
    """Compare batches of looks for a vision-language model, by tokens."""
    survey = Survey(config)
    planned = [unit.look for units in files for unit in survey.looks(units) if unit.look is not None]
    tokens = [look.visual_tokens + look.text_tokens for look in planned]
    shapes = [tuple((glance.width_px, glance.height_px) for glance in look.glances) for look in planned]
    fixed = [batch(few, size) for few in in_order(tokens, size)]
    found = batches_by_tokens(
        tokens, shapes, answer=config.vision.max_new_tokens, budget=_LOOK_TOKENS, most=size
    )
    mine = [batch([tokens[index] for index in members], size) for members in found]
    stage = f"looks (VLM tokens), batches of {size}"
    return rows_of(stage, fixed, mine, size=size, how=f", {len(tokens)} looks a call")


_LOOK_TOKENS = 32_768
"""As `resources.vision_batch_tokens` on GPUs."""


def perceive(
    folder: Path, config: Config, read: Callable[[list[Perception]], list[Perception]]
) -> list[list[Perception]]:
    """Read each file of a folder in a plain loop, a decoded unit at a time."""
    probe, decode = Probe(config), Decode(config)
    files = []
    for listing in discover([str(folder)]).listings:
        units = [done for task in probe(listing) for one in decode(task) for done in read([one])]
        files.append(sorted(units, key=lambda item: item.unit.index))
    return files


def piece_lengths(folder: Path) -> list[list[float]]:
    """Decode sound and list the lengths of its pieces, unit by unit."""
    with tempfile.TemporaryDirectory() as name:
        # Nothing is recognised; a model must be there for sound to be cut for it.
        model = convert_checkpoint(build_checkpoint(Path(name) / "tiny"), Path(name) / "tiny-ct2")
        settings = ["speech.engine=faster-whisper", f"speech.model={model}"]
        config = resolve_speech(load_config("embedded", None, settings), lambda _: None)
        files = perceive(folder, config, lambda units: units)
    units = [unit for file in files for unit in file if unit.pieces]
    return [[piece.end_seconds - piece.start_seconds for piece in unit.pieces] for unit in units]


def main() -> None:
    """Make corpora, read them, compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--videos", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=10, help="of each video")
    parser.add_argument("--pages", type=int, default=10, help="scanned pages")
    parser.add_argument("--talks", type=int, default=60, help="recordings of 4 to 120 s")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where corpora are kept")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    settings = ["speech.engine=off", "vision.engine=openai", "vision.model=x", "vision.family=qwen2_vl"]
    config = load_config("embedded", None, [*settings, "vision.base_url=http://127.0.0.1:9/v1"])
    engine = Recording()
    ocr = Ocr(config, engine)
    files = [
        file
        for kind, sizes in (
            ("mixed", {"files": given.videos, "seconds": given.seconds}),
            ("scans", {"pages": given.pages}),
        )
        for file in perceive(make(kind, given.folder, **sizes)[0], config, ocr)
    ]
    units = piece_lengths(make("talks", given.folder, files=given.talks)[0])
    rows = [*pictures(engine.seen), *lines(engine.seen)]
    rows += [row for size in _SOUND_UNITS for row in sound(units, size)]
    rows += looks(files, config, 16)
    publish(
        "Batches",
        rows,
        given.json,
        [
            "The detector takes pictures one by one: four together take 1.6 times as long for each.",
            "Batches of lines hold 640 pixels of width together: more gain nothing on one core.",
        ],
    )


if __name__ == "__main__":
    main()
