"""`gloss review list --pictures`: the right frame or page, the evidence framed in red."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from jobs.review import run_review
from operators.commit import commit, put_run
from operators.lake import Lake
from operators.write import rows_of, write_rows
from schemas.config import load_config
from schemas.tables import AssetRow, EvidencePart, ReviewRow
from tests.media import encode, save, slide, steady
from tests.pages import drawn_pdf
from tests.rows import asset_row, run_row
from tests.small_lake import clip_row

RED, GREEN, BLUE = (230, 0, 0), (20, 160, 60), (30, 60, 220)

BOX = (0.25, 0.5, 0.75, 0.6)


def part(clip: int = 0, **columns: Any) -> EvidencePart:
    """Evidence, without a box unless it is given."""
    x0, y0, x1, y1 = columns.pop("box", (None,) * 4)
    at, number = columns.get("time_seconds"), columns.get("page")
    return EvidencePart("Words.", "shown", "ocr", clip, at, at, number, x0, y0, x1, y1)


def review(digit: str, asset: str, *evidence: EvidencePart) -> ReviewRow:
    """An open review."""
    return ReviewRow(
        digit * 32, asset, "v0", "asset", None, None, 0, "Is it so?", "unsupported", "Wanted support.", 0.2,
        "dropped", list(evidence), "open", None, "source", "s0", asset,
    )  # fmt: skip


def page(canvas: Canvas) -> None:
    """A page with a black bar exactly where `BOX` is."""
    canvas.rect(0.25 * 595, 0.4 * 842, 0.5 * 595, 0.1 * 842, fill=1, stroke=0)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that is green, then blue; a document of two pages; sound; and a video that is gone."""
    root = tmp_path_factory.mktemp("review")
    shown = [(0.0, slide([], (320, 180), paper=GREEN)), (4.0, slide([], (320, 180), paper=BLUE))]
    save(root, "film.mp4", encode(steady(shown, 8.0, rate=5)))
    save(root, "paper.pdf", drawn_pdf(lambda _: None, page))
    save(root, "talk.wav", b"RIFF")
    assets, clips = [], []
    for name, kind, size in (
        ("film.mp4", "video", (320, 180)),
        ("gone.mp4", "video", (320, 180)),
        ("paper.pdf", "document", (595, 842)),
        ("talk.wav", "audio", (None, None)),
    ):
        path = root / name
        asset: AssetRow = asset_row(
            asset_id=name, uri=f"file://{path}", kind=kind, write_id=name, clip_count=2,
            bytes=path.stat().st_size if path.exists() else 5, width_px=size[0], height_px=size[1],
        )  # fmt: skip
        assets.append(asset)
        clips += [clip_row(name, at, "", name, width_px=size[0], height_px=size[1]) for at in (0, 1)]
    blue, green, more = (
        part(1, time_seconds=5.0),
        part(0, time_seconds=1.0, box=BOX),
        part(1, time_seconds=7.0),
    )
    reviews = [
        review("1", "film.mp4", blue, green, more),
        review("2", "gone.mp4", part(0, time_seconds=1.0)),
        review("3", "paper.pdf", part(1, page=2, box=BOX)),
        review("4", "talk.wav", part(0, time_seconds=1.0)),
    ]  # fmt: skip
    found = Lake(root / "lake")
    found.create()
    commit(found, assets, rows_of([write_rows(found, "clips", clips), write_rows(found, "reviews", reviews)]))
    put_run(found, run_row(config=load_config().model_dump_json()))
    return root / "lake"


def pixels(path: str) -> Any:
    """What stands in a file."""
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def near(pixel: Any, colour: tuple[int, int, int], by: int = 12) -> bool:
    """Tell whether a pixel is of a colour, coding aside."""
    return bool(np.abs(pixel - np.array(colour)).max() <= by)


def test_pictures_are_of_the_moment_and_page_of_the_evidence(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two for a review, the best first; the box has a red frame, what stands in it is untouched."""
    folder = tmp_path / "new" / "pictures"
    assert run_review(str(lake), format="json", pictures=folder) == 0
    said = capsys.readouterr()
    film, gone, paper, talk = json.loads(said.out)
    assert [part["picture"] for part in film["evidence"]] == [
        str(folder / "111111111111-1.png"), str(folder / "111111111111-2.png"), None,
    ]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == [
        "111111111111-1.png", "111111111111-2.png", "333333333333-1.png",
    ]  # fmt: skip

    late, early = (pixels(part["picture"]) for part in film["evidence"][:2])
    assert late.shape == early.shape == (180, 320, 3)
    assert near(late, BLUE)
    assert near(early[85, 160], GREEN)  # above the box
    assert near(early[99, 160], GREEN)  # within it
    assert near(early[89, 160], RED, 0)
    assert near(early[99, 79], RED, 0)
    assert near(early[99, 241], RED, 0)

    sheet = pixels(paper["evidence"][0]["picture"])
    assert sheet.shape[0] == 1600
    height, width = sheet.shape[:2]
    assert near(sheet[round(0.55 * height), width // 2], (0, 0, 0))
    assert near(sheet[round(0.5 * height) - 2, width // 2], RED, 0)
    assert near(sheet[round(0.45 * height), width // 2], (255, 255, 255))

    assert gone["evidence"][0]["picture"] is None
    assert talk["evidence"][0]["picture"] is None
    assert said.err.count("gone.mp4") == 1
    assert "talk" not in said.err


def test_the_listing_names_each_picture(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a line of its own; a source that has become another file is not shown for the old one."""
    (lake.parent / "paper.pdf").write_bytes(drawn_pdf(page, page, page))
    assert run_review(str(lake), pictures=tmp_path) == 0
    said = capsys.readouterr()
    assert str(tmp_path / "111111111111-1.png") in said.out
    assert "333333333333" not in {path.name[:12] for path in tmp_path.iterdir()}
    assert "333333333333-1.png" in said.err
    assert "Run gloss ingest" in said.err


def test_a_folder_that_cannot_be_made_is_wrong_usage(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said before anything is decoded, with exit code 2."""
    (tmp_path / "file").write_text("")
    assert run_review(str(lake), pictures=tmp_path / "file" / "pictures") == 2
    assert "Wanted a folder for pictures" in capsys.readouterr().err
