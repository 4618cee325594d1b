"""The benchmark of growth refuses to time runs that lost a file."""

import json
from pathlib import Path

import pytest

from benchmarks.growth import grow, main, make_corpus


def test_growth_counts_every_asset(tmp_path: Path) -> None:
    """Sizes are as asked for, and what is measured is there."""
    target = tmp_path / "growth.json"
    main(
        [
            "--assets",
            "2",
            "--times",
            "1",
            "--video-seconds",
            "2",
            "--set",
            "ocr.engine=off",
            "--json",
            str(target),
        ]
    )

    (row,) = json.loads(target.read_text())["rows"]
    assert (row["assets"], row["times the first"]) == (2, 1)
    assert 0 < row["first visible, s"] <= row["seconds"]


def test_lost_file_is_no_figure(tmp_path: Path) -> None:
    """A corpus that does not become as many assets as were made is an error."""
    make_corpus(tmp_path / "corpus", 2, 2)
    with pytest.raises(RuntimeError, match="Wanted 3 assets"):
        grow(tmp_path / "corpus", tmp_path / "lake", 3, ["speech.engine=off", "ocr.engine=off"])
