"""Vectors by models on PyTorch, through transformers (the extra `gloss[transformers]`).

Texts: any encoder (BERT, XLM-R, ModernBERT…) or decoder (Qwen3-Embedding…) in a folder as
sentence-transformers saves it; or plain, and then the mean of the last layer counts. Pictures: CLIP and
SigLIP, whose tower for texts embeds what is searched for.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.utils import logging

from operators.batch_by_tokens import batches_by_tokens
from operators.embedding_checkpoints import text_steps
from operators.embedding_engine import Vectors, of_length_one
from operators.vision_engine import Pixels

# It reports weights that are missing, which is checked here, and draws progress for people.
logging.set_verbosity_error()  # type: ignore[no-untyped-call]
logging.disable_progress_bar()  # type: ignore[no-untyped-call]

_TOKENS_PER_BATCH = 16_384
"""32 texts of 512 tokens: some 200 MB of states in a base model."""


class TransformersTextEmbedder:
    """A text embedding model."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str,
        query_prefix: str = "",
        text_prefix: str = "",
        batch: int = 32,
        threads: int = 1,
        gpu: bool = False,
    ) -> None:
        """Load a checkpoint that `check_checkpoint` has let pass.

        Args:
            folder: With safetensors.
            name: Of engine and model.
            revision: Of library and weights.
            query_prefix: Put before what is searched for.
            text_prefix: Put before what is searched in.
            batch: Most texts at once.
            threads: Of one inference on a CPU.
            gpu: Whether it runs on a GPU.

        Raises:
            ValueError: Weights are missing, which the library would make up.
        """
        self.name = name
        self.revision = revision
        self.query_prefix, self.text_prefix, self.batch = query_prefix, text_prefix, batch
        torch.set_num_threads(threads)
        self._device = _device(gpu)
        self._steps = text_steps(folder)
        self._tokenizer = _tokenizer(folder)
        # Poolers of BERT are for other tasks; many folders come without theirs.
        self._model = _load(folder, self._device, spare="pooler.")
        self._dense = [_dense(folder / path, self._device) for path in self._steps.dense]

    def embed_query(self, words: str) -> Vectors:
        """Embed what is searched for; shape (1, dimension)."""
        return self._embed([self.query_prefix + words])

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, none of them empty, cut to what the model takes in."""
        return self._embed([self.text_prefix + text for text in texts])

    def _embed(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 0), np.float32)
        cut = self._tokenizer(texts, truncation=True, max_length=self._steps.most_tokens)
        tokens = [len(ids) for ids in cut["input_ids"]]
        batches = batches_by_tokens(
            tokens, [()] * len(tokens), answer=0, budget=_TOKENS_PER_BATCH, most=self.batch
        )
        found: dict[int, Any] = {}
        for members in batches:
            part = {name: [values[index] for index in members] for name, values in cut.items()}
            found.update(zip(members, self._embed_batch(part), strict=True))
        return of_length_one(np.stack([found[index] for index in range(len(texts))]))

    def _embed_batch(self, part: Mapping[str, Any]) -> Any:
        inputs = self._tokenizer.pad(part, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state
            vectors = _pooled(states, inputs["attention_mask"], self._steps.pooling)
            for layer in self._dense:
                vectors = layer(vectors)
        return vectors.float().cpu().numpy()


class TransformersFrameEmbedder:
    """A CLIP or SigLIP."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str,
        batch: int = 32,
        threads: int = 1,
        gpu: bool = False,
    ) -> None:
        """Load a checkpoint that `check_checkpoint` has let pass; arguments as for texts.

        Raises:
            ValueError: Weights are missing, which the library would make up.
        """
        self.name = name
        self.revision = revision
        self.batch = batch
        torch.set_num_threads(threads)
        self._device = _device(gpu)
        self._tokenizer = _tokenizer(folder)
        load: Any = AutoImageProcessor.from_pretrained
        # Not torchvision's, also where that is there: the same picture gives the same numbers everywhere.
        self._processor = load(folder, local_files_only=True, trust_remote_code=False, backend="pil")
        # Older folders hold the numbers of positions as if they were weights.
        self._model = _load(folder, self._device, spare=None)

    def embed_query(self, words: str) -> Vectors:
        """Embed words that describe a picture; shape (1, dimension)."""
        config = self._model.config
        # SigLIP has seen nothing but descriptions padded to one length, without a mask over the padding.
        padded = config.model_type != "clip"
        inputs = self._tokenizer(
            [words],
            truncation=True,
            padding="max_length" if padded else False,
            max_length=config.text_config.max_position_embeddings,
            return_attention_mask=not padded,
            return_tensors="pt",
        ).to(self._device)
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            found = self._model.get_text_features(**inputs)
        return of_length_one(_features(found))

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """Embed pictures of any sizes; the processor of the model scales (and CLIP's crops) them."""
        if not pictures:
            return np.zeros((0, 0), np.float32)
        starts = range(0, len(pictures), self.batch)
        found = [self._embed_batch(pictures[start : start + self.batch]) for start in starts]
        return of_length_one(np.concatenate(found))

    def _embed_batch(self, pictures: Sequence[Pixels]) -> Any:
        images = [Image.fromarray(picture) for picture in pictures]
        inputs = self._processor(images=images, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return _features(self._model.get_image_features(**inputs))


def _features(found: Any) -> Any:
    """Return vectors as the releases of transformers give them: within an output, or bare."""
    return getattr(found, "pooler_output", found).float().cpu().numpy()


def _pooled(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Make one vector of the states of each text.

    Args:
        states: Of tokens, shape (texts, tokens, dimension), padded at the right.
        mask: 1 for tokens, 0 for padding; shape (texts, tokens).
        pooling: mean, cls (the first token) or lasttoken.
    """
    if pooling == "cls":
        return states[:, 0]
    if pooling == "lasttoken":
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def _dense(folder: Path, device: torch.device) -> torch.nn.Module:
    """Load a linear layer after the pooling, with its activation."""
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "model.safetensors")
    matrix, bias = weights["linear.weight"], weights.get("linear.bias")
    layer = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias=bias is not None)
    layer.load_state_dict({"weight": matrix} if bias is None else {"weight": matrix, "bias": bias})
    is_bare = about["activation_function"].endswith("Identity")
    return torch.nn.Sequential(layer, torch.nn.Identity() if is_bare else torch.nn.Tanh()).to(device).eval()


def _tokenizer(folder: Path) -> Any:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # At the left it would shift the positions of a text by the length of its neighbours.
    tokenizer.padding_side = "right"
    return tokenizer


def _load(folder: Path, device: torch.device, spare: str | None) -> Any:
    loaded: Any = AutoModel.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    model, loading = loaded
    missing = sorted(name for name in loading["missing_keys"] if spare is None or spare not in name)
    if missing:
        msg = (
            f"Wanted all weights of an embedding model in {folder}; found none for {', '.join(missing[:3])} "
            f"({len(missing)} are missing). Take the folder as it was saved."
        )
        raise ValueError(msg)
    return model.to(device).eval()


def _device(gpu: bool) -> torch.device:
    return torch.device("cuda" if gpu else "cpu")
