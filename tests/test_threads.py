"""Steps in threads do what the same steps do on a cluster."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import here
from cluster.executor import MOST_CORES, call_beside, needs_ray, session
from cluster.nodes import Share, cluster_nodes
from cluster.pipeline import Pipeline, begin
from cluster.steps import RowTask
from cluster.threads import ThreadPipeline
from schemas.arrow import from_table
from schemas.config import Config, ConfigError, load_config

SHARE = Share(1.0)


@dataclass(frozen=True, slots=True)
class Pixels:
    """What is heavy in a row."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Number:
    """A row."""

    value: int
    steps: list[int] = field(default_factory=list)
    """What it went through."""
    pictures: list[Pixels] = field(default_factory=list)


def _pipeline(values: list[int], cores: int = 2) -> ThreadPipeline:
    return ThreadPipeline(Number, [[Number(value)] for value in values], cores)


def _run(pipeline: Pipeline) -> list[Number]:
    return [row for table in pipeline.stream() for row in from_table(Number, table)]


def _task(function: Callable[[Number], Any]) -> RowTask[Number, Number]:
    return RowTask(lambda: function, Number, Number)


def _doubled(row: Number) -> Iterator[Number]:
    """As many rows as the value says."""
    for part in range(row.value % 4):
        yield replace(row, value=row.value * 4 + part, steps=[*row.steps, 1])


def _marked(step: int, rows: list[Number]) -> list[Number]:
    return [replace(row, steps=[*row.steps, step]) for row in rows]


def _mark(step: int, row: Number) -> list[Number]:
    return _marked(step, [row])


@given(
    st.lists(st.integers(0, 40), max_size=30),
    st.lists(st.sampled_from(["task", "actor", "batch"]), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_every_row_goes_through_every_step(values: list[int], kinds: list[str], workers: int) -> None:
    """Whatever the steps, the rows that come out are those of a plain loop."""
    pipeline: Pipeline = _pipeline(values).tasks(_task(_doubled), SHARE)
    expected = [out for value in values for out in _doubled(Number(value))]
    for step, kind in enumerate(kinds, 2):
        expected = _marked(step, expected)
        if kind == "task":
            pipeline = pipeline.tasks(_task(partial(_mark, step)), SHARE).spread(SHARE)
        else:
            pipeline = pipeline.actors(
                partial(partial, _marked, step), Number, Number, SHARE,
                workers=(workers, workers), batch_rows=3 if kind == "batch" else None,
            )  # fmt: skip
    found = _run(pipeline)
    assert Counter(map(repr, found)) == Counter(map(repr, expected))


def test_batches_are_full_but_the_last() -> None:
    """A worker that wants so many rows at once gets them."""
    sizes = []

    def operate(rows: list[Number]) -> list[Number]:
        sizes.append(len(rows))
        return rows

    pipeline = _pipeline(list(range(20))).tasks(_task(lambda row: [row]), SHARE)
    assert (
        len(_run(pipeline.actors(lambda: operate, Number, Number, SHARE, workers=(1, 1), batch_rows=8))) == 20
    )
    assert sizes == [8, 8, 4]


def test_rows_without_work_pass_by() -> None:
    """A model is not asked about what has nothing for it."""
    seen: list[int] = []

    def operate(rows: list[Number]) -> list[Number]:
        seen.extend(row.value for row in rows)
        return rows

    def picture(row: Number) -> list[Number]:
        return [replace(row, pictures=[Pixels(b"x")] if row.value % 2 else [])]

    pipeline = _pipeline(list(range(10))).tasks(_task(picture), SHARE)
    found = _run(pipeline.actors(lambda: operate, Number, Number, SHARE, workers=(2, 2), work="pictures"))
    assert sorted(row.value for row in found) == list(range(10))
    assert sorted(seen) == [1, 3, 5, 7, 9]


def test_what_waits_for_a_worker_is_bounded() -> None:
    """A fast decoder does not fill the memory while a slow reader reads."""
    made, read, most = count(), count(), 0
    finished, begun = 0, 0

    def decode(row: Number) -> list[Number]:
        nonlocal begun
        begun = next(made) + 1
        return [replace(row, pictures=[Pixels(bytes(8 << 20))])]

    def operate(rows: list[Number]) -> list[Number]:
        nonlocal most, finished
        for _ in rows:
            time.sleep(0.01)
            most = max(most, begun - finished)
            finished = next(read) + 1
        return [replace(row, pictures=[]) for row in rows]

    pipeline = _pipeline(list(range(40))).tasks(_task(decode), SHARE)
    found = _run(pipeline.actors(lambda: operate, Number, Number, SHARE, workers=(1, 1)))
    assert len(found) == 40
    # 16 MB wait, 16 MB are with the worker, and each of two threads may have made one more.
    assert most <= 8


def test_in_flight_of_one_is_one_row_at_a_time() -> None:
    """What may kill its reader is alone with it."""
    sizes = []

    def operate(rows: list[Number]) -> list[Number]:
        sizes.append(len(rows))
        return rows

    pipeline = _pipeline(list(range(9))).tasks(_task(lambda row: [row]), SHARE)
    _run(pipeline.actors(lambda: operate, Number, Number, SHARE, workers=(2, 2), in_flight=1))
    assert sizes == [1] * 9


def test_what_is_begun_is_finished_first() -> None:
    """Memory and the first asset depend on it: the last step goes before the first."""
    order = []

    def first(row: Number) -> list[Number]:
        order.append(("first", row.value))
        return [row]

    def last(row: Number) -> list[Number]:
        order.append(("last", row.value))
        return [row]

    _run(_pipeline([1, 2, 3], cores=1).tasks(_task(first), SHARE).tasks(_task(last), SHARE))
    assert order == [(name, value) for value in (1, 2, 3) for name in ("first", "last")]


def test_a_row_that_fails_is_missing_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """The driver finds it missing; what happened is in the log."""

    def task(row: Number) -> list[Number]:
        if row.value == 3:
            msg = "no third"
            raise ValueError(msg)
        return [row]

    def operate(rows: list[Number]) -> list[Number]:
        if any(row.value == 5 for row in rows):
            msg = "no fifth"
            raise ValueError(msg)
        return rows

    pipeline = _pipeline(list(range(8))).tasks(_task(task), SHARE)
    found = _run(pipeline.actors(lambda: operate, Number, Number, SHARE, workers=(1, 1), in_flight=1))
    assert sorted(row.value for row in found) == [0, 1, 2, 4, 6, 7]
    assert "no third" in caplog.text
    assert "no fifth" in caplog.text


def test_an_operator_that_cannot_be_made_ends_it() -> None:
    """Weights that do not load are said at once."""

    def make() -> Callable[[list[Number]], list[Number]]:
        msg = "no weights"
        raise OSError(msg)

    pipeline = _pipeline([1, 2]).tasks(_task(lambda row: [row]), SHARE)
    with pytest.raises(OSError, match="no weights"):
        _run(pipeline.actors(make, Number, Number, SHARE, workers=(1, 1)))


def test_an_operator_must_give_back_as_many_rows(caplog: pytest.LogCaptureFixture) -> None:
    """One that loses a row loses all of the call, and says so."""
    pipeline = _pipeline([1, 2, 3]).tasks(_task(lambda row: [row]), SHARE)
    assert _run(pipeline.actors(lambda: lambda rows: rows[1:], Number, Number, SHARE, workers=(1, 1))) == []
    assert "gave back" in caplog.text


def test_one_who_stops_listening_stops_the_work() -> None:
    """An interrupted run does not read on."""
    started = []

    def task(row: Number) -> list[Number]:
        started.append(row.value)
        time.sleep(0.01)
        return [row]

    rows = _pipeline(list(range(1000))).tasks(_task(task), SHARE).stream()
    assert isinstance(next(rows), pa.Table)
    rows.close()  # type: ignore[attr-defined] # it is a generator
    time.sleep(0.1)
    so_far = len(started)
    assert so_far < 500
    time.sleep(0.2)
    assert len(started) == so_far


def test_nothing_in_is_nothing_out() -> None:
    """A pipeline of no rows ends."""
    assert _run(_pipeline([]).tasks(_task(lambda row: [row]), SHARE)) == []


# --- where a run works ------------------------------------------------------------------------


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has no cluster, on a laptop."""
    monkeypatch.setattr("cluster.executor._is_connected", lambda: False)
    monkeypatch.setattr("cluster.executor.cores_here", lambda: 4)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ([], False),
        (["run.executor=ray"], True),
        ([f"run.cpus={MOST_CORES}"], False),
        ([f"run.cpus={MOST_CORES + 1}"], True),
        (["run.address=auto"], True),
        (["run.address=local"], False),
        (["observe.metrics=true"], True),
        (["resources.vision_gpus=1"], True),
        (['resources.custom={ocr={licence=1}}'], True),
    ],
)  # fmt: skip
def test_ray_is_for_what_needs_it(no_cluster: None, settings: list[str], wanted: bool) -> None:
    """A machine of few cores does without."""
    assert needs_ray(load_config(settings=settings)) is wanted


def test_a_cluster_that_is_there_is_used(no_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment of a job, or because this process is connected."""
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert needs_ray(Config())
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setattr("cluster.executor._is_connected", lambda: True)
    assert needs_ray(Config())


@pytest.mark.parametrize("setting", ["run.address=auto", "resources.vision_gpus=1", "observe.metrics=true"])
def test_threads_say_what_they_cannot_do(no_cluster: None, setting: str) -> None:
    """Before the first file, by the setting's name."""
    with pytest.raises(ConfigError, match=r"run\.executor=threads cannot do this: .*auto or ray"):
        needs_ray(load_config(settings=["run.executor=threads", setting]))


def test_this_machine_is_the_cluster_for_the_length_of_a_run(no_cluster: None) -> None:
    """Its cores and memory are what resources are shared out of; after it nothing is left of it."""
    with session(load_config(settings=["run.executor=threads", "run.cpus=3"])):
        (node,) = cluster_nodes()
        assert node.cpus == 3
        assert 1 << 30 < node.amounts["memory"] <= here.memory_bytes()
        assert isinstance(begin(Number, []), ThreadPipeline)
        main = threading.get_ident()
        assert call_beside(threading.get_ident).result() != main
        with pytest.raises(ZeroDivisionError):
            call_beside(lambda: 1 // 0).result()
    assert here.node_here() is None


def test_cores_are_those_of_the_control_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A container with half a core on a large machine is one core."""
    group = tmp_path_factory.mktemp("group")
    monkeypatch.setattr(here, "_GROUP", group)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    assert here.cores_here() == 16
    for limit, cores in (("max 100000", 16), ("50000 100000", 1), ("250000 100000", 3)):
        (group / "cpu.max").write_text(f"{limit}\n")
        assert here.cores_here() == cores
    (group / "memory.max").write_text("1000000000\n")
    assert here.memory_bytes() == 1_000_000_000
