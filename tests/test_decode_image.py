"""Picture files of all kinds become upright RGB."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile

from operators.decode_image import decode_image_frames, fit
from operators.probe_document import plan_pages
from schemas.config import Config, Documents, Limits
from schemas.failure import InputError, Reason, Stage
from schemas.media import Asset, Kind
from schemas.perception import Perception
from tests.corpus import CORPUS, needs_corpus
from tests.pages import picture_bytes, text_picture

ASSET = Asset("a", "v", "file:///a.png", Kind.IMAGE, 1, "", "")
CONFIG = Config()


def decode(data: bytes, count: int = 1, config: Config = CONFIG) -> list[Perception]:
    """Decode frames; each comes back once, in order."""
    (units,) = plan_pages(count, count)
    found = list(decode_image_frames(io.BytesIO(data), ASSET, units, config))
    assert [perception.unit for perception in found] == units
    return found


def shown(data: bytes, config: Config = CONFIG) -> NDArray[np.uint8]:
    """Pixels of the one picture of a file, (height, width, 3)."""
    (perception,) = decode(data, config=config)
    assert perception.failures == []
    (picture,) = perception.pictures
    assert picture.page == 1
    return np.frombuffer(picture.pixels, np.uint8).reshape(picture.height_px, picture.width_px, 3)


def quarters() -> Image.Image:
    """Red, green above blue, white; 64 by 32 pixels."""
    picture = Image.new("RGB", (64, 32), "white")
    for place, colour in (((0, 0), "red"), ((32, 0), "lime"), ((0, 16), "blue")):
        picture.paste(colour, (*place, place[0] + 32, place[1] + 16))
    return picture


def corners(pixels: NDArray[np.uint8]) -> list[list[int]]:
    """Colours near the corners: left top, right top, left bottom, right bottom."""
    return [pixels[y, x].tolist() for y in (3, -4) for x in (3, -4)]


COLOURS = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
def test_every_format_gives_its_colours(form: str) -> None:
    """Red is red and left is left in every format that is read."""
    options = {"quality": 95} if form in ("JPEG", "WEBP", "AVIF") else {}
    pixels = shown(picture_bytes(quarters(), form, **options))
    assert pixels.shape == (32, 64, 3)
    assert np.abs(np.array(corners(pixels)) - COLOURS).max() < 45


@pytest.mark.parametrize(("orientation", "first"), [(3, 3), (6, 2), (8, 1)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(form: str, orientation: int, first: int) -> None:
    """The corner that comes to the upper left is the one Exif says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if form in ("JPEG", "WEBP") else {}
    pixels = shown(picture_bytes(quarters(), form, exif=exif, **options))
    assert (pixels.shape[0] > pixels.shape[1]) == (orientation in (6, 8))
    assert np.abs(pixels[3, 3].astype(int) - COLOURS[first]).max() < 60


@pytest.mark.parametrize(("ink", "ground"), [("white", 0), ("black", 255), ("yellow", 0), ("navy", 255)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_ground_contrasts_with_its_letters(ink: str, ground: int, mode: str) -> None:
    """White letters come out on black and black ones on white."""
    letters = text_picture("transparent", ink="black", ground="white").convert("L").point(lambda v: 255 - v)
    picture = Image.new("RGBA", letters.size, ink)
    picture.putalpha(letters)
    pixels = shown(picture_bytes(picture.convert(mode) if mode != "RGBA" else picture, "PNG"))
    assert pixels[0, 0].tolist() == [ground] * 3
    assert abs(int(pixels.mean(axis=2).max()) - int(pixels.mean(axis=2).min())) > 120


def test_dark_panel_with_transparent_corners_keeps_its_white_text() -> None:
    """What counts is the ink beside the transparent ground, and all of it stays visible."""
    picture = text_picture("slide", ink="white", ground="#202020").convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 12, 12))
    pixels = shown(picture_bytes(picture, "PNG"))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[100, 400].tolist() == [32, 32, 32]


@pytest.mark.parametrize(
    ("top", "dtype"), [(65535, "uint16"), (4095, "uint16"), (255, "uint16"), (1.0, "float32")]
)
def test_wide_values_keep_their_range(top: float, dtype: str) -> None:
    """A gradient of 16 bits, of 12 in 16, or of floating point runs from black to white."""
    ramp = np.tile(np.linspace(0, top, 256), (4, 1)).astype(dtype)
    pixels = shown(picture_bytes(Image.fromarray(ramp), "TIFF"))[0, :, 0].astype(int)
    assert np.abs(pixels - np.arange(256)).max() <= 1


def test_modes_without_direct_colours_are_right() -> None:
    """Palette, bilevel, grey, CMYK and Lab pictures show what they mean."""
    assert corners(shown(picture_bytes(quarters().quantize(16), "PNG"))) == COLOURS
    assert corners(shown(picture_bytes(quarters().convert("CMYK"), "TIFF"))) == COLOURS
    bilevel = shown(
        picture_bytes(quarters().convert("1", dither=Image.Dither.NONE), "TIFF", compression="group4")
    )
    assert corners(bilevel)[0] == [0, 0, 0]
    assert corners(bilevel)[3] == [255, 255, 255]
    grey = shown(picture_bytes(quarters().convert("L"), "PNG"))
    assert corners(grey)[0][0] == corners(grey)[0][1] == 76


def test_frames_of_a_tiff_are_pages() -> None:
    """Each frame is decoded by itself, at its own size."""
    frames = [Image.linear_gradient("L").resize((20 + 10 * at, 20)) for at in range(3)]
    data = picture_bytes(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    found = decode(data, 3)
    assert [(one.pictures[0].page, one.pictures[0].width_px) for one in found] == [(1, 20), (2, 30), (3, 40)]


def test_missing_frame_is_a_failure_and_the_others_go_on() -> None:
    """A unit beyond the last frame is accounted for."""
    first, second = decode(picture_bytes(quarters(), "TIFF"), 2)
    assert first.pictures
    assert second.failures[0].reason == Reason.NO_CONTENT
    assert second.failures[0].page == 2


def test_animation_gives_its_first_frame() -> None:
    """Later frames of a GIF are not pages."""
    frames = [quarters(), Image.new("RGB", (64, 32), "black")]
    data = picture_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert corners(shown(data)) == COLOURS


def test_large_picture_is_scaled_to_its_budget_and_small_left_alone() -> None:
    """The shape stays; pictures within the budget keep every pixel."""
    config = Config(documents=Documents(max_pixels=100_000))
    noise = Image.effect_noise((1600, 400), 90)
    for form in ("PNG", "JPEG", "TIFF"):
        height, width = shown(picture_bytes(noise, form), config).shape[:2]
        assert 90_000 < width * height <= 101_000, form
        assert width == pytest.approx(4 * height, abs=4), form
    assert shown(picture_bytes(noise.crop((0, 0, 65, 11)), "PNG"), config).shape == (11, 65, 3)


def test_one_colour_is_no_picture() -> None:
    """Nothing to read costs no recognition, and is no failure."""
    (perception,) = decode(picture_bytes(Image.new("RGB", (90, 60), "navy"), "PNG"))
    assert (perception.pictures, perception.failures) == ([], [])
    (view,) = perception.views
    assert (view.width_px, view.height_px, view.lines, view.text_source) == (90, 60, [], "none")


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_cut_off_picture_is_kept_as_far_as_it_goes(form: str) -> None:
    """Half a file gives its upper part and a failure that says so."""
    data = picture_bytes(Image.effect_noise((300, 300), 90), form)
    (perception,) = decode(data[: len(data) // 2])
    assert perception.pictures[0].height_px == 300
    (failure,) = perception.failures
    assert (failure.stage, failure.reason, failure.page) == (Stage.DECODE, Reason.TRUNCATED, 1)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_picture_without_pixels_is_a_failure_alone() -> None:
    """A header with nothing behind it is no picture."""
    data = picture_bytes(Image.effect_noise((300, 300), 90), "PNG")
    (perception,) = decode(data[:60])
    assert perception.pictures == []
    assert perception.failures[0].reason in (Reason.TRUNCATED, Reason.CORRUPT)


def test_frame_of_absurd_size_is_refused() -> None:
    """Later frames are checked like the first."""
    frames = [Image.linear_gradient("L").resize(size) for size in ((20, 20), (300, 300))]
    data = picture_bytes(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    first, second = decode(data, 2, Config(limits=Limits(pixels=1000)))
    assert first.pictures
    assert second.failures[0].reason == Reason.TOO_LARGE


def test_bomb_raises_before_decoding() -> None:
    """A file whose first picture is too large is refused as a whole."""
    with pytest.raises(InputError) as caught:
        decode(picture_bytes(Image.new("1", (900, 900)), "PNG"), config=Config(limits=Limits(pixels=1000)))
    assert caught.value.reason is Reason.TOO_LARGE


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.integers(100_000, 10_000_000))
def test_fitting_keeps_shape_and_budget(width: int, height: int, max_pixels: int) -> None:
    """No side vanishes, nothing grows, and the budget holds up to rounding."""
    new_width, new_height = fit((width, height), max_pixels)
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert new_width * new_height <= max_pixels + width + height
    if width * height <= max_pixels:
        assert (new_width, new_height) == (width, height)


@given(st.binary(max_size=400), st.integers(0, 200))
def test_damaged_bytes_give_a_reason(noise: bytes, place: int) -> None:
    """Overwritten files end as a picture, a failure or an InputError, never in another way."""
    data = bytearray(picture_bytes(quarters(), "PNG"))
    data[place : place + len(noise)] = noise
    try:
        (perception,) = decode(bytes(data))
    except InputError:
        return
    assert perception.pictures or perception.views or perception.failures


@needs_corpus
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("unstructured_DA-1p.heic", (595, 842)),
        ("rapidocr_img_exif_orientation.jpg", (752, 306)),
        ("unstructured_bmp_24.bmp", (200, 200)),
    ],
)
def test_real_pictures_are_decoded(name: str, size: tuple[int, int]) -> None:
    """HEIC, a turned photograph and a bitmap of other programs."""
    assert shown((CORPUS / "images" / name).read_bytes()).shape[1::-1] == size
