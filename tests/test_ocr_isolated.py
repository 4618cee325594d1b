"""A picture that kills the recogniser of text costs itself alone."""

import ctypes
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from operators.isolate import Bounds
from operators.ocr import Ocr
from operators.ocr_engine import Pixels
from operators.ocr_engines import engine_revision, load_engine
from operators.ocr_isolated import IsolatedEngine, isolated_engine
from schemas import config as configs
from schemas.config import Config, Limits
from schemas.failure import Reason
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Line, Perception
from schemas.resources import Resources
from tests.pictures import draw, line, picture

ASSET = Asset("id", "version", "file:///talk.mp4", Kind.VIDEO, 1, "fingerprint", "hash")
BOUNDS = replace(Bounds.of(Limits(unit_seconds=2)), memory_bytes=1 << 30, resident_bytes=400 << 20)

FINE, CRASH, HANG, BALLOON, LEAK = range(5)


class Dangerous:
    """Does what the first pixel of a picture says; else reads its process and how often it was loaded."""

    name = revision = "dangerous"
    loaded = 0

    def __init__(self, fails: bool = False) -> None:
        """Count, or fail as with damaged weights."""
        if fails:
            msg = "the weights are damaged"
            raise RuntimeError(msg)
        type(self).loaded += 1
        self.kept: list[bytes] = []

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Read lines, unless a picture is poison."""
        for pixels in pictures:
            match pixels[0, 0, 0]:
                case 1:
                    ctypes.string_at(0)
                case 2:
                    time.sleep(600)
                case 3:
                    np.zeros(4 << 30, np.uint8)
                case 4:
                    self.kept.append(b"x" * (150 << 20))
        return [[line(f"{os.getpid()} {self.loaded}", 0.2, 0.2, 0.8, 0.3)] for _ in pictures]

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Read the sizes."""
        return [(f"{strip.shape[1]}x{strip.shape[0]}", 0.5) for strip in strips]


@pytest.fixture
def engine() -> Iterator[IsolatedEngine]:
    """The dangerous engine where it cannot do harm."""
    made = IsolatedEngine("dangerous", "1", BOUNDS, Dangerous)
    yield made
    made.close()


def flat(value: int) -> Pixels:
    """A picture of one grey."""
    return np.full((180, 320, 3), value, np.uint8)


def perception(*values: int) -> Perception:
    """A span with such pictures, one a second."""
    pictures = [picture(flat(value), None, at, at + 0.5) for at, value in enumerate(values)]
    return Perception(ASSET, Unit(0, UnitKind.SPAN), pictures=pictures)


def test_reads_in_one_child_that_loads_once(engine: IsolatedEngine) -> None:
    """The child is not this process, keeps the engine, and gives lines and readings in order."""
    first, second = engine.read([flat(0), flat(0)])
    (third,) = engine.read([flat(0)])

    assert first == second == third
    process, loaded = first[0].text.split()
    assert (loaded, int(process) != os.getpid()) == ("1", True)
    assert engine.recognise([flat(0), flat(0)[:9]]) == [("320x180", 0.5), ("320x9", 0.5)]


@pytest.mark.parametrize(
    ("poison", "reason"), [(CRASH, Reason.CRASHED), (HANG, Reason.TIMEOUT), (BALLOON, Reason.MEMORY)]
)
def test_poison_costs_one_picture(engine: IsolatedEngine, poison: int, reason: Reason) -> None:
    """Those before and behind it in the batch are read; it is a failure with its place and reason."""
    (result,) = Ocr(Config(), engine)([perception(FINE, poison, FINE)])

    assert [len(view.lines) for view in result.views] == [1, 0, 1]
    (failure,) = result.failures
    assert (failure.reason, failure.start_seconds, failure.end_seconds) == (reason, 1, 1.5)
    assert "recogniser of text" in failure.message


def test_child_that_leaks_is_replaced_between_calls(engine: IsolatedEngine) -> None:
    """No picture is lost by it."""
    found = [engine.read([flat(LEAK)])[0][0].text for _ in range(6)]

    assert len(set(found)) in (2, 3)


def test_cold_engine_starts_with_the_first_picture() -> None:
    """Name and revision are known without a child; perceptions without pictures start none."""
    config = Config()
    cold = isolated_engine(config)
    assert cold.name == "rapidocr"
    assert cold.revision == engine_revision(config.ocr)

    operator = Ocr(config, warm=False)
    operator([perception()])
    assert isinstance(operator.engine, IsolatedEngine)
    idle = operator.engine.is_running
    operator([perception(FINE)])
    assert (idle, operator.engine.is_running) == (False, True)
    operator.engine.close()


def test_warm_engine_is_loaded_at_once() -> None:
    """So that actors load while files are still being decoded."""
    operator = Ocr(Config())

    assert isinstance(operator.engine, IsolatedEngine)
    assert operator.engine.is_running
    operator.engine.close()


def test_reads_the_same_as_in_the_process() -> None:
    """The real engine gives equal lines and readings, on crops of a picture too."""
    pixels = draw(640, 120, [(20, 20, 30, "The quick brown fox"), (20, 70, 20, "jumps over 12 dogs")])
    there, here = isolated_engine(Config()), load_engine(configs.Ocr(), 1)

    assert there.read([pixels, pixels[:60, :400]]) == here.read([pixels, pixels[:60, :400]])
    assert there.recognise([pixels[15:60]]) == here.recognise([pixels[15:60]])
    there.close()


def test_engine_that_cannot_load_is_refused_at_once(tmp_path: Path) -> None:
    """Damaged weights are found before the first picture, with the reason."""
    for name in ("det.onnx", "rec.onnx"):
        (tmp_path / name).write_bytes(b"not a model")

    with pytest.raises(ValueError, match="could not be"):
        Ocr(Config(ocr=configs.Ocr(model=str(tmp_path))))
    with pytest.raises(ValueError, match="found no folder"):
        Ocr(Config(ocr=configs.Ocr(model=str(tmp_path / "none"))), warm=False)


def test_bounds_follow_the_configuration() -> None:
    """Threads and memory are those of the resources; a GPU needs address space without end."""
    use = Resources(ocr_threads=3, ocr_memory_bytes=1 << 30)
    bounds = isolated_engine(Config(resources=use)).bounds
    assert (bounds.threads, bounds.resident_bytes, bounds.may_write) == (3, 1 << 30, False)
    assert bounds.memory_bytes == Limits().memory_bytes
    on_gpu = isolated_engine(Config(resources=use.model_copy(update={"ocr_gpus": 0.5})))
    assert on_gpu.bounds.memory_bytes is None
