"""One writer at a time on a lake, whatever store it lies on.

Two runs on one lake would each commit what the other one is about to; so a run claims the lake
before it writes. Locks of an operating system do not reach an object store. What every store of
Delta has is the log: exactly one of two writers gets to write the next version. The hidden table
`_claim` holds no rows, and the newest entry of its log says who holds the lake. The holder adds
an entry every few seconds. Who finds a claim that has not moved for a whole lease, by his own
clock, takes it over, because its holder is dead or cut off; on the same machine a dead process is
seen at once. A holder that was paused for so long finds out before it commits (`Claim.check`).

Between that check and the end of a commit a pause of half a lease would go unnoticed. It costs
nothing that is seen: children are live only through `assets`, which is merged by key.
"""

import getpass
import json
import logging
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from operators.lake import Lake, LakeError
from operators.retrying import is_transient, one_line, with_retries

TABLE = "_claim"

_BEAT_SECONDS = 15.0
_LEASE_BEATS = 4
"""A claim that stands still for so many beats is void."""
_TRUSTED_BEATS = 2
"""So long after its last beat a holder need not look whether it still is one."""
_POLL_SECONDS = 1.0

_NOTE = "gloss"
"""Key of our note in a log entry."""
_SCHEMA = pa.schema([("nothing", pa.string())])
_PROPERTIES = {
    # Some 80 files at 15 seconds a beat, however long a run lasts.
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": "interval 10 minutes",
    "delta.enableExpiredLogCleanup": "true",
}
_STORE_OPTIONS = {"timeout": "10s", "retry_timeout": "10s"}
"""A beat that waits for minutes is worth nothing; the next one tries again."""

_log = logging.getLogger(__name__)


class LakeBusyError(LakeError):
    """Another run holds the lake; the message names it."""


class ClaimLost(Exception):  # noqa: N818 - an event, not a mistake
    """This run no longer holds the lake and must not write to it."""


_held: set[str] = set()
"""Tokens of the claims of this process."""


@dataclass(frozen=True, slots=True)
class Process:
    """Which process, among all on all machines."""

    host: str
    boot: str
    """Id of this start of the machine; empty where the system has none."""
    namespace: str
    """Process ids count within one namespace (a container); empty where there are none."""
    pid: int
    started: str
    """Its start, in ticks since boot: process ids are used again. Empty where unknown."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lake, as its log says."""

    token: str
    """New with each claim."""
    run_id: str
    what: str
    """ingest or compact."""
    process: Process
    user: str
    since: str
    """UTC, ISO 8601."""
    at: str
    """The last beat, by the holder's clock."""
    beat: int
    beat_seconds: float

    @property
    def lease_seconds(self) -> float:
        """How long it may stand still."""
        return self.beat_seconds * _LEASE_BEATS

    def age_seconds(self) -> float:
        """Time since its last beat, if both clocks are right."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.at)).total_seconds()

    def is_gone(self) -> bool:
        """Tell whether its process is known to have ended; False where that cannot be seen."""
        mine = this_process()
        theirs = self.process
        if (theirs.host, theirs.boot, theirs.namespace) != (mine.host, mine.boot, mine.namespace):
            return False
        if theirs == mine:
            # A claim that this process could not give back, because the store was away then.
            return self.token not in _held
        return not _lives(theirs)


def this_process() -> Process:
    """Describe the calling process."""
    pid = os.getpid()
    return Process(
        host=socket.gethostname(),
        boot=_read(Path("/proc/sys/kernel/random/boot_id")),
        namespace=_namespace(),
        pid=pid,
        started=(_state_and_start(pid) or ("", ""))[1],
    )


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _namespace() -> str:
    link = Path("/proc/self/ns/pid")
    return str(link.readlink()) if link.is_symlink() else ""


def _lives(process: Process) -> bool:
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It is there, and somebody else's.
    found = _state_and_start(process.pid)
    if found is None:
        return True
    state, started = found
    return state not in "ZX" and started == process.started


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """Read the state and the start of a process; None without /proc, or where it is hidden."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _clock() -> float:
    """Seconds that go on while a laptop sleeps, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class _Log:
    """The log of `_claim`: its newest entry, and one attempt at the next."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    @property
    def options(self) -> dict[str, str]:
        """What Delta is told of the store, with credentials that hold now."""
        return ({} if self.lake.is_local else _STORE_OPTIONS) | self.lake.storage_options

    def open(self) -> DeltaTable:
        """Open the table at its newest version, making it first where there is none."""
        uri = self.lake.table_uri(TABLE)
        try:
            return DeltaTable(uri, storage_options=self.options)
        except TableNotFoundError:
            pass
        if self.lake.is_local:
            Path(uri).mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(
            uri, schema=_SCHEMA, mode="ignore", configuration=_PROPERTIES, storage_options=self.options
        )

    def holder(self, table: DeltaTable) -> Holder | None:
        """Read who holds the lake at the version of `table`; None when it is free."""
        # DeltaTable.history() holds the interpreter while it waits for the store.
        path = f"{self.lake.root}/{TABLE}/_delta_log/{table.version():020d}.json"
        lines = self.lake.filesystem.cat_file(path).splitlines()
        notes = [json.loads(line).get("commitInfo", {}).get(_NOTE) for line in lines if line]
        return next((_holder(json.loads(note)) for note in notes if note), None)

    def put(self, table: DeltaTable, holder: Holder | None) -> None:
        """Write the next entry.

        Raises:
            CommitFailedError: Somebody else has written it.
        """
        note = "" if holder is None else json.dumps(asdict(holder))
        table.create_write_transaction(
            [],
            mode="append",
            schema=_SCHEMA,
            commit_properties=CommitProperties(custom_metadata={_NOTE: note}, max_commit_retries=0),
        )


def _holder(note: dict[str, Any]) -> Holder:
    return Holder(**{**note, "process": Process(**note["process"])})


def read_holder(lake: Lake) -> Holder | None:
    """Tell who holds a lake, dead or alive; None when nobody does."""
    log = _Log(lake)
    try:
        return with_retries(
            lambda: log.holder(DeltaTable(lake.table_uri(TABLE), storage_options=log.options))
        )
    except TableNotFoundError:
        return None


class Claim:
    """The right to write to a lake. Use as a context manager."""

    def __init__(
        self,
        lake: Lake,
        run_id: str,
        what: str = "ingest",
        wait_seconds: float = 0.0,
        beat_seconds: float | None = None,
    ) -> None:
        """Prepare; the lake is claimed on entering.

        Args:
            lake: What to claim; need not exist yet.
            run_id: Stated to those who find the lake claimed.
            what: The verb, stated too.
            wait_seconds: How long to wait for a living holder.
            beat_seconds: Time between signs of life.
        """
        self.lake = lake
        self.taken_over: str | None = None
        """Id of the dead run from which the lake was taken."""
        self._log = _Log(lake)
        now = _utc_now()
        self._holder = Holder(
            token=uuid.uuid4().hex,
            run_id=run_id,
            what=what,
            process=this_process(),
            user=_user(),
            since=now,
            at=now,
            beat=0,
            beat_seconds=beat_seconds or _BEAT_SECONDS,
        )
        self._wait_seconds = wait_seconds
        self._beaten_at = 0.0
        self._lost: str | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claim", daemon=True)

    def __enter__(self) -> "Claim":
        """Claim the lake and keep it claimed.

        Raises:
            LakeBusyError: Another run holds it.
            LakeError: The store refuses.
        """
        _held.add(self._holder.token)
        try:
            self._acquire()
        except LakeError:
            _held.discard(self._holder.token)
            raise
        except Exception as error:
            _held.discard(self._holder.token)
            msg = f"Cannot claim the lake at {self.lake.uri}: {one_line(error)}. Check path and permissions."
            raise LakeError(msg) from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lake back."""
        self._stop.set()
        self._thread.join()
        try:
            self._release()
        except Exception as error:  # the lease ends by itself; what ended the run must not be hidden
            _log.warning("The claim on %s could not be given back: %s", self.lake.uri, one_line(error))
        finally:
            _held.discard(self._holder.token)

    def check(self) -> None:
        """Make sure that the lake is still held; to be called right before each commit.

        Raises:
            ClaimLost: It has been taken over. Nothing may be written.
            Exception: The store cannot be reached to find out.
        """
        if self._lost is None and _clock() - self._beaten_at > self._holder.beat_seconds * _TRUSTED_BEATS:
            with_retries(self._renew)
        if self._lost is not None:
            raise ClaimLost(self._lost)

    def _acquire(self) -> None:
        watch = _Watch(self._wait_seconds)
        while not with_retries(lambda: self._try(watch)):
            time.sleep(watch.pause_seconds())

    def _try(self, watch: "_Watch") -> bool:
        """Take the lake if it is free or its holder dead.

        Raises:
            LakeBusyError: Its holder lives and has been waited for long enough.
        """
        table = self._log.open()
        found = self._log.holder(table)
        if found is not None and found.token == self._holder.token:
            return True  # An attempt whose answer was lost.
        if found is not None and not watch.is_dead(found):
            if watch.is_over(found):
                raise LakeBusyError(_busy(self.lake, found))
            return False
        self.taken_over = None if found is None else found.run_id
        self._beaten_at = _clock()
        try:
            self._log.put(table, self._now())
        except CommitFailedError as error:
            if not is_transient(error):
                raise
            return False  # Somebody was faster; look who.
        return True

    def _now(self) -> Holder:
        return replace(self._holder, at=_utc_now())

    def _renew(self) -> None:
        with self._lock:
            started = _clock()
            table = self._log.open()
            found = self._log.holder(table)
            if found is None or found.token != self._holder.token:
                self._lost = _taken(self.lake, found)
                raise ClaimLost(self._lost)
            self._holder = replace(self._holder, beat=found.beat + 1)
            self._log.put(table, self._now())
            self._beaten_at = started

    def _beat(self) -> None:
        while not self._stop.wait(self._holder.beat_seconds):
            try:
                with_retries(self._renew, attempts=2)
            except ClaimLost as lost:
                _log.error("%s", lost)
                return
            except Exception as error:  # the next beat tries again, and `check` raises it if it matters
                _log.warning("The claim on %s could not be renewed: %s", self.lake.uri, one_line(error))

    def _release(self) -> None:
        def release() -> None:
            table = self._log.open()
            found = self._log.holder(table)
            if found is not None and found.token == self._holder.token:
                self._log.put(table, None)

        with_retries(release)


class _Watch:
    """What a waiting run has seen of a holder, by its own clock alone.

    The clock stands still while the machine sleeps: a holder beside it sleeps too.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._until = time.monotonic() + wait_seconds
        self._seen: Holder | None = None
        self._seen_at = 0.0
        self._moved = False

    def is_dead(self, found: Holder) -> bool:
        """Tell whether the holder's process is gone, or its claim has stood still for a lease."""
        if self._seen != found:
            self._moved = self._seen is not None
            self._seen, self._seen_at = found, time.monotonic()
        return found.is_gone() or time.monotonic() - self._seen_at > found.lease_seconds

    def is_over(self, found: Holder) -> bool:
        """Tell whether to give up: time is up, and the holder shows signs of life."""
        lively = self._moved or abs(found.age_seconds()) < found.lease_seconds
        return time.monotonic() >= self._until and lively

    def pause_seconds(self) -> float:
        """How long to wait before looking again."""
        beat = _BEAT_SECONDS if self._seen is None else self._seen.beat_seconds
        return min(_POLL_SECONDS, beat / 2)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _busy(lake: Lake, found: Holder) -> str:
    return (
        f"The lake {lake.uri} is being written by {_named(found)}. Wait until it has ended; gloss ingest "
        f"waits by itself with --set run.wait_seconds=3600. If that process is dead, try again in "
        f"{found.lease_seconds:.0f} seconds: a claim that has not moved for so long is taken over."
    )


def _taken(lake: Lake, found: Holder | None) -> str:
    by = "nobody holds it now" if found is None else f"it was taken over by {_named(found)}"
    return (
        f"This run no longer holds the lake {lake.uri}: {by}. It was paused or cut off from the store for "
        "too long. What it has committed is kept; run the same command again to complete it."
    )


def _named(found: Holder) -> str:
    process, age_seconds = found.process, max(0.0, found.age_seconds())
    return (
        f"{found.what} {found.run_id} (process {process.pid} of {found.user} on {process.host}, since "
        f"{found.since[:19].replace('T', ' ')} UTC, last sign of life {age_seconds:.0f} s ago)"
    )
