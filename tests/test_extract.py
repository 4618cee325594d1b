"""Sentences that stand for a text are picked from it."""

from hypothesis import given
from hypothesis import strategies as st

from operators.extract import Candidate, fit, form, pick, unit_vector
from operators.words import inverse_frequencies, words

_TEXT = [
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "The lecture hall was renovated in spring.",
    "Chlorophyll in the leaf absorbs the light that photosynthesis needs.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen!",
    "Plants store the sugar that photosynthesis makes from light and water.",
    "Coffee is served at four o'clock outside.",
]


def _picked(texts: list[str], count: int, *, running: bool = True) -> list[int]:
    candidates = [Candidate.of(text, whole=True, running=running) for text in texts]
    rarity = inverse_frequencies(candidate.tokens for candidate in candidates)
    return pick(candidates, [unit_vector(candidate.tokens, rarity) for candidate in candidates], count)


def test_central_sentences_are_picked_and_asides_are_not() -> None:
    """Of six sentences the two about the topic are taken, not coffee and renovation."""
    assert set(_picked(_TEXT, 2)) <= {0, 2, 4}


def test_nothing_is_said_twice() -> None:
    """A repetition is never picked beside what it repeats."""
    chosen = _picked(_TEXT, 6)
    assert not {0, 3} <= set(chosen)
    assert len(chosen) == len(set(chosen))


@given(st.lists(st.sampled_from(_TEXT), max_size=8), st.integers(0, 5))
def test_fewer_are_a_beginning_of_more(texts: list[str], count: int) -> None:
    """The order of choice does not depend on how many are wanted."""
    assert _picked(texts, count) == _picked(texts, 8)[:count]


def test_a_part_already_heard_steps_back() -> None:
    """With groups, the second pick comes from another part of the source."""
    candidates = [Candidate.of(text, whole=True, running=True) for text in _TEXT]
    rarity = inverse_frequencies(candidate.tokens for candidate in candidates)
    vectors = [unit_vector(candidate.tokens, rarity) for candidate in candidates]
    first, second = pick(candidates, vectors, 2, groups=[0, 0, 0, 0, 1, 1])
    assert {first, second} & {0, 2, 3}
    assert {first, second} & {4}


def test_equal_sentences_keep_their_order() -> None:
    """Of equals the first is taken, on every machine."""
    assert _picked(["Leaves are green in the warm summer."] * 3, 2) == [0]


def test_an_empty_text_has_no_summary() -> None:
    """Nothing, numbers and signs give nothing."""
    assert _picked([], 3) == []
    assert _picked(["12 345,67 89", "— — —", "4 711"], 3) == []


def test_form_prefers_sentences_to_debris() -> None:
    """Tables, contents, addresses, fragments and references read worse than a sentence."""
    good = form("A leaf needs light, water and carbon dioxide.", whole=True, running=True)
    assert good > 0.9
    for debris in (
        "12.5 13.7 19.2 21.0 total 3",
        "Introduction .......... 12",
        "ann.lee@example.org, bo@example.org, Lagos",
        "Lee, A., Chen, B.: Leaves of Africa. Botany Press, Lagos, New York (2006)",
        "See https://example.org/leaves/list.html for it.",
        "Yes.",
    ):
        assert form(debris, whole=True, running=True) < 0.5 * good, debris
    assert form("and water from the roots of the", whole=False, running=True) < 0.5 * good
    assert form("Light from the sun", whole=False, running=False) > 0.9


def test_form_needs_no_language() -> None:
    """Sentences of other scripts are judged as well as English ones."""
    for text in (
        "植物的叶子在阳光下把水和二氧化碳变成糖。",
        "पौधे सूरज की रोशनी से भोजन बनाते हैं।",
        "Растения используют солнечный свет для производства сахара.",
        "تستخدم النباتات ضوء الشمس لصنع السكر.",
        "พืชใช้แสงแดดในการผลิตน้ำตาลจากน้ำและอากาศ",
    ):
        assert form(text, whole=True, running=True) > 0.8, text
        assert words(text)


def test_summaries_fit_their_room() -> None:
    """What is too long is passed over for what fits; the first is always taken."""
    candidates = [Candidate("x" * length, 1.0, ()) for length in (50, 60, 20, 10)]
    assert fit(candidates, [0, 1, 2, 3], 3, 80) == [0, 2, 3]
    assert fit(candidates, [1], 3, 10) == [1]
    assert fit(candidates, [0, 1, 2, 3], 2, 1000) == [0, 1]
    assert fit(candidates, [0, 1], 0, 1000) == []


def test_a_letter_is_no_sentence() -> None:
    """A stray letter read into a picture stands for nothing, although there is no more."""
    assert _picked(["B"], 1, running=False) == []
    assert _picked(["光合"], 1, running=False) == [0]
