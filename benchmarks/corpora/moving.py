"""Videos in which something moves all the time: people who talk, and screens that are worked on."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from PIL import Image, ImageDraw, ImageFont

from benchmarks.corpora.truth import Made, Shown
from benchmarks.slides import slide, slide_lines

Pixels = npt.NDArray[np.uint8]

SIZES = (
    (256, 144),
    (426, 240),
    (640, 360),
    (854, 480),
    (1280, 720),
    (1920, 1080),
    (3840, 2160),
    (360, 640),
    (1080, 1920),
    (720, 720),
)
"""144p to 4K, portrait and square."""


def write_video(path: Path, frames: Iterator[Pixels], rate: int) -> None:
    """Code RGB pictures of one even size with H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        stream.time_base, stream.pix_fmt = Fraction(1, rate), "yuv420p"
        for index, pixels in enumerate(frames):
            if index == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make_talking_heads(
    folder: Path, *, seconds: int, files: int = 1, size: tuple[int, int] = (1280, 720), rate: int = 25
) -> list[Made]:
    """Write videos of a head that sways and speaks before a grainy wall, with a name that stands below."""
    made = []
    for number in range(files):
        name = slide_lines(number)[1]
        path = folder / f"head-{number:04}.mp4"
        write_video(path, _head(name, size, seconds * rate, rate, np.random.default_rng(number)), rate)
        made.append(Made(path, (Shown(name, 0.0, float(seconds)),)))
    return made


def _head(
    name: str, size: tuple[int, int], count: int, rate: int, rng: np.random.Generator
) -> Iterator[Pixels]:
    width, height = size
    coarse = rng.integers(90, 150, (height // 24, width // 24, 3), np.uint8)
    wall = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    caption = Image.new("RGB", (width, height // 8), (20, 30, 60))
    ImageDraw.Draw(caption).text(
        (width // 20, height // 40), name, "white", ImageFont.load_default(height // 16)
    )
    grain = [rng.integers(0, 12, (height, width, 1), np.uint8) for _ in range(5)]
    for index in range(count):
        time = index / rate
        picture = wall + grain[index % len(grain)]
        x = int(width * (0.5 + 0.03 * np.sin(1.3 * time)))
        y = int(height * (0.4 + 0.02 * np.sin(2.1 * time)))
        tall = height // 4
        shoulders = (x, y + 2 * tall), (int(1.3 * tall), tall)
        cv2.ellipse(picture, *shoulders, 0, 0, 360, (60, 70, 110), -1)
        cv2.ellipse(picture, (x, y), (int(0.75 * tall), tall), 0, 0, 360, (205, 165, 140), -1)
        mouth = (tall // 4, int(tall * (0.04 + 0.08 * abs(np.sin(9 * time)))))
        cv2.ellipse(picture, (x, y + tall // 2), mouth, 0, 0, 360, (120, 40, 40), -1)
        for side in (-1, 1):
            lid = 1 if index % (4 * rate) < 3 else tall // 14  # it blinks
            cv2.ellipse(picture, (x + side * tall // 3, y - tall // 5), (tall // 10, lid), 0, 0, 360, 0, -1)
        picture[height - height // 8 :] = np.asarray(caption)
        yield picture


def make_screencasts(
    folder: Path, *, seconds: int, files: int = 1, size: tuple[int, int] = (1280, 720), rate: int = 25
) -> list[Made]:
    """Write videos of text that is typed, letter by letter, and of text that is scrolled.

    What is stated of the typed ones is each line from when it is complete; of the scrolled ones, each
    line for as long as it is seen whole.
    """
    made = []
    for number in range(files):
        path = folder / f"screen-{number:04}.mp4"
        typed = number % 2 == 0
        screen = _Screen(number, size, seconds)
        write_video(path, screen.typed(rate) if typed else screen.scrolled(rate), rate)
        made.append(Made(path, tuple(screen.typed_truth() if typed else screen.scrolled_truth())))
    return made


class _Screen:
    """Lines of text on a dark ground."""

    letters_a_second = 12

    def __init__(self, number: int, size: tuple[int, int], seconds: int) -> None:
        self.width, self.height = size
        self.seconds = seconds
        self.letter = max(12, self.height // 30)
        self.step = round(self.letter * 1.7)
        self.shown = self.height // self.step - 1
        self.font = ImageFont.load_default(self.letter)
        self.lines = [line for at in range(40) for line in slide_lines(500 * (number + 1) + at)[1:]]

    def _strip(self, text: str) -> Pixels:
        picture = Image.new("RGB", (self.width, self.step), (24, 26, 34))
        ImageDraw.Draw(picture).text((self.letter, self.letter // 4), text, (225, 225, 215), self.font)
        return np.asarray(picture)

    def typed(self, rate: int) -> Iterator[Pixels]:
        """Show letter after letter; a full screen is cleared."""
        empty = np.tile(self._strip(""), (self.height // self.step + 1, 1, 1))[: self.height]
        screen, line, begun = empty.copy(), 0, 0.0
        for index in range(self.seconds * rate):
            time = index / rate
            text = self.lines[line]
            count = int((time - begun) * self.letters_a_second)
            row = line % self.shown
            screen[row * self.step : (row + 1) * self.step] = self._strip(text[:count])
            yield screen
            if count >= len(text):
                line, begun = line + 1, time + 1 / rate
                if line % self.shown == 0:
                    screen = empty.copy()

    def typed_truth(self) -> Iterator[Shown]:
        """State each line from when it is complete until the screen is cleared."""
        ends, time = [], 0.0
        for text in self.lines:
            time += len(text) / self.letters_a_second + 0.08
            ends.append(time)
        for line, end in enumerate(ends):
            last = min((line // self.shown + 1) * self.shown - 1, len(ends) - 1)
            if end < self.seconds:
                yield Shown(self.lines[line], end, min(ends[last], float(self.seconds)))

    def _offset(self, time: float) -> int:
        """Pixels scrolled: a line in a second, for two seconds in each five."""
        steps, rest = divmod(time, 5.0)
        return round(self.step * (2 * steps + min(rest, 2.0)))

    def scrolled(self, rate: int) -> Iterator[Pixels]:
        """Scroll for a while, and rest."""
        page = np.concatenate([self._strip(text) for text in self.lines])
        for index in range(self.seconds * rate):
            top = min(self._offset(index / rate), len(page) - self.height)
            yield page[top : top + self.height]

    def scrolled_truth(self) -> Iterator[Shown]:
        """State each line in the seconds in which it rests whole on the screen."""
        most = len(self.lines) * self.step - self.height
        for second in range(self.seconds):
            top = min(self._offset(second), most)
            first, last = -(-top // self.step), (top + self.height) // self.step
            yield Shown("\n".join(self.lines[first:last]), float(second), second + 1.0)


def make_mixed(folder: Path, *, seconds: int, files: int = len(SIZES), rate: int = 5) -> list[Made]:
    """Write short slide videos of all sizes, with few frames a second to be quick."""
    made = []
    for number in range(files):
        size = SIZES[number % len(SIZES)]
        count = max(1, seconds // 5)
        slides = [np.asarray(slide(1000 * (number + 1) + at, *size)) for at in range(count)]
        path = folder / f"mixed-{number:04}.mp4"
        frames = (slides[min(index // (5 * rate), count - 1)] for index in range(seconds * rate))
        write_video(path, frames, rate)
        shown = (
            Shown("\n".join(slide_lines(1000 * (number + 1) + at)), 5.0 * at, 5.0 * at + 5)
            for at in range(count)
        )
        made.append(Made(path, tuple(shown)))
    return made
