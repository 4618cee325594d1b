"""Summaries by a model through the whole pipeline: real Ray, a real lake, a server that also lies."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from jobs.compose import last_config, run_compose
from jobs.decide import ReviewError, run_decide
from jobs.ingest import run_ingest
from jobs.review import run_review
from jobs.verify import check_lake
from operators.lake import Lake
from schemas.config import load_config
from schemas.tables import SUMMARIES
from tests.inventor import Inventor
from tests.openai_server import Asked, ChatServer, broken, openai_server
from tests.pages import drawn_pdf, prose

LIMPETS = (
    "In 1912 Marie Lebour counted 4,300 limpets on the rocks of Plymouth. Limpets cling to the stone when "
    "waves break over them. They return to the same scar after every meal. "
)
TIDES = (
    "The Moon pulls the water of the sea towards it. High tide comes twice each day in Brest. The highest "
    "tides rise after the new moon in March. "
)


def document(*pages: str) -> bytes:
    """A document with a paragraph on each page."""

    def page(words: str) -> Callable[[Canvas], None]:
        return lambda canvas: prose(canvas, words=words)

    return drawn_pdf(*(page(words) for words in pages))


def told(server: ChatServer, *settings: str) -> list[str]:
    """Settings that have the server write."""
    return [
        "summary.engine=openai", "summary.model=looker-1", f"summary.base_url={server.url}",
        "summary.min_words=5", "summary.patience_seconds=1", *settings,
    ]  # fmt: skip


def rows(lake: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with Lake(lake).connect() as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two documents, with extractive summaries; tests work on copies."""
    folder = tmp_path_factory.mktemp("read")
    (folder / "corpus").mkdir()
    (folder / "corpus" / "limpets.pdf").write_bytes(document(LIMPETS, TIDES))
    (folder / "corpus" / "tides.pdf").write_bytes(document(TIDES))
    assert run_ingest([str(folder / "corpus")], str(folder / "lake"), load_config()) == 0
    return folder / "lake"


@pytest.fixture
def lake(read: Path, tmp_path: Path) -> Path:
    """A copy of that lake."""
    return Path(shutil.copytree(read, tmp_path / "lake"))


def test_compose_writes_summaries_alone(lake: Path) -> None:
    """A new version of the summaries; what was read stays, nothing is decoded, and once is enough."""
    kept = "SELECT asset_id, version, run_id, ingested_at FROM assets ORDER BY asset_id"
    before = rows(lake, kept)
    picked = [rows(lake, f"SELECT * FROM {name} ORDER BY ALL") for name in SUMMARIES]
    files = {name: Lake(lake).files(name) for name in ("text_regions", "sentences", "units", "plans")}
    with openai_server(answer=Inventor(rate=0)) as server:
        assert run_compose(str(lake), last_config(str(lake), None, told(server))) == 0
        assert len(server.asked) == 7  # three pages, a chapter and the whole of two documents
        first = len(server.asked)
        assert run_compose(str(lake), last_config(str(lake))) == 0
        assert len(server.asked) == first
        assert run_compose(str(lake), last_config(str(lake), None, ['summary.levels=["asset"]'])) == 0
        assert len(server.asked) > first
    assert rows(lake, kept) == before
    assert {name: Lake(lake).files(name) for name in files} == files
    assert rows(lake, "SELECT DISTINCT summary_engine FROM assets") == [("openai:looker-1",)]
    stages = "list_transform(stages, lambda s: s.stage)"
    ran = rows(
        lake, f"SELECT status, units, sampled_frames, {stages}, ok, skipped FROM runs ORDER BY started_at"
    )
    assert [(row[1], row[2]) for row in ran[1:]] == [(0, 0)] * 3
    assert [row[3] for row in ran[1:]] == [["summarise"], [], ["summarise"]]
    assert [row[4:] for row in ran[1:]] == [(2, 0), (0, 2), (2, 0)]
    # Sentences picked from the lake are those that were picked when it was read.
    assert run_compose(str(lake), last_config(str(lake), None, ["summary.engine=extractive"])) == 0
    assert [rows(lake, f"SELECT * FROM {name} ORDER BY ALL") for name in SUMMARIES] == picked
    assert not [finding for finding in check_lake(Lake(lake)) if finding.severity == "error"]


def test_what_is_invented_reaches_no_summary(lake: Path) -> None:
    """Every sentence of every summary is one that the server took from the text; the others are reviews."""
    inventor = Inventor(rate=0.6, repents=0.2, withdraws=0.2)
    with openai_server(answer=inventor) as server:
        assert run_compose(str(lake), last_config(str(lake), None, told(server))) == 0
    assert inventor.false
    standing = {text for (text,) in rows(lake, "SELECT text FROM citations")}
    assert not standing & (inventor.false - inventor.true)
    reviews = rows(lake, "SELECT text, reason, action, state, len(evidence) FROM reviews")
    assert {row[0] for row in reviews} <= inventor.false
    assert {row[2:4] for row in reviews} == {("dropped", "open")}
    cited = rows(
        lake,
        "SELECT c.evidence, s.text FROM citations c LEFT JOIN sentences s "
        "ON s.asset_id = c.asset_id AND s.clip = c.clip AND s.text = c.evidence",
    )
    assert all(evidence == text for evidence, text in cited)


def insisting(sentence: str) -> Callable[[Asked], str]:
    """A model that has one sentence for whatever it is asked."""

    def answer(asked: Asked) -> str:
        said = [{"text": sentence, "lines": [1]}]
        return json.dumps({"title": "Tides", "sentences": said, "key_points": []})

    return answer


def test_decisions_hold_through_every_run(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An edit stands at once, and when summaries are written again; so do what was accepted and rejected."""
    clip = 'summary.levels=["clip"]'
    with openai_server(answer=insisting("Penguins crossed the glacier.")) as server:
        run_compose(str(lake), last_config(str(lake), None, told(server, clip)))
        where = "SELECT review_id, uri, clip FROM reviews JOIN assets USING (asset_id) ORDER BY uri, clip"
        (edited, _, _), (accepted, _, _), (rejected, _, _) = rows(lake, where)
        capsys.readouterr()
        assert run_review(str(lake)) == 0
        listed = capsys.readouterr().out
        assert listed.count("Penguins crossed the glacier.") == 3
        assert edited[:12] in listed

        with pytest.raises(ReviewError, match="none has such an id"):
            run_decide(str(lake), "accept", ["zzz"])
        with pytest.raises(ReviewError, match="--text"):
            run_decide(str(lake), "edit", [edited])
        run_decide(str(lake), "edit", [edited[:12]], "Marie Lebour counted limpets.", by="Ada")
        run_decide(str(lake), "accept", [accepted], by="Ada")
        run_decide(str(lake), "reject", [rejected], by="Ada")

        def check() -> None:
            summaries = rows(
                lake,
                "SELECT c.summary, c.summary_doubts FROM clips c JOIN assets USING (asset_id) "
                "ORDER BY uri, clip",
            )
            assert "Marie Lebour counted limpets." in summaries[0][0]
            assert "edited" in summaries[0][1]
            assert "Penguins crossed the glacier." in summaries[1][0]
            assert "Penguins" not in summaries[2][0]
            states = rows(lake, "SELECT state, edited FROM reviews ORDER BY state")
            assert states == [
                ("accepted", None), ("edited", "Marie Lebour counted limpets."), ("rejected", None),
            ]  # fmt: skip

        check()
        settings = told(server, clip, "summary.seed=5")  # another version, and the model answers the same
        assert run_compose(str(lake), last_config(str(lake), None, settings)) == 0
        check()
    assert not [finding for finding in check_lake(Lake(lake)) if finding.severity == "error"]


def test_an_edited_text_is_offered_again_when_the_source_changes(tmp_path: Path) -> None:
    """The edit is not laid over other words; accepting puts it back."""
    corpus, lake = tmp_path / "corpus", tmp_path / "lake"
    corpus.mkdir()
    (corpus / "tides.pdf").write_bytes(document(TIDES))
    with openai_server(answer=insisting("Penguins crossed the glacier.")) as server:
        config = load_config(settings=told(server, 'summary.levels=["clip"]'))
        assert run_ingest([str(corpus)], str(lake), config) == 0
        ((review,),) = rows(lake, "SELECT review_id FROM reviews")
        run_decide(str(lake), "edit", [review], "The tides of Brest.", by="Ada")
        (corpus / "tides.pdf").write_bytes(document(TIDES + LIMPETS))
        assert run_ingest([str(corpus)], str(lake), config) == 0
        assert "The tides of Brest." not in rows(lake, "SELECT summary FROM clips")[0][0]
        offered = rows(lake, "SELECT review_id, text, state FROM reviews WHERE reason = 'source_changed'")
        assert [row[1:] for row in offered] == [("The tides of Brest.", "open")]
        run_decide(str(lake), "accept", [offered[0][0]], by="Ada")
        assert "The tides of Brest." in rows(lake, "SELECT summary FROM clips")[0][0]
        assert not rows(lake, "SELECT 1 FROM reviews WHERE reason = 'source_changed' AND state = 'open'")


def test_a_server_that_is_away_leaves_extractive_summaries(tmp_path: Path) -> None:
    """The run ends with partial assets and the reason; the next one writes what is missing."""
    corpus, lake = tmp_path / "corpus", tmp_path / "lake"
    corpus.mkdir()
    (corpus / "tides.pdf").write_bytes(document(TIDES))
    with openai_server(answer=Inventor(rate=0)) as server:
        config = load_config(settings=told(server, 'summary.levels=["clip"]'))
        server.always = lambda _: broken(503)
        assert run_ingest([str(corpus)], str(lake), config) == 3
        assert rows(lake, "SELECT status, failure_count FROM assets") == [("partial", 1)]
        assert rows(lake, "SELECT stage, reason FROM failures") == [("summarise", "unreachable")]
        assert rows(lake, "SELECT summary_engine, summary_doubts FROM clips") == [
            ("extractive", ["fallback"])
        ]
        server.always = None
        assert run_ingest([str(corpus)], str(lake), config) == 0
        assert rows(lake, "SELECT status, failure_count FROM assets") == [("ok", 0)]
        assert rows(lake, "SELECT summary_engine, summary_doubts FROM clips") == [("openai:looker-1", [])]
        assert rows(lake, "SELECT ok, discovered FROM runs ORDER BY started_at DESC LIMIT 1") == [(1, 1)]
