"""Reading text with RapidOCR and the PP-OCR weights inside its wheel: pip alone, no network.

RapidOCR's own pipeline looks for missing weights on the network, shrinks every picture to
2000 pixels before it cuts lines out, enlarges small ones to 736, and pads each line to its
neighbours in the batch, so that what is read depends on what it is read with. Its parts are
used here instead: the weights, the post-processing of the detector and the decoding of the
recogniser.

PP-OCR: Y. Du et al., PP-OCR: A Practical Ultra Lightweight OCR System, 2020. The detector is
DB: M. Liao et al., Real-time Scene Text Detection with Differentiable Binarization, 2020.
"""

import hashlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from operators.multiscale import detector_size
from operators.ocr_engine import Pixels
from operators.ocr_stages import read_pictures, read_strips
from schemas.perception import Line

_NO_QUADS = np.zeros((0, 4, 2), np.float32)


@dataclass(frozen=True, slots=True)
class Weights:
    """Where the two models lie; `keys` is needed when the recogniser does not list its characters."""

    detector: Path
    recogniser: Path
    keys: Path | None


def check(model: str | None) -> str | None:
    """Tell why RapidOCR cannot run with this model, or None."""
    if importlib.util.find_spec("rapidocr") is None:
        return "Wanted the package rapidocr; it is not installed. Run `pip install rapidocr`."
    try:
        _weights(_folder(model))
    except FileNotFoundError as error:
        return str(error)
    return None


def _weights(folder: Path) -> Weights:
    if not folder.is_dir():
        msg = (
            f"Wanted ocr.model to be a folder with a detector and a recogniser (*det*.onnx, *rec*.onnx); "
            f"found no folder {folder}. Give its path, or leave ocr.model out for the weights in the wheel."
        )
        raise FileNotFoundError(msg)
    keys = sorted(folder.glob("*.txt"))
    return Weights(_one(folder, "det"), _one(folder, "rec"), keys[0] if keys else None)


def _one(folder: Path, part: str) -> Path:
    found = sorted(folder.glob(f"*{part}*.onnx"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        msg = f"Wanted one file *{part}*.onnx in {folder}; found {names}. Put exactly one there."
        raise FileNotFoundError(msg)
    return found[0]


def _folder(model: str | None) -> Path:
    """Return the configured folder, or the one in the wheel, without importing the package."""
    if model is not None:
        return Path(model)
    spec = importlib.util.find_spec("rapidocr")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models"


def revision(model: str | None) -> str:
    """Name the weights that would read, without loading them.

    Raises:
        FileNotFoundError: The folder does not hold what is wanted.
    """
    weights = _weights(_folder(model))
    files = (weights.detector, weights.recogniser)
    return " ".join([f"rapidocr-{version('rapidocr')}", *map(_named, files)])


class RapidOcrEngine:
    """PP-OCR on ONNX Runtime, one picture at a time through the detector."""

    name = "rapidocr"

    def __init__(self, model: str | None, threads: int) -> None:
        """Load detector and recogniser.

        Args:
            model: folder with `*det*.onnx`, `*rec*.onnx` and, where the recogniser does not
                carry its characters, a `.txt` with one on each line; null takes the wheel's.
            threads: threads of one inference.

        Raises:
            FileNotFoundError: The folder does not hold what is wanted.
        """
        cv2.setNumThreads(threads)
        weights = _weights(_folder(model))
        self._detector = _session(weights.detector, threads)
        self._recogniser = _session(weights.recogniser, threads)
        self._boxes = _module_of("ch_ppocr_det").DBPostProcess(
            thresh=0.3, box_thresh=0.5, unclip_ratio=1.6, use_dilation=True
        )
        listed = self._recogniser.get_modelmeta().custom_metadata_map.get("character")
        if listed is None and weights.keys is None:
            msg = (
                f"Wanted the characters of {weights.recogniser}; found none in it and no .txt beside it. "
                "Put the model's list of characters there, one on each line."
            )
            raise FileNotFoundError(msg)
        self._texts = _module_of("ch_ppocr_rec").CTCLabelDecode(
            character=None if listed is None else listed.splitlines(), character_path=weights.keys
        )
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
        wide, high = detector_size(width, height)
        shrinks = wide * high * 2 < width * height
        scaled = cv2.resize(
            picture, (wide, high), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        (scores,) = self._detector.run(
            None, {self._detector.get_inputs()[0].name: _normal(np.asarray(scaled)[None])}
        )
        quads, _ = self._boxes(scores, (height, width))
        return np.asarray(quads, dtype=np.float32) if len(quads) else _NO_QUADS

    def decode(self, strips: NDArray[np.uint8]) -> list[tuple[str, float]]:
        """Recognise strips of one size."""
        (scores,) = self._recogniser.run(None, {self._recogniser.get_inputs()[0].name: _normal(strips)})
        readings, _ = self._texts(scores)
        return [(text, float(confidence)) for text, confidence in readings]


def _module_of(part: str) -> Any:
    """Import the post-processing of a part of RapidOCR without what lies around it.

    The part's pipeline and its drawer of boxes bring a downloader and a reader of YAML along, which are not
    used here: to make an engine ready took 1.05 CPU seconds with them and takes 0.25 without.
    """
    package, drawer = f"rapidocr.{part}", "rapidocr.utils.vis_res"
    spec = importlib.util.find_spec("rapidocr")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    if package in sys.modules:
        return importlib.import_module(f"{package}.utils")
    stand_ins = {name: types.ModuleType(name) for name in (package, drawer) if name not in sys.modules}
    stand_ins[package].__path__ = [str(Path(place) / part) for place in spec.submodule_search_locations]
    if drawer in stand_ins:
        stand_ins[drawer].VisRes = None  # type: ignore[attr-defined]
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module(f"{package}.utils")
    finally:
        # Whoever wants the whole of RapidOCR gets it.
        for name in (*stand_ins, f"{package}.utils"):
            sys.modules.pop(name, None)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Memory comes from an arena, as is the default: a sixth faster (0.45 and 0.54 s for pictures of up to 2.8
    # megapixels), and over 200 pictures of as many shapes it grew to what the largest takes anyway.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _normal(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Turn RGB bytes (n, h, w, 3) into what the models take: BGR planes from -1 to 1."""
    planes = np.ascontiguousarray(pixels[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
    planes *= 2 / 255
    planes -= 1
    return planes


def _named(path: Path) -> str:
    with path.open("rb") as file:
        return f"{path.stem}@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
