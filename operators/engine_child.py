"""A model that may crash, hang, balloon or leak without taking its caller along.

Runtimes of models are native code that meets whatever a corpus holds. Here the model lives in a
child process: what kills it costs the input that it was at, and a new child goes on. The child is
replaced between two calls when it has grown, because such runtimes leak. Handing a 720p picture
over takes 1 to 3 ms, half a minute of sound 2 ms; a model takes seconds over them.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from operators.checkpoint_files import CheckpointError
from operators.isolate import Bounds, Sandbox
from schemas.config import Limits
from schemas.failure import InputError, Reason

LOAD_SECONDS = 300.0
"""Wall time for a model to load: 1 s for RapidOCR, a minute for large models from a cold disk."""

Loading = tuple[Callable[..., object], *tuple[object, ...]]


class EngineChild:
    """An object in a child process whose methods are called from here."""

    def __init__(self, name: str, bounds: Bounds, load: Callable[..., object], *args: object) -> None:
        """Prepare without starting anything.

        Args:
            name: Of what runs there, for messages.
            bounds: What the child may take.
            load: Makes the object; importable by name.
            args: Its arguments, which can be hashed and pickled.
        """
        self.bounds = bounds
        self._loading: Loading = (load, *args)
        self._sandbox = Sandbox(bounds, name=name)

    @property
    def is_running(self) -> bool:
        """Whether there is a child with the object in it."""
        return self._sandbox.is_running

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is a child."""
        return self._sandbox.pid

    def start(self) -> None:
        """Start the child and make the object, if that has not been done.

        Raises:
            InputError: It cannot be made.
        """
        if not self.is_running:
            list(self._sandbox.run(_start, self._loading, item_seconds=LOAD_SECONDS))

    def close(self) -> None:
        """End the child; the next call starts a new one."""
        self._sandbox.close()

    def call(self, method: str, *args: object, item_seconds: float | None = None) -> Any:
        """Call a method of the object.

        Args:
            method: Its name.
            args: Its arguments; they and the result must pickle.
            item_seconds: Another deadline for this call.

        Raises:
            InputError: What it raised; or it died, hung or needed too much.
        """
        self.start()
        (result,) = self._sandbox.run(_call, self._loading, method, args, item_seconds=item_seconds)
        return result


class ModelChild(EngineChild):
    """An engine with weights of its own in a child process."""

    def __init__(
        self, what: str, name: str, revision: str, bounds: Bounds, load: Callable[..., object], *args: object
    ) -> None:
        """Prepare without starting anything.

        Args:
            what: Runs there, for messages.
            name: Of the engine and its model.
            revision: Of the weights.
            bounds: What the child may take.
            load: Loads the engine; importable by name.
            args: Its arguments, which can be hashed and pickled.
        """
        super().__init__(what, bounds, load, *args)
        self.name = name
        self.revision = revision
        self.fetch: Callable[[], object] | None = None
        """Called before the child starts: a node that lacks the weights may take its time over them."""

    def start(self) -> None:
        """Start the child and load the engine, if that has not been done.

        Raises:
            InputError: It cannot be loaded, or this node cannot get the weights.
        """
        if self.fetch is not None and not self.is_running:
            try:
                self.fetch()
            except CheckpointError as error:
                raise InputError(Reason.INTERNAL, f"Wanted the weights on this node: {error}") from error
        super().start()


def bounds_of_model(limits: Limits, threads: int, resident_bytes: int) -> Bounds:
    """Bound a child that holds a model.

    Args:
        limits: Of the configuration.
        threads: Of one inference.
        resident_bytes: At which the child is replaced.
    """
    return Bounds(
        # A model reserves more address space than it uses, and batches are bounded in tokens. The
        # watermark below is against leaks.
        memory_bytes=None,
        item_seconds=limits.unit_seconds,
        cpu_seconds=max(limits.cpu_seconds, limits.unit_seconds * (threads + 1)),
        output_bytes=limits.output_bytes,
        resident_bytes=resident_bytes,
        open_files=1024,
        # PyTorch writes into its caches while it is imported.
        may_write=True,
        threads=threads,
    )


@cache
def _made(loading: Loading) -> object:
    """Make the object once for each child."""
    make, *args = loading
    return make(*args)


def _start(loading: Loading) -> Iterator[None]:
    _made(loading)
    yield None


def _call(loading: Loading, method: str, args: tuple[object, ...]) -> Iterator[object]:
    yield getattr(_made(loading), method)(*args)
