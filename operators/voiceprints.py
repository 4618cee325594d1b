"""Voices become numbers that are alike where the voice is the same.

A speaker embedding model maps an utterance to a vector; the cosine between two tells how alike the
voices are. The models are those of WeSpeaker, 3D-Speaker and NeMo as ONNX files, run by sherpa-onnx,
which computes the features each was trained with. The library ends its process over a file that it
does not take, so that it is only ever used in a child.
"""

import importlib.util
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from operators.engine_child import EngineChild
from operators.isolate import Bounds
from operators.speech_engine import SAMPLE_RATE, Samples
from schemas.config import Config, Speech
from schemas.failure import InputError
from schemas.ids import content_hash

_FRAMEWORKS = ("wespeaker", "3d-speaker", "nemo")
_METADATA = "sample_rate, output_dim, normalize_samples and language (NeMo: more)"

_LEAST_SECONDS = 0.5
"""Of a shorter sound the print says more about the syllable than about the voice."""

_DECIMALS = 4
"""Kept of each number: a print of 256 is then some 2 kB as text, and its cosines are right to 1e-4."""

_TRIAL = Bounds(None, 60.0, 60.0, 1 << 20, open_files=1024)


def check_speakers(speech: Speech) -> str | None:
    """Tell why voices cannot be told apart as configured, or None; a model is tried in a child.

    Args:
        speech: Of the run.
    """
    if speech.speakers == "off":
        return None
    if importlib.util.find_spec("sherpa_onnx") is None:
        return (
            "Wanted the package sherpa-onnx for speech.speakers; it is not installed. "
            "Run `pip install 'gloss[speakers]'`, or set speech.speakers = off."
        )
    if speech.speaker_model is None:
        return (
            "Wanted speech.speaker_model, the ONNX file of a speaker embedding model; found none. Give the "
            "path of one of WeSpeaker, 3D-Speaker or NeMo from https://github.com/k2-fsa/sherpa-onnx/releases/tag/"
            "speaker-recongition-models, or set speech.speakers = off."
        )
    path = Path(speech.speaker_model)
    if not path.is_file():
        return f"Wanted speech.speaker_model to be an ONNX file; found no file {path}. Give its path."
    return _problem(str(path), _stamp(path))


@cache
def _problem(model: str, stamp: tuple[int, int]) -> str | None:
    """Look into a file and try it on a second of noise, once for each state of the file."""
    del stamp
    # Not above: sherpa-onnx brings a runtime of its own, and the child is to hold that one only.
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have no base of their own
        return f"Wanted speech.speaker_model to be an ONNX model; {model} is none or is damaged ({error})."
    framework = session.get_modelmeta().custom_metadata_map.get("framework", "none")
    if framework not in _FRAMEWORKS:
        return (
            f"Wanted speech.speaker_model to be a speaker embedding model whose metadata name its framework "
            f"({', '.join(_FRAMEWORKS)}); found {framework} in {model}. Take one that was exported for "
            "sherpa-onnx, or add the metadata by its scripts."
        )
    return _trial(model)


def _trial(model: str) -> str | None:
    child = IsolatedVoicePrints(_TRIAL, model, 1)
    noise = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE).astype(np.float32)
    try:
        (found,) = child.prints([noise])
    except InputError as error:
        return (
            f"Wanted speech.speaker_model to be a speaker embedding model that sherpa-onnx takes; {model} "
            f"failed on a second of noise ({error}). Its metadata have to hold {_METADATA}."
        )
    finally:
        child.close()
    return None if found else f"Wanted the print of a voice from speech.speaker_model; {model} gives none."


def speakers_revision(speech: Speech) -> str:
    """Name the library and the weights that tell voices, without loading them.

    Raises:
        FileNotFoundError: The weights are not there; `check_speakers` says so beforehand.
    """
    if speech.speakers == "off" or speech.speaker_model is None:
        return "off"
    path = Path(speech.speaker_model)
    return f"sherpa-onnx-{version('sherpa-onnx')} {_digest(path, _stamp(path))}"


@cache
def _digest(path: Path, stamp: tuple[int, int]) -> str:
    del stamp
    with path.open("rb") as file:
        return content_hash(file)


def _stamp(path: Path) -> tuple[int, int]:
    """Tell one state of a file from another."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


class VoicePrints:
    """A speaker embedding model in this process."""

    def __init__(self, model: str, threads: int) -> None:
        """Load the model; a file it does not take ends the process.

        Args:
            model: Path of the ONNX file.
            threads: Threads of one inference.
        """
        from sherpa_onnx import SpeakerEmbeddingExtractor, SpeakerEmbeddingExtractorConfig

        self._extractor = SpeakerEmbeddingExtractor(
            SpeakerEmbeddingExtractorConfig(model=model, num_threads=threads)
        )

    def prints(self, pieces: Sequence[Samples]) -> list[list[float]]:
        """Take the print of the voice in each piece; see `IsolatedVoicePrints.prints`."""
        return [self._print(piece) for piece in pieces]

    def _print(self, piece: Samples) -> list[float]:
        if len(piece) < _LEAST_SECONDS * SAMPLE_RATE:
            return []
        stream = self._extractor.create_stream()
        stream.accept_waveform(SAMPLE_RATE, piece)
        stream.input_finished()
        if not self._extractor.is_ready(stream):
            return []
        found = np.asarray(self._extractor.compute(stream), np.float64)
        length = float(np.linalg.norm(found))
        if not np.isfinite(length) or length == 0:
            return []
        return [float(number) for number in np.round(found / length, _DECIMALS)]


class IsolatedVoicePrints(EngineChild):
    """`VoicePrints` in a child process."""

    def __init__(self, bounds: Bounds, model: str, threads: int) -> None:
        """Prepare without starting anything.

        Args:
            bounds: What the child may take; its times are those of one piece.
            model: Path of the ONNX file.
            threads: Threads of one inference.
        """
        super().__init__("teller of voices", bounds, VoicePrints, model, threads)

    def prints(self, pieces: Sequence[Samples]) -> list[list[float]]:
        """Take the print of the voice in each piece.

        Args:
            pieces: Each of one utterance.

        Returns:
            For each a vector of length 1, its numbers rounded; empty where the sound is too short
            to tell a voice by, or has none.

        Raises:
            InputError: The child died, hung or needed too much on these pieces.
        """
        if not pieces:
            return []
        seconds = self.bounds.item_seconds * len(pieces)
        found: list[list[float]] = self.call("prints", list(pieces), item_seconds=seconds)
        return found


def isolated_voice_prints(config: Config) -> IsolatedVoicePrints:
    """Prepare the configured model; its child is started by the first call.

    Args:
        config: Of the run; its `speech.speakers` must not be off.

    Raises:
        ValueError: The model cannot run, for the reason `check_speakers` gives.
    """
    if (problem := check_speakers(config.speech)) is not None:
        raise ValueError(problem)
    if config.speech.speaker_model is None:
        msg = "Wanted a model to tell voices apart; found speech.speakers = off. Set it to sherpa-onnx."
        raise ValueError(msg)
    limits, threads = config.limits, config.resources.speech_threads
    bounds = Bounds(
        # The runtime reserves more address space than it uses; the watermark is against leaks.
        memory_bytes=None,
        item_seconds=limits.unit_seconds,
        cpu_seconds=limits.cpu_seconds,
        output_bytes=limits.output_bytes,
        open_files=1024,
        threads=threads,
    )
    return IsolatedVoicePrints(bounds, config.speech.speaker_model, threads)
