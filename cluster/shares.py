"""What one worker or task of each operator takes of a node, as configured."""

from cluster.nodes import Share
from schemas.config import Config
from schemas.resources import Operator


def share_of(config: Config, operator: Operator) -> Share:
    """Say what one worker or task of an operator takes."""
    use = config.resources
    model_elsewhere = loads_nothing(config, operator)
    return Share(
        getattr(use, cpus_setting(config, operator)),
        0.0 if model_elsewhere else getattr(use, f"{operator}_gpus", 0.0),
        use.reserve_bytes.get(operator, 0),
        use.custom.get(operator, {}),
        None if model_elsewhere else use.accelerator.get(operator),
    )


def cpus_setting(config: Config, operator: Operator) -> str:
    """Name the setting that says how many cores it takes."""
    # To pick sentences takes no more than to read them.
    return "probe_cpus" if operator == "summary" and not config.summary.writes else f"{operator}_cpus"


def loads_nothing(config: Config, operator: Operator) -> bool:
    """Tell whether a worker has no model here: it picks sentences, or calls a server."""
    match operator:
        case "vision":
            return config.vision.engine == "openai"
        case "summary":
            return config.summary.engine not in ("transformers", "vllm")
        case "embedding":
            return config.embedding.engine == "openai"
        case _:
            return False
