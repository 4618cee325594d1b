"""What the metrics of a run are worth at a moment: from its counts, without any library of metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

from operators.costs import Sum
from schemas.metrics import Labels, Samples


@dataclass(frozen=True, slots=True)
class RunState:
    """The counts of a run at a moment."""

    discovered: int
    files: Mapping[str, int]
    """By outcome."""
    failures: Mapping[str, int]
    """By reason."""
    units: Mapping[str, int]
    """By origin."""
    rows: Mapping[str, int]
    """Committed, by table."""
    stages: Mapping[str, Sum]
    gpus: Mapping[str, float]
    """Share of a GPU that each stage holds."""
    queues: Mapping[str, int]


def samples(state: RunState) -> Samples:
    """Return the value of each counter and gauge."""
    found: Samples = {("gloss_files_discovered", ()): float(state.discovered)}
    for name, label, values in (
        ("gloss_files_total", "status", state.files),
        ("gloss_units_total", "origin", state.units),
        ("gloss_rows_total", "table", state.rows),
        ("gloss_failures_total", "reason", state.failures),
        ("gloss_queue_depth", "queue", state.queues),
    ):
        found |= {(name, ((label, key),)): float(value) for key, value in values.items()}
    for stage, spent in state.stages.items():
        found |= _of_stage(stage, spent, state.gpus.get(stage, 0.0))
    return found


def _of_stage(stage: str, spent: Sum, gpu: float) -> Samples:
    labels: Labels = (("stage", stage),)
    found: Samples = {
        ("gloss_stage_seconds_total", labels): spent.seconds,
        ("gloss_stage_cpu_seconds_total", labels): spent.cpu_seconds,
        ("gloss_stage_gpu_seconds_total", labels): spent.seconds * gpu,
        ("gloss_stage_items_total", labels): float(spent.items),
        ("gloss_stage_bytes_total", labels): float(spent.bytes),
        ("gloss_fetched_bytes_total", labels): float(spent.fetched_bytes),
    }
    for direction, tokens in (("input", spent.input_tokens), ("output", spent.output_tokens)):
        if tokens:
            found["gloss_tokens_total", (*labels, ("direction", direction))] = float(tokens)
    if spent.filled.places:
        found["gloss_batch_fill", labels] = spent.filled.items / spent.filled.places
    if spent.filled.padded:
        found["gloss_padding_waste", labels] = 1 - spent.filled.length / spent.filled.padded
    return found
