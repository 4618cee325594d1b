"""`gloss review accept | edit | reject`: a person decides about a doubt, and the summary follows at once.

The decision is kept beside the summaries, so that every later run applies it again.
"""

import getpass
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from jobs.output import EXIT_OK, one_line
from operators.asset_text import asset_text
from operators.claim import Claim
from operators.commit import append_files, commit
from operators.decisions import ACCEPT, EDIT, STATES, Place
from operators.evidence import CLOSER_LOOK
from operators.lake import Lake
from operators.read_stored import ReadStored, stored_files
from operators.stored_results import stored_results
from operators.summary_rows import DISAGREEMENT, SOURCE_CHANGED, Stamp, SummaryRows, summary_rows
from operators.write import rows_of, write_rows
from schemas import ids
from schemas.config import ConfigError
from schemas.summary_work import AssetGroup, Stored
from schemas.tables import DecisionRow, ReviewRow

_LONGEST = 1500
"""Characters of an edited sentence; a summary of an asset has as many."""

_TABLES = ("segments", "clips", "citations", "reviews", "failures")


class ReviewError(ConfigError):
    """A decision cannot be taken; the message says what was wanted, found and to do."""


def run_decide(
    lake_uri: str,
    decision: str,
    review_ids: Sequence[str],
    text: str | None = None,
    *,
    by: str | None = None,
    storage_options: dict[str, str] | None = None,
) -> int:
    """Take a decision about reviews, and write the summaries concerned anew.

    Args:
        lake_uri: Path or URL of the lake.
        decision: accept, edit or reject.
        review_ids: Of the reviews, or beginnings of them that name one each.
        text: The sentence to stand instead, for an edit.
        by: Who decides; null takes the name of the user.
        storage_options: Options of the object store.

    Raises:
        ReviewError: The arguments do not fit each other, or name no review.
        LakeError: The lake cannot be used, or a run is writing to it.
    """
    _check(decision, review_ids, text)
    lake = Lake(lake_uri, storage_options)
    lake.require()
    by = by or getpass.getuser()
    with Claim(lake, f"review-{uuid.uuid4().hex[:8]}", what="review") as claim:
        found = dict.fromkeys(_find(lake, each) for each in review_ids)
        for asset_id in dict.fromkeys(asset_id for asset_id, _ in found):
            (stored,) = ReadStored(lake, stored_files(lake))(AssetGroup([asset_id]))
            rows = [row for row in stored.reviews if (asset_id, row.review_id) in found]
            decisions = [_decision(row, decision, text, stored, by) for row in rows]
            claim.check()
            # The decision first: should the rest be lost, it holds from the next writing of the summaries on.
            append_files(lake, rows_of([write_rows(lake, "decisions", decisions)]))
            _rewrite(lake, stored, decisions)
            for row in rows:
                sys.stderr.write(f"{STATES[decision]} {row.review_id[:12]}: {one_line(row.text)}\n")
    return EXIT_OK


def _check(decision: str, review_ids: Sequence[str], text: str | None) -> None:
    if not review_ids:
        msg = f"Wanted the id of a review to {decision}; found none. gloss review lists them."
        raise ReviewError(msg)
    if decision != EDIT and text is not None:
        msg = f"Wanted --text with edit alone; found it with {decision}."
        raise ReviewError(msg)
    if decision == EDIT and (len(review_ids) != 1 or not (text or "").strip()):
        msg = 'Wanted one review and the sentence to stand instead: gloss review edit ID --text "…".'
        raise ReviewError(msg)
    if text is not None and len(text) > _LONGEST:
        msg = f"Wanted a sentence of at most {_LONGEST} characters; found {len(text)}."
        raise ReviewError(msg)


def _find(lake: Lake, beginning: str) -> tuple[str, str]:
    """Find the review whose id begins so; return the asset and the id."""
    with lake.connect() as connection:
        sql = "SELECT asset_id, review_id FROM reviews WHERE starts_with(review_id, ?)"
        rows = connection.execute(sql, [beginning]).fetchall()
    if len(rows) != 1:
        what = "none has such an id" if not rows else f"{len(rows)} begin so"
        msg = f"Wanted one review {beginning!r}; {what}. gloss review --all lists them."
        raise ReviewError(msg)
    return rows[0]


def _decision(row: ReviewRow, decision: str, text: str | None, stored: Stored, by: str) -> DecisionRow:
    """Write a decision down, with what it makes of the summary."""
    if row.reason == DISAGREEMENT and decision == EDIT:
        msg = (
            f"Wanted accept or reject for {row.review_id[:12]}: it says that what is said is not what is "
            "shown, and is no sentence of a summary."
        )
        raise ReviewError(msg)
    edited = " ".join(text.split()) if text is not None else None
    if row.reason == SOURCE_CHANGED and decision == ACCEPT:
        # Putting an old text back is an edit of what stands there now.
        decision, edited = EDIT, row.edited
    summary = _edited(row, edited or "", stored) if decision == EDIT else []
    return DecisionRow(
        decision_id=uuid.uuid4().hex,
        review_id=row.review_id,
        asset_id=row.asset_id,
        level=row.level,
        segment=row.segment,
        clip=row.clip,
        source_id=row.source_id,
        sentence=row.sentence,
        text=row.text,
        decision=decision,
        edited=edited if decision == EDIT else None,
        summary=summary,
        decided_by=by,
        decided_at=datetime.now(UTC),
    )


def _edited(row: ReviewRow, edited: str, stored: Stored) -> list[str]:
    """Put a sentence in the place of another, or where that would stand."""
    results = stored_results(asset_text(stored.sources, looked=True), stored.citations, stored.reviews)
    result = results.get(Place(row.level, row.segment, row.clip))
    sentences = [item.text for item in result.sentences] if result else []
    # What stands there may be an edit before this one.
    standing = next((text for text in (row.edited, row.text) if text in sentences), None)
    if standing is not None:
        return [edited if text == standing else text for text in sentences]
    at = min(row.sentence, len(sentences))
    return [*sentences[:at], edited, *sentences[at:]]


def _rewrite(lake: Lake, stored: Stored, decisions: Sequence[DecisionRow]) -> None:
    """Write the summaries of an asset anew, decisions applied."""
    source = replace(stored.sources, decisions=[*stored.sources.decisions, *decisions])
    text = asset_text(source, looked=True)
    asset = source.asset
    stamp = Stamp(
        asset.summary_version,
        ids.digest("summaries", asset.summary_write_id, decisions[-1].decision_id),
        asset.run_id,
        decisions[-1].decided_at,
    )
    results = stored_results(text, stored.citations, stored.reviews)
    rows: SummaryRows = summary_rows(text, results, stamp, carried=stored.failures)
    files = [write_rows(lake, table, getattr(rows, table)) for table in _TABLES]
    # What a closer look has shown lives with the summaries.
    looked = [replace(row, write_id=stamp.write_id) for row in source.sentences if row.source == CLOSER_LOOK]
    files.append(write_rows(lake, "sentences", looked))
    commit(lake, [rows.asset], rows_of(files))
