"""Name the main language of an asset.

Most scripts name their language by themselves and need only a few letters; for those shared
by many languages (Latin, Cyrillic, Arabic, Devanagari) a classifier decides, and it needs a
sentence or two before its answer is worth more than a guess.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LEAST_LETTERS = 15
"""Letters below which the classifier is not asked."""

SURE_LETTERS = 40
"""Letters below which it must be surer than `LEAST_CONFIDENCE`."""

LEAST_SCRIPT_LETTERS = 2
"""Letters of a script that belongs to one language."""

LEAST_CONFIDENCE = 0.4
"""Danish and Norwegian share their probability, and so do others; junk gets below 0.15."""

SHORT_CONFIDENCE = 0.6

MOST_CHARACTERS = 20_000
"""Length of the sample: more text does not change the answer."""

_SCRIPTS: dict[str, str] = {
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f",
    "kana": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "arabic": "\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "hebrew": "\u05d0-\u05f2\ufb1d-\ufb4f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "thai": "\u0e01-\u0e5b",
    "devanagari": "\u0900-\u097f",
    "bengali": "\u0980-\u09ff",
    "gurmukhi": "\u0a00-\u0a7f",
    "gujarati": "\u0a80-\u0aff",
    "tamil": "\u0b80-\u0bff",
    "telugu": "\u0c00-\u0c7f",
    "kannada": "\u0c80-\u0cff",
    "malayalam": "\u0d00-\u0d7f",
    "sinhala": "\u0d80-\u0dff",
    "lao": "\u0e80-\u0eff",
    "georgian": "\u10a0-\u10ff",
    "armenian": "\u0530-\u058f",
    "khmer": "\u1780-\u17ff",
    "ethiopic": "\u1200-\u137f",
    "cyrillic": "\u0400-\u052f",
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
}
_PATTERNS = {name: re.compile(f"[{letters}]") for name, letters in _SCRIPTS.items()}

_MAIN_LANGUAGE = {
    "han": "zh",
    "kana": "ja",
    "hangul": "ko",
    "arabic": "ar",
    "hebrew": "he",
    "greek": "el",
    "thai": "th",
    "devanagari": "hi",
    "bengali": "bn",
    "gurmukhi": "pa",
    "gujarati": "gu",
    "tamil": "ta",
    "telugu": "te",
    "kannada": "kn",
    "malayalam": "ml",
    "sinhala": "si",
    "lao": "lo",
    "georgian": "ka",
    "armenian": "hy",
    "khmer": "km",
    "ethiopic": "am",
}
"""The language most texts of a script are in; for short texts the best guess there is."""

_SHARED = {
    "arabic": {"ar", "fa", "ur", "ps", "ug"},
    "devanagari": {"hi", "mr", "ne"},
    "cyrillic": {"ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "mn"},
}
"""Scripts that several languages share, with those the classifier may answer."""

_ISO_639_2 = dict(
    pair.split(":")
    for pair in [
        "ara:ar",
        "bul:bg",
        "cat:ca",
        "ces:cs",
        "chi:zh",
        "cmn:zh",
        "cze:cs",
        "dan:da",
        "deu:de",
        "dut:nl",
        "ell:el",
        "eng:en",
        "est:et",
        "fas:fa",
        "fin:fi",
        "fra:fr",
        "fre:fr",
        "ger:de",
        "gre:el",
        "heb:he",
        "hin:hi",
        "hrv:hr",
        "hun:hu",
        "ind:id",
        "isl:is",
        "ita:it",
        "jpn:ja",
        "kor:ko",
        "lav:lv",
        "lit:lt",
        "may:ms",
        "msa:ms",
        "nld:nl",
        "nor:no",
        "nob:no",
        "per:fa",
        "pol:pl",
        "por:pt",
        "ron:ro",
        "rum:ro",
        "rus:ru",
        "slk:sk",
        "slo:sk",
        "slv:sl",
        "spa:es",
        "srp:sr",
        "swe:sv",
        "tam:ta",
        "tel:te",
        "tha:th",
        "tur:tr",
        "ukr:uk",
        "urd:ur",
        "vie:vi",
        "zho:zh",
    ]
)
"""Three-letter codes that containers use for the languages met most."""


_NEIGHBOURS = {"pcm": "en", "ext": "es", "an": "es", "nn": "no", "ary": "ar", "arz": "ar"}
"""Labels that take a share of a language's probability on short texts."""


def detect_language(texts: Sequence[str], stated: str | None = None) -> str | None:
    """Name the main language of some texts by its ISO 639-1 code.

    Args:
        texts: lines and utterances, in any order that is the same every time.
        stated: language the file's metadata claims; decides only where the text leaves
            more than one possible.

    Returns:
        The code, or None when there is too little text to tell.
    """
    sample = _sample(texts)
    scripts = Counter({name: len(pattern.findall(sample)) for name, pattern in _PATTERNS.items()})
    # Han and Kana mix in Japanese; a Chinese text has no Kana.
    if scripts["kana"] * 20 >= scripts["han"] and scripts["kana"] >= LEAST_SCRIPT_LETTERS:
        scripts["kana"] += scripts.pop("han", 0)
    # A letter of Han or Hangul says about as much as two or three Latin ones.
    for dense in ("han", "hangul", "kana"):
        scripts[dense] *= 2
    script, letters = max(scripts.items(), key=lambda item: (item[1], item[0]))
    if script in _MAIN_LANGUAGE and script not in _SHARED:
        return _MAIN_LANGUAGE[script] if letters >= LEAST_SCRIPT_LETTERS else None
    if letters < LEAST_LETTERS:
        return _MAIN_LANGUAGE.get(script) if letters >= LEAST_SCRIPT_LETTERS else None
    return _classify(_only(sample, script), script, iso_639_1(stated))


def load_identifier() -> None:
    """Load what `detect_language` needs for Latin letters now, not when it is first asked: 0.8 s of CPU."""
    _identifier()


def iso_639_1(tag: str | None) -> str | None:
    """Reduce a language tag (`en-US`, `eng`) to two letters; None when it names none."""
    if not tag:
        return None
    primary = re.split(r"[-_]", tag.strip().lower())[0]
    return primary if len(primary) == 2 else _ISO_639_2.get(primary)


def _sample(texts: Sequence[str]) -> str:
    """Take distinct texts evenly from the whole, up to `MOST_CHARACTERS`."""
    distinct = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    total = sum(len(text) for text in distinct)
    step = max(1, -(-total // MOST_CHARACTERS))
    return "\n".join(distinct[::step])[: 2 * MOST_CHARACTERS]


def _only(sample: str, script: str) -> str:
    """Keep the words that have a letter of the script, so that mixed texts do not blur."""
    pattern = _PATTERNS[script]
    return " ".join(word for word in sample.split() if pattern.search(word))


def _classify(text: str, script: str, stated: str | None) -> str | None:
    scores: Counter[str] = Counter()
    for label, score in _identifier().rank(text):
        scores[_NEIGHBOURS.get(label, label)] += score
    allowed = _SHARED.get(script) or _latin()
    ranked = sorted(
        ((score, name) for name, score in scores.items() if name in allowed),
        key=lambda pair: (-pair[0], pair[1]),
    )
    score, best = ranked[0]
    least = LEAST_CONFIDENCE if len(text) >= SURE_LETTERS else SHORT_CONFIDENCE
    if score >= least:
        return best
    if stated in [name for _, name in ranked[:3]]:
        return stated
    return _MAIN_LANGUAGE.get(script)


@cache
def _identifier() -> "LanguageIdentifier":
    # Decoders only compare codes of languages, and are spared 0.1 s for each process.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _latin() -> set[str]:
    """Languages written in Latin letters: those the other scripts do not claim."""
    others = set(_MAIN_LANGUAGE.values()).union(*_SHARED.values())
    return {label for label in _identifier().labels if len(label) == 2} - others
