"""Metrics of a run through Ray's Prometheus endpoint.

The driver alone reports, every few seconds, what the ledger counts: no worker has anything to send. What
Ray's endpoint binds to is Ray's own affair (`ray start --metrics-export-port`).
"""

import importlib.util
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from schemas.metrics import BUCKETS_SECONDS, METRICS, Samples
from schemas.section import ConfigError

_AGENT = ("aiohttp", "prometheus_client", "opencensus")
"""What the process of Ray that serves metrics needs, from `ray[default]`."""


def require_metrics() -> None:
    """Check that Ray can serve metrics here.

    Raises:
        ConfigError: A package is missing.
    """
    missing = [name for name in _AGENT if importlib.util.find_spec(name) is None]
    if missing:
        msg = (
            f"Wanted Ray's Prometheus endpoint for observe.metrics; {', '.join(missing)} is not installed. "
            "Install it: pip install 'gloss[observe]', or set observe.metrics=false."
        )
        raise ConfigError(msg)


class Reporter:
    """Reports a run to Ray every few seconds, from a thread."""

    def __init__(self, run_id: str, look: Callable[[], Samples], every_seconds: float) -> None:
        """Begin to report; Ray must be there.

        Args:
            run_id: Label of all metrics.
            look: Returns what counters and gauges are worth now.
            every_seconds: Distance of reports.
        """
        self._tags = {"run_id": run_id}
        self._look = look
        self._every = every_seconds
        self._metrics: dict[str, Any] = {}
        self._kinds = {metric.name: metric.kind for metric in METRICS}
        for metric in METRICS:
            keys = ("run_id", *metric.labels)
            match metric.kind:
                case "counter":
                    self._metrics[metric.name] = Counter(metric.name, metric.help, keys)
                case "gauge":
                    self._metrics[metric.name] = Gauge(metric.name, metric.help, keys)
                case _:
                    self._metrics[metric.name] = Histogram(
                        metric.name, metric.help, boundaries=list(BUCKETS_SECONDS), tag_keys=keys
                    )
        self._told: Samples = {}
        self.problem: str | None = None
        """What kept the last report from being made."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)
        self._thread.start()

    def observe(self, spent: Sequence[tuple[str, float]]) -> None:
        """A unit has come back: the stages that worked on it, and their seconds."""
        with self._guarded():
            for stage, seconds in spent:
                self._metrics["gloss_unit_seconds"].observe(seconds, self._tags | {"stage": stage})

    def close(self) -> None:
        """Report a last time."""
        self._stop.set()
        self._thread.join()
        self.report()

    def _work(self) -> None:
        while not self._stop.wait(self._every):
            self.report()

    def report(self) -> None:
        """Report now."""
        with self._guarded():
            for (name, labels), value in self._look().items():
                metric, tags = self._metrics[name], self._tags | dict(labels)
                if self._kinds[name] == "gauge":
                    metric.set(value, tags)
                elif (more := value - self._told.get((name, labels), 0.0)) > 0:
                    metric.inc(more, tags)
                    self._told[name, labels] = value

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let a run go on whatever becomes of its metrics; its end says so."""
        try:
            yield
        except Exception as error:  # Ray raises errors of many kinds
            self.problem = f"{type(error).__name__}: {error}"
