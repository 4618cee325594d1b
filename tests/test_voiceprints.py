"""Prints of voices by a speaker embedding model, and who speaks by them."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.utils import get_assets_path

from operators.speakers import tell_apart
from operators.speech_engine import SAMPLE_RATE, Samples
from operators.voiceprints import (
    IsolatedVoicePrints,
    check_speakers,
    isolated_voice_prints,
    speakers_revision,
)
from schemas.config import Config, Speech
from schemas.perception import Utterance
from tests.speech_media import noise, read_sound

FOLDER = Path(__file__).parent / "tiny_speaker"
MODEL = FOLDER / "voices.onnx"
VOICES = ("low", "high", "other")
SECONDS = 1.6

pytest.importorskip("sherpa_onnx")


def speech(model: Path | None = MODEL) -> Speech:
    """Configure telling voices apart."""
    return Speech(speakers="sherpa-onnx", speaker_model=None if model is None else str(model))


@pytest.fixture(scope="module")
def teller() -> Iterator[IsolatedVoicePrints]:
    """Start the tiny model once for all tests."""
    found = isolated_voice_prints(Config(speech=speech()))
    yield found
    found.close()


@pytest.fixture(scope="module")
def said() -> dict[str, list[Samples]]:
    """Read what the three voices say, in pieces of 1.6 s: no two hold the same words."""
    size = round(SECONDS * SAMPLE_RATE)
    sounds = {name: read_sound(FOLDER / f"{name}.opus") for name in VOICES}
    return {
        name: [sound[start : start + size] for start in range(0, len(sound) - size, size)]
        for name, sound in sounds.items()
    }


def test_three_voices_that_take_turns_are_told_apart(
    teller: IsolatedVoicePrints, said: dict[str, list[Samples]]
) -> None:
    """A low, a high and another voice that the model never heard are right in every turn."""
    turns = [
        (name, piece)
        for pieces in zip(*(said[name] for name in VOICES), strict=False)
        for name, piece in zip(VOICES, pieces, strict=True)
    ]
    assert len(turns) >= 9
    prints = teller.prints([piece for _, piece in turns])
    rows = [
        Utterance(2.0 * i, 2.0 * i + SECONDS, name, source="faster-whisper:small", voice=print_)
        for i, ((name, _), print_) in enumerate(zip(turns, prints, strict=True))
    ]
    wanted = {name: f"speaker {i + 1}" for i, name in enumerate(VOICES)}
    assert [one.speaker for one in tell_apart(rows, Speech().speaker_distance)] == [
        wanted[name] for name, _ in turns
    ]


def test_one_voice_is_one_speaker(teller: IsolatedVoicePrints, said: dict[str, list[Samples]]) -> None:
    """Whatever one voice says, nobody else is found in it."""
    for name in VOICES:
        prints = teller.prints(said[name])
        rows = [Utterance(2.0 * i, 2.0 * i + SECONDS, name, voice=one) for i, one in enumerate(prints)]
        assert {one.speaker for one in tell_apart(rows, Speech().speaker_distance)} == {"speaker 1"}


def test_a_print_depends_on_nothing_else(teller: IsolatedVoicePrints, said: dict[str, list[Samples]]) -> None:
    """A print has length 1 and is the same alone, beside others, and from another child."""
    pieces = [pieces[0] for pieces in said.values()]
    together = teller.prints(pieces)
    assert [teller.prints([piece])[0] for piece in pieces] == together
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-3)
    teller.close()
    assert teller.prints(pieces[::-1]) == together[::-1]


def test_too_short_a_sound_has_no_print(teller: IsolatedVoicePrints) -> None:
    """A fraction of a second, and nothing at all, give an empty print; half a minute gives one."""
    lengths = [len(print_) for print_ in teller.prints([noise(0.2), noise(1.0), noise(0.0), noise(30.0)])]
    assert lengths == [0, 32, 0, 32]
    assert teller.prints([]) == []


def test_a_model_that_runs_is_not_refused() -> None:
    """The check passes for a model with the metadata of a WeSpeaker export, and for no speakers at all."""
    assert check_speakers(speech()) is None
    assert check_speakers(Speech()) is None


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, no file and no library are each refused with what to do."""
    assert "speech.speaker_model" in (check_speakers(speech(None)) or "")
    assert str(tmp_path / "gone.onnx") in (check_speakers(speech(tmp_path / "gone.onnx")) or "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install" in (check_speakers(speech()) or "")


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    """What is no ONNX file, another kind of model, or a speaker model without metadata is not taken."""
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"no model" * 100)
    assert "is none or is damaged" in (check_speakers(speech(junk)) or "")
    detector = Path(get_assets_path()) / "silero_vad_v6.onnx"
    assert f"found none in {detector}" in (check_speakers(speech(detector)) or "")
    # The library ends its process over this one.
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(MODEL.read_bytes().replace(b"output_dim", b"output_???"))
    problem = check_speakers(speech(bare)) or ""
    assert str(bare) in problem
    assert "output_dim" in problem
    with pytest.raises(ValueError, match="output_dim"):
        isolated_voice_prints(Config(speech=speech(bare)))


def test_a_file_is_checked_anew_when_it_changes(tmp_path: Path) -> None:
    """A model put in the place of a damaged file is taken without a new process."""
    path = tmp_path / "voices.onnx"
    path.write_bytes(b"no model")
    assert check_speakers(speech(path)) is not None
    shutil.copy(MODEL, path)
    assert check_speakers(speech(path)) is None


def test_the_revision_names_the_weights(tmp_path: Path) -> None:
    """The same bytes have one revision wherever they lie; other bytes have another; off is off."""
    copy, other = tmp_path / "copy.onnx", tmp_path / "other.onnx"
    shutil.copy(MODEL, copy)
    other.write_bytes(MODEL.read_bytes() + b"\0")
    assert speakers_revision(speech(copy)) == speakers_revision(speech())
    assert speakers_revision(speech(other)) != speakers_revision(speech())
    assert speakers_revision(speech()).startswith("sherpa-onnx-")
    assert speakers_revision(Speech()) == "off"


def test_off_cannot_be_prepared() -> None:
    """Preparing what is off says so."""
    with pytest.raises(ValueError, match=r"speech\.speakers = off"):
        isolated_voice_prints(Config())
