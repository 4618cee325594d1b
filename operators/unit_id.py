"""What the result of a unit depends on, as one id.

Results are kept under it, so that equal work is done once: a renamed file, a second copy, a
run that was killed and a changed summary prompt all meet the results that are there already.
Whatever changes a result must be in its id; whatever does not must stay out of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from operators import embedding_engines, speech_engines, vision_engines
from operators.ocr_engines import engine_revision
from operators.prompts import load_prompt
from operators.voiceprints import speakers_revision
from schemas import ids
from schemas.arrow import to_dict
from schemas.config import Config, Embedding, Speech, Vision
from schemas.media import Asset, Kind, Unit, UnitKind

DECODE, OCR, ASR, VLM = "decode", "ocr", "asr", "vlm"
"""Stages a result may depend on."""


@dataclass(frozen=True, slots=True)
class Recipes:
    """Digests of the settings and models that each stage of a run works by."""

    frames: str
    pages: str
    subtitles: str
    ocr: str
    sound: str
    asr: str
    vision: str
    vectors: str
    """Of pictures; empty where they get none, and then it is left out of every id."""
    cuts: str
    """Where units begin and end."""
    plan: str
    """The same, and what is refused as too large."""

    def decode(self, unit: Unit) -> str:
        """What decoding a unit of this kind depends on, beside its content."""
        match unit.kind:
            case UnitKind.SPAN:
                return self.frames
            case UnitKind.PAGE:
                return self.pages
            case UnitKind.SPEECH:
                return self.sound
            case UnitKind.LOOK:
                return ""  # what is shown is all in the look
            case _:
                return self.subtitles


def recipes(config: Config) -> Recipes:
    """Digest what the stages of a run work by."""
    return _recipes(
        config.model_dump_json(
            include={"sampling", "documents", "ocr", "speech", "vision", "embedding", "limits"}
        )
    )


@cache
def _recipes(sections: str) -> Recipes:
    # Hashing the weights takes some 50 ms; every worker asks for each file.
    config = Config.model_validate_json(sections)
    sampling, documents, speech = config.sampling, config.documents, config.speech
    cut_by = {
        "span_seconds": sampling.span_seconds,
        "interval_seconds": sampling.interval_seconds,
        "max_pixels": sampling.max_pixels,
        "subtitles": config.speech.subtitles,
        "sound_seconds": speech.span_seconds if speech.listens else None,
    }
    return Recipes(
        # Where spans begin is in their place; how clips are cut is decided when they are composed.
        frames=_digest(sampling.model_dump(mode="json", exclude={"span_seconds", "clip_seconds"})),
        pages=_digest(documents.model_dump(mode="json", exclude={"pages_per_task"})),
        subtitles=_digest({}),
        sound=_digest({"language": speech.language}),
        asr=_asr(speech),
        vision=_vision(config.vision),
        vectors=_vectors(config.embedding),
        ocr=ids.digest(_digest(config.ocr.model_dump(mode="json")), engine_revision(config.ocr)),
        cuts=_digest(cut_by),
        plan=_digest(cut_by | config.limits.model_dump(mode="json", include={"pages", "seconds", "pixels"})),
    )


def _asr(speech: Speech) -> str:
    if not speech.listens:
        return "off"
    settings = speech.model_dump(mode="json", include={"language", "precision", "beam_size"})
    name, revision = speech_engines.speech_name(speech), speech_engines.engine_revision(speech)
    return ids.digest(_digest(settings), name, revision, speakers_revision(speech))


_ANSWERS = {
    "precision",
    "max_new_tokens",
    "tries",
    "temperature",
    "seed",
}
"""Settings that change what a model says of a look."""

_LOOKS = {
    "family",
    "max_visual_tokens",
    "max_frames",
    "max_details",
    "max_quoted_tokens",
    "language",
    "pages",
    "videos",
}
"""Settings that change what it is shown and told."""


def _vision(vision: Vision) -> str:
    if not vision.looks:
        return "off"
    settings = vision.model_dump(mode="json", include=_ANSWERS)
    name, revision = vision_engines.vision_name(vision), vision_engines.vision_revision(vision)
    return ids.digest(_digest(settings), name, revision)


def _vectors(embedding: Embedding) -> str:
    if not embedding.embeds_frames:
        return ""
    return ids.digest("vectors", embedding_engines.frames_revision(embedding))


@cache
def _prompt_version(name: str, folder: str | None) -> str:
    return load_prompt(name, folder).version


def _digest(settings: Mapping[str, object]) -> str:
    return ids.digest(str(ids.PERCEPTION_REVISION), ids.digest_json(settings))


def perception_id(config: Config, kind: str = "") -> str:
    """Identify how a run perceives a kind of asset; equal ids give equal rows from equal bytes.

    It goes into the asset's `version`. Settings that do not touch the kind stay out of it, so
    that another sampling interval makes no new versions of documents.

    Args:
        config: Of the run.
        kind: A `Kind`; anything else stands for a file that nothing could be read of, which
            every setting may change.
    """
    used = recipes(config)
    clips = str(config.sampling.clip_seconds)
    speech = config.speech
    apart = str(speech.speaker_distance) if speech.listens and speech.speakers != "off" else ""
    words = (used.cuts, used.subtitles, used.sound, used.asr, speech.prefer, apart, clips)
    vectors = (used.vectors,) if used.vectors else ()
    match kind:
        case Kind.VIDEO:
            return ids.digest("video", *words, used.frames, used.ocr, *vectors)
        case Kind.AUDIO:
            return ids.digest("audio", *words)
        case Kind.DOCUMENT | Kind.IMAGE:
            return ids.digest("pages", used.pages, used.ocr, *vectors)
        case _:
            return ids.digest("any", *words, used.frames, used.pages, used.ocr, *vectors)


def caption_version(config: Config, kind: str) -> str:
    """Identify how the clips or pages of a kind of asset are captioned; empty if they are not.

    It is apart from `perception_id`, so that another model or prompt leaves alone what was read
    and heard.

    Args:
        config: Of the run.
        kind: A `Kind`.
    """
    vision = config.vision
    prompts: dict[str, str] = {
        Kind.DOCUMENT: vision.pages,
        Kind.IMAGE: vision.pages,
        Kind.VIDEO: "caption" if vision.videos else "off",
    }
    prompt = prompts.get(kind, "off")
    if not vision.looks or prompt == "off":
        return ""
    looks = _digest(vision.model_dump(mode="json", include=_LOOKS))
    return ids.digest("captions", recipes(config).vision, looks, _prompt_version(prompt, vision.prompts))


def stages_of(unit: Unit) -> tuple[str, ...]:
    """List the stages that the result of a unit may depend on.

    Text layers and subtitles need no recogniser, nor does silence.
    """
    return (VLM,) if unit.kind == UnitKind.LOOK else (DECODE, OCR, ASR)


def unit_id(asset: Asset, unit: Unit, config: Config, stage: str) -> str:
    """Identify the result of one unit: content, place, stage, engines and settings.

    Args:
        asset: As probed; only its content counts, not where it lies.
        unit: The unit.
        config: Of the run.
        stage: `DECODE`, `OCR` where pictures had to be recognised, `ASR` where speech had, `VLM` for looks.
    """
    used = recipes(config)
    # Subtitles may come from files beside the asset; nothing else does.
    sidecars = asset.sidecar_hash if unit.kind == UnitKind.SUBTITLES else ""
    content = (asset.content_hash, sidecars, asset.kind, asset.container)
    place = [repr(item) for item in (unit.kind, unit.page, unit.start_seconds, unit.end_seconds)]
    if unit.look is not None:
        # Which clips an answer is for, and what it was planned to take, do not make it another one.
        shown = replace(unit.look, clip=0, clips=1, visual_tokens=0, text_tokens=0)
        prompt = _prompt_version(shown.prompt, config.vision.prompts)
        place = [unit.kind, ids.digest_json(to_dict(shown)), prompt]
    parts = ["unit", stage, *content, *place, used.decode(unit)]
    recognised = {DECODE: [], OCR: [used.ocr], ASR: [used.asr], VLM: [used.vision]}[stage]
    if used.vectors and unit.kind in (UnitKind.SPAN, UnitKind.PAGE):
        recognised = [*recognised, used.vectors]
    return ids.digest(*parts, *recognised)


def plan_id(content_hash: str, sidecar_hash: str, container: str, config: Config) -> str:
    """Identify how a content is cut into units."""
    return ids.digest("plan", content_hash, sidecar_hash, container, recipes(config).plan)
