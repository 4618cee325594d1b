"""A tiny checkpoint of each family of vision-language models: its own classes, files, tokens and template.

The weights are random but the same every time; what such a model says means nothing, how it is
asked does.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

CONTEXT = 4096
"""Tokens each of the models takes."""

_TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False,
}
_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_VISION = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")


@dataclass(frozen=True)
class Family:
    """How to build a checkpoint of one family."""

    model_type: str
    config: Callable[[Callable[[str], int], int], dict[str, Any]]
    """Given the number of each token, and how many there are."""
    image_processor: Callable[[], Any]
    special: tuple[str, ...]
    """Special tokens, in the order of the vocabulary."""
    end: str
    """Ends an answer."""
    template: str | None
    start: str | None = None
    """Begins a text."""
    begins: bool = False
    """Whether the tokenizer itself puts it there."""
    pad: str | None = None
    spaces: str = "bytes"
    """Which kind of vocabulary: of bytes, or of pieces with a mark for spaces."""
    tokenizer_class: str = "Qwen2Tokenizer"
    named: dict[str, str] = field(default_factory=dict)
    """Tokens the processor asks the tokenizer for by name."""
    processor: dict[str, Any] = field(default_factory=dict)
    """What its processor_config.json says."""


def build_family(model_type: str, folder: Path) -> Path:
    """Write a checkpoint as `save_pretrained` would.

    Args:
        model_type: Of `FAMILIES`.
        folder: Made where it is missing.

    Returns:
        The folder.
    """
    family = FAMILIES[model_type]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _write_tokenizer(family, folder)
    family.image_processor().save_pretrained(folder)
    if family.processor:
        _write(folder / "processor_config.json", family.processor)
    if family.template is not None:
        (folder / "chat_template.jinja").write_text(family.template, encoding="utf-8")
    vocabulary = tokenizer.get_vocab()
    size = len(vocabulary)
    config = AutoConfig.for_model(model_type, **family.config(vocabulary.__getitem__, size))
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config).eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        # Wider than models are initialised, so that what is seen and read changes what is said.
        for _, weight in sorted(model.named_parameters()):
            if weight.dim() > 1:
                weight.normal_(0, 0.3 / max(1, weight.shape[-1] / 32) ** 0.5)
    model.generation_config.eos_token_id = tokenizer.token_to_id(family.end)
    model.generation_config.pad_token_id = tokenizer.token_to_id(family.pad or family.end)
    model.save_pretrained(folder)
    return folder


def _write_tokenizer(family: Family, folder: Path) -> Tokenizer:
    tokenizer = _bytes() if family.spaces == "bytes" else _pieces()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in family.special]
    )
    if family.begins:
        assert family.start is not None
        number = tokenizer.token_to_id(family.start)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{family.start} $A", special_tokens=[(family.start, number)]
        )
    saved = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=family.end,
        bos_token=family.start,
        pad_token=family.pad,
        extra_special_tokens=family.named or {},
    )
    saved.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    about |= {"tokenizer_class": family.tokenizer_class, "add_bos_token": family.begins}
    _write(path, about)
    return tokenizer


def _bytes() -> Tokenizer:
    """Make a vocabulary of single bytes, as that of GPT-2 without merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pieces() -> Tokenizer:
    """Make a vocabulary as sentencepiece does: letters, a mark for spaces, and bytes to fall back on."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    names += [chr(code) for code in range(33, 127)]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


# --- templates ------------------------------------------------------------------------------

_QWEN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif content['type'] == 'video' %}{{ '<video>\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)
# All pictures first, whatever their place; roles in capitals for those that were Vicuna.
_ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
    "{{ '<video>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}{{'<|im_end|>'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_NEXT_VIDEO_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'][0]['text'] }}"
    "{% else %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


# --- configurations -------------------------------------------------------------------------

Ids = Callable[[str], int]


def _qwen_ids(number: Ids) -> dict[str, Any]:
    return {
        "image_token_id": number("<|image_pad|>"),
        "video_token_id": number("<|video_pad|>"),
        "vision_start_token_id": number("<|vision_start|>"),
        "vision_end_token_id": number("<|vision_end|>"),
        "tie_word_embeddings": False,
    }


def _ends(number: Ids) -> dict[str, Any]:
    return {
        "bos_token_id": None,
        "eos_token_id": number("<|im_end|>"),
        "pad_token_id": number("<|endoftext|>"),
    }


def _rope(**besides: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, **besides}}


def _qwen2_vl(number: Ids, size: int) -> dict[str, Any]:
    vision = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 32,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
    }
    text = {**_TEXT, "vocab_size": size, **_rope(mrope_section=[1, 1, 2]), **_ends(number)}
    return {"vision_config": vision, "text_config": text, **_qwen_ids(number)}


def _qwen2_5_vl(number: Ids, size: int) -> dict[str, Any]:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
        "window_size": 112,
        "patch_size": 14,
    }
    text = {**_TEXT, "vocab_size": size, **_rope(mrope_section=[1, 1, 2]), **_ends(number)}
    return {"vision_config": vision, "text_config": text, **_qwen_ids(number)}


def _qwen3_vl(number: Ids, size: int) -> dict[str, Any]:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "deepstack_visual_indexes": [0],
        "num_position_embeddings": 64,
        "patch_size": 16,
    }
    rope = _rope(mrope_section=[2, 1, 1], mrope_interleaved=True)
    text = {**_TEXT, "vocab_size": size, **rope, **_ends(number)}
    return {"vision_config": vision, "text_config": text, **_qwen_ids(number)}


def _internvl(number: Ids, size: int) -> dict[str, Any]:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": [112, 112],
        "patch_size": [14, 14],
    }
    text = {"model_type": "qwen2", **_TEXT, "vocab_size": size, **_rope(), **_ends(number)}
    return {
        "vision_config": vision,
        "text_config": text,
        "image_token_id": number("<IMG_CONTEXT>"),
        "image_seq_length": 16,
        "downsample_ratio": 0.5,
    }


def _siglip(side: int) -> dict[str, Any]:
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": 14,
    }


_ONEVISION_GRID = [[height, width] for height in (70, 140, 210) for width in (70, 140, 210)]
_NEXT_GRID = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]


def _onevision(number: Ids, size: int) -> dict[str, Any]:
    text = {"model_type": "qwen2", **_TEXT, "vocab_size": size, **_rope(), **_ends(number)}
    return {
        "vision_config": {**_siglip(70), "vision_use_head": False},
        "text_config": text,
        "image_token_index": number("<image>"),
        "video_token_index": number("<video>"),
        "image_grid_pinpoints": _ONEVISION_GRID,
        "vision_feature_select_strategy": "full",
        "vision_feature_layer": -1,
        "vision_aspect_ratio": "anyres_max_4",
    }


def _next_video(number: Ids, size: int) -> dict[str, Any]:
    vision = {**_siglip(56), "model_type": "clip_vision_model", "projection_dim": 32}
    ids = {"bos_token_id": number("<s>"), "eos_token_id": number("</s>"), "pad_token_id": number("<pad>")}
    return {
        "vision_config": vision,
        "text_config": {"model_type": "llama", **_TEXT, "vocab_size": size, **ids},
        "image_token_index": number("<image>"),
        "video_token_index": number("<video>"),
        "image_grid_pinpoints": _NEXT_GRID,
        "vision_feature_select_strategy": "default",
        "vision_feature_layer": -2,
    }


def _blip_2(number: Ids, size: int) -> dict[str, Any]:
    common = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "model_type": "opt",
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "vocab_size": size,
        "bos_token_id": number("</s>"),
        "eos_token_id": number("</s>"),
        "pad_token_id": number("<pad>"),
    }
    return {
        "vision_config": {**common, "image_size": 56, "patch_size": 14},
        "qformer_config": {**common, "encoder_hidden_size": 32, "vocab_size": 64},
        "text_config": text,
        "num_query_tokens": 8,
        "image_token_index": number("<image>"),
    }


def blip_2_of_t5(number: Ids, size: int) -> dict[str, Any]:
    """Describe a BLIP-2 whose text comes from T5, which reads with one part and writes with another."""
    text = {
        "model_type": "t5",
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "vocab_size": size,
        "eos_token_id": number("</s>"),
        "pad_token_id": number("<pad>"),
        "decoder_start_token_id": number("<pad>"),
        "tie_word_embeddings": False,
    }
    return {**_blip_2(number, size), "text_config": text}


def _smolvlm(number: Ids, size: int) -> dict[str, Any]:
    vision = {**_siglip(64), "patch_size": 8}
    del vision["model_type"]
    ids = {"bos_token_id": number("<|im_start|>"), "eos_token_id": number("<end_of_utterance>")}
    return {
        "vision_config": vision,
        "text_config": {
            "model_type": "llama",
            **_TEXT,
            "vocab_size": size,
            **ids,
            "pad_token_id": number("<|im_end|>"),
        },
        "image_token_id": number("<image>"),
        "scale_factor": 2,
        "pad_token_id": number("<|im_end|>"),
        "tie_word_embeddings": False,
    }


def _qwen_family(model_type: str, config: Any, patch: int) -> Family:
    def pictures() -> Any:
        side = 2 * patch
        return Qwen2VLImageProcessorPil(patch_size=patch, min_pixels=4 * side**2, max_pixels=400 * side**2)

    return Family(
        model_type,
        config,
        pictures,
        special=(*_CHATML, *_VISION),
        end="<|im_end|>",
        pad="<|endoftext|>",
        template=_QWEN_TEMPLATE,
    )


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


_ROWS = tuple(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5))

FAMILIES: dict[str, Family] = {
    "qwen2_vl": _qwen_family("qwen2_vl", _qwen2_vl, 14),
    "qwen2_5_vl": _qwen_family("qwen2_5_vl", _qwen2_5_vl, 14),
    "qwen3_vl": _qwen_family("qwen3_vl", _qwen3_vl, 16),
    # Its image processor by itself leaves a picture whole; its processor tells it to cut.
    "internvl": Family(
        "internvl",
        _internvl,
        lambda: GotOcr2ImageProcessorPil(size=_square(112), max_patches=6),
        special=(*_CHATML, "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
        end="<|im_end|>",
        pad="<|endoftext|>",
        template=_INTERNVL_TEMPLATE,
        named={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        processor={"processor_class": "InternVLProcessor", "image_seq_length": 16},
    ),
    "llava_onevision": Family(
        "llava_onevision",
        _onevision,
        lambda: LlavaOnevisionImageProcessorPil(size=_square(70), image_grid_pinpoints=_ONEVISION_GRID),
        special=(*_CHATML, "<image>", "<video>"),
        end="<|im_end|>",
        pad="<|endoftext|>",
        template=_ONEVISION_TEMPLATE,
        processor={
            "processor_class": "LlavaOnevisionProcessor",
            "num_image_tokens": 25,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_4",
            "image_token": "<image>",
            "video_token": "<video>",
        },
    ),
    "llava_next_video": Family(
        "llava_next_video",
        _next_video,
        lambda: LlavaNextImageProcessorPil(
            size={"shortest_edge": 56}, crop_size=_square(56), image_grid_pinpoints=_NEXT_GRID
        ),
        special=("<unk>", "<s>", "</s>", "<image>", "<video>", "<pad>"),
        start="<s>",
        begins=True,
        end="</s>",
        pad="<pad>",
        template=_NEXT_VIDEO_TEMPLATE,
        spaces="pieces",
        tokenizer_class="LlamaTokenizer",
        processor={
            "processor_class": "LlavaNextVideoProcessor",
            "patch_size": 14,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
            "image_token": "<image>",
            "video_token": "<video>",
        },
    ),
    "blip-2": Family(
        "blip-2",
        _blip_2,
        lambda: BlipImageProcessorPil(size=_square(56)),
        special=("</s>", "<pad>", "<image>"),
        start="</s>",
        begins=True,
        end="</s>",
        pad="<pad>",
        template=None,
        tokenizer_class="GPT2Tokenizer",
        processor={"processor_class": "Blip2Processor", "num_query_tokens": 8},
    ),
    "smolvlm": Family(
        "smolvlm",
        _smolvlm,
        lambda: SmolVLMImageProcessorPil(size={"longest_edge": 256}, max_image_size={"longest_edge": 64}),
        special=(
            *_CHATML,
            "<fake_token_around_image>",
            "<image>",
            "<end_of_utterance>",
            "<global-img>",
            *_ROWS,
        ),
        start="<|im_start|>",
        end="<end_of_utterance>",
        pad="<|im_end|>",
        template=_SMOLVLM_TEMPLATE,
        tokenizer_class="GPT2Tokenizer",
        named={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "end_of_utterance_token": "<end_of_utterance>",
            "global_image_token": "<global-img>",
        },
        processor={"processor_class": "SmolVLMProcessor", "image_seq_len": 16},
    ),
}
"""By `model_type`."""
