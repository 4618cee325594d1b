"""A lake that becomes unwritable in the middle of a run: the run says so, and nothing is torn."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import jobs.committer
from jobs.ingest import run_ingest
from jobs.verify import check_lake
from operators.commit import commit
from operators.lake import Lake
from schemas.config import load_config
from tests.pages import picture_bytes, text_picture

FILES = 60


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Enough pictures that the run is at work for some seconds, and one that fails at once."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "000.png").write_bytes(b"")
    for number in range(FILES):
        picture = text_picture(f"Number {number}", (300 + number, 90))
        (folder / f"{number:02}.png").write_bytes(picture_bytes(picture, "PNG"))
    return folder


def test_run_ends_and_the_next_one_goes_on(
    ray_cluster: None,
    corpus: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends by itself with exit code 1; when the lake is back, the same command completes it."""
    lake, away = tmp_path / "lake", tmp_path / "away"
    config = load_config("embedded", None, ["store.commit_seconds=0"])

    def commit_once(*what: Any) -> None:
        """Commit, and put a file where the lake was: every write fails from then on."""
        commit(*what)
        lake.rename(away)
        lake.write_text("A disk that is gone.")

    with monkeypatch.context() as patched:
        patched.setattr(jobs.committer, "commit", commit_once)
        patched.setattr(jobs.committer, "_GROUP_UNITS", 4)  # a fast machine would commit all in one
        code = run_ingest([str(corpus)], str(lake), config)

    assert away.exists(), "the lake was taken away while the run was at work"
    assert code == 1
    said = capfd.readouterr().err
    assert "Run the same command to go on." in said
    lake.unlink()
    shutil.move(away, lake)
    committed = Lake(lake).connect().execute("SELECT count(*) FROM assets").fetchall()[0][0]
    assert committed < FILES

    assert run_ingest([str(corpus)], str(lake), config) == 3
    views = Lake(lake).connect()
    statuses = views.execute("SELECT status, count(*) FROM assets GROUP BY ALL ORDER BY ALL").fetchall()
    assert statuses == [("failed", 1), ("ok", FILES)]
    assert views.execute("SELECT count(*), count(DISTINCT unit_id) FROM units").fetchall() == [(FILES, FILES)]
    statuses = views.execute("SELECT status FROM runs ORDER BY started_at").fetchall()
    assert statuses[-1] == ("finished",)
    assert [finding for finding in check_lake(Lake(lake)) if finding.severity == "error"] == []
