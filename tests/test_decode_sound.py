"""Every sound stands at its time on the asset's clock, and what is lost has a name."""

import io
import struct
import tracemalloc
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from operators.containers import audio_stream, open_container
from operators.decode_sound import decode_sound
from operators.isolate import Bounds, Sandbox
from operators.probe_video import probe_media
from operators.read_sound import Block, SoundAccount, SoundReader
from operators.speech_engine import SAMPLE_RATE
from schemas.config import Config, Limits
from schemas.failure import InputError, Reason, Stage
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Perception, Piece
from tests.corpus import CORPUS, needs_corpus
from tests.speech_media import Placed, say, track, vocabulary

Wave = NDArray[np.float32]

EXACT_SECONDS = 0.002
"""How exactly a burst must stand: coders that keep the wave."""
CODED_SECONDS = 0.01
"""…and those that smear it, or round time to milliseconds."""


@dataclass(frozen=True)
class Part:
    """Samples of one encoder (a row for each channel) and when they begin."""

    samples: Wave
    rate_hz: int = SAMPLE_RATE
    start_seconds: float = 0.0
    layout: str = "mono"
    clock: float = 1.0
    """Seconds of the container's clock in each second of samples."""


def bursts(seconds: float, times: Sequence[float], rate_hz: int = SAMPLE_RATE) -> Wave:
    """Make silence with tones of 60 ms at given times, one channel."""
    samples = np.zeros((1, round(seconds * rate_hz)), np.float32)
    tone = 0.5 * np.cos(2 * np.pi * 1000 * np.arange(round(0.06 * rate_hz)) / rate_hz)
    for at in times:
        first = round(at * rate_hz)
        samples[0, first : first + len(tone)] = tone
    return samples


def write(
    path: Path, tracks: Sequence[tuple[str, Sequence[Part]]], languages: Sequence[str | None] = ()
) -> Path:
    """Write sound tracks, each as (codec, parts); a part has an encoder of its own."""
    with av.open(str(path), "w") as container:
        streams = [
            cast(AudioStream, container.add_stream(codec, rate=parts[0].rate_hz)) for codec, parts in tracks
        ]
        for stream, (_, parts) in zip(streams, tracks, strict=True):
            stream.layout = parts[0].layout
        for stream, language in zip(streams, languages, strict=False):
            if language is not None:
                stream.metadata["language"] = language
        for stream, (codec, parts) in zip(streams, tracks, strict=True):
            for number, part in enumerate(parts):
                _encode(container, stream, codec, part, is_own=number == 0)
    return path


def _encode(container: OutputContainer, stream: AudioStream, codec: str, part: Part, *, is_own: bool) -> None:
    context = stream.codec_context if is_own else av.CodecContext.create(codec, "w")
    assert isinstance(context, av.AudioCodecContext)
    if not is_own:
        context.sample_rate, context.layout = part.rate_hz, part.layout
        context.format = stream.codec_context.format
        context.time_base = Fraction(1, part.rate_hz)
    context.open(strict=False)
    resampler = av.AudioResampler(
        context.format, part.layout, part.rate_hz, frame_size=context.frame_size or 1024
    )
    frame = AudioFrame.from_ndarray(
        np.ascontiguousarray(part.samples.T).reshape(1, -1), format="flt", layout=part.layout
    )
    frame.sample_rate = part.rate_hz
    begin, done = round(part.start_seconds * part.rate_hz), 0
    packets = []
    for item in [*resampler.resample(frame), *resampler.resample(None)]:
        item.pts, item.time_base = begin + round(done * part.clock), Fraction(1, part.rate_hz)
        done += item.samples
        packets += context.encode(item)
    for packet in [*packets, *context.encode(None)]:
        packet.stream = stream
        packet.time_base = Fraction(1, part.rate_hz)
        container.mux(packet)


def write_wav(path: Path, samples: NDArray[np.int16], rate_hz: int = SAMPLE_RATE) -> Path:
    """Write PCM with the standard library, so that the file owes nothing to FFmpeg."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@dataclass(frozen=True)
class Heard:
    """The sound of a file as it was given."""

    blocks: Sequence[Block]
    account: SoundAccount

    @property
    def end_seconds(self) -> float:
        """When the last sound ends."""
        return self.blocks[-1].end / SAMPLE_RATE

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Where a block does not follow the one before it, in seconds."""
        ends = [(before.end, after.start) for before, after in pairwise(self.blocks)]
        return [(end / SAMPLE_RATE, start / SAMPLE_RATE) for end, start in ends if end != start]

    def loudness(self, start: float, end: float) -> float:
        """Give the root mean square of a stretch, 1 for full scale."""
        first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        parts = [
            block.samples[max(first - block.start, 0) : max(last - block.start, 0)] for block in self.blocks
        ]
        return float(np.sqrt(np.mean(np.square(np.concatenate(parts) / 32768))))

    def onsets(self, least: float = 0.1) -> list[float]:
        """Find when bursts begin: loud samples after at least 0.2 s without."""
        loud = np.concatenate(
            [block.start + np.flatnonzero(np.abs(block.samples) > least * 32768) for block in self.blocks]
        )
        before = np.concatenate([[-SAMPLE_RATE], loud[:-1]])
        return [float(place) / SAMPLE_RATE for place in loud[loud - before > 0.2 * SAMPLE_RATE]]


def listen(
    path: Path | io.BytesIO,
    demuxer: str,
    *,
    begin: float = 0.0,
    language: str | None = None,
    most_seconds: float = 86_400.0,
) -> Heard:
    """Read all sound of a file of at most some minutes."""
    with open_container(str(path) if isinstance(path, Path) else path, demuxer) as container:
        stream = audio_stream(container, language)
        assert stream is not None
        reader = SoundReader(container, stream, most_seconds)
        return Heard(list(reader.blocks(begin)), reader.account)


def asset_of(path: Path, demuxer: str) -> Asset:
    """Probe a file."""
    facts = probe_media(str(path), demuxer, Limits())
    return Asset(
        asset_id="a",
        version="v",
        uri=path.as_uri(),
        kind=facts.kind,
        size_bytes=path.stat().st_size,
        fingerprint="",
        content_hash="",
        container=demuxer,
        duration_seconds=facts.duration_seconds,
        audio_codec=facts.audio_codec,
    )


def windows(seconds: float, *borders: float) -> list[Unit]:
    """Make consecutive units."""
    edges = [0.0, *borders, seconds]
    return [Unit(index, UnitKind.SPEECH, *edge) for index, edge in enumerate(pairwise(edges))]


def decode(path: Path, demuxer: str, units: Sequence[Unit], config: Config | None = None) -> list[Perception]:
    """Probe and decode a file."""
    return list(decode_sound(str(path), asset_of(path, demuxer), units, config or Config()))


def expect(onsets: Iterable[float], times: Sequence[float], tolerance: float) -> None:
    """Check that bursts begin when they should."""
    assert list(onsets) == pytest.approx(list(times), abs=tolerance)


TIMES = [0.5, 1.25, 4.0, 7.9]


@pytest.mark.parametrize(
    ("name", "demuxer", "codec", "rate_hz", "tolerance"),
    [
        ("a.wav", "wav", "pcm_s16le", 16_000, EXACT_SECONDS),
        ("a.wav", "wav", "pcm_u8", 8_000, EXACT_SECONDS),
        ("a.wav", "wav", "pcm_s24le", 44_100, EXACT_SECONDS),
        ("a.wav", "wav", "pcm_f32le", 192_000, EXACT_SECONDS),
        ("a.mkv", "matroska", "pcm_f64le", 22_050, EXACT_SECONDS),
        ("a.flac", "flac", "flac", 96_000, EXACT_SECONDS),
        ("a.mp3", "mp3", "libmp3lame", 44_100, CODED_SECONDS),
        ("a.m4a", "mov", "aac", 48_000, CODED_SECONDS),
        ("a.ogg", "ogg", "libopus", 48_000, CODED_SECONDS),
        ("a.webm", "matroska", "libopus", 48_000, CODED_SECONDS),
        ("a.mp4", "mov", "ac3", 48_000, CODED_SECONDS),
    ],
)
def test_bursts_stand_at_their_times(
    tmp_path: Path, name: str, demuxer: str, codec: str, rate_hz: int, tolerance: float
) -> None:
    """Whatever the coder, its priming, its samples and its rate: sound stands where it was put."""
    path = write(tmp_path / name, [(codec, [Part(bursts(9.0, TIMES, rate_hz), rate_hz)])])
    heard = listen(path, demuxer)
    expect(heard.onsets(), TIMES, tolerance)
    assert heard.end_seconds == pytest.approx(9.0, abs=0.06)
    assert heard.account.open_loss is None


def write_video(path: Path, sounds: Sequence[Part], seconds: float, codec: str = "pcm_s16le") -> Path:
    """Write black pictures from 0 s on, and sound beside them."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        video = container.add_stream("libx264", rate=5)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = cast(AudioStream, container.add_stream(codec, rate=SAMPLE_RATE))
        sound.layout = "mono"
        container.start_encoding()
        for number in range(round(seconds * 5)):
            frame = VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number, part in enumerate(sounds):
            _encode(container, sound, codec, part, is_own=number == 0)
    return path


@pytest.mark.parametrize(("name", "demuxer"), [("a.mkv", "matroska"), ("a.mov", "mov")])
def test_a_late_track_stands_late_on_the_clock_of_the_pictures(
    tmp_path: Path, name: str, demuxer: str
) -> None:
    """Pictures from 0 s, sound from 1.3 s: the clock is that of the pictures."""
    part = Part(bursts(2, [0.2, 1.0]), start_seconds=1.3)
    path = write_video(tmp_path / name, [part], 5)
    expect(listen(path, demuxer).onsets(), [1.5, 2.3], EXACT_SECONDS)
    (perception,) = decode(path, demuxer, windows(5.0))
    assert perception.failures == []


def test_a_clock_that_begins_elsewhere_is_set_to_zero(tmp_path: Path) -> None:
    """MPEG-TS that begins at 77 s: the asset's clock begins at zero with the sound."""
    part = Part(bursts(5, [1.0, 3.5], 44_100), 44_100, start_seconds=77)
    onsets = listen(write(tmp_path / "a.ts", [("mp2", [part])]), "mpegts").onsets()
    # MP2 states nowhere that its coder delays by 481 samples (11 ms).
    expect(onsets, [1.011, 3.511], CODED_SECONDS)


def test_priming_before_zero_is_not_heard(tmp_path: Path) -> None:
    """Samples with negative time stamps are cut at zero, not shifted to it."""
    part = Part(bursts(3, [0.2, 1.0, 2.0]), start_seconds=-0.5)
    for name, demuxer in [("a.mkv", "matroska"), ("a.mov", "mov")]:
        heard = listen(write_video(tmp_path / name, [part], 3), demuxer)
        expect(heard.onsets(), [0.5, 1.5], EXACT_SECONDS)
        assert heard.blocks[0].start == 0


def test_sound_long_before_zero_is_named(tmp_path: Path) -> None:
    """More before the clock's zero than any coder's priming is a loss."""
    path = write_video(tmp_path / "a.mkv", [Part(bursts(5, [4.0]), start_seconds=-3)], 3)
    expect(listen(path, "matroska").onsets(), [1.0], EXACT_SECONDS)
    (perception,) = decode(path, "matroska", windows(3.0))
    assert [(failure.reason, failure.start_seconds) for failure in perception.failures] == [
        (Reason.CORRUPT, 0.0)
    ]


def test_a_gap_is_filled_and_a_long_one_divides(tmp_path: Path) -> None:
    """0.5 s without time stamps become silence; an hour becomes a border and costs nothing."""
    sound = bursts(2, [1.0])
    parts = [Part(sound), Part(sound, start_seconds=2.5), Part(sound, start_seconds=3605)]
    path = write(tmp_path / "a.nut", [("pcm_s16le", parts)])
    tracemalloc.start()
    heard = listen(path, "nut")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 << 20
    assert heard.gaps == [(4.5, 3605.0)]
    expect(heard.onsets(), [1.0, 3.5, 3606.0], EXACT_SECONDS)


def test_absurd_time_stamps_are_not_believed(tmp_path: Path) -> None:
    """Stamps beyond the limit, or a single one far ahead of the next, do not move the sound."""
    sound = bursts(2, [1.0])
    beyond = [Part(sound), Part(sound, start_seconds=1e9)]
    heard = listen(write(tmp_path / "beyond.nut", [("pcm_s16le", beyond)]), "nut")
    expect(heard.onsets(), [1.0, 3.0], EXACT_SECONDS)
    # One frame of MP2 has 72 ms; the first part has 28 of them.
    parts = [Part(sound), Part(bursts(0.072, [0.0]), start_seconds=500), Part(sound, start_seconds=2.088)]
    heard = listen(write_joined(tmp_path / "outlier.ts", parts), "mpegts")
    assert heard.end_seconds < 5
    expect(heard.onsets(), [1.03, 2.046, 3.118], 0.03)


def test_sound_that_comes_twice_is_heard_once(tmp_path: Path) -> None:
    """Time that is set back by 3 s: what stands there already stays, and the loss is named."""
    parts = [Part(bursts(5, [1.0, 4.5])), Part(bursts(5, [1.0, 4.0]), start_seconds=2)]
    path = write_joined(tmp_path / "a.ts", parts)
    expect(listen(path, "mpegts").onsets(), [1.0, 4.5, 6.0], 0.05)
    (perception,) = decode(path, "mpegts", windows(7.0))
    (failure,) = perception.failures
    assert (failure.stage, failure.reason) == (Stage.SOUND, Reason.CORRUPT)
    assert failure.start_seconds == pytest.approx(5.0, abs=0.1)


def write_joined(path: Path, parts: Sequence[Part]) -> Path:
    """Join transport streams byte by byte: their clocks then go back and forth."""
    with path.open("wb") as file:
        for number, part in enumerate(parts):
            one = path.with_suffix(f".{number}.ts")
            file.write(write(one, [("mp2", [part])]).read_bytes())
    return path


@pytest.mark.parametrize("clock", [0.99, 1.01])
def test_a_clock_that_drifts_is_followed(tmp_path: Path, clock: float) -> None:
    """A container whose seconds are 1 % off those of the samples: sound stays within 50 ms."""
    times = [float(second) for second in range(1, 60, 5)]
    path = write(tmp_path / "a.nut", [("pcm_s16le", [Part(bursts(60, times), clock=clock)])])
    expect(listen(path, "nut").onsets(), [time * clock for time in times], 0.05)
    (perception,) = decode(path, "nut", windows(60.0))
    assert perception.failures == []


def test_a_rate_and_layout_that_change_midway(tmp_path: Path) -> None:
    """44.1 kHz stereo goes on as 24 kHz mono in the same stream."""
    stereo = np.repeat(bursts(3, [1.0], 44_100), 2, axis=0)
    later = Part(bursts(3, [1.0], 24_000), 24_000, start_seconds=3.0)
    path = write(tmp_path / "a.ts", [("mp2", [Part(stereo, 44_100, layout="stereo"), later])])
    expect(listen(path, "mpegts").onsets(), [1.0, 4.0], 0.05)


def test_the_centre_of_surround_sound_is_kept(tmp_path: Path) -> None:
    """Speech is in the centre only: it is heard almost as loud as if it were alone."""
    channels = np.zeros((6, 48_000 * 2), np.float32)
    channels[2] = bursts(2, [1.0], 48_000)[0]
    path = write(tmp_path / "a.mkv", [("flac", [Part(channels, 48_000, layout="5.1")])])
    heard = listen(path, "matroska")
    expect(heard.onsets(), [1.0], EXACT_SECONDS)
    assert heard.loudness(1.0, 1.06) == pytest.approx(0.5 / 2, rel=0.05)  # 3 dB less than its 0.35


def test_the_same_sound_in_all_channels_does_not_clip(tmp_path: Path) -> None:
    """Two channels of full scale stay at full scale; the wave keeps its shape."""
    tone = np.sin(2 * np.pi * 500 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    path = write(tmp_path / "a.flac", [("flac", [Part(np.stack([tone, tone]), layout="stereo")])])
    assert listen(path, "flac").loudness(0.5, 1.5) == pytest.approx(0.5**0.5, rel=0.01)


@pytest.mark.parametrize("channels", [1, 3, 7, 8, 9, 16])
def test_every_channel_is_heard(tmp_path: Path, channels: int) -> None:
    """Recorders write many channels without saying where they stand: none is left out."""
    samples = np.zeros((SAMPLE_RATE * channels, channels), np.int16)
    for channel in range(channels):
        first = channel * SAMPLE_RATE + SAMPLE_RATE // 2
        samples[first : first + 1600, channel] = 20_000
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    expect(listen(path, "wav").onsets(0.02), [number + 0.5 for number in range(channels)], EXACT_SECONDS)


def test_what_is_no_number_is_silence(tmp_path: Path) -> None:
    """NaN and infinite samples become silence and do not spread."""
    samples = bursts(3, [2.0])
    samples[0, SAMPLE_RATE : SAMPLE_RATE + 100] = np.nan
    samples[0, SAMPLE_RATE + 200] = np.inf
    path = write(tmp_path / "a.wav", [("pcm_f32le", [Part(samples)])])
    expect(listen(path, "wav").onsets(), [2.0], EXACT_SECONDS)
    faster = np.repeat(samples, 3, axis=1)
    path = write(tmp_path / "b.wav", [("pcm_f32le", [Part(faster, 48_000)])])
    expect(listen(path, "wav").onsets(), [2.0], EXACT_SECONDS)


def test_the_language_chooses_the_track(tmp_path: Path) -> None:
    """`en` finds `eng`, `de-AT` finds `ger`; without one, or with a foreign one, the first is taken."""
    tracks = [("pcm_s16le", [Part(bursts(2, [at]))]) for at in (0.3, 0.6, 0.9)]
    path = write(tmp_path / "a.mkv", tracks, [None, "ger", "eng"])
    for language, at in [(None, 0.3), ("en", 0.9), ("de-AT", 0.6), ("fr", 0.3)]:
        expect(listen(path, "matroska", language=language).onsets(), [at], EXACT_SECONDS)


def test_a_damaged_stretch_is_named_and_moves_nothing(tmp_path: Path) -> None:
    """Bytes destroyed between 3 and 5 s: sound before and after stands where it was."""
    noise = np.random.default_rng(0).normal(0, 0.01, (1, 9 * 44_100)).astype(np.float32)
    path = write(tmp_path / "a.m4a", [("aac", [Part(bursts(9.0, TIMES, 44_100) + noise, 44_100)])])
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [
            (packet.pts, packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size
        ]
    for stamp, position, size in packets:
        if 4.5 <= (stamp or 0) / 44_100 < 5.5 and position is not None:
            content[position : position + size] = b"\xff" * size
    path.write_bytes(content)
    first, second = decode(path, "mov", windows(9.0, 4.8))
    assert not second.failures
    (failure,) = first.failures
    assert (failure.stage, failure.reason, failure.unit) == (Stage.SOUND, Reason.CORRUPT, 0)
    assert failure.start_seconds == pytest.approx(4.5, abs=0.1)
    assert failure.end_seconds == pytest.approx(5.5, abs=0.1)
    expect(listen(path, "mov").onsets(), TIMES, CODED_SECONDS)


def test_sound_that_ends_too_early_is_truncated(tmp_path: Path) -> None:
    """A video that lost its end says from when on sound is missing."""
    path = write_video(tmp_path / "a.mkv", [Part(bursts(10, [1.0]))], 10)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    first, second = decode(path, "matroska", windows(10.0, 7.0))
    (failure,) = first.failures
    assert (failure.stage, failure.reason) == (Stage.SOUND, Reason.TRUNCATED)
    assert failure.start_seconds == pytest.approx(first.sound_seconds, abs=0.1)
    assert failure.end_seconds == pytest.approx(10.0, abs=0.1)
    assert second.failures == []


def test_a_wav_that_lost_its_end_says_so(tmp_path: Path) -> None:
    """Less sound than its header promises is a loss; a writer that could not know the length is not."""
    path = write_wav(tmp_path / "a.wav", np.zeros(10 * SAMPLE_RATE, np.int16))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    (perception,) = decode(path, "wav", windows(5.0))
    (failure,) = perception.failures
    assert failure.reason == Reason.TRUNCATED
    assert (failure.start_seconds, failure.end_seconds) == pytest.approx((5.0, 10.0), abs=0.1)
    for size in (0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF):
        path.write_bytes(content[:40] + struct.pack("<I", size) + content[44:])
        (perception,) = decode(path, "wav", windows(10.0))
        assert perception.failures == []
        assert perception.sound_seconds == pytest.approx(10.0)


@pytest.mark.parametrize(("name", "demuxer"), [("a.mkv", "matroska"), ("a.mov", "mov"), ("a.nut", "nut")])
def test_sound_that_is_shorter_than_the_pictures_is_whole(tmp_path: Path, name: str, demuxer: str) -> None:
    """Two seconds of sound under six seconds of pictures are no loss."""
    path = write_video(tmp_path / name, [Part(bursts(2, [1.0]))], 6)
    perceptions = decode(path, demuxer, windows(6.0, 3.0))
    assert [perception.failures for perception in perceptions] == [[], []]
    assert [perception.sound_seconds for perception in perceptions] == pytest.approx([2.0, 0.0], abs=0.01)


def test_a_track_without_a_sample(tmp_path: Path) -> None:
    """An empty track is accounted for beside pictures, and is a failure where it is all there is."""
    path = write_video(tmp_path / "a.mkv", [], 6)
    assert [perception.failures for perception in decode(path, "matroska", windows(6.0))] == [[]]
    path = write_wav(tmp_path / "a.wav", np.zeros(0, np.int16))
    asset = replace(asset_of(write_wav(tmp_path / "b.wav", np.zeros(9, np.int16)), "wav"), kind=Kind.AUDIO)
    (perception,) = decode_sound(str(path), asset, windows(1.0), Config())
    assert [failure.reason for failure in perception.failures] == [Reason.NO_CONTENT]


def test_without_a_track_nothing_is_decoded(tmp_path: Path) -> None:
    """A file without sound is refused with a reason."""
    path = tmp_path / "a.mkv"
    write_video(path, [], 1)
    with av.open(str(tmp_path / "b.mkv"), "w") as output, av.open(str(path)) as source:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(InputError) as caught:
        decode(tmp_path / "b.mkv", "matroska", windows(1.0))
    assert caught.value.reason == Reason.NO_CONTENT


def test_more_sound_than_allowed_is_named(tmp_path: Path) -> None:
    """Decoding ends at `limits.seconds`, and the rest is reported."""
    path = write_wav(tmp_path / "a.wav", np.zeros(10 * SAMPLE_RATE, np.int16))
    config = Config(limits=Limits(seconds=4.0))
    perceptions = list(decode_sound(str(path), asset_of(path, "wav"), windows(10.0, 3.0), config))
    assert sum(perception.sound_seconds for perception in perceptions) == 4.0
    (failure,) = perceptions[1].failures
    assert (failure.reason, failure.start_seconds) == (Reason.TOO_LARGE, 4.0)


@pytest.mark.parametrize("rate_hz", [1, 0x7FFFFFFF])
def test_rates_that_do_not_exist_cost_nothing(tmp_path: Path, rate_hz: int) -> None:
    """A header that lies about its rate is damage, not gigabytes of samples."""
    path = write_wav(tmp_path / "a.wav", np.ones(10_000, np.int16), rate_hz)
    asset = asset_of(write_wav(tmp_path / "b.wav", np.ones(10, np.int16)), "wav")
    (perception,) = decode_sound(str(path), asset, windows(1.0), Config())
    assert perception.sound_seconds == 0
    assert [failure.reason for failure in perception.failures] == [Reason.CORRUPT]


# Sentences: (start, words). One crosses 10 s, one is followed by a long silence.
SENTENCES = [(0.4, 4), (3.2, 3), (8.8, 5), (19.0, 4), (22.0, 4)]
TALK_SECONDS = 27.0


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spoken sentences at known times."""
    words = vocabulary("en")
    placed = [
        Placed(start, " ".join(words[4 * number : 4 * number + count] or words[:count]))
        for number, (start, count) in enumerate(SENTENCES)
    ]
    samples = track(placed, TALK_SECONDS).samples
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    return write_wav(path, (samples * 32767).astype(np.int16))


def spans(pieces: Iterable[Piece]) -> list[tuple[float, float]]:
    """List the stretches of speech."""
    return [(item.start_seconds, item.end_seconds) for piece in pieces for item in piece.speech]


def check(piece: Piece) -> None:
    """Check what is true of every piece."""
    assert len(piece.samples) == 2 * round((piece.end_seconds - piece.start_seconds) * SAMPLE_RATE)
    assert piece.end_seconds - piece.start_seconds <= 30
    assert piece.start_seconds <= piece.speech[0].start_seconds
    assert piece.speech[-1].end_seconds <= piece.end_seconds


def test_sentences_become_pieces_with_their_own_samples(talk: Path) -> None:
    """Each sentence lies in a piece, the piece holds exactly the samples of its time."""
    (perception,) = decode(talk, "wav", windows(TALK_SECONDS))
    assert not perception.failures
    with wave.open(str(talk)) as file:
        original = file.readframes(file.getnframes())
    for piece in perception.pieces:
        check(piece)
        first = 2 * round(piece.start_seconds * SAMPLE_RATE)
        assert piece.samples == original[first : first + len(piece.samples)]
    for start, _ in SENTENCES:
        assert any(piece.start_seconds <= start + 0.1 <= piece.end_seconds for piece in perception.pieces)
        assert min(abs(start - heard) for heard, _ in spans(perception.pieces)) < 0.2
    assert perception.speech_seconds == pytest.approx(
        sum(end - start for start, end in spans(perception.pieces))
    )
    assert perception.sound_seconds == TALK_SECONDS
    (cost,) = perception.costs
    assert (cost.stage, cost.items, cost.bytes) == ("sound", len(perception.pieces), talk.stat().st_size - 44)


@pytest.mark.parametrize("borders", [[10.0], [0.1, 3.0, 9.0, 10.0, 19.5], [5.0, 40.0, 50.0], [2.0, 2.5]])
def test_windows_only_sort(talk: Path, borders: list[float]) -> None:
    """Whatever the windows, the pieces are the same; each is in the window in which it begins."""
    (whole,) = decode(talk, "wav", windows(TALK_SECONDS))
    units = windows(max(TALK_SECONDS, borders[-1] + 1), *borders)
    perceptions = decode(talk, "wav", units)
    assert [perception.unit for perception in perceptions] == units
    assert [piece for perception in perceptions for piece in perception.pieces] == whole.pieces
    assert sum(perception.sound_seconds for perception in perceptions) == pytest.approx(TALK_SECONDS)
    for perception in perceptions[:-1]:
        start, end = perception.unit.start_seconds or 0.0, perception.unit.end_seconds or 0.0
        assert all(start <= piece.start_seconds < end for piece in perception.pieces)


def test_the_last_window_takes_what_comes_after_it(talk: Path) -> None:
    """A duration that was declared too short, or none at all, loses nothing."""
    (whole,) = decode(talk, "wav", windows(TALK_SECONDS))
    for end in (12.0, None):
        units = [replace(unit, end_seconds=end) if unit.index else unit for unit in windows(12.0, 10.0)]
        perceptions = decode(talk, "wav", units)
        assert [piece for perception in perceptions for piece in perception.pieces] == whole.pieces


def test_windows_come_out_before_the_file_is_read(talk: Path) -> None:
    """A window is handed on when it is complete, and closing stops the work."""
    file = io.BytesIO(talk.read_bytes())
    units = windows(TALK_SECONDS, 5.0, 15.0)
    perceptions = decode_sound(file, asset_of(talk, "wav"), units, Config())
    first = next(iter(perceptions))
    assert first.unit == units[0]
    assert first.pieces
    assert file.tell() < 0.8 * talk.stat().st_size
    perceptions.close()  # type: ignore[attr-defined]  # a generator
    assert list(perceptions) == []


@pytest.mark.parametrize(
    ("name", "demuxer", "codec"),
    [("a.mp3", "mp3", "libmp3lame"), ("a.m4a", "mov", "aac"), ("a.wav", "wav", "")],
)
def test_decoding_begins_again_at_a_border(
    talk: Path, tmp_path: Path, name: str, demuxer: str, codec: str
) -> None:
    """What is left after an earlier window was given up is heard from the border on, at its times."""
    path = talk
    if codec:
        with wave.open(str(talk)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)
        samples = np.repeat(samples / np.float32(32768), 3)
        path = write(tmp_path / name, [(codec, [Part(samples[np.newaxis], 48_000)])])
    units = windows(TALK_SECONDS, 17.0)
    whole, again = decode(path, demuxer, units), decode(path, demuxer, units[1:])
    assert [perception.unit for perception in again] == units[1:]
    before, after = spans(whole[1].pieces), spans(again[0].pieces)
    # The detector has heard nothing before the border, so it may divide stretches a little otherwise.
    assert after[0][0] == pytest.approx(before[0][0], abs=0.1)
    assert after[-1][1] == pytest.approx(before[-1][1], abs=0.1)
    assert again[0].speech_seconds == pytest.approx(whole[1].speech_seconds, rel=0.1)
    assert again[0].sound_seconds == pytest.approx(whole[1].sound_seconds, abs=0.001)


def test_a_gap_ends_a_piece(tmp_path: Path) -> None:
    """No piece holds sound from before and after a hole in time."""
    spoken = say(" ".join(vocabulary("en")[:5])).samples[np.newaxis]
    length = spoken.shape[1] / SAMPLE_RATE
    parts = [Part(spoken), Part(spoken, start_seconds=length + 1.5)]
    path = write(tmp_path / "a.nut", [("pcm_s16le", parts)])
    (perception,) = decode(path, "nut", windows(2 * length + 1.5))
    assert len(perception.pieces) == 2
    first, second = perception.pieces
    assert first.end_seconds <= length + 0.01
    assert second.start_seconds >= length + 1.49
    for piece in perception.pieces:
        check(piece)


def test_it_runs_in_the_confined_child(talk: Path) -> None:
    """The voice detector loads and runs within the memory that a decoder may take."""
    modules = ("operators.decode_sound",)
    sandbox = Sandbox(Bounds.of(Limits()), modules)
    units = windows(TALK_SECONDS, 10.0)
    found = list(sandbox.run(decode_sound, str(talk), asset_of(talk, "wav"), units, Config()))
    sandbox.close()
    assert [perception.pieces for perception in found] == [
        perception.pieces for perception in decode(talk, "wav", units)
    ]


@pytest.mark.corpus
@needs_corpus
@pytest.mark.parametrize(
    ("name", "demuxer"),
    [
        ("docling_sample_10s_audio-mp3.mp3", "mp3"),
        ("docling_sample_10s_audio-m4a.m4a", "mov"),
        ("docling_sample_10s_audio-ogg.ogg", "ogg"),
    ],
)
def test_real_speech_is_found_alike_in_every_codec(name: str, demuxer: str) -> None:
    """The same ten seconds as MP3, AAC and Vorbis give the same stretches within 0.1 s."""
    found = decode(CORPUS / "audio" / name, demuxer, windows(10.0))
    other = decode(CORPUS / "video" / "docling_sample_10s_video-avi.avi", "avi", windows(10.0))
    mine, theirs = spans(found[0].pieces), spans(other[0].pieces)
    assert len(mine) == len(theirs)
    assert np.median(np.abs(np.asarray(mine) - np.asarray(theirs))) < 0.05
    assert not found[0].failures
