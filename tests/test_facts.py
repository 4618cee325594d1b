"""Numbers, dates and names of sentences, and which of them their sources state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.facts import FactKind, facts, missing_facts


def _keys(text: str, language: str | None, kind: FactKind) -> list[str]:
    return [fact.key for fact in facts(text, language) if fact.kind == kind]


def _missing(sentence: str, *sources: str, language: str | None = "en") -> list[str]:
    return [fact.text for fact in missing_facts(sentence, sources, language)]


@pytest.mark.parametrize(
    ("written", "language", "value"),
    [
        ("1,000 users", "en", "1000"),
        ("1.000 Nutzer", "de", "1000"),
        ("1 000 usagers", "fr", "1000"),
        ("1’000 Nutzer", "de", "1000"),
        ("1,234,567.89 files", "en", "1234567.89"),
        ("1.234.567,89 Dateien", "de", "1234567.89"),
        ("a ratio of 3.5", "en", "3.5"),
        ("ein Wert von 3,5", "de", "3.5"),
        ("at -5 °C", "en", "-5"),
        ("2.5 million users", "en", "2500000"),
        ("3 Mrd. Euro", "de", "3000000000"),
        ("3.5亿人", "zh", "350000000"),
        ("twenty-five users", "en", "25"),
        ("three hundred and five users", "en", "305"),
        ("five million users", "en", "5000000"),
        ("half a million users", "en", "500000"),
        ("3\nmillion of them", "en", "3000000"),
        ("in nineteen eighty-four", "en", "1984"),
        ("fünfundvierzig Nutzer", "de", "45"),
        ("drei Komma fünf Millionen", "de", "3500000"),
        ("quatre-vingt-dix-sept pour cent", "fr", "97"),
        ("cuarenta y cinco por ciento", "es", "45"),
        ("tres mil millones", "es", "3000000000"),
        ("百分之四十五", "zh", "45"),
        ("一亿三千万人", "zh", "130000000"),
        ("二〇二四年", "zh", "2024"),
        ("the 3rd attempt", "en", "3"),
        ("from 10:30 on", "en", "10:30"),
        ("release 2.1.3 of it", "en", "2.1.3"),
        ("45% of it", None, "45"),
        ("코로나-19", "ko", "19"),
    ],
)
def test_a_number_has_one_value_however_it_is_written(written: str, language: str | None, value: str) -> None:
    """Separators, scales, words and numerals all lead to the same key."""
    assert _keys(written, language, FactKind.NUMBER) == [value]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The model GPT-4 runs on H2O and 3D hardware.", "en"),
        ("No one knows which one is first.", "en"),
        ("Das ist eine gute Idee.", "de"),
        ("这个问题十分重要。", "zh"),
        ("这是一个统一的方法。", "zh"),
    ],
)
def test_what_only_looks_like_a_number_is_none(text: str, language: str) -> None:
    """Digits of codes, pronouns, articles and numerals within words state no number."""
    assert _keys(text, language, FactKind.NUMBER) == []


@pytest.mark.parametrize(
    "written",
    [
        "2024-03-12",
        "12 March 2024",
        "March 12, 2024",
        "the 12th of March 2024",
        "12.03.2024",
        "12. März 2024",
        "le 12 mars 2024",
        "12 de marzo de 2024",
        "2024年3月12日",
        "2024/3/12",
    ],
)
def test_a_date_has_one_key_however_it_is_written(written: str) -> None:
    """Order, language and signs do not matter; and nothing of a date is a number besides."""
    assert [(fact.kind, fact.key) for fact in facts(f"it was {written}", "en")] == [
        (FactKind.DATE, "2024-03-12")
    ]


def test_a_date_is_borne_out_by_one_that_states_more() -> None:
    """March 2024 follows from the 12th of March 2024, not the other way; a date names its weekday."""
    assert _missing("It was in March 2024.", "Lagos, 12 March 2024") == []
    assert _missing("It was in 2024.", "Lagos, 12 March 2024") == []
    assert _missing("It was on 12 March 2024.", "Lagos, March 2024") == ["12 March 2024"]
    assert _missing("It was on Tuesday.", "Lagos, 12 March 2024") == []
    assert _missing("It was on Monday.", "Lagos, 12 March 2024") == ["Monday"]
    assert _missing("It was on 3 April 2024.", "03/04/2024") == []
    assert _missing("It was on 4 March 2024.", "03/04/2024") == []
    assert _missing("It was on 03/04/2024.", "3 April 2024") == []


@pytest.mark.parametrize(
    ("text", "language", "names"),
    [
        ("Today Maria Okafor visits New York.", "en", ["maria okafor", "new york"]),
        ("Maria Okafor visits us.", "en", ["maria okafor"]),
        ("Okafor explains the idea.", "en", ["okafor"]),
        ("Botanist Maria Okafor explains the idea.", "en", ["maria okafor"]),
        ("However, participants discuss it.", "en", []),
        ("Participants discuss the plan.", "en", []),
        ("We use GPT-4, PyTorch and ISO9001 at NASA.", "en", ["gpt-4", "pytorch", "iso9001", "nasa"]),
        ("Der Vortrag von Maria Okafor nennt die Wirkung und die NASA.", "de", ["maria okafor", "nasa"]),
        ("Selon Marie Curie, le radium vient de Paris.", "fr", ["marie curie", "paris"]),
        ("我们用GPT-4分析样本。", "zh", ["gpt-4"]),
        ("The Light Reactions of Photosynthesis", "en", []),
        ("The film is shown in 1080p as mp4.", "en", ["1080p", "mp4"]),
        ("Training GPT-4 on Many Machines", "en", ["gpt-4"]),
    ],
)
def test_names_are_known_by_their_capitals(text: str, language: str, names: list[str]) -> None:
    """Not the capital of a sentence's first word, nor those of German nouns."""
    assert _keys(text, language, FactKind.NAME) == names


def test_names_are_found_in_another_form() -> None:
    """Case, possessive, plural, spaces and a misread letter do not make another name of it."""
    source = "Dr. MARIA 0KAFOR and Maria Okafor of the lab use gpt 4, PyTorch and Natural Language Processing"
    source += " in the U.S. for N A S A"
    for sentence in (
        "We met maria okafor.",
        "This is Okafor's work.",
        "We met Maria Okafar.",
        "We used GPT-4.",
        "We used Py Torch.",
        "We do NLP.",
        "We work in the US.",
        "We ask NASA.",
    ):
        assert _missing(sentence, source) == [], sentence
    assert _missing("We met Maria Chen.", source) == ["Maria Chen"]
    assert _missing("We used GPT-5.", source) == ["GPT-5"]
    assert _missing("We used GPT-4.", "We used GPT-45.") == ["GPT-4"]


def test_the_first_word_counts_where_it_is_known_as_a_name() -> None:
    """`Chlorella` begins a sentence like any word; elsewhere it has a capital and never none."""
    assert facts("Chlorella cells divide.", "en") == []
    assert [fact.text for fact in facts("Chlorella cells divide.", "en", {"chlorella"})] == ["Chlorella"]


def test_numbers_in_words_bear_out_digits_and_the_other_way() -> None:
    """Speech has words where a slide has digits."""
    assert _missing("A plant stores 6 % of it.", "about six percent of the light") == []
    assert _missing("A plant stores six percent of it.", "about 6 % of the light") == []
    assert _missing("Sie speichert 45 %.", "etwa fünfundvierzig Prozent", language="de") == []
    assert _missing("储存6%。", "大约百分之六", language="zh") == []


def test_units_that_are_known_must_be_the_same() -> None:
    """The number stands there, and measures something else."""
    assert _missing("It is 6 nm.", "about 6 percent") == ["6 nm"]
    assert _missing("It is 6 km long.", "a road of six kilometers") == []
    assert _missing("It is 6 km long.", "length: 6") == []
    assert _missing("It costs $5 million.", "five million dollars") == []
    assert _missing("It costs $5 million.", "five million euros") == ["5 million"]
    assert _missing("It ran in the 1980s.", "the 1980s") == []


def test_separators_that_were_misread_do_not_matter() -> None:
    """OCR reads points for commas, and columns of a table as one number."""
    assert _missing("It has 1,000 users.", "1.000 users") == []
    assert _missing("It has 345 users.", "120 345") == []
    assert _missing("It is 1.5 times faster.", "1,5") == []
    assert _missing("It has 15 users.", "1.5") == ["15"]


@given(
    st.integers(2, 10**7), st.integers(2, 10**7), st.sampled_from(["{}", "{:,}", "{} percent", "about {}."])
)
def test_an_altered_number_is_always_missing(stated: int, claimed: int, form: str) -> None:
    """A number is borne out by itself and by no other."""
    source = "The plant stores " + form.format(stated)
    sentence = "The plant stores " + form.format(claimed)
    assert bool(_missing(sentence, source)) == (stated != claimed)


_TEXTS = st.text(st.sampled_from("Maria GPT-4 12.03 2024 6 % March nineteen 三千 ,'’/:-$km"), max_size=60)


@given(_TEXTS, st.sampled_from(["en", "de", "zh", "fr", None]))
def test_a_text_bears_itself_out(text: str, language: str | None) -> None:
    """Whatever is read as a fact of a text is also found in it."""
    assert missing_facts(text, [text], language) == []


@given(st.text(max_size=80), st.lists(st.text(max_size=40), max_size=3), st.sampled_from(["en", "ja", None]))
def test_more_sources_never_make_a_fact_missing(text: str, sources: list[str], language: str | None) -> None:
    """Any text can be read, and what one source states no other takes away."""
    few = missing_facts(text, sources[:1], language)
    assert set(missing_facts(text, sources, language)) <= set(few)
