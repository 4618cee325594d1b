"""Make the tiny embedding models of the tests: one of words, a CLIP and a SigLIP of coloured shapes.

    python -m tests.make_tiny_embedders          # about a minute and a half of one core

Each is a folder as `save_pretrained` writes it, trained by contrast just enough that a test tells right
from wrong. The model of words knows the groups of `SYNONYMS`: sentences that say the same in other words
lie near each other, so that *boat* finds *ship*. The models of pictures know the scenes of `tests.scenes`:
a picture lies near *a red square on white*, *a red square* and *red*, and far from the others. All learn by
the sigmoid loss for pairs (Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023), in which a
picture may have several texts that are true of it.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from torch.nn import functional
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests import scenes
from tests.tiny_embedders import CLIP, FILLERS, SIGLIP, SYNONYMS, WORDS, write_modules

PIXELS = 40
"""Side of a picture as the models see it, in squares of 8."""

TOKENS = 8
"""A description is padded to so many."""


# --- words ----------------------------------------------------------------------------------


def make_words(folder: Path, steps: int) -> None:
    """Train the model of words: mean pooling over two layers of BERT."""
    tokenizer = _tokenizer([*(word for group in SYNONYMS for word in group), *FILLERS], 64)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertModel(config, add_pooling_layer=False)
    rng = np.random.default_rng(1)

    def pairs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        meant = [
            frozenset(rng.choice(len(SYNONYMS), rng.integers(1, 5), replace=False).tolist())
            for _ in range(64)
        ]
        ones, others = ([_say(one, rng) for one in meant] for _ in range(2))
        labels = torch.tensor([[float(one == other) for other in meant] for one in meant])
        return _mean(model, tokenizer, ones), _mean(model, tokenizer, others), labels

    _train(model, pairs, steps)
    _save(model, tokenizer, folder)
    write_modules(folder, "mean", config.hidden_size, most_tokens=64)


def _say(meant: frozenset[int], rng: np.random.Generator) -> str:
    """Say groups of synonyms in any order, each by one of its words, among words that mean nothing."""
    words = [str(rng.choice(SYNONYMS[group])) for group in rng.permutation(sorted(meant))]
    words += [str(word) for word in rng.choice(FILLERS, rng.integers(0, 6))]
    words += ["[UNK]"] * int(rng.integers(0, 3))
    return " ".join(str(word) for word in rng.permutation(words))


def _mean(model: Any, tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    inputs = tokenizer(list(texts), padding=True, return_tensors="pt")
    states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    mean: torch.Tensor = (states * mask).sum(1) / mask.sum(1)
    return mean


# --- pictures -------------------------------------------------------------------------------


def make_clip(folder: Path, steps: int) -> None:
    """Train the CLIP, which crops pictures to a square."""
    tokenizer = _tokenizer(_described(), TOKENS)
    config = CLIPConfig(
        text_config=_tower(tokenizer) | {"projection_dim": 32},
        vision_config=_seeing() | {"projection_dim": 32},
        projection_dim=32,
    )
    size = {"shortest_edge": PIXELS}
    processor = CLIPImageProcessorPil(size=size, crop_size={"height": PIXELS, "width": PIXELS})
    _make_pictures(CLIPModel(config), tokenizer, processor, folder, steps, (48, 48))


def make_siglip(folder: Path, steps: int) -> None:
    """Train the SigLIP, which squeezes pictures into a square and pads descriptions to one length."""
    tokenizer = _tokenizer(_described(), TOKENS)
    config = SiglipConfig(text_config=_tower(tokenizer) | {"projection_size": 48}, vision_config=_seeing())
    processor = SiglipImageProcessorPil(size={"height": PIXELS, "width": PIXELS})
    _make_pictures(SiglipModel(config), tokenizer, processor, folder, steps, (80, 45))


def _tower(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": TOKENS,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }


def _seeing() -> dict[str, Any]:
    return {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": PIXELS,
        "patch_size": 8,
    }


def _described() -> list[str]:
    return ["a", "an", "on", *scenes.COLOURS, *scenes.SHAPES, *scenes.GROUNDS]


def _make_pictures(
    model: Any, tokenizer: Any, processor: Any, folder: Path, steps: int, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(2)
    # Drawn once, because drawing costs more than learning.
    known = [replace(scene, variant=variant) for scene in scenes.all_scenes() for variant in range(12)]
    drawn = [Image.fromarray(scenes.picture(scene, size)) for scene in known]
    pixels = processor(images=drawn, return_tensors="pt")["pixel_values"]

    def pairs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        chosen = rng.choice(len(known), 96, replace=False)
        told = [_describe(known[index], rng) for index in chosen]
        inputs = tokenizer(
            [text for text, _ in told], padding="max_length", max_length=TOKENS, return_tensors="pt"
        )
        if isinstance(model, SiglipModel):
            inputs.pop("attention_mask", None)
        labels = [[float(true <= set(known[index].told)) for _, true in told] for index in chosen]
        texts = model.get_text_features(**inputs).pooler_output
        pictures = model.get_image_features(pixel_values=pixels[chosen]).pooler_output
        return pictures, texts, torch.tensor(labels)

    _train(model, pairs, steps)
    _save(model, tokenizer, folder)
    processor.save_pretrained(folder)


def _describe(scene: scenes.Scene, rng: np.random.Generator) -> tuple[str, set[str]]:
    """Describe a scene, wholly or in part; also say what the description asks for."""
    colour, shape, ground = scene.told
    article = "an" if colour == "orange" else "a"
    forms = [
        (f"{article} {colour} {shape} on {ground}", {colour, shape, ground}),
        (f"{article} {colour} {shape}", {colour, shape}),
        (f"a {shape} on {ground}", {shape, ground}),
        (f"{article} {colour} {shape} on {ground}", {colour, shape, ground}),
        (shape, {shape}),
        (colour, {colour}),
    ]
    return forms[int(rng.integers(len(forms)))]


# --- all ------------------------------------------------------------------------------------


def _tokenizer(words: Sequence[str], most_tokens: int) -> PreTrainedTokenizerFast:
    """Make a tokenizer of whole words, in lower case."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(
        WordLevel({word: index for index, word in enumerate([*special, *words])}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made: Any = PreTrainedTokenizerFast
    return made(  # type: ignore[no-any-return]
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=most_tokens,
    )


def _train(model: Any, pairs: Callable[[], tuple[torch.Tensor, ...]], steps: int) -> None:
    """Bring together what belongs together: minimise the sigmoid loss of all pairs of a batch."""
    scale, bias = torch.nn.Parameter(torch.tensor(2.3)), torch.nn.Parameter(torch.tensor(-4.0))
    learner = torch.optim.AdamW([*model.parameters(), scale, bias], 3e-3, weight_decay=0.01)
    pace = torch.optim.lr_scheduler.OneCycleLR(learner, 3e-3, total_steps=steps)
    model.train()
    begun = time.monotonic()
    for step in range(steps):
        ones, others, labels = pairs()
        cosines = functional.normalize(ones) @ functional.normalize(others).T
        signs = 2 * labels - 1
        loss = -functional.logsigmoid(signs * (cosines * scale.exp() + bias)).sum(1).mean()
        learner.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learner.step()
        pace.step()
        if step % 100 == 99:
            print(f"{type(model).__name__} {step + 1} {loss.item():.3f} {time.monotonic() - begun:.0f} s")
    model.eval()


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(description="Make the tiny embedding models of the tests.")
    parser.add_argument("--steps", type=int, default=600)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make_words(WORDS, steps)
    make_clip(CLIP, steps)
    make_siglip(SIGLIP, steps)


if __name__ == "__main__":
    main()
