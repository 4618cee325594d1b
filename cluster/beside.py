"""A call beside the pipeline, done by the cluster."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import ray

Result = TypeVar("Result")


class RayCall(Generic[Result]):
    """A task of no cores: asking for none, it can never wait for the actors of a pipeline to end."""

    def __init__(self, function: Callable[..., Result], *args: object) -> None:
        """Hand it to the cluster; it is tried up to three times where workers die."""
        task: Any = ray.remote(num_cpus=0, max_retries=2)(function)
        self._ref = task.remote(*args)

    def done(self) -> bool:
        """Tell whether it has ended."""
        return bool(ray.wait([self._ref], timeout=0, fetch_local=True)[0])

    def result(self, timeout: float | None = None) -> Result:
        """Wait for its end and give what it returned.

        Raises:
            TimeoutError: It has not ended in time.
            RayError: It failed, or the cluster did.
        """
        if not ray.wait([self._ref], timeout=timeout, fetch_local=True)[0]:
            raise TimeoutError
        result: Result = ray.get(self._ref)
        return result
