"""Rows that travel while summaries are written again from the text in the lake."""

from dataclasses import dataclass, field

from schemas.failure import Failure
from schemas.perception import Cost
from schemas.tables import (
    AssetRow,
    CitationRow,
    ClipRow,
    DecisionRow,
    FailureRow,
    ReviewRow,
    SegmentRow,
    SentenceRow,
)

CAUGHT, REWRITTEN, WITHDRAWN = "summary_caught", "summary_rewritten", "summary_withdrawn"
"""Costs that count sentences: without support, mended by a second attempt, taken back by the model."""


@dataclass(frozen=True, slots=True)
class AssetGroup:
    """Assets that are read from the lake together."""

    asset_ids: list[str]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the lake holds of one asset that summaries are written from."""

    asset: AssetRow
    segments: list[SegmentRow]
    clips: list[ClipRow]
    sentences: list[SentenceRow]
    decisions: list[DecisionRow]


@dataclass(frozen=True, slots=True)
class Summarised:
    """An asset's new summaries."""

    asset: AssetRow
    segments: list[SegmentRow]
    clips: list[ClipRow]
    citations: list[CitationRow]
    reviews: list[ReviewRow]
    failures: list[FailureRow]
    costs: list[Cost] = field(default_factory=list)
    sentences: list[SentenceRow] = field(default_factory=list)
    """What was seen when pictures were looked at again."""
    known_failures: int = 0
    """How many of the failures, the first ones, were known before."""


@dataclass(frozen=True, slots=True)
class LookAnswer:
    """What a vision-language model said of one doubtful sentence."""

    look: int
    """0-based, in the order the looks of the asset were planned."""
    text: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at an asset again."""

    asset_id: str
    answers: list[LookAnswer]
    failures: list[Failure]


@dataclass(frozen=True, slots=True)
class LookedGroup:
    """Assets whose summaries are mended together."""

    assets: list[Looked]


@dataclass(frozen=True, slots=True)
class Stored:
    """What the lake holds of one asset and its summaries."""

    sources: Sources
    citations: list[CitationRow]
    reviews: list[ReviewRow]
    failures: list[FailureRow]
    """Of writing the summaries."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """One asset with doubtful sentences, and what came of looking at it again."""

    stored: Stored
    looked: Looked
