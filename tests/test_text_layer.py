"""Reading lines with places from the text layer of pages."""

import pypdfium2 as pdfium
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from operators.glyph_text import Corners, empty_stretches, meaning
from operators.page_order import cut_order, reading_order
from operators.text_layer import TextLayer, read_text_layer
from tests.corpus import CORPUS, needs_corpus
from tests.pages import A4, WORDS, drawn_pdf, glyph_pdf, line_at, prose, wrapped

ALEF, LAM, MEEM, SEEN = "\u0627", "\u0644", "\u0645", "\u0633"


def read(data: bytes, page: int = 0) -> TextLayer:
    """Read one page of a document."""
    document = pdfium.PdfDocument(data)
    try:
        opened = document[page]
        return read_text_layer(opened, opened.get_size())
    finally:
        document.close()


def texts(data: bytes) -> list[str]:
    """The lines of the first page."""
    return [line.text for line in read(data).lines]


def test_born_digital_page_gives_every_word_in_order_with_its_place() -> None:
    """Lines come as drawn, with boxes in fractions of the page, letter height and full confidence."""
    layer = read(drawn_pdf(prose))
    assert [line.text for line in layer.lines] == wrapped(WORDS)
    first = layer.lines[0]
    assert first.x0 == pytest.approx(72 / A4[0], abs=0.002)
    assert first.y0 < 1 - 700 / A4[1] < first.y1
    assert first.size == pytest.approx(11 / A4[1], rel=0.35)
    assert (first.confidence, first.source) == (1.0, "text_layer")
    assert layer.turned_degrees == 0


def test_headings_are_larger_than_text() -> None:
    """`size` grows with the font, also when the matrix and not the font size makes it large."""
    content = line_at(50, 700, "Heading", 24) + "BT /F 1 Tf 12 0 0 12 50 650 Tm (Body text) Tj ET"
    heading, body = read(glyph_pdf(content)).lines
    assert heading.size == pytest.approx(2 * body.size, rel=0.1)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_page_rotation_is_undone_by_the_turn(rotate: int) -> None:
    """Text drawn along the unrotated page reads the same; the turn brings it upright."""
    layer = read(
        glyph_pdf(
            line_at(72, 700, "first line") + line_at(72, 680, "second line"),
            None,
            page_entries=f"/Rotate {rotate}",
        )
    )
    assert [line.text for line in layer.lines] == ["first line", "second line"]
    assert layer.turned_degrees == -rotate % 360
    assert layer.lines[0].x0 == pytest.approx(72 / A4[0], abs=0.002)
    assert layer.lines[0].y1 < layer.lines[1].y1 < 0.25


@pytest.mark.parametrize(("rotate", "matrix"), [(90, "0 1 -1 0 100 72"), (270, "0 -1 1 0 495 770")])
def test_text_that_is_upright_as_shown_needs_no_turn(rotate: int, matrix: str) -> None:
    """A landscape page made of a rotated portrait one is upright, and so are its boxes."""
    content = f"BT /F 12 Tf {matrix} Tm (upright as shown) Tj ET"
    layer = read(glyph_pdf(content, None, page_entries=f"/Rotate {rotate}"))
    assert layer.turned_degrees == 0
    (line,) = layer.lines
    assert line.text == "upright as shown"
    assert line.x0 == pytest.approx(72 / A4[1], abs=0.003)
    assert line.y1 < 0.25


def test_stamp_along_the_margin_is_read_last() -> None:
    """Turned text beside upright text keeps its words and does not interrupt the page."""

    def page(canvas: Canvas) -> None:
        canvas.saveState()
        canvas.translate(30, 300)
        canvas.rotate(90)
        canvas.drawString(0, 0, "preprint of 2 June")
        canvas.restoreState()
        prose(canvas)

    assert texts(drawn_pdf(page)) == [*wrapped(WORDS), "preprint of 2 June"]


def test_ligatures_hyphens_bullets_and_composed_letters_have_one_form() -> None:
    """What a font states in private or compatible codes is found by ordinary words."""
    meanings = {
        "!": "\ufb01",
        "#": "\ufb03",
        "$": "\uf0b7",
        "%": "\u00ad",
        "&": "e\u0301",
        "*": "\u2011",
        "+": "\u00a0",
    }
    assert texts(glyph_pdf(line_at(50, 700, "$ !nd the o#ce, caf& e*mail+co%op"), meanings)) == [
        "• find the office, café e-mail co-op"
    ]


def test_hyphen_at_a_line_end_stays_and_ends_the_line() -> None:
    """Joining the halves of a word is for later; here lines are as printed."""
    content = line_at(50, 700, "this is a com-") + line_at(50, 686, "pound word")
    assert texts(glyph_pdf(content)) == ["this is a com-", "pound word"]


def test_glyphs_without_meaning_are_counted_and_left_out() -> None:
    """Private-use and replacement codes are in no line; lines of nothing else are lost."""
    meanings = {"!": "\ue123", "#": "\ufffd", "$": "\x02"}
    layer = read(glyph_pdf(line_at(50, 700, "word ! word") + line_at(50, 650, "!#$#!"), meanings))
    assert [line.text for line in layer.lines] == ["word word"]
    assert (layer.glyphs, layer.unmapped, layer.lost) == (14, 6, 5)


def test_right_to_left_text_is_in_logical_order() -> None:
    """Letters drawn right to left read first to last, and lam-alef is not turned over."""
    meanings = {"a": ALEF, "l": LAM, "m": MEEM, "s": SEEN, "L": LAM + ALEF}
    # "as-salam" as shown, left to right: meem, lam-alef, seen, lam, alef.
    assert texts(glyph_pdf(line_at(50, 700, "mLsla"), meanings)) == [ALEF + LAM + SEEN + LAM + ALEF + MEEM]


def test_latin_word_in_right_to_left_text_stands_alone() -> None:
    """A space parts scripts of opposite directions even where the file has none."""
    meanings = {"a": ALEF, "l": LAM, "m": MEEM, "s": SEEN}
    (line,) = texts(glyph_pdf(line_at(50, 700, "mlsDuckDBmsla"), meanings))
    assert "DuckDB" in line.split()


def test_text_printed_twice_is_read_once() -> None:
    """Shadows and fake bold add no words; the same word elsewhere does."""
    content = line_at(50, 700, "Shadow") + line_at(50.6, 699.5, "Shadow") + line_at(50, 600, "Shadow")
    assert texts(glyph_pdf(content)) == ["Shadow", "Shadow"]


def test_text_outside_the_page_is_not_read() -> None:
    """Printer's marks and hidden text beyond the box are not on the page."""
    content = line_at(50, 700, "on the page") + line_at(50, -40, "below") + line_at(900, 700, "beside")
    layer = read(glyph_pdf(content))
    assert [line.text for line in layer.lines] == ["on the page"]
    assert layer.glyphs == 9


def test_invisible_text_is_read() -> None:
    """The text under a recognised scan is drawn invisibly."""
    assert texts(glyph_pdf("3 Tr " + line_at(50, 700, "recognised earlier"))) == ["recognised earlier"]


def test_cells_of_a_row_are_lines_of_their_own() -> None:
    """A wide gap parts cells, a list's number and bullet stay with their text."""
    content = (
        line_at(50, 700, "Name")
        + line_at(200, 700, "Price")
        + line_at(50, 680, "1.")
        + line_at(80, 680, "Scope of work")
    )
    assert texts(glyph_pdf(content)) == ["Name", "Price", "1. Scope of work"]


def test_raised_note_does_not_break_its_line() -> None:
    """The line goes on behind a raised figure, and the word before it can be found."""
    content = line_at(50, 700, "in practice") + line_at(107, 704, "2", 7) + line_at(111.5, 700, ", however")
    (line,) = texts(glyph_pdf(content))
    assert line == "in practice 2, however"


def test_exponent_stays_with_its_unit() -> None:
    """A raised figure behind a short letter is no note."""
    content = line_at(50, 700, "20 m") + line_at(74, 704, "2", 7)
    assert texts(glyph_pdf(content)) == ["20 m2"]


def test_accent_set_as_a_glyph_of_its_own_joins_its_letter() -> None:
    """TeX overprints letter and accent; search wants one letter."""
    # The breve stands above the g and is drawn after the whole word.
    content = line_at(50, 700, "Oguz", 20) + line_at(68, 700, "!", 20)
    assert texts(glyph_pdf(content, {"!": "\u02d8"})) == ["Oğuz"]


def test_columns_in_content_order_stay_so() -> None:
    """A file that writes column after column knows best."""

    def page(canvas: Canvas) -> None:
        prose(canvas, x=50, size=8)
        prose(canvas, x=310, size=8, words=WORDS.upper())

    assert texts(drawn_pdf(page)) == wrapped(WORDS) + wrapped(WORDS.upper())


def test_columns_written_row_by_row_are_read_one_after_the_other() -> None:
    """Prose that alternates between two columns is put back into columns."""
    left, right = wrapped(WORDS), wrapped(WORDS.upper())

    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 8)
        for row, (one, other) in enumerate(zip(left, right, strict=True)):
            canvas.drawString(50, 700 - 11 * row, one)
            canvas.drawString(310, 700 - 11 * row, other)

    assert texts(drawn_pdf(page)) == left + right


def test_table_is_read_row_by_row() -> None:
    """Short cells are no columns of prose."""

    def page(canvas: Canvas) -> None:
        for row in range(6):
            canvas.drawString(50, 700 - 14 * row, f"key {row}")
            canvas.drawString(310, 700 - 14 * row, f"value {row}")

    assert texts(drawn_pdf(page)) == [text for row in range(6) for text in (f"key {row}", f"value {row}")]


def test_page_written_bottom_up_is_read_top_down() -> None:
    """Content in no reading order is ordered by place."""
    lines = wrapped(WORDS, 4)

    def page(canvas: Canvas) -> None:
        for row in reversed(range(len(lines))):
            canvas.drawString(50, 700 - 14 * row, lines[row])

    assert texts(drawn_pdf(page)) == lines


def test_page_of_millions_of_points_keeps_its_text() -> None:
    """The size of the page box does not touch its words."""
    layer = read(glyph_pdf(line_at(100, 200, "Huge page"), None, media_box=(0, 0, 2_000_000, 2_000_000)))
    assert [line.text for line in layer.lines] == ["Huge page"]
    assert 0 < layer.lines[0].x1 < 0.001


def test_crop_box_is_the_page() -> None:
    """Boxes are fractions of what is shown, not of the sheet."""
    layer = read(glyph_pdf(line_at(150, 450, "word"), None, page_entries="/CropBox [100 400 300 500]"))
    assert layer.lines[0].x0 == pytest.approx(0.25, abs=0.01)
    assert layer.lines[0].y1 == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("code", "text"),
    [(0x41, "A"), (0x3000, " "), (0x200B, ""), (0x200C, "\u200c"), (0x2F00, "一"), (0xFF21, "Ａ"),
     (0x1F600, "😀"), (0xFFFD, None), (0xE000, None), (0x07, None), (0x110000, None), (-1, None)],
)  # fmt: skip
def test_meaning_of_codes(code: int, text: str | None) -> None:
    """Letters stay, blanks become spaces, the unseen goes, the meaningless is named so."""
    assert meaning(code) == text


BOXES = st.lists(
    st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(0.1, 90), st.floats(0.1, 20)).map(
        lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
    ),
    max_size=40,
)


@given(BOXES)
def test_ordering_loses_and_doubles_nothing(boxes: list[Corners]) -> None:
    """Whatever the layout, each piece is read exactly once."""
    assert sorted(cut_order(boxes)) == list(range(len(boxes)))
    numbers = list(range(len(boxes)))
    assert sorted(reading_order(numbers, boxes.__getitem__, lambda _: 30)) == numbers


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9)).map(lambda span: (span[0], sum(span)))))
def test_empty_stretches_are_exactly_what_no_span_covers(spans: list[tuple[int, int]]) -> None:
    """Gaps and spans together fill the line from the first to the last, without overlap."""
    covered = {point for low, high in spans for point in range(low, high)}
    free = {point for low, high in empty_stretches(spans) for point in range(int(low), int(high))}
    assert not covered & free
    if covered:
        assert covered | free == set(range(min(covered), max(covered) + 1))


@needs_corpus
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("docling_right_to_left_01", "الإنتاجية المشكلات Python"),
        ("unstructured_multi-column-2p", "Oğuz efficient retrieval"),
        ("docling_normal_4pages", "코로나바이러스감염"),
        ("pdfjs_vertical", "日本語"),
    ],
)
def test_real_pages_give_their_words(name: str, words: str) -> None:
    """Right-to-left, TeX, Korean and vertical pages of other programs."""
    text = read((CORPUS / "docs" / f"{name}.pdf").read_bytes()).text.replace("-\n", "")
    assert [word for word in words.split() if word not in text] == []
