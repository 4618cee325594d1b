"""The benchmark of lakes compares like with like, on rows that are what they claim to be."""

from pathlib import Path

import pytest

from benchmarks.lakes import commits, measure, readme_queries
from benchmarks.synthetic_lake import Shape, make_lake
from jobs.verify import check_lake
from operators.lake import Lake


def test_both_sides_give_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before and after compaction, with rows of superseded assets about; ratios are of as many turns."""
    found = measure(tmp_path, Shape(2000, assets_of_commit=25, assets_of_file=10), 1, [50])

    assert len(readme_queries()) == 3
    assert [(row["lake"], row["query"]) for row in found["queries"]] == [
        (state, number) for state in ("as committed", "compacted") for number in ("1", "2", "3")
    ]
    # Three sentences of each asset's summary.
    assert [row["rows"] for row in found["queries"] if row["query"] == "3"] == [300, 300]
    assert all(row["places"] == 10 for row in found["searches"] if row["words"] == "ta ri")
    assert [row["assets"] for row in found["commits"]] == [50]
    assert "text_regions: 12600 rows" in capsys.readouterr().err  # 2000 clips and 5 % again, six lines each


def test_the_synthetic_lake_is_a_sound_one(tmp_path: Path) -> None:
    """`gloss status --check` has nothing to say of its rows but that they are of no media."""
    lake = Lake(tmp_path / "lake")
    assert make_lake(lake, Shape(200, assets_of_commit=4)) == 3
    assert commits(tmp_path / "more", 20, 10, 2)["assets"] == 20
    assert [finding for finding in check_lake(lake) if finding.check in ("file", "table", "views")] == []
