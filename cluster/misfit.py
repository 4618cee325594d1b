"""Why workers and tasks find no room on a cluster, by the names of the settings that ask for it."""

from collections.abc import Mapping, Sequence

from cluster.nodes import Node, Share, has_room
from cluster.shares import cpus_setting, share_of
from schemas.config import Config
from schemas.resources import Operator, Pool


def explain(
    config: Config, nodes: Sequence[Node], tasks: Sequence[Operator], pools: Mapping[Pool, int]
) -> str:
    """Say what does not fit and what to do.

    Args:
        config: Of the run.
        nodes: Of the cluster, empty.
        tasks: What must find room beside workers.
        pools: How many workers of which operators are wanted at the same time.
    """
    operators: list[Operator] = [*tasks, *pools]
    for operator in operators:
        share = share_of(config, operator)
        if not has_room(nodes, share):
            return _too_large(config, operator, share, nodes)
    asked = " and ".join(_asked(config, pool, count) for pool, count in pools.items())
    work = "decode" if "decode" in tasks else "read"
    settings = ", ".join(f"resources.{pool}_workers" for pool in pools)
    return (
        f"{asked} leave too little of {_described(nodes)} to {work} for them. Lower {settings}, or what each "
        "takes."
    )


def _asked(config: Config, pool: Pool, count: int) -> str:
    share, name = share_of(config, pool), "OCR" if pool == "ocr" else pool
    said = [f"resources.{cpus_setting(config, pool)}={share.cpus:g}"]
    said += [f"resources.{pool}_gpus={share.gpus:g}"] if share.gpus else []
    said += [f"resources.reserve_bytes.{pool}={share.memory_bytes}"] if share.memory_bytes else []
    return f"{count} {name} worker{'s' * (count != 1)} of {', '.join(said)}"


def _described(nodes: Sequence[Node]) -> str:
    cores, gpus = sum(node.cpus for node in nodes), sum(len(node.gpus) for node in nodes)
    have = f"{cores:g} cores" + (f" and {gpus} GPUs" if gpus else "")
    return have if len(nodes) == 1 else f"{have} on {len(nodes)} nodes"


def _too_large(config: Config, operator: Operator, share: Share, nodes: Sequence[Node]) -> str:
    """Say which amount no node has."""
    has = "the cluster has" if len(nodes) == 1 else "no node of the cluster has more than"
    most_gpus = max((len(node.gpus) for node in nodes), default=0)
    if share.gpus > most_gpus:
        return (
            f"resources.{operator}_gpus wants {share.gpus:g} of a GPU for each worker; {has} {most_gpus} "
            f"GPUs. Set resources.{operator}_gpus=0, or take the profile embedded or cpu."
        )
    for name, amount in share.amounts.items():
        most = max((node.amounts.get(name, 0.0) for node in nodes), default=0.0)
        if amount <= most:
            continue
        if name.startswith(_ACCELERATOR):
            return (
                f"resources.accelerator.{operator} wants {name.removeprefix(_ACCELERATOR)}; the cluster has "
                f"{_accelerators(nodes)}. Take one of these, or leave it out."
            )
        setting, unit = {
            "CPU": (cpus_setting(config, operator), " cores"),
            "memory": (f"reserve_bytes.{operator}", " bytes"),
        }.get(name, (f"custom.{operator}.{name}", ""))
        return f"resources.{setting} wants {amount:g}{unit}; {has} {most:g}. Lower it."
    wanted = ", ".join(f"{name} {amount:g}" for name, amount in _all(share).items())
    return (
        f"A worker or task of {operator} wants {wanted} on one node; none of the cluster's {len(nodes)} "
        "nodes has all of it. Lower what it takes, or add a node that has."
    )


_ACCELERATOR = "accelerator_type:"


def _all(share: Share) -> dict[str, float]:
    return share.amounts | ({"GPU": share.gpus} if share.gpus else {})


def _accelerators(nodes: Sequence[Node]) -> str:
    names = {name for node in nodes for name in node.amounts if name.startswith(_ACCELERATOR)}
    return ", ".join(sorted(name.removeprefix(_ACCELERATOR) for name in names)) or "none"
