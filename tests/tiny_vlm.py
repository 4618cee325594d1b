"""A tiny Qwen2-VL that names the shapes of `tests.scenes`, for tests of everything around a model.

It has the architecture, tokens, chat template and files of `Qwen/Qwen2-VL-2B-Instruct` with a thousandth of
its weights. `python -m tests.train_tiny_vlm` made the weights and the vocabulary.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
    Qwen2VLConfig,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

Pixels = npt.NDArray[np.uint8]

STORED = Path(__file__).parent / "tiny_vlm"
WEIGHTS = STORED / "weights.safetensors"
"""Half-precision; the output layer is tied to the embeddings."""
VOCABULARY = STORED / "tokenizer.json"

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""In the order of the genuine vocabulary; they follow its ordinary tokens."""
ORDINARY_TOKENS = 1522
VOCABULARY_SIZE = ORDINARY_TOKENS + len(SPECIAL_TOKENS)
IDS = {token: ORDINARY_TOKENS + index for index, token in enumerate(SPECIAL_TOKENS)}

LEAST_PIXELS = 56 * 56
MOST_PIXELS = 448 * 448
"""A picture has 4 to 256 visual tokens, one for each square of 28 pixels."""

CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def model_config() -> Qwen2VLConfig:
    """Describe the network."""
    vision = {
        "depth": 3,
        "embed_dim": 64,
        "hidden_size": 128,
        "num_heads": 4,
        "mlp_ratio": 4,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    text = {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 128,
        "intermediate_size": 320,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
        "bos_token_id": IDS["<|endoftext|>"],
        "eos_token_id": IDS["<|im_end|>"],
        "pad_token_id": IDS["<|endoftext|>"],
    }
    return Qwen2VLConfig(
        architectures=["Qwen2VLForConditionalGeneration"],
        vision_config=vision,
        text_config=text,
        image_token_id=IDS["<|image_pad|>"],
        video_token_id=IDS["<|video_pad|>"],
        vision_start_token_id=IDS["<|vision_start|>"],
        vision_end_token_id=IDS["<|vision_end|>"],
        tie_word_embeddings=True,
        dtype="float32",
    )


def generation_config() -> GenerationConfig:
    """Describe decoding as the genuine folder does, which also samples unless told not to."""
    return GenerationConfig(  # type: ignore[no-untyped-call]  # transformers
        bos_token_id=IDS["<|endoftext|>"],
        pad_token_id=IDS["<|endoftext|>"],
        eos_token_id=[IDS["<|im_end|>"], IDS["<|endoftext|>"]],
        do_sample=True,
        repetition_penalty=1.0,
        temperature=0.01,
        top_p=0.001,
        top_k=1,
    )


def build_checkpoint(folder: Path, weights: Path = WEIGHTS) -> Path:
    """Write a folder such as `Qwen/Qwen2-VL-2B-Instruct` is on the hub.

    Args:
        folder: Made where it is missing.
        weights: Stored ones.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model_config().save_pretrained(folder)
    generation_config().save_pretrained(folder)
    processor = Qwen2VLImageProcessorPil(min_pixels=LEAST_PIXELS, max_pixels=MOST_PIXELS)
    processor.save_pretrained(folder)
    write_tokenizer(folder)
    state = {name: tensor.float().contiguous() for name, tensor in load_file(weights).items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_tokenizer(folder: Path) -> None:
    """Write the files of the tokenizer, the chat template among them."""
    shutil.copyfile(VOCABULARY, folder / "tokenizer.json")
    about: dict[str, Any] = {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(number): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for token, number in IDS.items()
        },
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "processor_class": "Qwen2VLProcessor",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


def store_weights(state: dict[str, torch.Tensor], path: Path = WEIGHTS) -> None:
    """Write trained weights as they are committed."""
    halves = {name: tensor.detach().half().contiguous() for name, tensor in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor for name, tensor in halves.items() if name != "lm_head.weight"}, path)


def messages_of(parts: Sequence[str | Pixels]) -> list[dict[str, Any]]:
    """Put text and pictures into the message of a user, as chat templates take it."""
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in parts
    ]
    return [{"role": "user", "content": content}]


class Plain:
    """The checkpoint behind the plain classes of transformers: what an engine's answers are compared to."""

    def __init__(self, folder: Path) -> None:
        """Load it as any checkpoint of the hub is loaded."""
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        load: Any = AutoImageProcessor.from_pretrained
        self.processor = load(folder, local_files_only=True)

    def inputs(self, requests: Sequence[Sequence[str | Pixels]]) -> dict[str, torch.Tensor]:
        """Make one batch of requests, padded at the left."""
        pictures = [part for parts in requests for part in parts if not isinstance(part, str)]
        shown = self.processor(images=pictures, return_tensors="pt")
        counts = iter((shown["image_grid_thw"].prod(1) // 4).tolist())
        texts = []
        for parts in requests:
            text = self.tokenizer.apply_chat_template(
                messages_of(parts), tokenize=False, add_generation_prompt=True
            )
            before, *after = text.split("<|image_pad|>")
            texts.append(before + "".join("<|image_pad|>" * next(counts) + part for part in after))
        tokens = self.tokenizer(texts, padding=True, padding_side="left", return_tensors="pt")
        is_picture = (tokens["input_ids"] == IDS["<|image_pad|>"]).int()
        return {**tokens, **shown, "mm_token_type_ids": is_picture}

    def ask(self, requests: Sequence[Sequence[str | Pixels]], most: int = 60) -> list[str]:
        """Answer requests as one batch, greedily.

        Returns:
            The answers up to their end, or of `most` tokens.
        """
        inputs = self.inputs(requests)
        with torch.inference_mode():
            out = self.model.generate(
                **inputs, max_new_tokens=most, do_sample=False, temperature=None, top_p=None, top_k=None
            )
        texts = self.tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :])
        return [text.split("<|im_end|>")[0] for text in texts]
