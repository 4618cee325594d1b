"""How questions with pictures become the inputs of a vision-language model, by its own processor.

A processor is put together from its tokenizer and its image processor, because as a whole those of
most families want torchvision, for videos alone.
"""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer
from transformers.models.blip_2.processing_blip_2 import Blip2Processor
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
from transformers.models.llava_next_video.processing_llava_next_video import LlavaNextVideoProcessor
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

from operators.vision_engine import Pixels, Request
from operators.vision_plain_text import control_tokens, plain_text
from operators.visual_rule import Size
from operators.visual_tokens import TokenRule, rule_of_folder

_PROCESSORS: dict[str, type[Any]] = {
    "qwen2_vl": Qwen2VLProcessor,
    "qwen2_5_vl": Qwen2_5_VLProcessor,
    "qwen3_vl": Qwen3VLProcessor,
    "qwen3_vl_moe": Qwen3VLProcessor,
    "internvl": InternVLProcessor,
    "llava_next": LlavaNextProcessor,
    "llava_next_video": LlavaNextVideoProcessor,
    "llava_onevision": LlavaOnevisionProcessor,
    "blip-2": Blip2Processor,
    "idefics3": Idefics3Processor,
    # Its own does the same with pictures, and wants num2words for videos.
    "smolvlm": Idefics3Processor,
}

Part = str | Pixels


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch as the model takes it, padded on the left."""

    tensors: dict[str, torch.Tensor]
    visual_tokens: list[int]
    """Of each request: tokens that stand for a part of a picture."""
    input_tokens: list[int]
    """Of each request, without the padding."""


class Processing:
    """The processor of one checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Load tokenizer and image processor.

        Args:
            folder: Of a checkpoint that `check_vision_checkpoint` has let pass.
        """
        config = _read_json(folder / "config.json")
        self.rule: TokenRule = rule_of_folder(folder)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.tokenizer = tokenizer
        self._processor = _load_processor(folder, config, self.tokenizer)
        self._is_bare = isinstance(self._processor, Blip2Processor)
        self._image_token = _text_of(self._processor.image_token)
        self._image_id = self.tokenizer.convert_tokens_to_ids(self._image_token)
        self._template = _chat_template(folder, self.tokenizer)
        self.control = control_tokens(self.tokenizer)
        self._style = "none" if self._template is None else self._probe()

    def sizes(self, request: Request) -> list[Size]:
        """List width and height of the pictures of a request."""
        return [(part.shape[1], part.shape[0]) for part in request.parts if not isinstance(part, str)]

    def prompt(self, request: Request) -> str:
        """Write out a request as the model is to read it, one token in place of each picture."""
        return self._render(self._plain_parts(request.parts))

    def length(self, request: Request) -> int:
        """Count the tokens of a whole prompt, without looking at the pictures; never too few.

        Raises:
            ValueError: The family refuses its pictures, or wants some.
        """
        sizes = self.sizes(request)
        if self._is_bare and not sizes:
            msg = "Wanted a picture, without which BLIP-2 says nothing; found text alone. Show it one."
            raise ValueError(msg)
        words = len(self.tokenizer(self.prompt(request))["input_ids"])
        return words + sum(self.rule.count(sizes)) + sum(self.rule.markers(sizes))

    def inputs(self, requests: Sequence[Request]) -> Inputs:
        """Make the inputs of requests that all have pictures, or none of which has any."""
        prompts = [self.prompt(request) for request in requests]
        pictures = [
            [Image.fromarray(part) for part in request.parts if not isinstance(part, str)]
            for request in requests
        ]
        found = self._bare(prompts, pictures) if self._is_bare else self._whole(prompts, pictures)
        tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
        return Inputs(
            tensors,
            visual_tokens=(tensors["input_ids"] == self._image_id).sum(1).tolist(),
            input_tokens=tensors["attention_mask"].sum(1).tolist(),
        )

    def _whole(self, prompts: list[str], pictures: list[list[Image.Image]]) -> Mapping[str, Any]:
        begun = self.tokenizer.bos_token is not None and prompts[0].startswith(self.tokenizer.bos_token)
        shown: dict[str, Any] = {"images": pictures, **self.rule.options} if any(pictures) else {}
        found: Mapping[str, Any] = self._processor(
            text=prompts,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=not begun,
            **shown,
        )
        return found

    def _bare(self, prompts: list[str], pictures: list[list[Image.Image]]) -> Mapping[str, Any]:
        """Put the queries of all pictures before the text; the processor knows one picture alone."""
        queries = int(self._processor.num_query_tokens)
        rows = [
            [self._image_id] * queries * len(shown) + list(self.tokenizer(prompt)["input_ids"])
            for prompt, shown in zip(prompts, pictures, strict=True)
        ]
        longest = max(map(len, rows))
        padding = [longest - len(row) for row in rows]
        found = {
            "input_ids": torch.tensor(
                [
                    [self.tokenizer.pad_token_id] * blank + row
                    for blank, row in zip(padding, rows, strict=True)
                ]
            ),
            "attention_mask": torch.tensor([[0] * blank + [1] * (longest - blank) for blank in padding]),
        }
        if flat := [picture for shown in pictures for picture in shown]:
            pixels = self._processor.image_processor(flat, return_tensors="pt")
            found["pixel_values"] = pixels["pixel_values"]
        return found

    # --- text ---------------------------------------------------------------------------

    def _plain_parts(self, parts: Sequence[Part]) -> list[Part]:
        """Join texts that follow each other, and take from each what would steer the model."""
        joined: list[Part] = []
        for part in parts:
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += part
            else:
                joined.append(part)
        return [
            plain_text(part, self.tokenizer, self.control) if isinstance(part, str) else part
            for part in joined
        ]

    def _render(self, parts: Sequence[Part]) -> str:
        if self._style == "none":
            words = "\n".join(part.strip() for part in parts if isinstance(part, str)).strip()
            if self._is_bare:
                return f"Question: {words} Answer:" if words else ""
            return "".join(part if isinstance(part, str) else self._image_token for part in parts)
        if self._style == "parts":
            content: Any = [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
                for part in parts
            ]
        else:
            line = "".join(part if isinstance(part, str) else f"{self._image_token}\n" for part in parts)
            content = [{"type": "text", "text": line}] if self._style == "line" else line
        rendered: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        return rendered

    def _probe(self) -> str:
        """Find out how the chat template takes text and pictures that alternate.

        Some put all pictures first, some know text alone: these get pictures within one text.

        Raises:
            ValueError: It takes them in no way known.
        """
        blank: Any = None
        for style in ("parts", "line", "text"):
            self._style = style
            try:
                rendered = self._render(["first-words", blank, "second-words", blank, "third-words"])
            except Exception:  # noqa: S112 - templates raise what they like
                continue
            pieces = rendered.split(self._image_token)
            wanted = ("first-words", "second-words", "third-words")
            if len(pieces) == 3 and all(word in piece for word, piece in zip(wanted, pieces, strict=True)):
                return style
        msg = (
            "Wanted a chat template that takes text and pictures in turn; found one that loses some of them. "
            "Take the chat template of the original model."
        )
        raise ValueError(msg)


def _load_processor(folder: Path, config: Mapping[str, Any], tokenizer: Any) -> Any:
    kind = str(config["model_type"])
    made = _PROCESSORS[kind]
    # Not torchvision's, also where that is there: the same picture gives the same numbers everywhere.
    pictures = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        folder, local_files_only=True, trust_remote_code=False, backend="pil"
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    known = inspect.signature(made.__init__).parameters
    path = folder / "processor_config.json"
    stated = _read_json(path) if path.is_file() else {}
    settings = {
        name: value
        for name, value in {**_implied(config), **stated}.items()
        if name in known and not isinstance(value, dict)
    }
    parts = {"image_processor": pictures, "tokenizer": tokenizer}
    if "video_processor" in known:
        parts["video_processor"] = None
    return _without_videos(made)(**{**settings, **parts})


def _without_videos(made: type[Any]) -> type[Any]:
    """Derive a processor that does without its part for videos, which are never shown as such."""

    class WithoutVideos(made):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: object) -> object:
            if argument_name == "video_processor" and argument is None:
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    return WithoutVideos


def _implied(config: Mapping[str, Any]) -> dict[str, Any]:
    """Say what processors have to know of a model, where their own file does not."""
    kind, vision = config["model_type"], config.get("vision_config", {})
    strategy = config.get("vision_feature_select_strategy")
    if kind in ("llava_next", "llava_next_video"):
        return {
            "patch_size": vision.get("patch_size", 14),
            "vision_feature_select_strategy": strategy or "default",
            "num_additional_image_tokens": 1,
        }
    if kind == "llava_onevision":
        return {
            "num_image_tokens": (vision.get("image_size", 384) // vision.get("patch_size", 14)) ** 2,
            "vision_feature_select_strategy": strategy or "full",
            "vision_aspect_ratio": config.get("vision_aspect_ratio", "anyres_max_9"),
        }
    if kind == "blip-2":
        return {"num_query_tokens": config.get("num_query_tokens", 32)}
    if kind == "internvl":
        return {"image_seq_length": config.get("image_seq_length", 256)}
    if kind in ("idefics3", "smolvlm"):
        side = vision.get("image_size", 364) // vision.get("patch_size", 14)
        return {"image_seq_len": side**2 // config.get("scale_factor", 2) ** 2}
    return {}


def _chat_template(folder: Path, tokenizer: Any) -> str | None:
    """Return the template of a checkpoint: a file of its own, or a part of the tokenizer's."""
    for name in ("chat_template.jinja", "chat_template.json"):
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8")
            return str(json.loads(text)["chat_template"]) if name.endswith(".json") else text
    template = tokenizer.chat_template
    return template.get("default") if isinstance(template, dict) else template


def _text_of(token: Any) -> str:
    return str(getattr(token, "content", token))


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
