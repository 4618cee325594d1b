"""The benchmark of quiet nights counts what it times."""

import json
from pathlib import Path

from benchmarks.unchanged import main


def test_every_file_is_told_to_be_unchanged(tmp_path: Path) -> None:
    """A night that found anything else would give no row."""
    target = tmp_path / "unchanged.json"
    main(["--files", "3", "--rounds", "1", "--json", str(target)])

    (row,) = json.loads(target.read_text())["rows"]
    assert row["files"] == 3
