"""The tables of a lake: what users query.

Each dataclass is one table; its docstring says what one row is, the strings under the
fields what a column means. `gloss` creates the Delta tables from these declarations and the
views show them, less `write_id`.

Every child row carries the `write_id` of the commit that made it. A row is *live* when its
`write_id` stands in `assets`: replacing an asset's row there replaces all its children at
once, and rows of a commit that was never finished are never seen.
"""

from dataclasses import dataclass, field
from datetime import datetime

from schemas.arrow import Vector
from schemas.look import Caption
from schemas.media import Asset, Unit
from schemas.perception import Utterance, View, Word


@dataclass(frozen=True, slots=True)
class AssetRow:
    """One source file. Writing this row is the commit of the asset."""

    asset_id: str
    """From the URI; stable when the content changes."""
    version: str
    """From the bytes and from the configuration that changes what is perceived."""
    uri: str
    kind: str
    """video, audio, document or image; decided by content."""
    media_type: str
    bytes: int
    duration_seconds: float | None
    page_count: int | None
    width_px: int | None
    """As shown: rotation and pixel aspect applied."""
    height_px: int | None
    video_codec: str | None
    audio_codec: str | None
    language: str | None
    """Main language of the text (ISO 639-1), null when there is too little to tell."""
    title: str | None
    summary: str | None
    summary_version: str
    """From the summary configuration, its model and its prompts."""
    status: str
    """ok, partial (something of it is in `failures`) or failed (nothing of it could be read)."""
    clip_count: int
    segment_count: int
    failure_count: int
    sampled_frames: int
    """Frames looked at."""
    distinct_frames: int
    """Sampled frames that were new pictures: unlike the one before, not only in small regions."""
    read_whole: int
    """Pictures recognised whole; `read_parts` only where they had changed."""
    read_parts: int
    sound_seconds: float
    """Seconds of sound listened to; 0 without a recogniser of speech."""
    speech_seconds: float
    """Seconds of it in which a voice was detected…"""
    worded_seconds: float
    """…and of those the seconds that recognised words cover."""
    run_id: str
    ingested_at: datetime
    content_hash: str
    fingerprint: str
    """From size and modification time or etag, sidecars included."""
    perception: str
    """Digest of the configuration that changes what is perceived."""
    modified_at: datetime | None
    etag: str | None
    write_id: str
    plan_id: str = ""
    """Its row in `plans`, empty where probing found something wrong."""
    caption_version: str = ""
    """From the vision configuration, its prompts and model; empty where no model has looked (yet)."""
    found_title: str | None = None
    """The title it states or shows, or else its file's name; `title` is another only where a language
    model wrote one."""
    key_points: list[str] = field(default_factory=list)
    """What matters most, a sentence each, as a language model wrote and its sources bear out."""
    summary_engine: str | None = None
    """What wrote title and summary: `extractive`, or the engine and its model."""
    summary_revision: str | None = None
    """Which weights, or what the server calls its model."""
    summary_prompt: str | None = None
    """Name of the prompt and a hash of its text; null where nothing was asked."""
    summary_doubts: list[str] = field(default_factory=list)
    """Why the summary may be wrong or poor: fallback (the model's was none; this one is extractive),
    unsupported (a sentence is kept without support), edited (a person wrote a part of it)."""
    summary_failure_count: int = 0
    """Those of its failures that are of writing summaries."""
    composition: str = ""
    """From the code and settings that cut segments and pick sentences."""
    summary_write_id: str = ""
    """As `write_id`, of the rows that are written anew with the summaries alone."""
    embedding_version: str = ""
    """From the model that embeds its texts; empty without vectors of them, or where some are missing. That
    of its pictures goes into `version`."""
    embedding_write_id: str = ""
    """As `write_id`, of the vectors of its texts."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One chapter of an asset."""

    asset_id: str
    version: str
    segment: int
    """0-based."""
    start_seconds: float | None
    end_seconds: float | None
    """Exclusive."""
    first_page: int | None
    last_page: int | None
    """Inclusive."""
    title: str | None
    found_title: str | None
    """The title it shows; `title` is another only where a language model wrote one."""
    summary: str | None
    summary_version: str
    summary_engine: str | None
    summary_revision: str | None
    summary_prompt: str | None
    summary_doubts: list[str]
    """As in `assets`."""
    write_id: str


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One clip of a video or audio file, or one page of a document."""

    asset_id: str
    version: str
    segment: int
    clip: int
    """0-based."""
    start_seconds: float | None
    end_seconds: float | None
    """Exclusive."""
    page: int | None
    """1-based."""
    title: str | None
    summary: str | None
    summary_version: str
    summary_engine: str | None
    summary_revision: str | None
    summary_prompt: str | None
    summary_doubts: list[str]
    """As in `assets`."""
    caption: str | None
    """The vision-language model's words; null without one."""
    caption_engine: str | None
    """The engine and its model (`transformers:Qwen2-VL-2B-Instruct`)."""
    caption_revision: str | None
    """Which weights, or what the server calls its model."""
    caption_prompt: str | None
    """Name of the prompt and a hash of its text (`caption@1f0c…`)."""
    caption_doubts: list[str]
    """Why the caption may be wrong: cut_off (its end is missing), copied (it is what was quoted)."""
    planned_visual_tokens: int | None
    """What its pictures were planned to cost; null for a caption that is the clip's before it, because the
    same picture goes on…"""
    visual_tokens: int | None
    """…and what they did; null also where a server does not tell."""
    planned_text_tokens: int | None
    input_tokens: int | None
    """All that went into the model, pictures and every try included."""
    output_tokens: int | None
    ocr_text: str | None
    """All text seen, in reading order, a line each; text that stays on screen once."""
    transcript: str | None
    """What was said."""
    text_source: str
    """Where the text comes from: ocr, text_layer or none."""
    turned_degrees: int
    """Clockwise turn needed to read the page upright."""
    width_px: int | None
    height_px: int | None
    write_id: str


@dataclass(frozen=True, slots=True)
class TextRegionRow:
    """One line of text seen, for as long as it stays in place."""

    asset_id: str
    version: str
    clip: int
    """The clip in which it is first seen."""
    time_seconds: float | None
    """First sampled time at which it is seen."""
    until_seconds: float | None
    """Last sampled time at which it is seen."""
    end_seconds: float | None
    """Exclusive: the sampled time at which it is gone, or the end of the asset; where the pictures
    after it could not be read, `until_seconds`."""
    page: int | None
    region: int
    """0-based within the asset: in order of first sight (or page), then of reading."""
    text: str
    confidence: float
    x0: float
    y0: float
    x1: float
    y1: float
    """Fractions of the upright picture, 0-1."""
    source: str
    """ocr or text_layer."""
    write_id: str


@dataclass(frozen=True, slots=True)
class UtteranceRow:
    """One stretch of speech."""

    asset_id: str
    version: str
    clip: int | None
    """The clip that holds most of it; null where the asset has no clips."""
    start_seconds: float
    end_seconds: float
    text: str
    language: str | None
    """ISO 639-1 as given or detected, or what the subtitle track states."""
    confidence: float | None
    """Mean probability of its words, 0-1."""
    words: list[Word]
    source: str
    """The engine and its model, or the subtitle track."""
    in_transcript: bool
    """The clips' transcripts are made of it. Where several sources tell the same speech, one is."""
    speaker: str | None
    """Who speaks; null where nobody has told the voices apart."""
    revision: str
    """Which weights heard it; empty for subtitles."""
    language_probability: float | None
    log_probability: float | None
    """Mean natural logarithm of the probability of the tokens."""
    no_speech_probability: float | None
    compression_ratio: float | None
    """Above 2.4 the text repeats itself."""
    temperature: float | None
    """At which it was heard; above 0 something was wrong with it at 0."""
    doubts: list[str]
    """Why it may be wrong: repetition, improbable, no_speech, no_voice, language."""
    write_id: str


@dataclass(frozen=True, slots=True)
class SentenceRow:
    """One sentence, or line of a slide, that a summary may rest on: read, heard or said of a picture.

    Headers, footers and watermarks are none, nor is what may have been heard wrong.
    """

    asset_id: str
    version: str
    clip: int
    sentence: int
    """0-based within the asset: in order of clips, of each what is shown, said and described; after them
    what was seen when a doubtful sentence of a summary was looked into."""
    kind: str
    """shown, said or described (by a vision-language model)."""
    text: str
    form: float
    """How well it reads by itself, 0-1; what is read or heard badly counts less."""
    source: str
    """ocr, text_layer, caption, closer_look, or the source of the utterance."""
    time_seconds: float | None
    until_seconds: float | None
    page: int | None
    x0: float | None
    y0: float | None
    x1: float | None
    y1: float | None
    write_id: str


@dataclass(frozen=True, slots=True)
class PageTableRow:
    """One table found on a page."""

    asset_id: str
    version: str
    page: int
    table: int
    """0-based on its page."""
    html: str
    cells: list[list[str]]
    write_id: str


@dataclass(frozen=True, slots=True)
class CitationRow:
    """What one sentence of a summary rests on."""

    asset_id: str
    version: str
    level: str
    """Whose summary the sentence stands in: clip, segment or asset; or key_point."""
    segment: int
    """Segment of the evidence; at level `segment` also the summary's own."""
    clip: int
    """Clip of the evidence; at level `clip` also the summary's own."""
    sentence: int
    """0-based place of the sentence in its summary."""
    text: str
    """The sentence as it stands in the summary."""
    rank: int
    """0 for the evidence that bears it out best; a written sentence may rest on up to three."""
    score: float
    """0-1: the share of what the sentence says that all its evidence says too. 1 for what was picked."""
    evidence: str
    """The words it rests on."""
    source: str
    """ocr, text_layer, caption, closer_look, or the source of the utterance."""
    time_seconds: float | None
    until_seconds: float | None
    page: int | None
    x0: float | None
    y0: float | None
    x1: float | None
    y1: float | None
    write_id: str


@dataclass(frozen=True, slots=True)
class EvidencePart:
    """One thing seen, said or described that bears on a review."""

    text: str
    kind: str
    """shown, said or described."""
    source: str
    clip: int
    time_seconds: float | None
    until_seconds: float | None
    page: int | None
    x0: float | None
    y0: float | None
    x1: float | None
    y1: float | None


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One doubtful thing that a person should look at."""

    review_id: str
    """Stays the same when the same doubt comes up again."""
    asset_id: str
    version: str
    level: str
    """As in `citations`; `clip` for disagreements."""
    segment: int | None
    clip: int | None
    sentence: int
    """0-based place of the sentence in its summary, or where it would stand."""
    text: str
    """The sentence as written, or what disagrees."""
    reason: str
    """unsupported (too little of it stands in the sources), facts (numbers, names or dates that do not),
    disagreement (what is said is not what is shown) or source_changed (a text that was edited, and
    whose source is another now)."""
    message: str
    """What was wanted and what was found."""
    score: float
    """Its support, 0-1."""
    action: str
    """What became of it: dropped, kept, or noted."""
    evidence: list[EvidencePart]
    """The nearest that was found."""
    state: str
    """open, accepted, edited or rejected."""
    edited: str | None
    """The text that a person gave; of source_changed what it was before."""
    source_id: str
    """Digest of all that the summary may rest on."""
    summary_version: str
    write_id: str


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What a person decided about one row of `reviews`; kept whatever is composed later."""

    decision_id: str
    review_id: str
    asset_id: str
    level: str
    segment: int | None
    clip: int | None
    source_id: str
    """What the summary could rest on then; the decision holds while this is the same."""
    sentence: int
    text: str
    """The sentence that was decided about."""
    decision: str
    """accept, edit or reject."""
    edited: str | None
    """The text that takes its place."""
    summary: list[str]
    """Of an edit, all sentences of the summary after it."""
    decided_by: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class EmbeddingRow:
    """One vector, for semantic search: of a clip's or segment's text, or of a distinct picture or page.

    Vectors of different models cannot be compared and may differ in length; while a lake changes its
    model it holds both. So ask for one model: `SELECT … FROM embeddings WHERE model = '…' ORDER BY
    list_cosine_similarity(vector, [0.1, …]::FLOAT[]) DESC`, for which DuckDB needs no extension. Its
    functions for arrays want the length: `array_cosine_similarity(vector::FLOAT[384], …)`.
    """

    asset_id: str
    version: str
    level: str
    """clip, segment (both of text) or frame."""
    segment: int | None
    clip: int | None
    """Null for segments."""
    time_seconds: float | None
    """Where the clip or segment begins; when the picture is first seen."""
    page: int | None
    """Of a segment the first."""
    model: str
    """The engine and its model (`transformers:multilingual-e5-small`)."""
    revision: str
    """Which weights, and what was put before the texts; or where the server is and its model's name there."""
    vector: Vector
    """Of length 1, so that the inner product of two is their cosine."""
    write_id: str
    """That of the asset for pictures; that of its `embedding_write_id` for texts, which can be embedded
    again alone."""


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One thing that went wrong."""

    asset_id: str
    version: str
    uri: str
    stage: str
    reason: str
    """A short name from a closed list."""
    message: str
    """What was wanted, what was found, what to do."""
    page: int | None
    start_seconds: float | None
    end_seconds: float | None
    run_id: str
    at: datetime
    write_id: str
    reproduce: str = ""
    """The command that tries this part of this file again and shows what happens."""


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One finished unit of work, kept so that the same content is never read twice."""

    unit_id: str
    """From everything the result depends on: content, place, stage, engine, parameters."""
    content_hash: str
    size_bytes: int
    """Of the file; files of another size need not be looked for here."""
    stage: str
    """The last stage it depends on: decode (text layers, subtitles), ocr, asr or vlm."""
    unit: Unit
    views: list[View]
    cuts: list[float]
    utterances: list[Utterance]
    captions: list[Caption]
    sampled: int
    sound_seconds: float
    speech_seconds: float
    worded_seconds: float
    seconds: float
    """What it cost to compute."""
    run_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PlanRow:
    """How one content is cut into units, so that it need not be opened again to know."""

    plan_id: str
    """From content, sidecars and the settings that decide the cuts."""
    content_hash: str
    size_bytes: int
    recipe: str
    """Digest of those settings."""
    asset: Asset
    """As probed; where it lay then does not matter."""
    units: list[Unit]
    run_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SkipRow:
    """One discovered file that is not an asset, and why; unchanged files are only counted."""

    asset_id: str
    uri: str
    reason: str
    """hidden, unsupported or sidecar."""
    message: str
    mark: str
    """What the file looked like to which version of Gloss; while both stay, it is not read again."""
    run_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one stage of one run spent on one asset, in one of its versions.

    Nothing is ever replaced here: what earlier runs, versions and assets that are gone did cost stays.
    Units that were recalled cost nothing again.
    """

    asset_id: str
    run_id: str
    version: str
    uri: str
    stage: str
    """probe, decode, subtitles, sound, ocr, asr, vlm, closer_look, summarise or embed."""
    started_at: datetime | None
    """When the first work on it began…"""
    ended_at: datetime | None
    """…and the last ended; null where that was not measured."""
    seconds: float
    """Wall seconds inside the operator, summed over its workers; of a batch the asset's share."""
    cpu_seconds: float
    """CPU time of the workers and of their child processes, while they were at it."""
    gpu_seconds: float
    """`seconds` times the share of a GPU that the operator held."""
    items: int
    bytes: int
    """Items and bytes as in `runs.stages`."""
    fetched_bytes: int
    """Bytes that came from an object store; what was read of local files is not counted."""
    input_tokens: int
    """All that went into a model, pictures and every try included, as far as the engine tells."""
    output_tokens: int
    money: float | None
    """By the prices of the run's configuration (`prices`, `vision.input_price`), in `prices.currency`; null
    without any."""
    batched: int
    """Items that went in batches, and…"""
    places: float
    """…the places of these batches: batched / places is how full they were."""
    length: float
    """Of what was in them (pixels, samples, tokens or characters), and…"""
    padded: float
    """…what was computed for it: 1 - length / padded is waste."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage spent in a run."""

    stage: str
    seconds: float
    """Summed over all workers."""
    items: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Count:
    """A named count."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of `gloss ingest` or `gloss retry`."""

    run_id: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    """running, finished, stopped (by the failure budget), interrupted (by the user), failed (the
    run itself broke) or died (its process ended without a word)."""
    exit_code: int | None
    sources: list[str]
    profile: str
    config: str
    """The effective configuration, as JSON."""
    versions: str
    """Versions of Gloss, Python, engines and libraries, as JSON."""
    discovered: int
    ok: int
    partial: int
    failed: int
    skipped: int
    """ok + partial + failed + skipped = discovered."""
    skipped_by_reason: list[Count]
    failures_by_reason: list[Count]
    units: int
    sampled_frames: int
    distinct_frames: int
    stages: list[StageCost] = field(default_factory=list)
    message: str | None = None
    """Why the run broke, if it did."""
    recalled: int = 0
    """Units that were found in the lake and not computed."""
    vanished: int = 0
    """Assets of the lake whose file is no longer below the sources."""
    pruned: int = 0
    """How many of them were removed."""
    captions: int = 0
    """Clips and pages that a vision-language model was shown."""
    planned_visual_tokens: int = 0
    """What their pictures were planned to cost…"""
    visual_tokens: int = 0
    """…and what they did, as far as the engine tells."""
    planned_text_tokens: int = 0
    input_tokens: int = 0
    """All that went in, pictures and every try included."""
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One number of a run of `gloss nightly`, beside what it was in the finished runs before it.

    A trend: `SELECT started_at, value FROM drift WHERE metric = 'failure_rate' ORDER BY started_at`.
    """

    run_id: str
    started_at: datetime
    """Of the run."""
    metric: str
    """files, assets, failures (counts), failure_rate, text_per_page (characters), speech_seconds_per_hour…"""
    part: str
    """Status, kind or reason, of numbers that are told by it; else empty."""
    value: float | None
    """Null where there was nothing to measure it on."""
    baseline: float | None
    """Median of the runs before, on the same sources; null without any."""
    change: float | None
    """A difference for failure_rate and failures_per_asset, else a share of the baseline: -0.5 is half."""
    bound: float | None
    """The limit that is set for it."""
    missed: bool
    """Whether it is over its limit."""


TABLES: dict[str, type] = {
    "assets": AssetRow,
    "segments": SegmentRow,
    "clips": ClipRow,
    "text_regions": TextRegionRow,
    "utterances": UtteranceRow,
    "page_tables": PageTableRow,
    "sentences": SentenceRow,
    "citations": CitationRow,
    "reviews": ReviewRow,
    "embeddings": EmbeddingRow,
    "failures": FailureRow,
    "runs": RunRow,
    "skips": SkipRow,
    "units": UnitRow,
    "plans": PlanRow,
    "decisions": DecisionRow,
    "costs": CostRow,
    "drift": DriftRow,
}
"""Table name to row type; the name is also the folder in the lake and the view."""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One stretch of time of a video or audio file, or one page of a document.

    The stretches of an asset follow each other without gap or overlap. What is said together is
    one, with the pause after it if that is shorter than a second; the rest is cut where clips are.
    """

    asset_id: str
    version: str
    segment: int | None
    clip: int | None
    """The clip that holds most of it."""
    start_seconds: float | None
    end_seconds: float | None
    """Exclusive."""
    page: int | None
    """1-based (documents)."""
    said: str | None
    """Each utterance of the transcript once; null where nobody speaks."""
    speaker: str | None
    language: str | None
    source: str | None
    """What told the words: the engine and its model, or the subtitle track."""
    doubts: list[str]
    """Why the words may be wrong."""
    shown: str | None
    """The lines that stand on the screen at any time of the stretch, each text once, in order of
    first sight and then of reading."""


VIEWS: dict[str, type] = {"timeline": TimelineRow}
"""Views that are made of others; nothing of theirs is stored."""

CHILDREN = (
    "segments",
    "clips",
    "text_regions",
    "utterances",
    "page_tables",
    "sentences",
    "citations",
    "reviews",
    "embeddings",
    "failures",
)
"""Tables whose rows are live only through `assets`."""

SUMMARIES = ("segments", "clips", "citations", "reviews")
"""Those of them that live by `summary_write_id`, so that summaries can be written again alone; so do
failures of writing them."""

WRITES = ("write_id", "summary_write_id", "embedding_write_id")
"""Columns of `assets` by which a child row may be live."""
