"""How much of a known text was found."""

import re
import unicodedata
from collections import Counter


def words(text: str) -> list[str]:
    """Words for comparison: folded, without punctuation; each Chinese character is a word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.findall(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+", folded)


def hits(truth: str, found: str) -> tuple[int, int]:
    """Count the true words that were found, each as often as it stands in the truth, and all of them."""
    wanted, have = Counter(words(truth)), Counter(words(found))
    return sum((wanted & have).values()), sum(wanted.values())


def recall(truth: str, found: str) -> float:
    """Share of the true words that were found."""
    hit, wanted = hits(truth, found)
    return hit / wanted
