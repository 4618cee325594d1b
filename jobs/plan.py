"""What a run has to do, decided from listings and the lake before anything is read.

A nightly run over a million files is cheap because nearly all of them are told to be unchanged
by size and date (or etag) alone. For the others it is known why they are to be done, and how
much of the work the lake holds already.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from operators.compose import COMPOSITION
from operators.lake import Lake
from operators.probe import fingerprint
from operators.summary_version import summary_version
from operators.unit_id import caption_version, perception_id
from schemas import ids
from schemas.config import Config
from schemas.failure import Reason
from schemas.media import Kind, Listing

NEW, CHANGED, CONFIGURATION, AGAIN = "new", "changed", "configuration", "again"
CAPTIONS, SUMMARIES = "captions", "summaries"

_PASSING = (Reason.LOST, Reason.UNREADABLE, Reason.UNREACHABLE)
"""What failed because of a worker, a store or a server may be well the next time, and is tried then."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the lake holds of an asset."""

    uri: str
    kind: str
    fingerprint: str
    version: str
    perception: str
    composition: str
    summary_version: str
    status: str
    content_hash: str
    plan_id: str
    run_id: str
    clip_count: int
    caption_version: str
    in_passing: bool
    """Whether something of it failed for a reason that may have passed."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the work a run is asked to do."""

    since_ns: int | None = None
    """Only files modified at or after this moment, in nanoseconds since 1970."""
    limit: int | None = None
    """At most so many files."""
    shuffle_seed: int | None = None
    """Take them in an order drawn with this seed, not in that of their names."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to do."""

    todo: list[Listing]
    reasons: dict[str, int]
    """How many files are new, changed, configured otherwise, without the captions or summaries that are
    wanted, or to be tried again because their worker died or their store failed; selected or not."""
    captions: list[Listing] = field(default_factory=list)
    """Files that were read before, and that a vision-language model is to look at."""
    summaries: list[Listing] = field(default_factory=list)
    """Files whose summaries alone are to be written again, from the text in the lake."""
    unchanged: list[Listing] = field(default_factory=list)
    unsupported: list[Listing] = field(default_factory=list)
    """Files that this version has looked at before and does not read."""
    unselected: int = 0
    """Files that would have to be done, and are left for another run."""
    unchanged_failed: int = 0
    """Unchanged assets that are in the lake as failed or partial."""
    before: dict[str, int] = field(default_factory=dict)
    """For files configured otherwise: the runs they come from, with counts."""


def known_assets(lake: Lake) -> dict[str, Known]:
    """Read what the lake holds, by asset id."""
    columns = ", ".join(name for name in Known.__dataclass_fields__ if name != "in_passing")
    with lake.connect("assets", "failures") as connection:
        rows = connection.execute(
            f"SELECT asset_id, {columns}, asset_id IN "
            # Texts without vectors are tried again without reading anything.
            "(SELECT asset_id FROM failures WHERE list_contains(?, reason) AND stage <> 'embed') FROM assets",
            [[str(reason) for reason in _PASSING]],
        ).fetchall()
    return {row[0]: Known(*row[1:]) for row in rows}


def known_skips(lake: Lake) -> dict[str, str]:
    """Read the marks of the unsupported files that the lake lists, by asset id."""
    with lake.connect("skips") as connection:
        sql = "SELECT asset_id, mark FROM skips WHERE reason = 'unsupported'"
        return dict(connection.execute(sql).fetchall())


@cache
def gloss_version() -> str:
    """Return the installed version."""
    try:
        return version("gloss")
    except PackageNotFoundError:
        return "not installed"


def skip_mark(print_of_file: str) -> str:
    """Say what an unsupported file looked like, and to whom: another version may read it."""
    return ids.digest(print_of_file, gloss_version())


def plan_work(
    listings: Sequence[Listing],
    known: Mapping[str, Known],
    skipped: Mapping[str, str],
    config: Config,
    selection: Selection | None = None,
) -> Work:
    """Tell new, changed and unchanged files apart by their listings alone.

    Args:
        listings: What was discovered.
        known: What the lake holds, by asset id.
        skipped: Marks of the unsupported files it lists, by asset id.
        config: The run's configuration.
        selection: Which part of it is wanted; null means all.
    """
    summaries = summary_version(config)
    captions_of = {kind: caption_version(config, kind) for kind in ("", *Kind)}
    todo: list[Listing] = []
    captions: list[Listing] = []
    written: list[Listing] = []
    unchanged: list[Listing] = []
    unsupported: list[Listing] = []
    reasons = {NEW: 0, CHANGED: 0, CONFIGURATION: 0, CAPTIONS: 0, SUMMARIES: 0, AGAIN: 0}
    before: dict[str, int] = {}
    failed = 0
    for listing in listings:
        asset_id = ids.asset_id(listing.uri)
        held = known.get(asset_id)
        mark = fingerprint(listing)
        if held is None and skipped.get(asset_id) == skip_mark(mark):
            unsupported.append(listing)
        elif held is None:
            reasons[NEW] += 1
            todo.append(listing)
        elif (held.perception, held.composition) != (perception_id(config, held.kind), COMPOSITION) or (
            held.caption_version and not captions_of[held.kind]
        ):
            reasons[CONFIGURATION] += 1
            before[held.run_id] = before.get(held.run_id, 0) + 1
            todo.append(_as_known(listing, held) if held.fingerprint == mark else listing)
        elif held.fingerprint != mark:
            reasons[CHANGED] += 1
            todo.append(replace(listing, known_version=held.version))
        elif held.in_passing:
            reasons[AGAIN] += 1
            todo.append(listing)
        elif held.status != "failed" and held.clip_count and held.caption_version != captions_of[held.kind]:
            reasons[CAPTIONS] += 1
            # What failed of a file is not kept: it is read again before a model looks at it.
            (captions if held.status == "ok" and held.plan_id else todo).append(_as_known(listing, held))
        elif held.status != "failed" and held.clip_count and held.summary_version != summaries:
            reasons[SUMMARIES] += 1
            before[held.run_id] = before.get(held.run_id, 0) + 1
            written.append(listing)
        else:
            unchanged.append(listing)
            failed += held.status != "ok"
    chosen = select([*todo, *captions, *written], selection or Selection())
    left = len(todo) + len(captions) + len(written) - len(chosen)
    shown, summed = {id(item) for item in captions}, {id(item) for item in written}
    return Work(
        todo=[listing for listing in chosen if id(listing) not in shown | summed],
        reasons=reasons,
        captions=[listing for listing in chosen if id(listing) in shown],
        summaries=[listing for listing in chosen if id(listing) in summed],
        unchanged=unchanged,
        unsupported=unsupported,
        unselected=left,
        unchanged_failed=failed,
        before=before,
    )


def _as_known(listing: Listing, held: Known) -> Listing:
    """Let a file be planned from the lake: its listing says that its bytes are the same."""
    if not held.plan_id:
        return listing
    return replace(listing, content_hash=held.content_hash, known_plan=held.plan_id)


def select(todo: Sequence[Listing], selection: Selection) -> list[Listing]:
    """Choose the part of the work that is wanted, in the order in which it is to be done.

    A file whose store gives no date counts as recent: leaving it out would lose it for ever.
    """
    since = selection.since_ns
    chosen = [item for item in todo if since is None or _modified(item) >= since]
    if selection.shuffle_seed is not None:
        random.Random(selection.shuffle_seed).shuffle(chosen)  # noqa: S311 - a sample, not a secret
    return chosen[: selection.limit]


def _modified(listing: Listing) -> float:
    dates: Iterable[int | None] = [listing.modified_ns, *(item.modified_ns for item in listing.sidecars)]
    return max((date if date is not None else float("inf")) for date in dates)
