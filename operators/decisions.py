"""What people decided about summaries holds through every run, for as long as the source is the same.

An edit stands for the whole summary that it was made in: the sentences around it were read together
with it. When the source becomes another, the edited text is offered for review again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from operators.citations import Cited
from schemas import ids
from schemas.tables import DecisionRow

ACCEPT, EDIT, REJECT = "accept", "edit", "reject"
OPEN = "open"
STATES = {ACCEPT: "accepted", EDIT: "edited", REJECT: "rejected"}


@dataclass(frozen=True, slots=True)
class Place:
    """Whose summary: a level, and the segment or clip where it is not the asset's."""

    level: str
    segment: int | None = None
    clip: int | None = None

    @property
    def index(self) -> int:
        """Of the segment or clip; 0 for the asset."""
        return self.clip if self.clip is not None else self.segment or 0


@dataclass(frozen=True, slots=True)
class Offered:
    """An edited text whose source is another now."""

    decision: DecisionRow
    review_id: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A summary after all that people decided about it."""

    sentences: list[Cited]
    states: dict[str, tuple[str, str | None]]
    """By review id: the state, and the text of an edit."""
    edited: bool
    offered: list[Offered]


def review_id(asset_id: str, place: Place, text: str, reason: str) -> str:
    """Identify a doubt: the same sentence in the same place is the same doubt, in every run."""
    return ids.digest("review", asset_id, place.level, str(place.index), reason, _key(text))


def decide(
    sentences: Sequence[Cited],
    doubtful: Sequence[tuple[int, Cited]],
    decisions: Sequence[DecisionRow],
    source_id: str,
    cite: Callable[[str], Cited],
) -> Decided:
    """Apply decisions to one summary.

    Args:
        sentences: As composed.
        doubtful: Sentences without support, left out or not, with the place where each would stand.
        decisions: About this summary, the newest last.
        source_id: What it may rest on now.
        cite: Finds evidence for a text that a person wrote.
    """
    now = [item for item in decisions if item.source_id == source_id]
    kept = list(sentences)
    edits = [item for item in now if item.decision == EDIT]
    if edits:
        known = {_key(item.text): item for item in [*sentences, *(each for _, each in doubtful)]}
        kept = [known.get(_key(text)) or cite(text) for text in edits[-1].summary]
    after = now[now.index(edits[-1]) + 1 :] if edits else now
    last = {_key(item.text): item.decision for item in after}
    accepted = {key for key, decision in last.items() if decision == ACCEPT}
    rejected = {key for key, decision in last.items() if decision == REJECT}
    present = {_key(item.text) for item in kept}
    back = [(at, item) for at, item in doubtful if _key(item.text) in accepted - present]
    for shift, (at, item) in enumerate(back):
        kept.insert(min(len(kept), at + shift), item)
    kept = [item for item in kept if _key(item.text) not in rejected]
    states = {item.review_id: (STATES[item.decision], item.edited) for item in now}
    return Decided(kept, states, bool(edits), _offered(decisions, source_id))


def _offered(decisions: Sequence[DecisionRow], source_id: str) -> list[Offered]:
    """List the newest edit where it was made of another source, unless somebody decided about that."""
    edits = [item for item in decisions if item.decision == EDIT]
    if not edits or edits[-1].source_id == source_id:
        return []
    again = ids.digest("offered", edits[-1].decision_id, source_id)
    return [] if any(item.review_id == again for item in decisions) else [Offered(edits[-1], again)]


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
