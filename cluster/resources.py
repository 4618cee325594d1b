"""Whether the operators fit the cluster, and how many workers each gets.

Ray Data waits for ever for an actor that no node can hold; so what cannot fit is refused before the first
file, by the name of the setting that asks for too much. Workers are held from the beginning of a pass to
its end, while tasks come and go between them. So that nothing ever stands still, every node keeps room for
one task, wherever Ray puts the workers; where nodes are too small for that, one of them keeps it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cluster.misfit import explain
from cluster.nodes import ROUNDING, Node, Share, place
from cluster.shares import loads_nothing, share_of
from schemas.config import Config, ConfigError
from schemas.resources import Operator, Pool


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers each operator begins with; 0 where it is not used."""

    ocr: int = 0
    speech: int = 0
    vision: int = 0
    summary: int = 0
    embedding: int = 0


@dataclass(frozen=True, slots=True)
class _Pass:
    """What runs at the same time, with the cluster for itself."""

    tasks: tuple[Operator, ...]
    pools: tuple[Pool, ...]
    """In the order in which they take what room there is, after one worker of each."""


def plan_workers(config: Config, nodes: Sequence[Node]) -> Workers:
    """Decide how many workers each operator begins with.

    A number that is configured is taken as it is. Else there is one worker for each share of a GPU, or for
    each `threads` cores, as far as there is room.

    Args:
        config: Of the run.
        nodes: Of the cluster, empty.

    Raises:
        ConfigError: Something does not fit; the message names the setting.
    """
    counts: dict[Pool, int] = {}
    for together in _passes(config, nodes):
        found = _fit(config, nodes, together)
        # Embedding models run beside readers and also alone: as many as fit both times.
        counts |= {pool: min(count, counts.get(pool, count)) for pool, count in found.items()}
    return Workers(**counts)


def holds(
    config: Config, nodes: Sequence[Node], tasks: Sequence[Operator], workers: Mapping[Pool, int]
) -> bool:
    """Tell whether so many workers and a task of each kind find room on nodes."""
    return _kept_for(config, nodes, tasks, workers) is not None


def _passes(config: Config, nodes: Sequence[Node]) -> Iterator[_Pass]:
    """List what runs, one after the other."""
    readers: list[Pool] = ["ocr"]
    readers += ["speech"] if config.speech.listens else []
    readers += ["embedding"] if config.embedding.embeds_frames else []
    yield _Pass(("probe", "decode"), tuple(readers))
    for section, engine in (("vision", config.vision.engine), ("summary", config.summary.engine)):
        if engine == "vllm" and not any(node.gpus for node in nodes):
            msg = f"{section}.engine=vllm wants a GPU; the cluster has none. Take transformers or openai."
            raise ConfigError(msg)
    if config.vision.looks:
        yield _Pass(("probe", "decode"), ("vision",))
    yield _Pass(("probe",), ("summary",))
    if config.embedding.embeds_text:
        yield _Pass(("probe",), ("embedding",))


def _fit(config: Config, nodes: Sequence[Node], together: _Pass) -> dict[Pool, int]:
    """Count the workers of one pass.

    Raises:
        ConfigError: Not even those that must be find room beside a task of each kind.
    """
    least = {pool: _fixed(config, pool) or 1 for pool in together.pools}
    if (left := _kept_for(config, nodes, together.tasks, least)) is not None:
        return _grown(left, config, least, nodes)
    raise ConfigError(explain(config, nodes, together.tasks, least))


def _kept_for(
    config: Config, nodes: Sequence[Node], tasks: Sequence[Operator], counts: Mapping[Pool, int]
) -> list[Node] | None:
    """Place workers beside room for tasks; say what is left, or None."""
    for kept in _keeping_room(nodes, [share_of(config, task) for task in tasks]):
        if (left := _placed(kept, config, counts)) is not None:
            return left
    return None


def _fixed(config: Config, pool: Pool) -> int:
    """Return the configured number of workers; 0 where none is.

    Raises:
        ConfigError: It is more than the pool may ever have.
    """
    count, most = int(getattr(config.resources, f"{pool}_workers")), config.resources.max_workers.get(pool)
    if most is not None and count > most:
        msg = (
            f"resources.{pool}_workers={count} is more than resources.max_workers.{pool}={most}. "
            "Lower the one or raise the other."
        )
        raise ConfigError(msg)
    return count


def _keeping_room(nodes: Sequence[Node], tasks: Sequence[Share]) -> Iterator[list[Node]]:
    """Set room for the largest task aside: on all nodes that could run it, else on one of them."""
    able = {at for at, node in enumerate(nodes) if all(node.less(task) for task in tasks)}
    if able:
        yield [_keep(node, tasks) if at in able else node for at, node in enumerate(nodes)]
    tried: list[Node] = []
    for at in sorted(able, key=lambda at: -nodes[at].cpus):
        if nodes[at] not in tried:  # one of several alike stands for all
            tried.append(nodes[at])
            yield [*nodes[:at], _keep(nodes[at], tasks), *nodes[at + 1 :]]


def _keep(node: Node, tasks: Sequence[Share]) -> Node:
    """Take away, of each amount, the most that a task takes."""
    most: dict[str, float] = {}
    for task in tasks:
        most |= {name: max(amount, most.get(name, 0.0)) for name, amount in task.amounts.items()}
    return Node({name: amount - most.get(name, 0.0) for name, amount in node.amounts.items()}, node.gpus)


def _placed(nodes: Sequence[Node], config: Config, counts: Mapping[Pool, int]) -> list[Node] | None:
    left: list[Node] | None = list(nodes)
    for pool, count in counts.items():
        left = None if left is None else place(left, share_of(config, pool), count)
    return left


def _grown(
    left: list[Node], config: Config, least: Mapping[Pool, int], nodes: Sequence[Node]
) -> dict[Pool, int]:
    """Add workers where none are configured, until there are enough or no room is left."""
    counts = dict(least)
    among = sum(1 for pool in least if share_of(config, pool).gpus)
    for pool in least:
        share, wanted = share_of(config, pool), _wanted(config, pool, nodes, among)
        while counts[pool] < wanted and (after := place(left, share, 1)) is not None:
            left, counts[pool] = after, counts[pool] + 1
    return counts


def _wanted(config: Config, pool: Pool, nodes: Sequence[Node], among: int) -> int:
    """Count the workers that would keep a cluster busy: by cores, or by their part of its GPUs."""
    use = config.resources
    most = use.max_workers.get(pool)
    cores, gpus = sum(node.cpus for node in nodes), sum(len(node.gpus) for node in nodes)
    share = share_of(config, pool).gpus
    if _fixed(config, pool):
        wanted = 0
    elif pool == "summary" and not config.summary.writes:
        wanted = int(cores)
    elif loads_nothing(config, pool):  # a server needs one caller, however many cores
        wanted = 1
    elif share:
        wanted = int(gpus / among / share + ROUNDING)
    elif pool == "embedding":
        wanted = int(cores / (2 * use.embedding_threads))
    else:
        wanted = int(cores / getattr(use, f"{pool}_threads"))
    return wanted if most is None else min(wanted, most)
