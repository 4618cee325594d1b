"""Pictures of a span: which, when, how they look, and what is said of those that are lost."""

import io
from fractions import Fraction
from functools import cache, partial

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from operators import tone_map
from operators.containers import open_container, video_stream
from operators.decode_video import decode_span
from operators.distinct import Reference
from operators.probe_video import plan_spans, probe_media
from operators.read_frames import FrameReader
from operators.sample import Grid
from operators.upright import Converter
from schemas.config import Config, load_config
from schemas.failure import Reason
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Perception, Picture
from tests.corpus import CORPUS, needs_corpus
from tests.media import PLAIN, Encoding, Pixels, encode, quadrants, slide, steady, with_dot

FIRST = slide(["Numbers to remember", "680 nm: peak of photosystem II", "about 6 percent"])
SECOND = slide(["Reading list", "Chapter 5: the light reactions", "Chapter 6: the Calvin cycle"])
THIRD = slide(["Questions", "Write to the teacher", "Next week: respiration of cells"])

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def decoded(content: bytes | str, *settings: str, demuxer: str = "mov") -> list[Perception]:
    """Probe a video, cut it into spans and decode them all."""
    config: Config = load_config(settings=settings)
    source = partial(io.BytesIO, content) if isinstance(content, bytes) else partial(str, content)
    facts = probe_media(source(), demuxer, config.limits)
    units = plan_spans(facts.duration_seconds, config.sampling.span_seconds)
    asset = Asset(
        "id", "v", "memory://a", Kind.VIDEO, 0, "", "", container=demuxer,
        duration_seconds=facts.duration_seconds, unit_count=len(units),
    )  # fmt: skip
    return [decode_span(source(), asset, unit, config) for unit in units]


def array(picture: Picture) -> Pixels:
    """View a picture's pixels as (height, width, 3)."""
    return np.frombuffer(picture.pixels, np.uint8).reshape(picture.height_px, picture.width_px, 3)


def corners(picture: Picture) -> list[tuple[int, ...]]:
    """Return the colours of the four quadrants' centres: top left, top right, bottom left, bottom right."""
    pixels = array(picture)
    height, width = pixels.shape[:2]
    places = [(y * height // 4, x * width // 4) for y in (1, 3) for x in (1, 3)]
    return [tuple(int(value) for value in pixels[place]) for place in places]


def close(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]], levels: int = 14) -> bool:
    """Tell whether colours agree as well as lossy coding allows."""
    return bool(np.abs(np.array(found) - np.array(wanted)).max() <= levels)


def times(perceptions: list[Perception]) -> list[float]:
    """Return the times of all pictures, to the millisecond."""
    return [round(picture.time_seconds or 0.0, 3) for each in perceptions for picture in each.pictures]


def lecture(seconds: float = 12.0, rate: int = 25) -> list[tuple[float, Pixels]]:
    """Show three slides, from 0, 4.2 and 8 s, over which a dot moves."""
    shown = [(0.0, FIRST), (4.2, SECOND), (8.0, THIRD)]
    return [
        (time, with_dot(pixels, 40 + round(45 * time) % 560, 345))
        for time, pixels in steady(shown, seconds, rate)
    ]


def test_each_slide_is_read_whole_once_and_a_dot_in_parts() -> None:
    """Three slides are three whole pictures; changes are cuts within one interval; text is in no part."""
    (perception,) = decoded(encode(lecture(), Encoding(options={"crf": "26", "preset": "veryfast"})))

    whole = [picture for picture in perception.pictures if not picture.changed]
    assert [picture.time_seconds for picture in whole] == [0.0, 5.0, 8.0]
    assert perception.cuts == [5.0, 8.0]
    assert perception.sampled in (12, 13)
    assert all(box.y0 > 0.85 for picture in perception.pictures for box in picture.changed)
    assert np.abs(array(whole[1]).astype(int)[:300] - SECOND[:300]).mean() < 6


def test_still_slides_are_pictures_once_with_the_time_they_stood() -> None:
    """Without motion there is one picture a slide, from when it appeared to the last look at it."""
    content = encode(steady([(0.0, FIRST), (4.2, SECOND)], 9, 25))

    (perception,) = decoded(content)

    spans = [(picture.time_seconds, picture.until_seconds) for picture in perception.pictures]
    assert spans == [(0.0, 4.0), (5.0, pytest.approx(8.96))]
    assert perception.costs[0].stage == "decode"
    assert perception.costs[0].items == perception.sampled
    assert 0 < perception.costs[0].bytes <= len(content)


@pytest.mark.parametrize("decode", ["all", "least"])
def test_spans_give_the_same_pictures_as_one_long_span(decode: str) -> None:
    """Cutting changes neither when slides are found nor what is seen; each span starts whole."""
    content = encode(lecture(), Encoding(key_every=40))
    mode = f"sampling.decode={decode}"

    together, apart = decoded(content, mode), decoded(content, mode, "sampling.span_seconds=3")

    assert [cut for each in apart for cut in each.cuts] == together[0].cuts == [5.0, 8.0]
    assert sum(each.sampled for each in apart) == together[0].sampled
    assert all(not each.pictures[0].changed for each in apart)
    assert times(apart) == times(together)


def test_a_cut_at_the_border_of_two_spans_is_found() -> None:
    """The last look before a span is compared with its first."""
    content = encode(steady([(0.0, FIRST), (4.0, SECOND)], 8, 25), Encoding(key_every=30))

    spans = decoded(content, "sampling.span_seconds=4")

    assert [each.cuts for each in spans] == [[], [4.0]]


def test_interval_gives_the_frame_on_screen_at_each_multiple() -> None:
    """At 29.97 frames a second the look at n seconds sees the frame at or before it."""
    frames = [(index * 1001 / 30000, np.full((32, 32, 3), index, np.uint8)) for index in range(100)]
    (perception,) = decoded(
        encode(frames, Encoding(time_base=Fraction(1, 30000))), "sampling.strategy=interval"
    )

    expected = [max(index for index, _ in enumerate(frames) if frames[index][0] <= look) for look in range(4)]
    assert times([perception]) == [round(frames[index][0], 3) for index in expected]
    assert [int(array(picture).mean() + 0.5) for picture in perception.pictures] == pytest.approx(
        expected, abs=2
    )
    assert perception.sampled == 4


def test_variable_frame_rate_keeps_exact_times() -> None:
    """Frames that stand for seconds or milliseconds are seen at their own times."""
    moments = [0.0, 0.1, 0.15, 2.4, 2.41, 6.0]
    frames = [(moment, np.full((32, 32, 3), 40 * index, np.uint8)) for index, moment in enumerate(moments)]

    for container, demuxer in (("mp4", "mov"), ("matroska", "matroska")):
        (perception,) = decoded(
            encode(frames, Encoding(container=container)), "sampling.strategy=interval", demuxer=demuxer
        )
        spans = [(picture.time_seconds, picture.until_seconds) for picture in perception.pictures]
        assert spans[:3] == [(0.0, 0.0), (0.15, 2.0), (2.41, 5.0)], container
        assert [int(array(picture).mean() + 0.5) for picture in perception.pictures[:3]] == pytest.approx(
            [0, 80, 160], abs=2
        )


def test_the_clock_starts_with_the_asset() -> None:
    """A transport stream whose time stamps begin anywhere starts at zero."""
    content = encode(
        [(5 + time, pixels) for time, pixels in steady([(0.0, FIRST), (2.0, SECOND)], 4, 25)],
        Encoding(container="mpegts", time_base=Fraction(1, 90000)),
    )

    facts = probe_media(io.BytesIO(content), "mpegts", load_config().limits)
    (perception,) = decoded(content, demuxer="mpegts")

    assert facts.start_seconds > 4
    assert facts.duration_seconds == pytest.approx(4, abs=0.1)
    assert times([perception]) == [0.0, 2.0]


def test_an_hour_between_two_time_stamps_costs_nothing() -> None:
    """A frame that stands still is one picture a span, however long."""
    content = encode([(0.0, FIRST), (0.04, FIRST), (3600.0, SECOND), (3600.04, SECOND)])

    spans = decoded(content)

    assert len(spans) == 60
    assert [len(each.pictures) for each in spans] == [1] * 59 + [2]
    assert sum(each.sampled for each in spans) < 130
    assert spans[5].pictures[0].time_seconds == 300
    assert spans[5].pictures[0].until_seconds == 359
    assert spans[-1].cuts == [3600.0]
    assert all(not each.failures for each in spans)


def test_a_video_shorter_than_the_interval_gives_a_picture() -> None:
    """A tenth of a second is enough."""
    for strategy in ("distinct", "interval", "keyframes", "scenes"):
        (perception,) = decoded(
            encode(steady([(0.0, FIRST)], 0.12, 25)),
            f"sampling.strategy={strategy}",
            "sampling.interval_seconds=30",
        )
        assert times([perception]) == [0.0], strategy
        assert not perception.failures


def test_a_closing_slide_shorter_than_the_interval_is_seen() -> None:
    """The very last frame is looked at when half an interval has passed since the last look."""
    content = encode(steady([(0.0, FIRST), (4.2, SECOND)], 4.8, 25))

    assert times(decoded(content))[-1] == pytest.approx(4.76)


@pytest.mark.parametrize(
    ("degrees", "order"),
    [
        (0, [RED, GREEN, BLUE, WHITE]),
        (90, [GREEN, WHITE, RED, BLUE]),
        (180, [WHITE, BLUE, GREEN, RED]),
        (270, [BLUE, RED, WHITE, GREEN]),
    ],
)
def test_pictures_are_turned_as_the_display_matrix_says(degrees: int, order: list[tuple[int, ...]]) -> None:
    """A counterclockwise turn of the picture is applied, not its opposite."""
    (perception,) = decoded(
        encode([(0.0, quadrants())], Encoding(turned_degrees=degrees, pixel_format="yuv444p"))
    )

    (picture,) = perception.pictures
    assert (picture.width_px, picture.height_px) == ((64, 48) if degrees in (0, 180) else (48, 64))
    assert close(corners(picture), order)


def test_changed_regions_are_turned_with_the_picture() -> None:
    """The box of a change lies where the change is in the upright picture."""
    before, after = FIRST, slide(["Numbers to remember", "680 nm: peak of photosystem II", "about 8 percent"])
    for degrees, turns in ((90, 1), (180, 2), (270, 3)):
        (perception,) = decoded(
            encode(steady([(0.0, before), (1.0, after)], 3, 10), Encoding(turned_degrees=degrees))
        )
        upright = np.rot90((before != after).any(axis=2), turns)
        ys, xs = np.nonzero(upright)
        y, x = ys.mean() / upright.shape[0], xs.mean() / upright.shape[1]

        boxes = perception.pictures[1].changed
        assert any(box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1 for box in boxes), degrees
        assert sum((box.x1 - box.x0) * (box.y1 - box.y0) for box in boxes) < 0.05


def test_oblong_pixels_become_square() -> None:
    """The width follows the pixel aspect; the height stays."""
    (perception,) = decoded(encode([(0.0, quadrants())], Encoding(pixel_aspect=Fraction(4, 3))))

    assert (perception.pictures[0].width_px, perception.pictures[0].height_px) == (85, 48)


def test_large_frames_are_scaled_to_the_budget() -> None:
    """The aspect stays and the budget is kept."""
    (perception,) = decoded(encode([(0.0, quadrants((640, 480)))]), "sampling.max_pixels=10000")

    (picture,) = perception.pictures
    assert picture.width_px * picture.height_px <= 10_000
    assert picture.width_px / picture.height_px == pytest.approx(4 / 3, rel=0.03)
    assert close(corners(picture), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding(),
        Encoding(pixel_format="yuv422p"),
        Encoding(pixel_format="yuv444p"),
        Encoding(pixel_format="yuv420p10le"),
        Encoding(colorspace=1),
        Encoding(colorspace=5),
        Encoding(colorspace=1, color_range=2),
        Encoding(pixel_format="yuvj420p", color_range=2),
        Encoding(codec="libx264rgb", pixel_format="rgb24"),
        Encoding(codec="ffv1", pixel_format="bgr0", container="matroska", options={}),
        Encoding(codec="libvpx-vp9", container="webm", options={"crf": "10", "b": "0"}),
        Encoding(codec="mpeg4", options={"b": "4000000"}),
        Encoding(codec="mjpeg", pixel_format="yuvj422p", options={}, container="matroska"),
    ],
    ids=lambda it: f"{it.codec}-{it.pixel_format}-{it.colorspace}-{it.color_range}",
)
def test_colours_survive_every_format(encoding: Encoding) -> None:
    """Matrix, range, depth and subsampling are honoured."""
    demuxer = "mov" if encoding.container == "mp4" else "matroska"
    (perception,) = decoded(encode([(0.0, quadrants((128, 96)))], encoding), demuxer=demuxer)

    assert close(corners(perception.pictures[0]), [RED, GREEN, BLUE, WHITE], 20)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (17, 33), (641, 361)])
def test_odd_sizes_are_decoded(size: tuple[int, int]) -> None:
    """Down to a single pixel."""
    picture = np.full((size[1], size[0], 3), 200, np.uint8)
    (perception,) = decoded(encode([(0.0, picture), (1.0, picture // 4)], Encoding(pixel_format="yuv444p")))

    assert [(each.width_px, each.height_px) for each in perception.pictures] == [size] * 2
    assert array(perception.pictures[0]).mean() == pytest.approx(200, abs=4)


@pytest.mark.parametrize(("ink", "paper"), [((0, 0, 0), 255), ((255, 255, 255), 0)], ids=["black", "white"])
def test_transparent_text_is_laid_on_paper_it_stands_out_from(ink: tuple[int, int, int], paper: int) -> None:
    """Black letters come on white, white letters on black."""
    rgba = np.zeros((48, 64, 4), np.uint8)
    rgba[20:28, 10:50] = (*ink, 255)
    frame = VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="bgra")
    content = encode([(0.0, frame)], Encoding(codec="ffv1", container="matroska", options={}))

    (perception,) = decoded(content, demuxer="matroska")

    pixels = array(perception.pictures[0])
    assert tuple(pixels[5, 5]) == (paper,) * 3
    assert tuple(pixels[24, 30]) == ink


@pytest.mark.parametrize("transfer", [tone_map.PQ, tone_map.HLG], ids=["pq", "hlg"])
def test_high_dynamic_range_is_not_washed_out(transfer: int) -> None:
    """Black stays black, paper white becomes near white, and brighter light is still told apart."""
    code = np.linspace(0, 65535, 256).astype(np.uint16)
    ramp = tone_map.to_sdr(np.repeat(code[None, :, None], 3, axis=2), transfer)[0, :, 0].astype(int)
    paper = {tone_map.PQ: 0.58, tone_map.HLG: 0.75}[transfer]

    assert ramp[0] == 0
    assert (np.diff(ramp) >= 0).all()
    assert 205 <= ramp[round(paper * 255)] <= 250
    assert ramp[-1] == 255
    assert ramp[round(min(1.0, paper + 0.12) * 255)] > ramp[round(paper * 255)]


def test_ten_bit_pq_video_is_tone_mapped() -> None:
    """A frame marked PQ goes through the mapping: text keeps its contrast."""
    gray = VideoFrame(64, 48, "yuv420p10le")
    for plane, value in zip(gray.planes, (64 + 508, 512, 512), strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
    gray.color_trc, gray.color_primaries, gray.colorspace, gray.color_range = tone_map.PQ, 9, 9, 1

    pixels, _turn = Converter(None, 10_000).pixels(gray)

    assert 200 <= pixels.mean() <= 250
    assert np.ptp(pixels) <= 2


def flipped(content: bytes, first: float, last: float) -> bytes:
    """Damage the coded pictures of a stretch of a video (seconds); its headers stay sound."""
    broken = bytearray(content)
    with open_container(io.BytesIO(content), "mov") as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pts is not None and first <= packet.pts * packet.time_base < last:
                assert packet.pos is not None
                start = packet.pos + 5
                end = packet.pos + packet.size
                broken[start:end] = bytes((value ^ 0xA5) for value in broken[start:end])
    return bytes(broken)


def test_a_damaged_stretch_is_one_failure_and_the_rest_is_kept() -> None:
    """Decoding goes on behind it; the failure says from when to when."""
    content = encode(steady([(0.0, FIRST), (8.0, SECOND)], 12, 25), Encoding(key_every=50))

    (perception,) = decoded(flipped(content, 4.0, 6.0))

    assert [failure.reason for failure in perception.failures] == [Reason.CORRUPT]
    (failure,) = perception.failures
    assert 3.9 <= (failure.start_seconds or 0) <= 4.2
    assert 5.9 <= (failure.end_seconds or 0) <= 6.2
    assert failure.unit == 0
    assert times([perception])[0] == 0.0
    assert 8.0 in times([perception])


def test_only_the_span_that_holds_the_damage_reports_it() -> None:
    """Sound spans stay sound; a span of which nothing decodes fails by itself."""
    content = encode(steady([(0.0, FIRST)], 12, 25), Encoding(key_every=25))

    spans = decoded(flipped(content, 4.0, 8.0), "sampling.span_seconds=4")

    assert [bool(each.failures) for each in spans] == [False, True, False]
    assert [each.reason for each in spans[1].failures] == [Reason.CORRUPT]
    assert [bool(each.pictures) for each in (spans[0], spans[2])] == [True, True]


def test_a_file_that_is_cut_short_keeps_what_is_there() -> None:
    """Pictures up to the end, and one TRUNCATED failure for the rest in each span it concerns."""
    faststart = Encoding(key_every=25, container_options={"movflags": "faststart"})
    content = encode(lecture(12), faststart)

    spans = decoded(content[: len(content) * 6 // 10], "sampling.span_seconds=4")

    reasons = [[failure.reason for failure in each.failures] for each in spans]
    assert reasons[0] == []
    assert reasons[-1] == [Reason.TRUNCATED]
    assert all(Reason.CORRUPT not in found for found in reasons)
    (last,) = spans[-1].failures
    assert last.end_seconds == pytest.approx(12, abs=0.1)
    lost_from = min(failure.start_seconds or 0 for each in spans for failure in each.failures)
    assert 4 < lost_from < 10
    assert lost_from - 1.1 <= times(spans)[-1] < lost_from


@cache
def thousand_a_second() -> bytes:
    """Make 2.2 s of small key frames, in which the shade changes every 0.4 s."""
    shades = [np.full((16, 16, 3), 40 * shade, np.uint8) for shade in range(6)]
    frames = [(index / 1000, shades[index // 400]) for index in range(2200)]
    return encode(frames, Encoding(key_every=1, codec="mpeg4", options={}))


@pytest.mark.parametrize("strategy", ["distinct", "interval", "keyframes", "scenes"])
def test_frames_beyond_the_limit_are_left_out(strategy: str) -> None:
    """A video of a thousand frames a second: what was decoded is kept, the rest of each span is named."""
    content = thousand_a_second()
    settings = (f"sampling.strategy={strategy}", "sampling.interval_seconds=0.1")

    whole = decoded(content, *settings, "limits.frames=2200")
    spans = decoded(content, *settings, "sampling.span_seconds=1", "limits.frames=500")

    assert not any(each.failures for each in whole)
    for span, (start, end) in zip(spans, [(0, 1), (1, 2.2)], strict=True):
        (failure,) = span.failures
        assert failure.start_seconds is not None
        assert failure.reason == Reason.TOO_LARGE
        assert "limits.frames" in failure.message
        assert failure.start_seconds == pytest.approx(start + 0.5, abs=0.11)
        assert failure.end_seconds == pytest.approx(end, abs=0.05)
        assert span.pictures
        assert all((picture.until_seconds or 0) <= failure.start_seconds for picture in span.pictures)


def test_frames_that_lead_to_a_span_are_not_counted() -> None:
    """A video with one key frame is decoded from its start for each span; that is not its fault."""
    content = encode(steady([(0.0, FIRST), (4.2, SECOND)], 8, 25), Encoding(key_every=1000))

    spans = decoded(content, "sampling.span_seconds=2", "limits.frames=90")

    assert len(spans) == 4
    assert not any(each.failures for each in spans)


def test_last_span_is_told_by_its_end() -> None:
    """Whatever units come behind it: frames beyond the declared end are seen, once."""
    content = encode(steady([(0.0, FIRST), (4.0, SECOND)], 6, 25))
    facts = probe_media(io.BytesIO(content), "mov", Config().limits)
    asset = Asset(
        "id", "v", "memory://a", Kind.VIDEO, 0, "", "", container="mov",
        duration_seconds=3.0, unit_count=3,
    )  # fmt: skip
    units = [Unit(0, UnitKind.SPAN, 0.0, 1.5), Unit(1, UnitKind.SPAN, 1.5, 3.0)]
    spans = [decode_span(io.BytesIO(content), asset, unit, Config()) for unit in units]

    assert facts.duration_seconds == pytest.approx(6)
    assert [each.cuts for each in spans] == [[], [4.0]]


def test_skipping_changes_no_picture() -> None:
    """What the decoder leaves out is never what a look sees."""
    content = encode(lecture(6), Encoding(options={"crf": "23", "preset": "medium"}))
    grid = Grid(Fraction(0), Fraction(6), Fraction(1, 2))
    seen: list[dict[Fraction, bytes]] = []
    counts = []
    for given_grid in (None, grid):
        with open_container(io.BytesIO(content), "mov") as container:
            stream = video_stream(container)
            assert stream is not None
            frames = list(FrameReader(container, stream, 10**8).frames(Fraction(0), given_grid))
            counts.append(len(frames))
            looks = {
                look: max(f.time for f in frames if f.time <= look)
                for look in (Fraction(n, 2) for n in range(12))
            }
            seen.append({f.time: bytes(f.value.planes[0]) for f in frames if f.time in looks.values()})

    assert counts[1] < counts[0]
    assert seen[0] == seen[1]


def test_keyframes_takes_the_coded_key_frames() -> None:
    """Their times, no others; a span without one shows what was on screen."""
    content = encode(
        steady([(0.0, FIRST), (3.0, SECOND)], 8, 25),
        Encoding(key_every=50, options={"crf": "20", "preset": "ultrafast", "sc_threshold": "0"}),
    )

    whole = decoded(content, "sampling.strategy=keyframes")
    cut = decoded(content, "sampling.strategy=keyframes", "sampling.span_seconds=1")

    assert times(whole) == [0.0, 2.0, 4.0, 6.0]
    assert not any(each.failures for each in (*whole, *cut))
    assert times(cut) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_scenes_takes_one_picture_of_each_a_little_after_it_began() -> None:
    """Hard cuts are found to the frame, and the picture shows the new scene."""
    scenes = [
        np.full((90, 160, 3), color, np.uint8) for color in ((200, 40, 40), (20, 60, 20), (230, 230, 250))
    ]
    content = encode(steady([(0.0, scenes[0]), (2.0, scenes[1]), (4.52, scenes[2])], 7, 25))

    (perception,) = decoded(content, "sampling.strategy=scenes")

    assert perception.cuts == pytest.approx([2.0, 4.52])
    assert len(perception.pictures) == 3
    for picture, cut, scene in zip(perception.pictures, (0.0, 2.0, 4.52), scenes, strict=True):
        assert cut <= (picture.time_seconds or 0) <= cut + 0.6
        assert np.abs(array(picture).astype(int) - scene).mean() < 8


def test_scenes_tells_slides_apart_that_look_alike_on_average() -> None:
    """Dark letters on equal paper: every slide is a scene, and a moving dot is none."""
    (perception,) = decoded(encode(lecture(12)), "sampling.strategy=scenes")

    assert perception.cuts == pytest.approx([4.2, 8.0])
    assert len(perception.pictures) == 3


def test_a_reader_can_read_again() -> None:
    """Reading twice from the same container gives the same frames."""
    with open_container(io.BytesIO(encode(lecture(3))), "mov") as container:
        stream = video_stream(container)
        assert stream is not None
        reader = FrameReader(container, stream, 10**8)

        first = [frame.time for frame in reader.frames(Fraction(0))]
        second = [frame.time for frame in reader.frames(Fraction(0))]

    assert len(first) == 75
    assert first == second


def test_no_frame_is_lost_at_the_end_of_any_stream() -> None:
    """The decoder hands out what it holds back, also where the pictures are not the first stream."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        thumbnail = output.add_stream("mpeg4", rate=25)
        main = output.add_stream("libx264", rate=25, options={"preset": "medium"})
        for stream, size in ((thumbnail, (32, 32)), (main, (64, 48))):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(30):
            for stream in (thumbnail, main):
                pixels = np.full((stream.height, stream.width, 3), 8 * index, np.uint8)
                frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
                frame.pts = index
                output.mux(stream.encode(frame))
        output.mux(thumbnail.encode())
        output.mux(main.encode())

    with open_container(io.BytesIO(target.getvalue()), "matroska") as container:
        chosen = video_stream(container)
        assert chosen is not None
        assert chosen.index == 1
        frames = list(FrameReader(container, chosen, 10**8).frames(Fraction(0)))

    assert len(frames) == 30


def test_a_change_of_size_in_the_middle_is_a_new_picture() -> None:
    """Frames of another size are whole, not an error."""
    reference = Reference()
    converter = Converter(None, 100_000)
    for size in ((64, 48), (128, 96)):
        frame = VideoFrame.from_ndarray(quadrants(size), format="rgb24").reformat(format="yuv420p")
        planes = converter.planes(frame)
        change = reference.compare(planes)
        reference.follow(planes, change)
        assert change.verdict == "whole"


def test_the_same_input_gives_the_same_output() -> None:
    """Decoding twice gives equal rows, threads or not."""
    content = encode(lecture(4), PLAIN)

    first, second = decoded(content), decoded(content)

    assert [each.pictures for each in first] == [each.pictures for each in second]
    assert [each.cuts for each in first] == [each.cuts for each in second]


@needs_corpus
@pytest.mark.parametrize(
    "name", ["lecture.mp4", "video/lecture_rot90_metadata.mp4", "video/lecture_no_audio.mp4"]
)
def test_the_lecture_is_read_whole_once_a_slide(name: str) -> None:
    """Five slides: five whole pictures, four cuts, each within one second of the truth."""
    (perception,) = decoded(str(CORPUS / name))

    assert sum(not picture.changed for picture in perception.pictures) == 5
    for cut, truth in zip(perception.cuts, [10.68, 19.44, 23.6, 31.96], strict=True):
        assert 0 <= cut - truth <= 1
    assert {(picture.width_px, picture.height_px) for picture in perception.pictures} == {(854, 480)}
