"""Untrusted bytes are decoded where a crash costs one unit.

A hostile file can make a native decoder crash, hang, spin, flood its reader or eat all memory.
Ray would retry the task and in the end fail the whole dataset; a child process can be killed. A
`Sandbox` keeps one child alive for many units, because starting one costs 0.3 to 0.5 s, and
bounds what each thing it gives back may cost.
"""

import contextlib
import ctypes
import importlib
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from operators.channel import Channel, TooLargeError
from operators.child_kinds import DECODER
from operators.stopwatch import Spent, fetched_bytes, note_child
from schemas.config import Limits
from schemas.failure import InputError, Reason

Item = TypeVar("Item")

START_SECONDS = 60.0
"""Wall time in which a child must be ready; importing FFmpeg and OpenCV takes 0.5 s of it."""

_LEAVING_SECONDS = 10.0
"""For a child that has hung up to end: the system frees its memory first."""

_POLL_SECONDS = 0.01

_ERROR_BYTES = 1 << 20
"""Room for what a child says beside its items."""

_OUT_OF_MEMORY_EXIT = 77
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a child may take; the names in its messages are those of the section `limits`."""

    memory_bytes: int | None
    """Address space beyond what it has when ready. None for CUDA, which reserves far more than
    it uses."""
    item_seconds: float
    """Wall time in which each next item must arrive."""
    cpu_seconds: float
    """CPU time of all threads in which each next item must arrive."""
    output_bytes: int
    """Size of an item as it is sent."""
    resident_bytes: int = 1 << 30
    """Resident memory at which the child is replaced between two calls: native libraries leak."""
    open_files: int = 256
    may_write: bool = False
    """Whether it may write into files."""
    threads: int = 1
    """Threads of each numeric library in it."""

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Take the bounds of a decoder from the configuration."""
        return cls(limits.memory_bytes, limits.unit_seconds, limits.cpu_seconds, limits.output_bytes)


class Sandbox:
    """A child process that runs generator functions within bounds.

    Not for several threads at once, but for one after the other. Closing it, or the end of this
    process, however sudden, ends the child.
    """

    def __init__(self, bounds: Bounds, preload: Sequence[str] = (), name: str = DECODER) -> None:
        """Prepare without starting anything.

        Args:
            bounds: What the child may take.
            preload: Modules the child imports before it is confined.
            name: What runs in it, for messages.
        """
        self.bounds = bounds
        self.preload = tuple(preload)
        self.name = name
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._owner = 0
        self._cpu_seconds, self._fetched = 0.0, 0
        self.spent = Spent()
        """When the child worked on the last item, and what that took."""

    @property
    def is_running(self) -> bool:
        """Whether there is a child, which has kept what earlier calls loaded."""
        return self._channel is not None and self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is a child."""
        return self._child.pid if self.is_running and self._child is not None else None

    def run(
        self, function: Callable[..., Iterator[Item]], *args: object, item_seconds: float | None = None
    ) -> Iterator[Item]:
        """Run `function(*args)` in the child and yield what it yields.

        The function must be importable by name, and what goes in and out must pickle.

        Args:
            function: What to run.
            args: Its arguments.
            item_seconds: Another deadline for the items of this call; their CPU time changes in
                proportion.

        Raises:
            InputError: What the function raised; TIMEOUT, MEMORY, TOO_LARGE or CRASHED if the
                child had to be killed or died.
        """
        wait_seconds = self.bounds.item_seconds if item_seconds is None else item_seconds
        cpu_seconds = self.bounds.cpu_seconds * wait_seconds / self.bounds.item_seconds
        is_idle = False
        try:
            channel = self._ready()
            channel.send((function, args, cpu_seconds))
            while True:
                is_item, value = self._receive(channel, wait_seconds)
                if is_item:
                    yield value
                    continue
                is_idle = True
                error, resident_bytes = value
                if resident_bytes > self.bounds.resident_bytes:
                    self.close()
                if error is not None:
                    raise error
                return
        except (EOFError, OSError):
            raise self._obituary(cpu_seconds) from None
        finally:
            if not is_idle:
                self.close()

    def close(self) -> None:
        """End the child; the next `run` starts a new one."""
        child, self._child = self._child, None
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        if child is not None and self._owner == os.getpid():
            child.kill()
            self._reap(child)

    def __del__(self) -> None:
        """End the child with its owner."""
        self.close()

    def _ready(self) -> Channel:
        if not self.is_running:
            self.close()
            self._start()
        assert self._channel is not None
        return self._channel

    def _start(self) -> None:
        try:
            self._child, ours = _take_spare(self.name, self.bounds.threads) or _spawn(self.bounds.threads)
        except OSError as error:
            msg = f"Wanted a process for the {self.name}; the system gives none ({error}). Run fewer at once."
            raise InputError(Reason.INTERNAL, msg, transient=True) from error
        self._owner, self._cpu_seconds, self._fetched = os.getpid(), 0.0, 0
        self._channel = Channel(ours)
        self._channel.send((self.bounds, self.preload, self.name))
        self._receive(self._channel, max(START_SECONDS, self.bounds.item_seconds))

    def _receive(self, channel: Channel, wait_seconds: float) -> tuple[bool, Any]:
        """Take the next message: whether it is an item, and the item."""
        try:
            is_item, value, *spent = channel.receive(self.bounds.output_bytes + _ERROR_BYTES, wait_seconds)
        except TimeoutError:
            msg = (
                f"Nothing came out of the {self.name} for {wait_seconds:g} s, the limit, and it was stopped. "
                "Raise limits.unit_seconds if the file is only slow."
            )
            raise InputError(Reason.TIMEOUT, msg) from None
        except TooLargeError:
            # The child counts for itself; one that does not is no longer under control.
            raise _too_large(self.name, self.bounds.output_bytes) from None
        if spent:
            self._note(*spent)
        return is_item, value

    def _note(self, began: float, ended: float, cpu_seconds: float, fetched: int) -> None:
        """Count what the child says that it has used; of time and bytes it tells all since it was made."""
        used, came = max(0.0, cpu_seconds - self._cpu_seconds), fetched - self._fetched
        self._cpu_seconds, self._fetched = cpu_seconds, fetched
        self.spent = Spent(ended - began, used, began, ended, came)
        note_child(used, came)

    def _reap(self, child: "subprocess.Popen[bytes]", wait_seconds: float | None = None) -> int | None:
        """Wait for the end of the child and count the CPU time that it had no more occasion to tell of."""
        if child.returncode is None:
            try:
                # The system keeps what a process has used until somebody has waited for it: other threads may
                # be waiting for children of theirs, so the sum of all that have ended would not do.
                status, used = _wait(child.pid, wait_seconds)
            except TimeoutError:  # it closed its side and stayed
                return None
            except ChildProcessError:  # somebody else has waited for it
                return child.wait()
            child.returncode = os.waitstatus_to_exitcode(status)
            note_child(used - self._cpu_seconds)
        return child.returncode

    def _obituary(self, cpu_seconds: float) -> InputError:
        """Say how the child died."""
        code = None if self._child is None else self._reap(self._child, _LEAVING_SECONDS)
        if code == -signal.SIGXCPU:
            msg = (
                f"The {self.name} took more than {cpu_seconds:g} s of CPU time, the limit, and was stopped. "
                "Raise limits.cpu_seconds if the file is only slow."
            )
            return InputError(Reason.TIMEOUT, msg)
        if code == _OUT_OF_MEMORY_EXIT or code in (-signal.SIGABRT, -signal.SIGKILL):
            allowed = self.bounds.memory_bytes
            limit = "there is" if allowed is None else f"{allowed >> 20} MiB, the limit"
            msg = (
                f"The {self.name} needed more memory than {limit}, or was ended by the system. "
                "Raise limits.memory_bytes if the file is only large."
            )
            # No limit of ours kills in this way: the system was short of memory, or somebody did it.
            return InputError(Reason.MEMORY, msg, transient=code == -signal.SIGKILL)
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        msg = f"The {self.name} crashed ({how}). The file is damaged or hostile, or a library has a bug."
        return InputError(Reason.CRASHED, msg)


def _wait(pid: int, wait_seconds: float | None) -> tuple[int, float]:
    """Wait for a child of this process to end.

    Args:
        pid: The child, which nobody else waits for.
        wait_seconds: How long at most; null waits for ever.

    Returns:
        Its status, as of `os.wait`, and the CPU time that it used.

    Raises:
        TimeoutError: It has not ended.
    """
    until = math.inf if wait_seconds is None else time.monotonic() + wait_seconds
    while True:
        ended, status, used = os.wait4(pid, 0 if wait_seconds is None else os.WNOHANG)
        if ended:
            return status, used.ru_utime + used.ru_stime
        if time.monotonic() >= until:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)


def _too_large(name: str, limit_bytes: int) -> InputError:
    msg = (
        f"One unit made the {name} hand on more than {limit_bytes} bytes, the limit. "
        "Raise limits.output_bytes if the file is only large."
    )
    return InputError(Reason.TOO_LARGE, msg)


def _new_spawner() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="sandbox-spawner")


def _renew_spawner() -> None:
    global _SPAWNER
    _SPAWNER = _new_spawner()
    _SPARES.clear()


# Linux ends a child with the *thread* that started it, so all are started by one that lives as
# long as the process: a sandbox may outlive the thread that first used it.
_SPAWNER = _new_spawner()
os.register_at_fork(after_in_child=_renew_spawner)


_Spawned = tuple["subprocess.Popen[bytes]", socket.socket]
"""A child, and our end of the socket through which it speaks."""


def _spawn(threads: int, modules: Sequence[str] = ()) -> _Spawned:
    """Start a child; it imports modules while it waits to be told what it is for."""
    libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(libraries, str(threads))
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    ours, theirs = socket.socketpair()
    with theirs:
        child = _SPAWNER.submit(
            subprocess.Popen,
            # -P: not from the current folder, in which anything may lie.
            [sys.executable, "-P", "-m", "operators.isolate", str(theirs.fileno()), *modules],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=environment,
        ).result()
    return child, ours


_SPARES: dict[tuple[str, int], list[_Spawned]] = {}
"""Children that nobody has asked for yet, by name and threads."""


@contextlib.contextmanager
def spare_children(name: str, modules: Sequence[str], count: int, threads: int = 1) -> Iterator[None]:
    """Have children ready for the next sandboxes of a name, and end those that are left.

    They import while this process does: on two cores a second of a short run.

    Args:
        name: Of the sandboxes.
        modules: What the children will need; a module that fails to import says so when it is used.
        count: How many.
        threads: Of each numeric library, as in the bounds of the sandboxes.
    """
    kept = _SPARES.setdefault((name, threads), [])
    try:
        with contextlib.suppress(OSError):  # the system gives no process: who needs one will say so
            kept.extend(_spawn(threads, modules) for _ in range(count))
        yield
    finally:
        while (spare := _take_spare(name, threads)) is not None:
            child, ours = spare
            ours.close()
            child.kill()
            child.wait()


def _take_spare(name: str, threads: int) -> _Spawned | None:
    kept = _SPARES.get((name, threads), [])
    while True:
        try:
            child, ours = kept.pop()
        except IndexError:  # another thread may have taken the last
            return None
        if child.poll() is None:
            return child, ours
        ours.close()


def _answer(channel: Channel, bounds: Bounds, name: str) -> None:
    """Run one function and send what it yields, then how it ended."""
    error: InputError | None = None
    function, args, cpu_seconds = channel.receive()
    began = time.time()
    try:
        _grant(cpu_seconds)
        for item in function(*args):
            _send_item(channel, item, bounds, name, _spent(began))
            _grant(cpu_seconds)
            began = time.time()
    except InputError as raised:
        error = raised
    except MemoryError:
        # The heap may be in any state: say so by the exit code and start afresh.
        os._exit(_OUT_OF_MEMORY_EXIT)
    except Exception as raised:
        error = _internal(raised)
    channel.send((False, (error, _resident_bytes()), *_spent(began)))


_Used = tuple[float, float, float, int]


def _spent(began: float) -> _Used:
    """Say when work on an item began and ended, and what this process has used in all."""
    return began, time.time(), time.process_time(), fetched_bytes()


def _send_item(channel: Channel, item: object, bounds: Bounds, name: str, spent: _Used) -> None:
    try:
        channel.send((True, item, *spent), bounds.output_bytes)
    except TooLargeError:
        raise _too_large(name, bounds.output_bytes) from None


def _internal(error: Exception) -> InputError:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "unknown place"
    return InputError(Reason.INTERNAL, f"{type(error).__name__}: {error} (at {where})")


def _grant(cpu_seconds: float) -> None:
    """Allow so much more CPU time; the system sends SIGXCPU beyond it, which ends the process."""
    allowed = math.ceil(time.process_time() + cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))


def _memory_pages() -> tuple[int, int]:
    """Return the pages of address space and of resident memory."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - one read of a pseudo file
        size, resident, *_ = statm.read().split()
    return int(size), int(resident)


def _resident_bytes() -> int:
    return _memory_pages()[1] * resource.getpagesize()


def _confine(bounds: Bounds) -> None:
    """Take away what decoding does not need; the imports are done."""
    if bounds.memory_bytes is not None:
        cap = _memory_pages()[0] * resource.getpagesize() + bounds.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    if not bounds.may_write:
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    files = min(bounds.open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def _bind_to_parent() -> None:
    """End with the parent, leave no core dump, and gain no rights from what is run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def main() -> None:
    """Run as the child: `python -m operators.isolate DESCRIPTOR [MODULE...]`."""
    _bind_to_parent()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    for module in sys.argv[2:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    bounds, preload, name = channel.receive()
    for module in preload:
        importlib.import_module(module)
    _confine(bounds)
    channel.send((False, None, *_spent(time.time())))
    with contextlib.suppress(EOFError):
        while True:
            _answer(channel, bounds, name)


_SANDBOXES = threading.local()


def shared_sandbox(bounds: Bounds, preload: Sequence[str] = ()) -> Sandbox:
    """Return this thread's sandbox with these bounds, kept from call to call.

    Ray runs many short tasks in one worker process; starting a child for each would cost
    more than most of them.
    """
    kept: dict[tuple[Bounds, tuple[str, ...]], Sandbox] = _SANDBOXES.__dict__.setdefault("kept", {})
    key = (bounds, tuple(preload))
    if key not in kept:
        kept[key] = Sandbox(bounds, preload)
    return kept[key]


if __name__ == "__main__":
    main()
