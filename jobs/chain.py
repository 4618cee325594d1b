"""The whole graph, in the order a file travels.

    listing -> probe -> recall or decode -> ocr -> asr -> perceptions
    listing -> survey -> recall or decode -> vlm -> perceptions, with captions
    asset -> read back -> summarise -> summaries
    asset -> read back -> recall or decode -> vlm -> what doubtful sentences are borne out by
    asset -> read back -> mend -> summaries
    asset -> read back -> embed -> vectors

Where pictures get vectors, they get them between decode and ocr.

Everything before the driver's fan-in is here, on one screen; what each step does is in
`operators`, how it meets Ray is in `cluster.stage`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import Dataset

from cluster.resources import embedding_workers, ocr_workers, speech_workers, summary_workers, vision_workers
from cluster.session import cluster_cpus, cluster_gpus
from cluster.stage import RowTask, add_actors, add_tasks, fan_out
from cluster.vllm import add_vllm
from operators import read_texts
from operators.asr import Asr
from operators.content import HashContent, Hashed
from operators.embed_frames import EmbedFrames
from operators.embed_text import EmbedTexts
from operators.lake import Lake
from operators.mend_summaries import MendSummaries
from operators.ocr import Ocr
from operators.plan_closer_look import PlanCloserLook
from operators.probe import Probe
from operators.read_sources import ReadSources, files_of
from operators.read_stored import ReadDoubted, ReadStored, stored_files
from operators.recall import Recall
from operators.summarise import Summariser
from operators.survey import Survey
from operators.unit_store import UnitStore
from operators.vision_isolated import vision_engine
from operators.vision_vllm import VllmRows, processor_arguments
from operators.vlm import Vlm
from schemas.arrow import to_table
from schemas.config import Config
from schemas.embedding_work import AssetTexts, Embedded
from schemas.media import Listing, Planned
from schemas.perception import Perception
from schemas.summary_work import AssetGroup, Doubted, LookedGroup, Sources, Summarised

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
    if config.embedding.embeds_frames:
        dataset = add_actors(
            dataset,
            partial(EmbedFrames, config),
            Perception,
            Perception,
            workers=embedding_workers(config, cluster_cpus(), cluster_gpus()),
            cpus=use.embedding_cpus,
            gpus=use.embedding_gpus,
            in_flight=1 if careful else 2,
            work="pictures",
        )
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
    yield from _shown(dataset, config, store, careful=careful)


def look_closer(
    groups: Sequence[AssetGroup], lake: Lake, config: Config, store: UnitStore, *, careful: bool = False
) -> Iterator[pa.Table]:
    """Show a model what summaries say and no text bears out; yield tables of `Perception` rows as they come.

    Args:
        groups: The assets.
        lake: Where their summaries lie.
        config: Of the run.
        store: What was perceived of them.
        careful: Whether to hand out one look at a time.
    """
    dataset = _planned_closer(groups, lake, config, store)
    yield from _shown(dataset, config, store, careful=careful)


def survey_closer(
    groups: Sequence[AssetGroup], lake: Lake, config: Config, store: UnitStore
) -> Iterator[pa.Table]:
    """Plan the same and show nothing; yield tables of `Planned` rows."""
    dataset = _planned_closer(groups, lake, config, store)
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


def _planned_closer(groups: Sequence[AssetGroup], lake: Lake, config: Config, store: UnitStore) -> Dataset:
    dataset: Dataset = ray.data.from_arrow([to_table(AssetGroup, [group]) for group in groups])
    read = ReadStored(lake, stored_files(lake))
    task = RowTask(partial(PlanCloserLook, config, store, read), AssetGroup, Planned)
    return add_tasks(dataset, task, cpus=config.resources.probe_cpus)


def _shown(dataset: Dataset, config: Config, store: UnitStore, *, careful: bool) -> Iterator[pa.Table]:
    """Decode what is planned and show it to the model, or recall it."""
    use = config.resources
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


def summarise(groups: Sequence[AssetGroup], lake: Lake, config: Config, run_id: str) -> Iterator[pa.Table]:
    """Write the summaries of assets from the text in the lake; yield tables of `Summarised` rows.

    Args:
        groups: The assets, those that are summarised together side by side.
        lake: Where their text lies.
        config: Of the run.
        run_id: Of the run.
    """
    workers = summary_workers(config, cluster_cpus(), cluster_gpus())
    dataset: Dataset = ray.data.from_arrow([to_table(AssetGroup, [group]) for group in groups])
    read = RowTask(partial(ReadSources, lake, files_of(lake)), AssetGroup, Sources)
    write = partial(Summariser, config, run_id, workers=workers)
    yield from _written(dataset, read, write, config, workers)


def mend(groups: Sequence[LookedGroup], lake: Lake, config: Config, run_id: str) -> Iterator[pa.Table]:
    """Write summaries again with what a closer look has shown; yield tables of `Summarised` rows.

    Args:
        groups: The assets and what was answered.
        lake: Where their text and summaries lie.
        config: Of the run.
        run_id: Of the run.
    """
    workers = summary_workers(config, cluster_cpus(), cluster_gpus())
    dataset: Dataset = ray.data.from_arrow([to_table(LookedGroup, [group]) for group in groups])
    read = RowTask(partial(ReadDoubted, lake, stored_files(lake)), LookedGroup, Doubted)
    write = partial(MendSummaries, config, run_id, workers=workers)
    yield from _written(dataset, read, write, config, workers)


def _written(
    dataset: Dataset,
    read: RowTask[Any, Any],
    write: Callable[[], Callable[[list[Any]], list[Summarised]]],
    config: Config,
    workers: int,
) -> Iterator[pa.Table]:
    """Read assets from the lake and have their summaries written."""
    use = config.resources
    dataset = add_tasks(dataset, read, cpus=use.probe_cpus)
    dataset = add_actors(
        dataset,
        write,
        read.row_out,
        Summarised,
        workers=workers,
        # To pick sentences takes no more than to read them.
        cpus=use.summary_cpus if config.summary.writes else use.probe_cpus,
        gpus=use.summary_gpus if config.summary.writes else 0.0,
        in_flight=1,
    )
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


def embed(groups: Sequence[AssetGroup], lake: Lake, config: Config, run_id: str) -> Iterator[pa.Table]:
    """Embed the texts of assets from the lake; yield tables of `Embedded` rows.

    Args:
        groups: The assets, those that are embedded together side by side.
        lake: Where their texts lie.
        config: Of the run.
        run_id: Of the run.
    """
    use, workers = config.resources, embedding_workers(config, cluster_cpus(), cluster_gpus())
    dataset: Dataset = ray.data.from_arrow([to_table(AssetGroup, [group]) for group in groups])
    files = {name: lake.files(name) for name in read_texts.TABLES}
    read = RowTask(partial(read_texts.ReadTexts, lake, files), AssetGroup, AssetTexts)
    dataset = add_tasks(dataset, read, cpus=use.probe_cpus)
    dataset = add_actors(
        dataset,
        partial(EmbedTexts, config, run_id, workers),
        AssetTexts,
        Embedded,
        workers=workers,
        cpus=use.embedding_cpus,
        gpus=0.0 if config.embedding.engine == "openai" else use.embedding_gpus,
        in_flight=1,
    )
    yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)


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
