"""What may stand in a summary, or bear one out, is kept as rows; from these summaries are written again."""

from collections.abc import Iterable

from operators.evidence import kind_of
from operators.summaries import Statement
from schemas.box import corners
from schemas.tables import SentenceRow


def sentence_rows(
    statements: Iterable[Statement], first: int, *, asset_id: str, version: str, write_id: str
) -> list[SentenceRow]:
    """Write statements as sentences of an asset.

    Args:
        statements: In order of their clips.
        first: Number of the first within the asset.
        asset_id: Of the asset.
        version: Of the asset.
        write_id: The commit that the rows belong to.
    """
    return [
        SentenceRow(
            asset_id=asset_id,
            version=version,
            clip=item.clip,
            sentence=index,
            kind=kind_of(item.source),
            text=item.text,
            form=item.candidate.form,
            source=item.source,
            time_seconds=item.time_seconds,
            until_seconds=item.until_seconds,
            page=item.page,
            **corners(item.box),
            write_id=write_id,
        )
        for index, item in enumerate(statements, first)
    ]
