"""Untrusted bytes are decoded where a crash costs one unit.

A hostile file can make a native decoder crash, hang or eat all memory. Ray would retry the
task and in the end fail the whole dataset; a child process can be killed. A `Sandbox` keeps
one child alive for many units, because starting one costs 0.3 to 0.5 s, limits its memory,
and sets a deadline for each thing it gives back.
"""

import ctypes
import importlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from schemas.failure import InputError, Reason

Item = TypeVar("Item")

RECYCLE_BYTES = 1 << 30
"""Resident memory at which a child is replaced between two calls: native libraries leak."""

_PR_SET_PDEATHSIG = 1


class Sandbox:
    """A child process that runs generator functions under limits.

    Not for several threads at once. Closing it, or the end of this process, ends the child.
    """

    def __init__(self, memory_bytes: int, item_seconds: float, preload: Sequence[str] = ()) -> None:
        """Prepare without starting anything.

        Args:
            memory_bytes: Address space the child may take beyond what it has when ready.
            item_seconds: Wall time in which each next item must arrive.
            preload: Modules the child imports before its memory is limited.
        """
        self.memory_bytes = memory_bytes
        self.item_seconds = item_seconds
        self.preload = tuple(preload)
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._owner = 0

    def run(self, function: Callable[..., Iterator[Item]], *args: object) -> Iterator[Item]:
        """Run `function(*args)` in the child and yield what it yields.

        The function must be importable by name, and what goes in and out must pickle.

        Raises:
            InputError: What the function raised; TIMEOUT, MEMORY or CRASHED if the child had
                to be killed or died.
        """
        pipe = self._ready()
        finished = False
        try:
            pipe.send((function, args))
            while True:
                kind, value = self._receive(pipe)
                if kind == "item":
                    yield value
                    continue
                finished = True
                if kind == "error":
                    raise value
                if value > RECYCLE_BYTES:
                    self.close()
                return
        except (EOFError, ConnectionError):
            finished = True
            raise self._obituary() from None
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """End the child; the next `run` starts a new one."""
        child, self._child = self._child, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if child is not None and self._owner == os.getpid():
            child.kill()
            child.wait()

    def __del__(self) -> None:
        """End the child with its owner."""
        self.close()

    def _ready(self) -> Connection:
        if self._pipe is None or self._child is None or self._child.poll() is not None:
            self.close()
            self._start()
        assert self._pipe is not None
        return self._pipe

    def _start(self) -> None:
        import socket

        ours, theirs = socket.socketpair()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": "1",
        }
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [
                sys.executable,
                "-m",
                "operators.isolate",
                str(theirs.fileno()),
                str(self.memory_bytes),
                *self.preload,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=environment,
        )
        theirs.close()
        self._owner = os.getpid()
        self._pipe = Connection(ours.detach())
        self._receive(self._pipe, at_least_seconds=60)

    def _receive(self, pipe: Connection, at_least_seconds: float = 0) -> tuple[str, Any]:
        wait_seconds = max(self.item_seconds, at_least_seconds)
        if not pipe.poll(wait_seconds):
            msg = (
                f"Nothing came out of the decoder for {wait_seconds:g} s, the limit, and it was stopped. "
                "Raise limits.unit_seconds if the file is only slow."
            )
            self.close()
            raise InputError(Reason.TIMEOUT, msg)
        kind, value = pipe.recv()
        return kind, value

    def _obituary(self) -> InputError:
        """Say how the child died."""
        child = self._child
        code = child.wait() if child is not None else None
        self.close()
        if code == _OUT_OF_MEMORY_EXIT or code in (-signal.SIGABRT, -signal.SIGKILL):
            msg = (
                f"The decoder needed more than {self.memory_bytes >> 20} MiB, the limit, or was ended by the "
                "system. Raise limits.memory_bytes if the file is only large."
            )
            return InputError(Reason.MEMORY, msg)
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        msg = f"The decoder crashed ({name}). The file is damaged or hostile, or a library has a bug."
        return InputError(Reason.CRASHED, msg)


_OUT_OF_MEMORY_EXIT = 77


def _serve(pipe: Connection) -> None:
    """Answer calls until the other side is gone."""
    pipe.send(("ready", 0))
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        try:
            for item in function(*args):
                pipe.send(("item", item))
        except InputError as error:
            pipe.send(("error", error))
        except MemoryError:
            # The heap may be in any state: say so by the exit code and start afresh.
            os._exit(_OUT_OF_MEMORY_EXIT)
        except Exception as error:
            pipe.send(("error", _internal(error)))
        else:
            pipe.send(("done", _resident_bytes()))


def _internal(error: Exception) -> InputError:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "unknown place"
    return InputError(Reason.INTERNAL, f"{type(error).__name__}: {error} (at {where})")


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - one read of a pseudo file
        return int(statm.read().split()[1]) * resource.getpagesize()


def _address_space_bytes() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - one read of a pseudo file
        return int(statm.read().split()[0]) * resource.getpagesize()


def _limit(memory_bytes: int) -> None:
    """Cap the address space above what the imports took, and leave no core dump."""
    cap = _address_space_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Run as the child: `python -m operators.isolate FD MEMORY_BYTES MODULE...`."""
    descriptor, memory_bytes, *preload = sys.argv[1:]
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in preload:
        importlib.import_module(module)
    _limit(int(memory_bytes))
    _serve(Connection(int(descriptor)))


_SANDBOXES = threading.local()


def shared_sandbox(memory_bytes: int, item_seconds: float, preload: Sequence[str] = ()) -> Sandbox:
    """Return this thread's sandbox with these limits, kept from call to call.

    Ray runs many short tasks in one worker process; starting a child for each would cost
    more than most of them.
    """
    kept: dict[tuple[int, float], Sandbox] = _SANDBOXES.__dict__.setdefault("kept", {})
    key = (memory_bytes, item_seconds)
    if key not in kept:
        kept[key] = Sandbox(memory_bytes, item_seconds, preload)
    return kept[key]


if __name__ == "__main__":
    main()
