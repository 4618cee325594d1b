"""What watches a run: its costs always, and logs, traces and metrics where they are wanted.

All of it is told by the ledger, in the driver: workers hand back what they spent and when, with their rows,
and send nothing to anybody.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from jobs.json_log import JsonLog
from jobs.ledger import Ledger
from jobs.tracing import Tracing, open_tracing
from operators.commit import append_files
from operators.costs import STAGE_OPERATORS, Costs, Work
from operators.fan_in import Complete
from operators.lake import DataFile, Lake
from operators.metrics import RunState, samples
from operators.write import rows_of, write_rows
from schemas.config import Config
from schemas.tables import RunRow

if TYPE_CHECKING:
    from cluster.metrics import Reporter
    from jobs.committer import Committer


class Observed:
    """The watchers of one run."""

    def __init__(self, lake: Lake, config: Config, run_id: str, ledger: Ledger) -> None:
        """Begin to watch.

        Raises:
            ConfigError: Something that is wanted is not installed, or may not be used.
        """
        if config.observe.metrics:
            from cluster.metrics import require_metrics

            require_metrics()
        self.config = config
        self.ledger = ledger
        self.run_id = run_id
        self.costs = Costs(run_id, config)
        self.tracing: Tracing | None = open_tracing(config.observe, lake, run_id)
        self.log: JsonLog | None = None
        self._lake = lake
        self._reporter: Reporter | None = None
        self._unreported: str | None = None
        ledger.watchers.append(self._worked)

    def speak(self, stream: TextIO) -> JsonLog | None:
        """Speak to a stream from now on, in JSON if that is wanted; else others do."""
        if self.config.observe.logs == "json":
            self.log = JsonLog(stream, self.run_id)
            self.log.write("info", "run_started", "run started", discovered=self.ledger.discovered)
        return self.log

    def connected(self, committer: "Committer") -> None:
        """The cluster is there: GPUs have shares, and metrics somebody who takes them."""
        from cluster.shares import share_of

        self.costs.gpus = {
            stage: share_of(self.config, operator).gpus for stage, operator in STAGE_OPERATORS.items()
        }
        if self.config.observe.metrics:
            from cluster.metrics import Reporter

            seconds = self.config.observe.metrics_seconds
            self._reporter = Reporter(self.run_id, lambda: samples(self._state(committer)), seconds)

    def _worked(self, work: Work) -> None:
        self.costs.add(work)
        if self.tracing is not None:
            self.tracing.worked(work)
        if self._reporter is not None:
            timed = [(cost.stage, cost.seconds) for cost in work.costs if cost.seconds]
            self._reporter.observe(timed)
        if self.log is not None:
            self._log_failures(work)

    def _log_failures(self, work: Work) -> None:
        assert self.log is not None
        for failure in work.failures:
            self.log.write(
                "warning",
                "failure",
                failure.message,
                asset_id=work.asset_id,
                uri=work.uri,
                stage=failure.stage,
                reason=failure.reason,
                page=failure.page,
                start_seconds=failure.start_seconds,
                end_seconds=failure.end_seconds,
            )

    def completed(self, complete: Complete) -> None:
        """All of an asset has been read."""
        if self.log is not None:
            asset = complete.asset
            self.log.write(
                "info",
                "asset_read",
                "read" if complete.skipped is None else f"skipped: {complete.skipped}",
                asset_id=asset.asset_id,
                uri=asset.uri,
                kind=asset.kind or None,
                units=asset.unit_count,
            )

    def _state(self, committer: "Committer") -> RunState:
        ledger = self.ledger
        return RunState(
            discovered=ledger.discovered,
            files={**ledger.status, "skipped": sum(ledger.skipped.values())},
            failures=dict(ledger.failures),
            units={"computed": ledger.units, "recalled": ledger.recalled},
            rows=dict(committer.rows),
            stages=dict(self.costs.stages),
            gpus=self.costs.gpus,
            queues={"files": max(0, ledger.discovered - ledger.finished), "commits": committer.waiting},
        )

    def disconnect(self) -> None:
        """The cluster is about to be left: what is still to be reported is."""
        if self._reporter is not None:
            self._reporter.close()
            self._unreported = self._reporter.problem
            self._reporter = None

    def cost_files(self) -> list[DataFile]:
        """Write what was spent and not yet written."""
        return rows_of([write_rows(self._lake, "costs", self.costs.take())])

    def flush(self) -> None:
        """Let everything that was spent be in the lake."""
        append_files(self._lake, self.cost_files())

    def end(self, run: RunRow) -> Sequence[str]:
        """The run has ended; return what could not be told to somebody."""
        said: list[str] = []
        if self.tracing is not None and (problem := self.tracing.end(run)):
            said.append(problem)
        if self._unreported is not None:
            said.append(f"Metrics could not be reported: {self._unreported}")
        if self.log is not None:
            ended = run.finished_at or run.started_at
            self.log.write(
                "info" if run.status == "finished" else "error",
                "run_ended",
                run.message or run.status,
                status=run.status,
                exit_code=run.exit_code,
                seconds=(ended - run.started_at).total_seconds(),
                ok=run.ok,
                partial=run.partial,
                failed=run.failed,
                skipped=run.skipped,
                failures={item.name: item.count for item in run.failures_by_reason},
            )
            for problem in said:
                self.log.write("warning", "observe", problem)
        return said
