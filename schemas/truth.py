"""What people know of some files, to measure a lake by.

A truth file is a list of entries in JSON or YAML, one for each asset that is known. All of an entry
but its `uri` may be left out: what is not stated is not measured. `docs/evaluate.md` shows a whole one.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from schemas.section import ConfigError, Section

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Page = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Words = Annotated[str, Field(min_length=1)]


class TruePage(Section):
    """All that stands on one page."""

    page: Page
    """1-based; a picture is page 1."""
    text: str
    """In the order in which a person reads it; empty for an empty page."""
    title: Words | None = None


class Timed(Section):
    """A stretch of time."""

    start_seconds: Seconds
    end_seconds: Seconds
    """Exclusive."""

    @model_validator(mode="after")
    def _ends_later(self) -> Self:
        if self.end_seconds <= self.start_seconds:
            msg = f"end_seconds must be greater than start_seconds ({self.start_seconds:g})"
            raise ValueError(msg)
        return self


class TrueLine(Timed):
    """A line, or the lines of a slide, and when it stands on the screen."""

    text: Words
    """Each line of it is looked for by itself."""
    box: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    """x0, y0, x1, y1 of a single line, as fractions of the upright picture."""

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if x0 >= x1 or y0 >= y1:
                msg = f"box must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1; found {list(self.box)}"
                raise ValueError(msg)
            if len(self.text.splitlines()) > 1:
                msg = "a box belongs to a single line; give each line of the slide an entry of its own"
                raise ValueError(msg)
        return self


class TrueUtterance(Timed):
    """Words that are said without a long pause."""

    text: Words
    speaker: Words | None = None
    """Any name; only who is the same as whom is compared."""


class TrueSegment(Section):
    """A chapter, by where it begins."""

    title: Words | None = None
    start_seconds: Seconds | None = None
    first_page: Page | None = None

    @model_validator(mode="after")
    def _begins_once(self) -> Self:
        if (self.start_seconds is None) == (self.first_page is None):
            msg = "needs start_seconds or first_page, and not both"
            raise ValueError(msg)
        return self

    @property
    def begin(self) -> float:
        """Seconds or page."""
        return float(self.first_page or 0) if self.start_seconds is None else self.start_seconds


class Truth(Section):
    """What is known of one asset."""

    uri: Words
    """The end of the asset's URI, from a `/` on (`moon.mp4`, `talks/moon.mp4`), or a glob (`*/moon.*`)."""
    text: str | None = None
    """All text that is seen, in any order: each line of a slide once for each time that it comes up."""
    pages: tuple[TruePage, ...] | None = None
    shown: tuple[TrueLine, ...] | None = None
    transcript: str | None = None
    """All words that are said, in order."""
    utterances: tuple[TrueUtterance, ...] | None = None
    """Also the transcript where none is given: then all that is said must be there."""
    segments: tuple[TrueSegment, ...] | None = None
    """All chapters, in order."""
    boundary_seconds: Seconds = 5.0
    """A chapter that begins so near to a true one is right."""
    boundary_pages: int = Field(0, ge=0)
    title: Words | None = None
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] | None = None
    """ISO 639-1, as in `assets`."""
    kind: Literal["video", "audio", "document", "image"] | None = None
    summary_facts: tuple[Words, ...] | None = None
    """Words or phrases that the asset's summary or its key points should hold."""
    summary_false: tuple[Words, ...] | None = None
    """Words or phrases that no summary of the asset may hold."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        pages = [page.page for page in self.pages or ()]
        if len(set(pages)) < len(pages):
            msg = f"pages: each page once; found {pages}"
            raise ValueError(msg)
        if len({segment.first_page is None for segment in self.segments or ()}) > 1:
            msg = "segments: all by start_seconds or all by first_page"
            raise ValueError(msg)
        starts = [segment.begin for segment in self.segments or ()]
        if any(after <= before for before, after in pairwise(starts)):
            msg = f"segments: each must begin after the one before it; found {starts}"
            raise ValueError(msg)
        return self


_ENTRY: TypeAdapter[Truth] = TypeAdapter(Truth)


def load_truth(path: Path) -> list[Truth]:
    """Read a truth file; YAML by its suffix, else JSON.

    Raises:
        ConfigError: It cannot be read, or an entry cannot be used; the message names the entry.
    """
    found = _read(path)
    if not isinstance(found, list):
        msg = f"{path}: wanted a list of entries, one for each asset; found {_kind_of(found)}."
        raise ConfigError(msg)
    truths = [_entry(path, number, item) for number, item in enumerate(found, 1)]
    first: dict[str, int] = {}
    for number, truth in enumerate(truths, 1):
        if (before := first.setdefault(truth.uri, number)) != number:
            msg = f"{path}: entries {before} and {number} are both about {truth.uri!r}. Make them one."
            raise ConfigError(msg)
    return truths


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"Wanted a truth file at {path}; it cannot be read ({error})."
        raise ConfigError(msg) from None
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml  # only YAML users pay for its import

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            msg = f"{path} is not valid YAML: {error}"
            raise ConfigError(msg) from None
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"{path} is not valid JSON: {error}"
        raise ConfigError(msg) from None


def _entry(path: Path, number: int, item: Any) -> Truth:
    if not isinstance(item, Mapping):
        msg = f"{path}, entry {number}: wanted an object with a uri; found {_kind_of(item)}."
        raise ConfigError(msg)
    try:
        return _ENTRY.validate_python(item)
    except ValidationError as error:
        name = f" ({item['uri']})" if isinstance(item.get("uri"), str) else ""
        lines = [_said(detail) for detail in error.errors(include_url=False)]
        msg = f"{path}, entry {number}{name}:\n" + "\n".join(f"  {line}" for line in lines)
        raise ConfigError(msg) from None


def _said(detail: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{place}: there is no such key. See docs/evaluate.md for those there are."
    found = detail["input"]
    shown = f"; found {json.dumps(found, default=str, ensure_ascii=False)}" if not _is_nested(found) else ""
    return f"{place + ': ' if place else ''}{detail['msg'].removeprefix('Value error, ')}{shown}"


def _is_nested(found: Any) -> bool:
    return isinstance(found, Mapping | Section)


def _kind_of(found: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", type(None): "nothing"}
    return kinds.get(type(found), "a number")
