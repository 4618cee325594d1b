"""Text that was written by others is kept from steering a model.

What is quoted in a question may hold `<|im_end|>` or `<image>`, by chance or on purpose. A tokenizer
takes that for the end of a turn or the place of a picture, wherever it stands.
"""

from collections.abc import Set
from itertools import count
from typing import Any

_BREAKS = 3
"""Times a token is broken up before it is dropped instead."""


def control_tokens(tokenizer: Any) -> frozenset[int]:
    """List the tokens that no text may become: all that were added to the vocabulary but runs of spaces."""
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if str(token).strip()}
    # A character that is not known steers nothing.
    return frozenset(added | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}


def plain_text(text: str, tokenizer: Any, control: Set[int]) -> str:
    """Break up whatever in a text the tokenizer takes for one of its control tokens, by a space.

    The tokenizer itself is asked, so that what it folds together (a full-width `＜`) is found too.

    Args:
        text: All that stands between two pictures: a token may lie across two pieces of it.
        tokenizer: Of transformers, a fast one.
        control: What `control_tokens` found.

    Returns:
        A text that has none of these tokens; the same one if it had none.
    """
    for attempt in count():
        spans = _spans(text, tokenizer, control)
        if not spans:
            break
        for start, end in reversed(spans):
            found = text[start:end]
            at = len(found) - len(found.lstrip()) + 1
            # A token of one character cannot be broken up, and some take spaces along: those are dropped.
            broken = f"{found[:at]} {found[at:]}" if attempt < _BREAKS else ""
            text = text[:start] + broken + text[end:]
    return text


def _spans(text: str, tokenizer: Any, control: Set[int]) -> list[tuple[int, int]]:
    """Find control tokens in a text, as start and end in characters, in order."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    tokens = zip(found["input_ids"], found["offset_mapping"], strict=True)
    return [(start, end) for token, (start, end) in tokens if token in control and end > start]
