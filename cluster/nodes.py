"""What the nodes of a cluster hold, and whether workers find room on them.

Sums over a cluster mislead: four nodes of one core and a half have six cores, and five workers of one
core do not fit. Ray waits without end for a worker that no node can hold, so room is counted node by
node, and GPU by GPU, because a fraction of a GPU never spans two.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ROUNDING = 1e-9
"""Shares are decimal fractions: 0.5 + 0.1 + 0.4 must fit one core."""

_MARKER = 0.001
"""Of `accelerator_type:L4`, by which Ray finds nodes with such an accelerator; each of them has 1."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker or task takes of a node."""

    cpus: float
    gpus: float = 0.0
    memory_bytes: int = 0
    """Set aside for it in Ray's books; nothing is enforced."""
    custom: Mapping[str, float] = field(default_factory=dict)
    """Resources that the cluster's nodes were started with (`{"licence": 1}`)."""
    accelerator: str | None = None
    """Type of GPU, as Ray names it (`L4`, `A100`)."""

    @property
    def amounts(self) -> dict[str, float]:
        """What is taken, by Ray's names, but GPUs."""
        taken = {"CPU": self.cpus, "memory": float(self.memory_bytes), **self.custom}
        if self.accelerator is not None:
            taken[f"accelerator_type:{self.accelerator}"] = _MARKER
        return {name: amount for name, amount in taken.items() if amount}

    def remote_args(self) -> dict[str, Any]:
        """Say it as Ray takes it; what is not wanted is left out."""
        wanted = {
            "num_gpus": self.gpus,
            "memory": self.memory_bytes,
            "resources": dict(self.custom),
            "accelerator_type": self.accelerator,
        }
        return {"num_cpus": self.cpus, **{name: value for name, value in wanted.items() if value}}


@dataclass(frozen=True, slots=True)
class Node:
    """What is free on one node."""

    amounts: Mapping[str, float]
    """By Ray's names, but GPUs."""
    gpus: tuple[float, ...] = ()
    """Of each GPU."""

    @property
    def cpus(self) -> float:
        """Cores."""
        return self.amounts.get("CPU", 0.0)

    def less(self, share: Share) -> "Node | None":
        """Take a share away; None where it does not fit."""
        left = dict(self.amounts)
        for name, amount in share.amounts.items():
            left[name] = left.get(name, 0.0) - amount
            if left[name] < -ROUNDING:
                return None
        gpus = _less_gpus(self.gpus, share.gpus)
        return None if gpus is None else Node(left, gpus)


def _less_gpus(free: tuple[float, ...], wanted: float) -> tuple[float, ...] | None:
    """Take whole GPUs, or a part of the one that is fullest and has room."""
    if wanted <= 0:
        return free
    whole = int(wanted + ROUNDING) if wanted >= 1 else 0
    fit = sorted((amount, place) for place, amount in enumerate(free) if amount + ROUNDING >= min(wanted, 1))
    if len(fit) < max(1, whole):
        return None
    taken = {place for _, place in fit[: max(1, whole)]}
    part = 1.0 if whole else wanted
    return tuple(amount - part if place in taken else amount for place, amount in enumerate(free))


def place(nodes: Sequence[Node], share: Share, count: int) -> list[Node] | None:
    """Put so many workers on nodes, each where most is free, as Ray spreads them.

    Args:
        nodes: What is free.
        share: What each takes.
        count: How many.

    Returns:
        What is left of each node; None if one finds no room.
    """
    left = list(nodes)
    for _ in range(count):
        fit = [(at, after) for at, node in enumerate(left) if (after := node.less(share)) is not None]
        if not fit:
            return None
        at, after = max(fit, key=lambda option: _free(left[option[0]], share))
        left[at] = after
    return left


def _free(node: Node, share: Share) -> tuple[float, float]:
    """Rank nodes: those without GPUs are for workers that need none."""
    gpus = sum(node.gpus)
    return (gpus if share.gpus else -gpus, node.cpus)


def has_room(nodes: Iterable[Node], share: Share) -> bool:
    """Tell whether one more worker or task finds room on some node."""
    return any(node.less(share) is not None for node in nodes)


def cluster_nodes() -> list[Node]:
    """List the nodes of the cluster that live, with all they have."""
    from cluster.here import node_here

    if (here := node_here()) is not None:
        return [here]
    import ray  # slow, and the arithmetic needs none of it

    found = ray.nodes()  # type: ignore[no-untyped-call] # Ray has no types here
    return [_node(node["Resources"]) for node in found if node["Alive"]]


def _node(resources: Mapping[str, float]) -> Node:
    amounts = {name: amount for name, amount in resources.items() if name != "GPU"}
    return Node(amounts, (1.0,) * int(resources.get("GPU", 0.0)))


def one_node(cpus: float, gpus: int = 0) -> list[Node]:
    """Describe a cluster of one machine."""
    return [Node({"CPU": cpus}, (1.0,) * gpus)]
