"""Where a run's steps run: on a Ray cluster, or in threads of this process.

Ray is for many cores and many machines. Its start takes some seconds and eight processes, which on a laptop
is longer than to read a short video, and every picture is copied twice more on its way. So where this machine
is the whole cluster and has few cores, the same steps run in threads (`cluster.threads`), with the same
children for all that may crash, and Ray is not even imported.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from cluster.here import cores_here, node_here, only_here
from cluster.shares import share_of
from schemas.config import Config, ConfigError
from schemas.resources import Operator

Result = TypeVar("Result", covariant=True)

MOST_CORES = 8
"""Beyond so many cores one process is too few: what the driver does beside its children takes some five
percent of a core for each that they use, and only one thread of it runs Python at a time."""

_OPERATORS: tuple[Operator, ...] = ("probe", "decode", "ocr", "speech", "vision", "summary", "embedding")


@contextmanager
def session(config: Config, *, verbose: bool = False) -> Iterator[None]:
    """Have a cluster for the length of a run.

    Args:
        config: Of the run; `run.executor` says where.
        verbose: Show what Ray says.

    Raises:
        ConfigError: The cluster cannot be used, or threads cannot do what is wanted.
    """
    if needs_ray(config):
        from cluster.session import session as ray_session

        with ray_session(config, verbose=verbose):
            yield
        return
    with only_here(config.run.cpus or cores_here()):
        yield


def needs_ray(config: Config) -> bool:
    """Decide whether a run needs Ray.

    Raises:
        ConfigError: Threads are wanted for what only Ray can do.
    """
    if config.run.executor == "ray":
        return True
    reason = _only_ray(config)
    if config.run.executor == "threads" and reason is not None:
        msg = f"run.executor=threads cannot do this: {reason}. Take run.executor=auto or ray."
        raise ConfigError(msg)
    if config.run.executor == "threads":
        return False
    return reason is not None or _is_connected() or (config.run.cpus or cores_here()) > MOST_CORES


def _only_ray(config: Config) -> str | None:
    """Say what of a configuration only Ray can do."""
    address = config.run.address or os.environ.get("RAY_ADDRESS")
    if address not in (None, "", "local"):
        return f"the cluster at {address} is wanted"
    if "vllm" in (config.vision.engine, config.summary.engine):
        return "vLLM runs on Ray"
    if config.observe.metrics:
        return "observe.metrics are Ray's"
    shares = {operator: share_of(config, operator) for operator in _OPERATORS}
    for operator, share in shares.items():
        if share.gpus or share.custom or share.accelerator:
            return f"GPUs and own resources are shared out by Ray, and resources want some for {operator}"
    return None


def _is_connected() -> bool:
    """Tell whether this process has a cluster already."""
    ray: Any = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


class Call(Protocol[Result]):
    """A call under way."""

    def done(self) -> bool:
        """Tell whether it has ended."""
        ...

    def result(self, timeout: float | None = None) -> Result:
        """Wait for its end and give what it returned.

        Args:
            timeout: Seconds; null waits for ever.

        Raises:
            TimeoutError: It has not ended in time.
            Exception: What it raised.
        """
        ...


def call_beside(function: Callable[..., Result], *args: object) -> Call[Result]:
    """Call a function beside the pipeline, on the cluster or in a thread; it must not need many cores."""
    if node_here() is not None:
        return _BESIDE.submit(function, *args)
    from cluster.beside import RayCall

    return RayCall(function, *args)


_BESIDE = ThreadPoolExecutor(1, thread_name_prefix="beside")
"""One thread: it runs Python only, which the threads of the pipeline wait for."""
