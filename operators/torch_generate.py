"""What every model that generates text on PyTorch has in common: memory, ends, and how answers are drawn."""

import gc
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from transformers import GenerationConfig, LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from operators.vision_engine import Generation

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


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
