"""Captions through the whole pipeline: real Ray, real files, a real server that sees the pictures."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from jobs.caps import Caps
from jobs.ingest import run_ingest
from jobs.retry import run_retry
from operators.lake import Lake
from schemas.config import Config, ConfigError, load_config
from schemas.settings import as_settings
from tests.media import encode, save, steady
from tests.openai_server import COLOURS, MODEL, Asked, ChatServer, broken, openai_server
from tests.pages import drawn_pdf, prose

ROOT = Path(__file__).resolve().parents[1]


def field(colour: str, size: tuple[int, int] = (320, 180)) -> Any:
    """A picture in one colour, with a little grain."""
    width, height = size
    grain = np.random.default_rng(0).integers(-6, 7, (height, width, 3))
    return np.clip(np.array(COLOURS[colour]) + grain, 0, 255).astype(np.uint8)


def colours(*names: str, size: tuple[int, int] = (320, 180), seconds: float = 4.0) -> bytes:
    """A video that shows one colour after the other."""
    shown = [(index * seconds, field(name, size)) for index, name in enumerate(names)]
    return encode(steady(shown, len(names) * seconds, rate=5))


def painted(colour: str) -> Any:
    """Draw a page of prose over a field of one colour that covers most of it."""

    def draw(canvas: Canvas) -> None:
        canvas.setFillColorRGB(*(value / 255 for value in COLOURS[colour]))
        canvas.rect(0, 0, 595, 842, fill=1, stroke=0)
        canvas.setFillColorRGB(0, 0, 0)
        prose(canvas)

    return draw


def describe(asked: Asked) -> str:
    """Name the colours in their order, and nothing that depends on size."""
    return f"It is {' then '.join(seen.colour for seen in asked.pictures)}."


TRUTH = {
    ("film.mp4", 0): "It is red.",
    ("film.mp4", 1): "It is blue.",
    ("film.mp4", 2): "It is green.",
    ("tall.mp4", 0): "It is yellow.",
    ("tall.mp4", 1): "It is purple.",
    ("photo.png", 0): "It is yellow.",
    ("paper.pdf", 0): "It is green.",
    ("paper.pdf", 1): "It is red.",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, a picture and a document, each of known colours."""
    folder = tmp_path_factory.mktemp("colours")
    save(folder, "film.mp4", colours("red", "blue", "green"))
    save(folder, "tall.mp4", colours("yellow", "purple", size=(180, 320)))
    Image.fromarray(field("yellow", (500, 400))).save(folder / "photo.png")
    save(folder, "paper.pdf", drawn_pdf(painted("green"), painted("red")))
    return folder


@pytest.fixture(scope="module")
def running() -> Iterator[ChatServer]:
    """A server that sees what it is shown."""
    with openai_server(answer=describe) as server:
        yield server


@pytest.fixture
def server(running: ChatServer) -> ChatServer:
    """The server, as if it had just been started."""
    running.asked.clear()
    running.always, running.answer = None, describe
    return running


def configured(server: ChatServer, *settings: str) -> Config:
    """The configuration that asks the server."""
    vision = ("engine=openai", f"model={MODEL}", f"base_url={server.url}", "max_details=0", *settings)
    return load_config("embedded", None, ["speech.engine=off", *(f"vision.{item}" for item in vision)])


def captions(lake: str) -> dict[tuple[str, int], str]:
    """What stands in the lake, by file name and clip."""
    with Lake(lake).connect() as connection:
        rows = connection.execute(
            "SELECT regexp_extract(uri, '[^/]+$'), clip, caption FROM clips JOIN assets USING (asset_id)"
        ).fetchall()
    return {(name, clip): caption for name, clip, caption in rows}


def one(lake: str, sql: str) -> Any:
    """The single value that a question has for an answer."""
    with Lake(lake).connect() as connection:
        ((value,),) = connection.execute(sql).fetchall()
    return value


@pytest.fixture(scope="module")
def captioned(corpus: Path, running: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of the corpus with captions; tests that write take a copy."""
    running.asked.clear()
    lake = tmp_path_factory.mktemp("captioned") / "lake"
    assert run_ingest([str(corpus)], str(lake), configured(running)) == 0
    assert len(running.asked) == len(TRUTH)
    return lake


def copied(lake: Path, folder: Path) -> str:
    """A lake to write to."""
    return str(shutil.copytree(lake, folder / "lake"))


def test_each_clip_and_page_gets_the_words_about_it(captioned: Path) -> None:
    """Captions are of their own pictures, take part in summaries, and say what made them and what it took."""
    lake = str(captioned)
    assert captions(lake) == TRUTH
    assert one(lake, "SELECT count(*) FROM clips WHERE caption_engine = 'openai:looker-1'") == len(TRUTH)
    assert one(lake, "SELECT captions FROM runs") == len(TRUTH)
    assert one(lake, "SELECT input_tokens > 0 AND output_tokens = 3 * captions FROM runs")
    assert one(lake, "SELECT count(*) FROM clips WHERE caption = 'It is blue.' AND summary = caption") == 1
    assert one(lake, "SELECT count(*) FROM citations WHERE source = 'caption' AND text = 'It is blue.'") > 0
    assert one(lake, "SELECT ok FROM runs") == 4


def test_nothing_is_asked_twice(corpus: Path, server: ChatServer, captioned: Path, tmp_path: Path) -> None:
    """A second run asks nothing; off takes captions out, but only when it is said; on brings them back."""
    lake, config = copied(captioned, tmp_path), configured(server)
    assert run_ingest([str(corpus)], lake, config) == 0

    without = load_config("embedded", None, ["speech.engine=off"])
    with pytest.raises(ConfigError, match="take them out"):
        run_ingest([str(corpus)], lake, without)
    without = load_config("embedded", None, ["speech.engine=off", "vision.engine=off"])
    assert run_ingest([str(corpus)], lake, without) == 0
    assert set(captions(lake).values()) == {None}
    assert run_ingest([str(corpus)], lake, config) == 0
    assert captions(lake) == TRUTH
    assert server.asked == []


def test_another_prompt_asks_again_and_reads_nothing_again(
    corpus: Path, server: ChatServer, captioned: Path, tmp_path: Path
) -> None:
    """A prompt of one's own makes new captions; text and pictures are known."""
    lake = copied(captioned, tmp_path)
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "caption.md").write_text("{pictures}\n\nName the colours.")
    before = one(lake, "SELECT min(caption_prompt) FROM clips")
    assert run_ingest([str(corpus)], lake, configured(server, f"prompts={prompts}")) == 0
    assert captions(lake) == TRUTH
    assert len(server.asked) == len(TRUTH)
    assert all(asked.text.endswith("Name the colours.") for asked in server.asked)
    assert one(lake, "SELECT min(caption_prompt) FROM clips") != before
    assert one(lake, "SELECT units FROM runs ORDER BY started_at DESC LIMIT 1") == len(TRUTH)
    stages = "SELECT list_sort([s.stage FOR s IN stages]) FROM runs ORDER BY started_at DESC LIMIT 1"
    assert one(lake, stages) == ["decode", "vlm"]


def test_a_server_that_is_away_is_asked_again_by_the_next_run(
    corpus: Path, server: ChatServer, tmp_path: Path
) -> None:
    """Text is there all the same; what had no answer is in the failures, and gone when it has one."""
    folder, lake = tmp_path / "corpus", str(tmp_path / "lake")
    folder.mkdir()
    save(folder, "photo.png", (corpus / "photo.png").read_bytes())
    save(folder, "copy.png", (corpus / "photo.png").read_bytes())
    config = configured(server, "patience_seconds=2")
    server.always = lambda _: replace(broken(503), headers=(("Retry-After", "0"),))
    assert run_ingest([str(folder)], lake, config) == 3
    assert one(lake, "SELECT list(DISTINCT reason) FROM failures") == ["unreachable"]

    server.always = None
    server.asked.clear()
    assert run_ingest([str(folder)], lake, config) == 0
    assert set(captions(lake).values()) == {"It is yellow."}
    assert len(server.asked) == 1  # the copy's answer is known
    assert one(lake, "SELECT count(*) FROM failures") == 0


def test_what_the_server_fails_at_is_a_failure_and_is_tried_again(
    corpus: Path, server: ChatServer, tmp_path: Path
) -> None:
    """A server that breaks down over one picture costs that caption and no other; the next run asks again."""
    lake = str(tmp_path / "lake")
    server.always = lambda asked: broken(400) if asked.pictures[0].colour == "blue" else None
    assert run_ingest([str(corpus)], lake, configured(server)) == 3
    assert captions(lake) == TRUTH | {("film.mp4", 1): None}
    assert one(lake, "SELECT status FROM assets WHERE uri LIKE '%film.mp4'") == "partial"
    with Lake(lake).connect() as connection:
        (failure,) = connection.execute(
            "SELECT stage, reason, start_seconds, reproduce FROM failures"
        ).fetchall()
    assert failure[0] == "vlm"
    assert failure[2] == 4.0
    assert "--at 4.0" in failure[3]
    assert "vision.engine=openai" in failure[3]
    asked = len(server.asked)

    server.always = None
    assert run_retry(lake) == 0
    assert captions(lake) == TRUTH
    assert len(server.asked) == asked + 1


def test_nothing_is_shown_of_a_plan_that_takes_too_much(
    corpus: Path, server: ChatServer, tmp_path: Path
) -> None:
    """The run stops before the first question; text is there; with more allowed, only captions are made."""
    lake, config = str(tmp_path / "lake"), configured(server)
    assert run_ingest([str(corpus)], lake, config, caps=Caps(tokens=100)) == 1
    assert server.asked == []
    assert one(lake, "SELECT status FROM runs") == "stopped"
    assert "--max-tokens allows 100" in one(lake, "SELECT message FROM runs")
    assert one(lake, "SELECT count(*) FROM clips WHERE ocr_text IS NOT NULL") == 2
    assert one(lake, "SELECT ok + partial + failed + skipped = discovered FROM runs")

    assert run_ingest([str(corpus)], lake, config, caps=Caps(tokens=1_000_000)) == 0
    assert captions(lake) == TRUTH
    with pytest.raises(ConfigError, match=r"vision\.input_price"):
        run_ingest([str(corpus)], lake, config, caps=Caps(cost=1.0))


def test_a_damaged_file_keeps_its_failures_beside_its_captions(
    corpus: Path, server: ChatServer, tmp_path: Path
) -> None:
    """What failed before the model looked stays failed once, and the rest is captioned."""
    folder, lake = tmp_path / "corpus", str(tmp_path / "lake")
    folder.mkdir()
    whole = (corpus / "paper.pdf").read_bytes()
    assert b"/Type /Page\n" in whole
    save(folder, "paper.pdf", whole[: len(whole) // 2])
    save(folder, "film.mp4", (corpus / "film.mp4").read_bytes())
    code = run_ingest([str(folder)], lake, configured(server))
    assert code == 3
    assert (
        captions(lake).items() >= {key: text for key, text in TRUTH.items() if key[0] == "film.mp4"}.items()
    )
    assert one(lake, "SELECT count(*) FROM failures") == one(
        lake, "SELECT sum(f.count) FROM runs, unnest(failures_by_reason) AS u(f)"
    )
    assert run_ingest([str(folder)], lake, configured(server)) == 3
    assert one(lake, "SELECT units FROM runs ORDER BY started_at DESC LIMIT 1") == 0


def test_a_killed_run_goes_on_at_the_look_it_had_reached(
    corpus: Path, server: ChatServer, tmp_path: Path
) -> None:
    """What was answered and is durable is not asked again; the rows are those of an undisturbed run."""
    lake, config = str(tmp_path / "lake"), configured(server, "concurrency=1")
    five = threading.Event()

    def answer(asked: Asked) -> str:
        if len(server.asked) > 5 and not five.is_set():
            five.set()
            time.sleep(30)
        return describe(asked)

    server.answer = answer
    settings = [
        f"--set={item}" for item in [*as_settings(config, ("speech", "vision")), "store.commit_seconds=0"]
    ]
    command = [sys.executable, "-m", "jobs.cli", "ingest", str(corpus), "--lake", lake, *settings]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert five.wait(120)
    time.sleep(3)
    run.kill()
    run.wait()
    assert one(lake, "SELECT count(*) FROM clips WHERE ocr_text IS NOT NULL") == 2
    kept = one(lake, "SELECT count(*) FROM units WHERE stage = 'vlm'")

    before = len(server.asked)
    assert run_ingest([str(corpus)], lake, config) == 0
    assert captions(lake) == TRUTH
    assert len(server.asked) - before == len(TRUTH) - kept


def test_the_forecast_counts_what_captions_take(
    corpus: Path, server: ChatServer, captioned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is decoded it is an estimate; for what the lake holds, it knows clips and pace."""
    priced = configured(server, "input_price=2.0", "output_price=8.0")

    def forecast(lake: Path, config: Config, caps: Caps) -> dict[str, Any]:
        capsys.readouterr()
        assert run_ingest([str(corpus)], str(lake), config, caps=caps, dry_run=True) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["captions"]
        return found

    first = forecast(tmp_path / "new", priced, Caps(tokens=10))
    assert first["files"] == first["files_looked_into"] == 4
    assert first["clips_and_pages"] == 5
    assert first["tokens"] == first["visual_tokens"] + first["text_tokens"] + first["answer_tokens"]
    into = first["visual_tokens"] + first["text_tokens"]
    assert first["cost"] == pytest.approx((into * 2 + first["answer_tokens"] * 8) / 1e6, abs=1e-4)
    assert (first["seconds"], first["allowed"]) == (None, False)
    assert server.asked == []

    planned = one(str(captioned), "SELECT sum(planned_visual_tokens) FROM clips")
    again = forecast(captioned, configured(server, "max_new_tokens=100"), Caps(tokens=10**6))
    assert again["clips_and_pages"] == len(TRUTH)
    assert again["visual_tokens"] == pytest.approx(planned, rel=0.5)
    assert again["answer_tokens"] == 3 * len(TRUTH)
    assert again["seconds"] > 0
    assert again["allowed"]
    assert server.asked == []
