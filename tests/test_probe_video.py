"""What a media file is found to be, and how it is cut into spans."""

import io
import json
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.containers import DEMUXERS, open_container
from operators.probe_video import plan_spans, probe_media
from schemas.config import Limits
from schemas.failure import InputError, Reason
from schemas.media import Kind, UnitKind
from tests.corpus import CORPUS, needs_corpus
from tests.media import PLAIN, Encoding, encode, quadrants, save, steady

LIMITS = Limits()


def video(encoding: Encoding = PLAIN, seconds: float = 2.0, size: tuple[int, int] = (64, 48)) -> bytes:
    """Make a short video of one picture."""
    return encode(steady([(0.0, quadrants(size))], seconds, rate=10), encoding)


def wav(samples: int, claimed_bytes: int | None = None) -> bytes:
    """Make a WAV of silence, 8 kHz, 16 bits, whose header may claim another length."""
    data = bytes(2 * samples)
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16
    )
    return head + struct.pack("<4sI", b"data", len(data) if claimed_bytes is None else claimed_bytes) + data


def test_facts_of_a_plain_video() -> None:
    """Size, duration, codec, rate, title and language are stated; `und` is no language."""
    content = video(Encoding(title="A talk", language="ger"))

    facts = probe_media(io.BytesIO(content), "mov", LIMITS)

    assert facts.kind == Kind.VIDEO
    assert (facts.width_px, facts.height_px) == (64, 48)
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.11)
    assert (facts.video_codec, facts.audio_codec) == ("h264", None)
    assert facts.frame_rate == pytest.approx(10, rel=0.1)
    assert (facts.title, facts.language) == ("A talk", "ger")
    assert probe_media(io.BytesIO(video()), "mov", LIMITS).language is None


@pytest.mark.parametrize(
    ("degrees", "size"), [(0, (64, 48)), (90, (48, 64)), (180, (64, 48)), (270, (48, 64))]
)
def test_the_size_is_that_of_the_turned_picture(degrees: int, size: tuple[int, int]) -> None:
    """A phone video held upright is higher than wide."""
    facts = probe_media(io.BytesIO(video(Encoding(turned_degrees=degrees))), "mov", LIMITS)

    assert (facts.width_px, facts.height_px) == size


def test_the_size_is_that_of_square_pixels() -> None:
    """Oblong pixels stretch the width; the height stays."""
    facts = probe_media(io.BytesIO(video(Encoding(pixel_aspect=Fraction(4, 3)))), "mov", LIMITS)

    assert (facts.width_px, facts.height_px) == (85, 48)


def test_a_missing_duration_is_read_from_the_packets() -> None:
    """A Matroska file written live states none."""
    live = Encoding(container="matroska", container_options={"live": "1"})

    with open_container(io.BytesIO(video(live)), "matroska") as container:
        assert container.duration is None
    assert probe_media(io.BytesIO(video(live)), "matroska", LIMITS).duration_seconds == pytest.approx(
        2, abs=0.11
    )


def test_a_header_that_claims_gigabytes_is_not_believed() -> None:
    """A WAV of half a second that claims two gigabytes lasts half a second."""
    facts = probe_media(io.BytesIO(wav(4000, claimed_bytes=0x7FFFFFF0)), "wav", LIMITS)

    assert (facts.kind, facts.audio_codec) == (Kind.AUDIO, "pcm_s16le")
    assert facts.duration_seconds == pytest.approx(0.5)


def test_sound_without_a_sample_is_no_content() -> None:
    """An empty recording has a name of its own."""
    with pytest.raises(InputError) as caught:
        probe_media(io.BytesIO(wav(0)), "wav", LIMITS)
    assert caught.value.reason in (Reason.NO_CONTENT, Reason.CORRUPT)


def test_a_cover_picture_does_not_make_a_video() -> None:
    """Sound with an attached picture is audio."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        sound = output.add_stream("aac", rate=8000)
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(bytes(4096))
        frame.sample_rate, frame.pts = 8000, 0
        picture = av.VideoFrame.from_ndarray(quadrants(), format="rgb24").reformat(format="yuvj420p")
        for packet in (*sound.encode(frame), *sound.encode(), *cover.encode(picture), *cover.encode()):
            output.mux(packet)

    facts = probe_media(io.BytesIO(target.getvalue()), "mov", LIMITS)

    assert (facts.kind, facts.video_codec, facts.width_px) == (Kind.AUDIO, None, None)


def test_limits_are_enforced_before_decoding() -> None:
    """Too many pixels or seconds are refused by name, with both numbers."""
    with pytest.raises(InputError, match="64 x 48") as caught:
        probe_media(io.BytesIO(video()), "mov", Limits(pixels=3000))
    assert caught.value.reason is Reason.TOO_LARGE
    with pytest.raises(InputError, match="allows 1") as caught:
        probe_media(io.BytesIO(video()), "mov", Limits(seconds=1))
    assert caught.value.reason is Reason.TOO_LARGE


def test_broken_files_have_a_reason() -> None:
    """What is no media, what ends too early, and what is empty are told apart from our errors."""
    whole = video()
    cases = {
        b"this is plain text, not a video at all " * 40: Reason.CORRUPT,
        whole[: len(whole) // 2]: Reason.TRUNCATED,
        b"": Reason.EMPTY,
    }
    for content, reason in cases.items():
        with pytest.raises(InputError) as caught:
            probe_media(io.BytesIO(content), "mov", LIMITS)
        assert caught.value.reason is reason


@pytest.mark.parametrize("demuxer", ["hls", "concat", "image2", "dash", "sdp", "lavfi", "", "nonsense"])
def test_only_demuxers_of_self_contained_files_may_open(demuxer: str) -> None:
    """Whatever FFmpeg would follow elsewhere is refused by name."""
    assert demuxer not in DEMUXERS
    with pytest.raises(InputError) as caught:
        open_container(io.BytesIO(video()), demuxer)
    assert caught.value.reason is Reason.REFUSED


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    """A playlist under a media name neither opens as one nor reads the file it names."""
    save(tmp_path, "secret.mp4", video())
    lures = [
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.mp4\n",
        f"ffconcat version 1.0\nfile {tmp_path}/secret.mp4\n",
    ]
    for lure in lures:
        path = save(tmp_path, "lure.mp4", lure.encode())
        for demuxer in sorted(DEMUXERS):
            with pytest.raises(InputError):
                probe_media(path, demuxer, LIMITS)


def test_nothing_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """FFmpeg's complaints about a damaged file stay inside."""
    damaged = bytearray(video())
    damaged[200:400] = bytes(200)
    with open_container(io.BytesIO(bytes(damaged)), "mov") as container:
        for packet in container.demux():
            try:
                packet.decode()
            except av.error.FFmpegError:
                continue

    assert capfd.readouterr() == ("", "")


def test_paths_and_files_give_the_same_facts(tmp_path: Path) -> None:
    """Local and remote bytes are probed alike."""
    content = video()

    assert probe_media(save(tmp_path, "-a.mp4", content), "mov", LIMITS) == probe_media(
        io.BytesIO(content), "mov", LIMITS
    )


@given(st.floats(0.001, 1e5), st.floats(1, 3600))
def test_spans_tile_the_duration(duration: float, span: float) -> None:
    """No gap, no overlap, no tiny tail; the last ends at the duration."""
    units = plan_spans(duration, span)

    assert [unit.index for unit in units] == list(range(len(units)))
    assert {unit.kind for unit in units} == {UnitKind.SPAN}
    assert units[0].start_seconds == 0
    assert units[-1].end_seconds == duration
    for earlier, later in pairwise(units):
        assert earlier.end_seconds == later.start_seconds
    lengths = [(unit.end_seconds or 0) - (unit.start_seconds or 0) for unit in units]
    assert all(0 < length < 1.251 * span for length in lengths)
    if len(units) > 1:
        assert lengths[-1] > 0.249 * span


@pytest.mark.parametrize(
    ("duration", "borders"),
    [
        (None, [(0.0, None)]),
        (59.0, [(0.0, 59.0)]),
        (60.0, [(0.0, 60.0)]),
        (74.0, [(0.0, 74.0)]),
        (80.0, [(0.0, 60.0), (60.0, 80.0)]),
        (130.0, [(0.0, 60.0), (60.0, 130.0)]),
    ],
)
def test_examples_of_spans(duration: float | None, borders: list[tuple[float, float | None]]) -> None:
    """A tail of less than a quarter joins the span before it; no duration is one open span."""
    assert [(unit.start_seconds, unit.end_seconds) for unit in plan_spans(duration, 60)] == borders


def test_the_larger_of_two_videos_is_chosen() -> None:
    """Between two streams alike in everything else, the one with more pixels is looked at."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        streams = []
        for width, height in ((64, 48), (128, 96)):
            stream = output.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for stream in streams:
            picture = av.VideoFrame.from_ndarray(
                np.zeros((stream.height, stream.width, 3), np.uint8), format="rgb24"
            )
            for packet in (*stream.encode(picture.reformat(format="yuv420p")), *stream.encode()):
                output.mux(packet)

    assert probe_media(io.BytesIO(target.getvalue()), "matroska", LIMITS).width_px == 128


@needs_corpus
def test_facts_agree_with_what_is_known_of_real_files() -> None:
    """Codec and shown size of every corpus video; duration to a tenth of a second."""
    truth = json.loads((CORPUS / "ground_truth.json").read_text())
    checked = 0
    for name, known in truth.items():
        if not name.startswith("video/") or not known.get("video"):
            continue
        head = (CORPUS / name).read_bytes()[:4]
        demuxer = {b"\x1a\x45\xdf\xa3": "matroska", b"OggS": "ogg", b"RIFF": "avi"}.get(head, "mov")
        facts = probe_media(str(CORPUS / name), demuxer, LIMITS)
        best = max(known["video"], key=lambda stream: stream["width"] * stream["height"])
        upright = best["rotation"] in (0, 180, -180)
        aspect = Fraction((best["sar"] or "1:1").replace(":", "/"))
        size = (round(best["width"] * aspect), best["height"])
        assert (facts.width_px, facts.height_px) == (size if upright else size[::-1]), name
        assert facts.video_codec == best["codec"], name
        if "duration_s" in known and "nasa" not in name:
            assert facts.duration_seconds == pytest.approx(known["duration_s"], abs=0.1), name
        checked += 1
    assert checked > 40


@pytest.mark.parametrize(
    ("content", "demuxer", "reason"),
    [
        (encode([(0.0, quadrants())], Encoding(container="matroska"))[:400], "matroska", Reason.TRUNCATED),
        (bytes(20_000), "mpeg", Reason.CORRUPT),
        (bytes(20_000), "mpegts", Reason.CORRUPT),
        (b"OggS" + bytes(40), "ogg", Reason.TRUNCATED),
    ],
)
def test_an_end_that_comes_too_early_is_told_from_another_kind_of_file(
    content: bytes, demuxer: str, reason: Reason
) -> None:
    """Formats without a header end early only in that their mark is nowhere."""
    with pytest.raises(InputError) as caught:
        probe_media(io.BytesIO(content), demuxer, LIMITS)
    assert caught.value.reason is reason
