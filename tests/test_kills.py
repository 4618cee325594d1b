"""Killed at any moment, the same command completes the lake as if nothing had happened.

One kill each here; `python -m tests.kills --kills 100` goes on for longer.
"""

from pathlib import Path

import pytest

from tests.kills import run_kills


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("executor", "victims"), [("ray", ("driver", "worker", "raylet")), ("threads", ("driver",))]
)
def test_killed_runs_leave_a_lake_like_an_undisturbed_one(
    tmp_path: Path, executor: str, victims: tuple[str, ...]
) -> None:
    """Equal rows, no torn asset for a reader at any time, and no durable unit computed again.

    The undisturbed lake was made by the other executor: rows do not depend on where the work was done.
    """
    tally, reader, differences = run_kills(tmp_path, kills=1, seed=11, executor=executor, victims=victims)

    assert sum(tally.kills.values()) >= 1
    assert differences == []
    assert reader.looks > 20
    assert reader.seen > 0
    assert reader.torn == []
    assert tally.durable_again == 0
    assert tally.again <= tally.lost
    assert not [end for end in tally.ends if end.startswith("stuck")]
