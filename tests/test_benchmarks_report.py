"""Benchmarks count what was spent, by whomever it was, and show what they found."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks.report import Spread, by_turns, publish, ratio, table, timed, timed_command

_BURN = "import time\nwhile time.process_time() < {}: pass"


def _burn(seconds: float) -> None:
    started = time.process_time()
    while time.process_time() - started < seconds:
        pass


def test_seconds_of_orphans_count() -> None:
    """A worker whose parent has gone is nobody's child, as Ray's are: `getrusage` would leave it out."""
    burn = _BURN.format(1.0)
    start = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {burn!r}]).pid)"

    def work() -> int:
        with subprocess.Popen(
            [sys.executable, "-c", f"{start}; import time; time.sleep(0.6)"],
            stdout=subprocess.PIPE,
            text=True,
        ) as parent:
            assert parent.stdout is not None
            orphan = int(parent.stdout.readline())
            parent.wait()
        while Path(f"/proc/{orphan}/stat").exists() and ") Z" not in Path(f"/proc/{orphan}/stat").read_text():
            time.sleep(0.05)
        _burn(0.3)
        return orphan

    found = timed(work)
    assert found.result > 0
    assert 0.8 < found.cpu_seconds < 3.0


def test_what_ran_before_does_not_count() -> None:
    """Only what is spent while the work goes on is its cost."""
    subprocess.run([sys.executable, "-c", _BURN.format(0.5)], check=True)
    found = timed(lambda: "done")
    assert found.result == "done"
    assert found.cpu_seconds < 0.2


def test_a_command_gives_its_output_or_says_why_not() -> None:
    """A benchmark must not take a failed rival for a fast one."""
    assert timed_command([sys.executable, "-c", "print('rows')"]).result == "rows\n"
    assert timed_command([sys.executable, "-c", "raise SystemExit(3)"], codes=(0, 3)).result == ""
    with pytest.raises(RuntimeError, match=r"(?s)Wanted exit code .* found 1: .*no such table"):
        timed_command([sys.executable, "-c", "raise ValueError('no such table')"])


def test_turns_alternate_and_ratios_are_taken_within_a_turn() -> None:
    """A busy minute must meet both sides of a ratio."""
    order: list[str] = []
    found = by_turns({name: partial(order.append, name) for name in "ab"}, 2)
    assert order == ["a", "b", "a", "b"]
    assert [len(times) for times in found.values()] == [2, 2]
    spread = ratio([1.0, 9.0, 4.0], [1.0, 3.0, 2.0])
    assert spread == Spread((1.0, 3.0, 2.0))
    assert str(spread) == "2.00 (1.00 to 3.00)"


def test_published_figures_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed and what is kept are the same figures."""
    rows = [{"what": "one", "seconds": 1.5}, {"what": "another", "ratio": Spread((1.0, 2.0, 3.0))}]
    publish("Speed", rows, tmp_path / "figures.json", ["Short."], slides=12)
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert kept["rows"][1] == {"what": "another", "ratio": {"median": 2.0, "values": [1.0, 2.0, 3.0]}}
    assert (kept["slides"], kept["notes"]) == (12, ["Short."])
    assert "cores" in kept["machine"]["processor"]
    said = capsys.readouterr().out
    assert table(rows) in said
    assert "| another |" in said
