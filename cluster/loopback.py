"""Ray that listens on this machine's loopback interface alone.

Ray binds its servers (cluster store, raylet, agents, metrics, every worker) to all interfaces, unless
its node's address is a loopback one; and it turns a loopback address, given to `ray.init` or
`ray start`, into that of the network card (2.60: `resolve_ip_for_localhost`). Whoever reaches those
ports may be able to run code, so a laptop in a café must not open them. Here Ray is told, while it
starts, that this machine's address is the loopback one, and everything it starts binds to that; each
listening socket is checked by `tests/test_loopback.py`.

    python -m cluster.loopback start --head --port=6379

is `ray start` on loopback, with all its options: for several nodes on one machine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ray._private import services
from ray._private.ray_constants import ENABLE_RAY_CLUSTERS_ENV_VAR

LOOPBACK = "127.0.0.1"


@contextmanager
def on_loopback() -> Iterator[None]:
    """Have Ray take the loopback address for this machine's own, for as long as it starts."""
    of_the_card = services.get_node_ip_address
    services.get_node_ip_address = _loopback
    try:
        yield
    finally:
        services.get_node_ip_address = of_the_card


def _loopback(address: str | None = None) -> str:  # noqa: ARG001 - as Ray calls it
    return LOOPBACK


def main() -> None:
    """Run Ray's own command line on loopback."""
    from ray.scripts.scripts import main as ray

    # With this Ray stays on loopback, as it does on a Mac, in all that the node starts, jobs too. It is
    # set after Ray's import, because `ray start --address` refuses to work with it.
    os.environ[ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    with on_loopback():
        ray()  # type: ignore[no-untyped-call] # Ray has no types here


if __name__ == "__main__":
    main()
