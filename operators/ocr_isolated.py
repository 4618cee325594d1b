"""A recogniser of text that may crash, hang, balloon or leak without taking its caller along.

Its runtimes are native code that meets whatever pictures a corpus holds. Here the engine lives
in a child process: what kills it costs the picture that was read, and a new child goes on. The
child is replaced between two calls when it has grown, because such engines leak. Handing a 720p
picture over takes 1 to 3 ms, reading it half a second.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

from operators.isolate import Bounds, Sandbox
from operators.ocr_engine import OcrEngine, Pixels
from operators.ocr_engines import check_engine, engine_revision, load_engine
from schemas.config import Config
from schemas.perception import Line

_LOAD_SECONDS = 300.0
"""Wall time for an engine to load: 1 s for RapidOCR, a minute for large models from a cold disk."""


class IsolatedEngine:
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
        self.name = name
        self.revision = revision
        self.bounds = bounds
        self._load = (load, *args)
        self._sandbox = Sandbox(bounds, name="recogniser of text")

    @property
    def is_running(self) -> bool:
        """Whether there is a child with the engine in it."""
        return self._sandbox.is_running

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is a child."""
        return self._sandbox.pid

    def start(self) -> None:
        """Start the child and load the engine, if that has not been done.

        Raises:
            InputError: It cannot be loaded.
        """
        if not self.is_running:
            list(self._sandbox.run(_start, self._load, item_seconds=_LOAD_SECONDS))

    def close(self) -> None:
        """End the child; the next call starts a new one."""
        self._sandbox.close()

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Find and recognise the lines of each picture.

        Raises:
            InputError: The engine died, hung or needed too much on these pictures.
        """
        self.start()
        (lines,) = self._sandbox.run(_read, self._load, pictures)
        return lines

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Recognise pictures that are one line each.

        Raises:
            InputError: The engine died, hung or needed too much on these pictures.
        """
        self.start()
        (readings,) = self._sandbox.run(_recognise, self._load, strips)
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


Loading = tuple[Callable[..., OcrEngine], *tuple[object, ...]]


@cache
def _engine(loading: Loading) -> OcrEngine:
    """Load an engine once for each child."""
    load, *args = loading
    return load(*args)


def _start(loading: Loading) -> Iterator[None]:
    _engine(loading)
    yield None


def _read(loading: Loading, pictures: Sequence[Pixels]) -> Iterator[list[list[Line]]]:
    yield _engine(loading).read(pictures)


def _recognise(loading: Loading, strips: Sequence[Pixels]) -> Iterator[list[tuple[str, float]]]:
    yield _engine(loading).recognise(strips)
