"""The whole graph, in the order a file travels.

    listing -> probe -> recall or decode -> ocr -> asr -> perceptions
    listing -> survey -> recall or decode -> vlm -> perceptions, with captions

Everything before the driver's fan-in is here, on one screen; what each step does is in
`operators`, how it meets Ray is in `cluster.stage`.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import ray.data
from ray.data import Dataset

from cluster.resources import ocr_workers, speech_workers, vision_workers
from cluster.session import cluster_cpus, cluster_gpus
from cluster.stage import RowTask, add_actors, add_tasks, fan_out
from cluster.vllm import add_vllm
from operators.asr import Asr
from operators.content import HashContent, Hashed
from operators.ocr import Ocr
from operators.probe import Probe
from operators.recall import Recall
from operators.survey import Survey
from operators.unit_store import UnitStore
from operators.vision_isolated import vision_engine
from operators.vision_vllm import VllmRows, processor_arguments
from operators.vlm import Vlm
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


def survey(listings: Sequence[Listing], config: Config, store: UnitStore) -> Iterator[pa.Table]:
    """Plan what a vision-language model is to be shown of files; yield tables of `Planned` rows.

    Args:
        listings: Files that were perceived.
        config: Of the run.
        store: What was perceived of them.
    """
    dataset: Dataset = ray.data.from_arrow(_blocks(listings))
    task = RowTask(partial(Survey, config, store), Listing, Planned)
    dataset = add_tasks(dataset, task, cpus=config.resources.probe_cpus)
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


def caption(
    listings: Sequence[Listing], config: Config, store: UnitStore, *, careful: bool = False
) -> Iterator[pa.Table]:
    """Show perceived files to a vision-language model; yield tables of `Perception` rows as they come.

    All units of a file come again, recalled, and its looks after them.

    Args:
        listings: The files.
        config: Of the run.
        store: What was perceived of them.
        careful: Whether to hand out one look at a time.
    """
    use = config.resources
    dataset: Dataset = ray.data.from_arrow(_blocks(listings))
    dataset = add_tasks(
        dataset, RowTask(partial(Survey, config, store), Listing, Planned), cpus=use.probe_cpus
    )
    dataset = fan_out(dataset, cpus=use.probe_cpus)
    decode = RowTask(partial(Recall, config, store), Planned, Perception)
    dataset = add_tasks(dataset, decode, cpus=use.decode_cpus)
    if careful:
        dataset = fan_out(dataset, cpus=use.decode_cpus)
    if config.vision.engine == "vllm":
        workers = vision_workers(config, cluster_cpus(), cluster_gpus())
        arguments = processor_arguments(config, workers=workers, careful=careful)
        dataset = add_vllm(dataset, arguments, VllmRows(config), cpus=use.decode_cpus)
    else:
        workers = vision_workers(config, cluster_cpus(), cluster_gpus())
        dataset = add_actors(
            dataset,
            partial(_vlm, config, workers),
            Perception,
            Perception,
            workers=workers,
            cpus=use.vision_cpus,
            gpus=use.vision_gpus,
            in_flight=1 if careful else 2,
            work="shown",
            batch_rows=None if careful else looks_per_call(config),
        )
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


def looks_per_call(config: Config) -> int:
    """Decide how many looks an actor gets at once.

    More would let batches be more alike in shape and length, and let finished words wait longer; a
    server is kept busy while the last answers of a call come in.
    """
    if config.vision.engine == "openai":
        return 2 * config.vision.concurrency
    return _LOOK_BATCHES_PER_CALL * config.resources.looks_per_batch()


def _vlm(config: Config, workers: int) -> Vlm:
    """Make one of several actors that share what a server allows."""
    return Vlm(config, vision_engine(config, workers))


_LOOK_BATCHES_PER_CALL = 8


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
