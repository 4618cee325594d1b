"""What decides how the same bytes are perceived: the configuration, and the weights that read.

It goes into every asset's `version`, so that another engine, model or release of its weights
makes new versions, and nothing else does.
"""

from functools import cache

from operators.ocr_engines import engine_revision
from schemas import ids
from schemas.config import Config


def perception_id(config: Config) -> str:
    """Identify how a run perceives; equal ids give equal rows from equal bytes."""
    return _perception_id(config.perception_digest(), config.model_dump_json(include={"ocr"}))


@cache
def _perception_id(digest: str, ocr: str) -> str:
    # Hashing the weights takes some 50 ms; a run asks once for each asset.
    return ids.digest(digest, engine_revision(Config.model_validate_json(ocr).ocr))
