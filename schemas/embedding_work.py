"""Rows that travel while the texts of a lake get vectors."""

from dataclasses import dataclass, field

from schemas.perception import Cost
from schemas.tables import EmbeddingRow, FailureRow


@dataclass(frozen=True, slots=True)
class TextPlace:
    """The text of a clip or segment, and where it stands."""

    level: str
    """clip or segment."""
    segment: int
    clip: int | None
    time_seconds: float | None
    """Where it begins…"""
    page: int | None
    """…or its first page."""
    text: str


@dataclass(frozen=True, slots=True)
class EmbeddedAsset:
    """What is new in an asset's row once its texts have vectors."""

    asset_id: str
    embedding_version: str
    """Empty where not all texts could be embedded: the next run tries again."""
    embedding_write_id: str
    failure_count: int
    status: str


@dataclass(frozen=True, slots=True)
class AssetTexts:
    """What the lake holds of one asset that is to be embedded."""

    asset_id: str
    version: str
    uri: str
    summary_write_id: str
    failure_count: int
    """Without those of embedding its texts, which this time may be well."""
    texts: list[TextPlace]


@dataclass(frozen=True, slots=True)
class Embedded:
    """An asset's new vectors."""

    asset: EmbeddedAsset
    embeddings: list[EmbeddingRow]
    failures: list[FailureRow]
    costs: list[Cost] = field(default_factory=list)
