"""Finished work is found again, and damage to it costs computing it again and nothing else."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from operators.commit import append_files
from operators.lake import Lake
from operators.unit_store import open_store, write_units
from schemas.arrow import to_table
from schemas.tables import UnitRow
from tests.test_compact import unit_row


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with two files of finished work, of which the second is damaged by a test."""
    made = Lake(tmp_path / "lake")
    made.create()
    for name in ("a", "b"):
        rows = [unit_row(f"{name}{index:031}", content=f"c{name}", index=index) for index in range(3)]
        append_files(made, [write_units(made, to_table(UnitRow, rows))])
    return made


def held(lake: Lake) -> set[str]:
    """First letters of the ids that a run can use."""
    store = open_store(lake, [10])
    return {name[0] for name in store.units.find([f"{name}{0:031}" for name in "ab"])}


def test_a_flipped_bit_anywhere_leaves_the_other_files_of_use(lake: Lake) -> None:
    """Whatever is hit (header, page, footer), nothing raises, and sound files are still found."""
    (victim,) = [
        file for file in lake.files("units") if pq.read_table(file)["content_hash"][0].as_py() == "cb"
    ]
    content = Path(victim).read_bytes()
    lost = 0
    for at in [0, *range(4, len(content), len(content) // 60), len(content) - 5]:
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        Path(victim).write_bytes(damaged)
        found = held(lake)
        assert "a" in found, at
        lost += "b" not in found
    assert lost > 0, "no place that was hit made the file unreadable"
    Path(victim).write_bytes(content)
    assert held(lake) == {"a", "b"}


def test_a_file_that_is_gone_is_no_damage(lake: Lake) -> None:
    """That a store cannot be reached says nothing about the work in it: the run stops and keeps it."""
    Path(lake.files("units")[0]).unlink()
    with pytest.raises(OSError, match="units"):
        held(lake)
