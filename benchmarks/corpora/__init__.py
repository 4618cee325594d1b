"""Corpora of any size, made here, each with what is true of it stated by its maker.

`make("slides", root, seconds=120)` gives a folder that holds the corpus and nothing else, and what
stands in its files; it is made once for each set of arguments. `python -m benchmarks.corpora slides
seconds=120` does the same by hand.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpora.cache import cached
from benchmarks.corpora.moving import make_mixed, make_screencasts, make_talking_heads
from benchmarks.corpora.papers import make_born_digital, make_scans
from benchmarks.corpora.slide_videos import make_slides
from benchmarks.corpora.talks import make_talks
from benchmarks.corpora.truth import Made

MAKERS: Mapping[str, Callable[..., Sequence[Made]]] = {
    "slides": make_slides,
    "talking-heads": make_talking_heads,
    "screencasts": make_screencasts,
    "mixed": make_mixed,
    "scans": make_scans,
    "born-digital": make_born_digital,
    "talks": make_talks,
}
"""By name; their arguments are sizes."""


def make(kind: str, root: Path, **sizes: Any) -> tuple[Path, Sequence[Made]]:
    """Return a corpus: its folder, and its files with what is true of them.

    Args:
        kind: One of `MAKERS`.
        root: Where corpora are kept, such as `cache.default_folder()`.
        sizes: Arguments of the maker.
    """
    return cached(root, kind, sizes, lambda folder: MAKERS[kind](folder, **sizes))
