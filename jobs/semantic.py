"""`gloss search --semantic` and `--hybrid`: find what is meant, also where no word is the same.

The words become a vector by the model whose vectors the lake holds, and every vector is compared with it
by DuckDB's own functions (200,000 of 384 numbers take 1.6 s of two cores, most of it for reading them). An
index would be an extension, which is a download. Texts and pictures have models of their own, whose
similarities cannot be compared; so their rankings, and with `--hybrid` that of the words, become one by
reciprocal rank fusion. To that every ranking is as good as another, and vectors always rank everything; so
what is no more alike than most is left out first.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb

from jobs.output import EXIT_BROKEN, EXIT_OK, check_format, complain, note
from jobs.read_only import LimitError, open_lake, read_only
from jobs.search import SearchError, Term, emit_places, parse, search, snippet, use_macros
from operators.checkpoint_files import CheckpointError
from operators.embedding_engine import Embedder
from operators.embedding_engines import (
    check_embedding,
    frames_name,
    frames_revision,
    text_name,
    text_revision,
)
from operators.embedding_isolated import frame_embedder, text_embedder
from operators.embedding_models import FRAME_WEIGHTS, TEXT_WEIGHTS, embedding_folder
from operators.lake import Lake, LakeError
from operators.rank_fusion import fuse
from schemas.config import Config, ConfigError, Embedding
from schemas.failure import InputError

_DEPTH = 100
"""Places of each ranking that are fused, at least; more when more are to be shown."""

_STANDS_OUT = 1.0
"""Standard deviations above the mean of all vectors of its model from which a place is alike, where
several rankings are fused: a sixth of them, if they are spread normally."""

_NEAREST = """
WITH compared AS (
    SELECT asset_id, level, segment, clip, time_seconds, page, list_inner_product(vector, $query) AS cosine
    FROM embeddings WHERE model = $model AND revision = $revision AND (level = 'frame') = $frames
), near AS (
    SELECT *, coalesce((cosine - avg(cosine) OVER ()) / nullif(stddev_pop(cosine) OVER (), 0), 0) AS above
    FROM compared
), best AS (
    -- Of a clip one picture is shown, the most alike.
    SELECT * FROM near QUALIFY row_number() OVER (
        PARTITION BY asset_id, level, segment, clip ORDER BY cosine DESC, time_seconds, page) = 1
    ORDER BY cosine DESC, asset_id, segment, clip NULLS LAST LIMIT $limit
)
SELECT b.asset_id, b.level, b.segment, b.clip, b.page, b.cosine, b.above, a.uri, a.kind, a.title,
       b.time_seconds AS start_seconds,
       CASE b.level
           WHEN 'segment' THEN concat_ws('. ', s.title, s.summary)
           ELSE concat_ws(' ', c.caption, c.transcript, c.ocr_text)
       END AS text
FROM best b JOIN assets a USING (asset_id)
LEFT JOIN clips c ON c.asset_id = b.asset_id AND c.clip = b.clip
LEFT JOIN segments s ON s.asset_id = b.asset_id AND s.segment = b.segment
ORDER BY b.cosine DESC, a.uri, b.segment, b.clip NULLS LAST
"""

_HOW = (
    "Make them with gloss ingest and --set embedding.engine=transformers --set embedding.model=NAME (for "
    "texts) or --set embedding.frames=NAME (for pictures)."
)

Place: TypeAlias = tuple[str, str, int | None]
"""Asset, and its clip or segment or neither: what the rankings have in common."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, as one model sees it."""

    model: str
    revision: str
    frames: bool
    vector: list[float]


def run_semantic(
    lake_uri: str,
    words: str,
    *,
    hybrid: bool = False,
    given: Embedding | None = None,
    format: str = "table",  # noqa: A002
    limit: int = 10,
    storage_options: dict[str, str] | None = None,
) -> int:
    """Search a lake by meaning and write the ranked places.

    Args:
        lake_uri: The lake.
        words: Any words or sentence.
        hybrid: Also search for the words themselves, and rank both together.
        given: Settings that the user gave: where the model is on this machine.
        format: As of `gloss query`.
        limit: Most places.
        storage_options: For the lake's store.

    Returns:
        0 (also when nothing is found), 2 for words, a lake or a model that cannot be used, 1 when
        embedding the words or reading broke.
    """
    try:
        check_format(format)
        asked = " ".join(words.replace('"', " ").replace("*", " ").split())
        if not asked:
            msg = f"Wanted words to search for; found none in {words!r}."
            raise SearchError(msg)
        lake = open_lake(lake_uri, storage_options)
        queries = embed_query(lake, asked, given or Embedding())
        with read_only(lake) as connection:
            use_macros(connection)
            terms = parse(connection, words)
            rows = nearest(connection, queries, terms, limit, words if hybrid else None)
    except (LakeError, ConfigError, SearchError, CheckpointError) as error:
        return complain(str(error))
    except InputError as error:
        return complain(f"The words could not be embedded: {error.message}", EXIT_BROKEN)
    except (duckdb.Error, LimitError) as error:
        return complain(f"Reading the lake broke: {error}", EXIT_BROKEN)
    emit_places(rows, terms, format)
    if not rows:
        note(f"Nothing found for {words!r}.")
    return EXIT_OK


# --- the models -----------------------------------------------------------------------------


def embed_query(lake: Lake, words: str, given: Embedding) -> list[Query]:
    """Embed words by each model whose vectors the lake holds, in child processes, without Ray.

    Args:
        lake: The lake; its last run that embedded says by which models and prefixes.
        words: To search for.
        given: Settings of the user, which count where they were set.

    Raises:
        SearchError: The lake holds no vectors of the models.
        ConfigError: A model cannot be used here.
        CheckpointError: Its weights are not here, or others.
        InputError: It could not embed the words.
    """
    held, stored = _held(lake)
    here = _merged(stored, given)
    if (problem := check_embedding(here)) is not None:
        raise ConfigError(problem)
    wanted = {
        (text_name(stored), text_revision(stored)): False,
        (frames_name(stored), frames_revision(stored)): True,
    }
    found = {key: frames for key, frames in wanted.items() if key in held}
    if not found:
        models = ", ".join(sorted({model for model, _ in held}))
        named = " and ".join(model for model, _ in wanted if model)
        msg = (
            f"Wanted vectors by {named}, as the last run of the lake that embedded was configured; found "
            f"those of {models} alone. Run gloss ingest again, so that they are made anew."
        )
        raise SearchError(msg)
    if others := sum(count for key, count in held.items() if key not in found):
        note(f"{others} vectors are of other models and left out; gloss ingest makes them anew.")
    with ThreadPoolExecutor(len(found)) as pool:  # loading PyTorch takes seconds; the models share them
        vectors = pool.map(lambda frames: _vector(here, words, frames), found.values())
        return [
            Query(model, revision, frames, vector)
            for ((model, revision), frames), vector in zip(found.items(), vectors, strict=True)
        ]


def _held(lake: Lake) -> tuple[dict[tuple[str, str], int], Embedding]:
    """Count the vectors of each model, and find the settings of the newest run that made some."""
    with read_only(lake) as connection:
        counted = connection.execute(
            "SELECT model, revision, count(*) FROM embeddings GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        runs = connection.execute("SELECT config FROM runs ORDER BY started_at DESC, run_id").fetchall()
    if not counted:
        msg = f"Wanted vectors to search in {lake.uri}; the lake has none. {_HOW}"
        raise SearchError(msg)
    sections = (Config.model_validate_json(stored).embedding for (stored,) in runs)
    last = next((section for section in sections if section.engine != "off"), None)
    if last is None:
        msg = f"Wanted a run of {lake.uri} that says by which model its vectors were made; found none. {_HOW}"
        raise SearchError(msg)
    return {(model, revision): count for model, revision, count in counted}, last


def _merged(stored: Embedding, given: Embedding) -> Embedding:
    """Lay what the user said over what the lake says.

    Raises:
        ConfigError: A server is named by the lake alone: words and a key go only where the user says.
    """
    merged = stored.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})
    if merged.engine == "openai" and merged.embeds_text and "base_url" not in given.model_fields_set:
        msg = (
            f"Wanted the address of the server with {stored.model}, by which the texts of this lake were "
            "embedded: what is searched for and your key go only where you say. Repeat it: --set "
            f"embedding.base_url={stored.base_url}"
        )
        raise ConfigError(msg)
    return merged


def _vector(embedding: Embedding, words: str, frames: bool) -> list[float]:
    config = Config(embedding=embedding)
    with _embedder(config, frames) as embedder:
        [vector] = embedder.embed_query(words)
        return [float(number) for number in vector]


@contextmanager
def _embedder(config: Config, frames: bool) -> Iterator[Embedder]:
    """Prepare a model and end it; nothing is fetched for a search."""
    embedding = config.embedding
    if frames or embedding.engine != "openai":
        embedding_folder(embedding, FRAME_WEIGHTS if frames else TEXT_WEIGHTS, fetch=False)
    embedder: Any = frame_embedder(config) if frames else text_embedder(config)
    try:
        yield embedder
    finally:
        embedder.close()


# --- the ranking ----------------------------------------------------------------------------


def nearest(
    connection: duckdb.DuckDBPyConnection,
    queries: Sequence[Query],
    terms: Sequence[Term],
    limit: int = 10,
    words: str | None = None,
) -> list[dict[str, Any]]:
    """Find the places whose vectors are nearest, and with `words` those that hold them.

    Args:
        connection: DuckDB with the views of a lake, and the macros of `gloss search`.
        queries: What is searched for, for each model.
        terms: Words to look for in what is shown.
        limit: Most places.
        words: Also search for these; null searches by meaning alone.

    Returns:
        Rows as of `search`, best first; `where` is clip, segment or frame for what was found by a
        vector. The score is the cosine where there is one ranking, else that of the fusion.
    """
    depth = max(_DEPTH, 3 * limit)
    by_vector = [_by_vector(connection, query, list(terms), depth) for query in queries]
    found: list[list[dict[str, Any]]] = [_by_words(connection, words, depth)] if words is not None else []
    if found or len(by_vector) > 1:
        # Of equal places that comes first which stands out most.
        by_vector.sort(key=lambda rows: -max((row["above"] for row in rows), default=0.0))
        by_vector = [
            [row for place, row in enumerate(rows) if place == 0 or row["above"] >= _STANDS_OUT]
            for rows in by_vector
        ]
    found += by_vector
    # What was found by words is shown with the line and the time at which they stand.
    first: dict[Place, dict[str, Any]] = {}
    for rows in found:
        for row in rows:
            first.setdefault(_place(row), row)
    ranked = fuse([[_place(row) for row in rows] for rows in found])
    if len(found) == 1:
        ranked = [(place, first[place]["score"]) for place, _ in ranked]
    return [
        first[place] | {"rank": rank, "score": round(score, 4)}
        for rank, (place, score) in enumerate(ranked[:limit], 1)
    ]


def _by_words(connection: duckdb.DuckDBPyConnection, words: str, depth: int) -> list[dict[str, Any]]:
    try:
        return search(connection, words, depth)
    except SearchError:
        return []  # signs alone have no words, and may mean something all the same


def _by_vector(
    connection: duckdb.DuckDBPyConnection, query: Query, terms: list[Term], depth: int
) -> list[dict[str, Any]]:
    """Rank by one model; a segment is left out after one of its clips, which says where in it."""
    values = {
        "query": query.vector,
        "model": query.model,
        "revision": query.revision,
        "frames": query.frames,
        "limit": 2 * depth,
    }
    reply = connection.execute(_NEAREST.replace("$query", "$query::FLOAT[]"), values)
    names = [column[0] for column in reply.description or []]
    rows: list[dict[str, Any]] = []
    entered: set[tuple[str, int | None]] = set()
    for values_of_row in reply.fetchall():
        row = dict(zip(names, values_of_row, strict=True))
        if row["level"] == "segment" and (row["asset_id"], row["segment"]) in entered:
            continue
        entered.add((row["asset_id"], row["segment"]))
        text = " ".join((row["text"] or "").split())
        rows.append(row | {"where": row["level"], "snippet": snippet(text, terms), "score": row["cosine"]})
    return rows[:depth]


def _place(row: dict[str, Any]) -> Place:
    if row["clip"] is not None:
        return row["asset_id"], "clip", row["clip"]
    if row.get("segment") is not None:
        return row["asset_id"], "segment", row["segment"]
    return row["asset_id"], "asset", None
