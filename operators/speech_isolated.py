"""A recogniser of speech in a child process, where it can do no harm."""

from collections.abc import Callable, Sequence
from functools import partial

from operators.engine_child import ModelChild
from operators.isolate import Bounds
from operators.speech_engine import Samples, SpeechEngine, Transcript
from operators.speech_engines import check_engine, engine_revision, load_engine, speech_name
from operators.speech_models import is_folder, model_folder
from schemas.config import Config


class IsolatedSpeechEngine(ModelChild):
    """A `SpeechEngine` that forwards to one in a child process."""

    def __init__(
        self, name: str, revision: str, bounds: Bounds, load: Callable[..., SpeechEngine], *args: object
    ) -> None:
        """Prepare without starting anything.

        Args:
            name: Of the engine and its model.
            revision: Of the weights.
            bounds: What the child may take; its times are those of one piece.
            load: Loads the engine; importable by name.
            args: Its arguments, which can be hashed and pickled.
        """
        super().__init__("recogniser of speech", name, revision, bounds, load, *args)

    def transcribe(
        self,
        pieces: Sequence[Samples],
        languages: Sequence[str | None],
        temperatures: Sequence[float] = (0.0,),
    ) -> list[Transcript]:
        """Recognise pieces together, as one batch.

        Raises:
            InputError: The engine died, hung or needed too much on these pieces.
        """
        seconds = self.bounds.item_seconds * len(pieces) * len(temperatures)
        transcripts: list[Transcript] = self.call(
            "transcribe", list(pieces), list(languages), tuple(temperatures), item_seconds=seconds
        )
        return transcripts


def isolated_speech_engine(config: Config) -> IsolatedSpeechEngine:
    """Prepare the configured engine; its child is started by the first call.

    Args:
        config: Of the run, resolved; its engine must be one.

    Raises:
        ValueError: The engine cannot run, for the reason `check_engine` gives.
    """
    limits, use = config.limits, config.resources
    if (problem := check_engine(config.speech, use.speech_gpus > 0)) is not None:
        raise ValueError(problem)
    bounds = Bounds(
        # A model reserves more address space than it uses, and what it needs is known: pieces are
        # of one size. The watermark below is against leaks.
        memory_bytes=None,
        item_seconds=limits.unit_seconds,
        cpu_seconds=limits.cpu_seconds,
        output_bytes=limits.output_bytes,
        resident_bytes=use.speech_memory_bytes,
        open_files=1024,
        # PyTorch writes into its caches while it is imported.
        may_write=config.speech.engine == "transformers",
        threads=use.speech_threads,
    )
    name, revision = speech_name(config.speech), engine_revision(config.speech)
    gpu = use.speech_gpus > 0
    engine = IsolatedSpeechEngine(name, revision, bounds, load_engine, config.speech, use.speech_threads, gpu)
    if not is_folder(config.speech.model or ""):  # a folder is there, and the child looks at it anyway
        engine.fetch = partial(model_folder, config.speech)
    return engine
