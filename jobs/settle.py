"""What a run is asked for becomes what it will do, before the first file is touched.

Engines that cannot run are refused by name. Which model of speech there is decides whether `auto`
means speech or none, and its revision is written down; but a lake that has speech never loses it
because a cache was emptied or a model was published anew. Nor are its captions and summaries made again
because of that: the revision that made them is taken again.
"""

import sys

from jobs.json_log import told
from jobs.past import Past
from operators.embedding_engines import check_embedding
from operators.embedding_models import resolve_embedding
from operators.lake import Lake
from operators.ocr_engines import check_engine
from operators.speech_models import resolve_speech
from operators.summary_prompts import load_prompts
from operators.text_engines import context_of as context_of_text
from operators.text_engines import room_of, text_counter_of
from operators.text_models import check_summary, resolve_summary
from operators.vision_engines import check_vision, context_of
from operators.vision_models import resolve_vision
from operators.voiceprints import check_speakers
from schemas.config import Config, ConfigError, Embedding, Speech, Summary, Vision

_LEAST_ROOM = 400
"""Tokens of a few sentences in any language."""


def settle(config: Config, lake: Lake) -> Config:
    """Check that what is configured can run, and find its models.

    Args:
        config: As asked for.
        lake: Where to; need not exist.

    Returns:
        The configuration with `speech`, `vision`, `summary` and `embedding` settled: an engine or `off`,
        its model and revision.

    Raises:
        ConfigError: Something cannot run; or speech would be left out of a lake that has it.
    """
    if (problem := check_engine(config.ocr)) is not None:
        raise ConfigError(problem)
    past = Past(lake)
    before = _last_speech(past)
    if (problem := check_speakers(config.speech)) is not None:
        raise ConfigError(problem)
    # What is wrong with it anyway is said before gigabytes are fetched for speech.
    if (problem := check_vision(config.vision, config.resources.vision_gpus > 0)) is not None:
        raise ConfigError(problem)
    if (problem := check_embedding(config.embedding, config.resources.embedding_gpus > 0)) is not None:
        raise ConfigError(problem)
    if (problem := check_summary(config.summary, config.resources.summary_gpus > 0)) is not None:
        raise ConfigError(problem)
    settled = resolve_speech(_pinned(config, before), say)
    if config.speech.engine == "auto" and not settled.speech.listens and before is not None:
        msg = (
            f"The last run on {past.uri} recognised speech with {before.engine} ({before.model}); without "
            "its weights this run would take the words out again. Name the same model with --set "
            f"speech.model={before.model} (gloss models pull fetches what is no folder). To go on without "
            "speech: --set speech.engine=off"
        )
        raise ConfigError(msg)
    _check_closer_look(config)
    _keep_captions(config, past)
    _keep_summaries(config, past)
    _keep_vectors(config, past)
    settled = resolve_vision(_with_known_weights(settled, past), say)
    _check_looks(settled)
    settled = resolve_summary(_with_known_writer(settled, past), say)
    _check_questions(settled.summary)
    return resolve_embedding(_with_known_vectors(settled, past), say)


def settle_summary(config: Config, lake: Lake) -> Config:
    """Check that summaries can be written as configured, and find their model; nothing else has to run.

    Raises:
        ConfigError: They cannot.
    """
    if (problem := check_summary(config.summary, config.resources.summary_gpus > 0)) is not None:
        raise ConfigError(problem)
    settled = resolve_summary(_with_known_writer(config, Past(lake)), say)
    _check_questions(settled.summary)
    return settled


def _check_questions(summary: Summary) -> None:
    """Check that prompts can be used, and leave room for something to sum up.

    Raises:
        ConfigError: It is not so.
    """
    if not summary.writes:
        return
    count = text_counter_of(summary)
    longest = max(count(prompt.text) for prompt in load_prompts(summary).values())
    room = room_of(summary) - longest
    if room < _LEAST_ROOM:
        msg = (
            f"Wanted room for {_LEAST_ROOM} tokens of text in a question of summary.engine={summary.engine}; "
            f"with prompts of {longest} tokens and answers of {summary.max_new_tokens} there are {room} in a "
            f"window of {context_of_text(summary)}. Raise summary.context_tokens, or lower "
            "summary.max_new_tokens."
        )
        raise ConfigError(msg)


def _check_closer_look(config: Config) -> None:
    """Check that there is a model to look closer with.

    Raises:
        ConfigError: There is none.
    """
    if config.summary.closer_look == "pictures" and not config.vision.looks:
        msg = (
            "Wanted a vision-language model for summary.closer_look=pictures; found vision.engine=off. Set "
            "vision.engine and vision.model, or summary.closer_look=text."
        )
        raise ConfigError(msg)


def _keep_captions(config: Config, past: Past) -> None:
    """Check that captions are not taken out of a lake because nobody thought of them.

    Raises:
        ConfigError: The lake has captions, and the run was not told what to do about them.
    """
    if config.vision.looks or "engine" in config.vision.model_fields_set:
        return
    before = past.last()
    if before is None or not before.vision.looks:
        return
    vision = before.vision
    msg = (
        f"The last run on {past.uri} captioned clips and pages with {vision.engine} ({vision.model}); "
        "without it this run would take them out again. Name it with "
        f"--set vision.engine={vision.engine} --set vision.model={vision.model}, or take them out with "
        "--set vision.engine=off"
    )
    raise ConfigError(msg)


def _keep_vectors(config: Config, past: Past) -> None:
    """Check that vectors are not taken out of a lake because nobody thought of them.

    Raises:
        ConfigError: The lake has vectors, and the run was not told what to do about them.
    """
    asked, last = config.embedding, past.last()
    if last is None or (asked.engine == "off" and "engine" in asked.model_fields_set):
        return
    before = last.embedding
    lost = {}
    if before.embeds_text and not asked.embeds_text and "model" not in asked.model_fields_set:
        lost["model"] = before.model
    if before.embeds_frames and not asked.embeds_frames and "frames" not in asked.model_fields_set:
        lost["frames"] = before.frames
    if not lost:
        return
    names = " ".join(f"--set embedding.{name}={model}" for name, model in lost.items())
    server = f" --set embedding.base_url={before.base_url}" if before.engine == "openai" else ""
    msg = (
        f"The last run on {past.uri} made vectors of {' and '.join(map(str, lost.values()))}; without these "
        f"this run would take them out again. Name them with --set embedding.engine={before.engine} {names}"
        f"{server}, or take all vectors out with --set embedding.engine=off"
    )
    raise ConfigError(msg)


def _with_known_vectors(config: Config, past: Past) -> Config:
    """Take the revisions of the last run that embedded with the same models, where none is asked for."""
    asked = config.embedding
    pinned: dict[str, str | None] = {}
    if asked.embeds_text and asked.revision is None and asked.engine == "transformers":
        before = past.last(lambda stored: _same_texts(stored.embedding, asked))
        pinned["revision"] = before.embedding.revision if before is not None else None
    if asked.embeds_frames and asked.frames_revision is None:
        before = past.last(lambda stored: stored.embedding.frames == asked.frames)
        pinned["frames_revision"] = before.embedding.frames_revision if before is not None else None
    return config.model_copy(update={"embedding": asked.model_copy(update=pinned)})


def _same_texts(one: Embedding, other: Embedding) -> bool:
    return one.engine == other.engine and one.model == other.model


def _keep_summaries(config: Config, past: Past) -> None:
    """Check that summaries by a model do not become extractive ones because nobody thought of them.

    Raises:
        ConfigError: The lake has such, and the run was not told what to do about them.
    """
    if config.summary.writes or "engine" in config.summary.model_fields_set:
        return
    before = past.last()
    if before is None or not before.summary.writes:
        return
    summary = before.summary
    server = f" --set summary.base_url={summary.base_url}" if summary.engine == "openai" else ""
    msg = (
        f"The last run on {past.uri} had summaries written by {summary.engine} ({summary.model}); without it "
        "this run would pick sentences instead. Name it with "
        f"--set summary.engine={summary.engine} --set summary.model={summary.model}{server}, or go on "
        "without with --set summary.engine=extractive"
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
    # With it come the decoders, which take half a second to import.
    from operators.plan_look import check_budget
    from operators.survey import tools_of

    tools = tools_of(vision)
    prompt_tokens = max(tools.count(prompt.text) for prompt in tools.prompts.values())
    if (problem := check_budget(tools.rule, vision, context_of(vision), prompt_tokens)) is not None:
        raise ConfigError(problem)


def say(sentence: str) -> None:
    """Tell the user something before the run begins."""
    if not told("info", sentence):
        sys.stderr.write(f"gloss: {sentence}\n")
        sys.stderr.flush()


def _last_speech(past: Past) -> Speech | None:
    """Return how the lake's last run recognised speech, if it did."""
    last = past.last()
    return last.speech if last is not None and last.speech.listens else None


def _pinned(config: Config, before: Speech | None) -> Config:
    """Take the revision of the last run where the model is the same and none is asked for."""
    asked = config.speech
    if before is None or asked.revision is not None or asked.engine not in ("auto", before.engine):
        return config
    if (asked.model or Speech.default_model()) != before.model:
        return config
    return config.model_copy(update={"speech": asked.model_copy(update={"revision": before.revision})})


def _with_known_weights(config: Config, past: Past) -> Config:
    """Take the revision of the last run that looked with the same model, where none is asked for.

    Runs without a vision-language model may lie between: it is not the default.
    """
    asked = config.vision
    if asked.engine not in ("transformers", "vllm") or asked.revision is not None:
        return config
    before = past.last(lambda stored: _same_weights(stored.vision, asked))
    if before is None:
        return config
    pinned = asked.model_copy(update={"revision": before.vision.revision})
    return config.model_copy(update={"vision": pinned})


def _with_known_writer(config: Config, past: Past) -> Config:
    """Take the revision of the last run whose summaries the same model wrote, where none is asked for."""
    asked = config.summary
    if asked.engine not in ("transformers", "vllm") or asked.revision is not None:
        return config
    before = past.last(lambda stored: _same_weights(stored.summary, asked))
    if before is None:
        return config
    pinned = asked.model_copy(update={"revision": before.summary.revision})
    return config.model_copy(update={"summary": pinned})


def _same_weights(one: Vision | Summary, other: Vision | Summary) -> bool:
    return one.engine in ("transformers", "vllm") and one.model == other.model
