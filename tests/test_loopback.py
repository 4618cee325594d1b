"""What Gloss starts on a laptop can be reached from that laptop alone."""

import json
import os
import socket
import subprocess
import sys

import pytest
import ray
from ray._private import services

from cluster.loopback import LOOPBACK, on_loopback
from cluster.session import session
from schemas.config import ConfigError, load_config
from tests.processes import listening

SCRIPT = """
import json, os, sys
import ray
from cluster.session import session
from schemas.config import Config
from tests.processes import descendants, listening

@ray.remote
class Actor:
    def answer(self):
        return 1

with session(Config(run={"cpus": 1})):
    actor = Actor.remote()
    assert ray.get(actor.answer.remote()) == 1
    print(json.dumps(listening([os.getpid(), *descendants(os.getpid())])))
"""


def test_a_local_run_listens_on_loopback_alone() -> None:
    """Every TCP socket of the driver, the store, the raylet, its agents and a worker."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert {"gcs_server", "raylet", "ray::Actor"} <= {name.partition(".")[0] for name in found.values()}
    assert [address for address in found if not address.startswith(f"{LOOPBACK}:")] == []


def test_other_ray_calls_see_the_real_address() -> None:
    """Only while a cluster starts is Ray told otherwise."""
    before = services.get_node_ip_address
    with on_loopback():
        assert services.resolve_ip_for_localhost("127.0.0.1") == LOOPBACK
    assert services.get_node_ip_address is before


def test_a_listening_socket_is_found_by_its_address() -> None:
    """The measure itself: IPv4, and IPv6 that takes both."""
    with socket.socket() as one, socket.socket(socket.AF_INET6) as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("::", 0))
        one.listen()
        other.listen()
        ports = one.getsockname()[1], other.getsockname()[1]
        found = listening([os.getpid()])
        assert f"127.0.0.1:{ports[0]}" in found
        assert f":::{ports[1]}" in found


@pytest.mark.parametrize("named", ["setting", "environment"])
def test_a_cluster_that_is_not_there_is_named(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that RAY_ADDRESS names, which a job has."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = load_config()
    if named == "environment":
        monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:9")
    else:
        config = load_config(settings=["run.address=ray://127.0.0.1:9"])
    monkeypatch.setattr(ray, "init", _refuse)
    with pytest.raises(ConfigError, match=r"ray://127\.0\.0\.1:9") as raised, session(config):
        pass
    assert ("RAY_ADDRESS" in str(raised.value)) == (named == "environment")


def _refuse(address: str, **_: object) -> None:
    msg = f"nothing at {address}"
    raise ConnectionError(msg)


def test_the_default_starts_a_cluster_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs on the machine; the cores that are asked for are its own."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    asked: dict[str, object] = {}

    def note(**given: object) -> None:
        asked.update(given)
        raise ConnectionError

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", note)
    with pytest.raises(ConfigError), session(load_config(settings=["run.cpus=3"])):
        pass
    assert (asked["address"], asked["num_cpus"], asked["_node_ip_address"]) == ("local", 3, LOOPBACK)
    assert asked["include_dashboard"] is False
