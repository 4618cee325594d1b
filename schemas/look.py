"""What a vision-language model is shown and told of one clip or page: planned before it is decoded.

A look is planned from text alone (where a clip lies, which pictures stand in it, what was read and
said), so that its tokens are known, and can be summed over a corpus, before a pixel is decoded.
"""

from dataclasses import dataclass, field

from schemas.box import Box


@dataclass(frozen=True, slots=True)
class Glance:
    """One picture to be shown: a whole frame or page, or a part of it."""

    width_px: int
    height_px: int
    """The size it is shown at; the decoder scales to exactly that."""
    visual_tokens: int
    """What it costs by the rule of the model's family."""
    time_seconds: float | None = None
    """Presentation time of the frame from the start of the asset (video)."""
    page: int | None = None
    """1-based (documents and picture files)."""
    box: Box | None = None
    """The part to be shown, in fractions of the upright picture; null for all of it."""
    turned_degrees: int = 0
    """Clockwise turn that makes it upright, beyond what the container says."""


@dataclass(frozen=True, slots=True)
class Look:
    """All that the model gets for one clip or page."""

    clip: int
    """The clip (0-based) that the words are for, or the first of them."""
    glances: list[Glance]
    """In order of time; a whole picture comes before its parts."""
    prompt: str
    """Name of the prompt: `caption`, `read` or `check`."""
    language: str | None = None
    """To answer in (`en`); null leaves it to the model."""
    seen: str = ""
    """Text read in the pictures, to be quoted; cut to its share of the budget."""
    said: str = ""
    """What is said meanwhile, to be quoted; cut likewise. For `check` the sentence that is checked."""
    visual_tokens: int = 0
    """Sum over the glances."""
    text_tokens: int = 0
    """Of the whole prompt without the pictures, estimated (never too low) where no tokenizer is at hand."""
    clips: int = 1
    """How many clips the words are for: several where one still picture outlasts a clip."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A decoded picture on its way to the model, made of one `Glance`."""

    width_px: int
    height_px: int
    pixels: bytes
    """RGB, 8 bits a channel, row by row without padding: `height_px * width_px * 3` bytes."""
    time_seconds: float | None = None
    page: int | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """What a vision-language model said of one look."""

    clip: int
    """The first clip it is for, 0-based."""
    text: str
    engine: str
    """Engine and model (`transformers:Qwen2-VL-2B-Instruct`)."""
    revision: str
    """Which weights, or what the server calls its model."""
    prompt: str
    """Name of the prompt."""
    prompt_version: str
    """A hash of the prompt's text."""
    planned_visual_tokens: int
    planned_text_tokens: int
    visual_tokens: int | None
    """As the processor counted them; null where a server does not tell them apart."""
    input_tokens: int | None
    """All that went in, pictures included; of all tries together."""
    output_tokens: int | None
    """All that came out, of all tries together."""
    pictures: int
    """How many were shown."""
    tries: int = 1
    """More than one where an answer was empty, ran in a loop or was cut off."""
    doubts: list[str] = field(default_factory=list)
    """Why it may be wrong although it is kept: `cut_off`, `copied` (what was quoted)."""
