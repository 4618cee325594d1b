"""A pipeline that stands still is noticed; one that moves is left alone."""

import threading
import time
from collections.abc import Iterator

import pytest

from cluster import watch
from cluster.watch import ClusterLost, Stalled, watched


def nothing() -> None:
    """Look at nothing."""


def test_items_come_in_order() -> None:
    """All of them, once."""
    assert list(watched(iter(range(50)), 60, nothing)) == list(range(50))


def test_error_of_the_pipeline_is_raised_where_it_is_read() -> None:
    """After what came before it."""

    def broken() -> Iterator[int]:
        yield 1
        raise ArithmeticError

    items = watched(broken(), 60, nothing)
    assert next(items) == 1
    with pytest.raises(ArithmeticError):
        next(items)


def test_pipeline_that_stands_still_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is given; then the wait ends, although the pipeline never does."""
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.05)
    forever = threading.Event()

    def stuck() -> Iterator[int]:
        yield 1
        forever.wait()

    items = watched(stuck(), 0.3, nothing)
    assert next(items) == 1
    with pytest.raises(Stalled, match="stall_seconds"):
        next(items)
    forever.set()


def test_slow_reader_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time spent with an item is not time without one."""
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.05)

    for _ in watched(iter(range(3)), 0.2, nothing):
        time.sleep(0.3)


def test_look_may_end_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it raises is raised, also while nothing comes."""
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.05)
    forever = threading.Event()

    def stuck() -> Iterator[int]:
        forever.wait()
        yield 1

    def enough() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        next(watched(stuck(), 60, enough))
    forever.set()


def test_dead_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which process is missing stands in the message."""
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr("cluster.session.dead_processes", lambda: ["raylet"])
    forever = threading.Event()

    def stuck() -> Iterator[int]:
        forever.wait()
        yield 1

    with pytest.raises(ClusterLost, match="raylet"):
        next(watched(stuck(), 60, nothing))
    forever.set()
