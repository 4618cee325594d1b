"""The configuration is one validated object; what cannot be used is refused by name."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.config import Config, ConfigError, differences, load_config


def test_settings_override_file_overrides_profile(tmp_path: Path) -> None:
    """Later sources win, key by key, and leave the other keys of a section alone."""
    file = tmp_path / "gloss.toml"
    file.write_text('[ocr]\nengine = "off"\nmin_confidence = 0.7\n[sampling]\ninterval_seconds = 2\n')

    config = load_config("gpu", file, ["sampling.interval_seconds=3"])

    assert config.ocr.engine == "off"
    assert config.ocr.min_confidence == 0.7
    assert config.sampling.interval_seconds == 3
    assert config.resources.ocr_gpus == 0.25


def test_yaml_file_is_read(tmp_path: Path) -> None:
    """YAML says the same as TOML."""
    file = tmp_path / "gloss.yaml"
    file.write_text("ocr:\n  engine: 'off'\n")

    assert load_config("embedded", file).ocr.engine == "off"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ocr.engin=off", "Did you mean 'ocr.engine'"),
        ("smapling.interval_seconds=1", "Did you mean 'sampling'"),
        ("ocr=off", "ocr is a section"),
        ("ocr.engine=tesseract", "ocr.engine: .*'rapidocr'.*found \"tesseract\""),
        ("sampling.interval_seconds=-1", "greater than 0; found -1"),
        ("sampling.interval_seconds=90", "must not exceed"),
        ("ocr.engine", "wants section.key=value"),
        ("speech.engine=whisper", "speech.engine"),
    ],
)
def test_unusable_setting_is_refused(setting: str, message: str) -> None:
    """The message names the key, what was wanted and what was found."""
    with pytest.raises(ConfigError, match=message):
        load_config("embedded", None, [setting])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "[ocr\n", "not valid TOML"),
        ("a.yaml", "a: [", "not valid YAML"),
        ("a.yaml", "- 1\n", "wanted a table of sections"),
    ],
)
def test_broken_file_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    """A configuration file that cannot be read is named."""
    file = tmp_path / name
    file.write_text(content)

    with pytest.raises(ConfigError, match=message):
        load_config("embedded", file)


def test_missing_file_and_unknown_profile_are_refused(tmp_path: Path) -> None:
    """Both are found before any work."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config("embedded", tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Did you mean 'gpu'"):
        load_config("gpus")


def test_configuration_is_frozen() -> None:
    """A run cannot change its configuration under way."""
    with pytest.raises(ValidationError):
        Config().ocr.engine = "off"  # type: ignore[misc] # the point of the test


def test_stored_configuration_reads_back() -> None:
    """What a run stores is what a later run can use."""
    config = load_config("gpu", None, ["ocr.engine=off"])

    assert Config.model_validate_json(config.model_dump_json()) == config


def test_digests_of_summaries_follow_them_alone() -> None:
    """What is perceived differently is summarised in the same way, and a model picks no other sentences."""
    base = Config()
    sampling = load_config("embedded", None, ["sampling.interval_seconds=2"])
    summary = load_config("embedded", None, ["summary.asset_sentences=2"])
    off = load_config("embedded", None, ["summary.engine=off"])
    written = load_config("embedded", None, ["summary.engine=openai", "summary.max_new_tokens=300"])
    patient = load_config("embedded", None, ["summary.engine=openai", "summary.max_new_tokens=300",
                                             "summary.patience_seconds=7"])  # fmt: skip

    assert sampling.picking_digest() == base.picking_digest() == written.picking_digest()
    assert len({item.picking_digest() for item in (base, summary, off)}) == 3
    assert base.writing_digest() == off.writing_digest() == ""
    assert written.writing_digest() == patient.writing_digest()
    assert written.writing_digest() != load_config(settings=["summary.engine=openai"]).writing_digest()


def test_differences_name_the_settings_that_changed() -> None:
    """Also against a configuration stored before a setting existed."""
    stored = load_config("embedded", None, ["ocr.min_confidence=0.7"]).model_dump(mode="json")
    del stored["limits"]
    now = load_config("embedded", None, ["limits.pages=5"])

    assert differences(json.dumps(stored), now) == [
        ("ocr.min_confidence", 0.7, 0.5),
        ("limits.pages", 20000, 5),
    ]
