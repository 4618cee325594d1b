"""What every model that generates text on PyTorch has in common: memory, ends, and how answers are drawn."""

import gc
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Unpack

import torch
from transformers import GenerationConfig, LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from operators.model_arguments import OnTorch
from operators.vision_engine import Answer, Generation

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class TorchGenerator:
    """A model on PyTorch, and the tokenizer that says where its answers end and what they mean."""

    def __init__(self, cls: Any, folder: Path, tokenizer: Any, what: str, **runs: Unpack[OnTorch]) -> None:
        """Load a checkpoint.

        Args:
            cls: A class of transformers with `from_pretrained`.
            folder: As `save_pretrained` writes it, with safetensors.
            tokenizer: Of the checkpoint.
            what: The model is, for messages: `a language model`.
            runs: How it runs.

        Raises:
            ValueError: Weights are missing, which the library would make up, or files do not fit.
            MemoryError: It does not fit.
        """
        self.name = runs["name"]
        self.revision = runs["revision"]
        torch.set_num_threads(runs["threads"])
        dtype, device = getattr(torch, runs["precision"]), torch.device("cuda" if runs["gpu"] else "cpu")
        self._model = within_memory(load_pretrained, cls, folder, dtype, device, what)
        self._ends = ends_of(self._model, tokenizer)

    def close(self) -> None:
        """Let go of the model and its memory."""
        self._model = None
        release()

    def _drawn(
        self, inputs: Mapping[str, torch.Tensor], how: Generation, begun: int, pad: int | None
    ) -> list[list[int]]:
        """Draw the answers of a batch.

        Args:
            inputs: As the model takes them, on its device.
            how: Answers are drawn.
            begun: Tokens of a row that are the prompt's and its padding.
            pad: Token that fills up shorter rows.

        Returns:
            What was said in each row, with what fills it up behind its end.
        """
        with torch.inference_mode():
            torch.manual_seed(how.seed)
            sequences = self._model.generate(
                **inputs,
                generation_config=drawn_as(how, self._model, self._ends, pad),
                logits_processor=penalty_of(how, begun),
            )
        rows: list[list[int]] = sequences[:, begun:].tolist()
        return rows


def load_pretrained(cls: Any, folder: Any, dtype: torch.dtype, device: torch.device, what: str) -> Any:
    """Load a checkpoint of safetensors, without code of its own, and forget how it likes to decode.

    Args:
        cls: A class of transformers with `from_pretrained`.
        folder: Of the checkpoint.
        dtype: To compute with.
        device: Where to.
        what: It is, for messages: `a language model`.

    Raises:
        ValueError: Weights are missing, which the library would make up.
    """
    model, loading = cls.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    if missing := sorted(loading["missing_keys"]):
        msg = (
            f"Wanted all weights of {what} in {folder}; found none for "
            f"{', '.join(missing[:3])} ({len(missing)} are missing). Take the folder as it was saved."
        )
        raise ValueError(msg)
    _forget_habits(model)
    return model.to(device).eval()


def _forget_habits(model: Any) -> None:
    """Leave of what a checkpoint says about decoding only its tokens.

    What a request does not set, the library takes from there: Qwen2.5-VL's penalty of 1.05 also
    for words of the prompt, and its sampling.
    """
    for part in model.modules():
        genuine = getattr(part, "generation_config", None)
        if genuine is not None:
            part.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
                bos_token_id=genuine.bos_token_id,
                eos_token_id=genuine.eos_token_id,
                pad_token_id=genuine.pad_token_id,
                decoder_start_token_id=genuine.decoder_start_token_id,
            )


def ends_of(model: Any, tokenizer: Any) -> list[int]:
    """List the tokens that end an answer."""
    stated = (model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id)
    flat = [token for one in stated for token in (one if isinstance(one, list) else [one])]
    return sorted({token for token in [*flat, tokenizer.eos_token_id] if token is not None})


def drawn_as(how: Generation, model: Any, ends: list[int], pad: int | None) -> GenerationConfig:
    """Say how answers are drawn, as the library takes it; greedy at temperature 0.

    Args:
        how: As asked for.
        model: That draws.
        ends: Tokens that end an answer.
        pad: Token that fills up shorter rows.
    """
    draws: dict[str, Any] = {"do_sample": False}
    if how.temperature > 0:
        draws = {"do_sample": True, "temperature": how.temperature, "top_k": 0, "top_p": 1.0}
    genuine = model.generation_config
    text = model.config.get_text_config()
    start = genuine.decoder_start_token_id or getattr(text, "decoder_start_token_id", None)
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=how.max_new_tokens,
        bos_token_id=genuine.bos_token_id,
        eos_token_id=ends,
        pad_token_id=pad,
        decoder_start_token_id=start,
        **draws,
    )


def read_answer(
    row: Sequence[int],
    ends: Collection[int],
    tokenizer: Any,
    *,
    input_tokens: int,
    visual_tokens: int | None = None,
) -> Answer:
    """Put into words what was said, up to the first token that ends an answer.

    Args:
        row: Tokens, without the prompt.
        ends: Tokens that end an answer.
        tokenizer: Of the model.
        input_tokens: Of the whole prompt.
        visual_tokens: Of its pictures.
    """
    end = next((index for index, token in enumerate(row) if token in ends), None)
    said = list(row if end is None else row[:end])
    return Answer(
        text=tokenizer.decode(said, skip_special_tokens=True).strip(),
        finished=end is not None,
        input_tokens=input_tokens,
        visual_tokens=visual_tokens,
        output_tokens=len(said) + (end is not None),
    )


def penalty_of(how: Generation, begun: int) -> LogitsProcessorList:
    """Make words that were said less probable; not those of the prompt, which are there to be quoted."""
    if how.repetition_penalty == 1.0:
        return LogitsProcessorList()
    return LogitsProcessorList(
        [RepetitionPenaltyLogitsProcessor(how.repetition_penalty, prompt_ignore_length=begun)]
    )


def within_memory(call: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs) -> _Result:
    """Call, and turn every way of running out of memory into a `MemoryError`, with the memory freed."""
    try:
        return call(*given, **named)
    except torch.OutOfMemoryError as error:
        message = str(error)
    except RuntimeError as error:
        # The allocator for CPUs has no exception of its own.
        message = str(error)
        if "out of memory" not in message.lower() and "can't allocate memory" not in message.lower():
            raise
    # Only here, where no frame of the failed call holds its tensors any longer.
    release()
    raise MemoryError(message)


def release() -> None:
    """Give back what nothing holds any longer."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
