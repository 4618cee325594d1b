"""What a run is asked for becomes what it will do, before the first file is touched.

Engines that cannot run are refused by name. Which model of speech there is decides whether `auto`
means speech or none, and its revision is written down; but a lake that has speech never loses it
because a cache was emptied or a model was published anew. Nor are its captions made again because
of that: the revision that made them is taken again.
"""

import sys
from collections.abc import Callable, Iterator

from operators.lake import Lake, LakeError
from operators.ocr_engines import check_engine
from operators.plan_look import check_budget
from operators.speech_models import resolve_speech
from operators.survey import tools_of
from operators.vision_engines import check_vision, context_of
from operators.vision_models import resolve_vision
from operators.voiceprints import check_speakers
from schemas.config import Config, ConfigError, Speech, Vision


def settle(config: Config, lake: Lake) -> Config:
    """Check that what is configured can run, and find its models.

    Args:
        config: As asked for.
        lake: Where to; need not exist.

    Returns:
        The configuration with `speech` and `vision` settled: an engine or `off`, its model and
        revision.

    Raises:
        ConfigError: Something cannot run; or speech would be left out of a lake that has it.
    """
    if (problem := check_engine(config.ocr)) is not None:
        raise ConfigError(problem)
    before = _last_speech(lake)
    if (problem := check_speakers(config.speech)) is not None:
        raise ConfigError(problem)
    # What is wrong with it anyway is said before gigabytes are fetched for speech.
    if (problem := check_vision(config.vision, config.resources.vision_gpus > 0)) is not None:
        raise ConfigError(problem)
    settled = resolve_speech(_pinned(config, before), say)
    if config.speech.engine == "auto" and not settled.speech.listens and before is not None:
        msg = (
            f"The last run on {lake.uri} recognised speech with {before.engine} ({before.model}); without "
            "its weights this run would take the words out again. Name the same model with --set "
            f"speech.model={before.model} (gloss models pull fetches what is no folder). To go on without "
            "speech: --set speech.engine=off"
        )
        raise ConfigError(msg)
    _keep_captions(config, lake)
    settled = resolve_vision(_with_known_weights(settled, lake), say)
    _check_looks(settled)
    return settled


def _keep_captions(config: Config, lake: Lake) -> None:
    """Check that captions are not taken out of a lake because nobody thought of them.

    Raises:
        ConfigError: The lake has captions, and the run was not told what to do about them.
    """
    if config.vision.looks or "engine" in config.vision.model_fields_set:
        return
    before = _last_config(lake, lambda _: True)
    if before is None or not before.vision.looks:
        return
    vision = before.vision
    msg = (
        f"The last run on {lake.uri} captioned clips and pages with {vision.engine} ({vision.model}); "
        "without it this run would take them out again. Name it with "
        f"--set vision.engine={vision.engine} --set vision.model={vision.model}, or take them out with "
        "--set vision.engine=off"
    )
    raise ConfigError(msg)


def _check_looks(config: Config) -> None:
    """Check that prompts can be used, and that a picture fits the budget of visual tokens.

    Raises:
        ConfigError: It is not so.
    """
    vision = config.vision
    if not vision.looks:
        return
    tools = tools_of(vision)
    prompt_tokens = max(tools.count(prompt.text) for prompt in tools.prompts.values())
    if (problem := check_budget(tools.rule, vision, context_of(vision), prompt_tokens)) is not None:
        raise ConfigError(problem)


def say(sentence: str) -> None:
    """Tell the user something before the run begins."""
    sys.stderr.write(f"gloss: {sentence}\n")
    sys.stderr.flush()


def _last_speech(lake: Lake) -> Speech | None:
    """Return how the lake's last run recognised speech, if it did."""
    last = _last_config(lake, lambda _: True)
    return last.speech if last is not None and last.speech.listens else None


def _last_config(lake: Lake, is_wanted: Callable[[Config], bool]) -> Config | None:
    """Return the configuration of the lake's newest run for which something holds."""
    if not lake.exists():
        return None
    try:
        with lake.connect() as connection:
            stored = connection.execute("SELECT config FROM runs ORDER BY started_at DESC, run_id")
            configs: Iterator[Config] = (
                Config.model_validate_json(row[0]) for row in iter(stored.fetchone, None)
            )
            return next((config for config in configs if is_wanted(config)), None)
    except LakeError:
        # Its making was broken off before there was a table of runs; the run completes it.
        return None


def _pinned(config: Config, before: Speech | None) -> Config:
    """Take the revision of the last run where the model is the same and none is asked for."""
    asked = config.speech
    if before is None or asked.revision is not None or asked.engine not in ("auto", before.engine):
        return config
    if (asked.model or Speech.default_model()) != before.model:
        return config
    return config.model_copy(update={"speech": asked.model_copy(update={"revision": before.revision})})


def _with_known_weights(config: Config, lake: Lake) -> Config:
    """Take the revision of the last run that looked with the same model, where none is asked for.

    Runs without a vision-language model may lie between: it is not the default.
    """
    asked = config.vision
    if asked.engine not in ("transformers", "vllm") or asked.revision is not None:
        return config
    before = _last_config(lake, lambda stored: _same_weights(stored.vision, asked))
    if before is None:
        return config
    pinned = asked.model_copy(update={"revision": before.vision.revision})
    return config.model_copy(update={"vision": pinned})


def _same_weights(one: Vision, other: Vision) -> bool:
    return one.engine in ("transformers", "vllm") and one.model == other.model
