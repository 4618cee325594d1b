"""What an engine is made of: a section of the configuration, as constructors take it.

`vision` and `summary` say it by the same settings, whether a model runs here or a server has it.
"""

from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from operators.hub_weights import Kind
from operators.model_settings import PRECISIONS, ModelSettings, model_name, model_revision

if TYPE_CHECKING:
    from operators.chat_model import ChatModel

_Client = TypeVar("_Client", bound="ChatModel")


class OnTorch(TypedDict):
    """What every engine on PyTorch takes besides its folder."""

    name: str
    """Of engine and model."""
    revision: str
    """Of libraries and weights."""
    precision: str
    """Name of a type of PyTorch."""
    threads: int
    """Of one inference on a CPU."""
    gpu: bool
    """Whether it runs on a GPU."""


def on_torch(settings: ModelSettings, kind: Kind, threads: int, gpu: bool) -> OnTorch:
    """Say how the configured model runs on PyTorch.

    Args:
        settings: Of which `check_model` has nothing to say.
        kind: Of weights.
        threads: Of one inference on a CPU.
        gpu: Whether it runs on a GPU.

    Raises:
        CheckpointError: The weights are not there.
    """
    return {
        "name": model_name(settings),
        "revision": model_revision(settings, kind),
        "precision": PRECISIONS[gpu][settings.precision],
        "threads": threads,
        "gpu": gpu,
    }


def client_of(
    client: "type[_Client]",
    settings: ModelSettings,
    kind: Kind,
    requests_per_minute: float | None,
    **more: Any,
) -> _Client:
    """Prepare to ask the configured server; nothing is sent yet.

    Args:
        client: Its class.
        settings: Of which `check_model` has nothing to say.
        kind: Of weights that are asked for.
        requests_per_minute: Most requests of this client, where several share those of the section;
            null takes these.
        more: Arguments that this class takes besides.
    """
    from operators.chat_client import Patience

    pace = settings.requests_per_minute if requests_per_minute is None else requests_per_minute
    return client(
        name=model_name(settings),
        model=settings.model or "",
        base_url=settings.base_url or "",
        revision=model_revision(settings, kind),
        api_key_env=settings.api_key_env,
        timeout_seconds=settings.timeout_seconds,
        requests_per_minute=pace,
        concurrency=settings.concurrency,
        patience=Patience(total_seconds=settings.patience_seconds),
        **more,
    )
