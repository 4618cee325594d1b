"""Every discovered file ends as ok, partial, failed or skipped, and the sum is checked.

The ledger is what the run tells at its end and what its row in `runs` holds. It is pure: rows
go in, counts come out.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from operators.asked import INPUT_TOKENS, OUTPUT_TOKENS
from operators.costs import Work
from operators.evidence import CLOSER_LOOK
from operators.fan_in import Complete, Header, looks
from schemas.failure import Failure
from schemas.media import UnitKind
from schemas.perception import Cost
from schemas.summary_work import CAUGHT, REWRITTEN, WITHDRAWN, Summarised
from schemas.tables import AssetRow, Count, FailureRow, StageCost

_COUNTED = (INPUT_TOKENS, OUTPUT_TOKENS, CAUGHT, REWRITTEN, WITHDRAWN)
"""Costs that are a number of tokens or sentences, and no time."""


class LedgerError(Exception):
    """The counts of a run do not add up; a file was lost without a trace."""


class Ledger:
    """Counts of one run. May be fed from two threads."""

    def __init__(self, discovered: int) -> None:
        """Start a run that discovered so many files."""
        self.discovered = discovered
        self.status: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.units = 0
        """Units computed by this run."""
        self.recalled = 0
        """Units found in the lake."""
        self.vanished = 0
        self.pruned = 0
        self.unembedded = 0
        """Texts that got no vector; their assets are in the lake all the same."""
        self.totals: Counter[str] = Counter()
        self.watchers: list[Callable[[Work], None]] = []
        """Called with all work that is counted."""
        self._costs: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def skip(self, reason: str, count: int = 1) -> None:
        """Count files that are not ingested."""
        with self._lock:
            self.skipped[reason] += count

    def perceived(self, header: Header) -> None:
        """Count a unit that has come back."""
        with self._lock:
            self.recalled += header.recalled
            self.units += not header.recalled
            self.totals["sampled"] += header.sampled
        self._worked(_of(header, header.costs))

    def looked(self, header: Header) -> None:
        """Count a look that has come back; the other units of its asset were counted when they were read."""
        if header.unit.kind != UnitKind.LOOK:
            return
        self.perceived(header)
        if header.recalled:
            return
        with self._lock:
            for caption in header.captions:
                self.totals["captions"] += 1
                self.totals["planned_visual_tokens"] += caption.planned_visual_tokens
                self.totals["planned_text_tokens"] += caption.planned_text_tokens
                self.totals["visual_tokens"] += caption.visual_tokens or 0

    def looked_closer(self, header: Header) -> None:
        """Count a look for one doubtful sentence; its failures are counted with the summaries."""
        if header.recalled:
            return
        costs = [
            replace(cost, stage=CLOSER_LOOK, items=1) if cost.stage == "vlm" else cost
            for cost in header.costs
        ]
        self._worked(_of(header, costs))

    def completed(self, complete: Complete) -> None:
        """Count the failures of an asset, once, however often its units were handed out."""
        self._fail(complete.rows)

    def captioned(self, complete: Complete) -> None:
        """Count the failures of the looks of an asset; those of its other units were counted before."""
        self._fail(complete.rows.filter(looks(complete.rows)))

    def summarised(self, done: Summarised) -> None:
        """Count the failures and costs of an asset's summaries."""
        with self._lock:
            self.failures.update(failure.reason for failure in done.failures[done.known_failures :])
        asset = done.asset
        new = done.failures[done.known_failures :]
        self._worked(Work(asset.asset_id, asset.version, asset.uri, done.costs, failures=_plain(new)))

    def embedded(self, work: Sequence[Work], failures: Sequence[str]) -> None:
        """Count what vectors of texts cost, and why some are missing."""
        with self._lock:
            self.unembedded += len(failures)
            self.failures.update(failures)
        for item in work:
            self._worked(item)

    def _worked(self, work: Work) -> None:
        """Count what was spent, and tell those who want to know."""
        with self._lock:
            for cost in work.costs:
                self._spend(cost)
        for watcher in self.watchers:
            watcher(work)

    def _fail(self, rows: pa.Table) -> None:
        failures = (item for items in rows["failures"].to_pylist() for item in items)
        with self._lock:
            self.failures.update(item["reason"] for item in failures)

    def _spend(self, cost: Cost) -> None:
        if cost.stage in _COUNTED:
            self.totals[cost.stage] += cost.items
            return
        seconds_items_bytes = self._costs.setdefault(cost.stage, [0.0, 0, 0])
        seconds_items_bytes[0] += cost.seconds
        seconds_items_bytes[1] += cost.items
        seconds_items_bytes[2] += cost.bytes

    def committed(self, rows: Sequence[AssetRow]) -> None:
        """Count assets that have become visible."""
        with self._lock:
            for row in rows:
                self.status[row.status] += 1
                self.kinds[row.kind or "unknown"] += 1
                self.totals["clips"] += row.clip_count
                self.totals["distinct"] += row.distinct_frames
                self.totals["read_whole"] += row.read_whole
                self.totals["read_parts"] += row.read_parts
                self.totals["pages"] += row.page_count or 0
                self.totals["seconds"] += int(row.duration_seconds or 0)
                self.totals["with_sound"] += row.audio_codec is not None
                self.totals["sound_seconds"] += round(row.sound_seconds)
                self.totals["speech_seconds"] += round(row.speech_seconds)
                self.totals["worded_seconds"] += round(row.worded_seconds)

    @property
    def finished(self) -> int:
        """Files accounted for so far."""
        return sum(self.status.values()) + sum(self.skipped.values())

    def stages(self) -> list[StageCost]:
        """What each stage spent, summed over workers."""
        return [
            StageCost(stage, seconds, int(items), int(size))
            for stage, (seconds, items, size) in sorted(self._costs.items())
        ]

    def check(self) -> None:
        """Check that nothing was lost.

        Raises:
            LedgerError: ok + partial + failed + skipped differs from discovered.
        """
        if self.finished != self.discovered:
            msg = (
                f"The ledger does not balance: {self.discovered} files discovered, {self.finished} "
                f"accounted for ({dict(self.status)}, skipped {dict(self.skipped)}). "
                "Run the same command again, and please report this."
            )
            raise LedgerError(msg)


def _of(header: Header, costs: Sequence[Cost]) -> Work:
    asset = header.asset
    failures = header.failures if header.skipped is None else []
    return Work(asset.asset_id, asset.version, asset.uri, costs, header.unit, failures)


def _plain(rows: Sequence[FailureRow]) -> list[Failure]:
    return [Failure(row.stage, row.reason, row.message, page=row.page) for row in rows]


def counts(counter: Iterable[tuple[str, int]]) -> list[Count]:
    """Turn a counter into rows, by name."""
    return [Count(name, count) for name, count in sorted(counter)]
