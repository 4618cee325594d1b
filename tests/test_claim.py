"""Only one run at a time writes to a lake, and a dead one does not stand in the way."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from deltalake.exceptions import CommitFailedError

from operators import claim as claim_module
from operators.claim import TABLE, Claim, ClaimLost, Holder, LakeBusyError, read_holder, this_process
from operators.lake import Lake, LakeError

BEAT = 0.25
"""Short, so that leases end in a second; long enough for a busy machine where nothing shall be lost."""


class Claimer:
    """A process of `tests.claimer`."""

    def __init__(self, lake: Lake, run_id: str, *, beat: float = 15.0, wait: float = 0.0) -> None:
        """Start it; it claims when told to `go`."""
        command = [sys.executable, "-m", "tests.claimer", lake.uri, run_id, str(beat), str(wait)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )

    def hear(self) -> str:
        """Wait for a line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, command: str) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> str:
        """Send a line and wait for the answer."""
        self.tell(command)
        return self.hear()

    def go(self) -> str:
        """Let it claim; wait for the outcome."""
        assert self.hear() == "ready"
        return self.ask("go")


@pytest.fixture
def started() -> Iterator[list[Claimer]]:
    """Processes to be ended after the test."""
    made: list[Claimer] = []
    yield made
    for one in made:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A new lake."""
    made = Lake(tmp_path / "lake")
    made.create()
    return made


def other(holder: Holder, **fields: object) -> Holder:
    """The holder in another process."""
    return replace(holder, process=replace(holder.process, **fields))  # type: ignore[arg-type]


def leave(lake: Lake, holder: Holder | None) -> None:
    """Write a holder into the log, as if it had come and died."""
    log = claim_module._Log(lake)
    log.put(log.open(), holder)


@pytest.fixture
def holder(lake: Lake) -> Holder:
    """A holder that looks like this process."""
    with Claim(lake, "r-old"):
        found = read_holder(lake)
    assert found is not None
    return found


def test_second_run_is_refused_by_name(lake: Lake, started: list[Claimer]) -> None:
    """The message says who holds the lake, where, since when and what to do; then it gets in."""
    first, second, third = Claimer(lake, "r1"), Claimer(lake, "r2"), Claimer(lake, "r3", wait=60)
    started += [first, second, third]

    assert first.go() == "held None"
    refusal = second.go()
    assert refusal.startswith("busy")
    for wanted in ("ingest r1", f"process {first.process.pid} ", "since 20", "run.wait_seconds="):
        assert wanted in refusal
    assert third.hear() == "ready"
    third.tell("go")
    time.sleep(0.3)
    assert first.ask("commit") == "ok"
    assert third.process.poll() is None
    first.tell("end")
    assert third.hear() == "held None"
    third.tell("end")
    assert third.hear() == "done"
    assert read_holder(lake) is None


def test_killed_holder_is_followed_at_once(lake: Lake, started: list[Claimer]) -> None:
    """On the same machine nobody waits for the lease of a process that is gone."""
    first, second = Claimer(lake, "r1"), Claimer(lake, "r2")
    started += [first, second]
    assert first.go() == "held None"
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    began = time.monotonic()

    assert second.go() == "held r1"
    assert time.monotonic() - began < 4 * 15 / 2


def test_paused_holder_loses_the_lake_and_does_not_commit(lake: Lake, started: list[Claimer]) -> None:
    """A stopped process is taken over after its lease; continued, it finds out before it writes."""
    first, second = Claimer(lake, "r1", beat=BEAT), Claimer(lake, "r2", beat=BEAT, wait=60)
    started += [first, second]
    assert first.go() == "held None"
    assert first.ask("commit") == "ok"
    first.process.send_signal(signal.SIGSTOP)
    assert second.go() == "held r1"
    first.process.send_signal(signal.SIGCONT)

    answer = first.ask("commit")
    assert answer.startswith("lost")
    assert "taken over by ingest r2" in answer
    assert second.ask("commit") == "ok"
    first.tell("end")
    assert first.hear() == "done"
    # What the first one does on leaving does not touch the second one's claim.
    found = read_holder(lake)
    assert found is not None
    assert found.run_id == "r2"
    assert lake.table("segments").count() == 2


def test_never_two_at_once(tmp_path: Path, started: list[Claimer]) -> None:
    """Eight processes claim a lake that does not exist yet, together; each is alone in it."""
    racers = [Claimer(Lake(tmp_path / "new"), f"r{number}", beat=1.0, wait=120) for number in range(8)]
    started += racers
    for racer in racers:
        assert racer.hear() == "ready"
    for racer in racers:
        racer.tell("go\nalone\nend")

    for racer in racers:
        assert re.fullmatch(r"held None", racer.hear())
        assert racer.hear() == "ok"
        assert racer.hear() == "done"


def test_exactly_one_of_two_writers_gets_the_next_entry(lake: Lake, holder: Holder) -> None:
    """Both have read the same state; the log lets only one of them go on from it."""
    log = claim_module._Log(lake)
    tables = [log.open() for _ in range(6)]
    won: list[int] = []

    def write(number: int) -> None:
        try:
            log.put(tables[number], replace(holder, run_id=f"r{number}"))
        except CommitFailedError:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_holder(lake)
    assert found is not None
    assert [found.run_id] == [f"r{number}" for number in won]


PARENT = {
    "pid": os.getppid(),
    "started": (claim_module._state_and_start(os.getppid()) or ("", ""))[1],
}
"""A process that lives."""


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        # A claim of this process that it no longer knows of was never given back.
        ({}, True),
        (PARENT, False),
        ({"started": "1"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"pid": 2**22 + 1, "namespace": "pid:[1]"}, False),
        ({"pid": 2**22 + 1, "boot": "another"}, False),
        ({"pid": 2**22 + 1, "host": "elsewhere"}, False),
    ],
    ids=str,
)
def test_process_is_gone_only_where_that_can_be_seen(
    holder: Holder, fields: dict[str, object], gone: bool
) -> None:
    """Pids are compared within one start of one machine and one container, and with their start."""
    assert other(holder, **fields).is_gone() == gone


def test_zombie_is_gone(holder: Holder) -> None:
    """A dead process that nobody has waited for, as in a container without init, is dead."""
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.DEVNULL)
    found = claim_module._state_and_start(child.pid)
    if found is None:
        pytest.skip("needs /proc")
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert other(holder, pid=child.pid, started=found[1]).is_gone()
    child.wait()


def test_without_proc_a_pid_is_all_there_is(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without /proc a living pid is taken for the holder, a missing one is gone."""
    monkeypatch.setattr(claim_module, "_state_and_start", lambda _: None)

    assert not other(holder, pid=os.getppid(), started="").is_gone()
    assert other(holder, pid=2**22 + 1, started="").is_gone()


def test_stale_claim_of_another_machine_is_taken_after_a_lease(lake: Lake, holder: Holder) -> None:
    """Its last beat is old by its own clock, so it is watched for a lease instead of refused."""
    stale = replace(other(holder, host="elsewhere"), at="2020-01-01T00:00:00+00:00", beat_seconds=BEAT)
    leave(lake, stale)
    began = time.monotonic()
    with Claim(lake, "r-new") as claim:
        assert claim.taken_over == "r-old"
    assert time.monotonic() - began > stale.lease_seconds


def test_claim_with_a_wrong_clock_that_moves_is_respected(lake: Lake, holder: Holder) -> None:
    """A living holder whose clock is years behind is refused as soon as it has been seen to move."""
    behind = replace(other(holder, host="elsewhere"), at="2020-01-01T00:00:00+00:00", beat_seconds=2.0)
    leave(lake, behind)
    mover = threading.Timer(1.0, leave, [lake, replace(behind, beat=9)])
    mover.start()
    with pytest.raises(LakeBusyError, match="elsewhere"), Claim(lake, "r-new"):
        pass
    mover.join()


def test_recent_claim_of_another_machine_is_refused_at_once(lake: Lake, holder: Holder) -> None:
    """Without waiting allowed, a claim that looks alive costs no time; with it, it is waited for."""
    recent = replace(other(holder, host="elsewhere"), at=claim_module._utc_now(), beat_seconds=15.0)
    leave(lake, recent)
    began = time.monotonic()
    with pytest.raises(LakeBusyError), Claim(lake, "r-new"):
        pass
    assert time.monotonic() - began < recent.lease_seconds / 4
    with pytest.raises(LakeBusyError), Claim(lake, "r-new", wait_seconds=1.5):
        pass
    assert time.monotonic() - began > 1.5


def test_beats_go_on_and_the_log_stays_small(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of beats, as of a run of hours, leave a bounded number of files."""
    monkeypatch.setitem(claim_module._PROPERTIES, "delta.logRetentionDuration", "interval 1 seconds")
    with Claim(lake, "r1", beat_seconds=1000) as claim:
        for _ in range(100):
            claim._renew()
        time.sleep(1.2)
        for _ in range(41):
            claim._renew()
        found = read_holder(lake)
    assert found is not None
    assert found.beat == 141
    assert len(list(Path(lake.root, TABLE, "_delta_log").iterdir())) < 70


def test_holder_whose_claim_was_removed_has_lost_it(lake: Lake) -> None:
    """Removing `_claim` by hand frees the lake, and the old holder notices."""
    with Claim(lake, "r1", beat_seconds=1000) as claim:
        claim.check()
        leave(lake, None)
        claim.check()
        claim._beaten_at -= 10_000
        with pytest.raises(ClaimLost, match="nobody holds it"):
            claim.check()
        with pytest.raises(ClaimLost, match="run the same command again"):
            claim.check()


def test_error_after_the_entry_was_written_is_no_loss(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that commits and then reports a timeout: the claim is ours all the same."""
    put, failing = claim_module._Log.put, [True, True, False, True]

    def flaky(self: claim_module._Log, table: object, holder: Holder | None) -> None:
        put(self, table, holder)  # type: ignore[arg-type]
        if failing and failing.pop(0):
            raise TimeoutError

    monkeypatch.setattr(claim_module._Log, "put", flaky)
    with Claim(lake, "r1", beat_seconds=1000) as claim:
        claim._beaten_at -= 10_000
        claim.check()
        assert failing == [True]
    assert failing == []
    assert read_holder(lake) is None


def test_hidden_from_queries(lake: Lake) -> None:
    """The claim is no table of the lake."""
    with Claim(lake, "r1"):
        lake.write_views()
        tables = {
            name for (name,) in lake.connect().execute("SELECT view_name FROM duckdb_views()").fetchall()
        }
    assert TABLE not in tables
    assert TABLE not in Path(lake.root, "views.sql").read_text()


def test_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The error is one of the lake, with what to do."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(LakeError, match=r"Cannot claim the lake.*permissions"),
        Claim(Lake(tmp_path / "file"), "r"),
    ):
        pass


def test_this_process_is_described() -> None:
    """What identifies a process on Linux is known."""
    if not Path("/proc").exists():
        pytest.skip("needs /proc")
    process = this_process()
    assert all((process.host, process.boot, process.namespace, process.pid, process.started))
