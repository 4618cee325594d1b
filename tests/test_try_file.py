"""`gloss try` shows what comes out of a file, and the command of a failure leads there."""

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jobs.cli import app
from jobs.try_file import run_try
from operators.discover import discover
from operators.reproduce import reproduce
from schemas.config import Config, ConfigError, load_config
from schemas.settings import as_settings
from tests.media import encode, save, slide, steady
from tests.pages import drawn_pdf, prose
from tests.plain import compose_plainly

SECTIONS = ("sampling", "documents", "ocr", "speech", "limits")

OFF = load_config("embedded", None, ["ocr.engine=off"])


def report(pages: int = 3) -> bytes:
    """A PDF whose pages say which they are."""
    return drawn_pdf(
        *(lambda canvas, n=n: prose(canvas, words=f"This is page {n} of it") for n in range(1, pages + 1))
    )


def tried(
    capsys: pytest.CaptureFixture[str], source: str, config: Config = OFF, **place: Any
) -> tuple[int, Any]:
    """Run the verb; its exit code and what it says in JSON."""
    code = run_try(source, config, format="json", **place)
    return code, json.loads(capsys.readouterr().out)


def test_all_of_a_document_is_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Planning, each page with its first words, and composing; exit code 0."""
    code, items = tried(capsys, save(tmp_path, "report.pdf", report()))

    assert code == 0
    assert [(item["what"], item["page"]) for item in items] == [
        ("probe", None), ("page", 1), ("page", 2), ("page", 3), ("compose", None),
    ]  # fmt: skip
    assert items[2]["words"].startswith("This is page 2")
    assert items[4]["words"].startswith("ok, 3 clips")


def test_one_page_is_tried_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else is decoded, and nothing composed."""
    code, items = tried(capsys, save(tmp_path, "report.pdf", report()), page=2)

    assert code == 0
    assert [(item["what"], item["page"]) for item in items] == [("probe", None), ("page", 2)]


def test_the_span_of_a_second_is_tried_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The span that holds it, with its distinct pictures."""
    frames = steady([(0.0, slide(["First"])), (3.0, slide(["Second"]))], 5.0, 5)
    config = load_config("embedded", None, ["ocr.engine=off", "sampling.span_seconds=2"])

    code, items = tried(capsys, save(tmp_path, "talk.mp4", encode(frames)), config, at_seconds=3.5)

    assert code == 0
    assert [(item["what"], item["start_seconds"], item["end_seconds"]) for item in items[1:]] == [
        ("span", 2.0, 4.0)
    ]
    assert items[1]["pictures"] == 2


def test_text_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the engine of the configuration, and for people as text."""
    from PIL import Image

    Image.fromarray(slide(["Harbour lights", "Third of May"])).save(tmp_path / "slide.png")

    assert run_try(str(tmp_path / "slide.png"), Config()) == 0

    out = capsys.readouterr().out
    assert "page 1" in out
    assert "Harbour lights" in out
    assert "2 lines" in out


def test_a_broken_file_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stage, reason and message, with exit code 3."""
    path = save(tmp_path, "cut.mp4", encode(steady([(0.0, slide(["First"]))], 2.0, 5))[:600])

    code, items = tried(capsys, path)

    assert code == 3
    assert [failure["stage"] for item in items for failure in item["failures"]] == ["probe"]
    assert run_try(path, OFF) == 3
    assert items[0]["failures"][0]["message"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("report.pdf", {"page": 9}, "the file has 3 pages"),
        ("report.pdf", {"at_seconds": 1.0}, "the file has 3 pages"),
        ("report.pdf", {"page": 1, "at_seconds": 1.0}, "found both"),
        ("nothing.pdf", {}, "nothing is at"),
        (".", {}, "2 files"),
    ],
)
def test_what_is_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, place: dict[str, Any], said: str
) -> None:
    """Exit code 2 and what there is."""
    save(tmp_path, "report.pdf", report())
    save(tmp_path, "other.pdf", report())

    assert run_try(str(tmp_path / name), OFF, **place) == 2
    assert said in capsys.readouterr().err


def test_what_is_not_read_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a run, where it is skipped."""
    assert run_try(save(tmp_path, "x.docx", b"PK\x03\x04 nothing known"), OFF) == 0
    assert "Not read" in capsys.readouterr().err


NAMES = (
    "plain.pdf", "with space.pdf", "it's.pdf", 'a "b".pdf', "$(touch x).pdf", "-rf.pdf", "a\nb.pdf", "秋.pdf",
    "a;b&c.pdf", "[x]*?.pdf", "#1.pdf", "back\\slash.pdf", "50%20.pdf", "\x1b[31m.pdf", "s3:.pdf",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_failure_shows_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever the file is called: the words a shell makes of it name the file, the page, the settings."""
    save(tmp_path, name, report())
    config = load_config("embedded", None, ["ocr.engine=off", "limits.output_bytes=1048576"])
    monkeypatch.chdir(tmp_path)
    (listing,) = discover([str(tmp_path)]).listings

    command = reproduce(listing.uri, 2, None, config)
    gloss, verb, *rest = shlex.split(command)

    assert (gloss, verb, rest[0]) == ("gloss", "try", str(tmp_path / name))
    result = CliRunner().invoke(app, [verb, *rest, "--format", "json"])
    assert result.exit_code == 0, result.output
    assert [item["page"] for item in json.loads(result.stdout)] == [None, 2]


def test_failures_rows_carry_their_command(tmp_path: Path) -> None:
    """Run as it stands, it shows the same stage and reason."""
    save(tmp_path, "cut off.mp4", encode(steady([(0.0, slide(["First"]))], 2.0, 5))[:600])
    config = load_config("embedded", None, ["ocr.engine=off", "sampling.interval_seconds=0.5"])
    (composed,) = compose_plainly(discover([str(tmp_path)]).listings, config)
    (row,) = composed.failures

    result = CliRunner().invoke(app, [*shlex.split(row.reproduce)[1:], "--format", "json"])

    assert "--set sampling.interval_seconds=0.5" in row.reproduce
    assert result.exit_code == 3
    (shown,) = [failure for item in json.loads(result.stdout) for failure in item["failures"]]
    assert (shown["stage"], shown["reason"]) == (row.stage, row.reason)


def test_a_stretch_and_a_profile_are_named() -> None:
    """A time with all its digits; nothing that is as the profile has it."""
    gpu = load_config("gpu")
    assert reproduce("file:///a b.mp4", None, 7199.999, gpu) == (
        "gloss try '/a b.mp4' --at 7199.999 --profile gpu"
    )
    assert reproduce("s3://bucket/a.pdf", None, None, Config()) == "gloss try s3://bucket/a.pdf"


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Configurations that differ from their profile in anything that can be written."""
    texts = st.text(st.characters(codec="utf-8"))
    settings = {
        "sampling": {
            "strategy": draw(st.sampled_from(["distinct", "interval", "keyframes", "scenes"])),
            "interval_seconds": draw(st.floats(1e-9, 1.0, exclude_min=True)),
        },
        "documents": {"text_layer": draw(st.sampled_from(["auto", "never"]))},
        "ocr": {
            "engine": draw(st.sampled_from(["rapidocr", "paddleocr", "off"])),
            "model": draw(st.none() | texts | st.sampled_from(["true", "1", "inf", "'x'", "[]"])),
            "min_confidence": draw(st.floats(0, 1)),
            "orientation": draw(st.booleans()),
        },
        "speech": {
            "subtitles": draw(st.booleans()),
            "model": draw(st.sampled_from(["small", "openai/whisper-tiny", "./my whisper", "1"])),
        },
        "limits": {"seconds": draw(st.floats(1e-300, 1e300)), "bytes": draw(st.integers(1, 2**60))},
    }
    profile = draw(st.sampled_from(["embedded", "cpu", "gpu"]))
    return Config.model_validate({**load_config(profile).model_dump(), **settings, "profile": profile})


@given(configs())
def test_settings_lead_to_the_same_configuration(config: Config) -> None:
    """Through a shell, `--set` gives back every value, strings that look like numbers too."""
    command = shlex.join(as_settings(config, SECTIONS))

    again = load_config(config.profile, None, shlex.split(command))

    for section in SECTIONS:
        assert getattr(again, section) == getattr(config, section)


@given(st.floats(min_value=0, max_value=1e7))
def test_times_lead_to_the_same_span(seconds: float) -> None:
    """No digit is lost on the way."""
    words = shlex.split(reproduce("file:///x.mp4", None, seconds, Config()))
    assert math.isclose(float(words[words.index("--at") + 1]), seconds, rel_tol=0, abs_tol=0)


def test_defaults_need_no_settings() -> None:
    """A short command is read."""
    assert as_settings(Config(), SECTIONS) == []
    assert as_settings(load_config("gpu"), SECTIONS) == []
    with pytest.raises(ConfigError):
        load_config("embedded", None, ["ocr.engine='of"])
