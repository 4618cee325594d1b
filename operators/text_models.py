"""Where the weights of a language model are, and which ones exactly.

As for models that look: found before the first item, fetched if need be, refused if no engine could read
them, and pinned. An engine that is named has to run.
"""

from pathlib import Path

from operators.hub import Say
from operators.hub_files import FILES, PROCESSORS, lacks_config, read_or_empty
from operators.hub_weights import InstalledModel, Kind
from operators.model_settings import check_model, found_model
from operators.text_checkpoints import also_sees, check_text_checkpoint, writes
from schemas.config import Config, ConfigError, Summary

EXAMPLES = (
    "Qwen/Qwen2.5-1.5B-Instruct",
    "Qwen/Qwen3-4B-Instruct-2507",
    "HuggingFaceTB/SmolLM3-3B",
    "microsoft/Phi-4-mini-instruct",
)
"""The name says how many billion parameters each has; Phi-4-mini has 3.8."""


WEIGHTS = Kind(
    section="summary",
    examples=EXAMPLES,
    # One that also sees is loaded by its own processor.
    files=(*FILES, *PROCESSORS),
    check=check_text_checkpoint,
    lacks=lacks_config,
    what="a language model",
    instead="one that writes",
)


def check_summary(summary: Summary, gpu: bool | None = None) -> str | None:
    """Tell why the configured engine cannot run, without disk, network or importing it.

    Args:
        summary: The section.
        gpu: Whether it gets a share of a GPU; null where that is not settled.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and
        what to do.
    """
    if not summary.writes:
        return None
    if (problem := check_model(summary, WEIGHTS, "writes the summaries", gpu)) is not None:
        return problem
    if summary.max_new_tokens < summary.context_tokens:
        return None
    return (
        f"Wanted summary.context_tokens to hold a question and an answer; found {summary.context_tokens}, "
        f"and summary.max_new_tokens={summary.max_new_tokens}. Raise the one or lower the other."
    )


def resolve_summary(config: Config, say: Say) -> Config:
    """Find the language model of a run, fetch it if need be, and pin it.

    Args:
        config: Of the run.
        say: Tells people what is fetched.

    Returns:
        The configuration with model and revision as they will be used.

    Raises:
        ConfigError: What was named cannot be used.
    """
    summary = config.summary
    if not summary.writes:
        return config
    if (problem := check_summary(summary, gpu=config.resources.summary_gpus > 0)) is not None:
        raise ConfigError(problem)
    found = found_model(summary, WEIGHTS, say)
    return config.model_copy(update={"summary": summary.model_copy(update=found)})


def text_folder(summary: Summary) -> Path:
    """Return the folder with the weights, on this node; fetch them if they are not here.

    Args:
        summary: As `resolve_summary` gave it; its engine must have weights.

    Raises:
        CheckpointError: The weights are not here and cannot be fetched, or are others.
    """
    return WEIGHTS.folder(summary.model or "", summary.revision)


def installed_text() -> list[InstalledModel]:
    """List the language models in the cache of the hub's client.

    Those that also see are listed as such, and those that were made into embedding models (they have
    a modules.json) embed.
    """
    return [one for one in WEIGHTS.installed(writes) if _only_writes(Path(one.folder))]


def _only_writes(folder: Path) -> bool:
    return not also_sees(read_or_empty(folder / "config.json")) and not (folder / "modules.json").is_file()
