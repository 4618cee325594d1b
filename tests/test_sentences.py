"""Lines are joined to sentences that know where they stand."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.sentences import (
    Page,
    hyphen_vocabulary,
    line_sentences,
    page_of,
    paragraphs,
    speech_sentences,
    split_sentences,
)
from schemas.perception import Line, Utterance
from tests.made_perceptions import line, paragraph, slide

_PAGE = Page(595, 842, slide=False)
_SLIDE = Page(1280, 720, slide=True)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Leaves are green. Roots are not.", ["Leaves are green.", "Roots are not."]),
        ("Dr. Okafor lives in St. Ives. She teaches.", ["Dr. Okafor lives in St. Ives.", "She teaches."]),
        ("It is 3.5 metres high. See Fig. 2 there.", ["It is 3.5 metres high.", "See Fig. 2 there."]),
        ("1. Introduction to leaves", ["1. Introduction to leaves"]),
        ("J. K. Smith wrote it. E.g. here, i.e. there.", ["J. K. Smith wrote it.", "E.g. here, i.e. there."]),
        ("It began at 1:01 p.m. Nobody came.", ["It began at 1:01 p.m.", "Nobody came."]),
        ('"Is it?" he asked. "Yes!"', ['"Is it?" he asked.', '"Yes!"']),
        ("He said (loudly.) Then he left...", ["He said (loudly.)", "Then he left..."]),
        (
            "叶绿体吸收阳光。水和二氧化碳变成糖！对吗？",
            ["叶绿体吸收阳光。", "水和二氧化碳变成糖！", "对吗？"],
        ),
        ("「はい。」と言った。", ["「はい。」", "と言った。"]),
        ("كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("यह एक वाक्य है। यह दूसरा है।", ["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("Das ist z.B. so, bzw. anders. Punkt.", ["Das ist z.B. so, bzw. anders.", "Punkt."]),
        ("no stop at all", ["no stop at all"]),
        ("   ", []),
    ],
)
def test_running_text_is_split_where_sentences_end(text: str, sentences: list[str]) -> None:
    """Stops of all scripts end sentences; abbreviations, initials and numbers do not."""
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


@given(st.text(alphabet="Ab c.!?。1\n", max_size=60))
def test_splitting_loses_nothing(text: str) -> None:
    """All visible characters lie in exactly one sentence, in order."""
    spans = split_sentences(text)
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_sentences_run_over_lines_and_know_them() -> None:
    """A sentence over two lines cites both; the hyphen at a line's end goes."""
    lines = [
        line("The leaf takes light from the sun and photosyn-", 0.1, size=0.013, width=0.5),
        line("thesis begins. Water comes from the roots of the", 0.12, size=0.013, width=0.5),
        line("plant.", 0.14, size=0.013, width=0.06),
    ]
    found = line_sentences(lines, _PAGE)
    assert [(item.text, item.parts) for item in found] == [
        ("The leaf takes light from the sun and photosynthesis begins.", (0, 1)),
        ("Water comes from the roots of the plant.", (1, 2)),
    ]
    assert all(item.whole for item in found)


def test_a_paragraph_of_any_width_is_read_whole() -> None:
    """However a text is broken into lines, its sentences come back."""
    text = "Green plants store light. Professor Okafor of Lagos found that ferns store more. They grow fast."
    for letters in (30, 45, 80):
        found = line_sentences(paragraph(text, 0.1, letters=letters), _PAGE)
        assert [item.text for item in found] == [text[a:b] for a, b in split_sentences(text)]


def test_hyphens_that_belong_to_a_word_stay() -> None:
    """In front of capitals and digits, in known compounds, and between two known words."""

    def joined(first: str, second: str, *known: str) -> str:
        lines = [line(first, 0.1, size=0.013, width=0.5), line(second, 0.12, size=0.013, width=0.5)]
        return line_sentences(lines, _PAGE, hyphen_vocabulary([*known, first, second]))[0].text

    assert joined("numbers of IEEE-", "754 are") == "numbers of IEEE-754 are"
    assert joined("a well-", "known fact", "it is well-known") == "a well-known fact"
    assert (
        joined("is language-", "independent", "any language", "an independent leaf")
        == "is language-independent"
    )
    assert joined("more informa-", "tion is", "the information") == "more information is"
    assert joined("state-of-the-", "art leaf") == "state-of-the-art leaf"
    assert joined("Trace-", "Monkey runs", "TraceMonkey") == "TraceMonkey runs"


def test_bullets_and_lines_of_slides_stand_for_themselves() -> None:
    """Each line of a slide is a sentence, unless it plainly goes on in the next."""
    lines = slide(
        "What a leaf needs", "Light from the sun", "Carbon dioxide from", "the air around us", "Dr. Ann Lee"
    )
    found = line_sentences(lines, page_of(lines, 1280, 720), skip={0})
    assert [item.text for item in found] == [
        "Light from the sun",
        "Carbon dioxide from the air around us",
        "Dr. Ann Lee",
    ]
    assert [item.parts for item in found] == [(1,), (2, 3), (4,)]


def test_list_items_on_a_page_lose_their_mark() -> None:
    """Items are sentences of their own; the bullet is no part of them."""
    lines = [
        line("You need the following things for it:", 0.1, size=0.013, width=0.5),
        line("• light from the sun that shines on", 0.12, size=0.013, width=0.5),
        line("the leaf", 0.14, size=0.013, width=0.1),
        line("• water", 0.16, size=0.013, width=0.1),
        line("2) air", 0.18, size=0.013, width=0.1),
    ]
    assert [item.text for item in line_sentences(lines, _PAGE)] == [
        "You need the following things for it:",
        "light from the sun that shines on the leaf",
        "water",
        "air",
    ]


def test_columns_are_joined_and_cells_are_not() -> None:
    """A sentence goes on at the head of the next column; cells of a table do not run together."""
    columns = [
        line("the words at the foot of a column", 0.9, x=0.1, size=0.013, width=0.35),
        line("go on at the head of the next.", 0.1, x=0.55, size=0.013, width=0.35),
    ]
    assert [item.text for item in line_sentences(columns, _PAGE)] == [
        "the words at the foot of a column go on at the head of the next."
    ]
    row = [line("Name", 0.1, x=0.1, size=0.013, width=0.1), line("price", 0.1, x=0.5, size=0.013, width=0.1)]
    assert [item.text for item in line_sentences(row, _PAGE)] == ["Name", "price"]


def test_lines_ended_on_purpose_are_not_joined() -> None:
    """An address is three lines although no line ends in a full stop."""
    lines = paragraph("Leaves are green because they are full of chlorophyll and other things. " * 3, 0.1)
    below = lines[-1].y1 + 0.01
    lines += [
        line("Ann Lee", below, size=0.013, width=0.1),
        line("Institute of Botany", below + 0.02, size=0.013, width=0.2),
        line("Lagos", below + 0.04, size=0.013, width=0.06),
    ]
    assert [item.text for item in line_sentences(lines, _PAGE)][-3:] == [
        "Ann Lee",
        "Institute of Botany",
        "Lagos",
    ]


def test_chinese_lines_are_joined_without_space() -> None:
    """Chinese breaks its lines anywhere; Korean gets its space unless the word is known."""
    chinese = [
        line("植物的叶子在阳光下把水和二氧化碳变成糖并且释放氧", 0.1, size=0.013, width=0.5),
        line("气这个过程叫做光合作用。叶绿体吸收阳光并且储存能", 0.12, size=0.013, width=0.5),
        line("量。", 0.14, size=0.013, width=0.04),
    ]
    assert [item.text for item in line_sentences(chinese, _PAGE)] == [
        "植物的叶子在阳光下把水和二氧化碳变成糖并且释放氧气这个过程叫做光合作用。",
        "叶绿体吸收阳光并且储存能量。",
    ]


def test_right_to_left_paragraphs_end_at_the_left() -> None:
    """The short last line of an Arabic paragraph is short at its left."""
    lines = [
        Line("هذا نص طويل عن الطقس في المدينة", 1, 0.3, 0.1, 0.9, 0.115, "text_layer", 0.013),
        Line("والناس الذين يعيشون فيها منذ", 1, 0.3, 0.12, 0.9, 0.135, "text_layer", 0.013),
        Line("زمن.", 1, 0.8, 0.14, 0.9, 0.155, "text_layer", 0.013),
        Line("فقرة جديدة تبدأ هنا وتستمر حتى", 1, 0.3, 0.16, 0.9, 0.175, "text_layer", 0.013),
    ]
    assert paragraphs(lines, _PAGE)[0][:3] == [0, 1, 2]
    assert line_sentences(lines, _PAGE)[0].parts == (0, 1, 2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["Light", "water from", "Dr.", "ends here.", "• item"]), st.integers(0, 9)),
        max_size=8,
    )
)
def test_every_line_is_in_some_sentence(rows: list[tuple[str, int]]) -> None:
    """Joining and splitting lose no line, whatever the layout."""
    lines = [line(text, 0.1 * place) for text, place in rows]
    for layout in (_PAGE, _SLIDE):
        used = {part for item in line_sentences(lines, layout) for part in item.parts}
        assert used == set(range(len(lines)))


def _said(*texts: str, pause: float = 0.0) -> list[Utterance]:
    return [Utterance(i * (2 + pause), i * (2 + pause) + 2, text) for i, text in enumerate(texts)]


def test_sentences_of_speech_run_over_utterances() -> None:
    """A sentence cites all utterances it was said in."""
    found = speech_sentences(
        _said("A leaf needs three things:", "light, water and air. It gives", "back sugar.")
    )
    assert [(item.text, item.parts) for item in found] == [
        ("A leaf needs three things: light, water and air.", (0, 1)),
        ("It gives back sugar.", (1, 2)),
    ]


def test_speech_without_punctuation_ends_at_pauses_and_does_not_grow_without_end() -> None:
    """Automatic captions have no full stops; an hour of them is not one sentence."""
    assert len(speech_sentences(_said("a leaf needs light", "and water", pause=3))) == 2
    long = speech_sentences(_said(*["and so we go on and on about the leaf"] * 100))
    assert max(len(item.text) for item in long) < 400
    assert [part for item in long for part in item.parts] == list(range(100))


def test_a_sentence_is_said_by_one_speaker() -> None:
    """Who falls in does not go on with another's sentence."""
    first, second = _said("a leaf needs light", "and water")
    both = [replace(first, speaker="Ann"), replace(second, speaker="Ben")]
    assert [item.parts for item in speech_sentences(both)] == [(0,), (1,)]
    assert [item.parts for item in speech_sentences([first, second])] == [(0, 1)]
