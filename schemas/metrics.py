"""The metrics of a run, as Prometheus gets them through Ray: declared once.

Ray puts `ray_` before each name. All have the label `run_id`, and Ray adds its own (`NodeAddress`,
`SessionName`…). Counters begin at 0 with each run, and at its end equal what its row in `runs` says.
"""

from dataclasses import dataclass
from typing import Literal

PREFIX = "ray_"
"""What Ray puts before a name when it hands it to Prometheus."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    """Besides `run_id`."""
    help: str


METRICS: tuple[Metric, ...] = (
    Metric("gloss_files_discovered", "gauge", (), "Files that the run has found."),
    Metric("gloss_files_total", "counter", ("status",), "Files by outcome: ok, partial, failed, skipped."),
    Metric("gloss_units_total", "counter", ("origin",), "Clips, pages and so on: computed or recalled."),
    Metric("gloss_rows_total", "counter", ("table",), "Rows committed to the lake."),
    Metric("gloss_failures_total", "counter", ("reason",), "Rows of failures."),
    Metric("gloss_stage_seconds_total", "counter", ("stage",), "Wall seconds inside a stage, all workers."),
    Metric("gloss_stage_cpu_seconds_total", "counter", ("stage",), "CPU seconds of a stage."),
    Metric("gloss_stage_gpu_seconds_total", "counter", ("stage",), "Seconds of whole GPUs held by a stage."),
    Metric("gloss_stage_items_total", "counter", ("stage",), "Items: frames, pictures, pieces of sound."),
    Metric("gloss_stage_bytes_total", "counter", ("stage",), "Bytes, as in runs.stages."),
    Metric("gloss_fetched_bytes_total", "counter", ("stage",), "Bytes that came from object stores."),
    Metric("gloss_tokens_total", "counter", ("stage", "direction"), "Tokens: input and output."),
    Metric("gloss_batch_fill", "gauge", ("stage",), "Items over places of all batches, 0-1."),
    Metric("gloss_padding_waste", "gauge", ("stage",), "Share of what was computed that is padding, 0-1."),
    Metric("gloss_queue_depth", "gauge", ("queue",), "Files not done; assets and units to be committed."),
    Metric("gloss_unit_seconds", "histogram", ("stage",), "Wall seconds of a stage on one unit."),
)
"""All of them."""

BUCKETS_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper ends of the classes of `gloss_unit_seconds`."""

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]
"""Value by name and labels."""
