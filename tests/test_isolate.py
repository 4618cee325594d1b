"""What kills a decoder costs one call, and says why."""

import ctypes
import os
import time
from collections.abc import Callable, Iterator

import pytest

from operators.isolate import Sandbox
from schemas.failure import InputError, Reason


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


def native_balloon() -> Iterator[int]:
    """Take more memory than allowed, where nobody raises MemoryError."""
    yield 1
    os.abort()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of 1 GiB and two seconds."""
    made = Sandbox(1 << 30, 2.0)
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
