"""What is said comes back: the right words, in the right file, at the right time, through the whole pipeline.

The recogniser is a tiny Whisper that knows a few dozen words (tests/tiny_whisper.py), loaded by the code
that loads genuine weights. Every file is made here, so the time of every word is known.
"""

import shutil
import statistics
import wave
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.ingest import run_ingest
from jobs.plan import Selection
from jobs.settle import say, settle
from operators.asr import Asr
from operators.compose import compose
from operators.decode import Decode
from operators.discover import discover
from operators.lake import Lake
from operators.probe import Probe
from operators.speech_models import resolve_speech
from schemas.config import Config, ConfigError, load_config
from tests.speech_media import Placed, SpokenWord, noise, sentence, talk, tone, track, write_sound

SPEAKER_MODEL = Path(__file__).parent / "tiny_speaker" / "voices.onnx"

PAUSE_SECONDS = 2.6
"""Between sentences; from 2 s on they are pieces of their own."""

SPAN_SECONDS = 30
"""The shortest there is, so that short files cross the borders of units."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files, and every word in them."""

    folder: Path
    words: Mapping[str, Sequence[SpokenWord]]
    """By file name."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word that came back."""

    text: str
    start_seconds: float
    language: str


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Talks of several kinds, and sound in which nobody speaks."""
    folder, rng = tmp_path_factory.mktemp("talks"), np.random.default_rng(4)
    words: dict[str, Sequence[SpokenWord]] = {}

    def add(name: str, placed: Sequence[Placed], seconds: float, **how: Any) -> None:
        speech = track(placed, seconds)
        write_sound(folder / name, speech.samples, **how)
        start = how.get("start_seconds", 0.0) if "picture" in how else 0.0
        words[name] = [word.later(start) for word in speech.words]

    def say(seconds: float, *languages: str) -> list[Placed]:
        return talk(rng, seconds, languages or ("en",), gap_seconds=PAUSE_SECONDS)

    add("long.mp3", pairs(rng, 70.0), 70.0, rate_hz=44100, channels=2, bit_rate=96_000)
    add("two-languages.flac", say(35.0, "en", "de"), 35.0)
    add("short.wav", say(4.0), 4.0)
    add("surround.m4a", say(10.0), 10.0, rate_hz=48000, channels=6, bit_rate=256_000)
    picture = np.full((90, 160, 3), 200, np.uint8)
    late = {"picture": picture, "start_seconds": 2.5, "picture_seconds": 20.0, "language": "eng"}
    add("late.mkv", say(16.0), 16.0, **late)
    sparse = [Placed(at, "river silver", "en") for at in (1.0, 27.9, 57.5)]
    add("sparse.ogg", sparse, 62.0)
    write_sound(folder / "silence.wav", np.zeros(16000 * 40, np.float32))
    write_sound(folder / "noise.flac", noise(20.0, 0.05))
    write_sound(folder / "tone.mp3", tone(20.0))
    with wave.open(str(folder / "empty.wav"), "wb") as empty:
        empty.setparams((1, 2, 16000, 0, "NONE", ""))
    whole = (folder / "long.mp3").read_bytes()
    (folder / "cut.mp3").write_bytes(whole[: len(whole) // 2])
    return Corpus(folder, words)


def pairs(rng: np.random.Generator, seconds: float) -> list[Placed]:
    """Sentences of which two at a time are near enough to be one piece."""
    placed = talk(rng, 0.7 * seconds, gap_seconds=0.9)
    longer = PAUSE_SECONDS - 0.9
    return [
        replace(item, start_seconds=item.start_seconds + number // 2 * longer)
        for number, item in enumerate(placed)
    ]


def config(model: Path, *settings: str, engine: str = "faster-whisper") -> Config:
    """Hear with the tiny model."""
    return load_config(
        "embedded",
        None,
        [
            f"speech.engine={engine}",
            f"speech.model={model}",
            f"speech.span_seconds={SPAN_SECONDS}",
            "store.commit_seconds=0",
            *settings,
        ],
    )


@dataclass(frozen=True, slots=True)
class Heard:
    """A lake that has heard the corpus."""

    lake: Lake
    exit_code: int


@pytest.fixture(scope="module")
def heard(corpus: Corpus, ctranslate_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """Ingest the corpus with faster-whisper."""
    lake = Lake(tmp_path_factory.mktemp("heard") / "lake")
    code = run_ingest([str(corpus.folder)], lake.uri, config(ctranslate_folder))
    return Heard(lake, code)


def ask(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    return lake.connect().execute(sql).fetchall()


def words_by_file(lake: Lake) -> dict[str, list[Word]]:
    """All words that were heard, in order of time."""
    rows = ask(
        lake,
        "SELECT regexp_extract(uri, '[^/]+$'), w.word, w.start_seconds, language FROM "
        "(SELECT asset_id, unnest(words) AS w, u.language FROM utterances u) JOIN "
        "(SELECT asset_id, uri FROM assets) USING (asset_id) ORDER BY 1, 3",
    )
    found: dict[str, list[Word]] = {}
    for file, text, start, language in rows:
        found.setdefault(file, []).append(Word(text.strip(".,!?").lower(), start, language))
    return found


def utterances(lake: Lake) -> list[tuple[Any, ...]]:
    """Everything about what was said, but who wrote it."""
    return ask(
        lake,
        "SELECT regexp_extract(uri, '[^/]+$') AS file, u.* EXCLUDE (asset_id, version) FROM utterances u "
        "JOIN (SELECT asset_id, uri FROM assets) USING (asset_id) ORDER BY file, start_seconds, u.text",
    )


def check_words(found: Mapping[str, Sequence[Word]], truth: Mapping[str, Sequence[SpokenWord]]) -> None:
    """Every word is there, in its file and in order, and its start is right."""
    errors: list[float] = []
    for file, words in truth.items():
        assert [word.text for word in found.get(file, [])] == [word.text for word in words], file
        errors += [
            abs(heard.start_seconds - word.start_seconds)
            for heard, word in zip(found[file], words, strict=True)
        ]
        assert [word.language for word in found[file]] == [word.language for word in words], file
    assert statistics.median(errors) <= 0.3
    assert max(errors) <= 1.0


def test_every_word_comes_back_where_and_when_it_was_said(heard: Heard, corpus: Corpus) -> None:
    """Across codecs, channels, languages, late starts and the borders of units, none is lost."""
    check_words(words_by_file(heard.lake), corpus.words)


def test_where_nobody_speaks_no_word_is_invented(heard: Heard, corpus: Corpus) -> None:
    """Silence, noise and a tone have no utterance; each file is accounted for."""
    quiet = {"silence.wav", "noise.flac", "tone.mp3", "empty.wav"}
    assert not quiet & set(words_by_file(heard.lake))
    rows = ask(
        heard.lake, "SELECT regexp_extract(uri, '[^/]+$'), status, sound_seconds, failure_count FROM assets"
    )
    told = {file: (status, seconds, failures) for file, status, seconds, failures in rows}
    assert set(told) == {item.name for item in corpus.folder.iterdir()}
    assert told["silence.wav"][0] == "ok"
    assert told["silence.wav"][1] == pytest.approx(40.0, abs=0.1)
    assert told["empty.wav"][0] == "failed"
    reasons = ask(
        heard.lake,
        "SELECT DISTINCT regexp_extract(uri, '[^/]+$') AS file, reason FROM failures ORDER BY file",
    )
    # What the voice detector takes for a voice must be a row, and nothing else may be.
    assert [reason for file, reason in reasons if file == "empty.wav"] == ["no_content"]
    assert {reason for file, reason in reasons if file in ("noise.flac", "tone.mp3")} <= {"no_words"}


def test_a_file_that_is_cut_off_is_heard_as_far_as_it_goes(heard: Heard, corpus: Corpus) -> None:
    """Half of a talk gives the words of that half."""
    cut = words_by_file(heard.lake)["cut.mp3"]
    whole = [word.text for word in corpus.words["long.mp3"]]
    assert len(whole) // 3 < len(cut) < len(whole) * 2 // 3
    assert [word.text for word in cut[:-1]] == whole[: len(cut) - 1]


def test_seconds_of_speech_are_covered_by_words(heard: Heard) -> None:
    """Nearly all of what the voice detector found holds words, and the run says how much."""
    rows = ask(heard.lake, "SELECT sum(sound_seconds), sum(speech_seconds), sum(worded_seconds) FROM assets")
    ((sound, speech, worded),) = rows
    assert sound > speech > 0
    assert 0.9 * speech < worded <= speech + 1e-6
    ((stages,),) = ask(heard.lake, "SELECT [s.stage for s in stages] FROM runs")
    assert {"sound", "asr"} <= set(stages)


def test_rows_say_what_heard_them(heard: Heard, ctranslate_folder: Path) -> None:
    """Engine, model, weights and figures stand with each utterance."""
    rows = ask(
        heard.lake,
        "SELECT DISTINCT source, revision <> '', log_probability <= 0, temperature >= 0, speaker, doubts "
        "FROM utterances WHERE source NOT LIKE 'subtitle%'",
    )
    assert {row[0] for row in rows} == {f"faster-whisper:{ctranslate_folder.name}"}
    assert all(row[1] and row[2] and row[3] and row[4] is None for row in rows)
    spaced = "SELECT count(*) FROM utterances WHERE text <> array_to_string([w.word for w in words], ' ')"
    assert ask(heard.lake, spaced) == [(0,)]


@pytest.mark.parametrize("settings", [("resources.speech_batch=1", "resources.speech_workers=1")])
def test_batches_order_and_workers_change_nothing(
    heard: Heard, corpus: Corpus, ctranslate_folder: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    """One piece at a time on one worker, files in another order: the same utterances."""
    lake = Lake(tmp_path / "lake")
    chosen = config(ctranslate_folder, *settings)
    run_ingest([str(corpus.folder)], lake.uri, chosen, selection=Selection(shuffle_seed=7))
    assert utterances(lake) == utterances(heard.lake)


def test_transformers_hears_the_same(corpus: Corpus, whisper_folder: Path, tmp_path: Path) -> None:
    """The other engine, on the checkpoint as it was trained."""
    folder = tmp_path / "some"
    folder.mkdir()
    names = ("two-languages.flac", "short.wav", "late.mkv")
    for name in names:
        shutil.copy(corpus.folder / name, folder / name)
    lake = Lake(tmp_path / "lake")
    assert run_ingest([str(folder)], lake.uri, config(whisper_folder, engine="transformers")) == 0
    check_words(words_by_file(lake), {name: corpus.words[name] for name in names})
    ((source,),) = ask(lake, "SELECT DISTINCT source FROM utterances")
    assert source == f"transformers:{whisper_folder.name}"


def test_another_model_hears_again_and_reads_nothing_again(
    corpus: Corpus, ctranslate_folder: Path, tmp_path: Path
) -> None:
    """Speech turned on later computes only speech; the same run again computes nothing."""
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("late.mkv", "short.wav"):
        shutil.copy(corpus.folder / name, folder / name)
    lake = Lake(tmp_path / "lake")
    assert run_ingest([str(folder)], lake.uri, load_config("embedded", None, ["speech.engine=off"])) == 0
    assert ask(lake, "SELECT * FROM utterances") == []
    hearing = config(ctranslate_folder)
    assert run_ingest([str(folder)], lake.uri, hearing) == 0
    computed = ask(lake, "SELECT unit.kind, stage, count(*) FROM units GROUP BY ALL ORDER BY ALL")
    assert Counter({kind: count for kind, _, count in computed}) == {"span": 1, "speech": 2}
    more = load_config("embedded", None, [*_settings(hearing), "sampling.clip_seconds=20"])
    assert run_ingest([str(folder)], lake.uri, more) == 0
    ((units, recalled),) = ask(lake, "SELECT units, recalled FROM runs ORDER BY started_at DESC LIMIT 1")
    assert (units, recalled) == (0, 3)
    check_words(words_by_file(lake), {name: corpus.words[name] for name in ("late.mkv", "short.wav")})


def _settings(settled: Config) -> list[str]:
    speech = settled.speech
    return [
        f"speech.engine={speech.engine}",
        f"speech.model={speech.model}",
        f"speech.span_seconds={speech.span_seconds}",
    ]


def test_without_weights_the_run_says_so_and_goes_on(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded profile leaves speech out, loudly; the profile cpu refuses before the first file."""
    folder = tmp_path / "some"
    folder.mkdir()
    shutil.copy(corpus.folder / "short.wav", folder / "short.wav")
    lake = Lake(tmp_path / "lake")
    assert run_ingest([str(folder)], lake.uri, load_config("embedded")) == 0
    said = capsys.readouterr().err
    assert "gloss models pull small" in said
    assert "speech.engine=off" in said
    with pytest.raises(ConfigError, match="small"):
        run_ingest([str(folder)], str(tmp_path / "other"), load_config("cpu"))
    assert not (tmp_path / "other").exists()


def test_a_lake_with_speech_never_loses_it_to_an_empty_cache(heard: Heard) -> None:
    """When the weights are gone, `auto` stops before the first file instead of taking words out."""
    with pytest.raises(ConfigError, match="would take the words out"):
        settle(load_config("embedded"), heard.lake)
    assert not settle(load_config("embedded", None, ["speech.engine=off"]), heard.lake).speech.listens


def test_a_lake_whose_making_was_broken_off_is_completed(tmp_path: Path) -> None:
    """A run killed after the first table leaves no run to look up, and stops nobody."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    shutil.rmtree(tmp_path / "lake" / "runs")
    assert not settle(load_config("embedded"), lake).speech.listens


def test_a_model_that_cannot_be_read_is_refused_by_name(
    corpus: Corpus, ctranslate_folder: Path, tmp_path: Path
) -> None:
    """Weights that are cut off are found before the first file, and no lake is made."""
    broken = tmp_path / "broken-whisper"
    shutil.copytree(ctranslate_folder, broken)
    weights = (broken / "model.bin").read_bytes()
    (broken / "model.bin").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ConfigError, match="broken-whisper"):
        run_ingest([str(corpus.folder)], str(tmp_path / "lake"), config(broken))
    assert not (tmp_path / "lake").exists()


def test_who_speaks_is_told_by_the_voice(ctranslate_folder: Path, tmp_path: Path) -> None:
    """Two voices that take turns are two speakers, across the borders of units, in a plain loop."""
    rng = np.random.default_rng(8)
    turns = [Placed(4.5 * turn + 0.5, sentence(rng, "en", 4), voice=turn % 2) for turn in range(12)]
    write_sound(tmp_path / "two.wav", track(turns, 55.0).samples)
    speakers = [f"speech.speaker_model={SPEAKER_MODEL}", "speech.speakers=sherpa-onnx"]
    chosen = resolve_speech(config(ctranslate_folder, *speakers), say)
    probe, decode, asr = Probe(chosen), Decode(chosen), Asr(chosen)
    (listing,) = discover([str(tmp_path / "two.wav")]).listings
    heard = asr([perception for task in probe(listing) for perception in decode(task)])
    assert len(heard) == 2
    rows = compose(heard, chosen, run_id="run", at=datetime.now(UTC), write_id="write").utterances
    said = {round((row.start_seconds - 0.5) / 4.5): row.speaker for row in rows}
    assert said == {turn: f"speaker {turn % 2 + 1}" for turn in range(12)}
