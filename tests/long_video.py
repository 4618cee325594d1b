"""Long videos of many bytes in little time: a short one is coded once, and its packets are repeated.

What they show repeats, so they serve to count bytes, not to read; the container, with its index and its
interleaved sound, is that of a real recording.
"""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from PIL import Image

FRAME_RATE = 25
SOUND_RATE = 16000
LOOP_SECONDS = 4


@dataclass(frozen=True, slots=True)
class Packet:
    """A coded packet of the loop, in seconds from its start."""

    is_video: bool
    data: bytes
    pts: Fraction
    dts: Fraction
    duration: Fraction
    is_key: bool


def write_long_video(
    path: Path,
    seconds: int,
    *,
    size: tuple[int, int] = (1280, 720),
    bit_rate: int = 800_000,
    index_first: bool = False,
) -> Path:
    """Write a video with sound as MP4 or Matroska, by its suffix.

    Args:
        path: Where to.
        seconds: Its length, rounded up to whole loops.
        size: Width and height, in pixels.
        bit_rate: Of the pictures, in bits a second, roughly.
        index_first: Whether the index of an MP4 comes before the pictures, as for streaming.
    """
    loop, headers = _coded(size, bit_rate)
    options = {"movflags": "+faststart"} if index_first else {}
    with av.open(str(path), "w", options=options) as target:
        template = av.open(io.BytesIO(headers), "r")
        with template:
            video = target.add_stream_from_template(template.streams.video[0])
            sound = target.add_stream_from_template(template.streams.audio[0])
            for round_ in range(-(-seconds // LOOP_SECONDS)):
                for item in loop:
                    stream = video if item.is_video else sound
                    assert stream.time_base is not None
                    packet = av.Packet(item.data)
                    base = stream.time_base
                    shift = Fraction(round_ * LOOP_SECONDS)
                    packet.time_base = base
                    packet.pts = round((item.pts + shift) / base)
                    packet.dts = round((item.dts + shift) / base)
                    packet.duration = round(item.duration / base)
                    packet.is_keyframe = item.is_key
                    packet.stream = stream
                    target.mux(packet)
    return path


def _coded(size: tuple[int, int], bit_rate: int) -> tuple[list[Packet], bytes]:
    """Code one loop; return its packets by time, and the file they came from."""
    file = io.BytesIO()
    random = np.random.default_rng(7)
    with av.open(file, "w", format="matroska") as target:
        video = target.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.bit_rate = bit_rate
        video.options = {"preset": "ultrafast", "g": str(2 * FRAME_RATE), "sc_threshold": "0", "bf": "0"}
        sound = target.add_stream("aac", rate=SOUND_RATE, layout="mono")
        small = random.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        still = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
        for number in range(LOOP_SECONDS * FRAME_RATE):
            pixels = np.roll(still, 4 * number, axis=1)
            target.mux(video.encode(VideoFrame.from_ndarray(pixels, format="rgb24")))
        target.mux(video.encode(None))
        samples = (random.normal(0, 2000, LOOP_SECONDS * SOUND_RATE)).astype(np.int16)
        for start in range(0, len(samples) - 1023, 1024):
            frame = AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts = SOUND_RATE, start
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    packets: list[Packet] = []
    with av.open(io.BytesIO(file.getvalue()), "r") as source:
        for packet in source.demux():
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            base = packet.time_base
            is_video = packet.stream.type == "video"
            if not is_video and packet.pts < 0:
                continue
            length = Fraction(1, FRAME_RATE) if is_video else Fraction(1024, SOUND_RATE)
            packets.append(
                Packet(
                    is_video, bytes(packet), packet.pts * base, packet.dts * base, length, packet.is_keyframe
                )
            )
    inside = [item for item in packets if item.pts + item.duration <= LOOP_SECONDS + Fraction(1, 50)]
    return sorted(inside, key=lambda item: item.dts), file.getvalue()
