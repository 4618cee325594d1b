"""Pages of a PDF become views where their text is sound, pictures where it is not."""

import io
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from operators.decode_pdf import decode_pdf_pages, render_scale
from operators.probe_document import plan_pages
from schemas.config import Config, Documents, Limits, Ocr
from schemas.failure import InputError, Reason, Stage
from schemas.media import Asset, Kind
from schemas.perception import Perception, Picture, View
from tests.corpus import CORPUS, needs_corpus
from tests.pages import (
    A4,
    WORDS,
    drawn_pdf,
    glyph_pdf,
    line_at,
    prose,
    put_picture,
    raw_pdf,
    stream,
    text_picture,
    wrapped,
)

ASSET = Asset("a", "v", "file:///a.pdf", Kind.DOCUMENT, 1, "", "")
CONFIG = Config()


def decode(data: bytes | BinaryIO | str, count: int = 1, config: Config = CONFIG) -> list[Perception]:
    """Decode the first pages; each comes back once, in order, with a view, a picture or a failure."""
    (units,) = plan_pages(count, count)
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    found = list(decode_pdf_pages(file, ASSET, units, config))
    assert [perception.unit for perception in found] == units
    for perception in found:
        assert len(perception.views) + len(perception.pictures) + len(perception.failures) == 1
        (cost,) = perception.costs
        assert (cost.stage, cost.items) == ("decode", 1)
        assert cost.seconds > 0
        pages = {
            *(view.page for view in perception.views),
            *(picture.page for picture in perception.pictures),
            *(failure.page for failure in perception.failures),
        }
        assert pages == {perception.unit.page}
    return found


def view_of(data: bytes, config: Config = CONFIG) -> View:
    """The one view of a one-page document."""
    (perception,) = decode(data, config=config)
    (view,) = perception.views
    return view


def picture_of(data: bytes, config: Config = CONFIG) -> Picture:
    """The one picture of a one-page document."""
    (perception,) = decode(data, config=config)
    (picture,) = perception.pictures
    assert len(picture.pixels) == picture.width_px * picture.height_px * 3
    return picture


def pixels(picture: Picture) -> NDArray[np.uint8]:
    """(height, width, 3)."""
    return np.frombuffer(picture.pixels, np.uint8).reshape(picture.height_px, picture.width_px, 3)


def scan(canvas: Canvas) -> None:
    """A page that is one picture."""
    put_picture(canvas, text_picture("scanned words"), 0, 0, *A4)


def settings(**documents: object) -> Config:
    """The default configuration with other document settings."""
    return Config(documents=Documents.model_validate(documents))


def test_sound_text_layer_is_taken_without_rendering() -> None:
    """A born-digital page has its lines, its size in points, and no picture."""
    view = view_of(drawn_pdf(prose))
    assert [line.text for line in view.lines] == wrapped(WORDS)
    assert (view.text_source, view.read, view.width_px, view.height_px) == ("text_layer", "none", 595, 842)


def test_scan_is_rendered_at_the_configured_resolution() -> None:
    """A page of 595 by 842 points has 1240 by 1755 pixels at 150 dpi."""
    picture = picture_of(drawn_pdf(scan))
    assert (picture.width_px, picture.height_px) == (1240, 1755)
    assert picture_of(drawn_pdf(scan), settings(dpi=72)).width_px == 595


def test_pages_are_decided_one_by_one() -> None:
    """A document may mix text, scans and empty pages."""
    text, scanned, empty = decode(drawn_pdf(prose, scan, lambda _: None), 3)
    assert text.views[0].text_source == "text_layer"
    assert scanned.pictures
    assert (empty.views[0].lines, empty.views[0].text_source) == ([], "none")


def test_stamp_over_a_scan_does_not_hide_it() -> None:
    """A few letters of text beside a full-page picture leave the page to recognition."""

    def page(canvas: Canvas) -> None:
        scan(canvas)
        canvas.drawString(72, 20, "Scanned with Office 7")

    assert picture_of(drawn_pdf(page)).width_px == 1240


def test_stamp_is_kept_where_nothing_can_recognise_the_rest() -> None:
    """With recognition off the stamp is all there is to be had."""

    def page(canvas: Canvas) -> None:
        scan(canvas)
        canvas.drawString(72, 20, "Scanned with Office 7")

    view = view_of(drawn_pdf(page), Config(ocr=Ocr(engine="off")))
    assert [line.text for line in view.lines] == ["Scanned with Office 7"]


def test_recognised_scan_keeps_its_invisible_text() -> None:
    """A picture under a page of text, as scanners write it, is not recognised again."""

    def page(canvas: Canvas) -> None:
        scan(canvas)
        canvas.setFillAlpha(0)
        prose(canvas)

    assert [line.text for line in view_of(drawn_pdf(page)).lines] == wrapped(WORDS)


def test_picture_inside_of_forms_counts_where_it_is_shown() -> None:
    """A scan wrapped in scaled forms covers the page as it would by itself."""

    def page(canvas: Canvas) -> None:
        canvas.beginForm("inner")
        put_picture(canvas, text_picture("scanned"), 0, 0, 10, 10)
        canvas.endForm()
        canvas.beginForm("outer")
        canvas.scale(10, 10)
        canvas.doForm("inner")
        canvas.endForm()
        canvas.scale(A4[0] / 100, A4[1] / 100)
        canvas.doForm("outer")
        canvas.drawString(1, 1, "page 1")

    assert picture_of(drawn_pdf(page)).page == 1


def test_small_figure_does_not_send_a_page_to_recognition() -> None:
    """A logo beside a few words leaves them as they are."""

    def page(canvas: Canvas) -> None:
        put_picture(canvas, text_picture("logo"), 72, 700, 100, 25)
        canvas.drawString(72, 600, "Annual report")

    assert [line.text for line in view_of(drawn_pdf(page)).lines] == ["Annual report"]


def test_outlined_letters_are_recognised() -> None:
    """Text turned into curves is drawing; the page number beside it is not the page."""

    def page(canvas: Canvas) -> None:
        canvas.drawString(300, 20, "12")
        path = canvas.beginPath()
        for at in range(600):
            path.moveTo(72 + at % 60 * 7, 700 - at // 60 * 20)
            path.curveTo(74 + at % 60 * 7, 705, 76, 700, 78 + at % 60 * 7, 690 - at // 60 * 20)
        canvas.drawPath(path)

    assert picture_of(drawn_pdf(page)).page == 1


def test_font_without_meaning_is_recognised() -> None:
    """Glyphs that mean private-use codes are rendered."""
    data = glyph_pdf(line_at(72, 700, "abc def"), {letter: chr(0xE000 + ord(letter)) for letter in "abcdef"})
    assert pixels(picture_of(data)).min() < 100


def test_text_layer_setting_is_honoured() -> None:
    """`never` renders a sound page; `always` takes what is there, and renders where nothing is."""
    assert picture_of(drawn_pdf(prose), settings(text_layer="never")).width_px == 1240
    always = settings(text_layer="always")
    assert view_of(glyph_pdf(line_at(72, 700, '"7+%-')), always).lines[0].text == '"7+%-'
    assert picture_of(drawn_pdf(scan), always).width_px == 1240


def test_blank_page_is_no_picture() -> None:
    """White drawing on white leaves nothing to recognise."""

    def page(canvas: Canvas) -> None:
        canvas.setFillColorRGB(1, 1, 1)
        canvas.rect(0, 0, 300, 300, stroke=0, fill=1)

    view = view_of(drawn_pdf(page))
    assert (view.lines, view.text_source) == ([], "none")


@pytest.mark.parametrize(
    ("rotate", "corner"), [(0, "left top"), (90, "right top"), (180, "right bottom"), (270, "left bottom")]
)
def test_page_is_rendered_as_shown(rotate: int, corner: str) -> None:
    """The page's rotation is applied: red ink of the upper left corner moves clockwise."""
    data = glyph_pdf("1 0 0 rg 0 700 100 142 re f", None, page_entries=f"/Rotate {rotate}")
    picture = picture_of(data)
    assert (picture.width_px < picture.height_px) == (rotate in (0, 180))
    side, edge = corner.split()
    shown = pixels(picture)[0 if edge == "top" else -1, 0 if side == "left" else -1]
    assert shown.tolist() == [255, 0, 0]


def test_turned_text_has_its_boxes_on_the_turned_page() -> None:
    """A landscape table on a portrait page is read turned, with the size of the turned page."""
    view = view_of(glyph_pdf("BT /F 12 Tf 0 1 -1 0 100 72 Tm (a landscape table) Tj ET"))
    assert (view.turned_degrees, view.width_px, view.height_px) == (90, 842, 595)
    assert view.lines[0].x0 == pytest.approx(72 / 842, abs=0.01)
    assert view.lines[0].x1 > view.lines[0].x0 + 0.05


def test_huge_page_is_rendered_within_budget() -> None:
    """A page of millions of points is scaled down, not refused."""
    data = glyph_pdf("0 0 900000 900000 re f", None, media_box=(0, 0, 2_000_000, 2_000_000))
    picture = picture_of(data)
    assert picture.width_px * picture.height_px <= CONFIG.documents.max_pixels * 1.01
    thin = glyph_pdf("0 0 9 900000000 re f", None, media_box=(0, 0, 100, 2_000_000_000))
    assert picture_of(thin).height_px <= 16_385


def test_small_page_is_rendered_as_large_as_its_scan() -> None:
    """A card of 120 points with a scan of 900 pixels keeps the scan's detail."""
    card = drawn_pdf(
        lambda canvas: put_picture(canvas, text_picture("card", (900, 600)), 0, 0, 120, 80), size=(120, 80)
    )
    assert picture_of(card).width_px == pytest.approx(900, abs=2)


def test_picture_of_absurd_size_is_refused_before_decoding() -> None:
    """Five gigabytes declared in a kilobyte are a failure of that page."""
    picture = (
        b"/Type /XObject /Subtype /Image /Width 40000 /Height 40000 /ColorSpace /DeviceRGB "
        b"/BitsPerComponent 8"
    )
    data = raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
            b"/Resources << /XObject << /I 5 0 R >> >> >>",
            4: stream(b"600 0 0 800 0 0 cm /I Do"),
            5: stream(b"x", picture),
        }
    )
    (perception,) = decode(data)
    (failure,) = perception.failures
    assert (failure.stage, failure.reason) == (Stage.DECODE, Reason.TOO_LARGE)
    assert decode(drawn_pdf(scan), config=Config(limits=Limits(pixels=1000)))[0].failures


def test_damaged_page_does_not_take_the_others_along() -> None:
    """The second of three pages is missing; the first and third are read."""
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 6 0 R "
        b"/Resources << /Font << /F 7 0 R >> >> >>"
    )
    data = raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 >>",
            3: page,
            4: b"(not a page)",
            5: page,
            6: stream(line_at(10, 100, "sound page").encode()),
            7: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        }
    )
    first, second, third = decode(data, 3)
    assert first.views[0].lines[0].text == third.views[0].lines[0].text == "sound page"
    (failure,) = second.failures
    assert (failure.reason, failure.page, failure.unit) == (Reason.CORRUPT, 2, 1)


def test_filled_in_form_is_read() -> None:
    """What was typed into a field is text of the page."""

    def page(canvas: Canvas) -> None:
        canvas.drawString(50, 700, "Name of the applicant:")
        canvas.acroForm.textfield(name="n", value="Ada Lovelace", x=250, y=690, width=150, height=20)

    assert "Ada Lovelace" in [line.text for line in view_of(drawn_pdf(page)).lines]


def test_pages_stream() -> None:
    """The first page comes out before the last is looked at."""
    (units,) = plan_pages(3, 3)
    pages = decode_pdf_pages(io.BytesIO(drawn_pdf(prose, scan, prose)), ASSET, units, CONFIG)
    assert next(pages).unit.page == 1
    pages.close()  # type: ignore[attr-defined]  # a generator


def test_only_wanted_pages_are_decoded(tmp_path: Path) -> None:
    """A task in the middle of a document opens it by path and takes its own pages."""
    path = tmp_path / "a.pdf"
    path.write_bytes(drawn_pdf(prose, scan, lambda canvas: canvas.drawString(72, 700, "third")))
    units = plan_pages(3, 3)[0][2:]
    (perception,) = decode_pdf_pages(str(path), ASSET, units, CONFIG)
    assert perception.unit.page == 3
    assert perception.views[0].lines[0].text == "third"


def test_unreadable_document_raises() -> None:
    """What concerns the whole document is not told page by page."""
    with pytest.raises(InputError) as caught:
        decode(b"%PDF-1.7\n%%EOF\n")
    assert caught.value.reason is Reason.CORRUPT


@given(st.floats(0.01, 1e9), st.floats(0.01, 1e9), st.floats(0, 1e4), st.integers(36, 600))
def test_rendering_never_exceeds_its_budget(width: float, height: float, detail: float, dpi: int) -> None:
    """Whatever the page, pixels and sides stay bounded (one pixel of rounding aside)."""
    documents = Documents(dpi=dpi)
    scale = render_scale((width, height), detail, documents)
    assert 0 < width * scale * height * scale <= documents.max_pixels * 1.0001
    assert max(width, height) * scale <= 16_385


@needs_corpus
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("docs/ocrmypdf_truetype_font_nomapping.pdf", "ocr"),
        ("docs/pdfjs_ThuluthFeatures.pdf", "ocr"),
        ("broken/pdfjs_scan-bad.pdf", "ocr"),
        ("docs/ocrmypdf_no_contents.pdf", "none"),
        ("docs/unstructured_rotated-page-90.pdf", "text_layer"),
        ("hostile/huge_mediabox.pdf", "text_layer"),
    ],
)
def test_real_pages_are_decided_rightly(name: str, source: str) -> None:
    """Garbage, stamps on scans, empty and turned pages of other programs."""
    (perception,) = decode((CORPUS / name).read_bytes())
    assert (perception.views[0].text_source if perception.views else "ocr") == source


def test_one_colour_pictures_are_blank() -> None:
    """A page covered by one grey has nothing to recognise."""
    grey = drawn_pdf(lambda canvas: put_picture(canvas, Image.new("RGB", (50, 50), "grey"), -5, -5, 700, 900))
    assert view_of(grey).text_source == "none"


def one_image(data: bytes, entries: bytes) -> bytes:
    """Write a page that shows one picture and nothing else."""
    kind = b"/Type /XObject /Subtype /Image /Width 50 /Height 50 /BitsPerComponent 8 /ColorSpace /DeviceRGB "
    return raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R "
            b"/Resources << /XObject << /X 5 0 R >> >> >>",
            4: stream(b"99 0 0 99 0 0 cm /X Do"),
            5: stream(data, kind + entries),
        }
    )


def test_a_page_whose_picture_is_damaged_is_not_taken_for_blank() -> None:
    """PDFium draws nothing for it without a word; a white picture is nothing to worry about."""
    (damaged,) = decode(one_image(b"no JPEG 2000 at all", b"/Filter /JPXDecode"))
    (white,) = decode(one_image(b"\xff" * 7500, b""))

    assert [failure.reason for failure in damaged.failures] == [Reason.CORRUPT]
    assert "picture" in damaged.failures[0].message
    assert white.views


def test_pages_that_cannot_be_reached_are_missed() -> None:
    """PDFium takes a page tree whose list of pages is lost for one empty page."""
    whole = drawn_pdf(prose, prose, prose)
    (lost,) = decode(re.sub(rb"/Count 3 .* /Type /Pages", b"/Nothing true", whole))
    (blank,) = decode(drawn_pdf(lambda _: None))

    assert [(failure.reason, failure.page) for failure in lost.failures] == [(Reason.CORRUPT, 1)]
    assert "3 pages are written" in lost.failures[0].message
    assert blank.views
