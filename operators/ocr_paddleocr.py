"""Reading text with PaddleOCR (the extra `gloss[paddle]`).

PaddleOCR's detector and recogniser are used, not its pipeline: lines are cut out, padded and
batched as for every engine, so that a picture reads the same alone and in company. Folders
with `inference.onnx` run on ONNX Runtime and need no PaddlePaddle; others run on PaddlePaddle
where that is installed.

Nothing is fetched: weights that are not there are refused before the run, because a worker
that begins with a download of 100 MB fails in the middle of the night instead.
"""

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from operators.multiscale import detector_size
from operators.ocr_engine import Pixels
from operators.ocr_stages import read_pictures, read_strips
from schemas.perception import Line

DEFAULT_DETECTOR = "PP-OCRv6_medium_det"
DEFAULT_RECOGNISER = "PP-OCRv6_medium_rec"
"""What PaddleOCR 3.7 itself takes when no model is named."""

_ONNX = "inference.onnx"
_SETTINGS = "inference.yml"
_PADDLE = ("inference.json", "inference.pdmodel")
_NO_QUADS = np.zeros((0, 4, 2), np.float32)


@dataclass(frozen=True, slots=True)
class Weights:
    """Folders of the two models, and what runs them."""

    detector: Path
    recogniser: Path
    runtime: str
    """`onnxruntime` or `paddle`."""


def check(model: str | None) -> str | None:
    """Tell why PaddleOCR cannot run with this model, or None; imports and loads nothing."""
    if importlib.util.find_spec("paddleocr") is None:
        return "Wanted the package paddleocr; it is not installed. Run `pip install 'gloss[paddle]'`."
    try:
        weights = _weights(model)
    except FileNotFoundError as error:
        return str(error)
    if importlib.util.find_spec(weights.runtime) is None:
        package = "paddlepaddle" if weights.runtime == "paddle" else weights.runtime
        return (
            f"Wanted {package} to run the model in {weights.detector}; it is not installed. "
            f"Run `pip install {package}`, or give a model with {_ONNX}."
        )
    return None


def _weights(model: str | None) -> Weights:
    if model is None:
        root = _cache()
        detector, recogniser = root / DEFAULT_DETECTOR, root / DEFAULT_RECOGNISER
    else:
        detector, recogniser = Path(model) / "det", Path(model) / "rec"
    runtimes = {_runtime(folder) for folder in (detector, recogniser)}
    if len(runtimes) != 1:
        msg = (
            f"Wanted detector and recogniser in one format; found {' and '.join(sorted(runtimes))} in "
            f"{detector.parent}. Give both as {_ONNX}, or both as PaddlePaddle models."
        )
        raise FileNotFoundError(msg)
    return Weights(detector, recogniser, runtimes.pop())


def _cache() -> Path:
    """Return where PaddleOCR keeps the models it has fetched."""
    home = os.environ.get("PADDLE_PDX_CACHE_HOME", "~/.paddlex")
    return Path(home).expanduser() / "official_models"


def _runtime(folder: Path) -> str:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    if _SETTINGS in names and _ONNX in names:
        return "onnxruntime"
    if _SETTINGS in names and names.intersection(_PADDLE):
        return "paddle"
    found = ", ".join(sorted(names)) if names else "nothing"
    msg = (
        f"Wanted a PaddleOCR model ({_ONNX} or {_PADDLE[0]}, with {_SETTINGS}) in {folder}; found {found}. "
        "Set ocr.model to a folder with the models in its subfolders det and rec, or let PaddleOCR fetch "
        f"its own once: python -c 'from paddleocr import PaddleOCR; PaddleOCR()'."
    )
    raise FileNotFoundError(msg)


def revision(model: str | None) -> str:
    """Name the weights that would read, without loading them.

    Raises:
        FileNotFoundError: A folder does not hold what is wanted.
    """
    weights = _weights(model)
    named = (_named(folder) for folder in (weights.detector, weights.recogniser))
    return " ".join([f"paddleocr-{version('paddleocr')}", weights.runtime, *named])


class PaddleOcrEngine:
    """PaddleOCR's text detection and text recognition."""

    name = "paddleocr"

    def __init__(self, model: str | None, threads: int) -> None:
        """Load both models.

        Args:
            model: folder with the subfolders `det` and `rec`; null takes PaddleOCR's own models
                from its cache.
            threads: threads of one inference on the CPU.

        Raises:
            FileNotFoundError: A folder does not hold what is wanted.
        """
        # Without this, importing PaddleX asks its model hosts which of them answers.
        os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
        from paddleocr import TextDetection, TextRecognition

        weights = _weights(model)
        shared = {"engine": weights.runtime, **_runtime_settings(weights.runtime, threads)}
        self._detector = TextDetection(
            model_name=_model_name(weights.detector),
            model_dir=str(weights.detector),
            thresh=0.3,
            box_thresh=0.5,
            unclip_ratio=1.6,
            **shared,
        )
        self._recogniser = TextRecognition(
            model_name=_model_name(weights.recogniser), model_dir=str(weights.recogniser), **shared
        )
        # PaddleX sets OpenCV's threads on import.
        cv2.setNumThreads(threads)
        self.revision = revision(model)

    def read(self, pictures: Sequence[Pixels]) -> list[list[Line]]:
        """Find and recognise the lines of each picture."""
        return read_pictures(self, pictures)

    def recognise(self, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Recognise pictures that are one line each."""
        return read_strips(self, strips)

    def find(self, picture: Pixels) -> NDArray[np.float32]:
        """Find lines; the detector sees the picture at `detector_size`."""
        height, width = picture.shape[:2]
        size = detector_size(width, height)
        shrinks = size[0] * size[1] * 2 < width * height
        scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        # A lower limit of 1 pixel: the size is chosen already.
        (result,) = self._detector.predict(_bgr(np.asarray(scaled)), limit_side_len=1, limit_type="min")
        quads = np.asarray(result["dt_polys"], dtype=np.float32)
        if not len(quads):
            return _NO_QUADS
        return np.asarray(quads * (width / size[0], height / size[1]), dtype=np.float32)

    def decode(self, strips: NDArray[np.uint8]) -> list[tuple[str, float]]:
        """Recognise strips of one size."""
        results = self._recogniser.predict([_bgr(strip) for strip in strips], batch_size=len(strips))
        return [(result["rec_text"], float(result["rec_score"])) for result in results]


def _runtime_settings(runtime: str, threads: int) -> dict[str, Any]:
    if runtime == "paddle":
        return {"cpu_threads": threads}
    return {
        "engine_config": {
            "intra_op_num_threads": threads,
            "inter_op_num_threads": 1,
            "log_severity_level": 4,
            "enable_cpu_mem_arena": False,
        }
    }


def _bgr(pixels: NDArray[Any]) -> NDArray[Any]:
    """Turn RGB to the order PaddleOCR takes arrays in."""
    return np.ascontiguousarray(pixels[..., ::-1])


def _model_name(folder: Path) -> str:
    settings = yaml.safe_load((folder / _SETTINGS).read_text(encoding="utf-8"))
    name = settings.get("Global", {}).get("model_name")
    if not isinstance(name, str):
        msg = (
            f"Wanted Global.model_name in {folder / _SETTINGS}; found none. Take the file as it was exported."
        )
        raise FileNotFoundError(msg)
    return name


def _named(folder: Path) -> str:
    """Name a model by its settings and the digest of its weights."""
    files = sorted(path for path in folder.iterdir() if path.suffix in {".onnx", ".pdiparams"})
    with files[0].open("rb") as file:
        return f"{_model_name(folder)}@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
