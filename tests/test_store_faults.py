"""A store that is slow, resets connections, is busy or away costs time, and never a row."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from deltalake.exceptions import CommitFailedError

import operators.source
from jobs.ingest import run_ingest
from jobs.verify import check_lake
from operators import claim as claim_module
from operators.claim import Claim, ClaimLost, LakeBusyError, read_holder
from operators.commit import commit, put_run
from operators.lake import Lake
from operators.ranges import RangeCache
from operators.source import open_source
from operators.write import rows_of, write_rows
from schemas.config import load_config
from schemas.failure import InputError
from tests.pages import drawn_pdf, picture_bytes, prose, text_picture
from tests.rows import asset_row, run_row, segment_row
from tests.s3_server import Fault, S3Server
from tests.test_object_store import QUIET, VIEWS, all_rows

pytestmark = pytest.mark.timeout(900)
"""Each request to the test's store is some 10 ms of Python, and a run makes some thousand."""

DATA = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def _healthy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test meet the faults, or find the bytes, of another one."""
    monkeypatch.setattr(operators.source, "_CACHE", RangeCache())
    s3.heal()
    yield
    s3.heal()


@pytest.fixture(scope="module")
def lake(s3: S3Server) -> Lake:
    """One lake on the store for all tests: making its tables takes some hundred requests."""
    s3.heal()
    made = Lake(s3.url("faults/lake"))
    made.create()
    put_asset(made, "a-first")
    return made


# --- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", method="GET", after_bytes=1000, times=3),
        Fault("short", method="GET", after_bytes=70_000, times=3),
        Fault("busy", times=3),
        Fault("broken", times=2),
        Fault("lost", times=2),
        Fault("slow", seconds=0.3, times=4),
        Fault("away", seconds=2.0),
    ],
    ids=lambda fault: str(fault.kind),
)
def test_a_reader_never_sees_what_passes(s3: S3Server, fault: Fault) -> None:
    """Decoders take a failed read for the end of a file, so none may reach them."""
    uri = s3.put("faults/data.bin", DATA)
    s3.inject(fault)
    with open_source(uri) as file:
        file.seek(5)
        head = file.read(10)
        file.seek(-300_000, 2)
        tail = file.read()
    assert (head, tail) == (DATA[5:15], DATA[-300_000:])


def test_what_does_not_pass_is_said_at_once(s3: S3Server) -> None:
    """A missing right is no weather: one attempt, and a reason for the table of failures."""
    uri = s3.put("faults/denied.bin", DATA)
    s3.inject(Fault("denied", key="denied", times=1000))
    began = time.monotonic()
    with pytest.raises(InputError) as raised:
        open_source(uri)
    assert not raised.value.transient
    assert time.monotonic() - began < 5
    s3.heal()
    with pytest.raises(InputError, match="Check that it exists"):
        open_source(s3.url("faults/nothing-here.bin"))


# --- writing --------------------------------------------------------------------------------


def put_asset(lake: Lake, name: str) -> None:
    """Commit an asset with one segment, as a run does."""
    files = rows_of([write_rows(lake, "segments", [segment_row(asset_id=name, write_id=f"w-{name}")])])
    commit(lake, [asset_row(asset_id=name, uri=f"s3://x/{name}", write_id=f"w-{name}")], files)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("away", seconds=3.0),
        Fault("busy", method="PUT", times=3),
        Fault("broken", key="_delta_log", times=2),
        # Each is written, and its writer never told so.
        Fault("lost", key="assets/_delta_log/.*json", method="PUT"),
        Fault("lost", key="segments/_delta_log/.*json", method="PUT"),
        Fault("lost", key="segments/part-", method="PUT"),
        Fault("lost", key="views.sql", method="PUT"),
        Fault("reset", key="_delta_log/.*json", method="GET", after_bytes=20, times=2),
    ],
    ids=lambda fault: f"{fault.kind} {fault.key}".replace("/", " "),
)
def test_a_commit_through_a_fault_is_there_once(
    lake: Lake, s3: S3Server, fault: Fault, request: pytest.FixtureRequest
) -> None:
    """Nothing is lost and nothing is double; also what was said to have failed, and had not."""
    name = request.node.name
    s3.inject(fault)
    put_asset(lake, name)
    s3.heal()
    segments = lake.table("segments").to_pyarrow_table(columns=["asset_id"])["asset_id"].to_pylist()
    assets = lake.table("assets").to_pyarrow_table(columns=["asset_id"])["asset_id"].to_pylist()
    assert segments.count(name) == assets.count(name) == assets.count("a-first") == 1
    # The views as they are stored see it too: they name every file of both tables.
    views = lake.filesystem.cat_file(f"{lake.root}/views.sql").decode()
    for table in ("assets", "segments"):
        for file in lake.files(table):
            assert file.rpartition("/")[2] in views


def test_a_run_is_noted_once_though_its_answer_is_lost(lake: Lake, s3: S3Server) -> None:
    """Merges go by key, so doing one twice changes nothing."""
    s3.inject(Fault("lost", key="runs/_delta_log/.*json", method="PUT"))
    put_run(lake, run_row(run_id="r1"))
    assert lake.table("runs").count() == 1


# --- claiming -------------------------------------------------------------------------------


def test_of_writers_who_come_at_once_exactly_one_gets_in(lake: Lake) -> None:
    """The store decides, by its conditional writes."""
    inside, most = 0, 0
    lock, together = threading.Lock(), threading.Barrier(3)

    def enter(name: int) -> str:
        nonlocal inside, most
        together.wait()
        try:
            with Claim(Lake(lake.uri), f"r{name}"):
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(3)
                with lock:
                    inside -= 1
                return "in"
        except LakeBusyError:
            return "refused"

    with ThreadPoolExecutor(3) as pool:
        found = sorted(pool.map(enter, range(3)))
    assert found == ["in", "refused", "refused"]
    assert most == 1
    assert read_holder(lake) is None


def test_of_two_writers_of_a_version_exactly_one_is_told_that_it_is_his(lake: Lake) -> None:
    """Without conditional writes both would be."""
    log = claim_module._Log(lake)
    for _ in range(5):
        tables = [log.open(), log.open()]
        together = threading.Barrier(2)

        def write(table: object, together: threading.Barrier = together) -> str:
            together.wait()
            try:
                log.put(table, None)  # type: ignore[arg-type]
            except CommitFailedError:
                return "refused"
            return "written"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(write, tables)) == ["refused", "written"]


@pytest.mark.parametrize(
    "fault", [Fault("away", seconds=3.0), Fault("lost", key="_claim.*json", method="PUT")]
)
def test_a_claim_is_taken_held_and_given_back_through_faults(
    lake: Lake, s3: S3Server, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Also when its entry was written and the answer lost: it knows its own hand."""
    s3.inject(fault)
    claim = Claim(lake, "r1", beat_seconds=0.5)
    with claim:
        s3.inject(fault)
        time.sleep(0.8)
        claim.check()
        found = read_holder(lake)
        assert found is not None
        assert found.run_id == "r1"
        s3.inject(fault)
    assert read_holder(lake) is None


def test_who_holds_a_lake_is_told_when_the_store_is_busy_for_longer_than_its_library_tries(
    lake: Lake, s3: S3Server
) -> None:
    """Delta's own ten attempts are over within seconds."""
    with Claim(lake, "r1", beat_seconds=60):
        s3.inject(Fault("busy", key="_claim", times=15))
        found = read_holder(lake)
    assert found is not None
    assert found.run_id == "r1"


def test_a_holder_that_was_cut_off_for_too_long_does_not_write(lake: Lake, s3: S3Server) -> None:
    """Who took the lake meanwhile keeps it."""
    with Claim(lake, "r1", beat_seconds=0.4) as first:
        second = Claim(Lake(lake.uri), "r2", wait_seconds=30, beat_seconds=0.4)
        first._stop.set()  # its beats no longer arrive
        with second:
            assert second.taken_over == "r1"
            with pytest.raises(ClaimLost, match="taken over by ingest r2"):
                first.check()


# --- a whole run ----------------------------------------------------------------------------


def test_a_run_through_all_of_it_has_the_rows_of_an_undisturbed_one(ray_cluster: None, s3: S3Server) -> None:
    """What passes is tried again; the one file that is denied for good is a failure with its reason."""
    for number in range(4):
        s3.put(f"storm/in/{number}.png", picture_bytes(text_picture(f"Pier {number}"), "PNG"))
    s3.put("storm/in/5.pdf", drawn_pdf(prose, prose, prose))
    config = load_config("embedded", None, QUIET)
    calm, rough = s3.url("storm/calm"), s3.url("storm/rough")
    assert run_ingest([s3.url("storm/in")], calm, config) == 0
    s3.put("storm/in/secret.png", picture_bytes(text_picture("Denied"), "PNG"))

    s3.inject(
        Fault("denied", key="in/secret", times=1000),
        Fault("reset", key="in/.*png", method="GET", after_bytes=500, times=3),
        Fault("busy", key="in/", times=3),
        Fault("short", key="in/5.pdf", method="GET", after_bytes=900, times=2),
        Fault("slow", key="in/", seconds=0.2, times=5),
        Fault("lost", key="rough/assets/_delta_log/.*[1-9].json", method="PUT", times=1),
        Fault("busy", key="rough/clips", method="PUT", times=2),
        Fault("reset", key="rough/.*json", method="GET", after_bytes=30, times=3),
        Fault("broken", key="rough/views.sql", method="PUT", times=2),
    )
    away = threading.Timer(6, lambda: s3.inject(Fault("away", seconds=3)))
    away.start()
    assert run_ingest([s3.url("storm/in")], rough, config) == 3
    away.join()
    s3.heal()

    undisturbed, disturbed = Lake(calm), Lake(rough)
    there, here = all_rows(disturbed), all_rows(undisturbed)
    for view in VIEWS:
        found = [row for row in there[view] if not str(row.get("uri")).endswith("secret.png")]
        assert [row for row in found if view != "failures"] == here[view], view
    (failure,) = there["failures"]
    assert failure["reason"] == "unreadable"
    assert failure["uri"].endswith("secret.png")
    assert [finding for finding in check_lake(disturbed) if finding.severity == "error"] == []
