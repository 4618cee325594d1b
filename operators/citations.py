"""Every sentence of a summary is listed with what it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from operators.evidence import Evidence, kind_of
from operators.summaries import Statement
from schemas.box import corners
from schemas.tables import CitationRow


@dataclass(frozen=True, slots=True)
class Cited:
    """A sentence of a summary and its evidence."""

    text: str
    rests_on: list[Evidence] = field(default_factory=list)
    """The best first; empty for a sentence that is kept although nothing bears it out."""
    score: float = 1.0
    """How well it is borne out, 0-1."""


def evidence_of(statement: Statement) -> Evidence:
    """Let a sentence out of the source be evidence."""
    return Evidence(
        statement.text,
        kind_of(statement.source),
        statement.source,
        statement.clip,
        statement.time_seconds,
        statement.until_seconds,
        statement.page,
        statement.box,
    )


def quoted_statement(statement: Statement) -> Cited:
    """Let a sentence out of the source stand in a summary: it is its own evidence."""
    return Cited(statement.text, [evidence_of(statement)])


def citation_rows(
    level: str,
    sentences: Sequence[Cited],
    segment_of: Sequence[int],
    *,
    asset_id: str,
    version: str,
    write_id: str,
) -> list[CitationRow]:
    """List what the sentences of one summary rest on.

    Args:
        level: clip, segment, asset or key_point.
        sentences: In their order.
        segment_of: The segment of each clip.
        asset_id: Of the asset.
        version: Of the asset.
        write_id: The commit that the rows belong to.
    """
    return [
        CitationRow(
            asset_id=asset_id,
            version=version,
            level=level,
            segment=segment_of[item.clip],
            clip=item.clip,
            sentence=place,
            text=sentence.text,
            rank=rank,
            score=sentence.score,
            evidence=item.text,
            source=item.source,
            time_seconds=item.time_seconds,
            until_seconds=item.until_seconds,
            page=item.page,
            **corners(item.box),
            write_id=write_id,
        )
        for place, sentence in enumerate(sentences)
        for rank, item in enumerate(sentence.rests_on)
    ]
