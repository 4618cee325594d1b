"""What the summaries of an asset depend on, as one id."""

from operators.composition import picked_version
from operators.prompts import CHECK, load_prompt
from operators.summary_prompts import load_prompts
from operators.text_engines import summary_name, summary_revision
from schemas.config import Config
from schemas.ids import digest, digest_json

WRITING_REVISION = 1
"""Raise when a change of the code alters what a model is asked, or what is kept of its answers."""


_LOOKED = "+"
"""Before what is added to the version of summaries for which pictures were looked at again."""

_LOOKS = {"engine", "model", "revision", "max_visual_tokens", "max_frames", "language"}
"""Settings of `vision` that change what comes of it. What they stand for is not looked up: where a model
is another under its name, captions are new, and summaries with them."""


def summary_version(config: Config) -> str:
    """Identify how titles and summaries are made: equal ids give equal summaries of the same text.

    It is apart from an asset's `version`, so that summaries can be written again alone.

    Raises:
        ConfigError: A prompt cannot be used.
    """
    version = text_version(config)
    if not config.summary.looks_closer:
        return version
    settings = digest_json(config.vision.model_dump(mode="json", include=_LOOKS))
    looked = digest("looked", settings, load_prompt(CHECK, config.vision.prompts).version)
    return f"{version}{_LOOKED}{looked}"


def is_as_written(found: str, version: str) -> bool:
    """Tell whether summaries were written as a version asks for, whatever a closer look added."""
    return found.partition(_LOOKED)[0] == version.partition(_LOOKED)[0]


def text_version(config: Config) -> str:
    """Identify how summaries are made as long as no picture has been looked at again.

    Raises:
        ConfigError: A prompt cannot be used.
    """
    if config.summary.looks_closer:
        config = from_text_alone(config)
    picked = picked_version(config)
    if not config.summary.writes:
        return picked
    prompts = [prompt.version for prompt in load_prompts(config.summary).values()]
    return digest(
        "written",
        str(WRITING_REVISION),
        picked,
        config.writing_digest(),
        summary_name(config.summary),
        summary_revision(config.summary),
        *prompts,
    )


def from_text_alone(config: Config) -> Config:
    """Return a configuration that looks at no picture again, and is the same else."""
    if not config.summary.looks_closer:
        return config
    summary = config.summary.model_copy(update={"closer_look": "text"})
    return config.model_copy(update={"summary": summary})
