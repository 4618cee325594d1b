"""The whole graph, in the order a file travels.

    listing -> probe -> decode -> ocr -> perceptions

Everything before the driver's fan-in is here, on one screen; what each step does is in
`operators`, how it meets Ray is in `cluster.stage`.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import ray.data
from ray.data import Dataset

from cluster.resources import ocr_workers
from cluster.session import cluster_cpus, cluster_gpus
from cluster.stage import RowTask, add_actors, add_tasks, fan_out
from operators.decode import Decode
from operators.ocr import Ocr
from operators.probe import Probe
from schemas.arrow import to_table
from schemas.config import Config
from schemas.media import Listing, Planned
from schemas.perception import Perception

_LISTINGS_PER_BLOCK = 16
"""Files probed by one task: enough to pay for its start, few enough to spread over cores."""


def perceive(listings: Sequence[Listing], config: Config, *, careful: bool = False) -> Iterator[pa.Table]:
    """Perceive files on the cluster; yield tables of `Perception` rows as they come.

    Every unit of every file comes back once unless a worker was lost with it. Then others that
    the worker held are lost too, unless `careful`: one unit at a time for each reader.
    """
    use = config.resources
    probe = RowTask(partial(Probe, config), Listing, Planned)
    decode = RowTask(partial(Decode, config), Planned, Perception)
    dataset: Dataset = ray.data.from_arrow(_blocks(listings))
    dataset = add_tasks(dataset, probe, cpus=use.probe_cpus)
    dataset = fan_out(dataset)
    dataset = add_tasks(dataset, decode, cpus=use.decode_cpus)
    if careful:
        dataset = fan_out(dataset)
    dataset = add_actors(
        dataset,
        partial(Ocr, config),
        Perception,
        Perception,
        workers=ocr_workers(config, cluster_cpus(), cluster_gpus()),
        cpus=use.ocr_cpus,
        gpus=use.ocr_gpus,
        in_flight=1 if careful else 2,
    )
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


def _blocks(listings: Sequence[Listing]) -> list[pa.Table]:
    cpus = int(cluster_cpus())
    rows = max(1, min(_LISTINGS_PER_BLOCK, len(listings) // (cpus * 4)))
    return [to_table(Listing, listings[at : at + rows]) for at in range(0, len(listings), rows)]
