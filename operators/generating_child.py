"""A model that generates text in a child process: how long it may take, and what its want of memory costs.

The same for models that look and for those that only write; what differs is what they are asked.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from operators.engine_child import ModelChild
from operators.hub_weights import Kind, is_folder
from operators.isolate import Bounds
from operators.model_settings import ModelSettings, model_name, model_revision
from operators.vision_engine import Answer, Generation
from schemas.failure import InputError, Reason

_Asked = TypeVar("_Asked")
_Given = TypeVar("_Given", contravariant=True)

_TOKENS_READ = 1200
_TOKENS_WRITTEN = 120
"""On a CPU so many tokens are allowed as much time as a request has anyway. With the default
`limits.unit_seconds` that is 0.1 s for each token read and 1 s for each written, which a core
needs for 2 billion parameters in float32: 4 GFLOP to read one, 9 GB of memory to write one."""


class GeneratingEngine(Protocol[_Given]):
    """A `VisionEngine`, a `TextEngine`."""

    name: str
    revision: str

    def generate(self, asked: Sequence[_Given], how: Generation) -> list[Answer | InputError]:
        """Answer requests together, as one batch."""
        ...


# --- the engine in its child ----------------------------------------------------------------


class IsolatedGenerator(ModelChild, ABC, Generic[_Asked]):
    """An engine that forwards to one in a child process."""

    what: ClassVar[str]
    """Runs there, for messages."""

    def __init__(
        self,
        name: str,
        revision: str,
        bounds: Bounds,
        load: Callable[..., GeneratingEngine[_Asked]],
        *args: object,
        gpu: bool = False,
    ) -> None:
        """Prepare without starting anything.

        Args:
            name: Of the engine and its model.
            revision: Of the weights.
            bounds: What the child may take; its times are those of one request.
            load: Loads the engine; importable by name.
            args: Its arguments, which can be hashed and pickled.
            gpu: Whether it runs on a GPU, which makes the time independent of the tokens.
        """
        super().__init__(self.what, name, revision, bounds, load, *args)
        self.gpu = gpu

    @classmethod
    def of(
        cls,
        settings: ModelSettings,
        kind: Kind,
        bounds: Bounds,
        load: Callable[..., GeneratingEngine[_Asked]],
        *args: object,
        gpu: bool,
    ) -> Self:
        """Prepare the configured engine; the weights are fetched to this node before it starts.

        Args:
            settings: Of the model, resolved.
            kind: Of weights.
            bounds: As of the constructor, like the rest.
            load: Loads the engine.
            args: Its arguments.
            gpu: Whether it runs on a GPU.

        Raises:
            CheckpointError: The weights are not here.
        """
        made = cls(model_name(settings), model_revision(settings, kind), bounds, load, *args, gpu=gpu)
        model, revision = kind.named(settings)
        if not is_folder(model):  # a folder is there, and the child looks at it anyway
            made.fetch = partial(kind.folder, model, revision)
        return made

    def generate(self, asked: Sequence[_Asked], how: Generation) -> list[Answer | InputError]:
        """Answer requests together, as one batch.

        Returns:
            One outcome for each request, in order.

        Raises:
            InputError: The engine died, hung or needed too much on these requests.
        """
        if not asked:
            return []
        seconds = self.bounds.item_seconds * self._shares(asked, how)
        answers: list[Answer | InputError] = self.call("generate", list(asked), how, item_seconds=seconds)
        return answers

    def _shares(self, asked: Sequence[_Asked], how: Generation) -> float:
        """Count how many times the time of one request a batch may take."""
        read = sum(map(self.tokens_of, asked))
        return time_shares(len(asked), read, how.max_new_tokens * len(asked), self.gpu)

    @abstractmethod
    def tokens_of(self, asked: _Asked) -> int:
        """Return how many tokens the prompt of a request has; never too low."""


class OnDevice(Generic[_Asked]):
    """An engine whose want of a GPU's memory ends a batch, not the process that holds its weights.

    A heap without room may be in any state, so a child that lacks memory of its own is ended.
    """

    def __init__(self, engine: GeneratingEngine[_Asked], advice: str) -> None:
        """Stand in front of an engine inside the child.

        Args:
            engine: On a GPU.
            advice: What to do where memory is wanting, for messages.
        """
        self.engine = engine
        self.name = engine.name
        self.revision = engine.revision
        self.advice = advice

    def generate(self, asked: Sequence[_Asked], how: Generation) -> list[Answer | InputError]:
        """Answer requests; the error of a batch that is too large can be handed on.

        Raises:
            InputError: The batch is too large for the device.
        """
        try:
            return self.engine.generate(asked, how)
        except MemoryError as error:
            msg = (
                f"Wanted memory of the GPU for {len(asked)} requests at once; there was none ({error}). "
                f"{self.advice}"
            )
            raise InputError(Reason.MEMORY, msg) from error


# --- how long it may take -------------------------------------------------------------------


def time_shares(requests: int, read: int, written: int, gpu: bool) -> float:
    """Count how many times the time of one request a batch may take.

    Args:
        requests: In it.
        read: Tokens of all its prompts.
        written: Most tokens of all its answers.
        gpu: Whether it runs on a GPU, where tokens take no time to speak of.
    """
    return requests if gpu else requests + read / _TOKENS_READ + written / _TOKENS_WRITTEN


def longest_silence(
    settings: ModelSettings, requests: int, *, read: int, written: int, gpu: bool, unit_seconds: float
) -> float:
    """Say how many seconds a worker may legitimately be silent over so many requests, all tries included.

    Args:
        settings: Of the model.
        requests: That are handed to the worker in one call.
        read: Most tokens of one prompt.
        written: Most tokens of one answer.
        gpu: Whether the model runs on a GPU.
        unit_seconds: What one request may take besides its tokens; a server has its patience instead.
    """
    if settings.engine == "openai":
        waits = -(-requests // settings.concurrency)
        pace = 60.0 * requests / settings.requests_per_minute if settings.requests_per_minute else 0.0
        return settings.tries * (waits * (settings.patience_seconds + settings.timeout_seconds) + pace)
    return unit_seconds * settings.tries * time_shares(requests, read * requests, written * requests, gpu)
