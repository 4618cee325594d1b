"""What a model says around its answer is taken off: thoughts, fences, preambles, hidden signs.

Only what is certainly not the answer goes. A transcription may begin with anything that a page
may begin with, so less is taken from one.
"""

import re
import unicodedata

_THOUGHT_END = re.compile(r"</think>|◁/think▷", re.IGNORECASE)
"""Templates that begin the thought themselves leave only its end in the answer."""
_THOUGHT_BEGIN = re.compile(r"\s*(?:<think>|◁think▷)", re.IGNORECASE)

_CONTROL_TOKEN = re.compile(
    r"<[|｜][\w▁ ./-]{1,40}[|｜]>|</?s>|<(?:bos|eos|pad|unk|(?:start|end)_of_turn|end_of_utterance)>"
)

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?```", re.DOTALL)
_FENCE_BEGIN = re.compile(r"```(?:markdown|md|text|html)?[ \t]*\n(?=[^`]*$)", re.IGNORECASE)
"""A fence that an answer cut off never closes."""

_MARKED = re.compile(r"^=== (?:begin|end) [0-9a-f]{8} ===$", re.MULTILINE)
_BAR = re.compile(r"^\| ?", re.MULTILINE)

_ASSENT = (
    r"(?:sure|certainly|of course|okay|ok|absolutely|gerne|natürlich|sicher|klar|bien sûr|certainement|"
    r"d'accord|claro|por supuesto|certo|好的|当然|没问题)"
)
_HERE = (
    r"(?:here(?:'s|’s| is| are)|hier (?:ist|sind|kommt)|voici|aquí (?:está|tiene|tienes)|ecco|以下是|这是)"
)
_THING = (
    r"(?:caption|description|summary|transcri\w+|markdown|answer|sentences?|beschreibung|antwort|"
    r"zusammenfassung|abschrift|légende|réponse|descripción|respuesta|resumen|transcripción|描述|说明|转录)"
)
_PREAMBLE = re.compile(
    rf"(?:{_ASSENT}\s*[,.!:，。！：]?\s*)?{_HERE}[^\n.。:：]{{0,80}}?{_THING}[^\n.。:：]{{0,60}}[:：]\s*",
    re.IGNORECASE,
)
_BARE_ASSENT = re.compile(rf"{_ASSENT}\s*[!！,，.:：]\s*(?:\n+|(?={_HERE}))", re.IGNORECASE)
_LABEL = re.compile(
    r"[*_#\s]*(?:caption|description|answer|assistant|beschreibung|antwort|légende|réponse|descripción|respuesta|描述|回答)"
    r"[*_]*\s*[:：][*_]*\s*",
    re.IGNORECASE,
)

_QUOTES = (('"', '"'), ("“", "”"), ("„", "“"), ("«", "»"), ("「", "」"), ("'", "'"), ("‘", "’"))

_JOINERS = "\u200c\u200d"
"""Persian, Indic scripts and emoji need them."""


def clean_answer(text: str, *, verbatim: bool = False) -> str:
    """Reduce what a model said to its answer.

    Args:
        text: As the model gave it.
        verbatim: It is a transcription, whose own quotes, labels and first words must stay.
    """
    text = _thoughtless(_visible(text))
    text = _CONTROL_TOKEN.sub("", text).strip()
    if _MARKED.search(text):
        text = _BAR.sub("", _MARKED.sub("", text)).strip()
    text = _unfenced(text)
    text = _BARE_ASSENT.sub("", text, count=1) if _BARE_ASSENT.match(text) else text
    preamble = _PREAMBLE.match(text)
    if preamble is not None and preamble.end() < len(text):
        text = _unfenced(text[preamble.end() :])
    if not verbatim:
        label = _LABEL.match(text)
        text = _unquoted(text[label.end() :] if label else text)
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _visible(text: str) -> str:
    """Take off what shows nothing: controls, surrogates, directions, signs of zero width."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        sign
        for sign in lines
        if sign in "\n\t" or sign in _JOINERS or unicodedata.category(sign) not in ("Cc", "Cf", "Cs")
    )


def _thoughtless(text: str) -> str:
    """Take what follows the last thought; a thought that never ends leaves nothing."""
    end = max((match.end() for match in _THOUGHT_END.finditer(text)), default=0)
    return "" if _THOUGHT_BEGIN.match(text, end) else text[end:]


def _unfenced(text: str) -> str:
    text = text.strip()
    if (whole := _FENCED.fullmatch(text)) is not None and "```" not in whole[1]:
        return whole[1].strip()
    return _FENCE_BEGIN.sub("", text, count=1) if _FENCE_BEGIN.match(text) else text


def _unquoted(text: str) -> str:
    text = text.strip()
    for begin, end in _QUOTES:
        inner = text[1:-1]
        if len(text) > 2 and text[0] == begin and text[-1] == end and begin not in inner and end not in inner:
            return inner.strip()
    return text
