"""A Ray cluster for the length of a run: one started here, or one that is already there."""

import logging
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.data import DataContext
from ray.exceptions import AuthenticationError
from ray.job_config import JobConfig

from cluster.gone import ClusterGone
from cluster.loopback import LOOPBACK, on_loopback
from cluster.without_pandas import let_pandas_in
from schemas.config import Config, ConfigError

_BLOCK_BYTES = 16 << 20
"""Target size of a block. Ray's 128 MB would hold minutes of decoded slides, and leave one of
two OCR actors idle at the end of a short video (0.71 of a hand-written loop when measured)."""


_SOUND_BLOCK_BYTES = 4 << 20
"""The same where speech is recognised: two minutes of somebody speaking. Sixteen megabytes are ten
minutes, which one worker would recognise alone, and hand on late, while others have nothing to do."""


_ADDRESS = "RAY_ADDRESS"
"""Environment variable that names a cluster, as Ray itself reads it; set in every job of a cluster."""


_gone = False


def leave_abruptly(code: int) -> None:
    """End this process at once if its cluster is gone; Ray's own clean-up could hang or crash.

    Processes that Ray started here die with this one.
    """
    if _gone:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def session(config: Config, *, verbose: bool = False) -> Iterator[None]:
    """Connect to Ray, or start it on this machine, and leave it as it was found.

    Raises:
        ConfigError: The cluster at `run.address` cannot be reached.
    """
    let_pandas_in()  # Ray Data's blocks may be of it
    started = False
    if not ray.is_initialized():
        _start(config, verbose)
        started = True
    context = DataContext.get_current()
    before = (
        context.target_max_block_size,
        context.enable_progress_bars,
        context.print_on_execution_start,
        context.max_errored_blocks,
    )
    context.target_max_block_size = _SOUND_BLOCK_BYTES if config.speech.listens else _BLOCK_BYTES
    context.enable_progress_bars = verbose
    context.print_on_execution_start = verbose
    # A lost block becomes `failures` rows by the ledger; it never ends the run.
    context.max_errored_blocks = -1
    try:
        yield
    except ClusterGone:
        global _gone
        _gone = started
        raise
    finally:
        (
            context.target_max_block_size,
            context.enable_progress_bars,
            context.print_on_execution_start,
            context.max_errored_blocks,
        ) = before
        if started and not _gone:
            ray.shutdown()


class _OwnCode(JobConfig):
    """Workers import Gloss from where this process has it, and nothing from the current folder.

    Ray puts the folder a driver was called in before all else on the path of its workers (2.60); whatever
    lies there, a `json.py` among downloads, would run in each of them.
    """

    def __init__(self) -> None:
        root = Path(__file__).resolve().parents[1]
        installed = str(root) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
        super().__init__(_py_driver_sys_path=[] if installed else [str(root)])

    def _runtime_env_has_working_dir(self) -> bool:
        """With one, Ray leaves the path alone; nothing else asks."""
        return True


def _start(config: Config, verbose: bool) -> None:
    if not verbose:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A call after the cluster is gone must fail, not start another one.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    # Ray 2.60 announces that it will stop clearing this for workers without GPUs.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    level = logging.INFO if verbose else logging.ERROR
    address = config.run.address or os.environ.get(_ADDRESS)
    try:
        if address in (None, "", "local"):
            with on_loopback():
                ray.init(
                    # Not the cluster that happens to run here, which Ray would take where none is named.
                    address="local",
                    num_cpus=config.run.cpus,
                    include_dashboard=False,
                    log_to_driver=verbose,
                    logging_level=level,
                    configure_logging=True,
                    job_config=_OwnCode(),
                    _node_ip_address=LOOPBACK,
                )
        else:
            ray.init(address=address, log_to_driver=verbose, logging_level=level)
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        named = f"run.address={address}" if config.run.address else f"{_ADDRESS}={address}"
        msg = f"Wanted a Ray cluster at {named}; {error}"
        raise ConfigError(msg) from error


def dead_processes() -> list[str]:
    """Name the processes of a cluster that was started here which have died unasked.

    Ray gives no public account of them; a cluster that was already there has none of ours.
    """
    node = ray._private.worker._global_node
    return [] if node is None else sorted({str(name) for name, _ in node.dead_processes()})
