"""A closer look in pictures for doubtful sentences: real Ray, a real lake, a server that sees and writes."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.caps import Caps
from jobs.compose import last_config, run_compose
from jobs.decide import run_decide
from jobs.ingest import run_ingest
from jobs.verify import check_lake
from operators.asset_text import AssetText
from operators.citations import Cited
from operators.closer_look import Doubt, mended, seen
from operators.closer_pictures import part_around, plan_look, spread
from operators.decisions import Place
from operators.evidence import Evidence, Kind
from operators.lake import Lake
from operators.mend_summaries import MendSummaries
from operators.prompts import load_prompt
from operators.read_stored import ReadDoubted, stored_files
from operators.summary_rows import Result
from operators.summary_version import summary_version, text_version
from operators.visual_token_rules import OpenAIRule
from operators.write_summary import Action, Doubtful, Written
from operators.write_summary import Reason as Doubted
from schemas.box import Box
from schemas.config import Config, ConfigError, Vision, load_config
from schemas.failure import Failure, Reason, Stage
from schemas.summary_work import Looked, LookedGroup
from tests.media import encode, save, steady
from tests.openai_server import COLOURS, MODEL, Asked, ChatServer, openai_server
from tests.rows import asset_row
from tests.small_lake import clip_row

RED, GREEN, STANDS = "The field is red.", "The field is green.", "A field without any writing is shown."
SEEN = "A red surface of one field fills the whole picture."

CHECKED = "somebody wrote about these pictures"
"""Stands in the prompt that asks about one sentence."""

LAST = "FROM (SELECT * FROM runs ORDER BY started_at DESC LIMIT 1)"


class Painter:
    """A model that sees colours, and writes of them without having been told.

    Of a clip it writes what its caption says, and two sentences about a colour, one of them true. It stands
    by them when it is asked again.
    """

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.checked: list[str] = []
        self.frames: list[int] = []

    def __call__(self, asked: Asked) -> str:
        """Answer a question, told apart by its text."""
        if CHECKED in asked.text:
            (sentence,) = re.findall(r"^\| (.*)$", asked.text, re.M)
            self.checked.append(sentence)
            self.frames.append(len(asked.pictures))
            return SEEN.replace("red", asked.pictures[0].colour)
        if asked.pictures:
            return STANDS
        if "Write it again in one sentence" in asked.text:
            sentence = re.findall(r"^\| (.*)$", asked.text.split("two marks of its own:")[1], re.M)[0]
            return json.dumps({"sentences": [{"text": sentence, "lines": [1]}]})
        said = [{"text": text, "lines": [1]} for text in (GREEN, RED, STANDS)]
        return json.dumps({"title": "A field", "sentences": said, "key_points": []})


def configured(server: ChatServer, *settings: str) -> Config:
    """One server that sees and writes; only clips are written about."""
    engine = ("engine=openai", f"model={MODEL}", f"base_url={server.url}", "patience_seconds=1")
    written = ("min_words=1", "clip_sentences=3", 'levels=["clip"]', "closer_look=pictures")
    return load_config(
        "embedded",
        None,
        [
            "speech.engine=off",
            "resources.vision_workers=1",
            "resources.summary_workers=1",
            "resources.ocr_workers=1",
            *(f"vision.{item}" for item in (*engine, "max_details=0")),
            *(f"summary.{item}" for item in (*engine, *written)),
            *settings,
        ],
    )


def rows(lake: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with Lake(lake).connect() as connection:
        return connection.execute(sql).fetchall()


def film(folder: Path) -> str:
    """A video of one red field with a little grain."""
    grain = np.random.default_rng(0).integers(-6, 7, (180, 320, 3))
    field = np.clip(np.array(COLOURS["red"]) + grain, 0, 255).astype(np.uint8)
    folder.mkdir()
    save(folder, "film.mp4", encode(steady([(0.0, field)], 4.0, rate=5)))
    return str(folder)


def check_failed(lake: Lake, config: Config) -> None:
    """Where nobody answered, summaries and reviews stand as they were, and the reason is there."""
    ((asset_id,),) = rows(Path(lake.root), "SELECT asset_id FROM assets")
    failure = Failure(Stage.VLM, Reason.UNREACHABLE, "The server is away.")
    looked = LookedGroup([Looked(asset_id, [], [failure])])
    (done,) = MendSummaries(config, "run")(list(ReadDoubted(lake, stored_files(lake))(looked)))
    assert [clip.summary for clip in done.clips] == [STANDS]
    assert [(row.text, row.sentence) for row in done.reviews] == [(GREEN, 0), (RED, 0)]
    assert (done.asset.status, done.asset.failure_count, done.asset.summary_failure_count) == (
        "partial",
        1,
        1,
    )
    assert [(row.stage, row.reason, row.write_id) for row in done.failures] == [
        ("vlm", "unreachable", done.asset.summary_write_id)
    ]
    assert done.sentences == []
    assert done.asset.summary_version == summary_version(config) != text_version(config)


def test_what_pictures_show_enters_the_summary(tmp_path: Path) -> None:
    """A run that may not look, and one that goes on from there: what is true enters, the rest stays out."""
    painter, lake, corpus = Painter(), tmp_path / "lake", film(tmp_path / "corpus")
    with openai_server(answer=painter) as server:
        config = configured(server)

        # The looks would take more than is allowed: they wait, with the summaries there.
        assert run_ingest([corpus], str(lake), config, caps=Caps(tokens=1500)) == 1
        assert rows(lake, "SELECT summary FROM clips") == [(STANDS,)]
        assert rows(lake, "SELECT text, state FROM reviews ORDER BY text") == [(GREEN, "open"), (RED, "open")]
        assert painter.checked == []

        check_failed(Lake(lake), config)

        count = len(server.asked)
        assert run_ingest([corpus], str(lake), config) == 0
        assert len(server.asked) == count + 3  # two looks, and the false sentence once more: nothing else
        assert sorted(painter.checked) == [GREEN, RED]  # each is looked at once
        assert min(painter.frames) > 1  # the caption saw the only distinct picture there is
        assert rows(lake, "SELECT summary, summary_doubts FROM clips") == [(f"{RED} {STANDS}", [])]
        cited = rows(lake, "SELECT sentence, text, source, evidence, time_seconds FROM citations "
                           "WHERE level = 'clip' AND rank = 0 ORDER BY sentence")  # fmt: skip
        assert cited == [(0, RED, "closer_look", SEEN, 0.0), (1, STANDS, "caption", STANDS, 0.0)]
        reviews = rows(lake, "SELECT text, state, action, evidence[1].source, evidence[1].text FROM reviews")
        assert reviews == [(GREEN, "open", "dropped", "closer_look", SEEN)]
        told = rows(lake, "SELECT sentence, kind, text, source FROM sentences ORDER BY sentence")
        assert told == [
            (0, "described", STANDS, "caption"),
            (1, "described", SEEN, "closer_look"),
            (2, "described", SEEN, "closer_look"),
        ]
        stages = f"SELECT s.items FROM (SELECT unnest(stages) AS s {LAST}) WHERE s.stage = 'closer_look'"
        assert rows(lake, stages) == [(2,)]
        assert rows(lake, f"SELECT ok, discovered {LAST}") == [(1, 1)]
        assert rows(lake, "SELECT status, failure_count FROM assets") == [("ok", 0)]
        assert not [finding for finding in check_lake(Lake(lake)) if finding.severity == "error"]

        count = len(server.asked)
        assert run_ingest([corpus], str(lake), config) == 0
        assert run_compose(str(lake), last_config(str(lake))) == 0
        assert len(server.asked) == count  # nothing is left to do for either

        # A decision writes the summaries anew; what was seen lives on with them.
        ((review,),) = rows(lake, "SELECT review_id FROM reviews")
        run_decide(str(lake), "reject", [review], by="Ada")
        assert rows(lake, "SELECT summary FROM clips") == [(f"{RED} {STANDS}",)]
        assert rows(lake, "SELECT count(*) FROM sentences WHERE source = 'closer_look'") == [(2,)]
        assert rows(lake, "SELECT state FROM reviews") == [("rejected",)]

        # Composing decodes nothing and looks at nothing, also where it has to write.
        (Path(corpus) / "film.mp4").unlink()
        assert run_compose(str(lake), last_config(str(lake), None, ["summary.seed=5"])) == 0
        assert len(painter.checked) == 2
        assert rows(lake, "SELECT summary FROM clips") == [(STANDS,)]
        assert rows(lake, "SELECT count(*) FROM sentences WHERE source = 'closer_look'") == [(0,)]
        assert rows(lake, f"SELECT [s.stage FOR s IN stages] {LAST}") == [(["summarise"],)]


def test_a_closer_look_needs_a_model_that_sees(tmp_path: Path) -> None:
    """It is refused before anything is read, naming both settings."""
    (tmp_path / "notes.txt").write_text("Nothing.")
    config = load_config(settings=["speech.engine=off", "summary.closer_look=pictures"])
    with pytest.raises(ConfigError, match=r"summary\.closer_look=pictures.*vision\.engine=off"):
        run_ingest([str(tmp_path)], str(tmp_path / "lake"), config)


def doubtful(text: str, place: int, action: Action = Action.DROPPED) -> Doubtful:
    """A doubt without evidence."""
    return Doubtful(text, Doubted.UNSUPPORTED, "Wanted support.", 0.2, action, [], place)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (RED, 0),
        ("Yes, the field is red.", 0),
        ("Nothing.", 0),
        (SEEN, 1),
        (f"Yes. {SEEN}", 1),
    ],
)
def test_a_model_that_only_agrees_bears_nothing_out(answer: str, told: int) -> None:
    """An answer is evidence where it says something of its own."""
    text = AssetText(asset_row(), [], [clip_row("a0", 0, "", "w0")], [[]])
    doubtful = Doubtful(RED, Doubted.UNSUPPORTED, "", 0.0, Action.DROPPED, [], 0)
    found = seen(text, {0: answer}, [Doubt(Place("clip", 0, 0), doubtful, 0, 0)])
    assert len(found.get(0, [])) == told


def test_sentences_return_to_their_places() -> None:
    """Dropped ones between those that stand, kept ones instead of themselves, and none twice."""
    place = Place("clip", 0, 0)
    result = Result(
        [Cited("A."), Cited("Kept?"), Cited("D.")],
        doubtful=[doubtful("B?", 1), doubtful("Kept?", 1, Action.KEPT), doubtful("C?", 2), doubtful("D?", 3)],
    )
    outcomes = {
        (place, "B?"): Written([Cited("B.")]),
        (place, "Kept?"): Written([Cited("Kept.")]),
        (place, "C?"): Written([], doubtful=[doubtful("C?", 2)]),
        (place, "D?"): Written([Cited("d.")]),
    }
    found = mended({place: result}, outcomes, {})[place]
    assert [item.text for item in found.sentences] == ["A.", "B.", "Kept.", "D."]
    assert [(item.text, item.place) for item in found.doubtful] == [("C?", 3)]


@pytest.mark.parametrize("budget", [255, 600, 1024])
def test_a_page_is_shown_with_the_evidence_enlarged_within_the_budget(budget: int) -> None:
    """The part holds the line and comes after its page; where both do not fit, the page comes alone."""
    line = Evidence("42 kg", Kind.SHOWN, "text_layer", 0, page=3, box=Box(0.1, 0.5, 0.3, 0.52))
    asset = asset_row(kind="document", language="en")
    text = AssetText(asset, [], [clip_row("a0", 0, "", "w", page=3, width_px=595, height_px=842)], [[]])
    item = replace(doubtful("It weighs 42 kg.", 0), evidence=[line])
    vision = Vision(max_visual_tokens=budget)
    look = plan_look(
        text, Doubt(Place("clip", 0, 0), item, 0, 0), vision, OpenAIRule(), len, load_prompt("check")
    )
    assert look is not None
    assert sum(glance.visual_tokens for glance in look.glances) <= budget
    assert (look.prompt, look.said, look.language) == ("check", "It weighs 42 kg.", "en")
    whole, *parts = look.glances
    assert (whole.box, whole.page) == (None, 3)
    assert bool(parts) == (budget > 600)
    for part in parts:
        assert part.box is not None
        assert part.box.x0 < 0.1 < 0.3 < part.box.x1
        assert part.height_px / (part.box.y1 - part.box.y0) > whole.height_px  # larger than in the page


@given(
    st.floats(0, 1000), st.floats(0.5, 100), st.integers(1, 20), st.none() | st.floats(0, 1200),
)  # fmt: skip
def test_moments_are_spread_and_hit_the_evidence(
    start: float, length: float, count: int, at: float | None
) -> None:
    """In order, within the clip, one in each part of it; the moment of the evidence is among them."""
    times = list(spread(start, start + length, count, at))
    assert len(times) == count
    assert times == sorted(times)
    assert all(start <= time <= start + length for time in times)
    if at is not None and start <= at < start + length:
        assert at in times


unit = st.floats(0, 1)


@given(unit, unit, unit, unit)
def test_parts_hold_their_box_and_are_no_strips(x0: float, y0: float, x1: float, y1: float) -> None:
    """Whatever the box, the part lies in the picture and around it."""
    box = Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    part = part_around(box, (1280, 720))
    assert 0 <= part.x0 <= box.x0 <= box.x1 <= part.x1 <= 1
    assert 0 <= part.y0 <= box.y0 <= box.y1 <= part.y1 <= 1
    width, height = (part.x1 - part.x0) * 1280, (part.y1 - part.y0) * 720
    if min(box.x0, box.y0) > 0.25 and max(box.x1, box.y1) < 0.75:
        assert max(width, height) <= 4.001 * min(width, height)
