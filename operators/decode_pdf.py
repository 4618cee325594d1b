"""Turn pages of a PDF into words where their text layer is sound, into pictures where not.

A page with a sound text layer costs 20 ms and loses nothing; rendered and recognised it
costs a second and a few words in a hundred. So rendering happens only where the text layer
says too little (a scan, outlined letters) or nonsense (a font without mapping). Pages stream:
one is closed before the next is opened, and one that breaks does not take the others along.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from numpy.typing import NDArray

from operators.decode_image import is_blank
from operators.judge_text_layer import PageSigns, Verdict, judge_text_layer
from operators.open_pdf import count_written_pages, open_pdf
from operators.text_layer import TextLayer, read_text_layer
from schemas.config import Config, Documents, Limits
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Asset, Unit
from schemas.perception import Cost, Perception, Picture, View

_SIDE_PX = 16_384
"""Longest side of a rendered page: a page box of 600 by two billion points must not become
a picture one pixel wide and four million high."""
_SMALL_PAGE_PIXELS = 1_000_000
"""Pages that stay below this at the configured resolution (cards, tickets, scans that claim
2400 dpi) are rendered larger, as far as their pictures hold more."""
_GLIMPSE_SIDE_PX = 768
"""Twice what embedding models see of a picture."""
_GRID = 32
_OBJECTS = 20_000
"""Objects of a page that are looked at for pictures and drawing."""
_DRAWN_POINTS = 2_000
_FORM_DEPTH = 6
_PICTURES_TRIED = 16
_WRITTEN = (pdfium_c.FPDF_ANNOT_WIDGET, pdfium_c.FPDF_ANNOT_FREETEXT, pdfium_c.FPDF_ANNOT_STAMP)
_BYTES_A_PIXEL = 3
"""`limits.pixels` means RGB; a fax page of 35,000 x 35,000 points has one bit a pixel, and
PDFium scales it while decoding (100 MB, 1.5 s)."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What a page shows beside text."""

    is_empty: bool
    picture_share: float
    drawn_points: int
    detail: float
    """Most pixels per point of any of its pictures; 0 without pictures."""
    largest_bytes: int
    """Decoded size of its largest picture, as declared."""
    largest: tuple[int, int]


def decode_pdf_pages(
    file: BinaryIO | str, asset: Asset, units: list[Unit], config: Config
) -> Iterator[Perception]:
    """Yield one `Perception` for each unit, in order, as pages are read.

    A page has a view when its text layer was taken or nothing is on it, a picture when it
    has to be recognised, a failure (DECODE) when it could not be read.

    Args:
        file: a local path, or a stream that can be read and sought; it is not closed.
        asset: the document.
        units: pages (1-based) to decode.
        config: `documents` and `limits` apply.

    Raises:
        InputError: The document cannot be opened; see `open_pdf`.
    """
    with open_pdf(file) as document:
        for unit in units:
            perception = _decode_page(document, asset, unit, config)
            yield _with_lost_pages(perception, file) if len(document) == 1 else perception


def _with_lost_pages(perception: Perception, file: BinaryIO | str) -> Perception:
    """Note when the one page of a document is empty because its page tree is damaged.

    PDFium takes a tree whose list of pages is lost for a single page.
    """
    if perception.failures or perception.pictures or any(view.lines for view in perception.views):
        return perception
    written = count_written_pages(file)
    if written <= 1:
        return perception
    unit = perception.unit
    message = (
        f"The PDF's page tree is damaged: {written} pages are written in it, and only an empty one can be "
        "reached. Store it with another program."
    )
    failure = Failure(Stage.DECODE, Reason.CORRUPT, message, unit=unit.index, page=unit.page)
    return replace(perception, views=[], failures=[failure])


def _decode_page(document: pdfium.PdfDocument, asset: Asset, unit: Unit, config: Config) -> Perception:
    started = time.perf_counter()
    page = unit.page or 1
    found: list[View | Picture] = []
    failures: list[Failure] = []
    try:
        found.append(_read_page(document, page, config))
        if config.embedding.embeds_frames and _is_text_layer(found[0]):
            found.append(_glimpse(document, page, config.limits))
    except InputError as error:
        failures.append(Failure(Stage.DECODE, error.reason, error.message, unit=unit.index, page=page))
    pictures = [part for part in found if isinstance(part, Picture)]
    pixels = sum(picture.width_px * picture.height_px for picture in pictures)
    return Perception(
        asset,
        unit,
        pictures=pictures,
        views=[part for part in found if isinstance(part, View)],
        failures=failures,
        costs=[Cost("decode", time.perf_counter() - started, items=1, bytes=pixels)],
    )


def _read_page(document: pdfium.PdfDocument, number: int, config: Config) -> View | Picture:
    with opened_page(document, number) as page:
        return _perceive(page, number, config)


def _is_text_layer(found: View | Picture) -> bool:
    return isinstance(found, View) and found.text_source == "text_layer"


def _glimpse(document: pdfium.PdfDocument, number: int, limits: Limits) -> Picture:
    """Render a page whose text is known small, for its vector alone.

    Raises:
        InputError: TOO_LARGE for a picture on it that is; or it cannot be drawn.
    """
    with opened_page(document, number) as page:
        pixels = render_page(page, number, _GLIMPSE_SIDE_PX / max(page.get_size()), limits)
    return Picture(pixels.shape[1], pixels.shape[0], pixels.tobytes(), page=number, to_read=False)


@contextmanager
def opened_page(document: pdfium.PdfDocument, number: int) -> Iterator[pdfium.PdfPage]:
    """Load a page (1-based) with what is filled in, and close it at the end.

    Raises:
        InputError: CORRUPT or MEMORY; also for what goes wrong while the page is worked on.
    """
    try:
        page = document[number - 1]
    except pdfium.PdfiumError as error:
        message = f"Page {number} cannot be loaded: it is damaged. Store the file with another program."
        raise InputError(Reason.CORRUPT, message) from error
    try:
        if _holds_written_notes(page):
            # Merges what is filled in into the page, in memory only; seen after loading it anew.
            pdfium_c.FPDFPage_Flatten(page, pdfium_c.FLAT_NORMALDISPLAY)
            page.close()
            page = document[number - 1]
        yield page
    except pdfium.PdfiumError as error:
        message = f"Page {number} cannot be read ({error}). Store the file with another program."
        raise InputError(Reason.CORRUPT, message) from error
    except MemoryError as error:
        message = f"Page {number} needs more memory than limits.memory_bytes allows. Raise it."
        raise InputError(Reason.MEMORY, message) from error
    finally:
        page.close()


def _holds_written_notes(page: pdfium.PdfPage) -> bool:
    """Filled-in fields, text notes and stamps are text of the page that its content lacks."""
    for index in range(min(pdfium_c.FPDFPage_GetAnnotCount(page), _OBJECTS)):
        note = pdfium_c.FPDFPage_GetAnnot(page, index)
        kind = pdfium_c.FPDFAnnot_GetSubtype(note) if note else None
        if note:
            pdfium_c.FPDFPage_CloseAnnot(note)
        if kind in _WRITTEN:
            return True
    return False


def _perceive(page: pdfium.PdfPage, number: int, config: Config) -> View | Picture:
    size = page.get_size()
    wish = config.documents.text_layer
    layer = None if wish == "never" else read_text_layer(page, size)
    content = _look_at(page, config.limits)
    if layer is not None and _is_taken(layer, content, config):
        return _view(layer, size, number)
    if content.is_empty and not (layer and layer.glyphs):
        return _blank_view(size, number)
    _check_pictures(content, number, config.limits)
    pixels = _render(page, size, content, config.documents)
    if is_blank(pixels):
        _check_decodable(page, number)
        return _blank_view(size, number)
    return Picture(pixels.shape[1], pixels.shape[0], pixels.tobytes(), page=number)


def _is_taken(layer: TextLayer, content: _Content, config: Config) -> bool:
    if config.documents.text_layer == "always":
        return bool(layer.lines)
    verdict = judge_text_layer(
        PageSigns(
            text=layer.text,
            glyphs=layer.glyphs,
            unmapped=layer.unmapped,
            lost=layer.lost,
            picture_share=content.picture_share,
            drawn_points=content.drawn_points,
        )
    )
    # Without an engine to recognise the rest, a few true words are better than none.
    return verdict is Verdict.SOUND or (verdict is Verdict.SPARSE and config.ocr.engine == "off")


def _view(layer: TextLayer, size: tuple[float, float], number: int) -> View:
    width, height = size if layer.turned_degrees in (0, 180) else size[::-1]
    return View(
        width_px=max(1, round(width)),
        height_px=max(1, round(height)),
        lines=layer.lines,
        page=number,
        text_source="text_layer",
        turned_degrees=layer.turned_degrees,
    )


def _blank_view(size: tuple[float, float], number: int) -> View:
    return View(max(1, round(size[0])), max(1, round(size[1])), page=number)


def _look_at(page: pdfium.PdfPage, limits: Limits) -> _Content:
    """Look over the objects of a page, those inside of forms too, without decoding pictures."""
    covered = np.zeros((_GRID, _GRID), dtype=bool)
    bbox = page.get_bbox()
    drawn, detail, largest_bytes, largest = 0, 0.0, 0, (0, 0)
    kinds = (pdfium_c.FPDF_PAGEOBJ_IMAGE, pdfium_c.FPDF_PAGEOBJ_PATH)
    for thing in islice(page.get_objects(kinds, max_depth=_FORM_DEPTH), _OBJECTS):
        if isinstance(thing, pdfium.PdfImage):
            box = _bounds(thing)
            _cover(covered, box, bbox)
            px_size = _px_size(thing)
            if (size_bytes := _decoded_bytes(thing, px_size, limits)) > largest_bytes:
                largest_bytes, largest = size_bytes, px_size
            detail = max(detail, _detail(px_size, box))
        elif drawn < _DRAWN_POINTS:
            drawn += max(0, pdfium_c.FPDFPath_CountSegments(thing))
    is_empty = not pdfium_c.FPDFPage_CountObjects(page) and not pdfium_c.FPDFPage_GetAnnotCount(page)
    return _Content(is_empty, float(covered.mean()), drawn, detail, largest_bytes, largest)


def _px_size(picture: pdfium.PdfImage) -> tuple[int, int]:
    try:
        width, height = picture.get_px_size()
    except pdfium.PdfiumError:
        return 0, 0  # A picture that states no size is not drawn either.
    return width, height


def _decoded_bytes(picture: pdfium.PdfImage, px_size: tuple[int, int], limits: Limits) -> int:
    """Size of the decoded picture as declared; the depth is only asked for where it decides.

    PDFium decodes JPEG 2000 to know its depth, so that format counts as RGB.
    """
    pixels = px_size[0] * px_size[1]
    if pixels <= limits.pixels or "JPXDecode" in picture.get_filters():
        return pixels * _BYTES_A_PIXEL
    return int(pixels * (picture.get_metadata().bits_per_pixel or 24) // 8)


def _bounds(thing: pdfium.PdfObject) -> tuple[float, float, float, float]:
    """Box of an object in page units; objects inside of a form are placed by its matrix."""
    left, bottom, right, top = thing.get_bounds()
    corners = [(left, bottom), (left, top), (right, bottom), (right, top)]
    form = thing.container
    while form is not None:
        matrix = form.get_matrix()
        corners = [matrix.on_point(x, y) for x, y in corners]
        form = form.container
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _cover(covered: NDArray[np.bool_], box: tuple[float, ...], bbox: tuple[float, ...]) -> None:
    """Mark the cells of a grid over the page whose middle lies in the box."""
    width, height = bbox[2] - bbox[0], bbox[3] - bbox[1]
    spots = (np.arange(_GRID) + 0.5) / _GRID
    xs, ys = bbox[0] + spots * width, bbox[1] + spots * height
    inside_x, inside_y = (xs >= box[0]) & (xs <= box[2]), (ys >= box[1]) & (ys <= box[3])
    covered |= inside_y[:, None] & inside_x[None, :]


def _detail(px_size: tuple[int, int], box: tuple[float, ...]) -> float:
    area = (box[2] - box[0]) * (box[3] - box[1])
    return math.sqrt(px_size[0] * px_size[1] / area) if area > 0 else 0.0


def _check_pictures(content: _Content, number: int, limits: Limits) -> None:
    if content.largest_bytes > limits.pixels * _BYTES_A_PIXEL:
        width, height = content.largest
        message = (
            f"Page {number} holds a picture of {width}x{height} pixels ({content.largest_bytes >> 20} MiB); "
            f"limits.pixels allows {limits.pixels} of 24 bits. Raise it or store a smaller copy."
        )
        raise InputError(Reason.TOO_LARGE, message)


def _check_decodable(page: pdfium.PdfPage, number: int) -> None:
    """Tell a page that is blank from one whose picture PDFium left out because it is damaged.

    Raises:
        InputError: CORRUPT.
    """
    pictures = page.get_objects((pdfium_c.FPDF_PAGEOBJ_IMAGE,), max_depth=_FORM_DEPTH)
    for picture in islice(pictures, _PICTURES_TRIED):
        try:
            picture.get_bitmap().close()
        except pdfium.PdfiumError as error:
            message = (
                f"A picture of page {number} cannot be decoded, and nothing else is on the page. "
                "Store the file with another program."
            )
            raise InputError(Reason.CORRUPT, message) from error


def render_scale(size: tuple[float, float], detail: float, documents: Documents) -> float:
    """Choose pixels per point: the configured resolution within the pixel budget.

    Args:
        size: width and height of the page in points.
        detail: pixels per point its pictures hold.
        documents: `dpi` and `max_pixels`.
    """
    width, height = size
    scale = documents.dpi / 72
    small = math.sqrt(min(_SMALL_PAGE_PIXELS, documents.max_pixels) / (width * height))
    scale = max(scale, min(detail, small))
    return min(scale, math.sqrt(documents.max_pixels / (width * height)), _SIDE_PX / max(width, height))


def _render(
    page: pdfium.PdfPage, size: tuple[float, float], content: _Content, documents: Documents
) -> NDArray[np.uint8]:
    return _rendered(page, render_scale(size, content.detail, documents))


def render_page(page: pdfium.PdfPage, number: int, scale: float, limits: Limits) -> NDArray[np.uint8]:
    """Render a page at so many pixels per point, or as many as the limits allow.

    Returns:
        (height, width, 3) RGB, as shown.

    Raises:
        InputError: TOO_LARGE for a picture on it that is.
    """
    _check_pictures(_look_at(page, limits), number, limits)
    width, height = page.get_size()
    return _rendered(
        page, min(scale, math.sqrt(limits.pixels / (width * height)), _SIDE_PX / max(width, height))
    )


def _rendered(page: pdfium.PdfPage, scale: float) -> NDArray[np.uint8]:
    """Render a page as shown, (height, width, 3) RGB."""
    bitmap = page.render(scale=scale, rev_byteorder=True, may_draw_forms=False)
    try:
        pixels: NDArray[np.uint8] = bitmap.to_numpy().copy()
        return pixels
    finally:
        bitmap.close()
