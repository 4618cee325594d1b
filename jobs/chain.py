"""The whole graph, in the order a file travels.

    listing -> probe -> recall or decode -> ocr -> asr -> perceptions
    listing -> survey -> recall or decode -> vlm -> perceptions, with captions
    asset -> read back -> summarise -> summaries
    asset -> read back -> recall or decode -> vlm -> what doubtful sentences are borne out by
    asset -> read back -> mend -> summaries
    asset -> read back -> embed -> vectors

Where pictures get vectors, they get them between decode and ocr.

Everything before the driver's fan-in is here, on one screen; what each step does is in
`operators`, where it runs is in `cluster.pipeline`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cluster.nodes import cluster_nodes
from cluster.pipeline import Pipeline, begin
from cluster.resources import Workers, holds, plan_workers
from cluster.shares import share_of
from cluster.steps import RowTask
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
from schemas.config import Config
from schemas.embedding_work import AssetTexts, Embedded
from schemas.media import Listing, Planned
from schemas.perception import Perception
from schemas.resources import Operator, Pool
from schemas.summary_work import AssetGroup, Doubted, LookedGroup, Sources, Summarised

if TYPE_CHECKING:
    from cluster.ray_pipeline import RayPipeline

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
    workers = plan_workers(config, cluster_nodes())
    probe = RowTask(partial(Probe, config, store), Listing, Planned)
    decode = RowTask(partial(Recall, config, store), Planned, Perception)
    pipeline = begin(Listing, _blocks(listings))
    pipeline = pipeline.tasks(probe, share_of(config, "probe"))
    pipeline = pipeline.spread(share_of(config, "probe"))
    pipeline = pipeline.tasks(decode, share_of(config, "decode"))
    if careful:
        pipeline = pipeline.spread(share_of(config, "decode"))
    if config.embedding.embeds_frames:
        pipeline = pipeline.actors(
            partial(EmbedFrames, config),
            Perception,
            Perception,
            share_of(config, "embedding"),
            workers=_pool(config, workers, "embedding"),
            in_flight=1 if careful else 2,
            work="pictures",
        )
    pipeline = pipeline.actors(
        # Files that were planned before are mostly recalled; the engine is loaded if they are not.
        partial(Ocr, config, warm=any(listing.known_plan is None for listing in listings)),
        Perception,
        Perception,
        share_of(config, "ocr"),
        workers=_pool(config, workers, "ocr"),
        in_flight=1 if careful else 2,
        work="pictures",
    )
    if config.speech.listens:
        pipeline = pipeline.actors(
            partial(Asr, config),
            Perception,
            Perception,
            share_of(config, "speech"),
            workers=_pool(config, workers, "speech"),
            in_flight=1 if careful else 2,
            work="pieces",
            batch_rows=None if careful else _rows_per_call(config),
        )
    yield from _stream(pipeline, config, ("probe", "decode"), workers, ("ocr", "speech", "embedding"))


def _rows_per_call(config: Config) -> int:
    """Decide how many units of sound are recognised in one call: two batches or more of pieces.

    More would let batches be more alike in length, and let finished words wait longer. A GPU has large
    batches and is soon through: of long recordings, sixteen batches leave 4 % of padding, four 17 %.
    """
    size = config.resources.pieces_per_batch()
    return max(1, 3 * size // 2 if config.resources.speech_gpus else size // 2)


def survey(listings: Sequence[Listing], config: Config, store: UnitStore) -> Iterator[pa.Table]:
    """Plan what a vision-language model is to be shown of files; yield tables of `Planned` rows.

    Args:
        listings: Files that were perceived.
        config: Of the run.
        store: What was perceived of them.
    """
    pipeline = begin(Listing, _blocks(listings))
    task = RowTask(partial(Survey, config, store), Listing, Planned)
    pipeline = pipeline.tasks(task, share_of(config, "probe"))
    yield from pipeline.stream()


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
    pipeline = begin(Listing, _blocks(listings))
    task = RowTask(partial(Survey, config, store), Listing, Planned)
    pipeline = pipeline.tasks(task, share_of(config, "probe"))
    yield from _shown(pipeline, config, store, careful=careful)


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
    pipeline = _planned_closer(groups, lake, config, store)
    yield from _shown(pipeline, config, store, careful=careful)


def survey_closer(
    groups: Sequence[AssetGroup], lake: Lake, config: Config, store: UnitStore
) -> Iterator[pa.Table]:
    """Plan the same and show nothing; yield tables of `Planned` rows."""
    pipeline = _planned_closer(groups, lake, config, store)
    yield from pipeline.stream()


def _planned_closer(groups: Sequence[AssetGroup], lake: Lake, config: Config, store: UnitStore) -> Pipeline:
    pipeline = begin(AssetGroup, [[group] for group in groups])
    read = ReadStored(lake, stored_files(lake))
    task = RowTask(partial(PlanCloserLook, config, store, read), AssetGroup, Planned)
    return pipeline.tasks(task, share_of(config, "probe"))


def _shown(pipeline: Pipeline, config: Config, store: UnitStore, *, careful: bool) -> Iterator[pa.Table]:
    """Decode what is planned and show it to the model, or recall it."""
    pipeline = pipeline.spread(share_of(config, "probe"))
    decode = RowTask(partial(Recall, config, store), Planned, Perception)
    pipeline = pipeline.tasks(decode, share_of(config, "decode"))
    if careful:
        pipeline = pipeline.spread(share_of(config, "decode"))
    planned = plan_workers(config, cluster_nodes())
    workers = _pool(config, planned, "vision")
    if config.vision.engine == "vllm":
        arguments = processor_arguments(config, workers=workers[0], careful=careful)
        pipeline = _on_ray(pipeline).vllm(arguments, VllmRows(config), cpus=config.resources.decode_cpus)
    else:
        pipeline = pipeline.actors(
            partial(_vlm, config, workers[1]),
            Perception,
            Perception,
            share_of(config, "vision"),
            workers=workers,
            in_flight=1 if careful else 2,
            work="shown",
            batch_rows=None if careful else looks_per_call(config),
        )
    yield from _stream(pipeline, config, ("probe", "decode"), planned, ("vision",))


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
    workers = plan_workers(config, cluster_nodes())
    pipeline = begin(AssetGroup, [[group] for group in groups])
    read = RowTask(partial(ReadSources, lake, files_of(lake)), AssetGroup, Sources)
    write = partial(Summariser, config, run_id, workers=_pool(config, workers, "summary")[1])
    yield from _written(pipeline, read, write, config, workers)


def mend(groups: Sequence[LookedGroup], lake: Lake, config: Config, run_id: str) -> Iterator[pa.Table]:
    """Write summaries again with what a closer look has shown; yield tables of `Summarised` rows.

    Args:
        groups: The assets and what was answered.
        lake: Where their text and summaries lie.
        config: Of the run.
        run_id: Of the run.
    """
    workers = plan_workers(config, cluster_nodes())
    pipeline = begin(LookedGroup, [[group] for group in groups])
    read = RowTask(partial(ReadDoubted, lake, stored_files(lake)), LookedGroup, Doubted)
    write = partial(MendSummaries, config, run_id, workers=_pool(config, workers, "summary")[1])
    yield from _written(pipeline, read, write, config, workers)


def _written(
    pipeline: Pipeline,
    read: RowTask[Any, Any],
    write: Callable[[], Callable[[list[Any]], list[Summarised]]],
    config: Config,
    workers: Workers,
) -> Iterator[pa.Table]:
    """Read assets from the lake and have their summaries written."""
    pipeline = pipeline.tasks(read, share_of(config, "probe"))
    pipeline = pipeline.actors(
        write,
        read.row_out,
        Summarised,
        share_of(config, "summary"),
        workers=_pool(config, workers, "summary"),
        in_flight=1,
    )
    yield from _stream(pipeline, config, ("probe",), workers, ("summary",))


def embed(groups: Sequence[AssetGroup], lake: Lake, config: Config, run_id: str) -> Iterator[pa.Table]:
    """Embed the texts of assets from the lake; yield tables of `Embedded` rows.

    Args:
        groups: The assets, those that are embedded together side by side.
        lake: Where their texts lie.
        config: Of the run.
        run_id: Of the run.
    """
    planned = plan_workers(config, cluster_nodes())
    workers = _pool(config, planned, "embedding")
    pipeline = begin(AssetGroup, [[group] for group in groups])
    files = {name: lake.files(name) for name in read_texts.TABLES}
    read = RowTask(partial(read_texts.ReadTexts, lake, files), AssetGroup, AssetTexts)
    pipeline = pipeline.tasks(read, share_of(config, "probe"))
    pipeline = pipeline.actors(
        partial(EmbedTexts, config, run_id, workers[1]),
        AssetTexts,
        Embedded,
        share_of(config, "embedding"),
        workers=workers,
        in_flight=1,
    )
    yield from _stream(pipeline, config, ("probe",), planned, ("embedding",))


def hash_contents(listings: Sequence[Listing], config: Config) -> Iterator[pa.Table]:
    """Hash files on the cluster; yield tables of `Hashed` rows. Files that cannot be read are left out."""
    pipeline = begin(Listing, _blocks(listings))
    hasher = RowTask(partial(HashContent, config.store.storage_options), Listing, Hashed)
    pipeline = pipeline.tasks(hasher, share_of(config, "probe"))
    yield from pipeline.stream()


def _blocks(listings: Sequence[Listing]) -> list[Sequence[Listing]]:
    cores = sum(node.cpus for node in cluster_nodes())
    rows = max(1, min(_LISTINGS_PER_BLOCK, int(len(listings) / (cores * 4))))
    return [listings[at : at + rows] for at in range(0, len(listings), rows)]


def _on_ray(pipeline: Pipeline) -> "RayPipeline":
    """Say that a pipeline runs on Ray, which `cluster.executor` sees to where vLLM is wanted."""
    from cluster.ray_pipeline import RayPipeline

    assert isinstance(pipeline, RayPipeline)
    return pipeline


def _pool(config: Config, workers: Workers, pool: Pool) -> tuple[int, int]:
    """Say with how many workers a pool begins, and to how many it may grow."""
    count: int = getattr(workers, pool)
    return count, max(count, config.resources.max_workers.get(pool, count))


def _stream(
    pipeline: Pipeline, config: Config, tasks: Sequence[Operator], workers: Workers, pools: Sequence[Pool]
) -> Iterator[pa.Table]:
    """Yield what comes out for as long as the nodes that live can hold the workers of these pools."""
    held: dict[Pool, int] = {pool: count for pool in pools if (count := getattr(workers, pool))}
    return pipeline.stream(lambda nodes: holds(config, nodes, tasks, held))
