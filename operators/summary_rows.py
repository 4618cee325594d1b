"""The summaries of an asset become rows: its own, those of segments and clips, citations and reviews.

Every way of making summaries ends here (picked, written by a model, edited by a person), so that the
rows of all bear the same marks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from operators.asset_text import AssetText
from operators.citations import Cited, citation_rows
from operators.decisions import OPEN, Decided, Offered, Place, decide, review_id
from operators.disagreements import find_disagreements
from operators.evidence import Evidence
from operators.summaries import joined_text
from operators.support import Supporter
from operators.write_summary import Action, Doubtful, Reason
from schemas.box import corners
from schemas.failure import InputError, Stage
from schemas.tables import (
    AssetRow,
    CitationRow,
    ClipRow,
    EvidencePart,
    FailureRow,
    ReviewRow,
    SegmentRow,
)

FALLBACK, UNSUPPORTED, EDITED = "fallback", "unsupported", "edited"
"""Doubts about a summary."""

DISAGREEMENT, SOURCE_CHANGED = "disagreement", "source_changed"
NOTED = "noted"

KEY_POINT = "key_point"


@dataclass(frozen=True, slots=True)
class Result:
    """One summary, however it was made."""

    sentences: list[Cited]
    engine: str | None = None
    revision: str | None = None
    prompt: str | None = None
    doubts: list[str] = field(default_factory=list)
    title: str | None = None
    """Null leaves the title that was found."""
    doubtful: list[Doubtful] = field(default_factory=list)
    failure: InputError | None = None
    """Why a model's summary is none, and this one extractive."""


@dataclass(frozen=True, slots=True)
class SummaryRows:
    """The rows that summaries are kept in."""

    asset: AssetRow
    segments: list[SegmentRow]
    clips: list[ClipRow]
    citations: list[CitationRow]
    reviews: list[ReviewRow]
    failures: list[FailureRow]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What marks rows as written together."""

    summary_version: str
    write_id: str
    run_id: str
    at: datetime


def summary_rows(
    text: AssetText, results: Mapping[Place, Result], stamp: Stamp, carried: Sequence[FailureRow] = ()
) -> SummaryRows:
    """Write the summaries of an asset.

    Args:
        text: Of the asset; decisions of people about it are applied.
        results: For the asset, each segment and each clip; key points where there are any.
        stamp: Of the rows.
        carried: Failures of writing them that stand already.
    """
    decided = _decided(text, results)
    reviews = [
        row
        for place, result in results.items()
        for row in _doubts(text, place, result, decided[place], stamp)
    ]
    reviews += _disagreements(text, decided, stamp)
    failures = [
        _failure(text, place, result.failure, stamp) for place, result in results.items() if result.failure
    ]
    failures += [replace(row, write_id=stamp.write_id) for row in carried]
    return SummaryRows(
        _asset(text.asset, results, decided, len(failures), stamp),
        [
            _segment(row, Place("segment", segment=index), results, decided, stamp)
            for index, row in enumerate(text.segments)
        ],
        [
            _clip(row, Place("clip", row.segment, index), results, decided, stamp)
            for index, row in enumerate(text.clips)
        ],
        [
            row
            for place in results
            for row in citation_rows(
                place.level,
                decided[place].sentences,
                text.segment_of,
                asset_id=text.asset.asset_id,
                version=text.asset.version,
                write_id=stamp.write_id,
            )
        ],
        reviews,
        failures,
    )


# --- decisions ------------------------------------------------------------------------------


def _decided(text: AssetText, results: Mapping[Place, Result]) -> dict[Place, Decided]:
    """Apply what people decided, to every summary."""
    supporters: list[Supporter] = []

    def cite(sentence: str, *, clips: Sequence[int]) -> Cited:
        if not supporters:  # made for the first text that a person wrote
            supporters.append(Supporter(text.evidence, text.asset.language))
        support = supporters[0].support(sentence, clips)
        return Cited(sentence, [text.evidence[index] for index in support.evidence], support.score)

    decided = {}
    for place, result in results.items():
        mine = [item for item in text.decisions if (item.level, item.segment, item.clip) == _names(place)]
        doubtful = [(item.place, Cited(item.text, item.evidence, item.score)) for item in result.doubtful]
        clips = text.clips_of(place.level, place.index)
        source = text.source_id(place.level, place.index) if mine else ""
        decided[place] = decide(result.sentences, doubtful, mine, source, partial(cite, clips=clips))
    return decided


def _names(place: Place) -> tuple[str, int | None, int | None]:
    return place.level, place.segment, place.clip


# --- rows -----------------------------------------------------------------------------------


def _marks(result: Result, decided: Decided, stamp: Stamp) -> dict[str, object]:
    doubts = list(result.doubts)
    if any(item.action == Action.KEPT for item in result.doubtful):
        doubts.append(UNSUPPORTED)
    if decided.edited:
        doubts.append(EDITED)
    return {
        "summary": joined_text([item.text for item in decided.sentences]),
        "summary_version": stamp.summary_version,
        "summary_engine": result.engine,
        "summary_revision": result.revision,
        "summary_prompt": result.prompt,
        "summary_doubts": doubts,
    }


def _segment(
    row: SegmentRow,
    place: Place,
    results: Mapping[Place, Result],
    decided: Mapping[Place, Decided],
    stamp: Stamp,
) -> SegmentRow:
    result = results[place]
    title = result.title or row.found_title
    return replace(row, title=title, write_id=stamp.write_id, **_marks(result, decided[place], stamp))  # type: ignore[arg-type]  # checked when the table is built


def _clip(
    row: ClipRow,
    place: Place,
    results: Mapping[Place, Result],
    decided: Mapping[Place, Decided],
    stamp: Stamp,
) -> ClipRow:
    return replace(row, write_id=stamp.write_id, **_marks(results[place], decided[place], stamp))  # type: ignore[arg-type]  # checked when the table is built


def _asset(
    row: AssetRow,
    results: Mapping[Place, Result],
    decided: Mapping[Place, Decided],
    failures: int,
    stamp: Stamp,
) -> AssetRow:
    place, points = Place("asset"), Place(KEY_POINT)
    others = row.failure_count - row.summary_failure_count
    status = row.status if row.status == "failed" else "partial" if others + failures else "ok"
    return replace(
        row,
        title=results[place].title or row.found_title,
        key_points=[item.text for item in decided[points].sentences] if points in decided else [],
        status=status,
        failure_count=others + failures,
        summary_failure_count=failures,
        summary_write_id=stamp.write_id,
        **_marks(results[place], decided[place], stamp),  # type: ignore[arg-type]  # checked when the table is built
    )


def _failure(text: AssetText, place: Place, error: InputError, stamp: Stamp) -> FailureRow:
    clips = text.clips_of(place.level, place.index)
    first, last = text.clips[clips[0]], text.clips[clips[-1]]
    where = f"{place.level} {place.index}" if place.level != "asset" else "asset"
    return FailureRow(
        asset_id=text.asset.asset_id,
        version=text.asset.version,
        uri=text.asset.uri,
        stage=Stage.SUMMARISE,
        reason=error.reason,
        message=f"Summary of {where}: {error.message}",
        page=first.page,
        start_seconds=first.start_seconds,
        end_seconds=last.end_seconds,
        run_id=stamp.run_id,
        at=stamp.at,
        write_id=stamp.write_id,
    )


# --- reviews --------------------------------------------------------------------------------


def _doubts(text: AssetText, place: Place, result: Result, decided: Decided, stamp: Stamp) -> list[ReviewRow]:
    rows = [_doubt(text, place, item, decided, stamp) for item in result.doubtful]
    return rows + [_offer(text, place, item, stamp) for item in decided.offered]


def _doubt(text: AssetText, place: Place, item: Doubtful, decided: Decided, stamp: Stamp) -> ReviewRow:
    identity = review_id(text.asset.asset_id, place, item.text, Reason.UNSUPPORTED)
    state, edited = decided.states.get(identity, (OPEN, None))
    return _review(
        text,
        place,
        stamp,
        review_id=identity,
        sentence=item.place,
        shown=item.text,
        reason=item.reason,
        message=item.message,
        score=item.score,
        action=item.action,
        evidence=item.evidence,
        state=state,
        edited=edited,
    )


def _offer(text: AssetText, place: Place, item: Offered, stamp: Stamp) -> ReviewRow:
    decision = item.decision
    return _review(
        text,
        place,
        stamp,
        review_id=item.review_id,
        sentence=decision.sentence,
        shown=decision.edited or "",
        reason=SOURCE_CHANGED,
        message=(
            f"Edited by {decision.decided_by} on {decision.decided_at:%Y-%m-%d}; its source is another now. "
            "Accept to put it back, edit to change it, reject to forget it."
        ),
        score=0.0,
        action=NOTED,
        evidence=[],
        state=OPEN,
        edited=decision.edited,
    )


def _disagreements(text: AssetText, decided: Mapping[Place, Decided], stamp: Stamp) -> list[ReviewRow]:
    rows = []
    for found in find_disagreements(text.evidence, text.asset.language):
        said, shown = text.evidence[found.said], text.evidence[found.shown]
        place = Place("clip", text.clips[said.clip].segment, said.clip)
        told = f"Said: {said.text} Shown: {shown.text}"
        identity = review_id(text.asset.asset_id, place, told, DISAGREEMENT)
        known = next((item for item in reversed(text.decisions) if item.review_id == identity), None)
        state = decided[place].states.get(identity, (OPEN, None))[0] if known else OPEN
        rows.append(
            _review(
                text,
                place,
                stamp,
                review_id=identity,
                sentence=0,
                shown=told,
                reason=DISAGREEMENT,
                message=f"{found.said_value} is said where {found.shown_value} is shown.",
                score=0.0,
                action=NOTED,
                evidence=[said, shown],
                state=state,
                edited=None,
            )
        )
    return rows


def _review(
    text: AssetText,
    place: Place,
    stamp: Stamp,
    *,
    review_id: str,
    sentence: int,
    shown: str,
    reason: str,
    message: str,
    score: float,
    action: str,
    evidence: Sequence[Evidence],
    state: str,
    edited: str | None,
) -> ReviewRow:
    return ReviewRow(
        review_id=review_id,
        asset_id=text.asset.asset_id,
        version=text.asset.version,
        level=place.level,
        segment=place.segment,
        clip=place.clip,
        sentence=sentence,
        text=shown,
        reason=reason,
        message=message,
        score=score,
        action=action,
        evidence=[_part(item) for item in evidence],
        state=state,
        edited=edited,
        source_id=text.source_id(place.level, place.index),
        summary_version=stamp.summary_version,
        write_id=stamp.write_id,
    )


def _part(item: Evidence) -> EvidencePart:
    return EvidencePart(
        text=item.text,
        kind=item.kind,
        source=item.source,
        clip=item.clip,
        time_seconds=item.time_seconds,
        until_seconds=item.until_seconds,
        page=item.page,
        **corners(item.box),
    )
