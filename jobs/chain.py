"""The whole graph, in the order a file travels.

    listing -> probe -> recall or decode -> ocr -> asr -> perceptions

Everything before the driver's fan-in is here, on one screen; what each step does is in
`operators`, how it meets Ray is in `cluster.stage`.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import ray.data
from ray.data import Dataset

from cluster.resources import ocr_workers, speech_workers
from cluster.session import cluster_cpus, cluster_gpus
from cluster.stage import RowTask, add_actors, add_tasks, fan_out
from operators.asr import Asr
from operators.content import HashContent, Hashed
from operators.ocr import Ocr
from operators.probe import Probe
from operators.recall import Recall
from operators.unit_store import UnitStore
from schemas.arrow import to_table
from schemas.config import Config
from schemas.media import Listing, Planned
from schemas.perception import Perception

_LISTINGS_PER_BLOCK = 16
"""Files probed by one task: enough to pay for its start, few enough to spread over cores."""


def perceive(
    listings: Sequence[Listing], config: Config, store: UnitStore, *, careful: bool = False
) -> Iterator[pa.Table]:
    """Perceive files on the cluster; yield tables of `Perception` rows as they come.

    Every unit of every file comes back once unless a worker was lost with it. Then others that
    the worker held are lost too, unless `careful`: one unit at a time for each reader.

    Args:
        listings: The files.
        config: Of the run.
        store: Finished work that need not be done again.
        careful: Whether to hand out one unit at a time.
    """
    use = config.resources
    probe = RowTask(partial(Probe, config, store), Listing, Planned)
    decode = RowTask(partial(Recall, config, store), Planned, Perception)
    dataset: Dataset = ray.data.from_arrow(_blocks(listings))
    dataset = add_tasks(dataset, probe, cpus=use.probe_cpus)
    dataset = fan_out(dataset, cpus=use.probe_cpus)
    dataset = add_tasks(dataset, decode, cpus=use.decode_cpus)
    if careful:
        dataset = fan_out(dataset, cpus=use.decode_cpus)
    dataset = add_actors(
        dataset,
        # Files that were planned before are mostly recalled; the engine is loaded if they are not.
        partial(Ocr, config, warm=any(listing.known_plan is None for listing in listings)),
        Perception,
        Perception,
        workers=ocr_workers(config, cluster_cpus(), cluster_gpus()),
        cpus=use.ocr_cpus,
        gpus=use.ocr_gpus,
        in_flight=1 if careful else 2,
        work="pictures",
    )
    if config.speech.listens:
        dataset = add_actors(
            dataset,
            partial(Asr, config),
            Perception,
            Perception,
            workers=speech_workers(config, cluster_cpus(), cluster_gpus()),
            cpus=use.speech_cpus,
            gpus=use.speech_gpus,
            in_flight=1 if careful else 2,
            work="pieces",
            batch_rows=None if careful else _rows_per_call(config),
        )
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


def _rows_per_call(config: Config) -> int:
    """Decide how many units of sound are recognised in one call: two batches or more of pieces.

    More would let batches be more alike in length, and let finished words wait longer.
    """
    return max(1, config.resources.pieces_per_batch() // 2)


def hash_contents(listings: Sequence[Listing], config: Config) -> Iterator[pa.Table]:
    """Hash files on the cluster; yield tables of `Hashed` rows. Files that cannot be read are left out."""
    dataset: Dataset = ray.data.from_arrow(_blocks(listings))
    hasher = RowTask(partial(HashContent, config.store.storage_options), Listing, Hashed)
    dataset = add_tasks(dataset, hasher, cpus=config.resources.probe_cpus)
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


def _blocks(listings: Sequence[Listing]) -> list[pa.Table]:
    cpus = int(cluster_cpus())
    rows = max(1, min(_LISTINGS_PER_BLOCK, len(listings) // (cpus * 4)))
    return [to_table(Listing, listings[at : at + rows]) for at in range(0, len(listings), rows)]
