"""`gloss models`: which models are on this node, and fetching them before they are needed.

On a cluster every node loads from its own cache; pulling a model there beforehand spares the
first run the wait, and is the way where workers have no network.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from jobs.output import (
    EXIT_BROKEN,
    EXIT_OK,
    check_format,
    complain,
    console,
    emit_json,
    grid,
    note,
    size,
)
from operators.checkpoint_files import CheckpointError
from operators.hub import ModelError
from operators.speech_checkpoints import check_checkpoint
from operators.speech_models import (
    ENGINES,
    checkpoint_problem,
    fetch,
    folder_digest,
    installed_models,
    is_folder,
    offers,
    repository,
)
from operators.vision_checkpoints import check_vision_checkpoint
from operators.vision_models import (
    EXAMPLES,
    check_repository,
    fetch_vision,
    installed_vision,
    is_vision_folder,
    vision_digest,
    vision_problem,
)
from schemas.config import ConfigError, Speech, Vision

_VISION_ENGINES = ("transformers", "vllm")
"""Engines that read weights of a vision-language model here."""


@dataclass(frozen=True, slots=True)
class Held:
    """A model on this node."""

    use: str
    """The section of the configuration it is for: speech or vision."""
    model: str
    """Repository, or folder."""
    engine: str
    """That can load it."""
    bytes: int
    revision: str
    folder: str
    configured: bool
    """Whether the configuration means it."""
    problem: str | None
    """Why it cannot be read, if it cannot."""


def run_models_list(speech: Speech, vision: Vision, *, format: str = "table") -> int:  # noqa: A002
    """Show the models on this node and those that can be fetched by name.

    Args:
        speech: The section of the configuration.
        vision: The same, for models that look.
        format: table (for people) or json.

    Returns:
        0.

    Raises:
        ConfigError: Unknown format.
    """
    check_format(format, known=("table", "json"))
    held = [*_configured_folder(speech), *_cached(speech), *_vision_folder(vision), *_cached_vision(vision)]
    if format == "json":
        available = [{"model": offer.name, "megabytes": dict(offer.megabytes)} for offer in offers()]
        emit_json({"held": [asdict(one) for one in held], "available": available})
        return EXIT_OK
    _print(held)
    return EXIT_OK


def _configured_folder(speech: Speech) -> list[Held]:
    if speech.model is None or not is_folder(speech.model):
        return []
    folder, engine = Path(speech.model).expanduser(), _engine(speech)
    problem = checkpoint_problem(folder, engine)
    revision = "" if problem else folder_digest(folder, engine)
    return [_held_folder("speech", speech.model, engine, revision, problem)]


def _cached(speech: Speech) -> list[Held]:
    named = _named(speech)
    return [
        Held(
            use="speech",
            model=one.name,
            engine=one.engine,
            bytes=one.bytes,
            revision=one.revision,
            folder=one.folder,
            configured=(one.name, one.engine) == named
            and (speech.revision or "main") in (one.revision, *one.refs),
            problem=one.problem,
        )
        for one in installed_models()
    ]


def _vision_folder(vision: Vision) -> list[Held]:
    if vision.engine not in _VISION_ENGINES or vision.model is None or not is_vision_folder(vision.model):
        return []
    folder = Path(vision.model).expanduser()
    problem = vision_problem(folder)
    revision = "" if problem else vision_digest(folder)
    return [_held_folder("vision", vision.model, vision.engine, revision, problem)]


def _held_folder(use: str, model: str, engine: str, revision: str, problem: str | None) -> Held:
    folder = Path(model).expanduser()
    where = str(folder.resolve())
    return Held(use, model, engine, _size(folder), revision, where, configured=True, problem=problem)


def _cached_vision(vision: Vision) -> list[Held]:
    looks = vision.engine in _VISION_ENGINES
    return [
        Held(
            use="vision",
            model=one.name,
            engine=vision.engine if looks else "transformers",
            bytes=one.bytes,
            revision=one.revision,
            folder=one.folder,
            configured=looks
            and one.name == vision.model
            and (vision.revision or "main") in (one.revision, *one.refs),
            problem=one.problem,
        )
        for one in installed_vision()
    ]


def _engine(speech: Speech) -> str:
    return speech.engine if speech.listens else "faster-whisper"


def _named(speech: Speech) -> tuple[str, str] | None:
    model = speech.model or Speech.default_model()
    if speech.engine == "off" or is_folder(model):
        return None
    return repository(model, _engine(speech)), _engine(speech)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _print(held: list[Held]) -> None:
    screen = console()
    screen.print(Text("On this node", style="bold underline"))
    if held:
        names = ("for", "model", "engine", "size", "revision", "folder", "")
        screen.print(grid(names, [_row(one) for one in held]))
    else:
        screen.print(Text("No model."))
    screen.print(Text("\nBy name (gloss models pull NAME), about", style="bold underline"))
    rows = [
        (offer.name, *(size(megabytes * 1e6) for megabytes in offer.megabytes.values())) for offer in offers()
    ]
    screen.print(grid(("for speech", *ENGINES), rows))
    screen.print(Text("\nBy repository (gloss models pull --vision NAME), such as", style="bold underline"))
    screen.print(grid(("for vision",), [(name,) for name in EXAMPLES]))
    for one in held:
        if one.problem:
            note(f"{one.model}: {one.problem}")


def _row(one: Held) -> tuple[str, ...]:
    state = "damaged" if one.problem else "configured" if one.configured else ""
    return one.use, one.model, one.engine, size(one.bytes), one.revision[:12], one.folder, state


def run_models_pull(
    name: str, *, vision: bool = False, engine: str | None = None, revision: str | None = None
) -> int:
    """Fetch a model into the cache of this node, compare it with the hub's checksums, and check it.

    Args:
        name: `small`, or a repository such as `openai/whisper-small`; of a model that looks,
            always a repository.
        vision: Whether it is a vision-language model rather than one of speech.
        engine: That will load it; null takes faster-whisper, or transformers for vision.
        revision: Branch, tag or commit; null takes the newest.

    Returns:
        0, or 1 when it could not be fetched.

    Raises:
        ConfigError: There is no such engine or name, or the repository is not for this engine.
    """
    section, known = ("vision", _VISION_ENGINES) if vision else ("speech", ENGINES)
    if engine is not None and engine not in known:
        msg = f"Wanted --engine of {', '.join(known)} for a model of {section}; found {engine!r}."
        raise ConfigError(msg)
    if is_vision_folder(name) if vision else is_folder(name):
        msg = (
            f"Wanted a name to fetch; found the folder {name}. Use it as it is: --set {section}.model={name}"
        )
        raise ConfigError(msg)
    try:
        folder = (
            _pull_vision(name, revision) if vision else _pull_speech(name, engine or ENGINES[0], revision)
        )
    except ModelError as error:
        return complain(str(error), EXIT_BROKEN)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    facts = {"folder": str(folder), "revision": folder.name, "size": size(_size(folder))}
    for label, value in facts.items():
        print(f"{label:<9} {value}")
    return EXIT_OK


def _pull_speech(name: str, engine: str, revision: str | None) -> Path:
    folder = fetch(repository(name, engine), engine, revision, note)
    check_checkpoint(folder, engine)
    return folder


def _pull_vision(name: str, revision: str | None) -> Path:
    if (problem := check_repository(name)) is not None:
        raise ConfigError(problem)
    folder = fetch_vision(name, revision, note)
    check_vision_checkpoint(folder)
    return folder
