"""Titles are what stands large and tells something."""

import pytest

from operators.headings import body_size, headings
from operators.titles import (
    Layout,
    file_title,
    is_title,
    metadata_title,
    picture_title,
    same_title,
)
from schemas.perception import Line
from tests.made_perceptions import line, paragraph, slide


@pytest.mark.parametrize(
    "text",
    ["Photosynthesis", "What a leaf needs", "光合作用", "2024 in review", "Chapter 3", "Q&A", "नमस्ते दुनिया"],
)
def test_titles(text: str) -> None:
    """Words of any script may be a title, with numbers among them."""
    assert is_title(text) is (text != "Q&A")


@pytest.mark.parametrize(
    "text",
    [
        "12",
        "Page 3 of 12",
        "3 / 12",
        "iv",
        "- 7 -",
        "第3页",
        "March 2024",
        "Tuesday, January 13, 2009",
        "2024-05-01",
        "12. Mai 2024",
        "2024年5月1日",
        "https://example.org/talk",
        "www.example.org",
        "ann@example.org",
        "example.com",
        "42 %",
        "x",
        "",
        "A paragraph " * 20,
    ],
)
def test_no_titles(text: str) -> None:
    """Page numbers, dates, addresses, numbers and paragraphs are no titles."""
    assert not is_title(text)


@pytest.mark.parametrize(
    ("stated", "title"),
    [
        ("Annual  Report\n2024", "Annual Report 2024"),
        ("光合作用", "光合作用"),
        ("untitled", None),
        ("Untitled 2", None),
        ("Microsoft Word - thesis.doc", None),
        ("PowerPoint Presentation", None),
        ("report_final_v2.docx", None),
        ("C:\\Users\\ann\\talk.pptx", None),
        ("report_final_v2", None),
        ("10811.exe", None),
        ("Slide 1", None),
        ("IMG_2034", None),
        ("https://example.org", None),
        ("2024-05-01", None),
        ("", None),
        (None, None),
    ],
)
def test_stated_titles_are_believed_when_a_person_wrote_them(stated: str | None, title: str | None) -> None:
    """File names and what programs write by themselves are refused."""
    assert metadata_title(stated) == title


@pytest.mark.parametrize(
    ("uri", "title"),
    [
        ("file:///data/talk%20one.en.mp4", "talk one.en"),
        ("s3://bucket/a/b/report.pdf", "report"),
        ("memory://scan", "memory://scan"),
        ("https://example.org/x/Photosynthesis.pdf?sig=1", "Photosynthesis"),
        ("file:///data/.hidden", ".hidden"),
        ("file:///data/Talk #2: why?.mp4", "Talk #2: why?"),
        ("file://localhost/data/caf%E9.mp4", "caf\ufffd"),
    ],
)
def test_a_file_name_is_the_last_resort(uri: str, title: str) -> None:
    """The name without folder and extension, decoded."""
    assert file_title(uri) == title


def test_counters_and_slips_do_not_make_another_title() -> None:
    """A slide continued is the same slide; another number is another."""
    assert same_title("Results (1/2)", "Results (2/2)")
    assert same_title("Results", "Results (cont.)")
    assert same_title("What a leaf needs", "What a Ieaf needs")
    assert not same_title("Lesson number 11", "Lesson number 12")


def test_a_slide_is_named_by_its_largest_line() -> None:
    """Not by the larger number beside it, nor by what is boilerplate."""
    lines = [*slide("What a leaf needs", "Light", footer="ACME Institute"), line("42", 0.5, size=0.2)]
    found = picture_title(Layout.of(lines, 1280, 720))
    assert found is not None
    assert (found.text, found.lines) == ("What a leaf needs", (0,))
    marked = [line("ACME", 0.02, size=0.12), *lines]
    found = picture_title(Layout.of(marked, 1280, 720), skip={0})
    assert found is not None
    assert found.text == "What a leaf needs"


def test_a_title_over_two_lines_is_joined() -> None:
    """Lines of one size under each other are one title; a hyphen at the break goes."""
    lines = [
        line("Just-in-time type special-", 0.1, size=0.09),
        line("ization for languages", 0.22, size=0.09),
    ]
    lines += [line("A. Author", 0.5)]
    found = picture_title(Layout.of(lines, 1280, 720))
    assert found is not None
    assert found.text == "Just-in-time type specialization for languages"


def test_text_up_the_margin_is_no_title() -> None:
    """A line turned by 90 degrees has a tall box; its letters are not large."""
    upright = [line("A study of leaves", 0.1, size=0.03, source="text_layer")]
    margin = Line("Draft of 2022, not for distribution", 1.0, 0.02, 0.2, 0.05, 0.8, "text_layer", 0.6)
    found = picture_title(Layout.of([margin, *upright], 595, 842))
    assert found is not None
    assert found.text == "A study of leaves"


_BODY = "The leaf takes light from the sun and water from the roots and gives sugar to the plant " * 4


def test_headings_are_larger_or_numbered_or_in_capitals() -> None:
    """On a page of running text, headings are found and its lines are not."""
    text = "text_layer"
    lines = [line("A Study of Leaves", 0.05, size=0.024, confidence=1, source=text)]
    lines += paragraph(_BODY, 0.12)
    lines += [line("2. Methods", 0.3, size=0.013, source=text)]
    lines += paragraph(_BODY, 0.33)
    lines += [line("ACKNOWLEDGEMENTS", 0.55, size=0.013, source=text)]
    lines += paragraph(_BODY, 0.58)
    found = headings(Layout.of(lines, 595, 842), body_size([(595, 842, lines)]))
    assert [heading.text for heading in found] == ["A Study of Leaves", "2. Methods", "ACKNOWLEDGEMENTS"]
    assert found[0].strength > found[1].strength > found[2].strength


def test_deeper_sections_are_weaker() -> None:
    """`3.` is worth more than `3.1` of the same size."""
    lines = [*paragraph(_BODY, 0.05)]
    for place, text in enumerate(["3. Trace trees", "3.1 Growing them", "3.1.1 Details"]):
        lines += [line(text, 0.3 + 0.2 * place, size=0.013, source="text_layer")]
        lines += paragraph(_BODY, 0.33 + 0.2 * place)
    strengths = [
        item.strength for item in headings(Layout.of(lines, 595, 842), body_size([(595, 842, lines)]))
    ]
    assert len(strengths) == 3
    assert strengths == sorted(strengths, reverse=True)
    assert len(set(strengths)) == 3


def test_items_of_a_list_are_no_headings() -> None:
    """A numbered sentence is not a section, and a large paragraph is none either."""
    lines = paragraph(_BODY, 0.05)
    lines += [
        line(
            "1. Wash your hands with soap and water before you touch the leaf.",
            0.3,
            size=0.013,
            source="text_layer",
        )
    ]
    assert headings(Layout.of(lines, 595, 842), body_size([(595, 842, lines)])) == []


def test_recognised_letters_are_measured_by_height_and_width() -> None:
    """A bullet whose box is nearly as high as the title's is set smaller: it has more letters."""
    title = Line("Numbers to remember", 0.98, 0.033, 0.094, 0.564, 0.19, "ocr", 0.0683)
    bullets = [
        Line("680 nm: peak of photosystem II", 0.99, 0.061, 0.244, 0.567, 0.329, "ocr", 0.0598),
        Line("700 nm: peak of photosystem I", 0.99, 0.061, 0.373, 0.557, 0.458, "ocr", 0.0598),
    ]
    found = picture_title(Layout.of([title, *bullets], 854, 480))
    assert found is not None
    assert found.text == "Numbers to remember"


def _headings(lines: list[Line]) -> list[str]:
    found = headings(Layout.of(lines, 595, 842), body_size([(595, 842, lines)]))
    return [heading.text for heading in found]


def _set(text: str, y: float, *, x: float = 0.1, width: float | None = None) -> Line:
    return line(text, y, x=x, size=0.013, confidence=1, source="text_layer", width=width)


def test_a_line_set_off_above_running_text_is_a_heading() -> None:
    """Bold headings are no larger than the text; white space and what follows tell them."""
    lines = [*paragraph(_BODY, 0.05), _set("The Theory of Reasoned Action", 0.25), *paragraph(_BODY, 0.268)]
    assert _headings(lines) == ["The Theory of Reasoned Action"]


def test_what_looks_like_a_heading_and_opens_nothing_is_none() -> None:
    """Captions, cells, labels of forms, and items that run over two lines."""
    lines = paragraph(_BODY, 0.05)
    lines += [_set("Table 2", 0.25), *paragraph(_BODY, 0.268)]
    lines += [_set("TOTAL AMOUNT", 0.42, width=0.2), _set("NET AMOUNT", 0.42, x=0.5, width=0.2)]
    lines += [
        _set(
            "1. Undo and redo: introduced in the eighties, the ability to undo mistakes and", 0.5, width=0.8
        ),
        _set("to redo actions made word processors popular with every kind of writer.", 0.52, width=0.7),
    ]
    assert _headings(lines) == []


def test_labels_below_each_other_are_not_one_title() -> None:
    """A title is continued where its line was full or centred, not wherever a line follows."""
    labels = [line("Audit profile", 0.1, size=0.03), line("Country", 0.137, size=0.03)]
    centred = [
        line("Leaves of", 0.1, x=0.41, size=0.03, width=0.18),
        line("Africa", 0.137, x=0.44, size=0.03, width=0.12),
    ]
    for lines, title in ((labels, "Audit profile"), (centred, "Leaves of Africa")):
        found = picture_title(Layout.of(lines, 595, 842))
        assert found is not None
        assert found.text == title
