"""Losing something has a name.

Every file, page or stretch of time that does not reach the lake becomes a `failures` row
whose `reason` is one of a short list, so that losses can be counted, compared between
nights and acted on. This module owns the list.
"""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The step at which something was lost."""

    DISCOVER = "discover"
    PROBE = "probe"
    DECODE = "decode"
    SUBTITLES = "subtitles"
    OCR = "ocr"
    SOUND = "sound"
    """Decoding sound and finding voices in it."""
    ASR = "asr"
    VLM = "vlm"
    """Showing pictures to a vision-language model."""
    COMPOSE = "compose"
    SUMMARISE = "summarise"
    """Having a language model write summaries."""
    EMBED = "embed"
    """Making vectors of texts or pictures."""
    COMMIT = "commit"


class Reason(StrEnum):
    """Why something was lost; also the name under which it is counted."""

    EMPTY = "empty"
    """The file has no bytes."""
    UNREADABLE = "unreadable"
    """The file could not be opened or read from its store."""
    CORRUPT = "corrupt"
    """The bytes are not what their format requires, or decoding broke."""
    TRUNCATED = "truncated"
    """The file ends before what its header promises."""
    NO_CONTENT = "no_content"
    """The file is sound but holds no picture, page or sound."""
    PASSWORD = "password"  # noqa: S105 - a reason, not a secret
    """The document needs a password."""
    REFUSED = "refused"
    """The file refers to something outside itself, or hides another kind of file."""
    TOO_LARGE = "too_large"
    """More bytes, pixels, pages or seconds than `limits` allows."""
    TIMEOUT = "timeout"
    """The unit took longer than `limits` allows and was stopped."""
    MEMORY = "memory"
    """The unit needed more memory than `limits` allows and was stopped."""
    CRASHED = "crashed"
    """A native library ended its process while working on the unit."""
    NO_WORDS = "no_words"
    """A voice was detected, but no word was recognised, also when that stretch was tried alone."""
    NO_ANSWER = "no_answer"
    """The model said nothing, also when it was asked again."""
    REPETITION = "repetition"
    """The model's answer ran in a loop, also when it was asked again."""
    CUT_OFF = "cut_off"
    """The model's answer did not end within the limit, also when it was asked again."""
    REFUSAL = "refusal"
    """The model declined to answer."""
    MALFORMED = "malformed"
    """What came back is not what the protocol or the prompt asks for."""
    UNREACHABLE = "unreachable"
    """The model's server did not answer, or sent errors until patience ended."""
    LOST = "lost"
    """The unit was handed out and never came back (a worker or node died)."""
    INTERNAL = "internal"
    """An error of Gloss itself; the message names it. Please report it."""


class SkipReason(StrEnum):
    """Why a discovered file was not ingested, although nothing is wrong with it."""

    UNCHANGED = "unchanged"
    """The lake already holds this content under this configuration."""
    HIDDEN = "hidden"
    """The name, or a folder below the source, begins with a dot."""
    UNSUPPORTED = "unsupported"
    """The content is of a kind this version does not read."""
    NOT_SELECTED = "not_selected"
    """The run was asked for a part of the corpus (`--since`, `--limit`), and this is not of it."""
    NOT_REACHED = "not_reached"
    """The run ended early, before this file."""
    UNREAD = "unread"
    """Not all that was read of it is in the lake: it has to be read before a model can look at it."""
    SIDECAR = "sidecar"
    """A subtitle file that belongs to a video or audio file beside it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong with one asset; becomes a row of `failures`."""

    stage: str
    """A `Stage`."""
    reason: str
    """A `Reason`."""
    message: str
    """What was wanted, what was found, what to do."""
    unit: int | None = None
    """The unit of the asset it concerns (0-based), or null for the whole asset."""
    page: int | None = None
    """The page (1-based) for documents."""
    start_seconds: float | None = None
    """Where the lost stretch begins, for video and audio."""
    end_seconds: float | None = None
    """Where it ends (exclusive)."""


class InputError(Exception):
    """Something is wrong with one input; carries the `Reason` that its failures row gets.

    Operators raise it for an input they cannot read. It never crosses a unit: the caller
    turns it into a `Failure` and goes on with the rest of the corpus.
    """

    def __init__(self, reason: Reason, message: str, transient: bool = False) -> None:
        """Keep the reason beside the message.

        Args:
            reason: What the failures row will say.
            message: What was wanted, what was found, what to do.
            transient: The same input may well be read a little later.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.transient = transient

    def __reduce__(self) -> tuple[type["InputError"], tuple[Reason, str, bool]]:
        """Pickle with all arguments, so that the error crosses process borders whole."""
        return InputError, (self.reason, self.message, self.transient)
