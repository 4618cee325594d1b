"""What was perceived in one unit: pictures and sound on their way to a reader, then words.

The row keeps one shape all the way from decoding to composing. Decoding fills `pictures`
(or, for a sound text layer, `views` directly) or `pieces` of sound; readers turn them into views
and utterances and drop pixels and samples, so that rows shrink as they travel.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from schemas.arrow import Vector
from schemas.box import Box
from schemas.failure import Failure
from schemas.look import Caption, Shown
from schemas.media import Asset, Unit


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to be read: a distinct frame of a video, or a rendered page."""

    width_px: int
    height_px: int
    pixels: bytes
    """RGB, 8 bits a channel, row by row without padding: `height_px * width_px * 3` bytes.
    Turned upright as far as the container says, square pixels."""
    time_seconds: float | None = None
    """Presentation time from the start of the asset (video)."""
    until_seconds: float | None = None
    """Last sampled time at which this picture still stood; equals `time_seconds` at least."""
    page: int | None = None
    """1-based (documents and picture files)."""
    changed: list[Box] = field(default_factory=list)
    """Empty: everything is new. Otherwise only these regions differ from the picture
    before it in the same unit, and only they need to be read again."""
    vector: Vector = field(default_factory=list)
    """What an embedding model makes of it, of length 1; empty without one, and where it is not new."""
    to_read: bool = True
    """Whether it has still to be recognised; else it is here for its vector alone, which its view gets."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time on the asset's clock, half-open."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of sound to be recognised: at most 30 s, cut where nobody speaks."""

    start_seconds: float
    end_seconds: float
    """On the asset's clock; exclusive."""
    samples: bytes
    """Mono at 16 kHz, 16-bit signed little-endian: `2 * 16000` bytes a second."""
    speech: list[Stretch] = field(default_factory=list)
    """Where a voice was detected in it, on the asset's clock."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text seen in a picture or on a page."""

    text: str
    confidence: float
    """0-1; 1 for a text layer."""
    x0: float
    y0: float
    x1: float
    y1: float
    """The box in fractions of the upright picture."""
    source: str
    """`ocr` or `text_layer`."""
    size: float
    """Height of the letters as a fraction of the picture's height: larger is a heading."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture or page after it was read: its lines in reading order."""

    width_px: int
    height_px: int
    """Of the upright picture that was read; of pages with a text layer, 72 units to the inch."""
    lines: list[Line] = field(default_factory=list)
    time_seconds: float | None = None
    until_seconds: float | None = None
    page: int | None = None
    text_source: str = "none"
    """Where the lines come from: `ocr`, `text_layer` or `none`."""
    turned_degrees: int = 0
    """Clockwise turn (0, 90, 180, 270) that was needed to read it upright, beyond what the
    container said."""
    read: str = "none"
    """How it was read: `whole`, `parts` (only what had changed), or `none`."""
    vector: Vector = field(default_factory=list)
    """That of its picture; empty without an embedding model, and where the picture is not new."""


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word; part of an `Utterance`."""

    word: str
    start_seconds: float
    end_seconds: float
    probability: float


class Doubt(StrEnum):
    """Why recognised speech may be wrong, although it is kept."""

    REPETITION = "repetition"
    """The text repeats itself, as when a model runs in a loop."""
    IMPROBABLE = "improbable"
    """The model itself holds its words for improbable."""
    NO_SPEECH = "no_speech"
    """The model holds it probable that nobody speaks."""
    NO_VOICE = "no_voice"
    """The words stand where no voice was detected."""
    LANGUAGE = "language"
    """The language differs from that of what is said around it, and is not sure."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech, `[start_seconds, end_seconds)` on the asset's clock."""

    start_seconds: float
    end_seconds: float
    text: str
    language: str | None = None
    confidence: float | None = None
    """Mean probability of the words."""
    words: list[Word] = field(default_factory=list)
    source: str = ""
    """The engine and its model (`faster-whisper:small`), or the subtitle track
    (`subtitle:embedded:2`, `subtitle:talk.en.vtt`)."""
    revision: str = ""
    """Which weights heard it; empty for subtitles."""
    speaker: str | None = None
    """Who speaks; null where nobody has told the voices apart."""
    language_probability: float | None = None
    log_probability: float | None = None
    """Mean natural logarithm of the probability of the tokens, as Whisper judges itself by."""
    no_speech_probability: float | None = None
    """What the model gives for there being no speech at all."""
    compression_ratio: float | None = None
    """Length of the text over its compressed length: text that repeats itself is above 2.4."""
    temperature: float | None = None
    """At which it was heard; above 0 something was wrong with it at 0."""
    doubts: list[str] = field(default_factory=list)
    """Why it may be wrong (a `Doubt` each); empty for what is heard without doubt."""
    voice: list[float] = field(default_factory=list)
    """A print of the voice: a vector of length 1, alike for like voices; empty unless asked for."""


@dataclass(frozen=True, slots=True)
class Filled:
    """How well batches were used, as far as one unit was in them."""

    items: int = 0
    """Of the unit, in batches."""
    places: float = 0.0
    """Places that they took, empty ones of their batches shared out: items / places is the fill."""
    length: float = 0.0
    """Of the items: pixels, samples, tokens…"""
    padded: float = 0.0
    """…and what was computed for them: 1 - length / padded is waste."""


UNBATCHED = Filled()
"""Of what went into no batch."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one stage spent on one unit; summed into `runs` and `costs`."""

    stage: str
    seconds: float
    """Wall seconds inside the operator."""
    items: int = 0
    """Frames sampled (decode), pictures read (ocr)…"""
    bytes: int = 0
    cpu_seconds: float = 0.0
    """CPU time of the operator's thread and of the child processes that worked for it."""
    started_at: float = 0.0
    """When work on it began, in seconds since 1970; 0 where that is not known. With a batch it begins and
    ends when the batch does."""
    ended_at: float = 0.0
    fetched_bytes: int = 0
    """From an object store."""
    filled: Filled = UNBATCHED


@dataclass(frozen=True, slots=True)
class Perception:
    """Everything perceived in one unit of one asset; the row that travels."""

    asset: Asset
    unit: Unit
    pictures: list[Picture] = field(default_factory=list)
    """In order of time; empty once read."""
    views: list[View] = field(default_factory=list)
    """In order of time or page."""
    cuts: list[float] = field(default_factory=list)
    """Times (seconds) inside the span at which the picture as a whole changed: scene and
    slide changes, each the first sampled time of the new scene."""
    pieces: list[Piece] = field(default_factory=list)
    """In order of time; empty once recognised."""
    utterances: list[Utterance] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    """Pictures for a vision-language model, in the order of the look; empty once looked at."""
    captions: list[Caption] = field(default_factory=list)
    """What it said: at most one for a unit."""
    failures: list[Failure] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    sampled: int = 0
    """Frames sampled in this unit before near-duplicates were dropped."""
    sound_seconds: float = 0.0
    """Seconds of sound decoded."""
    speech_seconds: float = 0.0
    """Seconds of it in which a voice was detected…"""
    worded_seconds: float = 0.0
    """…and of those the seconds that words cover."""
    skipped: str | None = None
    """A `SkipReason`, when the whole asset is not ingested."""
    unit_id: str = ""
    """What this result depends on, as one id; empty where it is not worth keeping."""
    stage: str = ""
    """The last stage it depends on: `decode`, `ocr` where pictures have to be recognised, `asr` where
    speech has, `vlm` for what a vision-language model said."""
    recalled: bool = False
    """It was not computed by this run but found in the lake."""
