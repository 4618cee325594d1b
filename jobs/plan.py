"""What a run has to do, decided from listings and the lake before anything is read.

A nightly run over a million files is cheap because nearly all of them are told to be unchanged
by size and date (or etag) alone. For the others it is known why they are to be done, and how
much of the work the lake holds already.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import pyarrow as pa
import pyarrow.compute as pc

from jobs.held import Held, Known, State, places_in
from operators.composition import COMPOSITION
from operators.lake import Lake
from operators.summary_version import summary_version
from operators.unit_id import caption_version, perception_id
from schemas import ids
from schemas.config import Config
from schemas.listings import Listings, fingerprint
from schemas.media import Kind, Listing

NEW, CHANGED, CONFIGURATION, AGAIN = "new", "changed", "configuration", "again"
CAPTIONS, SUMMARIES = "captions", "summaries"


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
    unchanged: Sequence[Listing] = ()
    unsupported: list[Listing] = field(default_factory=list)
    """Files that this version has looked at before and does not read."""
    unselected: int = 0
    """Files that would have to be done, and are left for another run."""
    unchanged_failed: int = 0
    """Unchanged assets that are in the lake as failed or partial."""
    before: dict[str, int] = field(default_factory=dict)
    """For files configured otherwise: the runs they come from, with counts."""


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


class Wanted:
    """The versions that assets have to be of."""

    def __init__(self, config: Config) -> None:
        """Digest a configuration once for all assets."""
        self._config = config
        self._perceptions: dict[str, str] = {}
        self._captions = {kind: caption_version(config, kind) for kind in ("", *Kind)}
        self._summaries = summary_version(config)

    def due(self, state: State) -> str | None:
        """Say why an unchanged file is to be done once more; null if there is no reason."""
        captions = self._captions[state.kind]
        made_as_wanted = (state.perception, state.composition) == (self._perception(state.kind), COMPOSITION)
        has_text = state.status != "failed" and state.has_clips
        if not made_as_wanted or (state.caption_version and not captions):
            return CONFIGURATION
        if state.in_passing:
            return AGAIN
        if has_text and state.caption_version != captions:
            return CAPTIONS
        return SUMMARIES if has_text and state.summary_version != self._summaries else None

    def is_settled(self, state: State) -> bool:
        """Tell whether nothing is to be done of an unchanged file."""
        return self.due(state) is None

    def _perception(self, kind: str) -> str:
        if kind not in self._perceptions:
            self._perceptions[kind] = perception_id(self._config, kind)
        return self._perceptions[kind]


def plan(
    held: Held,
    listings: Listings,
    skips: Callable[[], Mapping[str, str]],
    config: Config,
    selection: Selection | None = None,
) -> tuple[Work, pa.ChunkedArray]:
    """Tell new, changed and unchanged files apart by their listings and the lake.

    Args:
        held: What the lake holds.
        listings: What was discovered.
        skips: Reads the marks of the unsupported files it lists, by asset id; called if they are needed.
        config: The run's configuration.
        selection: Which part of the work is wanted; null means all.

    Returns:
        The work, and the fingerprints of all listings.
    """
    settled = held.settled(Wanted(config).is_settled)
    prints = listings.fingerprints()
    places = places_in(prints, settled)
    rest = listings.take(_indices(pc.is_null(places)))
    known = held.known(rest.uris)
    work = plan_work(rest, known, skips() if len(rest) else {}, config, selection)
    same = listings.take(_indices(pc.is_valid(places))) if len(rest) else listings
    failed = pc.sum(pc.not_equal(settled["status"].take(places.drop_null()), "ok")).as_py() or 0
    return replace(work, unchanged=same, unchanged_failed=failed), prints


def _indices(mask: pa.ChunkedArray) -> list[int]:
    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found


def plan_work(
    listings: Iterable[Listing],
    known: Mapping[str, Known],
    skipped: Mapping[str, str],
    config: Config,
    selection: Selection | None = None,
) -> Work:
    """Tell new, changed and unchanged files apart, one by one.

    Args:
        listings: What was discovered.
        known: What the lake holds, by URI.
        skipped: Marks of the unsupported files it lists, by asset id.
        config: The run's configuration.
        selection: Which part of it is wanted; null means all.
    """
    wanted = Wanted(config)
    todo: list[Listing] = []
    captions: list[Listing] = []
    written: list[Listing] = []
    unchanged: list[Listing] = []
    unsupported: list[Listing] = []
    reasons = {NEW: 0, CHANGED: 0, CONFIGURATION: 0, CAPTIONS: 0, SUMMARIES: 0, AGAIN: 0}
    before: dict[str, int] = {}
    failed = 0
    for listing in listings:
        held = known.get(listing.uri)
        if held is None:
            if skipped and skipped.get(ids.asset_id(listing.uri)) == skip_mark(fingerprint(listing)):
                unsupported.append(listing)
            else:
                reasons[NEW] += 1
                todo.append(listing)
            continue
        is_same = held.fingerprint == fingerprint(listing)
        reason = wanted.due(held.state)
        if reason != CONFIGURATION and not is_same:
            reason = CHANGED
        if reason is None:
            unchanged.append(listing)
            failed += held.state.status != "ok"
            continue
        reasons[reason] += 1
        if reason in (CONFIGURATION, SUMMARIES):
            before[held.run_id] = before.get(held.run_id, 0) + 1
        if reason == CONFIGURATION:
            todo.append(_as_known(listing, held) if is_same else listing)
        elif reason == CHANGED:
            todo.append(replace(listing, known_version=held.version))
        elif reason == AGAIN:
            todo.append(listing)
        elif reason == CAPTIONS:
            # What failed of a file is not kept: it is read again before a model looks at it.
            is_whole = held.state.status == "ok" and held.plan_id
            (captions if is_whole else todo).append(_as_known(listing, held))
        else:
            written.append(listing)
    chosen = select([*todo, *captions, *written], selection or Selection())
    left = len(todo) + len(captions) + len(written) - len(chosen)
    shown, summed = {id(item) for item in captions}, {id(item) for item in written}
    return Work(
        todo=[item for item in chosen if id(item) not in shown and id(item) not in summed],
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
