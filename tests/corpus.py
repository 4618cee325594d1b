"""The shared corpus of real files, where a checkout has it beside the repository.

Its files are not ours to ship, so tests that use them skip where it is missing.
"""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "corpus"

CORPUS = Path(os.environ.get("GLOSS_CORPUS", _BESIDE))
"""Root of the corpus; may not exist. `GLOSS_CORPUS` names another place."""

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
