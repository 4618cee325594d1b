"""`gloss evaluate`: a lake measured against a truth, and runs that fail when it becomes worse."""

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.evaluate import EXIT_MISSED, evaluate, run_evaluate
from jobs.evaluate_limits import dropped
from operators.commit import commit
from operators.lake import Lake
from operators.scores import METRICS, Value
from operators.write import rows_of, write_rows
from schemas.config import ConfigError
from schemas.perception import Word
from schemas.tables import CitationRow, FailureRow, ReviewRow, TextRegionRow
from schemas.truth import load_truth
from tests.rows import NOW, asset_row, segment_row, utterance_row
from tests.small_lake import clip_row

ROOT = Path(__file__).resolve().parents[1]
TALK, REPORT, FILM = "file:///data/talks/moon.mp4", "file:///data/docs/report.pdf", "file:///data/b/film.mp4"


def region(asset: str, text: str, write_id: str, at: float | None = None, page: int | None = None) -> Any:
    """A row of `text_regions`."""
    until, end = (None, None) if at is None else (at + 9, at + 10)
    source = "ocr" if page is None else "text_layer"
    clip = (page or 1) - 1
    return TextRegionRow(
        asset, "v0", clip, at, until, end, page, 0, text, 0.9, 0.1, 0.1, 0.5, 0.2, source, write_id
    )


TIDES = CitationRow(
    "talk", "v0", "asset", 0, 0, 0, "Tides rise twice a day.", 0, 1.0, "Tides rise twice a day", "ocr",
    12.0, 21.0, None, 0.1, 0.1, 0.5, 0.2, "w1",
)  # fmt: skip


def make(root: Path) -> Lake:
    """A talk of which one citation does not hold, a report with an OCR error, and a film without truth."""
    lake = Lake(root / "lake")
    lake.create()
    regions = [
        region("talk", "The Moon", "w1", at=0.0),
        region("talk", "Tides rise twice a day", "w1", at=12.0),
        region("report", "Café report", "w2", page=1),
        region("report", "We sold 412 croissants and 96 éclairs.", "w2", page=2),
    ]
    clips = [
        clip_row("talk", 0, "The Moon\nTides rise twice a day", "w1", start_seconds=0.0, end_seconds=60.0),
        clip_row("report", 0, "Café report", "w2", page=1, title="Café report"),
        clip_row("report", 1, "We sold 4I2 croissants and 96 éclairs.", "w2", page=2),
    ]
    utterances = [
        utterance_row(
            asset_id="talk", start_seconds=14.0, end_seconds=17.0, text="High water follows",
            words=[Word("High", 14.2, 14.6, 1), Word(" water", 14.6, 15.0, 1), Word(" follows", 15, 17, 1)],
            source="asr", write_id="w1",
        ),
        utterance_row(
            asset_id="talk", start_seconds=17.0, end_seconds=20.0, text="the moon",
            source="asr", write_id="w1",
        ),
    ]  # fmt: skip
    citations = [
        TIDES,
        # It is said, but not then: whatever the row claims of its evidence.
        replace(
            TIDES, sentence=1, text="High water follows the Moon.", evidence="High water follows the Moon.",
            source="asr", time_seconds=40.0, until_seconds=44.0, x0=None, y0=None, x1=None, y1=None,
        ),
        replace(
            TIDES, asset_id="report", level="key_point", clip=1, text="412 croissants were sold.",
            write_id="w2", evidence="We sold 412 croissants and 96 éclairs.", source="text_layer", score=0.5,
            time_seconds=None, until_seconds=None, page=2,
        ),
    ]  # fmt: skip
    review = ReviewRow(
        "r1", "talk", "v0", "asset", None, None, 1, "High water follows the Moon.", "unsupported", "", 0.2,
        "kept", [], "open", None, "s", "s0", "w1",
    )  # fmt: skip
    failure = FailureRow(
        "report", "v0", REPORT, "ocr", "timeout", "Page 3 took too long.", 3, None, None, "r0", NOW, "w2"
    )
    files = [
        write_rows(lake, "text_regions", [replace(row, region=n) for n, row in enumerate(regions)]),
        write_rows(lake, "clips", clips),
        write_rows(lake, "utterances", utterances),
        write_rows(lake, "citations", citations),
        write_rows(lake, "reviews", [review, replace(review, review_id="r2", state="rejected")]),
        write_rows(lake, "failures", [failure]),
        write_rows(
            lake,
            "segments",
            [
                segment_row(asset_id="talk", end_seconds=30.0, title="The Moon", summary=None, write_id="w1"),
                segment_row(
                    asset_id="talk", segment=1, start_seconds=31.0, title="Tides", summary=None, write_id="w1"
                ),
            ],
        ),
    ]
    assets = [
        asset_row(
            asset_id="talk",
            uri=TALK,
            title="The Moon",
            summary="Tides rise twice a day. High water follows the Moon.",
            write_id="w1",
        ),
        asset_row(
            asset_id="report",
            uri=REPORT,
            kind="document",
            language="fr",
            title="Café",
            summary=None,
            key_points=["412 croissants were sold.", "Guests were glad."],
            write_id="w2",
        ),
        asset_row(asset_id="film", uri=FILM, title=None, summary=None, write_id="w3"),
    ]
    commit(lake, assets, rows_of(files))
    lake.write_views()
    return lake


TRUTH: list[dict[str, Any]] = [
    {
        "uri": "talks/moon.mp4",
        "text": "The Moon\nTides rise twice a day",
        "shown": [{"text": "Tides rise twice a day", "start_seconds": 12.5, "end_seconds": 22}],
        "utterances": [
            {"text": "High water follows", "start_seconds": 14.0, "end_seconds": 17.0},
            {"text": "the full moon.", "start_seconds": 17.0, "end_seconds": 20.0},
        ],
        "segments": [{"start_seconds": 0, "title": "The Moon"}, {"start_seconds": 30, "title": "Tides"}],
        "title": "The Moon",
        "language": "en",
        "kind": "video",
        "summary_facts": ["twice a day", "spring tide"],
        "summary_false": ["once a day"],
    },
    {
        "uri": "*/docs/*.pdf",
        "pages": [
            {"page": 1, "text": "Café report", "title": "Café report"},
            {"page": 2, "text": "We sold 412 croissants and 96 éclairs."},
        ],
        "title": "Café report",
        "language": "en",
        "summary_false": ["412"],
    },
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One lake for all tests here."""
    return make(tmp_path_factory.mktemp("evaluate"))


def written(folder: Path, value: object, name: str = "truth.json") -> Path:
    """A JSON file."""
    path = folder / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def read(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str | None, str], tuple[float | None, int]]:
    """What was printed: value and count by asset and metric."""
    rows = json.loads(capsys.readouterr().out)
    assert all(list(row) == ["asset", "metric", "value", "count"] for row in rows)
    return {(row["asset"], row["metric"]): (row["value"], row["count"]) for row in rows}


def test_a_lake_is_measured_against_its_truth(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every number is the one that the rows of this lake have by hand."""
    assert run_evaluate(lake.uri, truth=written(tmp_path, TRUTH), format="json") == 0
    found = read(capsys)
    assert found[TALK, "word_recall"] == (1.0, 7)
    assert found[REPORT, "word_recall"] == (8 / 9, 9)
    assert found[None, "word_recall"] == (15 / 16, 16)
    assert found[REPORT, "page_cer"] == (1 / 41, 41)
    assert found[REPORT, "page_title_similarity"] == (1.0, 1)
    assert found[TALK, "shown_recall"] == (1.0, 1)
    assert found[TALK, "shown_start_error_median"] == (0.5, 1)
    assert found[TALK, "shown_end_within_1s"] == (1.0, 1)
    assert found[None, "wer"] == (1 / 6, 6)
    assert found[None, "wer_deletions"] == (1 / 6, 6)
    assert found[TALK, "said_start_error_median"] == pytest.approx((0.1, 2))
    assert found[TALK, "said_end_error_p95"] == (0.0, 2)
    assert found[TALK, "boundary_f1"] == (1.0, 2)
    assert found[TALK, "segment_title_similarity"] == (1.0, 2)
    assert found[None, "title_exact"] == (0.5, 2)
    assert found[None, "language_right"] == (0.5, 2)
    assert found[None, "kind_right"] == (1.0, 1)
    assert found[None, "summary_facts_recall"] == (0.5, 2)
    assert found[None, "summary_false_hits"] == (1.0, 2)
    assert found[None, "truth_unmatched"] == (0, 2)
    assert not [key for key in found if key[0] == FILM and key[1].startswith(("word", "title"))]


def test_without_a_truth_a_lake_still_tells_of_itself(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The citation that does not hold is found, and so is the sentence without one."""
    assert run_evaluate(lake.uri, format="json") == 0
    found = read(capsys)
    assert found[TALK, "support_asset"] == (0.5, 2)
    assert found[REPORT, "support_key_point"] == (0.5, 2)
    assert found[None, "support"] == (0.5, 4)
    assert found[None, "citations_hold"] == (2 / 3, 3)
    assert found[None, "facts_stated"] == (1.0, 4)
    assert (found[TALK, "open_reviews"], found[None, "open_reviews"]) == ((1, 1), (1, 3))
    assert (found[REPORT, "failures"], found[None, "failures"]) == ((1, 1), (1, 3))
    assert {metric for _, metric in found} & {"word_recall", "wer", "truth_unmatched"} == set()


def test_the_table_names_the_worst_asset(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for each metric: value, what it was counted on, and where to look."""
    assert run_evaluate(lake.uri, truth=written(tmp_path, TRUTH)) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "word_recall 0.9375 16 words that stand there 0.8889 report.pdf" in lines
    assert "wer 0.1667 6 words that were said" in lines
    assert "failures 1 3 assets" in [line.removesuffix(" 1 report.pdf") for line in lines]


def test_limits_fail_a_run(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4 and what was wanted; a limit on what was not measured does not hold."""
    truth = written(tmp_path, TRUTH)
    assert run_evaluate(lake.uri, truth=truth, minima=["word_recall=0.9375"], maxima=["wer=0.17"]) == 0
    capsys.readouterr()
    assert run_evaluate(
        lake.uri, truth=truth, minima=["word_recall=0.95", "speech_cer=0"], maxima=["wer=0.1"]
    ) == EXIT_MISSED  # fmt: skip
    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert "word_recall all together min 0.95 0.9375" in lines
    assert "speech_cer all together min 0 not measured" in lines
    assert "wer all together max 0.1 0.166667" in lines


def test_a_drop_below_the_baseline_fails_a_run(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed is a baseline; it names what is worse, before and after, and forgives the tolerance."""
    truth = written(tmp_path, TRUTH)
    assert run_evaluate(lake.uri, truth=truth, format="json") == 0
    printed = json.loads(capsys.readouterr().out)
    same = written(tmp_path, printed, "same.json")
    assert run_evaluate(lake.uri, truth=truth, baseline=same) == 0

    better = [row | {"value": 0.95} if row["metric"] == "word_recall" else row for row in printed]
    better.append({"asset": None, "metric": "beauty", "value": 1.0, "count": 1})
    better.append({"asset": "file:///gone.mp4", "metric": "wer", "value": 0.0, "count": 1})
    worse = written(tmp_path, better, "better.json")
    capsys.readouterr()
    assert run_evaluate(lake.uri, truth=truth, baseline=worse, format="json") == EXIT_MISSED
    said = capsys.readouterr()
    assert json.loads(said.out) == printed
    lines = [" ".join(line.split()) for line in said.err.splitlines()]
    assert "word_recall all together 0.95 0.9375" in lines
    assert f"word_recall {REPORT} 0.95 0.888889" in lines
    assert not [line for line in lines if "gone.mp4" in line or TALK in line]
    assert any("beauty" in line for line in lines)
    assert run_evaluate(lake.uri, truth=truth, baseline=worse, tolerance=0.07) == 0
    # Without the truth nothing of it is measured, and a run that measures less must not pass.
    assert run_evaluate(lake.uri, baseline=same) == EXIT_MISSED


@pytest.mark.parametrize(
    ("metric", "before", "now", "is_worse"),
    [
        ("word_recall", 0.9, 0.891, False),
        ("word_recall", 0.9, 0.889, True),
        ("wer", 0.1, 0.109, False),
        ("wer", 0.1, 0.111, True),
        ("wer", 0.1, 0.0, False),
        ("shown_start_error_median", 1.0, 1.09, False),
        ("shown_start_error_median", 1.0, 1.11, True),
        ("shown_start_error_median", 0.0, 0.04, False),
        ("shown_start_error_median", 0.0, 0.06, True),
        ("failures", 2, 2, False),
        ("failures", 2, 3, True),
        ("title_exact", 1.0, None, True),
        ("title_exact", None, 1.0, False),
    ],
)
def test_what_counts_as_worse(metric: str, before: float | None, now: float | None, is_worse: bool) -> None:
    """Shares by the tolerance, times by a tenth, counts by one; each in its own direction."""
    missed = dropped([Value(metric, before, 1)], [Value(metric, now, 1)], [], 0.01)
    assert bool(missed) is is_worse


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sun.mp4", "none does"),
        ("oon.mp4", "none does"),
        ("*/data/*", "3 do: "),
        ("moon.mp4", "are both about"),
    ],
)
def test_a_truth_without_its_asset_is_found(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], uri: str, said: str
) -> None:
    """What is not in the lake must not pass for want of numbers; the rest is measured all the same."""
    truth = written(tmp_path, [*TRUTH, {"uri": uri}])
    assert run_evaluate(lake.uri, truth=truth, format="json") == EXIT_MISSED
    out = capsys.readouterr()
    assert said in out.err
    rows = {row["metric"]: row["value"] for row in json.loads(out.out) if row["asset"] is None}
    assert (rows["truth_unmatched"], rows["word_recall"]) == (1, 15 / 16)


STANDS = {"text": "x", "start_seconds": 2, "end_seconds": 3}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"text": "x"}, ["entry 2", "uri"]),
        ({"uri": "a", "txt": "x"}, ["entry 2 (a)", "txt", "no such key"]),
        ({"uri": "a", "title": 7}, ["title", "string", "7"]),
        ({"uri": "a", "kind": "film"}, ["kind", "'video'", "film"]),
        ({"uri": "a", "shown": [STANDS | {"end_seconds": 1}]}, ["shown.0", "greater than start_seconds"]),
        ({"uri": "a", "shown": [STANDS | {"box": [0.5, 0, 0.2, 1]}]}, ["shown.0", "x0 < x1"]),
        ({"uri": "a", "shown": [STANDS | {"text": "x\ny", "box": [0, 0, 1, 1]}]}, ["single line"]),
        ({"uri": "a", "pages": [{"page": 0, "text": "x"}]}, ["pages.0.page"]),
        ({"uri": "a", "pages": [{"page": 1, "text": "x"}, {"page": 1, "text": "y"}]}, ["each page once"]),
        ({"uri": "a", "segments": [{"title": "x"}]}, ["segments.0", "start_seconds or first_page"]),
        ({"uri": "a", "segments": [{"start_seconds": 5}, {"start_seconds": 5}]}, ["begin after"]),
        ({"uri": "a", "segments": [{"start_seconds": 5}, {"first_page": 5}]}, ["all by"]),
        ({"uri": "talk.mp4"}, ["entries 1 and 2", "talk.mp4"]),
        ("moon.mp4", ["entry 2", "a text"]),
    ],
)  # fmt: skip
def test_a_truth_that_cannot_be_used_names_the_entry(tmp_path: Path, entry: object, words: list[str]) -> None:
    """Before the lake is looked at; nothing in it is passed over."""
    path = written(tmp_path, [{"uri": "talk.mp4"}, entry])
    with pytest.raises(ConfigError) as error:
        load_truth(path)
    for word in words:
        assert word in str(error.value)
    assert run_evaluate(str(tmp_path / "none"), truth=path) == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--min", "word_recal=0.9"], "Did you mean 'word_recall'?"),
        (["--min", "word_recall"], "word_recall=0.95"),
        (["--max", "wer=nan"], "with a number"),
        (["--tolerance", "-1"], "--tolerance"),
        (["--truth", "{here}/none.json"], "none.json"),
        (["--truth", "{here}/object.json"], "wanted a list"),
        (["--truth", "{here}/broken.yaml"], "not valid YAML"),
        (["--baseline", "{here}/object.json"], "JSON array"),
        (["--baseline", "{here}/truth.json"], "row 1"),
        (["--format", "csv"], "table, json"),
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: list[str], word: str) -> None:
    """Through the command itself, before the lake is opened."""
    from typer.testing import CliRunner

    from jobs.cli import app

    written(tmp_path, {"uri": "a"}, "object.json")
    written(tmp_path, TRUTH)
    (tmp_path / "broken.yaml").write_text("- uri: [", encoding="utf-8")
    given = [argument.format(here=tmp_path) for argument in arguments]
    done = CliRunner().invoke(app, ["evaluate", "--lake", str(tmp_path / "lake"), *given])
    assert done.exit_code == 2
    assert word in done.stderr
    assert done.stdout == ""


def test_a_lake_without_rows_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is there, nothing is wrong; no lake at all is wrong usage."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    assert run_evaluate(lake.uri, format="json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run_evaluate(str(tmp_path / "none")) == 2


def test_the_documented_truth_is_one_and_every_metric_is_explained(tmp_path: Path) -> None:
    """The example names every key there is; the table every number."""
    document = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", document, re.DOTALL)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", document, re.DOTALL)
    (tmp_path / "truth.json").write_text(example, encoding="utf-8")
    (tmp_path / "truth.yaml").write_text(yaml, encoding="utf-8")
    truths = load_truth(tmp_path / "truth.json")
    assert set().union(*(truth.model_fields_set for truth in truths)) == set(type(truths[0]).model_fields)
    assert load_truth(tmp_path / "truth.yaml")
    numbers = document.split("## The numbers")[1]
    assert re.findall(r"^\| `(\w+)` \|", numbers, re.MULTILINE) == list(METRICS)


def test_the_examples_have_their_truth() -> None:
    """It is written from the other one, so that both say the same."""
    spec = importlib.util.spec_from_file_location("examples_of_truth", ROOT / "examples" / "make_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    truth = json.loads(module.TRUTH.read_text(encoding="utf-8"))
    assert json.loads(module.EVALUATE.read_text(encoding="utf-8")) == module.evaluate_truth(truth)
    assert {entry.uri for entry in load_truth(module.EVALUATE)} == set(truth) - {"unfinished-recording.mp4"}


def test_assets_come_one_by_one(lake: Lake) -> None:
    """Rows that belong to no asset are passed over, and each asset gets its own."""
    result = evaluate(lake)
    assert result.assets == sorted([TALK, REPORT, FILM])
    counted = {value.asset: value.count for value in result.by_asset if value.metric == "citations_hold"}
    assert counted == {TALK: 2, REPORT: 1, FILM: 0}
