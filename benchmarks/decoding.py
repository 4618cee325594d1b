"""Frames at one a second from a video: Gloss beside other tools, in one run.

    python -m benchmarks.decoding [--seconds 120] [--rounds 3] [--videos still pointer head] [--json FILE]

Every tool gives the frames on screen at each second as RGB; a tool that is not installed is left
out and named. Then the default mode is run, and must give the very pictures, times and cuts that it
gives when it decodes everything. Gloss decodes the spans of a video side by side in processes, as it does
in a run; these are started before, and what a run hands on from there is not. The other tools have as many
threads as they take. CPU seconds stand beside the wall's.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from time import sleep
from typing import Literal

import av
import cv2
import numpy as np

from benchmarks.corpora.moving import make_talking_heads, write_video
from benchmarks.report import Timed, publish, timed
from benchmarks.slides import make_slide_video, slide
from operators.decode_video import decode_span
from operators.probe_video import plan_spans, probe_media
from schemas.config import Config, load_config
from schemas.media import Asset, Kind, Unit
from schemas.perception import Perception

Times = list[float]

_RATE = 25
_SLIDE_SECONDS = 10


def make_still(path: Path, seconds: int, size: tuple[int, int]) -> None:
    """Write slides over which nothing moves."""
    pictures = [np.asarray(slide(number, *size)) for number in range(-(-seconds // _SLIDE_SECONDS))]
    frames = (pictures[index // (_SLIDE_SECONDS * _RATE)] for index in range(seconds * _RATE))
    write_video(path, frames, _RATE)


def make_pointer(path: Path, seconds: int, size: tuple[int, int]) -> None:
    """Write slides over which a dot moves all the time."""
    make_slide_video(path, seconds=seconds, slide_seconds=_SLIDE_SECONDS, size=size, rate=_RATE)


def make_head(path: Path, seconds: int, size: tuple[int, int]) -> None:
    """Write a head that sways and speaks before a grainy wall."""
    (made,) = make_talking_heads(path.parent, seconds=seconds, size=size, rate=_RATE)
    made.path.rename(path)


VIDEOS: dict[str, Callable[[Path, int, tuple[int, int]], None]] = {
    "still": make_still,
    "pointer": make_pointer,
    "head": make_head,
}


@cache
def _processes() -> ProcessPoolExecutor:
    """Start a process for each core."""
    count = len(os.sched_getaffinity(0))
    pool = ProcessPoolExecutor(count, get_context("spawn"), cv2.setNumThreads, (1,))
    list(pool.map(_warm, [0.5] * count))
    return pool


def _warm(seconds: float) -> None:
    """Import what decoding needs, and leave the next one to another process."""
    load_config()
    sleep(seconds)


def gloss(path: Path, *settings: str) -> list[Perception]:
    """Decode all spans of a video, side by side, and bring all pictures here."""
    return list(_processes().map(_span, *zip(*_spans(path, settings), strict=True)))


def gloss_times(path: Path, *settings: str) -> Times:
    """Decode all spans of a video, side by side; gives the times of all pictures in order."""
    found = _processes().map(_span_times, *zip(*_spans(path, settings), strict=True))
    return [time for times in found for time in times]


def _span(path: Path, asset: Asset, unit: Unit, config: Config) -> Perception:
    return decode_span(str(path), asset, unit, config)


def _span_times(path: Path, asset: Asset, unit: Unit, config: Config) -> Times:
    return [picture.time_seconds or 0.0 for picture in _span(path, asset, unit, config).pictures]


def _spans(path: Path, settings: tuple[str, ...]) -> list[tuple[Path, Asset, Unit, Config]]:
    config = load_config(settings=settings)
    facts = probe_media(str(path), "mov", config.limits)
    units = plan_spans(facts.duration_seconds, config.sampling.span_seconds)
    asset = Asset(
        "id", "v", path.as_uri(), Kind.VIDEO, 0, "", "", container="mov",
        duration_seconds=facts.duration_seconds, unit_count=len(units),
    )  # fmt: skip
    return [(path, asset, unit, config) for unit in units]


def by_gloss(path: Path) -> Times:
    """Keep every look."""
    return gloss_times(path, "sampling.strategy=interval")


def by_pyav(path: Path, skip_frame: Literal["DEFAULT", "NONREF"] = "DEFAULT") -> Times:
    """Decode in a plain loop; `NONREF` leaves out what no other picture needs, and the nearest is taken."""
    times: Times = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.skip_frame = skip_frame
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= len(times) - 1e-6:
                frame.to_ndarray(format="rgb24")
                times.append(frame.time)
    return times


def by_opencv(path: Path) -> Times:
    """Grab all frames, retrieve those wanted."""
    times: Times = []
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    number = 0
    while capture.grab():
        if number / rate >= len(times) - 1e-6:
            cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
            times.append(number / rate)
        number += 1
    return times


def by_ffmpeg(path: Path) -> Times:
    """Let the command line write raw frames into a pipe."""
    program = shutil.which("ffmpeg")
    if program is None:
        import imageio_ffmpeg  # type: ignore[import-not-found, unused-ignore] # optional

        program = imageio_ffmpeg.get_ffmpeg_exe()
    width, height = _size(path)
    command = [program, "-v", "error", "-i", str(path), "-vf", "fps=1:round=up", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgb24", "-"]
    times: Times = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own video
        assert process.stdout is not None
        while process.stdout.read(3 * width * height):
            times.append(float(len(times)))
    return times


def by_decord(path: Path) -> Times:
    """Read a batch of the frames at each second."""
    import decord  # type: ignore[import-not-found, unused-ignore] # optional

    reader = decord.VideoReader(str(path))
    rate = reader.get_avg_fps()
    wanted = [round(second * rate) for second in range(int(len(reader) / rate + 0.999))]
    reader.get_batch([number for number in wanted if number < len(reader)]).asnumpy()
    return [number / rate for number in wanted]


def by_torchcodec(path: Path) -> Times:
    """Read the frames played at each second."""
    from torchcodec.decoders import VideoDecoder  # type: ignore[import-not-found, unused-ignore] # optional

    decoder = VideoDecoder(str(path))
    end = decoder.metadata.duration_seconds
    found = decoder.get_frames_played_at([float(second) for second in range(int(end + 0.999))])
    return [float(moment) for moment in found.pts_seconds]


def by_daft(path: Path) -> Times:
    """Read frames into a data frame, one a second."""
    import daft  # type: ignore[import-not-found, unused-ignore] # optional

    width, height = _size(path)
    frames = daft.read_video_frames(
        str(path), image_height=height, image_width=width, sample_interval_seconds=1.0
    )
    return [float(moment) for moment in frames.collect().to_pydict()["frame_time"]]


def _size(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


TOOLS: dict[str, Callable[[Path], Times]] = {
    "Gloss, interval": by_gloss,
    "PyAV, plain loop": by_pyav,
    "PyAV, without non-reference frames": lambda path: by_pyav(path, "NONREF"),
    "OpenCV grab": by_opencv,
    "ffmpeg command line": by_ffmpeg,
    "decord": by_decord,
    "torchcodec": by_torchcodec,
    "Daft": by_daft,
}


DISTINCT = "Gloss, distinct"


def by_gloss_distinct(path: Path) -> Times:
    """Keep what is new."""
    return gloss_times(path)


@dataclass(slots=True)
class Measured:
    """What the tools took for one video, and why others were left out."""

    figures: dict[str, list[Timed[Times]]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def wall(self, name: str) -> float:
        """Return the median of wall seconds of a tool."""
        return statistics.median(each.wall_seconds for each in self.figures[name])

    def cpu(self, name: str) -> float:
        """Return the median of CPU seconds of a tool."""
        return statistics.median(each.cpu_seconds for each in self.figures[name])


def measure(path: Path, seconds: int, rounds: int) -> Measured:
    """Time all tools by turns.

    A tool that fails, or that does not give a frame for each second, at that second to within a tenth,
    is left out.
    """
    found = Measured()
    left_out: set[str] = set()
    for _ in range(rounds):
        for name, tool in {**TOOLS, DISTINCT: by_gloss_distinct}.items():
            if name in left_out:
                continue
            try:
                taken = timed(partial(tool, path))
            except Exception as error:  # whatever a tool that is not ours may raise
                left_out.add(name)
                found.missing.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
                continue
            if name != DISTINCT and not _is_each_second(taken.result, seconds):
                left_out.add(name)
                found.missing.append(f"{name}: gives other frames ({len(taken.result)} of {seconds})")
                continue
            found.figures.setdefault(name, []).append(taken)
    return found


def _is_each_second(found: Times, seconds: int) -> bool:
    return len(found) == seconds and all(abs(time - second) <= 0.1 for second, time in enumerate(found))


def is_equal(path: Path) -> bool:
    """Tell whether the default mode gives what it gives when everything is decoded."""
    least, every = (gloss(path, f"sampling.decode={mode}") for mode in ("least", "all"))
    return [replace(each, costs=[]) for each in least] == [replace(each, costs=[]) for each in every]


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="length of each video")
    parser.add_argument("--rounds", type=int, default=3, help="how often each tool is run")
    parser.add_argument("--height", type=int, default=720, help="of the videos, in pixels")
    parser.add_argument("--videos", nargs="+", choices=sorted(VIDEOS), default=["still", "pointer"])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    size = (arguments.height * 16 // 9, arguments.height)
    rows: list[dict[str, object]] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for video in arguments.videos:
            path = Path(folder, f"{video}.mp4")
            VIDEOS[video](path, arguments.seconds, size)
            if not is_equal(path):
                msg = f"The least decoding of {video!r} gives other rows than decoding everything."
                raise AssertionError(msg)
            measured = measure(path, arguments.seconds, arguments.rounds)
            best = min(measured.wall(name) for name in measured.figures if not name.startswith("Gloss"))
            rows += [
                {
                    "video": video,
                    "tool": name,
                    "seconds": round(measured.wall(name), 2),
                    "CPU seconds": round(measured.cpu(name), 2),
                    "times the fastest other": round(best / measured.wall(name), 2),
                }
                for name in measured.figures
            ]
            notes += [f"{video}: left out {line}" for line in measured.missing]
    title = f"Frames at one a second from {arguments.seconds} s of {arguments.height}p H.264"
    publish(title, rows, arguments.json, notes)


if __name__ == "__main__":
    main()
