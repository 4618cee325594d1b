"""Facts and plans of documents and picture files."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reportlab.lib import pdfencrypt
from reportlab.pdfgen.canvas import Canvas

from operators.probe_document import count_pages, plan_pages, probe_image, probe_pdf
from schemas.config import Limits
from schemas.failure import InputError, Reason
from schemas.media import UnitKind
from tests.corpus import CORPUS, needs_corpus
from tests.pages import drawn_pdf, glyph_pdf, line_at, picture_bytes, prose, raw_pdf, text_picture

LIMITS = Limits()


def refusal(data: bytes, limits: Limits = LIMITS) -> Reason:
    """The reason for which a PDF is refused."""
    with pytest.raises(InputError) as caught:
        probe_pdf(io.BytesIO(data), limits)
    return caught.value.reason


def test_facts_of_a_pdf() -> None:
    """Pages, size of the first in points, title and language."""
    facts = probe_pdf(
        io.BytesIO(drawn_pdf(prose, prose, prose, size=(400, 300), title="  River\tmaps ")), LIMITS
    )
    assert (facts.page_count, facts.width_px, facts.height_px) == (3, 400, 300)
    assert (facts.title, facts.language, facts.failures) == ("River maps", None, [])


def test_language_and_rotation_are_as_stated() -> None:
    """A page turned by 90 degrees is as wide as it is shown."""
    catalog = b"<< /Type /Catalog /Pages 2 0 R /Lang (de-AT) >>"
    data = glyph_pdf(line_at(10, 10, "x"), None, (0, 0, 200, 100), "/Rotate 90").replace(
        b"<< /Type /Catalog /Pages 2 0 R >>", catalog
    )
    facts = probe_pdf(io.BytesIO(data), LIMITS)
    assert (facts.width_px, facts.height_px, facts.language) == (100, 200, "de-AT")


def test_path_and_stream_give_the_same(tmp_path: Path) -> None:
    """A document may be given by its path."""
    path = tmp_path / "a.pdf"
    data = drawn_pdf(prose)
    path.write_bytes(data)
    assert probe_pdf(str(path), LIMITS) == probe_pdf(io.BytesIO(data), LIMITS)


def test_password_is_named() -> None:
    """A PDF that needs a password says so; one with an empty one opens."""

    def locked(user: str) -> bytes:
        out = io.BytesIO()
        canvas = Canvas(out, encrypt=pdfencrypt.StandardEncryption(user, ownerPassword="owner"))
        prose(canvas)
        canvas.save()
        return out.getvalue()

    assert refusal(locked("secret")) is Reason.PASSWORD
    assert probe_pdf(io.BytesIO(locked("")), LIMITS).page_count == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"%PDF-1.7\n", Reason.TRUNCATED),
        (drawn_pdf(prose)[:300], Reason.TRUNCATED),
        (b"%PDF-1.7\nnothing\n%%EOF\n", Reason.CORRUPT),
        (b"plain text\n%%EOF", Reason.CORRUPT),
        (raw_pdf({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
         Reason.NO_CONTENT),
    ],
)  # fmt: skip
def test_unreadable_pdf_has_a_reason(data: bytes, reason: Reason) -> None:
    """What PDFium calls a format error is told apart."""
    assert refusal(data) is reason


def test_failing_store_is_not_called_corruption() -> None:
    """An error while reading is the store's, and is not swallowed by PDFium."""

    class Failing(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError("connection lost")

    with pytest.raises(InputError, match="connection lost") as caught:
        probe_pdf(Failing(drawn_pdf(prose)), LIMITS)
    assert caught.value.reason is Reason.UNREADABLE


def test_lying_page_count_is_cut_to_what_exists() -> None:
    """A million declared pages are one page and one failure, not a million units."""
    data = glyph_pdf(line_at(10, 10, "x")).replace(b"/Count 1 ", b"/Count 1000000 ")
    facts = probe_pdf(io.BytesIO(data), LIMITS)
    assert facts.page_count == 1
    assert [(failure.reason, failure.page) for failure in facts.failures] == [(Reason.CORRUPT, 2)]


def test_page_tree_without_pages_is_corrupt() -> None:
    """A tree that contains itself has no page."""
    loop = {1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [2 0 R] /Count 2 >>"}
    assert refusal(raw_pdf(loop)) is Reason.CORRUPT


def test_too_many_pages_are_refused() -> None:
    """`limits.pages` is compared with the pages that exist."""
    assert refusal(drawn_pdf(prose, prose, prose), Limits(pages=2)) is Reason.TOO_LARGE


@given(st.integers(1, 3000), st.integers(1, 3000), st.sets(st.integers(0, 2999)))
def test_page_count_never_exceeds_the_declared(declared: int, existing: int, broken: set[int]) -> None:
    """Broken pages inside of a document leave its count alone; missing ones behind it do not count."""
    assert count_pages(declared, lambda index: index < existing) == min(declared, existing)
    last_exists = declared <= existing
    if last_exists and declared - 1 not in broken:
        assert count_pages(declared, lambda index: index < existing and index not in broken) == declared


@given(st.integers(0, 300), st.integers(1, 50))
def test_plan_has_each_page_once_in_order(pages: int, per_task: int) -> None:
    """Tasks are full but for the last, indices 0-based, pages 1-based."""
    tasks = plan_pages(pages, per_task)
    units = [unit for task in tasks for unit in task]
    assert [(unit.index, unit.page) for unit in units] == [(index, index + 1) for index in range(pages)]
    assert all(unit.kind == UnitKind.PAGE for unit in units)
    assert all(len(task) == per_task for task in tasks[:-1])
    assert all(0 < len(task) <= per_task for task in tasks)


def test_picture_size_is_as_shown() -> None:
    """Exif orientation 6 swaps width and height; without it nothing is swapped."""
    picture = text_picture("x", (80, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        facts = probe_image(io.BytesIO(picture_bytes(picture, form, exif=exif)), LIMITS)
        assert (facts.width_px, facts.height_px, facts.page_count) == (20, 80, 1), form
        plain = probe_image(io.BytesIO(picture_bytes(picture, form)), LIMITS)
        assert (plain.width_px, plain.height_px) == (80, 20), form


def test_frames_of_a_tiff_are_pages_and_animations_one() -> None:
    """A GIF of three frames is one picture, a TIFF of three is three pages."""
    frames = [Image.new("L", (9, 9), shade) for shade in (0, 100, 200)]
    options = {"save_all": True, "append_images": frames[1:]}
    assert probe_image(io.BytesIO(picture_bytes(frames[0], "TIFF", **options)), LIMITS).page_count == 3
    assert probe_image(io.BytesIO(picture_bytes(frames[0], "GIF", **options)), LIMITS).page_count == 1
    with pytest.raises(InputError) as caught:
        probe_image(io.BytesIO(picture_bytes(frames[0], "TIFF", **options)), Limits(pages=2))
    assert caught.value.reason is Reason.TOO_LARGE


def test_declared_size_is_checked_and_the_guard_put_back() -> None:
    """A picture beyond `limits.pixels` is refused; Pillow's own limit is as before."""
    before = Image.MAX_IMAGE_PIXELS
    for pixels in (899, 100):
        with pytest.raises(InputError) as caught:
            probe_image(io.BytesIO(picture_bytes(Image.new("1", (30, 30)), "PNG")), Limits(pixels=pixels))
        assert caught.value.reason is Reason.TOO_LARGE
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"no picture", Reason.CORRUPT),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", Reason.CORRUPT),
        (drawn_pdf(prose), Reason.CORRUPT),
        (picture_bytes(Image.new("RGB", (9, 9)), "PPM"), Reason.CORRUPT),
    ],
)
def test_only_picture_formats_are_opened(data: bytes, reason: Reason) -> None:
    """PostScript and documents never reach a decoder."""
    with pytest.raises(InputError) as caught:
        probe_image(io.BytesIO(data), LIMITS)
    assert caught.value.reason is reason


@needs_corpus
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("docs/tabula-java_encrypted.pdf", Reason.PASSWORD),
        ("docs/docling_2206.01062_pg3.pdf", Reason.PASSWORD),
        ("hostile/kids_loop.pdf", Reason.CORRUPT),
        ("hostile/zero_byte.pdf", Reason.EMPTY),
    ],
)
def test_real_broken_documents_have_their_reason(name: str, reason: Reason) -> None:
    """Files of other programs."""
    assert refusal((CORPUS / name).read_bytes()) is reason


def test_pages_behind_a_damaged_cross_reference_table_are_missed() -> None:
    """What PDFium mends is compared with what is written; a table that only lies by an offset is not told."""
    one, two = drawn_pdf(prose), drawn_pdf(prose, prose)
    joined = probe_pdf(io.BytesIO(two + one), LIMITS)
    mended = probe_pdf(io.BytesIO(two.replace(b"startxref\n", b"startxref\n9")), LIMITS)

    assert joined.page_count == 1
    assert [failure.reason for failure in joined.failures] == [Reason.CORRUPT]
    assert (mended.page_count, mended.failures) == (2, [])


@pytest.mark.parametrize("form", ["WEBP", "TIFF", "AVIF", "PNG"])
def test_a_picture_cut_off_in_its_header_says_so(form: str) -> None:
    """The frame of the format promises more bytes than there are: copying again may help."""
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    whole = picture_bytes(text_picture("Cut"), form, **options)
    cut = len(whole) // 20 if form != "PNG" else 30

    with pytest.raises(InputError) as caught:
        probe_image(io.BytesIO(whole[:cut]), LIMITS)
    assert caught.value.reason is Reason.TRUNCATED
