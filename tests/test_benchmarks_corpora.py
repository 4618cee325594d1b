"""Corpora of the benchmarks hold what their makers say, and are made once."""

from pathlib import Path

import av
import pypdfium2
import pytest

from benchmarks.corpora import MAKERS, make
from benchmarks.corpora.truth import Made
from operators.decode import Decode
from operators.discover import discover
from operators.ocr import Ocr
from operators.ocr_rapidocr import RapidOcrEngine
from operators.probe import Probe
from operators.score_text import compare_bags
from schemas.config import load_config

_SIZES: dict[str, dict[str, int]] = {
    "slides": {"seconds": 2, "slide_seconds": 1},
    "talking-heads": {"seconds": 1, "rate": 5},
    "screencasts": {"seconds": 6, "files": 2, "rate": 5},
    "mixed": {"seconds": 1, "files": 4},
    "scans": {"pages": 4, "pages_per_file": 2},
    "born-digital": {"pages": 3, "pages_per_file": 2},
    "talks": {"files": 2, "most_seconds": 8},
}


def test_every_kind_is_made_once(tmp_path: Path) -> None:
    """The second time nothing is written, and the truth read back is the same."""
    assert set(_SIZES) == set(MAKERS)
    for kind, sizes in _SIZES.items():
        folder, made = make(kind, tmp_path, **sizes)
        assert {item.path for item in made} == set(folder.iterdir())
        assert all(item.text for item in made)
        written = [item.path.stat().st_mtime_ns for item in made]
        again, known = make(kind, tmp_path, **sizes)
        assert (again, list(known)) == (folder, list(made))
        assert [item.path.stat().st_mtime_ns for item in known] == written
    assert make("slides", tmp_path, seconds=1)[0] != make("slides", tmp_path, seconds=2)[0]


def test_what_was_broken_off_is_made_again(tmp_path: Path) -> None:
    """A folder without its truth is not taken for a corpus."""
    folder, (made,) = make("slides", tmp_path, seconds=1)
    whole = made.path.read_bytes()
    folder.with_suffix(".json").unlink()
    made.path.write_bytes(b"half")
    (folder / "stray.mp4").write_bytes(b"")
    make("slides", tmp_path, seconds=1)
    assert made.path.read_bytes() == whole
    assert list(folder.iterdir()) == [made.path]


def test_videos_last_as_long_as_they_say(tmp_path: Path) -> None:
    """Times in the truth are times of the video."""
    for kind, seconds in (("slides", 2), ("screencasts", 6)):
        _, made = make(kind, tmp_path, **_SIZES[kind])
        for item in made:
            with av.open(str(item.path)) as container:
                assert container.duration is not None
                assert container.duration / 1e6 == pytest.approx(seconds, abs=0.25)
            assert max(part.end_seconds or 0 for part in item.shown) <= seconds + 0.01


def test_born_digital_pages_hold_their_text(tmp_path: Path) -> None:
    """As text, on the page that is stated."""
    _, made = make("born-digital", tmp_path, pages=3, pages_per_file=2)
    for item in made:
        document = pypdfium2.PdfDocument(item.path)
        for part in item.shown:
            assert part.page is not None
            found = document[part.page - 1].get_textpage().get_text_range()
            assert found.split() == part.text.split()


@pytest.mark.parametrize(
    ("kind", "sizes"), [("talking-heads", {"seconds": 1, "rate": 2}), ("scans", {"pages": 1})]
)
def test_what_is_stated_can_be_read(tmp_path: Path, kind: str, sizes: dict[str, int]) -> None:
    """A recogniser finds the words."""
    folder, made = make(kind, tmp_path, **sizes)
    config = load_config("embedded", None, ["speech.engine=off"])
    probe, decode, ocr = Probe(config), Decode(config), Ocr(config, RapidOcrEngine(None, 1))
    for listing in discover([str(folder)]).listings:
        (item,) = (one for one in made if listing.uri.endswith(one.path.name))
        views = [view for task in probe(listing) for unit in decode(task) for view in ocr([unit])[0].views]
        found = "\n".join(line.text for line in views[0].lines)
        bag = compare_bags(_first(item), found)
        assert bag.shared >= 0.95 * bag.true


def _first(item: Made) -> str:
    return item.shown[0].text
