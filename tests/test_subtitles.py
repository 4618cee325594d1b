"""Words from subtitle tracks and sidecar files."""

import io
import time
from fractions import Fraction

import av
import pytest
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import SubtitleSet
from hypothesis import given
from hypothesis import strategies as st

from operators.subtitles import read_sidecar, read_subtitle_tracks
from schemas.media import Asset, Kind
from tests.corpus import CORPUS, needs_corpus

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Good</i> morning
{\\an8}everyone

2
00:00:0x,000 --> 00:00:04,000
a broken cue

3
00:01:05,5 --> 01:00:06,000
five < six & so
1984

4
00:00:07,000 --> 00:00:07,000
no duration
"""

VTT = """WEBVTT - a talk

STYLE
::cue { color: red }

NOTE 00:00.000 --> 00:09.000
not shown

intro
00:01.000 --> 00:02.500 align:start position:10%
<v Maria Okafor>Good <b>morning</b> &amp; welcome
<c.yellow>all</c> <00:00:02.000>of you

bad --> cue
of no use

100:00:03.000 --> 100:00:04.250
late
"""


def test_srt_cues_keep_words_and_times_and_lose_only_the_broken_ones() -> None:
    """Tags go, text that looks like a number or a tag stays, one bad cue costs itself alone."""
    cues = read_sidecar(SRT.encode(), "folder/talk.en.srt", "en")

    assert [(cue.start_seconds, cue.end_seconds, cue.text) for cue in cues] == [
        (1.0, 2.5, "Good morning\neveryone"),
        (65.5, 3606.0, "five < six & so\n1984"),
    ]
    assert {(cue.source, cue.language) for cue in cues} == {("subtitle:talk.en.srt", "en")}


def test_webvtt_cues_leave_out_notes_styles_and_broken_cues() -> None:
    """What is not shown is not said; entities are characters."""
    cues = read_sidecar(VTT.encode(), "talk.vtt", None)

    assert [(cue.start_seconds, cue.end_seconds, cue.text) for cue in cues] == [
        (1.0, 2.5, "Good morning & welcome\nall of you"),
        (360003.0, 360004.25, "late"),
    ]


def test_cues_without_a_blank_line_between_them_are_told_apart() -> None:
    """A careless file still gives each cue its own words."""
    text = "1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:02,000 --> 00:00:03,000\ntwo\n"

    assert [cue.text for cue in read_sidecar(text.encode(), "a.srt", None)] == ["one", "two"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom"])
def test_marked_encodings_are_read(encoding: str) -> None:
    """Byte order marks decide; lines may end as on any system."""
    text = SRT.replace("morning", "光合作用").replace("\n", "\r\n")
    content = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-bom" else text.encode(encoding)

    assert read_sidecar(content, "a.srt", None)[0].text == "Good 光合作用\neveryone"


def test_unmarked_old_encodings_are_told_by_language_or_guessed() -> None:
    """Text that is not UTF-8 keeps its letters, by the language in the name or by likeness."""
    text = "1\n00:00:01,000 --> 00:00:04,000\nLes élèves étaient déjà très fatigués à la fenêtre de l'école\n"

    assert "élèves étaient déjà" in read_sidecar(text.encode("cp1252"), "a.srt", "fr")[0].text
    russian = (
        "1\n00:00:01,000 --> 00:00:04,000\nДоброе утро, меня зовут Мария, сегодня мы говорим о растениях\n"
    )
    assert "меня зовут Мария" in read_sidecar(russian.encode("cp1251"), "a.srt", None)[0].text


@given(
    st.binary(max_size=300)
    | st.text(alphabet="0123456789:,.->\n WEBVTNO<{}&\\", max_size=300).map(str.encode)
)
def test_no_bytes_break_the_parser(content: bytes) -> None:
    """Whatever a file holds, it gives cues in order or none."""
    starts = [cue.start_seconds for cue in read_sidecar(content, "a.srt", None)]

    assert starts == sorted(starts)


def asset(content: bytes, container: str) -> Asset:
    """Describe a file as probed."""
    return Asset(
        "id", "v", "memory://a", Kind.VIDEO, len(content), "", "", container=container, duration_seconds=9.0
    )


def with_track(cues: list[tuple[float, float, str]], codec: str, container: str, language: str) -> bytes:
    """Mux one subtitle track of cues (start, end, ASS text)."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec)
        assert isinstance(stream, SubtitleStream)
        stream.codec_context.subtitle_header = _HEADER
        stream.metadata["language"] = language
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for start, end, text in cues:
            span = SubtitleSet.create(
                f"0,0,Default,,0,0,0,,{text}".encode(),
                0,
                round((end - start) * 1000),
                pts=round(start * 1_000_000),
            )
            packet = stream.codec_context.encode_subtitle(span)
            packet.stream = stream
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            packet.time_base = Fraction(1, 1000)
            output.mux(packet)
    return target.getvalue()


_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@pytest.mark.parametrize("codec", ["subrip", "ass", "webvtt"])
def test_embedded_tracks_give_plain_words_at_their_times(codec: str) -> None:
    """Tags and line breaks of ASS become plain text; the language is the track's."""
    content = with_track(
        [(1.0, 2.5, r"{\i1}Good{\i0} morning\Neveryone"), (4.0, 5.0, "a, b, c")], codec, "matroska", "fre"
    )

    cues = read_subtitle_tracks(io.BytesIO(content), "matroska", asset(content, "matroska"))

    assert [(cue.start_seconds, cue.end_seconds, cue.text) for cue in cues] == [
        (1.0, 2.5, "Good morning\neveryone"),
        (4.0, 5.0, "a, b, c"),
    ]
    assert {(cue.language, cue.source) for cue in cues} == {("fre", "subtitle:embedded:0")}


@needs_corpus
def test_tracks_that_repeat_another_are_read_once() -> None:
    """A file with the same captions for each of two videos gives each cue once."""
    path = CORPUS / "video" / "torchcodec_nasa_13013.mp4"

    cues = read_subtitle_tracks(str(path), "mov", asset(path.read_bytes(), "mov"))

    assert len(cues) == len({(cue.start_seconds, cue.text) for cue in cues}) == 4
    assert cues[0].text == "NAR: This is the optical and science segment of the Webb"
    assert cues[0].start_seconds == pytest.approx(0.21)


def test_lost_cues_are_counted() -> None:
    """Cues that make no sense are said to be lost; a cue without words is no loss."""
    text = "1\n00:00:01,000 --> 00:00:02,000\none\n\n2\n00:00:0x,000 --> 00:00:04,000\ntwo\n\n" + (
        "3\n00:00:09,000 --> 00:00:08,000\nthree\n\n4\n00:00:10,000 --> 00:00:11,000\n\n"
    )
    damage: list[str] = []

    assert [cue.text for cue in read_sidecar(text.encode(), "a.srt", None, damage)] == ["one"]
    assert damage == ["2 of 4 cues make no sense and are left out."]


def test_file_without_cues_says_so() -> None:
    """A subtitle file of something else is a loss too; a sound one is none."""
    damage: list[str] = []
    read_sidecar(b"hello", "a.srt", None, damage)
    assert len(damage) == 1
    assert "no cue" in damage[0]
    sound: list[str] = []
    read_sidecar(b"1\n00:00:01,000 --> 00:00:02,000\none\n", "a.srt", None, sound)
    read_sidecar(b"WEBVTT\n\nNOTE 1 --> 2\n\n00:01.000 --> 00:02.000\none\n", "a.vtt", None, sound)
    assert sound == []


def test_an_hour_of_a_thousand_digits_is_a_damaged_cue() -> None:
    """It is left out and said, not counted."""
    damage: list[str] = []
    text = b"9" * 20_000 + b":00:01,000 --> 00:00:02,000\nnever\n\n00:00:01,000 --> 00:00:02,000\nsoon\n"

    assert [cue.text for cue in read_sidecar(text, "a.srt", None, damage)] == ["soon"]
    assert damage == ["1 of 2 cues make no sense and are left out."]


def test_times_without_words_are_read_in_proportion_to_their_number() -> None:
    """A block of nothing but times: twenty thousand took three seconds when each looked at all others."""
    started = time.process_time()
    damage: list[str] = []

    assert read_sidecar(b"WEBVTT\n\n" + b"00:00.000 --> 00:01.000\n" * 20_000, "a.vtt", None, damage) == []
    assert damage
    assert time.process_time() - started < 2
