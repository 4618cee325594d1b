"""Judging a text layer from the signs of its page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.judge_text_layer import PageSigns, Verdict, judge_text_layer
from tests.pages import WORDS


def signs(text: str, **others: float) -> PageSigns:
    """Signs of a page whose every glyph is mapped."""
    return PageSigns(text=text, glyphs=len("".join(text.split())), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        WORDS,
        "日本語の文章です。今日は天気がいいので、散歩に行きます。カタカナも混ざります。",
        "Время течёт медленно, когда его не замечаешь, и быстро, когда ждёшь.",
        "تحسين الإنتاجية وحل المشكلات من خلال البرمجة بلغة R و Python في العمل",
        "आज मौसम अच्छा है और हम बाहर घूमने जा रहे हैं।",
        "이 보고서는 2020년 3월 30일 기준으로 작성되었다.",
        "Contents\nIntroduction ........................ 3\nMethods ........................ 17",
        "1 100 200\n2 101 201\n3 102 202\n-4.5 % 12,50 € (7)",
        "f(x) = x² + 2·x − 1, x ∈ ℝ, so f′(x) = 2x + 2 = 0 ⇔ x = −1",
        "Page 7",
        "–",
    ],
)
def test_text_of_any_language_is_sound(text: str) -> None:
    """Prose, tables, formulas and contents lists in any script are taken as they are."""
    assert judge_text_layer(signs(text)) is Verdict.SOUND


def test_no_glyphs_is_nothing() -> None:
    """A page without glyphs has no text layer, however much is drawn on it."""
    assert judge_text_layer(PageSigns("", 0, picture_share=1.0)) is Verdict.NOTHING


@pytest.mark.parametrize(
    "text",
    [
        '"7+%-',
        "ԔϸЇΰÎߙΨϣķgϙʆϢiϸЇԔΰÎߙΨϣķgϙʆϢi",
        " ".join(["Wkh txlfn eurzq ira mxpsv ryhu wkh odcb grj dqg uxqv dzdb"] * 5),
    ],
)
def test_characters_that_spell_nothing_are_implausible(text: str) -> None:
    """Signs for letters, scripts mixed within words, and shifted letters are not believed."""
    assert judge_text_layer(signs(text)) is Verdict.IMPLAUSIBLE


def test_glyphs_without_meaning_decide_by_their_share() -> None:
    """A symbol without meaning is put up with, a tenth of the page is not."""
    assert judge_text_layer(PageSigns(WORDS, 1000, unmapped=20)) is Verdict.SOUND
    assert judge_text_layer(PageSigns(WORDS, 1000, unmapped=100)) is Verdict.UNMAPPED
    assert judge_text_layer(PageSigns("Total", 8, unmapped=2)) is Verdict.SOUND


def test_whole_lines_without_meaning_are_a_loss() -> None:
    """Twenty glyphs in a thousand matter when they are a line: a heading in its own font."""
    assert judge_text_layer(PageSigns(WORDS, 1000, unmapped=20, lost=20)) is Verdict.UNMAPPED


def test_page_whose_every_glyph_lacks_meaning_is_unmapped() -> None:
    """The fewest glyphs count when they are all there is."""
    assert judge_text_layer(PageSigns("", 2, unmapped=2, lost=2)) is Verdict.UNMAPPED


def test_stamp_on_a_scan_is_sparse() -> None:
    """Few letters beside a large picture, or outlined letters, do not stand for the page."""
    assert judge_text_layer(signs("Scanned by Office 7", picture_share=0.95)) is Verdict.SPARSE
    assert judge_text_layer(signs("Page 3", drawn_points=1800)) is Verdict.SPARSE
    assert judge_text_layer(signs("Page 3", picture_share=0.2, drawn_points=90)) is Verdict.SOUND


def test_recognised_scan_keeps_its_text() -> None:
    """A full page of (invisible) text over a full-page picture is sound."""
    assert judge_text_layer(signs(WORDS, picture_share=1.0)) is Verdict.SOUND


@given(st.text(), st.integers(0, 500), st.integers(0, 500), st.floats(0, 1), st.integers(0, 2000))
def test_any_page_gets_a_verdict(
    text: str, glyphs: int, unmapped: int, picture_share: float, drawn: int
) -> None:
    """No text, however odd, stops the judgement; no glyphs is always nothing."""
    page = PageSigns(text, glyphs, min(unmapped, glyphs), 0, picture_share, drawn)
    assert (judge_text_layer(page) is Verdict.NOTHING) == (glyphs == 0)
