"""`gloss models`: which models are on this node, and fetching them before they are needed.

On a cluster every node loads from its own cache; pulling a model there beforehand spares the
first run the wait, and is the way where workers have no network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
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
from operators.embedding_models import FRAME_WEIGHTS, TEXT_WEIGHTS, installed_embeddings, weights_here
from operators.hub import ModelError
from operators.hub_weights import InstalledModel, Kind
from operators.hub_weights import is_folder as is_weights_folder
from operators.speech_checkpoints import check_checkpoint
from operators.speech_models import (
    ENGINES,
    Installed,
    checkpoint_problem,
    fetch,
    folder_digest,
    installed_models,
    is_folder,
    offers,
    repository,
)
from operators.text_models import WEIGHTS as SUMMARY_WEIGHTS
from operators.text_models import installed_text
from operators.vision_models import WEIGHTS as VISION_WEIGHTS
from operators.vision_models import installed_vision
from schemas.config import ConfigError, Embedding, Speech, Summary, Vision

_KINDS: Mapping[str, Mapping[str, Kind]] = {
    "vision": {"for vision": VISION_WEIGHTS},
    "summary": {"for summaries": SUMMARY_WEIGHTS},
    "embedding": {"for texts": TEXT_WEIGHTS, "for pictures": FRAME_WEIGHTS},
}
"""Sections whose models are fetched by repository, and what they are for."""

_ENGINES: Mapping[str, Sequence[str]] = {
    "speech": ENGINES,
    "vision": ("transformers", "vllm"),
    "summary": ("transformers", "vllm"),
    "embedding": ("transformers",),
}
"""Engines that read weights here."""


@dataclass(frozen=True, slots=True)
class Held:
    """A model on this node."""

    use: str
    """The section of the configuration it is for: speech, vision, summary or embedding."""
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


def run_models_list(
    speech: Speech,
    vision: Vision,
    embedding: Embedding | None = None,
    summary: Summary | None = None,
    *,
    format: str = "table",  # noqa: A002
) -> int:
    """Show the models on this node and those that can be fetched by name.

    Args:
        speech: The section of the configuration.
        vision: The same, for models that look.
        embedding: The same, for models that make vectors.
        summary: The same, for models that write.
        format: table (for people) or json.

    Returns:
        0.

    Raises:
        ConfigError: Unknown format.
    """
    check_format(format, known=("table", "json"))
    summary = Summary() if summary is None else summary
    embedding = Embedding() if embedding is None else embedding
    held = [*_configured_folder(speech), *_cached(speech)]
    looks, writes = vision.engine in _ENGINES["vision"], summary.engine in _ENGINES["summary"]
    held += _held_here(VISION_WEIGHTS, vision, looks, installed_vision())
    held += _held_here(SUMMARY_WEIGHTS, summary, writes, installed_text())
    for kind in _KINDS["embedding"].values():
        embeds = kind in weights_here(embedding)
        held += _held_here(kind, embedding, embeds, installed_embeddings(kind))
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
        _held_cached("speech", one, one.engine, (one.name, one.engine) == named, speech.revision)
        for one in installed_models()
    ]


def _held_here(
    kind: Kind,
    settings: Vision | Summary | Embedding,
    is_used: bool,
    installed: Sequence[InstalledModel],
) -> list[Held]:
    """List the folder that is configured, and what is in the cache.

    Args:
        kind: Of weights.
        settings: Its section.
        is_used: Whether weights of this kind are read here, rather than by a server or not at all.
        installed: Those in the cache.
    """
    model, revision = kind.named(settings)
    engine = settings.engine if settings.engine in _ENGINES[kind.section] else "transformers"
    held = []
    if is_used and model and is_weights_folder(model):
        folder = Path(model).expanduser()
        problem = kind.problem(folder)
        digest = "" if problem else kind.digest(folder)
        held.append(_held_folder(kind.section, model, engine, digest, problem))
    return held + [
        _held_cached(kind.section, one, engine, is_used and one.name == model, revision) for one in installed
    ]


def _held_folder(use: str, model: str, engine: str, revision: str, problem: str | None) -> Held:
    folder = Path(model).expanduser()
    where = str(folder.resolve())
    return Held(use, model, engine, _size(folder), revision, where, configured=True, problem=problem)


def _held_cached(
    use: str, one: InstalledModel | Installed, engine: str, named: bool, revision: str | None
) -> Held:
    return Held(
        use=use,
        model=one.name,
        engine=engine,
        bytes=one.bytes,
        revision=one.revision,
        folder=one.folder,
        configured=named and (revision or "main") in (one.revision, *one.refs),
        problem=one.problem,
    )


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
    for section, kinds in _KINDS.items():
        title = f"\nBy repository (gloss models pull --{section} NAME), such as"
        screen.print(Text(title, style="bold underline"))
        examples = zip_longest(*(kind.examples for kind in kinds.values()), fillvalue="")
        screen.print(grid(tuple(kinds), list(examples)))
    for one in held:
        if one.problem:
            note(f"{one.model}: {one.problem}")


def _row(one: Held) -> tuple[str, ...]:
    state = "damaged" if one.problem else "configured" if one.configured else ""
    return one.use, one.model, one.engine, size(one.bytes), one.revision[:12], one.folder, state


def run_models_pull(
    name: str, use: str = "speech", *, engine: str | None = None, revision: str | None = None
) -> int:
    """Fetch a model into the cache of this node, compare it with the hub's checksums, and check it.

    Args:
        name: A repository such as `openai/whisper-small`; of speech also a size, `small`.
        use: The section it is for: speech, vision, summary or embedding. The files of an embedding model
            say whether it embeds texts or pictures.
        engine: That will load it; null takes faster-whisper for speech, else transformers.
        revision: Branch, tag or commit; null takes the newest.

    Returns:
        0, or 1 when it could not be fetched.

    Raises:
        ConfigError: There is no such engine or name, or the repository is not for this use.
    """
    known, kinds = _ENGINES[use], list(_KINDS.get(use, {}).values())
    if engine is not None and engine not in known:
        msg = f"Wanted --engine of {', '.join(known)} for a model of {use}; found {engine!r}."
        raise ConfigError(msg)
    if is_weights_folder(name) if kinds else is_folder(name):
        settings = [f"--set {key}={name}" for key in [kind.key for kind in kinds] or ["speech.model"]]
        msg = f"Wanted a name to fetch; found the folder {name}. Use it as it is: {' or '.join(settings)}"
        raise ConfigError(msg)
    try:
        folder = (
            _pull_weights(name, kinds, revision)
            if kinds
            else _pull_speech(name, engine or known[0], revision)
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


def _pull_weights(name: str, kinds: Sequence[Kind], revision: str | None) -> Path:
    """Fetch a model that may be of any of these kinds; its files say of which."""
    if (problem := kinds[0].check_repository(name)) is not None:
        raise ConfigError(problem)
    folder = kinds[0].fetch(name, revision, note)
    problems = [kind.problem(folder) for kind in kinds]
    if None not in problems:
        raise CheckpointError(" ".join(filter(None, problems)))
    return folder
