"""What a run is asked for becomes what it will do, before the first file is touched.

Engines that cannot run are refused by name. Which model of speech there is decides whether `auto`
means speech or none, and its revision is written down; but a lake that has speech never loses it
because a cache was emptied or a model was published anew.
"""

import sys

from operators.lake import Lake, LakeError
from operators.ocr_engines import check_engine
from operators.speech_models import resolve_speech
from operators.voiceprints import check_speakers
from schemas.config import Config, ConfigError, Speech


def settle(config: Config, lake: Lake) -> Config:
    """Check that what is configured can run, and find its models.

    Args:
        config: As asked for.
        lake: Where to; need not exist.

    Returns:
        The configuration with `speech` settled: an engine or `off`, its model and revision.

    Raises:
        ConfigError: Something cannot run; or speech would be left out of a lake that has it.
    """
    if (problem := check_engine(config.ocr)) is not None:
        raise ConfigError(problem)
    before = _last_speech(lake)
    if (problem := check_speakers(config.speech)) is not None:
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
    return settled


def say(sentence: str) -> None:
    """Tell the user something before the run begins."""
    sys.stderr.write(f"gloss: {sentence}\n")
    sys.stderr.flush()


def _last_speech(lake: Lake) -> Speech | None:
    """Return how the lake's last run recognised speech, if it did."""
    if not lake.exists():
        return None
    try:
        with lake.connect() as connection:
            found = connection.execute(
                "SELECT config FROM runs ORDER BY started_at DESC, run_id LIMIT 1"
            ).fetchall()
    except LakeError:
        # Its making was broken off before there was a table of runs; the run completes it.
        return None
    speech = Config.model_validate_json(found[0][0]).speech if found else None
    return speech if speech is not None and speech.listens else None


def _pinned(config: Config, before: Speech | None) -> Config:
    """Take the revision of the last run where the model is the same and none is asked for."""
    asked = config.speech
    if before is None or asked.revision is not None or asked.engine not in ("auto", before.engine):
        return config
    if (asked.model or Speech.default_model()) != before.model:
        return config
    return config.model_copy(update={"speech": asked.model_copy(update={"revision": before.revision})})
