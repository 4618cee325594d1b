"""Where speech and screen state different values of one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import operators.disagreements
from operators.disagreements import find_disagreements
from operators.evidence import Evidence, Kind


def _found(shown: str, said: str, language: str = "en") -> list[tuple[str, str]]:
    evidence = [
        *(Evidence(text, Kind.SHOWN, "ocr", 0) for text in shown.split(" / ")),
        *(Evidence(text, Kind.SAID, "whisper", 0) for text in said.split(" / ")),
    ]
    return [(item.said_value, item.shown_value) for item in find_disagreements(evidence, language)]


@pytest.mark.parametrize(
    ("shown", "said", "language", "values"),
    [
        ("Efficiency: 45 %", "The efficiency is 54 percent.", "en", ("54 percent", "45 %")),
        ("Founded in Berlin 1998", "It was founded in Berlin in 1989.", "en", ("1989", "1998")),
        ("Exam: Friday, Hall B", "The exam is on Monday in hall B.", "en", ("Monday", "Friday")),
        ("Exam in hall B at 10:30", "The exam in the hall starts at 11:30.", "en", ("11:30", "10:30")),
        ("A leaf needs 3 things", "A leaf needs four things.", "en", ("four", "3")),
        (
            "Fair in Lagos: 12 March 2024",
            "The fair in Lagos was on 13 March 2024.",
            "en",
            ("13 March 2024", "12 March 2024"),
        ),
        ("Wirkungsgrad: 45 %", "Der Wirkungsgrad ist vierzig Prozent.", "de", ("vierzig Prozent", "45 %")),
        ("Rendement de la lampe : 45 %", "Le rendement de la lampe est de 54 %.", "fr", ("54 %", "45 %")),
        ("光合作用效率：45%", "光合作用的效率是百分之五十四。", "zh", ("五十四", "45%")),
    ],
)
def test_other_values_of_one_thing_are_found(
    shown: str, said: str, language: str, values: tuple[str, str]
) -> None:
    """Percentages, years, weekdays, times, counts and dates."""
    assert _found(shown, said, language) == [values]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("Efficiency: about 6 percent", "The efficiency is six percent."),
        ("512,000 users in Europe", "We have about half a million users in Europe."),
        ("512,000 users in Europe", "We have half a million users in Europe."),
        (
            "Speed of light: 299,792 km per second",
            "The speed of light is nearly 300,000 kilometers per second.",
        ),
        ("Speed of the train: 48.7 km", "The speed of the train is 49 kilometers."),
        ("Efficiency of plants: 45 % in 2019, 54 % in 2020", "The efficiency of plants is 54 percent."),
        (
            "Efficiency of plants: 45 % / Efficiency of lamps: 54 %",
            "The efficiency of plants was 54 percent.",
        ),
        ("Efficiency: 45 %", "The efficiency is 54, no, 45 percent. / The efficiency is 45 percent."),
        ("Revenue 2019: 10 million dollars", "Revenue in 2020 was 12 million dollars."),
        ("Chapter 5: the light reactions", "Chapter six: the light reactions."),
        ("Price of the lamp: 45 euros", "The lamp has an efficiency of 54 percent."),
        ("Costs of the building: 45 %", "The weather tomorrow is 54 percent humid."),
        ("It took 5 days", "It is 30 degrees."),
        ("Release in Lagos, March 2024", "The release in Lagos was on March 13."),
        ("One leaf needs light", "A leaf needs 3 lights."),
    ],
)
def test_agreement_and_other_things_are_left_alone(shown: str, said: str) -> None:
    """Rounding, lists, corrections, other years, labels, units and topics."""
    assert _found(shown, said) == []


def test_only_what_is_said_and_shown_at_once_is_compared() -> None:
    """Another clip may speak of another thing; and what a model describes is no source."""
    shown = Evidence("Efficiency: 45 %", Kind.SHOWN, "ocr", 0)
    said = Evidence("The efficiency is 54 percent.", Kind.SAID, "whisper", 0)
    found = find_disagreements([said, shown], "en")
    assert [(item.said, item.shown) for item in found] == [(0, 1)]
    elsewhere = Evidence(said.text, Kind.SAID, "whisper", 1)
    described = Evidence(said.text, Kind.DESCRIBED, "caption", 0)
    assert find_disagreements([shown, elsewhere, described], "en") == []


@given(st.integers(2, 10**6), st.sampled_from(["%", "km", "euros", "users"]))
def test_equal_values_never_disagree(value: int, unit: str) -> None:
    """However they are written."""
    assert _found(f"Plants in Lagos: {value:,} {unit}", f"The plants in Lagos have {value} {unit}.") == []


@given(st.integers(2, 99), st.integers(2, 99))
def test_small_values_that_differ_much_disagree(shown: int, said: int) -> None:
    """From a tenth off, two percentages of one thing are never the same."""
    differ = abs(shown - said) > 0.1 * max(shown, said)
    found = _found(f"Efficiency of plants: {shown} %", f"The efficiency of plants is {said} percent.")
    assert not differ or found == [(f"{said} percent", f"{shown} %")]


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.text(max_size=40)), max_size=6))
def test_any_text_can_be_compared(pieces: list[tuple[Kind, str]]) -> None:
    """Findings name an utterance and a line."""
    evidence = [Evidence(text, kind, "x", 0) for kind, text in pieces]
    for found in find_disagreements(evidence, "en"):
        assert (evidence[found.said].kind, evidence[found.shown].kind) == (Kind.SAID, Kind.SHOWN)


def test_numbers_of_documents_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is said, or nothing shown, nothing can disagree: 3,000 pages took 73 s for that."""
    read: list[str] = []
    values = operators.disagreements._values

    def reading(text: str, language: str | None) -> object:
        read.append(text)
        return values(text, language)

    monkeypatch.setattr(operators.disagreements, "_values", reading)
    pages = [Evidence(f"In 19{page} it rose by {page} %.", Kind.SHOWN, "ocr", page) for page in range(10, 20)]
    talk = [Evidence(f"It rose by {clip} percent.", Kind.SAID, "whisper", clip) for clip in range(20, 30)]
    assert find_disagreements([*pages, *talk], "en") == []
    assert read == []
    find_disagreements([*pages, Evidence("It fell by 3 percent.", Kind.SAID, "whisper", 10)], "en")
    assert len(read) == 2
