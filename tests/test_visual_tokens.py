"""What a picture costs is what the genuine processors of each family make of it."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_next_video.processing_llava_next_video import LlavaNextVideoProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from operators.visual_rule import Size
from operators.visual_token_rules import IdeficsRule, QwenRule
from operators.visual_tokens import TokenRule, families, rule_of_family, rule_of_folder, token_rule

SIDES = st.integers(1, 3000)
SIZES = st.tuples(SIDES, SIDES)
USUAL = st.tuples(st.integers(64, 3000), st.integers(64, 3000))
"""Sizes of frames, pages and parts of them."""

SMOLVLM: dict[str, Any] = {"size": {"longest_edge": 1536}, "max_image_size": {"longest_edge": 384}}
SMOLVLM_CONFIG = {
    "model_type": "smolvlm",
    "vision_config": {"image_size": 384, "patch_size": 14},
    "scale_factor": 3,
}

RULES: dict[str, TokenRule] = {
    **{family: rule_of_family(family) for family in families()},
    "openai": rule_of_family(None),
    "smolvlm here": token_rule(SMOLVLM_CONFIG, SMOLVLM),
}
"""Those of published checkpoints; SmolVLM as a server has it, and as it is run here."""


@given(SIZES)
def test_qwen_counts_as_its_processor(size: Size) -> None:
    """Patches, merged two by two, after `smart_resize`; Qwen3-VL has larger ones."""
    assume(max(size) <= 200 * min(size))
    for family, patch, least, most in (
        ("qwen2_vl", 14, 3136, 12_845_056),
        ("qwen3_vl", 16, 65_536, 16_777_216),
    ):
        genuine = Qwen2VLImageProcessorPil(patch_size=patch, min_pixels=least, max_pixels=most)
        patches = genuine.get_number_of_image_patches(size[1], size[0])
        assert rule_of_family(family).count([size]) == [patches // 4]


def test_qwen_refuses_what_its_processor_refuses() -> None:
    """A picture two hundred times as long as it is wide can be shown when it is scaled otherwise."""
    rule = rule_of_family("qwen2_vl")
    with pytest.raises(ValueError, match="200 times"):
        rule.count([(6000, 20)])
    shown = rule.fit((6000, 20), 300)
    assert shown is not None
    assert rule.count([shown])[0] <= 300


@given(SIZES, st.integers(1, 12))
def test_internvl_counts_as_its_processor(size: Size, most: int) -> None:
    """Tiles of the grid nearest in proportion, and the whole picture."""
    told: dict[str, Any] = {"size": {"height": 448, "width": 448}, "max_patches": most}
    genuine = GotOcr2ImageProcessorPil(crop_to_patches=True, **told)
    rule = token_rule({"model_type": "internvl", "image_seq_length": 256}, told)
    assert rule.count([size]) == [256 * genuine.get_number_of_image_patches(size[1], size[0])]


@lru_cache
def _next_video() -> Any:
    made = object.__new__(LlavaNextVideoProcessor)
    made.patch_size, made.num_additional_image_tokens = 14, 1
    grid = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    made.image_processor = LlavaNextImageProcessorPil(image_grid_pinpoints=grid)
    return made


@lru_cache
def _onevision() -> Any:
    made = object.__new__(LlavaOnevisionProcessor)
    made.num_image_tokens, made.vision_aspect_ratio = 729, "anyres_max_9"
    made.image_processor = LlavaOnevisionImageProcessorPil()
    return made


@given(SIZES)
def test_llava_next_video_counts_as_its_processor(size: Size) -> None:
    """Of the published strategy the token of the whole picture is left out."""
    genuine = _next_video()._get_number_of_features(size[1], size[0], 336, 336) - 1
    assert rule_of_family("llava_next_video").count([size]) == [genuine]


@given(SIZES)
def test_llava_onevision_counts_as_its_processor(size: Size) -> None:
    """One picture is cut into tiles; of several each has one tile and a line feed."""
    rule = rule_of_family("llava_onevision")
    assert rule.count([size]) == [_onevision()._get_number_of_features(size[1], size[0], 384, 384)]
    assert rule.count([size, (640, 480)]) == [730, 730]


@given(SIZES)
def test_smolvlm_of_a_server_counts_as_its_processor(size: Size) -> None:
    """Left to itself the processor enlarges every picture first."""
    genuine = SmolVLMImageProcessorPil(**SMOLVLM)
    patches, _, _ = genuine.get_number_of_image_patches(size[1], size[0])
    assert rule_of_family("smolvlm").count([size]) == [81 * max(1, patches)]


@settings(max_examples=40)
@given(st.tuples(st.integers(4, 300), st.integers(4, 300)))
def test_smolvlm_told_not_to_enlarge_counts_as_its_processor(size: Size) -> None:
    """Told what the rule says it has to be, it cuts a picture by its own size."""
    rule = IdeficsRule(tile=64, longest=256, tokens=16)
    genuine: Any = SmolVLMImageProcessorPil(size={"longest_edge": 256}, max_image_size={"longest_edge": 64})
    picture = Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8))
    found = genuine([[picture]], return_row_col_info=True, **rule.options)
    assert rule.count([size]) == [16 * found["pixel_values"].shape[1]]


def test_openai_counts_as_its_guide() -> None:
    """The examples of the guide: 1024 x 1024, and 2048 x 4096; a small one has one tile."""
    assert rule_of_family(None).count([(1024, 1024), (2048, 4096), (512, 512)]) == [765, 1105, 255]


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=50)
@given(size=USUAL, most=st.integers(1, 4000), pictures=st.integers(1, 3))
def test_fits_within_what_it_may_cost(name: str, size: Size, most: int, pictures: int) -> None:
    """Never over; none only where the smallest costs more; a size that was found stays as it is."""
    rule = RULES[name]
    shown = rule.fit(size, most, pictures)
    if shown is None:
        assert rule.least(size, pictures) > most
        return
    assert rule.least(size, pictures) <= rule.count([shown] * pictures)[0] <= most
    again = rule.fit(shown, most, pictures)
    assert again is not None
    assert rule.count([again] * pictures) == rule.count([shown] * pictures)
    if name != "llava_onevision":
        assert again == shown


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=50)
@given(size=USUAL, most=st.integers(1, 4000))
def test_more_tokens_never_show_less(name: str, size: Size, most: int) -> None:
    """The scale of the side that is reduced most grows with what a picture may cost."""
    few, many = RULES[name].fit(size, most), RULES[name].fit(size, most + 500)
    if few is not None:
        assert many is not None
        assert _scale(few, size) <= _scale(many, size)


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=50)
@given(
    size=st.tuples(st.integers(300, 3000), st.integers(300, 3000)),
    room=st.floats(1.5, 20),
    pictures=st.integers(1, 3),
)
def test_keeps_proportions_and_does_not_enlarge(name: str, size: Size, room: float, pictures: int) -> None:
    """Within a step of the grid, and no larger than the picture or the least the family takes."""
    rule = RULES[name]
    # Next to the least there are few grids to choose from.
    shown = rule.fit(size, int(rule.least(size, pictures) * room), pictures)
    assert shown is not None
    if name == "blip-2":
        return
    step = _step(name)
    # There is a scale at which both sides are within a step of what they should be.
    pairs = list(zip(shown, size, strict=True))
    least = max((side - step) / whole for side, whole in pairs)
    assert least <= min((side + step) / whole for side, whole in pairs)
    for side, whole in pairs:
        assert side <= max(whole, step) or rule.count([shown]) == [rule.least(size)]


def _step(name: str) -> int:
    rule = RULES[name]
    if isinstance(rule, QwenRule):
        return rule.factor
    if isinstance(rule, IdeficsRule):
        return rule.tile
    return {"internvl": 448}.get(name, 1)


def _scale(shown: Size, size: Size) -> float:
    return min(1.0, shown[0] / size[0], shown[1] / size[1])


@given(USUAL, st.integers(64, 4000))
def test_qwen_shows_a_fitted_picture_as_it_is(size: Size, most: int) -> None:
    """The processor scales nothing that was fitted."""
    for family in ("qwen2_vl", "qwen3_vl"):
        rule = rule_of_family(family)
        assert isinstance(rule, QwenRule)
        if (shown := rule.fit(size, most)) is not None:
            assert rule.shown(shown) == shown


def test_a_frame_in_a_thousand_tokens() -> None:
    """The budget that is set by default, spent on one frame of 720p; two families need more."""
    found = {name: rule.fit((1280, 720), 1024) for name, rule in RULES.items()}
    assert found == {
        "blip-2": (224, 224),
        "idefics3": None,
        "internvl": (896, 448),
        "llava_next": None,
        "llava_next_video": None,
        "llava_onevision": None,
        "openai": (1024, 576),
        "qwen2_5_vl": (1176, 672),
        "qwen2_vl": (1176, 672),
        "qwen3_vl": (1280, 704),
        "qwen3_vl_moe": (1280, 704),
        "smolvlm": (768, 384),
        "smolvlm here": (1152, 648),
    }
    assert rule_of_family("llava_onevision").fit((1280, 720), 1024, pictures=4) == (384, 216)


def test_unknown_families_are_refused_by_name() -> None:
    """The message lists those that are known."""
    with pytest.raises(ValueError, match=r"blip-2, .*smolvlm.*found a model of the type 'bert'"):
        token_rule({"model_type": "bert"}, {})
    with pytest.raises(ValueError, match="found the family 'gpt'"):
        rule_of_family("gpt")


def test_reads_the_files_of_a_folder(tmp_path: Path) -> None:
    """Newer folders keep what the image processor is told within processor_config.json."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_vl"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"Wanted preprocessor_config\.json"):
        rule_of_folder(tmp_path)
    told = {"patch_size": 14, "merge_size": 2, "max_pixels": 28 * 28 * 100, "min_pixels": 28 * 28}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told), encoding="utf-8")
    assert rule_of_folder(tmp_path).count([(2800, 2800)]) == [100]
    newer = {"image_processor": {**told, "max_pixels": 28 * 28 * 25}}
    (tmp_path / "processor_config.json").write_text(json.dumps(newer), encoding="utf-8")
    assert rule_of_folder(tmp_path).count([(2800, 2800)]) == [25]
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="found a list"):
        rule_of_folder(tmp_path)
