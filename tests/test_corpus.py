"""Real files with known truth, where a checkout has them beside it.

Recall is measured over all files of a kind together, as a user would: single files may lose a
word that another tool's truth glues or splits.
"""

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.ingest import run_ingest
from operators.lake import Lake
from schemas.config import load_config
from schemas.failure import Reason
from tests.corpus import CORPUS, needs_corpus
from tests.recall import hits, recall

pytestmark = needs_corpus

LECTURES = ("lecture.mp4", "video/lecture_rot90_metadata.mp4", "video/lecture_vfr.mkv")
TURNED = [f"docs/docling_ocr_test{turn}.pdf" for turn in ("", "_rotated_90", "_rotated_180", "_rotated_270")]
ENCRYPTED = ("docs/tabula-java_encrypted.pdf", "docs/pdfplumber_password-example.pdf")


def truths() -> dict[str, Path]:
    """Born-digital documents and the files that state their text."""
    found = {}
    for path in sorted((CORPUS / "docs" / "truth").glob("*")):
        document = CORPUS / "docs" / f"{path.stem}.pdf"
        if document.exists():
            found[document.name] = path
    return found


@pytest.fixture(scope="module")
def lake(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """All of it, good, broken and hostile, ingested in one run."""
    place = str(tmp_path_factory.mktemp("corpus") / "lake")
    sources = [*LECTURES, *TURNED, *ENCRYPTED, *(f"docs/{name}" for name in truths()), "broken", "hostile"]
    code = run_ingest([str(CORPUS / source) for source in sources], place, load_config())
    assert code == 3
    return Lake(place)


@pytest.fixture(scope="module")
def views(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Its views."""
    return lake.connect()


def text_of(views: duckdb.DuckDBPyConnection, name: str) -> str:
    """All text of a file, page by page."""
    rows = views.execute(
        "SELECT ocr_text FROM clips JOIN assets USING (asset_id) WHERE uri LIKE ? ORDER BY clip",
        [f"%/{name}"],
    ).fetchall()
    return "\n".join(text or "" for (text,) in rows)


def lecture() -> dict[str, Any]:
    """What the lecture shows and when."""
    if not CORPUS.is_dir():
        return {"slides": []}
    return dict(json.loads((CORPUS / "lecture.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", LECTURES)
def test_slides_lose_no_word_and_are_read_once(views: duckdb.DuckDBPyConnection, name: str) -> None:
    """Each slide is seen whole while it stands; whole readings are as many as slides, not as samples."""
    rows = views.execute(
        "SELECT text, time_seconds, until_seconds FROM text_regions JOIN assets USING (asset_id) "
        "WHERE uri LIKE ?",
        [f"%/{name}"],
    ).fetchall()
    found = wanted = 0
    for slide in lecture()["slides"]:
        shown = " ".join(row[0] for row in rows if row[1] < slide["end_s"] and row[2] >= slide["start_s"])
        hit, count = hits(slide["text"], shown)
        found, wanted = found + hit, wanted + count
        titles = [row[1] for row in rows if recall(slide["title"], row[0]) == 1]
        # The slowest variant shows five frames a second: its own slide may begin that much later.
        assert any(-0.05 <= at - slide["start_s"] <= 1.2 for at in titles), slide["title"]
    assert found / wanted >= 0.98
    ((sampled, whole, segments),) = views.execute(
        "SELECT sampled_frames, read_whole, segment_count FROM assets WHERE uri LIKE ?", [f"%/{name}"]
    ).fetchall()
    assert sampled >= 40
    assert len(lecture()["slides"]) <= whole <= 2 * len(lecture()["slides"])
    assert segments == len(lecture()["slides"])


def test_born_digital_pages_lose_less_than_one_word_in_a_hundred(views: duckdb.DuckDBPyConnection) -> None:
    """Over all documents whose text is known; a word parted at a line's end counts when joined."""
    found = wanted = 0
    for name, path in truths().items():
        truth = re.sub(r"<!--.*?-->|[#*`|_\\,\"]", " ", path.read_text(encoding="utf-8", errors="replace"))
        text = text_of(views, name)
        hit, count = hits(truth, text)
        joined, _ = hits(truth, re.sub(r"-\s*\n\s*", "", text))
        found, wanted = found + max(hit, joined), wanted + count
    assert found / wanted >= 0.99


@pytest.mark.parametrize("name", TURNED)
def test_turned_scan_is_read_upright(views: duckdb.DuckDBPyConnection, name: str) -> None:
    """The same page in four directions gives the same words."""
    truth = json.loads((CORPUS / "ground_truth.json").read_text(encoding="utf-8"))[name]["text"]

    assert recall(truth, text_of(views, name)) == 1


def test_every_broken_and_hostile_file_is_accounted_for(views: duckdb.DuckDBPyConnection) -> None:
    """None is missing, each failure has a reason of the closed list, and none is an error of ours."""
    ((discovered, ok, partial, failed, skipped),) = views.execute(
        "SELECT discovered, ok, partial, failed, skipped FROM runs"
    ).fetchall()
    files = {path.name for folder in ("broken", "hostile") for path in (CORPUS / folder).iterdir()}
    named = {
        uri.rpartition("/")[2]
        for (uri,) in views.execute("SELECT uri FROM assets UNION ALL SELECT uri FROM skips").fetchall()
    }
    reasons = {reason for (reason,) in views.execute("SELECT reason FROM failures").fetchall()}

    assert discovered == ok + partial + failed + skipped
    assert files <= named
    assert reasons <= set(Reason) - {Reason.INTERNAL, Reason.LOST}
    assert failed >= 15


def test_password_is_a_reason_of_its_own(views: duckdb.DuckDBPyConnection) -> None:
    """A document that needs a password says so."""
    for name in ENCRYPTED:
        reasons = views.execute("SELECT reason FROM failures WHERE uri LIKE ?", [f"%/{name}"]).fetchall()
        assert reasons == [("password",)], name
