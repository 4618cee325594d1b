"""A recogniser of text in a child process, where it can do no harm."""

from collections.abc import Callable, Sequence

from operators.child_kinds import RECOGNISER
from operators.engine_child import EngineChild
from operators.isolate import Bounds
from operators.ocr_engine import OcrEngine, Pixels
from operators.ocr_engines import check_engine, engine_revision, load_engine
from schemas.config import Config
from schemas.perception import Line


class IsolatedEngine(EngineChild):
    """An `OcrEngine` that forwards to one in a child process."""

    def __init__(
        self, name: str, revision: str, bounds: Bounds, load: Callable[..., OcrEngine], *args: object
    ) -> None:
        """Prepare without starting anything.

        Args:
            name: Of the engine.
            revision: Of its weights.
            bounds: What the child may take.
            load: Loads the engine; importable by name.
            args: Its arguments, which can be hashed and pickled.
        """
        super().__init__(RECOGNISER, bounds, load, *args)
        self.name = name
        self.revision = revision

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Find and recognise the lines of each picture.

        Raises:
            InputError: The engine died, hung or needed too much on these pictures.
        """
        lines: list[list[Line]] = self.call("read", pictures)
        return lines

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Recognise pictures that are one line each.

        Raises:
            InputError: The engine died, hung or needed too much on these pictures.
        """
        readings: list[tuple[str, float]] = self.call("recognise", strips)
        return readings


def isolated_engine(config: Config) -> IsolatedEngine:
    """Prepare the configured engine; its child is started by the first call.

    Args:
        config: Of the run; its engine must not be `off`.

    Raises:
        ValueError: The engine cannot run, for the reason `check_engine` gives.
    """
    if (problem := check_engine(config.ocr)) is not None:
        raise ValueError(problem)
    limits, use = config.limits, config.resources
    bounds = Bounds(
        memory_bytes=None if use.ocr_gpus else limits.memory_bytes,
        item_seconds=limits.unit_seconds,
        cpu_seconds=limits.cpu_seconds,
        output_bytes=limits.output_bytes,
        resident_bytes=use.ocr_memory_bytes,
        open_files=1024,
        # PaddleX keeps a cache in the user's home.
        may_write=config.ocr.engine == "paddleocr",
        threads=use.ocr_threads,
    )
    revision = engine_revision(config.ocr)
    return IsolatedEngine(config.ocr.engine, revision, bounds, load_engine, config.ocr, use.ocr_threads)
