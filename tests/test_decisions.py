"""What people decided is applied to summaries that are written anew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from operators.citations import Cited
from operators.decisions import ACCEPT, EDIT, REJECT, Decided, decide
from schemas.tables import DecisionRow

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW, THEN = "source now", "source then"

MOON, SEA, LIE = Cited("The Moon pulls."), Cited("The sea rises."), Cited("Penguins fly.", [], 0.0)


def decision(kind: str, text: str, day: int = 0, source: str = NOW, **columns: object) -> DecisionRow:
    """One decision about the summary."""
    row = DecisionRow(
        f"d{day}",
        f"r:{text}",
        "a0",
        "clip",
        0,
        0,
        source,
        0,
        text,
        kind,
        None,
        [],
        "Ada",
        AT + timedelta(days=day),
    )
    return replace(row, **columns)  # type: ignore[arg-type]  # names and types of the row


def edit(text: str, edited: str, summary: list[str], day: int = 0, source: str = NOW) -> DecisionRow:
    """One edit."""
    return decision(EDIT, text, day, source, edited=edited, summary=summary)


def decided(decisions: list[DecisionRow], sentences: list[Cited] | None = None) -> Decided:
    """Apply decisions to a summary of two sentences from which a third was dropped."""
    found = [MOON, SEA] if sentences is None else sentences
    return decide(found, [(1, LIE)], decisions, NOW, lambda text: Cited(text, [], 0.7))


def texts(outcome: Decided) -> list[str]:
    """Its sentences."""
    return [sentence.text for sentence in outcome.sentences]


def test_without_decisions_nothing_changes() -> None:
    """The sentences stand as they were composed."""
    assert decided([]) == Decided([MOON, SEA], {}, False, [])


def test_accepting_brings_a_sentence_back_to_its_place() -> None:
    """It stands where it would have stood, once, also when it is there already."""
    assert texts(decided([decision(ACCEPT, LIE.text)])) == [MOON.text, LIE.text, SEA.text]
    assert texts(decided([decision(ACCEPT, LIE.text)], [MOON, LIE, SEA])) == [MOON.text, LIE.text, SEA.text]
    assert decided([decision(ACCEPT, LIE.text)]).states == {f"r:{LIE.text}": ("accepted", None)}


def test_rejecting_takes_a_sentence_out_whenever_it_comes() -> None:
    """However it is spaced or capitalised."""
    assert texts(decided([decision(REJECT, "penguins  fly.")], [MOON, LIE])) == [MOON.text]


def test_the_last_decision_counts() -> None:
    """Accepting after rejecting brings a sentence back; the other way round takes it out."""
    first, second = decision(REJECT, LIE.text, 0), decision(ACCEPT, LIE.text, 1)
    assert LIE.text in texts(decided([first, second]))
    assert LIE.text not in texts(decided([replace(second, decided_at=AT), replace(first, decision_id="d9")]))


def test_an_edit_pins_its_summary_whatever_is_written_later() -> None:
    """Sentences that are still there keep their evidence; the new text gets its own."""
    pinned = [edit(SEA.text, "The sea falls.", [MOON.text, "The sea falls."])]
    outcome = decided(pinned, [Cited("Something else."), MOON])
    assert texts(outcome) == [MOON.text, "The sea falls."]
    assert outcome.sentences[0] is MOON
    assert outcome.sentences[1].score == 0.7
    assert outcome.edited


def test_decisions_of_another_source_are_not_applied() -> None:
    """The edited text is offered again, until somebody decides about that."""
    old = edit(SEA.text, "The sea falls.", ["The sea falls."], source=THEN)
    outcome = decided([old, decision(REJECT, MOON.text, source=THEN)])
    assert texts(outcome) == [MOON.text, SEA.text]
    (offered,) = outcome.offered
    assert offered.decision is old
    forgotten = decision(REJECT, "The sea falls.", 2, review_id=offered.review_id)
    assert not decided([old, forgotten]).offered
    assert not decided([old, edit(SEA.text, "Both.", ["Both."], 3)]).offered
