"""`gloss models`: which models are on this node, and fetching them before they are needed.

On a cluster every node loads from its own cache; pulling a model there beforehand spares the
first run the wait, and is the way where workers have no network.
"""

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
from operators.embedding_checkpoints import FRAMES, TEXT
from operators.embedding_models import EXAMPLES as EMBEDDING_EXAMPLES
from operators.embedding_models import (
    Named,
    embedding_problem,
    fetch_embedding,
    frame_model,
    installed_embeddings,
    named_repository,
    text_model,
    weights_revision,
)
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
from operators.text_models import WEIGHTS as TEXT_WEIGHTS
from operators.text_models import installed_text
from operators.vision_checkpoints import check_vision_checkpoint
from operators.vision_models import (
    EXAMPLES,
    WEIGHTS,
    fetch_vision,
    installed_vision,
    is_vision_folder,
    vision_digest,
    vision_problem,
)
from schemas.config import ConfigError, Embedding, Speech, Summary, Vision

_VISION_ENGINES = ("transformers", "vllm")
"""Engines that read weights of a vision-language model here."""


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
    held = [*_configured_folder(speech), *_cached(speech), *_vision_folder(vision), *_cached_vision(vision)]
    held += _for_summaries(Summary() if summary is None else summary)
    embedding = Embedding() if embedding is None else embedding
    held += [*_embedding_folders(embedding), *_cached_embeddings(embedding)]
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


def _for_summaries(summary: Summary) -> list[Held]:
    """List the folder that is configured, and what is in the cache."""
    here = summary.engine in _VISION_ENGINES
    found = []
    if here and summary.model is not None and is_vision_folder(summary.model):
        folder = Path(summary.model).expanduser()
        problem = TEXT_WEIGHTS.problem(folder)
        revision = "" if problem else TEXT_WEIGHTS.digest(folder)
        found.append(_held_folder("summary", summary.model, summary.engine, revision, problem))
    return found + [
        Held(
            use="summary",
            model=one.name,
            engine=summary.engine if here else "transformers",
            bytes=one.bytes,
            revision=one.revision,
            folder=one.folder,
            configured=here
            and one.name == summary.model
            and (summary.revision or "main") in (one.revision, *one.refs),
            problem=one.problem,
        )
        for one in installed_text()
    ]


def _embedding_models(embedding: Embedding) -> list[Named]:
    named = [text_model(embedding)] if embedding.embeds_text and embedding.engine == "transformers" else []
    return [*named, *([frame_model(embedding)] if embedding.embeds_frames else [])]


def _embedding_folders(embedding: Embedding) -> list[Held]:
    held = []
    for named in _embedding_models(embedding):
        if named.is_folder:
            problem = embedding_problem(Path(named.model).expanduser(), named.embeds)
            revision = "" if problem else weights_revision(named)
            held.append(_held_folder("embedding", named.model, "transformers", revision, problem))
    return held


def _cached_embeddings(embedding: Embedding) -> list[Held]:
    wanted = {(named.model, named.embeds): named.revision for named in _embedding_models(embedding)}
    return [
        Held(
            use="embedding",
            model=one.name,
            engine="transformers",
            bytes=one.bytes,
            revision=one.revision,
            folder=one.folder,
            configured=(one.name, one.embeds) in wanted
            and (wanted[one.name, one.embeds] or "main") in (one.revision, *one.refs),
            problem=None,
        )
        for one in installed_embeddings()
    ]


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
    screen.print(Text("\nBy repository (gloss models pull --summary NAME), such as", style="bold underline"))
    screen.print(grid(("for summaries",), [(name,) for name in TEXT_WEIGHTS.examples]))
    title = "\nBy repository (gloss models pull --embedding NAME), such as"
    screen.print(Text(title, style="bold underline"))
    texts, frames = EMBEDDING_EXAMPLES[TEXT], EMBEDDING_EXAMPLES[FRAMES]
    screen.print(grid(("for texts", "for pictures"), list(zip_longest(texts, frames, fillvalue=""))))
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


def run_summary_pull(name: str, *, revision: str | None = None) -> int:
    """Fetch a language model into the cache of this node, as `run_models_pull` does.

    Args:
        name: A repository.
        revision: Branch, tag or commit; null takes the newest.

    Returns:
        0, or 1 when it could not be fetched.

    Raises:
        ConfigError: It is no name of a repository, or the repository holds no language model.
    """
    if is_vision_folder(name):
        msg = f"Wanted a name to fetch; found the folder {name}. Use it as it is: --set summary.model={name}"
        raise ConfigError(msg)
    if (problem := TEXT_WEIGHTS.check_repository(name)) is not None:
        raise ConfigError(problem)
    try:
        folder = TEXT_WEIGHTS.fetch(name, revision, note)
        TEXT_WEIGHTS.check(folder)
    except ModelError as error:
        return complain(str(error), EXIT_BROKEN)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    facts = {"folder": str(folder), "revision": folder.name, "size": size(_size(folder))}
    for label, value in facts.items():
        print(f"{label:<9} {value}")
    return EXIT_OK


def run_embedding_pull(name: str, *, revision: str | None = None) -> int:
    """Fetch an embedding model into the cache of this node, as `run_models_pull` does.

    Args:
        name: A repository; its files say whether it embeds texts or pictures.
        revision: Branch, tag or commit; null takes the newest.

    Returns:
        0, or 1 when it could not be fetched.

    Raises:
        ConfigError: It is no name of a repository, or the repository holds no embedding model.
    """
    try:
        folder = fetch_embedding(named_repository(name, revision), note)
    except ModelError as error:
        return complain(str(error), EXIT_BROKEN)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    problems = {embeds: embedding_problem(folder, embeds) for embeds in (FRAMES, TEXT)}
    if None not in problems.values():
        raise ConfigError(" ".join(filter(None, problems.values())))
    facts = {"folder": str(folder), "revision": folder.name, "size": size(_size(folder))}
    for label, value in facts.items():
        print(f"{label:<9} {value}")
    return EXIT_OK


def _pull_vision(name: str, revision: str | None) -> Path:
    if (problem := WEIGHTS.check_repository(name)) is not None:
        raise ConfigError(problem)
    folder = fetch_vision(name, revision, note)
    check_vision_checkpoint(folder)
    return folder
