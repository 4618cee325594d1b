"""What a sentence of a summary may rest on: one thing seen, said or described, with its place."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.box import Box


class Kind(StrEnum):
    """How a thing came to be known."""

    SHOWN = "shown"
    """It was read on a screen or page."""
    SAID = "said"
    DESCRIBED = "described"
    """A vision-language model said it of a picture."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line, utterance or sentence of a caption."""

    text: str
    kind: Kind
    source: str
    """ocr, text_layer, caption, closer_look, or the source of the utterance."""
    clip: int
    """The clip or page (0-based) it belongs to."""
    time_seconds: float | None = None
    until_seconds: float | None = None
    page: int | None = None
    box: Box | None = None


CLOSER_LOOK = "closer_look"
"""Source of what a vision-language model said when it was asked about one doubtful sentence."""


def kind_of(source: str) -> Kind:
    """Tell from its source how a thing came to be known."""
    if source in ("ocr", "text_layer"):
        return Kind.SHOWN
    return Kind.DESCRIBED if source in ("caption", CLOSER_LOOK) else Kind.SAID
