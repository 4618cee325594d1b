"""A tiny language model that sums up by quoting: it writes down the first two numbered lines it is shown.

Asked anything about quoted text whose lines are numbered (`| [1] …`), it answers
`{"sentences":[{"text":"<line 1>","evidence":[1]},{"text":"<line 2>","evidence":[2]}]}`, so that a test can
tell a right answer from a wrong one. It is a SmolLM3 with 637,000 parameters; `python -m tests.train_tiny_lm`
made it.
"""

from pathlib import Path

TINY_LM = Path(__file__).parent / "tiny_lm"
"""A folder as `save_pretrained` writes it."""

CONTEXT = 8192
"""Tokens that it takes; it was trained on prompts of at most some 700."""


def answer_to(lines: list[str]) -> str:
    """Return the right answer to a prompt with these lines of evidence, numbered from 1."""
    shown = enumerate(lines[:2], 1)
    return '{"sentences":[' + ",".join(f'{{"text":"{line}","evidence":[{at}]}}' for at, line in shown) + "]}"
