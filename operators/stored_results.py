"""The summaries that the lake holds of an asset, read back so that a decision can be applied to them."""

from collections import defaultdict
from collections.abc import Sequence

from operators.asset_text import AssetText
from operators.citations import Cited
from operators.decisions import Place
from operators.evidence import Evidence, Kind, kind_of
from operators.summary_rows import FALLBACK, KEY_POINT, Result
from operators.write_summary import Action, Doubtful, Reason
from schemas.box import box_of
from schemas.tables import CitationRow, EvidencePart, ReviewRow, SegmentRow

_WRITTEN = {str(reason) for reason in Reason}


def stored_results(
    text: AssetText, citations: Sequence[CitationRow], reviews: Sequence[ReviewRow]
) -> dict[Place, Result]:
    """Read the summaries of an asset back from its rows.

    Args:
        text: Of the asset, with the rows of its clips and segments.
        citations: All of the asset.
        reviews: All of the asset.
    """
    places = {Place("asset"): text.asset} | {
        Place("segment", segment=index): row for index, row in enumerate(text.segments)
    }
    rows = places | {Place("clip", row.segment, index): row for index, row in enumerate(text.clips)}
    sentences = _sentences(text, citations)
    doubtful = _doubtful(reviews)
    results = {}
    for place, row in rows.items():
        titled = isinstance(row, SegmentRow) or place.level == "asset"
        results[place] = Result(
            _with_kept(sentences[place], doubtful[place]),
            row.summary_engine,
            row.summary_revision,
            row.summary_prompt,
            [doubt for doubt in row.summary_doubts if doubt == FALLBACK],
            row.title if titled else None,
            doubtful[place],
        )
    points = Place(KEY_POINT)
    if sentences[points] or doubtful[points]:
        results[points] = Result(_with_kept(sentences[points], doubtful[points]), doubtful=doubtful[points])
    return results


def _sentences(text: AssetText, citations: Sequence[CitationRow]) -> dict[Place, list[tuple[int, Cited]]]:
    """Gather the sentences of each summary, with their places in it."""
    found: dict[Place, dict[int, list[CitationRow]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(citations, key=lambda row: (row.sentence, row.rank)):
        place = {
            "clip": Place("clip", text.clips[row.clip].segment, row.clip),
            "segment": Place("segment", segment=row.segment),
        }.get(row.level, Place(row.level))
        found[place][row.sentence].append(row)
    gathered: dict[Place, list[tuple[int, Cited]]] = defaultdict(list)
    for place, by_sentence in found.items():
        for number, rows in by_sentence.items():
            gathered[place].append(
                (number, Cited(rows[0].text, [_cited(row) for row in rows], rows[0].score))
            )
    return gathered


def _with_kept(sentences: Sequence[tuple[int, Cited]], doubtful: Sequence[Doubtful]) -> list[Cited]:
    """Add the sentences that are kept without any evidence: no citation lists them."""
    known = {cited.text for _, cited in sentences}
    numbered = list(sentences)
    numbered += [
        (item.place, Cited(item.text, [], item.score))
        for item in doubtful
        if item.action == Action.KEPT and not item.evidence and item.text not in known
    ]
    return [cited for _, cited in sorted(numbered, key=lambda pair: pair[0])]


def _doubtful(reviews: Sequence[ReviewRow]) -> dict[Place, list[Doubtful]]:
    found: dict[Place, list[Doubtful]] = defaultdict(list)
    for row in reviews:
        if row.reason in _WRITTEN:
            found[Place(row.level, row.segment, row.clip)].append(
                Doubtful(
                    row.text,
                    Reason(row.reason),
                    row.message,
                    row.score,
                    Action(row.action),
                    [_part(part) for part in row.evidence],
                    row.sentence,
                    row.level == KEY_POINT,
                )
            )
    return found


def _cited(row: CitationRow) -> Evidence:
    return Evidence(
        row.evidence,
        kind_of(row.source),
        row.source,
        row.clip,
        row.time_seconds,
        row.until_seconds,
        row.page,
        box_of(row),
    )


def _part(part: EvidencePart) -> Evidence:
    return Evidence(
        part.text,
        Kind(part.kind),
        part.source,
        part.clip,
        part.time_seconds,
        part.until_seconds,
        part.page,
        box_of(part),
    )
