"""Which recogniser of text the configuration chose, and whether it can run here.

Each engine is imported only when it is chosen, so that one that is not installed stands in
nobody's way.
"""

from operators.ocr_engine import OcrEngine
from schemas.config import Ocr


def check_engine(config: Ocr) -> str | None:
    """Tell why the configured engine cannot run, without loading a model.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and
        what to do.
    """
    if config.engine == "off":
        return None
    if config.engine == "paddleocr":
        from operators import ocr_paddleocr

        return ocr_paddleocr.check(config.model)
    from operators import ocr_rapidocr

    return ocr_rapidocr.check(config.model)


def engine_revision(config: Ocr) -> str:
    """Name the engine, its version and the weights that would read, without loading them.

    Raises:
        FileNotFoundError: The weights are not there; `check_engine` says so beforehand.
    """
    if config.engine == "off":
        return "off"
    if config.engine == "paddleocr":
        from operators import ocr_paddleocr

        return ocr_paddleocr.revision(config.model)
    from operators import ocr_rapidocr

    return ocr_rapidocr.revision(config.model)


def load_engine(config: Ocr, threads: int) -> OcrEngine:
    """Load the configured engine and its weights.

    Args:
        config: the section `ocr`; its engine must not be `off`.
        threads: threads of one inference; more only help with cores to spare.

    Raises:
        ValueError: The engine is off, or cannot run for the reason `check_engine` gives.
    """
    if config.engine == "off":
        msg = "Wanted an OCR engine to load; found ocr.engine = off. Set it to rapidocr or paddleocr."
        raise ValueError(msg)
    if (problem := check_engine(config)) is not None:
        raise ValueError(problem)
    if config.engine == "paddleocr":
        from operators.ocr_paddleocr import PaddleOcrEngine

        return PaddleOcrEngine(config.model, threads)
    from operators.ocr_rapidocr import RapidOcrEngine

    return RapidOcrEngine(config.model, threads)
