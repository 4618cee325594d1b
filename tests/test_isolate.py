"""What kills a decoder costs one call, and says why."""

import ctypes
import errno
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from operators import isolate
from operators.isolate import Bounds, Sandbox, spare_children
from schemas.config import Limits
from schemas.failure import InputError, Reason

BOUNDS = Bounds(memory_bytes=1 << 30, item_seconds=2.0, cpu_seconds=60.0, output_bytes=1 << 20)


def count(number: int) -> Iterator[int]:
    """Give numbers, the child's process id first."""
    yield os.getpid()
    yield from range(number)


def refuse() -> Iterator[int]:
    """Give one item, then refuse."""
    yield 1
    raise InputError(Reason.PASSWORD, "locked")


def fail() -> Iterator[int]:
    """Break by an error of ours."""
    yield 1
    raise KeyError("oops")


def hang() -> Iterator[int]:
    """Give one item, then hang."""
    yield 1
    time.sleep(600)


def crash() -> Iterator[int]:
    """Give one item, then crash as a native decoder would."""
    yield 1
    ctypes.string_at(0)


def balloon() -> Iterator[int]:
    """Take more memory than allowed."""
    yield 1
    yield len(bytearray(2 << 30))


def die_talking() -> Iterator[int]:
    """Give one item, then end in the middle of a message."""
    yield 1
    os.write(int(sys.argv[1]), struct.pack("!QQQ", 1000, 0, 0) + b"x")
    os._exit(3)


def spin_elsewhere() -> Iterator[int]:
    """Give one item, then wait for a thread that computes without end."""
    yield 1
    threading.Thread(target=lambda: sum(1 for _ in iter(int, 1)), daemon=True).start()
    time.sleep(600)


def work_steadily(items: int, cpu_seconds: float) -> Iterator[int]:
    """Give items of the same cost in CPU time."""
    for item in range(items):
        until = time.process_time() + cpu_seconds
        while time.process_time() < until:
            pass
        yield item


def flood(size_bytes: int, *, counted: bool = True) -> Iterator[int | bytes]:
    """Give one item, then a large one; not counted, as a child would that is no longer itself."""
    yield os.getpid()
    if not counted:
        main = sys.modules["__main__"]
        main._send_item = lambda channel, item, *_: channel.send((True, item))  # type: ignore[attr-defined]
    yield bytes(size_bytes)


def write(path: Path) -> Iterator[int]:
    """Write a file."""
    yield path.write_bytes(b"secret")


def confinement() -> Iterator[str]:
    """Say what the system allows this process."""
    for name in ("limits", "status"):
        yield " ".join(Path("/proc/self", name).read_text().split())


def keep(size_bytes: int) -> Iterator[int]:
    """Give the process id; keep memory, as a library that leaks."""
    LEAKED.append(b"x" * size_bytes)
    yield os.getpid()


LEAKED: list[bytes] = []


def hold_the_interpreter() -> Iterator[int]:
    """Give the process id, then hang in native code that lets no other thread run."""
    yield os.getpid()
    ctypes.PyDLL(None).pause()


def native_balloon() -> Iterator[int]:
    """Take more memory than allowed, where nobody raises MemoryError."""
    yield 1
    os.abort()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of 1 GiB and two seconds."""
    made = Sandbox(BOUNDS)
    yield made
    made.close()


def test_items_stream_from_one_child(sandbox: Sandbox) -> None:
    """Two calls share a child, which is not this process."""
    first, *rest = sandbox.run(count, 3)
    again, *_ = sandbox.run(count, 0)

    assert rest == [0, 1, 2]
    assert first == again != os.getpid()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (refuse, Reason.PASSWORD),
        (fail, Reason.INTERNAL),
        (hang, Reason.TIMEOUT),
        (crash, Reason.CRASHED),
        (balloon, Reason.MEMORY),
        (native_balloon, Reason.MEMORY),
        (die_talking, Reason.CRASHED),
    ],
)
def test_what_goes_wrong_has_a_reason_and_spares_the_next_call(
    sandbox: Sandbox, function: Callable[[], Iterator[int]], reason: Reason
) -> None:
    """Items before the trouble arrive, the trouble is named, the next call works."""
    items = sandbox.run(function)

    assert next(items) == 1
    with pytest.raises(InputError) as caught:
        next(items)
    assert caught.value.reason is reason
    assert len(list(sandbox.run(count, 2))) == 3


def test_error_of_ours_names_its_place(sandbox: Sandbox) -> None:
    """An internal error says what and where, so that it can be reported."""
    with pytest.raises(InputError, match=r"KeyError: 'oops' \(at .*test_isolate"):
        list(sandbox.run(fail))


def test_abandoned_call_does_not_leak_into_the_next(sandbox: Sandbox) -> None:
    """Items of a call that was broken off are not given to the next."""
    items = sandbox.run(count, 1000)
    next(items)
    items.close()  # type: ignore[attr-defined] # a generator

    assert list(sandbox.run(count, 2))[1:] == [0, 1]


def test_child_ends_with_its_sandbox(sandbox: Sandbox) -> None:
    """Closing leaves no process behind."""
    child, *_ = sandbox.run(count, 0)
    sandbox.close()

    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_cpu_time_of_all_threads_is_bounded() -> None:
    """What computes without end is stopped by CPU time before the wall clock, and the limit is named."""
    sandbox = Sandbox(replace(BOUNDS, item_seconds=60.0, cpu_seconds=0.5))
    items = sandbox.run(spin_elsewhere)

    assert next(items) == 1
    with pytest.raises(InputError, match=r"limits\.cpu_seconds") as caught:
        next(items)
    assert caught.value.reason is Reason.TIMEOUT


def test_cpu_time_is_granted_anew_for_each_item() -> None:
    """Many items may take together what a single one may not."""
    sandbox = Sandbox(replace(BOUNDS, item_seconds=60.0, cpu_seconds=0.8))

    assert list(sandbox.run(work_steadily, 5, 0.6)) == list(range(5))


def test_item_that_is_too_large_is_refused_by_the_child(sandbox: Sandbox) -> None:
    """It is never sent, the limit is named, and the child lives on; what is just small enough passes."""
    child, whole = sandbox.run(flood, (1 << 20) - 100)
    items = sandbox.run(flood, 1 << 20)

    assert len(whole) == (1 << 20) - 100  # type: ignore[arg-type] # the second item is bytes
    assert next(items) == child
    with pytest.raises(InputError, match=r"limits\.output_bytes") as caught:
        next(items)
    assert caught.value.reason is Reason.TOO_LARGE
    assert next(sandbox.run(count, 0)) == child


def test_item_that_is_too_large_is_not_received(sandbox: Sandbox) -> None:
    """A child that no longer counts for itself is ended before it can fill this process."""
    items = sandbox.run(flood_uncounted, 64 << 20)
    child = next(items)

    with pytest.raises(InputError, match=r"limits\.output_bytes") as caught:
        next(items)
    assert caught.value.reason is Reason.TOO_LARGE
    assert next(sandbox.run(count, 0)) != child


def flood_uncounted(size_bytes: int) -> Iterator[int | bytes]:
    """Give a large item without counting it."""
    yield from flood(size_bytes, counted=False)


def test_nothing_is_written(sandbox: Sandbox, tmp_path: Path) -> None:
    """Neither by us nor by a library; unless the work needs it."""
    path = tmp_path / "written"

    with pytest.raises(InputError, match="File too large"):
        list(sandbox.run(write, path))
    assert not path.exists() or not path.read_bytes()
    assert list(Sandbox(replace(BOUNDS, may_write=True)).run(write, path)) == [6]


def test_child_can_do_little_harm(sandbox: Sandbox) -> None:
    """Few open files, no core dump, no way to more rights."""
    limits, status = sandbox.run(confinement)

    assert "Max open files 256 256" in limits
    assert "Max core file size 0 0" in limits
    assert "NoNewPrivs: 1" in status


def test_child_is_replaced_between_calls_when_it_has_grown() -> None:
    """A leak never grows beyond the watermark by more than one call."""
    sandbox = Sandbox(replace(BOUNDS, resident_bytes=200 << 20))
    children = [next(iter(list(sandbox.run(keep, 70 << 20)))) for _ in range(6)]

    assert len(set(children)) in (2, 3)
    assert children == sorted(children, key=children.index)


def test_a_call_may_have_another_deadline(sandbox: Sandbox) -> None:
    """A part of a unit gets a part of its time."""
    started = time.monotonic()
    with pytest.raises(InputError, match=r"0\.2 s"):
        list(sandbox.run(hang, item_seconds=0.2))
    assert time.monotonic() - started < 2


def test_child_outlives_the_thread_that_started_it(sandbox: Sandbox) -> None:
    """One thread may start what another goes on with, after the first has ended."""
    with ThreadPoolExecutor(1) as pool:
        child, *_ = pool.submit(lambda: list(sandbox.run(count, 0))).result()
    time.sleep(0.2)

    assert next(sandbox.run(count, 0)) == child


KILLED = """
import threading
from dataclasses import replace
from operators.isolate import Sandbox
from tests.test_isolate import BOUNDS, hold_the_interpreter

def work():
    # Its first item needs this module and all that it imports: on a busy machine, seconds.
    items = Sandbox(replace(BOUNDS, item_seconds=300.0)).run(hold_the_interpreter)
    print(next(items), flush=True)
    next(items)

worker = threading.Thread(target=work)
worker.start()
worker.join()
"""


def test_no_child_survives_a_killed_parent() -> None:
    """Nobody is left to end it, and the child itself is stuck in native code."""
    # A child imports nothing from the current folder, and these tests are not installed.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    parent = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    deadline = time.monotonic() + 10
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_system_without_room_for_a_process_is_not_the_fault_of_the_file(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have room a little later."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(InputError, match="temporarily") as caught:
            list(sandbox.run(count, 1))
    assert (caught.value.reason, caught.value.transient) == (Reason.INTERNAL, True)
    assert len(list(sandbox.run(count, 2))) == 3


def imported(module: str) -> Iterator[bool]:
    """Tell whether the child has a module already."""
    yield module in sys.modules


def test_a_spare_child_serves_the_next_sandbox_of_its_name() -> None:
    """It has imported what it was told; other names get children of their own, and what is left ends."""
    with spare_children("reader", ["colorsys"], 2), spare_children("other", [], 1):
        spares = [child.pid for child, _ in isolate._SPARES["reader", 1]]
        reader, stranger = Sandbox(BOUNDS, name="reader"), Sandbox(BOUNDS, name="stranger")
        busy = Sandbox(replace(BOUNDS, threads=2), name="reader")
        assert list(reader.run(imported, "colorsys")) == [True]
        assert list(stranger.run(imported, "colorsys")) == [False]
        assert list(busy.run(imported, "colorsys")) == [False]
        assert reader.pid in spares
        assert not {stranger.pid, busy.pid} & set(spares)
        left = [pid for pid in spares if pid != reader.pid]
        assert [is_alive(pid) for pid in left] == [True]
    assert not any(is_alive(pid) for pid in left)
    assert reader.is_running
    for sandbox in (reader, stranger, busy):
        sandbox.close()


def test_a_spare_child_that_has_died_is_passed_over() -> None:
    """It costs no unit."""
    with spare_children("reader", [], 1):
        ((child, _),) = isolate._SPARES["reader", 1]
        child.kill()
        child.wait()
        sandbox = Sandbox(BOUNDS, name="reader")
        assert list(sandbox.run(count, 2))[1:] == [0, 1]
        assert sandbox.pid != child.pid
        sandbox.close()


def test_a_spare_child_is_bounded_like_any_other() -> None:
    """What it has imported early takes nothing from its bounds, and nothing is written."""
    with spare_children("reader", ["operators.decode_image"], 1):
        sandbox = Sandbox(BOUNDS, name="reader")
        with pytest.raises(InputError) as raised:
            list(sandbox.run(balloon))
        assert raised.value.reason is Reason.MEMORY
        sandbox.close()


def test_bounds_come_from_the_configuration() -> None:
    """Each limit that can be set reaches the child."""
    limits = Limits(memory_bytes=1 << 29, unit_seconds=7, cpu_seconds=8, output_bytes=9 << 20)
    bounds = Bounds.of(limits)

    assert (bounds.memory_bytes, bounds.item_seconds) == (1 << 29, 7)
    assert (bounds.cpu_seconds, bounds.output_bytes) == (8, 9 << 20)
    assert not bounds.may_write
