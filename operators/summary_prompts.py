"""What a language model is asked for when it writes summaries, and the form of its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from operators.evidence import Kind
from operators.prompt_files import Prompt, Prompts, fill
from operators.prompts import language_name
from operators.quote import neutral, quoted
from schemas.config import Summary

NAMES = ("clip", "part", "segment", "asset", "rewrite")
"""Of the prompts there are."""

PROMPTS = Prompts(
    "summary.prompts",
    NAMES,
    ("evidence", "sentences", "points", "sentence", "missing", "language"),
    needed="evidence",
)

_HEADINGS = {
    Kind.SHOWN: "Shown on the screen or page:",
    Kind.SAID: "Said:",
    Kind.DESCRIBED: "Seen in pictures:",
}


class Said(BaseModel):
    """One sentence of an answer."""

    model_config = ConfigDict(extra="ignore")

    text: str = Field(min_length=1, max_length=1500)
    lines: list[int] = Field(default_factory=list, max_length=200)
    """Numbers of the lines that the model says it rests on."""


class Sentences(BaseModel):
    """The answer to `clip`, `part` and `rewrite`."""

    model_config = ConfigDict(extra="ignore")

    sentences: list[Said] = Field(max_length=100)


class Titled(Sentences):
    """The answer to `segment`."""

    title: str = Field(min_length=1, max_length=300)


class Outline(Titled):
    """The answer to `asset`."""

    key_points: list[Said] = Field(default_factory=list, max_length=100)


ANSWERS: dict[str, type[Sentences]] = {
    "clip": Sentences,
    "part": Sentences,
    "segment": Titled,
    "asset": Outline,
    "rewrite": Sentences,
}


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A line of material, as the model gets it."""

    text: str
    heading: str = ""
    """What it stands under; a heading is written once for all lines in a row that share it."""


def load_prompts(summary: Summary) -> dict[str, Prompt]:
    """Load the prompts of a configuration, by name.

    Raises:
        ConfigError: One cannot be used.
    """
    return {name: PROMPTS.load(name, summary.prompts) for name in NAMES}


def heading_of(kind: Kind) -> str:
    """Say how lines came to be known."""
    return _HEADINGS[kind]


def line_text(number: int, line: NumberedLine) -> str:
    """Write one line as it stands in the quote, without its heading."""
    return f"[{number}] {' '.join(neutral(line.text).split())}"


def question(
    prompt: Prompt,
    lines: Sequence[NumberedLine],
    *,
    language: str | None,
    sentences: int = 1,
    points: int = 0,
    sentence: str = "",
    missing: str = "",
) -> str:
    """Fill a prompt.

    Args:
        prompt: One of `NAMES`.
        lines: The material; numbered from 1 in the answer's `lines`.
        language: To write in (`en`); null leaves it to the model.
        sentences: Most of them.
        points: Most key points.
        sentence: That is to be written again.
        missing: What of it was not found.
    """
    values = {
        "sentences": str(sentences),
        "points": str(points),
        "sentence": quoted(sentence),
        "missing": " ".join(neutral(missing).split()),
        "language": language_name(language),
    }
    before, after = fill(prompt, values, around="evidence")
    return before + quoted("\n".join(_laid_out(lines))) + after


def _laid_out(lines: Sequence[NumberedLine]) -> list[str]:
    written: list[str] = []
    heading = ""
    for number, line in enumerate(lines, 1):
        if line.heading != heading:
            heading = line.heading
            written.append(heading)
        written.append(line_text(number, line))
    return written
