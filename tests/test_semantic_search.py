"""What is meant is found: by texts in other words, and by pictures that nobody described."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from jobs.embedding_pass import due_assets
from jobs.ingest import run_ingest
from jobs.search import parse, search, use_macros
from jobs.semantic import Query, nearest, run_semantic
from jobs.settle import settle
from operators.commit import append_files, mark_embedded
from operators.embed_text import EmbedTexts, embedding_version, not_embedded, texts_of
from operators.embed_transformers import TransformersFrameEmbedder, TransformersTextEmbedder
from operators.embedding_engine import Embedder, Vectors
from operators.embedding_models import resolve_embedding
from operators.lake import Lake
from operators.rank_fusion import K, fuse
from operators.read_texts import TABLES, ReadTexts
from operators.write import rows_of, write_rows
from schemas.config import Config, ConfigError, load_config
from schemas.embedding_work import AssetTexts, Embedded, TextPlace
from schemas.failure import InputError, Reason
from schemas.summary_work import AssetGroup
from tests import scenes, small_lake
from tests.rows import segment_row
from tests.scenes import Scene, Shown
from tests.small_lake import clip_row
from tests.tiny_embedders import SIGLIP, WORDS

SHOWN = [
    Shown(0, Scene("red", "square", "white", 4)),
    Shown(3, Scene("blue", "circle", "black", 8)),
    Shown(6, Scene("green", "cross", "white", 2)),
]
PAGES = [
    "The captain of the ship left the port before the storm.",
    "Our physician will mend the automobile on the street.",
    "The price of bread: a loaf is no big cost.",
]

Row = dict[str, Any]


def config_of(*settings: str) -> Config:
    """Vectors of both kinds; nothing else that takes time."""
    return load_config(
        settings=[
            "ocr.engine=off",
            "speech.engine=off",
            "documents.text_layer=always",
            "embedding.engine=transformers",
            f"embedding.model={WORDS}",
            f"embedding.frames={SIGLIP}",
            *settings,
        ]
    )


def report() -> bytes:
    """A document of a few pages with a sentence on each."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    for text in PAGES:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of three scenes and a report of three pages."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "shapes.mp4").write_bytes(scenes.video_of(SHOWN, 9, (160, 90)))
    (folder / "report.pdf").write_bytes(report())
    return folder


@pytest.fixture(scope="module")
def lake(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """What the whole pipeline makes of them."""
    root = tmp_path_factory.mktemp("semantic") / "lake"
    assert run_ingest([str(sources)], str(root), config_of()) == 0
    return Lake(root)


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, Embedder]]:
    """Both models in this process."""
    threads = torch.get_num_threads()
    yield {
        "words": TransformersTextEmbedder(WORDS, name="", revision=""),
        "siglip": TransformersFrameEmbedder(SIGLIP, name="", revision=""),
    }
    torch.set_num_threads(threads)


def found(
    lake: Lake, models: dict[str, Embedder], words: str, kinds: Sequence[str], *, hybrid: bool = False
) -> list[Row]:
    """Search with models that are here already."""
    with lake.connect() as connection:
        use_macros(connection)
        held = connection.execute(
            "SELECT DISTINCT model, revision, level = 'frame' FROM embeddings"
        ).fetchall()
        queries = [
            Query(model, revision, frames, models[kind].embed_query(words)[0].tolist())
            for model, revision, frames in sorted(held, key=lambda row: row[2])
            if (kind := model.partition(":")[2]) in kinds
        ]
        assert len(queries) == len(kinds)
        return nearest(connection, queries, parse(connection, words), 10, words if hybrid else None)


# --- through the pipeline -------------------------------------------------------------------


def test_every_distinct_picture_page_and_text_has_a_vector(lake: Lake) -> None:
    """Of the video its scenes, at their times; of the report its pages; of both their clips and segments."""
    with lake.connect() as connection:
        rows = connection.execute(
            "SELECT a.kind, e.level, e.time_seconds, e.page, len(vector), list_inner_product(vector, vector) "
            "FROM embeddings e JOIN assets a USING (asset_id)"
        ).fetchall()
        texts = connection.execute(
            "SELECT (SELECT count(*) FROM clips WHERE ocr_text <> ''), "
            "(SELECT count(*) FROM embeddings WHERE level = 'clip')"
        ).fetchone()
    assert sorted(at for kind, level, at, *_ in rows if (kind, level) == ("video", "frame")) == [0, 3, 6]
    assert sorted(page for kind, level, _, page, *_ in rows if (kind, level) == ("document", "frame")) == [
        1,
        2,
        3,
    ]
    assert texts == (3, 3)
    assert {size for *_, size, _ in rows} == {48}
    assert all(abs(length - 1) < 1e-5 for *_, length in rows)


def test_a_text_is_found_by_other_words(lake: Lake, models: dict[str, Embedder]) -> None:
    """None of them stands in it, so that a search for words finds nothing."""
    for words, page in (("boat harbour", 1), ("doctor car", 2)):
        with lake.connect() as connection:
            assert search(connection, words) == []
        first = found(lake, models, words, ["words"])[0]
        assert (first["page"], first["where"]) == (page, "clip")
        assert PAGES[page - 1][:20] in first["snippet"]


def test_a_picture_is_found_by_what_it_shows(lake: Lake, models: dict[str, Embedder]) -> None:
    """With the time at which it is first seen."""
    for start, words in ((0, "a red square"), (3, "a blue circle"), (6, "a green cross")):
        first = found(lake, models, words, ["siglip"])[0]
        assert (first["where"], first["start_seconds"], first["kind"]) == (
            "frame",
            start,
            "video",
        )


def test_what_is_no_more_alike_than_most_stays_out_of_a_mixed_ranking(
    lake: Lake, models: dict[str, Embedder]
) -> None:
    """Pages have vectors of both kinds, and would stand before a picture that is alike by one alone."""
    rows = found(lake, models, "a red square", ["words", "siglip"])
    assert (rows[0]["where"], rows[0]["start_seconds"], rows[0]["kind"]) == ("frame", 0, "video")
    assert len(rows) < 7


def test_one_ranking_of_words_and_meaning(lake: Lake, models: dict[str, Embedder]) -> None:
    """What is found both ways stands before what is found one way; each place once."""
    rows = found(lake, models, "bread cost", ["words", "siglip"], hybrid=True)
    assert (rows[0]["page"], rows[0]["where"]) == (3, "ocr")
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    places = [(row["asset_id"], row["clip"], row["segment"], row["where"]) for row in rows]
    assert len(set(places)) == len(places)


def test_the_command_needs_no_cluster_and_finds_both(
    lake: Lake,
    models: dict[str, Embedder],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the models of the last run, each asked once; where a model is may be told anew."""

    def here(config: Config) -> Embedder:
        model: Any = models["words"]
        model.close = lambda: None
        return model  # type: ignore[no-any-return]  # in this process: a child takes seconds to start

    def seen(config: Config) -> Embedder:
        model: Any = models["siglip"]
        model.close = lambda: None
        return model  # type: ignore[no-any-return]

    monkeypatch.setattr("jobs.semantic.text_embedder", here)
    monkeypatch.setattr("jobs.semantic.frame_embedder", seen)
    monkeypatch.setattr("ray.init", lambda *_, **__: pytest.fail("a search started Ray"))
    assert run_semantic(lake.uri, "a vessel", format="json", limit=3) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert 1 in {row["page"] for row in rows[:2]}
    moved = load_config(settings=["embedding.model=/nowhere/words"]).embedding
    assert run_semantic(lake.uri, "a vessel", given=moved) == 2
    assert "found nothing. Correct embedding.model" in capsys.readouterr().err


def test_plain_duckdb_compares_vectors(lake: Lake, models: dict[str, Embedder]) -> None:
    """By `views.sql` alone, with no extension and none of our code."""
    query = models["words"].embed_query("skipper")[0].tolist()
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as plain:
        plain.execute((Path(lake.root) / "views.sql").read_text(encoding="utf-8"))
        [(page,)] = plain.execute(
            "SELECT page FROM embeddings WHERE level = 'clip' "
            "ORDER BY list_cosine_similarity(vector, $1::FLOAT[]) DESC LIMIT 1",
            [query],
        ).fetchall()
        [(cast,)] = plain.execute(
            "SELECT page FROM embeddings WHERE level = 'clip' "
            "ORDER BY array_cosine_similarity(vector::FLOAT[48], $1::FLOAT[48]) DESC LIMIT 1",
            [query],
        ).fetchall()
    assert page == cast == 1


def test_what_is_embedded_is_not_embedded_again(lake: Lake, sources: Path) -> None:
    """Until the texts or the model change; vectors are never lost by being forgotten."""
    config = settle(config_of(), lake)
    assert due_assets(lake, config) == []
    prefixed = config.model_copy(
        update={"embedding": config.embedding.model_copy(update={"text_prefix": "passage: "})}
    )
    assert len(due_assets(lake, prefixed)) == 2
    off = load_config(settings=["ocr.engine=off", "speech.engine=off", "embedding.engine=off"])
    assert len(due_assets(lake, off)) == 2
    with pytest.raises(ConfigError, match=r"made vectors of .*words and .*siglip.*take all vectors out"):
        settle(load_config(settings=["ocr.engine=off", "speech.engine=off"]), lake)
    with pytest.raises(ConfigError, match=r"embedding\.frames="):
        settle(
            load_config(
                settings=["speech.engine=off", "embedding.engine=transformers", f"embedding.model={WORDS}"]
            ),
            lake,
        )


# --- without it -----------------------------------------------------------------------------


class Fixed:
    """Embeds a text by whether it speaks of the moon; some texts it cannot take."""

    name, revision = "fixed", "1"

    def embed_query(self, words: str) -> Vectors:
        """As a text."""
        return self.embed_texts([words])

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """One vector for each."""
        if any("unbearable" in text for text in texts):
            raise InputError(Reason.CRASHED, "The embedding model was killed.")
        from operators.embedding_engine import of_length_one

        return of_length_one(torch.tensor([[1.0, "moon" in text, 0.1] for text in texts]).numpy())


@pytest.fixture
def small(tmp_path: Path) -> Lake:
    """A lake that was written by hand."""
    return small_lake.make(tmp_path)


def embed_here(lake: Lake, config: Config, run_id: str) -> list[Embedded]:
    """One pass in this process, with the embedder above."""
    ids = [item.asset_id for item in due_assets(lake, config)]
    read = ReadTexts(lake, {name: lake.files(name) for name in TABLES})
    done = EmbedTexts(config, run_id, embedder=Fixed())(list(read(AssetGroup(ids)))) if ids else []
    files = [
        write_rows(lake, name, [row for item in done for row in getattr(item, name)])
        for name in ("embeddings", "failures")
    ]
    append_files(lake, rows_of(files))
    if done:
        mark_embedded(lake, [item.asset for item in done])
    lake.write_views()
    return done


def columns(lake: Lake, sql: str) -> list[Any]:
    """Ask a lake."""
    with lake.connect() as connection:
        return connection.execute(sql).fetchall()


def test_vectors_of_texts_are_replaced_at_once_and_those_of_pictures_stay(small: Lake) -> None:
    """They live by different ids; what else the asset's row says is left alone."""
    config = resolve_embedding(load_config(settings=config_settings()), lambda _: None)
    before = columns(small, "SELECT * EXCLUDE (embedding_version) FROM assets ORDER BY asset_id")
    write = small.table("assets").to_pyarrow_table(columns=["asset_id", "write_id"]).to_pylist()
    [write_id] = [row["write_id"] for row in write if row["asset_id"] == small_lake.TALK]
    frame = vector_row("frame", write_id)
    append_files(small, rows_of([write_rows(small, "embeddings", [frame])]))
    first = embed_here(small, config, "r1")
    count = sum(len(item.embeddings) for item in first)
    assert count == columns(small, "SELECT count(*) FROM embeddings WHERE level <> 'frame'")[0][0] > 0
    assert embed_here(small, config, "r2") == []

    other = config.model_copy(
        update={"embedding": config.embedding.model_copy(update={"text_prefix": "passage: "})}
    )
    assert len(embed_here(small, other, "r3")) == len(first)
    assert columns(small, "SELECT level, count(*) FROM embeddings GROUP BY ALL ORDER BY ALL")[1] == (
        "frame",
        1,
    )
    assert columns(small, "SELECT count(*) FROM embeddings WHERE level <> 'frame'") == [(count,)]
    assert columns(small, "SELECT * EXCLUDE (embedding_version) FROM assets ORDER BY asset_id") == before


def config_settings() -> list[str]:
    """Vectors of texts alone."""
    return ["embedding.engine=transformers", f"embedding.model={WORDS}"]


def vector_row(level: str, write_id: str) -> Any:
    """A row of `embeddings`."""
    from schemas.tables import EmbeddingRow

    return EmbeddingRow(small_lake.TALK, "v0", level, 0, 0, 0.0, None, "m", "1", [0.6, 0.8], write_id)


def test_a_text_that_cannot_be_embedded_is_a_failure_and_tried_again(small: Lake) -> None:
    """The other texts of its asset are found; when it is well, nothing is left of it."""
    config = resolve_embedding(load_config(settings=config_settings()), lambda _: None)
    texts = [TextPlace("clip", 0, 0, 0.0, None, "moon"), TextPlace("clip", 0, 1, 9.0, None, "unbearable")]
    asset = AssetTexts(small_lake.TALK, "v0", "file:///talk", "s", 0, texts)
    [done] = EmbedTexts(config, "r1", embedder=Fixed())([asset])
    assert (done.asset.embedding_version, done.asset.failure_count, done.asset.status) == ("", 1, "partial")
    assert [row.clip for row in done.embeddings] == [0]
    [failure] = done.failures
    assert (failure.stage, failure.reason, failure.start_seconds) == ("embed", "crashed", 9.0)
    assert {failure.write_id, *(row.write_id for row in done.embeddings)} == {done.asset.embedding_write_id}

    append_files(small, rows_of([write_rows(small, "failures", done.failures)]))
    mark_embedded(small, [replace(done.asset, failure_count=done.asset.failure_count)])
    assert small_lake.TALK in {item.asset_id for item in due_assets(small, config)}
    read = ReadTexts(small, {name: small.files(name) for name in TABLES})
    [again] = read(AssetGroup([small_lake.TALK]))
    assert again.failure_count == 0
    [well] = EmbedTexts(config, "r2", embedder=Fixed())([again])
    assert (well.asset.status, well.asset.embedding_version) == ("ok", embedding_version(config))
    assert not_embedded(asset, "Lost.", "r3").asset.embedding_version == ""


def test_which_text_stands_for_a_clip_and_a_segment() -> None:
    """What says most comes first, each part once; where there is none there is no vector."""
    clips = [
        clip_row(
            "a0", 0, "seen", "w", title="Tides", caption="A coast.", transcript="said", start_seconds=0.0
        ),
        clip_row("a0", 1, "", "w", start_seconds=30.0),
        clip_row("a0", 2, "Tides", "w", title="Tides", start_seconds=60.0),
    ]
    segments = [segment_row(title="Ebb and flow", summary="The moon pulls.")]
    places = texts_of(segments, clips)
    assert [(place.level, place.clip, place.text) for place in places] == [
        ("clip", 0, "Tides\nA coast.\nsaid\nseen"),
        ("clip", 2, "Tides"),
        ("segment", None, "Ebb and flow\nThe moon pulls.\nA coast.\nsaid\nseen\nTides"),
    ]
    [long] = texts_of([], [clip_row("a0", 0, "x" * 100_000, "w")])
    assert len(long.text) == 16_000


def test_a_lake_without_vectors_says_how_to_make_them(
    small: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage, not a broken lake."""
    assert run_semantic(small.uri, "moon") == 2
    assert "the lake has none. Make them with gloss ingest" in capsys.readouterr().err
    assert run_semantic(small.uri, ' "*" ') == 2
    assert "Wanted words to search for" in capsys.readouterr().err


def test_words_and_keys_go_only_where_the_user_says(small: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Not to a server that the lake names: whoever wrote it would get the key."""
    from operators.commit import put_run
    from tests.rows import run_row

    lured = load_config(
        settings=[
            "embedding.engine=openai",
            "embedding.model=m",
            "embedding.base_url=http://evil.example/v1",
            "embedding.api_key_env=AWS_SECRET_ACCESS_KEY",
        ]
    )
    put_run(small, run_row(run_id="r9", config=lured.model_dump_json()))
    write = small.table("assets").to_pyarrow_table(columns=["write_id"]).to_pylist()
    rows = [vector_row("clip", write[0]["write_id"])]
    append_files(small, rows_of([write_rows(small, "embeddings", rows)]))
    small.write_views()
    assert run_semantic(small.uri, "moon") == 2
    assert "go only where you say" in capsys.readouterr().err


# --- fusion ---------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(0, 20), unique=True, max_size=12), max_size=4))
def test_fusion_is_the_sum_of_reciprocal_ranks(rankings: list[list[int]]) -> None:
    """Each place once, the best first."""
    fused = fuse(rankings)
    assert {place for place, _ in fused} == {place for ranking in rankings for place in ranking}
    for place, score in fused:
        wanted = sum(1 / (K + ranking.index(place) + 1) for ranking in rankings if place in ranking)
        assert score == pytest.approx(wanted)
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
    if len(rankings) == 1:
        assert [place for place, _ in fused] == rankings[0]
