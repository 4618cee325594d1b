"""Tiny embedding models, as folders of a hub: what they know, and where they are.

`python -m tests.make_tiny_embedders` made the weights.
"""

import json
from pathlib import Path

STORED = Path(__file__).parent / "tiny_embedders"
WORDS, CLIP, SIGLIP = STORED / "words", STORED / "clip", STORED / "siglip"

SYNONYMS = [
    group.split()
    for group in (
        "boat ship vessel",
        "car automobile",
        "dog hound",
        "child kid",
        "doctor physician",
        "house home",
        "sea ocean",
        "forest woods",
        "road street",
        "price cost",
        "begin start commence",
        "big large huge",
        "fast quick rapid",
        "buy purchase",
        "repair fix mend",
        "teacher instructor",
        "film movie",
        "stone rock",
        "picture image",
        "job work",
        "money cash",
        "illness disease",
        "angry furious",
        "bread loaf",
        "moon lunar",
        "tide tides",
        "storm tempest",
        "harbour port",
        "captain skipper",
        "sail voyage",
    )
]
"""Words that mean the same to the model of words."""

_FILLERS = (
    "the a an of in on at to and or is are was were it this that with for from by as be has had "
    "we they he she you i not no will can there here , . : ? !"
)
FILLERS = _FILLERS.split()
"""Words that mean nothing to it."""


def write_modules(folder: Path, pooling: str, dimension: int, most_tokens: int) -> None:
    """State in a folder how the states of a text become its vector, as sentence-transformers does."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, (path, kind) in enumerate(kinds.items())
    ]
    states = {
        "word_embedding_dimension": dimension,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_lasttoken": pooling == "lasttoken",
    }
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", states)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": most_tokens, "do_lower_case": False})


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
