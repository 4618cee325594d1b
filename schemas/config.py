"""One frozen object says how a run behaves.

It is read once, validated before the first file is touched, and stored with the run, so
that a lake explains itself. A profile is a set of defaults; a file overrides the profile,
`--set` overrides the file. Each field says when to change it and what it costs.
"""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from schemas.deployment import Deployment
from schemas.ids import digest_json
from schemas.nightly import Nightly
from schemas.observe import Observe
from schemas.prices import Prices
from schemas.resources import Resources
from schemas.section import ConfigError as ConfigError
from schemas.section import Section
from schemas.store import Store


class Sampling(Section):
    """Which frames of a video are looked at."""

    strategy: Literal["distinct", "interval", "keyframes", "scenes"] = "distinct"
    """`distinct` samples evenly and drops near-duplicates; `interval` keeps every sample;
    `keyframes` takes the coded key frames (cheapest, blind between them); `scenes` takes one
    frame for each scene found by content change."""
    decode: Literal["least", "all"] = "least"
    """`least` leaves out samples before which only pictures were coded that are no larger than others
    of this video in which not one pixel changed; `all` decodes them too, several times slower on still
    slides, and so also reports damage in pictures that show nothing new. Else both give the same rows."""
    interval_seconds: float = Field(1.0, gt=0, le=3600)
    """Distance of samples. Smaller finds text that is shown more briefly, and costs decoding
    and comparing in proportion."""
    span_seconds: float = Field(60.0, ge=1, le=3600)
    """Length of the spans a video is cut into for decoding. Shorter spreads a single video
    over more cores and loses less when one breaks; each span costs a seek and one picture read
    anew. Spans of large pictures are cut shorter, to some 200 MB of pixels."""
    clip_seconds: float = Field(30.0, ge=1, le=3600)
    """Longest clip in the `clips` table. Clips also end where the scene or slide changes."""
    max_pixels: int = Field(2_100_000, ge=10_000)
    """Pixel budget of a sampled frame; larger frames are scaled down to it (1080p passes)."""


class Documents(Section):
    """How pages are read."""

    text_layer: Literal["auto", "always", "never"] = "auto"
    """`auto` takes a page's text layer where it is sound and recognises the page where it is
    missing or garbage; `never` recognises every page (slow, independent of the file's maker)."""
    dpi: int = Field(150, ge=36, le=600)
    """Resolution at which pages are rendered for recognition. Body text of 10 points has
    letters of about 20 pixels at 150."""
    max_pixels: int = Field(4_200_000, ge=100_000)
    """Pixel budget of a rendered page or picture; the resolution is lowered to meet it."""
    pages_per_task: int = Field(8, ge=1, le=1000)
    """Pages decoded by one task, so that opening the document is paid once for them."""


class Ocr(Section):
    """Reading text in pictures."""

    engine: Literal["rapidocr", "paddleocr", "off"] = "rapidocr"
    """`rapidocr` needs nothing but pip; `paddleocr` is the extra `gloss[paddle]`."""
    model: str | None = None
    """Model name or folder; null takes the engine's own default."""
    min_confidence: float = Field(0.5, ge=0, le=1)
    """Lines recognised with less confidence are dropped."""
    detail: Literal["auto", "off"] = "auto"
    """`auto` looks again at full resolution where the first pass finds small text."""
    orientation: bool = True
    """Find pages and pictures that are turned by 90, 180 or 270 degrees and read them upright."""


class Speech(Section):
    """Recognising speech."""

    engine: Literal["auto", "faster-whisper", "transformers", "off"] = "auto"
    """`auto` takes faster-whisper if its weights are in the cache or can be fetched, and says so
    and goes without speech if not; an engine that is named has to run. `transformers` is the extra
    `gloss[transformers]`."""
    model: str | None = None
    """Name (`small`, `large-v3-turbo`, `openai/whisper-small`) or folder; null takes `small`."""
    revision: str | None = None
    """Git revision of a model by name; null takes what the cache holds, else the newest. A run
    puts here what it found."""
    language: str | None = None
    """Language that is spoken (`en`); null detects it for each piece. Of several sound tracks
    the one in this language is taken, else the default."""
    precision: Literal["auto", "int8", "float16", "bfloat16", "float32"] = "auto"
    """`auto` is int8 (faster-whisper) or float32 (transformers) on CPUs, float16 on GPUs."""
    beam_size: int = Field(5, ge=1, le=20)
    """Candidates kept while decoding; 1 is greedy, faster and a little less accurate."""
    span_seconds: float = Field(120.0, ge=30, le=3600)
    """Length of the stretches in which sound is handed on and accounted for."""
    subtitles: bool = True
    """Take embedded subtitle tracks and sidecar `.srt` and `.vtt` files as utterances."""
    prefer: Literal["subtitles", "speech"] = "subtitles"
    """Which of the two makes transcripts and summaries where there are both. Subtitles that cover
    less than half of the speech (forced ones, a damaged file) never win."""
    speakers: Literal["off", "sherpa-onnx"] = "off"
    """Tell the voices of a recording apart and fill `speaker`. `sherpa-onnx` is the extra
    `gloss[speakers]`, and needs `speaker_model`; it costs one inference for each utterance."""
    speaker_model: str | None = None
    """ONNX file of a speaker embedding model (WeSpeaker, 3D-Speaker or NeMo) with the metadata
    sherpa-onnx reads, at the same path on every node."""
    speaker_distance: float = Field(0.6, gt=0, le=2)
    """Cosine distance from which two voices are two speakers, on average over their utterances.
    Smaller finds more speakers. Good values differ between models, mostly from 0.5 to 0.8."""

    @staticmethod
    def default_model() -> str:
        """Return the model that is taken where none is named; 484 MB for faster-whisper."""
        return "small"

    @property
    def listens(self) -> bool:
        """Whether speech is recognised; `auto` has to be resolved first."""
        return self.engine in ("faster-whisper", "transformers")


class Vision(Section):
    """Captions by a vision-language model."""

    engine: Literal["off", "transformers", "vllm", "openai"] = "off"
    """`transformers` (extra `gloss[transformers]`) runs the model in the worker; `vllm` (extra
    `gloss[vllm]`) on GPUs through Ray's own pipeline; `openai` asks any server of that protocol
    (vLLM, llama.cpp, Ollama, a cloud) and needs no weights here."""
    model: str | None = None
    """Name (`Qwen/Qwen2-VL-2B-Instruct`) or folder; for `openai` what the server calls it."""
    revision: str | None = None
    """Git revision of a model by name; null takes what the cache holds, else the newest. A run
    puts here what it found."""
    precision: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    """`auto` is float32 on CPUs, bfloat16 on GPUs."""
    base_url: str | None = None
    """Of the server, for `openai`: `http://127.0.0.1:8000/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the server's key; the key itself is never
    written anywhere. Unset means that none is sent."""
    timeout_seconds: float = Field(120.0, gt=0)
    """For one answer of the server."""
    patience_seconds: float = Field(300.0, gt=0)
    """How long one question is asked again while the server is busy, broken or away."""
    requests_per_minute: float = Field(0.0, ge=0)
    """Most requests to the server, of all workers together; 0 is no limit."""
    concurrency: int = Field(8, ge=1, le=1024)
    """Requests to the server at once, of each worker."""
    family: str | None = None
    """How visual tokens are counted where the checkpoint is not here to tell (`openai`, `vllm`):
    a `model_type` such as `qwen2_vl`, or null for tiles of 512 pixels, as OpenAI counts them."""
    max_visual_tokens: int = Field(1024, ge=16)
    """Visual tokens of one clip or page: frames, size and details share them."""
    max_frames: int = Field(8, ge=1, le=256)
    """Most frames of a clip that are shown whole."""
    max_details: int = Field(4, ge=0, le=32)
    """Most parts that are shown enlarged besides, where small or dense text stands; 0 shows none."""
    max_quoted_tokens: int = Field(512, ge=0)
    """Tokens of what was read and said that are quoted to the model."""
    max_new_tokens: int = Field(160, ge=8)
    """Longest answer to `caption`; `read` gets eight times as many."""
    tries: int = Field(3, ge=1, le=10)
    """How often a model is asked whose answer is empty, runs in a loop, is cut off or a refusal."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0 is greedy: the same picture gives the same words."""
    seed: int = 0
    """Of what is drawn at random, in later tries and above temperature 0."""
    language: str | None = None
    """To answer in (`en`); null takes the language of the asset where that is known."""
    pages: Literal["caption", "read", "off"] = "caption"
    """What is asked about pages of documents and picture files: `caption` describes them, `read`
    transcribes text, tables and charts, `off` leaves them out."""
    videos: bool = True
    """Look at clips of videos."""
    prompts: str | None = None
    """Folder with prompts that take the place of Gloss's own: `caption.md`, `read.md`, `check.md`."""
    input_price: float = Field(0.0, ge=0)
    """Price of a million tokens that go in, for the estimate and `--max-cost`."""
    output_price: float = Field(0.0, ge=0)
    """Price of a million tokens that come out."""

    @property
    def looks(self) -> bool:
        """Whether a vision-language model is asked at all."""
        return self.engine != "off"


class Summary(Section):
    """Titles and summaries of clips, segments and assets."""

    engine: Literal["extractive", "transformers", "vllm", "openai", "off"] = "extractive"
    """`extractive` picks sentences that stand in the source, each with a citation. The others have a
    language model write them from what was read, said and captioned, and check each sentence against
    it: `transformers` (extra `gloss[transformers]`) and `vllm` (extra `gloss[vllm]`, GPUs) run the
    model in the worker; `openai` asks any server of that protocol and needs no weights here."""
    model: str | None = None
    """Name (`Qwen/Qwen2.5-1.5B-Instruct`) or folder of a language model, which need not be the one that
    looks at pictures; for `openai` what the server calls it."""
    revision: str | None = None
    """Git revision of a model by name; null takes what the cache holds, else the newest. A run
    puts here what it found."""
    precision: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    """`auto` is float32 on CPUs, bfloat16 on GPUs."""
    base_url: str | None = None
    """Of the server, for `openai`: `http://127.0.0.1:8000/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the server's key; the key itself is never
    written anywhere. Unset means that none is sent."""
    timeout_seconds: float = Field(120.0, gt=0)
    """For one answer of the server."""
    patience_seconds: float = Field(300.0, gt=0)
    """How long one question is asked again while the server is busy, broken or away."""
    requests_per_minute: float = Field(0.0, ge=0)
    """Most requests to the server, of all workers together; 0 is no limit."""
    concurrency: int = Field(8, ge=1, le=1024)
    """Requests to the server at once, of each worker."""
    schema_in_request: bool = True
    """Ask a server to hold the answer to its JSON schema; one that does not know how is asked without."""
    context_tokens: int = Field(8192, ge=1024)
    """Most tokens of question and answer together; of a model that states less, that. What is longer is
    summarised in parts."""
    max_new_tokens: int = Field(640, ge=64)
    """Longest answer."""
    tries: int = Field(3, ge=1, le=10)
    """How often a model is asked whose answer is empty, cut off or not what the schema wants."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0 is greedy: the same text gives the same words."""
    seed: int = 0
    """Of what is drawn at random, in later tries and above temperature 0."""
    language: str | None = None
    """To write in (`en`); null takes the language of the asset where that is known."""
    prompts: str | None = None
    """Folder with prompts that take the place of Gloss's own: `clip.md`, `segment.md`, `asset.md`,
    `part.md`, `rewrite.md`."""
    levels: list[Literal["clip", "segment", "asset"]] = Field(["clip", "segment", "asset"])
    """What a model writes; the rest stays extractive. Without `clip` there are far fewer calls."""
    min_words: int = Field(40, ge=0)
    """Clips and segments with less text than this keep the extractive summary: there is nothing to sum up."""
    min_support: float = Field(0.5, ge=0, le=1)
    """Least support of a sentence: the share of what it says that its evidence says too."""
    unsupported: Literal["drop", "keep"] = "drop"
    """What becomes of a sentence without support that a second attempt did not mend: left out, or kept
    and marked. Both ways it is put up for review."""
    closer_look: Literal["off", "text", "pictures"] = "text"
    """`text` writes a sentence without support once more, from all that was read and said in its place.
    `pictures` also shows more and larger pictures of that place to the vision-language model (see `vision`),
    asks what of the sentence can be seen, and writes those once more that still do not hold. `gloss compose`
    decodes nothing: there, `pictures` is as `text`."""
    titles: Literal["found", "written"] = "found"
    """`found` keeps a title that stands in the source, so that a model names only what has none."""
    clip_sentences: int = Field(2, ge=0, le=20)
    segment_sentences: int = Field(3, ge=0, le=50)
    asset_sentences: int = Field(5, ge=0, le=100)
    """Most sentences of a summary at each level."""
    key_points: int = Field(7, ge=0, le=50)
    """Most key points of an asset that a model writes."""

    @property
    def writes(self) -> bool:
        """Whether a language model is asked at all."""
        return self.engine in ("transformers", "vllm", "openai")

    @property
    def looks_closer(self) -> bool:
        """Whether pictures are looked at again for sentences that do not hold."""
        return self.writes and self.closer_look == "pictures"


class Embedding(Section):
    """Vectors for semantic search."""

    engine: Literal["off", "transformers", "openai"] = "off"
    """`transformers` (extra `gloss[transformers]`) runs the model in the worker; `openai` asks any server
    with an embeddings endpoint of that protocol, for text alone."""
    model: str | None = None
    """Name (`intfloat/multilingual-e5-small`) or folder of a text embedding model; for `openai` what the
    server calls it. Null embeds no text."""
    revision: str | None = None
    """Git revision of a model by name. A run puts here what it found."""
    frames: str | None = None
    """Name (`google/siglip-base-patch16-224`) or folder of a CLIP or SigLIP model for distinct frames and
    pages, run through transformers; null embeds no pictures."""
    frames_revision: str | None = None
    query_prefix: str = ""
    """Put before what is searched for, as some models want it (`query: ` for E5)…"""
    text_prefix: str = ""
    """…and before what is searched in (`passage: `)."""
    base_url: str | None = None
    """Of the server, for `openai`: `http://127.0.0.1:8000/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the server's key."""
    timeout_seconds: float = Field(60.0, gt=0)
    """For one answer of the server."""
    patience_seconds: float = Field(300.0, gt=0)
    """How long one question is asked again while the server is busy, broken or away."""
    requests_per_minute: float = Field(0.0, ge=0)
    """Most requests to the server, of all workers together; 0 is no limit."""
    concurrency: int = Field(4, ge=1, le=1024)
    """Requests to the server at once, of each worker."""
    batch: int = Field(32, ge=1, le=4096)
    """Texts or pictures embedded together."""

    @property
    def embeds_text(self) -> bool:
        """Whether clips and segments get vectors."""
        return self.engine != "off" and self.model is not None

    @property
    def embeds_frames(self) -> bool:
        """Whether distinct frames and pages get vectors."""
        return self.engine != "off" and self.frames is not None


class Limits(Section):
    """What one input may cost; beyond it a `failures` row takes the place of the rest."""

    bytes: int = Field(64 << 30, ge=1)
    """Largest file."""
    pixels: int = Field(180_000_000, ge=1)
    """Most pixels a picture or frame may declare; twice that of a 90-megapixel camera."""
    pages: int = Field(20_000, ge=1)
    seconds: float = Field(24 * 3600.0, gt=0)
    """Longest video or audio."""
    memory_bytes: int = Field(3 << 30, ge=256 << 20)
    """Memory of the process that decodes; it is ended beyond it."""
    unit_seconds: float = Field(120.0, gt=0)
    """Wall time in which the next unit (a span, a page) must come out of a decoder."""
    cpu_seconds: float = Field(600.0, gt=0)
    """CPU time, summed over threads, in which the next unit must come out of a decoder."""
    frames: int = Field(100_000, ge=1)
    """Most frames decoded for one span; a minute at 1,000 frames a second has 60,000."""
    output_bytes: int = Field(1 << 30, ge=1 << 20)
    """Most bytes one unit may hand on, pixels included."""


class Run(Section):
    """The run as a whole."""

    hidden: bool = False
    """Also ingest files and folders whose name begins with a dot."""
    address: str | None = None
    """Ray cluster to use (`auto` or `ray://…`); null starts one on this machine."""
    executor: Literal["auto", "ray", "threads"] = "auto"
    """Where the steps run: on a Ray cluster, or in threads of this process, which start at once and copy
    less. `auto` takes threads where this machine is the whole cluster and has at most 8 cores."""
    cpus: int | None = Field(None, ge=1)
    """Cores of this machine to use, where no other is; null takes all."""
    wait_seconds: float = Field(0.0, ge=0)
    """How long to wait for another run on the same lake before giving up."""
    stall_seconds: float = Field(900.0, gt=0)
    """With nothing finished for so long, the pipeline is taken for stuck, and the
    run ends with everything finished kept. A unit may take some four times `limits.unit_seconds`
    until it is given up; with less than that, slow units look stuck."""
    max_failures: int | None = Field(None, ge=0)
    """A run stops early when more files than this have failed; null never stops it."""
    max_failure_rate: float | None = Field(None, ge=0, le=1)
    """…or when more than this share of the files read so far (at least 20) have failed."""
    prune_limit: float = Field(0.5, ge=0, le=1)
    """`--prune` refuses to remove more than this share of the assets below the sources: an
    unmounted disk looks like a folder from which everything has vanished."""


class Config(Section):
    """The effective configuration of a run."""

    profile: Literal["embedded", "cpu", "gpu"] = "embedded"
    sampling: Sampling = Sampling()
    documents: Documents = Documents()
    ocr: Ocr = Ocr()
    speech: Speech = Speech()
    vision: Vision = Vision()
    summary: Summary = Summary()
    embedding: Embedding = Embedding()
    limits: Limits = Limits()
    resources: Resources = Resources()
    store: Store = Store()
    run: Run = Run()
    nightly: Nightly = Nightly()
    deployment: Deployment = Deployment()
    prices: Prices = Prices()
    observe: Observe = Observe()

    @model_validator(mode="after")
    def _clips_fit_spans(self) -> Self:
        if self.sampling.interval_seconds > self.sampling.span_seconds:
            msg = (
                f"sampling.interval_seconds ({self.sampling.interval_seconds}) must not exceed "
                f"sampling.span_seconds ({self.sampling.span_seconds})"
            )
            raise ValueError(msg)
        return self

    def picking_digest(self) -> str:
        """Hash what changes extractive summaries but not what they rest on."""
        off = self.summary.engine == "off"
        return digest_json({"off": off} | self.summary.model_dump(mode="json", include=_PICKED))

    def writing_digest(self) -> str:
        """Hash what changes the summaries a language model writes, its weights and prompts aside."""
        return (
            digest_json(self.summary.model_dump(mode="json", include=_WRITTEN)) if self.summary.writes else ""
        )


_PICKED = {"clip_sentences", "segment_sentences", "asset_sentences"}
_WRITTEN = {
    "precision",
    "context_tokens",
    "max_new_tokens",
    "tries",
    "temperature",
    "seed",
    "language",
    "levels",
    "min_words",
    "min_support",
    "unsupported",
    "closer_look",
    "titles",
    "key_points",
}
"""Settings of `summary` that change its words; the others say where and how fast it runs."""

PROFILES: dict[str, dict[str, Any]] = {
    "embedded": {},
    "cpu": {"speech": {"engine": "faster-whisper"}},
    "gpu": {
        "ocr": {"engine": "paddleocr"},
        "speech": {"engine": "faster-whisper", "model": "large-v3-turbo"},
        "resources": {
            "ocr_gpus": 0.25,
            "ocr_cpus": 1.0,
            "speech_gpus": 0.25,
            "speech_cpus": 0.5,
            "vision_gpus": 1.0,
            "vision_cpus": 1.0,
            "summary_gpus": 1.0,
            "summary_cpus": 1.0,
        },
    },
}
"""What each profile changes of the defaults."""


def load_config(
    profile: str = "embedded",
    file: Path | None = None,
    settings: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> Config:
    """Build the configuration: profile, then file (TOML or YAML), then `key=value` settings.

    Args:
        profile: Set of defaults.
        file: Settings by section.
        settings: `section.key=value`.
        base: Sections that take the place of the profile's defaults.

    Raises:
        ConfigError: A file, key or value that cannot be used; the message names the nearest
            right key where one is near.
    """
    if profile not in PROFILES:
        msg = f"Wanted a profile of {', '.join(PROFILES)}; found {profile!r}.{_near(profile, PROFILES)}"
        raise ConfigError(msg)
    merged: dict[str, Any] = {"profile": profile}
    _merge(merged, PROFILES[profile] if base is None else base)
    if file is not None:
        _merge(merged, _read_file(file))
    for setting in settings:
        _merge(merged, _parse_setting(setting))
    _refuse_unknown(merged, Config, "")
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def differences(stored: str, config: Config) -> list[tuple[str, Any, Any]]:
    """Compare a configuration as stored with a run with another one.

    Args:
        stored: A configuration as JSON; keys it does not know are as they are by default.
        config: The other one.

    Returns:
        For each key that differs (`ocr.engine`), its name, what it was and what it is.
    """
    before, after = _flat(json.loads(stored)), _flat(config.model_dump(mode="json"))
    default = _flat(Config().model_dump(mode="json"))
    return [
        (key, before.get(key, default[key]), value)
        for key, value in after.items()
        if before.get(key, default[key]) != value
    ]


def _flat(sections: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, section in sections.items():
        if isinstance(section, Mapping):
            flat |= {f"{name}.{key}": value for key, value in section.items()}
        else:
            flat[name] = section
    return flat


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key, {}), dict):
            branch = dict(into.get(key, {}))
            _merge(branch, value)
            into[key] = branch
        else:
            into[key] = value


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"Wanted a configuration file at {path}; it cannot be read ({error})."
        raise ConfigError(msg) from None
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            import yaml  # only YAML users pay for its import

            value = yaml.safe_load(text) or {}
        else:
            value = tomllib.loads(text)
    except ValueError as error:
        msg = f"{path} is not valid TOML: {error}"
        raise ConfigError(msg) from None
    except Exception as error:
        msg = f"{path} is not valid YAML: {error}"
        raise ConfigError(msg) from None
    if not isinstance(value, dict):
        msg = f"{path}: wanted a table of sections (sampling, ocr, …), found {type(value).__name__}."
        raise ConfigError(msg)
    return value


def _parse_setting(setting: str) -> dict[str, Any]:
    """Parse `section.key=value`; the value is TOML where it can be, else a string."""
    key, separator, text = setting.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not separator or not all(parts):
        msg = f"--set wants section.key=value (ocr.engine=off); found {setting!r}."
        raise ConfigError(msg)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = text
    for part in reversed(parts):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def _refuse_unknown(value: Mapping[str, Any], model: type[BaseModel], prefix: str) -> None:
    for key, item in value.items():
        name = f"{prefix}{key}"
        field = model.model_fields.get(key)
        if field is None:
            where = f"section {prefix[:-1]!r}" if prefix else "the configuration"
            known = ", ".join(model.model_fields)
            msg = f"Unknown key {name!r} in {where}.{_near(key, model.model_fields, prefix)} Known: {known}."
            raise ConfigError(msg)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if not isinstance(item, Mapping):
                msg = f"{name} is a section; wanted {name}.KEY=VALUE, found {name}={item!r}."
                raise ConfigError(msg)
            _refuse_unknown(item, inner, f"{name}.")


def _near(name: str, known: Mapping[str, object], prefix: str = "") -> str:
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {prefix + match[0]!r}?" if match else ""


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False):
        name = ".".join(str(part) for part in item["loc"]) or "configuration"
        found = item.get("input")
        shown = "" if isinstance(found, dict | BaseModel) else f"; found {json.dumps(found, default=str)}"
        lines.append(f"{name}: {item['msg']}{shown}")
    return "\n".join(lines)
