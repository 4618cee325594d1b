"""What each asset costs: time of processors and GPUs, tokens and money, by run and stage.

Costs travel with the rows that operators give back. Here they are added up by asset and stage until they
are written, which happens with every commit and before the work itself is committed: what was spent
is known also of a run that was killed, and the next run, which recalls that work, does not pay for it again.
So an asset and stage may have several rows of one run in the files; the view `costs` adds them up.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from operators.asked import INPUT_TOKENS, OUTPUT_TOKENS
from operators.cost_of import sum_filled
from operators.evidence import CLOSER_LOOK
from schemas.config import Config
from schemas.failure import Failure, Stage
from schemas.media import Unit
from schemas.perception import UNBATCHED, Cost, Filled
from schemas.resources import Pool
from schemas.tables import CostRow

_LOOKING = ("vlm", CLOSER_LOOK)
_ASKING = (*_LOOKING, str(Stage.SUMMARISE))
"""Stages that use tokens."""

STAGE_OPERATORS: Mapping[str, Pool] = {
    "ocr": "ocr",
    "asr": "speech",
    "embed": "embedding",
    **dict.fromkeys(_LOOKING, "vision"),
    str(Stage.SUMMARISE): "summary",
}
"""Stages that may hold a GPU, and whose `resources` say how much of one."""


@dataclass(frozen=True, slots=True)
class Work:
    """What was done for an asset, in one go."""

    asset_id: str
    version: str
    uri: str
    costs: Sequence[Cost]
    unit: Unit | None = None
    """Null for what concerns the asset as a whole."""
    failures: Sequence[Failure] = ()
    """What went wrong with it."""


@dataclass(slots=True)
class Sum:
    """What one stage spent on one asset."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    items: int = 0
    bytes: int = 0
    fetched_bytes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0
    filled: Filled = field(default_factory=lambda: UNBATCHED)

    def add(self, cost: Cost) -> None:
        """Add work of one unit."""
        self.seconds += cost.seconds
        self.cpu_seconds += cost.cpu_seconds
        self.items += cost.items
        self.bytes += cost.bytes
        self.fetched_bytes += cost.fetched_bytes
        if cost.started_at:
            self.started_at = min(self.started_at or cost.started_at, cost.started_at)
            self.ended_at = max(self.ended_at, cost.ended_at)
        self.filled = sum_filled([self.filled, cost.filled])


def by_stage(costs: Sequence[Cost]) -> dict[str, Sum]:
    """Add costs of one go up by stage; tokens go to the stage that used them."""
    sums: dict[str, Sum] = {}
    asking = next((cost.stage for cost in costs if cost.stage in _ASKING), _LOOKING[0])
    for cost in costs:
        if cost.stage == INPUT_TOKENS:
            sums.setdefault(asking, Sum()).input_tokens += cost.items
        elif cost.stage == OUTPUT_TOKENS:
            sums.setdefault(asking, Sum()).output_tokens += cost.items
        elif not cost.stage.startswith("summary_"):  # those count sentences
            sums.setdefault(cost.stage, Sum()).add(cost)
    return sums


def money(stage: str, spent: Sum, gpu_seconds: float, config: Config) -> float | None:
    """Price what a stage spent; null where the configuration has no prices at all.

    Args:
        stage: Its name.
        spent: What it spent.
        gpu_seconds: Seconds of a whole GPU.
        config: Of the run.
    """
    prices, vision = config.prices, config.vision
    tokens_in, tokens_out = prices.input_tokens, prices.output_tokens
    if stage in _LOOKING:
        tokens_in, tokens_out = vision.input_price, vision.output_price
    if not (prices.cpu_hour or prices.gpu_hour or prices.fetched_gb or tokens_in or tokens_out):
        return None
    hours = (spent.cpu_seconds * prices.cpu_hour + gpu_seconds * prices.gpu_hour) / 3600
    tokens = (spent.input_tokens * tokens_in + spent.output_tokens * tokens_out) / 1e6
    return hours + tokens + spent.fetched_bytes * prices.fetched_gb / 1e9


class Costs:
    """What a run has spent, by asset and stage. May be used from two threads."""

    def __init__(self, run_id: str, config: Config, gpus: Mapping[str, float] | None = None) -> None:
        """Begin with nothing.

        Args:
            run_id: Of the run.
            config: Of the run, for prices.
            gpus: Share of a GPU that each stage holds while it works.
        """
        self.run_id = run_id
        self.config = config
        self.gpus: Mapping[str, float] = gpus or {}
        self.stages: dict[str, Sum] = {}
        """Of the whole run."""
        self._due: dict[tuple[str, str], tuple[Work, dict[str, Sum]]] = {}
        self._lock = threading.Lock()

    def add(self, work: Work) -> None:
        """Count work."""
        with self._lock:
            _, sums = self._due.setdefault((work.asset_id, work.version), (work, {}))
            for whole in (sums, self.stages):
                for stage, spent in by_stage(work.costs).items():
                    _merge(whole.setdefault(stage, Sum()), spent)

    def take(self) -> list[CostRow]:
        """Return the rows of what was counted since this was last called."""
        with self._lock:
            due, self._due = self._due, {}
        rows = [self._row(work, stage, spent) for work, sums in due.values() for stage, spent in sums.items()]
        return sorted(rows, key=lambda row: (row.asset_id, row.version, row.stage))

    def gpu_seconds(self, stage: str, spent: Sum) -> float:
        """Return the seconds of a whole GPU that a stage held."""
        return spent.seconds * self.gpus.get(stage, 0.0)

    def _row(self, work: Work, stage: str, spent: Sum) -> CostRow:
        gpu_seconds = self.gpu_seconds(stage, spent)
        return CostRow(
            asset_id=work.asset_id,
            run_id=self.run_id,
            version=work.version,
            uri=work.uri,
            stage=stage,
            started_at=_moment(spent.started_at),
            ended_at=_moment(spent.ended_at),
            seconds=spent.seconds,
            cpu_seconds=spent.cpu_seconds,
            gpu_seconds=gpu_seconds,
            items=spent.items,
            bytes=spent.bytes,
            fetched_bytes=spent.fetched_bytes,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            money=money(stage, spent, gpu_seconds, self.config),
            batched=spent.filled.items,
            places=spent.filled.places,
            length=spent.filled.length,
            padded=spent.filled.padded,
        )


def _merge(whole: Sum, part: Sum) -> None:
    whole.add(
        Cost(
            "",
            part.seconds,
            part.items,
            part.bytes,
            part.cpu_seconds,
            part.started_at,
            part.ended_at,
            part.fetched_bytes,
            part.filled,
        )
    )
    whole.input_tokens += part.input_tokens
    whole.output_tokens += part.output_tokens


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
