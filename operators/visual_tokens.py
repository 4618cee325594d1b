"""What a picture costs a vision-language model, by the rule of the model's family.

The arithmetic is that of the families' processors (`operators.visual_token_rules`,
`operators.visual_token_anyres`); this module finds the rule of a checkpoint. What a processor adds
around a picture as text (`<row_1_col_1>`) is kept apart: it carries nothing that was seen.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from operators.visual_rule import Size as Size
from operators.visual_token_anyres import LlavaNextRule, LlavaOnevisionRule
from operators.visual_token_rules import (
    IdeficsRule,
    InternVLRule,
    OpenAIRule,
    QueryRule,
    QwenRule,
)


class TokenRule(Protocol):
    """How one model turns pictures into visual tokens."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the image processor has to be told besides, so that a picture costs what was planned.

        Arguments of the image processor of transformers (`mm_processor_kwargs` of vLLM); mostly none.
        """
        ...

    def count(self, sizes: Sequence[Size]) -> list[int]:
        """Count the tokens of each picture of one request, in order.

        Raises:
            ValueError: The family refuses a picture of that shape.
        """
        ...

    def markers(self, sizes: Sequence[Size]) -> list[int]:
        """Count the tokens of text around each picture, in order; never too few."""
        ...

    def fit(self, size: Size, most: int, pictures: int = 1) -> Size | None:
        """Find the largest size of a picture that costs no more than so many tokens.

        The processor of the model shows a picture of that size as it is: what is planned is what
        it costs. A picture is not enlarged, except to the least its family takes.

        Args:
            size: Of the picture.
            most: Tokens it may cost.
            pictures: How many the request has.

        Returns:
            Width and height, nearly in the picture's proportions; None when even the smallest costs more.
        """
        ...

    def least(self, size: Size, pictures: int = 1) -> int:
        """Count the fewest tokens that a picture of these proportions can cost: below, `fit` gives None."""
        ...


Settings = Mapping[str, Any]
"""What a file of JSON holds."""


def token_rule(config: Settings, processor: Settings) -> TokenRule:
    """Find the rule of a checkpoint.

    Args:
        config: What its config.json holds.
        processor: What its preprocessor_config.json holds.

    Raises:
        ValueError: No rule is known for the type of the model.
    """
    kind = config.get("model_type")
    maker = _MAKERS.get(str(kind))
    if maker is None:
        raise ValueError(_unknown(f"a model of the type {kind!r}"))
    return maker(config, processor)


def rule_of_folder(folder: Path) -> TokenRule:
    """Find the rule of a checkpoint, as `save_pretrained` writes it.

    Raises:
        ValueError: No rule is known for the type of the model, or a file is missing or no JSON.
    """
    return token_rule(_read(folder / "config.json"), read_processor(folder))


def rule_of_family(family: str | None) -> TokenRule:
    """Find the rule of a family as it was published, where there is no checkpoint to read.

    Args:
        family: Its `model_type`; None for tiles of 512 pixels, as OpenAI counts them.

    Raises:
        ValueError: The family is not known.
    """
    if family is None:
        return OpenAIRule()
    if family not in _PUBLISHED:
        raise ValueError(_unknown(f"the family {family!r}"))
    config, processor = _PUBLISHED[family]
    return token_rule({"model_type": family, _AS_SERVED: True, **config}, processor)


def families() -> list[str]:
    """List the families whose rule is known, by `model_type`."""
    return sorted(_MAKERS)


def read_processor(folder: Path) -> Settings:
    """Read what an image processor is told; newer checkpoints keep it within processor_config.json.

    Raises:
        ValueError: There is no such file, or it is no JSON.
    """
    whole = folder / "processor_config.json"
    if whole.is_file() and isinstance(inner := _read(whole).get("image_processor"), dict):
        return inner
    return _read(folder / "preprocessor_config.json")


def _read(path: Path) -> Settings:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"Wanted {path.name} in {path.parent}; there is none. Take the folder as it was saved."
        raise ValueError(msg) from None
    except ValueError as error:
        msg = f"Wanted JSON in {path}; found something else ({error}). Take the file as it was saved."
        raise ValueError(msg) from None
    if not isinstance(value, dict):
        msg = f"Wanted a JSON object in {path}; found a {type(value).__name__}."
        raise ValueError(msg)
    return value


def _unknown(found: str) -> str:
    return (
        f"Wanted a vision-language model whose visual tokens can be counted ({', '.join(families())}); "
        f"found {found}. Take a model of one of these families."
    )


# --- from files to rules --------------------------------------------------------------------


def _qwen(_config: Settings, processor: Settings) -> TokenRule:
    size = processor.get("size") or {}
    least = processor.get("min_pixels") or size.get("shortest_edge") or 56 * 56
    most = processor.get("max_pixels") or size.get("longest_edge") or 28 * 28 * 1280
    factor = int(processor.get("patch_size", 14)) * int(processor.get("merge_size", 2))
    return QwenRule(factor, int(least), int(most))


def _internvl(config: Settings, processor: Settings) -> TokenRule:
    vision = config.get("vision_config", {})
    side = _first(vision.get("image_size", 448)) // _first(vision.get("patch_size", 14))
    tokens = config.get("image_seq_length") or int(side**2 * config.get("downsample_ratio", 0.5) ** 2)
    size = processor.get("size") or {"height": 384, "width": 384}
    return InternVLRule(
        tile=(int(size["width"]), int(size["height"])),
        tokens=int(tokens),
        fewest=int(processor.get("min_patches", 1)),
        most=int(processor.get("max_patches", 12)),
    )


def _llava_next(config: Settings, processor: Settings) -> TokenRule:
    # "default" leaves out the token of the whole picture (CLS) that CLIP adds.
    besides = 0 if config.get("vision_feature_select_strategy", "default") == "default" else 1
    return LlavaNextRule(*_anyres(config, processor), besides=besides)


def _llava_onevision(config: Settings, processor: Settings) -> TokenRule:
    besides = -1 if config.get("vision_feature_select_strategy") == "default" else 0
    ratio = str(config.get("vision_aspect_ratio", "anyres_max_9"))
    most_tiles = int(ratio.removeprefix("anyres_max_"))
    return LlavaOnevisionRule(*_anyres(config, processor), besides=besides, most_tiles=most_tiles)


def _anyres(config: Settings, processor: Settings) -> tuple[int, int, tuple[Size, ...]]:
    """Read the side of a tile, that of a patch, and the resolutions to choose from."""
    vision = config.get("vision_config", {})
    tile = _tile(processor, int(vision.get("image_size", 384)))
    pinpoints = processor.get("image_grid_pinpoints") or config["image_grid_pinpoints"]
    boxes = tuple((int(width), int(height)) for height, width in pinpoints)
    return tile, int(vision.get("patch_size", 14)), boxes


def _blip_2(config: Settings, processor: Settings) -> TokenRule:
    size = processor.get("size") or {"height": 384, "width": 384}
    return QueryRule(int(config.get("num_query_tokens", 32)), (int(size["width"]), int(size["height"])))


def _idefics(config: Settings, processor: Settings) -> TokenRule:
    vision = config.get("vision_config", {})
    tile = int((processor.get("max_image_size") or {}).get("longest_edge", 364))
    side = int(vision.get("image_size", tile)) // int(vision.get("patch_size", 14))
    return IdeficsRule(
        tile=tile,
        longest=int((processor.get("size") or {}).get("longest_edge", 4 * 364)),
        tokens=side**2 // int(config.get("scale_factor", 2)) ** 2,
        splits=bool(processor.get("do_image_splitting", True)),
        enlarges=bool(processor.get("do_resize", True)) and bool(config.get(_AS_SERVED)),
    )


def _tile(processor: Settings, otherwise: int) -> int:
    for size in (processor.get("crop_size"), processor.get("size")):
        for name in ("height", "shortest_edge"):
            if isinstance(size, dict) and size.get(name):
                return int(size[name])
    return otherwise


def _first(value: int | Sequence[int]) -> int:
    return int(value) if isinstance(value, int) else int(value[0])


_AS_SERVED = "as_served"
"""A server's processor cannot be told anything besides."""

_MAKERS: dict[str, Callable[[Settings, Settings], TokenRule]] = {
    "qwen2_vl": _qwen,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
    "qwen3_vl_moe": _qwen,
    "internvl": _internvl,
    "llava_next": _llava_next,
    "llava_next_video": _llava_next,
    "llava_onevision": _llava_onevision,
    "blip-2": _blip_2,
    "idefics3": _idefics,
    "smolvlm": _idefics,
}

_QWEN_2: tuple[Settings, Settings] = (
    {},
    {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 12_845_056},
)
_QWEN_3: tuple[Settings, Settings] = (
    {},
    {"patch_size": 16, "merge_size": 2, "size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}},
)
_LLAVA_NEXT: tuple[Settings, Settings] = (
    {"vision_config": {"image_size": 336, "patch_size": 14}},
    {
        "size": {"shortest_edge": 336},
        "crop_size": {"height": 336, "width": 336},
        "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    },
)

_PUBLISHED: dict[str, tuple[Settings, Settings]] = {
    "qwen2_vl": _QWEN_2,
    "qwen2_5_vl": _QWEN_2,
    "qwen3_vl": _QWEN_3,
    "qwen3_vl_moe": _QWEN_3,
    "internvl": ({"image_seq_length": 256}, {"size": {"height": 448, "width": 448}}),
    "llava_next": _LLAVA_NEXT,
    "llava_next_video": _LLAVA_NEXT,
    "llava_onevision": (
        {"vision_config": {"image_size": 384, "patch_size": 14}},
        {
            "size": {"height": 384, "width": 384},
            "image_grid_pinpoints": [
                [height, width] for height in range(384, 2305, 384) for width in range(384, 2305, 384)
            ],
        },
    ),
    "blip-2": ({"num_query_tokens": 32}, {"size": {"height": 224, "width": 224}}),
    "idefics3": (
        {"vision_config": {"image_size": 364, "patch_size": 14}, "scale_factor": 2},
        {"size": {"longest_edge": 1456}, "max_image_size": {"longest_edge": 364}},
    ),
    "smolvlm": (
        {"vision_config": {"image_size": 384, "patch_size": 14}, "scale_factor": 3},
        {"size": {"longest_edge": 1536}, "max_image_size": {"longest_edge": 384}},
    ),
}
"""What checkpoints of each family say: Qwen2-VL-2B-Instruct, Qwen3-VL-2B-Instruct, InternVL3-1B-hf,
LLaVA-NeXT-Video-7B-hf, llava-onevision-qwen2-0.5b-ov-hf, blip2-opt-2.7b, Idefics3-8B-Llama3 and
SmolVLM2-2.2B-Instruct."""
