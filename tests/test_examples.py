"""The example corpus is what `truth.json` says, and small enough to ship."""

import hashlib
import importlib.util
import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pypdfium2
import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CORPUS = EXAMPLES / "corpus"
TRUTH: dict[str, Any] = json.loads((EXAMPLES / "truth.json").read_text(encoding="utf-8"))
VIDEOS = [name for name, truth in TRUTH.items() if truth.get("slides")]

BUDGET_BYTES = 3_500_000


def frames(name: str) -> list[float]:
    """Presentation times of all pictures, in seconds."""
    with av.open(str(CORPUS / name)) as container:
        return [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]


def test_every_file_has_a_truth_and_the_corpus_is_small() -> None:
    """Sidecars belong to their video; together the files stay under 3.5 MB."""
    files = {path.name for path in CORPUS.iterdir()}
    sidecars = {name for name in files if name.endswith(".srt")}
    assert files - sidecars == set(TRUTH)
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < BUDGET_BYTES


@pytest.mark.parametrize("name", VIDEOS)
def test_videos_are_as_long_and_as_large_as_stated(name: str) -> None:
    """Duration within an audio packet, size exactly, slides without gaps, sound and words."""
    truth = TRUTH[name]
    with av.open(str(CORPUS / name)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (truth["width_px"], truth["height_px"])
        assert (container.duration or 0) / av.time_base == pytest.approx(truth["duration_seconds"], abs=0.1)
        assert container.streams.audio
        assert bool(container.streams.subtitles) == (truth["subtitles"] == "embedded")
    slides = truth["slides"]
    assert slides[0]["start_seconds"] == 0
    assert [slide["end_seconds"] for slide in slides[:-1]] == [slide["start_seconds"] for slide in slides[1:]]
    assert slides[-1]["end_seconds"] == truth["duration_seconds"]
    assert all(sentence["end_seconds"] <= truth["duration_seconds"] for sentence in truth["sentences"])


def test_one_video_is_portrait_and_of_variable_frame_rate() -> None:
    """The other is landscape and even."""
    steps = {
        name: {round(after - before, 3) for before, after in pairwise(times)}
        for name in VIDEOS
        for times in [frames(name)]
    }
    assert {TRUTH[name]["variable_frame_rate"]: found for name, found in steps.items()} == {
        False: {0.04},
        True: {0.04, 0.2},
    }
    portrait = [name for name in VIDEOS if TRUTH[name]["height_px"] > TRUTH[name]["width_px"]]
    assert [TRUTH[name]["variable_frame_rate"] for name in portrait] == [True]


def test_slides_change_when_stated() -> None:
    """The picture after a change differs from the one before it in thousands of pixels."""
    for name in VIDEOS:
        changes = [slide["start_seconds"] for slide in TRUTH[name]["slides"][1:]]
        with av.open(str(CORPUS / name)) as container:
            thumbs = [
                (frame.time, frame.reformat(96, 96, "gray").to_ndarray().astype(int))
                for frame in container.decode(video=0)
            ]
        found = [
            after[0] for before, after in pairwise(thumbs) if (abs(before[1] - after[1]) > 25).sum() > 100
        ]
        assert found == pytest.approx(changes, abs=0.05), name


def test_the_sidecar_says_what_is_spoken() -> None:
    """Times to the millisecond, words exactly."""
    text = (CORPUS / "observatory-night.en.srt").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]

    def seconds(clock: str) -> float:
        hours, minutes, rest = clock.replace(",", ".").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    found = [
        {
            "start_seconds": pytest.approx(seconds(start)),
            "end_seconds": pytest.approx(seconds(end)),
            "text": words,
        }
        for _, span, words in blocks
        for start, _, end in [span.partition(" --> ")]
    ]
    assert found == TRUTH["observatory-night.mp4"]["sentences"]


def test_the_embedded_track_says_what_is_spoken() -> None:
    """The same for the track inside the portrait video."""
    name = "tide-pools-portrait.mkv"
    with av.open(str(CORPUS / name)) as container:
        track = container.streams.subtitles[0]
        packets = [packet for packet in container.demux(track) if packet.size]
        found = [(float((packet.pts or 0) * packet.time_base), bytes(packet).decode()) for packet in packets]
    wanted = TRUTH[name]["sentences"]
    assert [text for _, text in found] == [sentence["text"] for sentence in wanted]
    assert [at for at, _ in found] == pytest.approx(
        [sentence["start_seconds"] for sentence in wanted], abs=0.002
    )


def test_documents_have_the_stated_pages() -> None:
    """The handbook's text is in its layer, the scan has none, and its turned page lies."""
    handbook, scan = TRUTH["bakery-handbook.pdf"], TRUTH["shore-survey-scan.pdf"]
    with pypdfium2.PdfDocument(CORPUS / "bakery-handbook.pdf") as document:
        assert len(document) == handbook["page_count"]
        for number, page in enumerate(handbook["pages"]):
            text = re.sub(r"\s+", " ", document[number].get_textpage().get_text_bounded())
            for words in (page["heading"], *page["paragraphs"]):
                assert words in text
    with pypdfium2.PdfDocument(CORPUS / "shore-survey-scan.pdf") as document:
        assert len(document) == scan["page_count"]
        assert not any(document[n].get_textpage().get_text_bounded().strip() for n in range(len(document)))
        lying = [page["page"] for page in scan["pages"] if page["turned_degrees"]]
        wide = [n + 1 for n in range(len(document)) if document[n].get_width() > document[n].get_height()]
        assert wide == lying == [2]


def test_pictures_have_the_stated_size() -> None:
    """One JPEG, one PNG."""
    pictures = {name: truth for name, truth in TRUTH.items() if truth["kind"] == "image"}
    for name, truth in pictures.items():
        with Image.open(CORPUS / name) as picture:
            assert picture.size == (truth["width_px"], truth["height_px"])
    assert {Path(name).suffix for name in pictures} == {".jpg", ".png"}


def test_the_broken_video_cannot_be_opened() -> None:
    """Its index is missing, and the file begins like a real one."""
    path = CORPUS / "unfinished-recording.mp4"
    assert path.read_bytes()[4:8] == b"ftyp"
    with pytest.raises(av.error.InvalidDataError):
        av.open(str(path))


def test_the_script_makes_the_same_handbook_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents carry no clock and no chance; encoders of other versions may differ for videos."""
    spec = importlib.util.spec_from_file_location("make_examples", EXAMPLES / "make_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_examples", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CORPUS", tmp_path)

    digests = []
    for _ in range(2):
        assert module.make_handbook() == TRUTH["bakery-handbook.pdf"]
        digests.append(hashlib.sha256((tmp_path / "bakery-handbook.pdf").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
