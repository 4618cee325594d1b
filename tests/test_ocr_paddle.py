"""PaddleOCR reads the same pages through the same interface."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from operators.ocr import Ocr
from operators.ocr_engine import OcrEngine
from operators.ocr_engines import check_engine, load_engine
from operators.ocr_isolated import isolated_engine
from operators.orientation import turn_picture
from schemas import config as configs
from schemas.config import Config
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Perception
from tests.pictures import draw, page, picture

needs_paddle = pytest.mark.skipif(importlib.util.find_spec("paddleocr") is None, reason="no paddleocr here")


def settings_of(name: str, post: dict[str, Any], ops: list[dict[str, Any]]) -> str:
    """Write what PaddleOCR exports beside a model."""
    return yaml.safe_dump(
        {"Global": {"model_name": name}, "PreProcess": {"transform_ops": ops}, "PostProcess": post},
        allow_unicode=True,
    )


def export(folder: Path) -> Path:
    """Lay out the PP-OCR weights of the RapidOCR wheel as PaddleOCR wants them."""
    import onnxruntime
    import rapidocr

    models = Path(rapidocr.__file__).parent / "models"
    recogniser = models / "PP-OCRv6_rec_small.onnx"
    session = onnxruntime.InferenceSession(str(recogniser), providers=["CPUExecutionProvider"])
    characters = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    scale: dict[str, Any] = {
        "NormalizeImage": {"mean": [0.5] * 3, "std": [0.5] * 3, "scale": "1./255.", "order": "hwc"}
    }
    detector_ops: list[dict[str, Any]] = [
        {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
        {"DetResizeForTest": {"resize_long": 960}},
        scale,
        {"ToCHWImage": None},
    ]
    recogniser_ops: list[dict[str, Any]] = [
        {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
        {"RecResizeImg": {"image_shape": [3, 48, 320]}},
    ]
    for part, name, file, post, ops in (
        (
            "det",
            "PP-OCRv6_small_det",
            models / "PP-OCRv6_det_small.onnx",
            {"name": "DBPostProcess"},
            detector_ops,
        ),
        (
            "rec",
            "PP-OCRv6_small_rec",
            recogniser,
            {"name": "CTCLabelDecode", "character_dict": characters},
            recogniser_ops,
        ),
    ):
        (folder / part).mkdir(parents=True)
        (folder / part / "inference.onnx").symlink_to(file)
        (folder / part / "inference.yml").write_text(settings_of(name, post, ops), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `ocr.model`."""
    return export(tmp_path_factory.mktemp("paddle") / "model")


@pytest.fixture(scope="module")
def engine(model: Path) -> OcrEngine:
    """The engine, loaded once."""
    return load_engine(configs.Ocr(engine="paddleocr", model=str(model)), 1)


@pytest.mark.paddle
@needs_paddle
def test_paddleocr_reads_a_page(engine: OcrEngine) -> None:
    """Every line of a drawn page is found, with its spaces and its place."""
    pixels, lines = page(rows=4, height_px=250)
    (found,) = engine.read([pixels])
    assert [line.text for line in sorted(found, key=lambda line: line.y0)] == lines
    assert all(0.04 < line.x0 < 0.08 and line.confidence > 0.9 for line in found)


@pytest.mark.paddle
@needs_paddle
def test_paddleocr_reads_within_the_bounds_of_a_child(model: Path, engine: OcrEngine) -> None:
    """Limits on memory, files and rights leave it what it needs."""
    pixels, _ = page(rows=4, height_px=250)
    isolated = isolated_engine(Config(ocr=configs.Ocr(engine="paddleocr", model=str(model))))
    assert isolated.read([pixels]) == engine.read([pixels])
    isolated.close()


@pytest.mark.paddle
@needs_paddle
def test_both_engines_agree_on_the_same_weights(engine: OcrEngine) -> None:
    """RapidOCR and PaddleOCR give the same lines in the same places when the weights are the same."""
    pixels, _ = page(rows=4, height_px=250)
    pictures = [pixels, draw(300, 34, [(4, 2, 26, "A single line")])]
    rapid, paddle = load_engine(configs.Ocr(), 1).read(pictures), engine.read(pictures)
    for shown, ours, theirs in zip(pictures, rapid, paddle, strict=True):
        ours.sort(key=lambda line: line.y0)
        theirs.sort(key=lambda line: line.y0)
        assert [line.text for line in ours] == [line.text for line in theirs]
        tops = [np.array([line.y0 for line in lines]) * shown.shape[0] for lines in (ours, theirs)]
        assert np.abs(tops[0] - tops[1]).max() <= 3


@pytest.mark.paddle
@needs_paddle
def test_operator_runs_on_paddleocr(model: Path) -> None:
    """The operator loads PaddleOCR by configuration and reads a page that lies on its head upright."""
    pixels, lines = page(rows=4, height_px=250)
    given = Perception(
        Asset("id", "v", "file:///a.png", Kind.IMAGE, 1, "f", "h"),
        Unit(0, UnitKind.PAGE, page=1),
        pictures=[picture(turn_picture(pixels, 180), page_number=1)],
    )
    operator = Ocr(Config(ocr=configs.Ocr(engine="paddleocr", model=str(model))))
    (result,) = operator([given])
    assert not result.failures
    assert result.views[0].turned_degrees == 180
    assert [line.text for line in result.views[0].lines] == lines
    assert operator.engine is not None
    assert operator.engine.revision.startswith("paddleocr-3")
    assert "PP-OCRv6_small_rec@" in operator.engine.revision


@pytest.mark.paddle
@needs_paddle
def test_missing_weights_are_refused_before_the_run(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched: absent or half a model is refused, with what to do."""
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    default = check_engine(configs.Ocr(engine="paddleocr"))
    assert default is not None
    assert "PP-OCRv6_medium_det" in default
    assert "ocr.model" in default
    (tmp_path / "half" / "det").mkdir(parents=True)
    half = check_engine(configs.Ocr(engine="paddleocr", model=str(tmp_path / "half")))
    assert half is not None
    assert "found nothing" in half
    assert check_engine(configs.Ocr(engine="paddleocr", model=str(model))) is None
