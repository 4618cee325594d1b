"""Text out of a corpus is quoted to a model so that it can neither pose as an instruction nor end the quote.

What was read in a picture or heard is data that anybody may have written. It stands between two
marks made of its own hash, which it cannot contain, and each of its lines begins with a bar, so
that no line of it is a mark or the header of a turn. What a tokenizer might take for a control token,
or a chat template for a new speaker, is written with look-alike signs instead:

- `<` before anything but a space becomes `‹` (`<|im_end|>`, `<image>`, `</s>`, `<start_of_turn>`),
- `[` before a single word and `]` becomes `⟦` (`[INST]`, `[/INST]`, `[IMG]`, `[img-0]`),
- the colon after the name of a speaker becomes `∶` (`ASSISTANT:`, as templates of plain text have it).

Reading these signs backwards gives the text again; control characters, signs of zero width,
directions of writing and private characters are gone for good, because they show nothing.
"""

import re
import unicodedata
from collections.abc import Callable

from schemas.ids import digest

_MARK_DIGITS = 8
"""Hexadecimal digits of a mark; some five tokens."""

_HIDDEN = {"Cc", "Cf", "Cs", "Co"}
"""Unicode categories of controls, formats (zero width, directions, tags), surrogates, private use."""

# Signs that compatibility normalisation, which some tokenizers do, turns into the plain ones count too.
_TAG = re.compile(r"[<＜﹤](?=\S)")
_BRACKET = re.compile(r"[\[［](?=[/／]?[^\W\d][\w\-]*[\]］])")
_SPEAKER = re.compile(
    r"\b(user|assistant|system|human|developer|tool|bot|gpt|model|question|answer)(\s*)[:：﹕︓]",
    re.IGNORECASE,
)

_ALONE = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Japanese and Chinese, written without spaces."""

_WORD = re.compile(rf"[{_ALONE}]|[^\s{_ALONE}]+")

_SPACES = re.compile(r"[^\S\n]+")


def quoted(text: str) -> str:
    """Put text between marks, a bar before each line; empty for text that shows nothing."""
    plain = neutral(text)
    if not plain:
        return ""
    mark = _mark(plain)
    lines = "\n".join(f"| {line}" for line in plain.split("\n"))
    return f"=== begin {mark} ===\n{lines}\n=== end {mark} ==="


def neutral(text: str) -> str:
    """Take from text what is hidden or could be taken for a control token or a speaker's turn.

    Returns:
        Lines, none of them empty.
    """
    lines = (_visible(line) for line in text.splitlines())
    plain = "\n".join(line for line in lines if line)
    plain = _TAG.sub("‹", plain)
    plain = _BRACKET.sub("⟦", plain)
    return _SPEAKER.sub(r"\1\2∶", plain)


def cut_to(text: str, most: int, count: Callable[[str], int]) -> str:
    """Cut text to so many tokens as it is quoted, at the end of a word, with `…` where it was cut.

    Args:
        text: To be quoted.
        most: Tokens that `quoted` of the result may have.
        count: Counts tokens; more text must not have fewer.

    Returns:
        The text itself where it fits, else its longest beginning that does; empty where none does.
    """
    if count(quoted(text)) <= most:
        return text
    ends = _ends(text)

    def fits(words: int) -> bool:
        return count(quoted(_cut(text, ends[words - 1]))) <= most

    # Doubling first, so that of a long text only a little more than what fits is looked at.
    fails = 1
    while fails <= len(ends) and fits(fails):
        fails *= 2
    kept, fails = fails // 2, min(fails, len(ends) + 1)
    while fails - kept > 1:
        middle = (kept + fails) // 2
        kept, fails = (middle, fails) if fits(middle) else (kept, middle)
    return _cut(text, ends[kept - 1]) if kept else ""


def _visible(line: str) -> str:
    shown = (" " if sign == "\t" else sign for sign in line)
    kept = "".join(sign for sign in shown if unicodedata.category(sign) not in _HIDDEN)
    return _SPACES.sub(" ", kept).strip()


def _mark(plain: str) -> str:
    """Make a mark that the text does not contain; nobody can know it before the text is written."""
    attempt = 0
    while (mark := digest("mark", str(attempt), plain)[:_MARK_DIGITS]) in plain:
        attempt += 1
    return mark


def _ends(text: str) -> list[int]:
    """List where words end; in writing without spaces each character is a word."""
    ends = [match.end() for match in _WORD.finditer(text)]
    return ends[:-1]


def _cut(text: str, end: int) -> str:
    begun = text[:end].rstrip(" ,;:")
    return f"{begun}…" if begun else ""
