"""`python -m benchmarks.speech`: what the speech branch costs beside the recogniser itself.

Generated talks of many lengths are heard by the bare engine, piece by piece in this process; by the
whole branch (probe, decode, voice detection, cutting, recognition in a child, second hearing,
utterances) in one process; and by `gloss ingest` with its Ray and its tables. The tiny model of
the tests costs next to nothing, which makes everything else look dear; so it is also made
heavier by encoder layers that change no result. Then a two-hour recording goes through the
branch, and memory is printed at each tenth.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.corpora.talks import speak
from benchmarks.isolation import child_cpu_seconds, decoder_pid, resident_mb
from jobs.ingest import run_ingest
from operators.asr import Asr, samples_of
from operators.batch_by_length import batches_by_length, padding_share
from operators.decode import Decode
from operators.discover import discover
from operators.lake import Lake
from operators.probe import Probe
from operators.speech_engine import SpeechEngine
from operators.speech_engines import load_engine
from operators.speech_isolated import IsolatedSpeechEngine
from operators.speech_models import resolve_speech
from schemas.config import Config, load_config
from schemas.media import Planned
from schemas.perception import Perception, Piece
from tests.speech_media import track, write_sound
from tests.tiny_whisper import build_checkpoint, convert_checkpoint


def make_talks(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Write talks of 4 to 120 s."""
    folder.mkdir()
    for number in range(count):
        seconds = float(rng.uniform(4, 120))
        write_sound(folder / f"{number:03}.mp3", track(speak(rng, seconds), seconds).samples, bit_rate=64_000)


def heavier(checkpoint: Path, target: Path, layers: int) -> Path:
    """Add encoder layers that compute as much as the others and add nothing to what passes through."""
    import torch
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(checkpoint)
    encoder = model.model.encoder
    for _ in range(layers):
        layer = type(encoder.layers[0])(model.config)
        with torch.no_grad():
            for last in (layer.self_attn.out_proj, layer.fc2):
                last.weight.zero_()
                last.bias.zero_()
        encoder.layers.append(layer)
    model.config.encoder_layers += layers
    model.save_pretrained(target)
    for name in checkpoint.iterdir():
        if not (target / name.name).exists():
            (target / name.name).write_bytes(name.read_bytes())
    return target


def plan(folder: Path, config: Config) -> list[Planned]:
    """Plan all files of a folder."""
    probe = Probe(config)
    return [task for listing in discover([str(folder)]).listings for task in probe(listing)]


def decode_all(folder: Path, config: Config) -> list[Perception]:
    """Decode all files of a folder."""
    decode = Decode(config)
    return [perception for task in plan(folder, config) for perception in decode(task)]


def hear_barely(engine: SpeechEngine, pieces: list[Piece], batch: int) -> int:
    """Recognise pieces by length and do nothing else; return the number of words."""
    samples = [samples_of(piece) for piece in pieces]
    words = 0
    for members in batches_by_length([len(piece) for piece in samples], batch):
        heard = engine.transcribe([samples[index] for index in members], [None] * len(members))
        words += sum(len(stretch.words) for item in heard for stretch in item.heard)
    return words


def branch(folder: Path, config: Config, asr: Asr) -> int:
    """Run the whole branch in one process; return the number of words."""
    words = 0
    rows = config.resources.pieces_per_batch()
    perceptions = decode_all(folder, config)
    for at in range(0, len(perceptions), rows):
        for perception in asr(perceptions[at : at + rows]):
            assert not perception.failures, perception.failures
            words += sum(len(utterance.words) for utterance in perception.utterances)
    return words


def ingest(folder: Path, lake: Path, config: Config) -> int:
    """Run the whole job; return the number of words."""
    code = run_ingest([str(folder)], str(lake), config)
    if code:
        msg = f"gloss ingest ended with exit code {code}"
        raise RuntimeError(msg)
    (row,) = Lake(lake).connect().execute("SELECT sum(len(words)) FROM utterances").fetchall()
    return int(row[0])


def timed(work: Callable[[], int], children: Callable[[], list[int | None]]) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds of this process and some children, and what the work counted."""

    def cpu() -> float:
        return time.process_time() + sum(child_cpu_seconds(pid) for pid in children())

    started, before = time.perf_counter(), cpu()
    count = work()
    return time.perf_counter() - started, cpu() - before, count


def compare(folder: Path, model: Path, batch: int) -> dict[str, float]:
    """Measure one model three ways."""
    settings = ["speech.engine=faster-whisper", f"speech.model={model}", f"resources.speech_batch={batch}"]
    config = resolve_speech(load_config("embedded", None, settings), lambda _: None)
    pieces = [piece for perception in decode_all(folder, config) for piece in perception.pieces]
    engine = load_engine(config.speech, 1, False)
    asr = Asr(config)
    assert asr.recogniser is not None
    child = asr.recogniser.engine
    assert isinstance(child, IsolatedSpeechEngine)
    child.start()
    hear_barely(engine, pieces[:2], batch)
    bare, bare_cpu, words = timed(lambda: hear_barely(engine, pieces, batch), lambda: [None])
    whole, whole_cpu, heard = timed(
        lambda: branch(folder, config, asr), lambda: [decoder_pid(config), child.pid]
    )
    child.close()
    # A second hearing finds what the bare engine leaves out.
    assert heard >= words, (heard, words)
    with tempfile.TemporaryDirectory() as name:
        job, _, stored = timed(lambda: ingest(folder, Path(name) / "lake", config), lambda: [None])
    assert stored == heard, (stored, heard)
    seconds = sum(piece.end_seconds - piece.start_seconds for piece in pieces)
    return {
        "pieces": len(pieces),
        "words": words,
        "words_with_second_hearing": heard,
        "piece_seconds": seconds,
        "bare_wall": bare,
        "bare_cpu": bare_cpu,
        "branch_wall": whole,
        "branch_cpu": whole_cpu,
        "branch_over_bare_cpu": whole_cpu / bare_cpu,
        "ingest_wall": job,
        "overhead_cpu_seconds_per_hour": (whole_cpu - bare_cpu) / seconds * 3600,
    }


def padding(folder: Path, config: Config, batch: int) -> dict[str, float]:
    """Compare the padding of batches by length with that of batches in the order of the files."""
    pieces = [piece for perception in decode_all(folder, config) for piece in perception.pieces]
    lengths = [piece.end_seconds - piece.start_seconds for piece in pieces]
    in_order = [list(range(len(lengths)))[at : at + batch] for at in range(0, len(lengths), batch)]
    return {
        "pieces": len(lengths),
        "batch": batch,
        "in_order_of_files": padding_share(lengths, in_order),
        "by_length": padding_share(lengths, batches_by_length(lengths, batch)),
    }


def long_run(recording: Path, config: Config) -> Iterator[tuple[float, int, int, int]]:
    """Hear one recording; yield memory at each tenth.

    Yields:
        Seconds so far, and MB of this process, of the decoder and of the recogniser.
    """
    (task, *_) = plan(recording, config)
    decode, asr = Decode(config), Asr(config)
    assert asr.recogniser is not None
    child = asr.recogniser.engine
    assert isinstance(child, IsolatedSpeechEngine)
    for done, perception in enumerate(decode(task), 1):
        (heard,) = asr([perception])
        assert not heard.failures, heard.failures
        if done % max(1, len(task.units) // 10) == 0:
            yield (
                perception.unit.end_seconds or 0.0,
                resident_mb("self"),
                *(resident_mb(pid) if pid else 0 for pid in (decoder_pid(config), child.pid)),
            )


def make_recording(path: Path, hours: float, rng: np.random.Generator) -> None:
    """Write a long talk: ten minutes of it, again and again."""
    once = track(speak(rng, 600.0), 600.0).samples
    write_sound(path, np.tile(once, round(hours * 6)), bit_rate=48_000)


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=__doc__)
    parser.add_argument("--talks", type=int, default=16, help="generated talks")
    parser.add_argument("--layers", type=int, default=8, help="encoder layers of the heavier model")
    parser.add_argument("--hours", type=float, default=2.0, help="length of the long recording")
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = build_checkpoint(folder / "tiny")
        tiny = convert_checkpoint(checkpoint, folder / "tiny-ct2")
        heavy = heavier(checkpoint, folder / "heavy", arguments.layers)
        heavy = convert_checkpoint(heavy, folder / "heavy-ct2")
        make_talks(folder / "talks", arguments.talks, rng)
        settings = ["speech.engine=faster-whisper", f"speech.model={tiny}"]
        config = resolve_speech(load_config("embedded", None, settings), lambda _: None)
        for batch in (4, 16):
            _print(f"padding, batches of {batch}", padding(folder / "talks", config, batch))
        for label, model in (("tiny model", tiny), (f"with {arguments.layers} more layers", heavy)):
            _print(label, compare(folder / "talks", model, 4))
        make_recording(folder / "long.mp3", arguments.hours, rng)
        sys.stdout.write("\n  seconds   this process   decoder   recogniser   (MB resident)\n")
        for row in long_run(folder / "long.mp3", config):
            sys.stdout.write("{:>9.0f} {:>14} {:>9} {:>12}\n".format(*row))
            sys.stdout.flush()


def _print(label: str, figures: dict[str, float]) -> None:
    rounded = {key: round(value, 3) for key, value in figures.items()}
    sys.stdout.write(f"{label}: {json.dumps(rounded)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
