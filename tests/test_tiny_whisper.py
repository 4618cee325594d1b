"""The tiny Whisper hears generated speech right, through both libraries that run real weights."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_whisper import WhisperModel
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

from tests import speech_media, tiny_whisper
from tests.speech_media import Placed, Samples, Speech

NO_SPEECH = {
    "silence": np.zeros(16000 * 8, np.float32),
    "white noise": speech_media.noise(8),
    "loud white noise": speech_media.noise(3, 0.1, seed=1),
    "tone": speech_media.tone(8),
}


@dataclass(frozen=True)
class Folders:
    """The checkpoint as on the hub, and converted for CTranslate2."""

    hub: Path
    converted: Path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folders]:
    """Build and convert the checkpoint once."""
    root = tmp_path_factory.mktemp("tiny_whisper")
    hub = tiny_whisper.build_checkpoint(root / "hub")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Folders(hub, tiny_whisper.convert_checkpoint(hub, root / "converted"))
    torch.set_num_threads(threads)


@cache
def pieces() -> tuple[tuple[str, Speech], ...]:
    """Speech that training has not seen, with its language: one word to 12 s, and 30 s with much silence."""
    rng = np.random.default_rng(20261124)
    made = []
    for index, seconds in enumerate((0.8, 2.5, 4.0, 5.5, 8.0, 12.0)):
        language = ("en", "de")[index % 2]
        gap = rng.uniform(0.6, 2)
        placed = speech_media.talk(rng, seconds, (language,), gap_seconds=gap, lead_seconds=0.1)
        word = speech_media.sentence(rng, language, 1)
        made.append((language, speech_media.track(placed or [Placed(0.05, word, language, 1)], seconds)))
    for language, times in (("de", (0.4, 10.5)), ("en", (0.2, 9.0, 18.5))):
        texts = speech_media.sentence(rng, language, 4 * len(times)).split()
        sentences = [" ".join(texts[4 * index : 4 * index + 4]) for index in range(len(times))]
        spread = [Placed(at, text, language, 1) for at, text in zip(times, sentences, strict=True)]
        made.append((language, speech_media.track(spread, 30)))
    return tuple(made)


def heard(model: WhisperModel, samples: Samples, **options: Any) -> tuple[str, list[Any], list[Any]]:
    """Transcribe one piece: language, words, segments."""
    found, info = model.transcribe(samples, word_timestamps=True, condition_on_previous_text=False, **options)
    segments = list(found)
    return info.language, [word for segment in segments for word in segment.words or []], segments


def plain(text: str) -> str:
    """Leave the word alone."""
    return text.strip(" .")


@pytest.mark.parametrize(
    ("compute_type", "beam_size", "without_timestamps"),
    [("int8", 1, False), ("float32", 5, True)],
)
def test_faster_whisper_hears_every_word(
    folders: Folders, compute_type: str, beam_size: int, without_timestamps: bool
) -> None:
    """No word of unseen pieces is lost or added, languages are right, and words begin where they do.

    The first word of a piece always begins at 0 in the alignment of both libraries, so it is left out.
    """
    model = WhisperModel(str(folders.converted), device="cpu", compute_type=compute_type, cpu_threads=1)
    options = {"beam_size": beam_size, "without_timestamps": without_timestamps}
    off: list[float] = []
    for language, speech in pieces():
        spoken_language, words, _ = heard(model, speech.samples, **options)
        assert spoken_language == language
        assert [plain(word.word) for word in words] == speech.text.split()
        pairs = zip(words[1:], speech.words[1:], strict=True)
        off += [abs(word.start - true.start_seconds) for word, true in pairs]
    assert np.median(off) < 0.05
    assert np.quantile(off, 0.95) < 0.1


@pytest.mark.parametrize("timed", [False, True])
def test_transformers_hears_every_word(folders: Folders, timed: bool) -> None:
    """The folder loads as genuine ones do, and both notations give every word."""
    processor = AutoProcessor.from_pretrained(folders.hub)  # type: ignore[no-untyped-call]  # transformers
    model = AutoModelForSpeechSeq2Seq.from_pretrained(folders.hub)
    speeches = pieces()
    inputs = processor([speech.samples for _, speech in speeches], sampling_rate=16000, return_tensors="pt")
    out = model.generate(inputs.input_features, return_timestamps=timed)
    texts = processor.batch_decode(out, skip_special_tokens=True)
    assert [text.replace(".", "").split() for text in texts] == [
        speech.text.split() for _, speech in speeches
    ]


@pytest.mark.parametrize("what", NO_SPEECH)
def test_no_speech_is_told(folders: Folders, what: str) -> None:
    """Silence, noise and tones give no words, or a high probability of no speech."""
    model = WhisperModel(str(folders.converted), device="cpu", compute_type="int8", cpu_threads=1)
    _, words, segments = heard(model, NO_SPEECH[what], beam_size=1)
    assert not words or all(segment.no_speech_prob > 0.6 for segment in segments)


def test_folder_has_the_layout_of_a_genuine_one(folders: Folders) -> None:
    """Special tokens have the numbers of the multilingual Whisper, and files the names on the hub."""
    names = {path.name for path in folders.hub.iterdir()}
    wanted = {"config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json"}
    assert wanted | {"tokenizer.json", "tokenizer_config.json"} <= names
    generation = json.loads((folders.hub / "generation_config.json").read_text())
    assert generation["lang_to_id"]["<|en|>"] == 50259
    assert generation["no_timestamps_token_id"] == 50363
    tokenizer = tiny_whisper.make_tokenizer()
    assert tokenizer.token_to_id("<|30.00|>") == 51864
    assert tokenizer.decode(tokenizer.encode(" käse watermelon?").ids) == " käse watermelon?"
