"""What a vision-language model is told: prompts are files, and their hash reaches every caption.

A prompt has placeholders: `{pictures}` once, and at most once each `{seen}` (text read in the
pictures, quoted), `{said}` (what is said meanwhile, quoted), `{sentence}` (that is to be checked, quoted)
and `{language}` (`German (de)`). A paragraph all of whose placeholders are empty is left out.
"""

import re
from collections.abc import Sequence

import numpy as np

from operators.language import iso_639_1
from operators.prompt_files import Prompt, Prompts, fill
from operators.quote import quoted
from operators.vision_engine import Pixels, Request
from schemas.failure import InputError, Reason
from schemas.look import Glance, Look, Shown

NAMES = ("caption", "read", "check")
"""Of the prompts there are."""

CHECK = "check"
"""The prompt that asks what of a sentence can be seen; the look has it in the place of what is said."""

PROMPTS = Prompts(
    "vision.prompts", NAMES, ("pictures", "seen", "said", "sentence", "language"), needed="pictures"
)

_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(-[A-Za-z0-9]{1,8})*")
"""A tag by BCP 47. What a file states as its language may be anything, also an instruction."""

_NO_LANGUAGE = {"und", "mul", "zxx", "mis"}

_LANGUAGES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "ms": "Malay",
    "nb": "Norwegian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def load_prompt(name: str, folder: str | None = None) -> Prompt:
    """Read a prompt.

    Args:
        name: One of `NAMES`.
        folder: With prompts that take the place of Gloss's own; one that it lacks is Gloss's.

    Raises:
        ConfigError: The folder or a prompt in it cannot be used.
    """
    return PROMPTS.load(name, folder)


def lay_out(look: Look, prompt: Prompt) -> list[str | int]:
    """Fill a prompt: text, and indices of the look's glances, in the order the model meets them.

    Two texts never follow each other, so what stands between two pictures is one text.
    """
    values = {
        "seen": quoted(look.seen),
        "said": "" if look.prompt == CHECK else quoted(look.said),
        "sentence": quoted(look.said) if look.prompt == CHECK else "",
        "language": language_name(look.language),
    }
    before, after = fill(prompt, values, around="pictures")
    parts: list[str | int] = []
    between = before
    for index, label in enumerate(labels(look.glances)):
        parts += [f"{between}{label}\n", index]
        between = "\n"
    if not parts:
        return [before + after]
    return [*parts, after] if after else parts


def request_of(look: Look, shown: Sequence[Shown], prompt: Prompt) -> Request:
    """Make the question of a look and the pictures that were decoded for it.

    Args:
        look: As planned.
        shown: One for each glance, in order.
        prompt: The one the look names.

    Raises:
        InputError: What was decoded is not what was planned.
    """
    if len(shown) != len(look.glances):
        msg = f"Wanted {len(look.glances)} pictures for clip {look.clip}, as planned; found {len(shown)}."
        raise InputError(Reason.INTERNAL, msg)
    pictures = [_pixels(*pair) for pair in zip(look.glances, shown, strict=True)]
    return Request(
        parts=[part if isinstance(part, str) else pictures[part] for part in lay_out(look, prompt)],
        visual_tokens=look.visual_tokens,
        text_tokens=look.text_tokens,
        times=[None if glance.box else glance.time_seconds for glance in look.glances],
    )


def labels(glances: Sequence[Glance]) -> list[str]:
    """Say of each picture when or where it is: `Picture at 1:05:`, `Page 3:`."""
    whole = [
        glance.time_seconds for glance in glances if glance.box is None and glance.time_seconds is not None
    ]
    tenths = len({int(at) for at in whole}) < len(set(whole))
    return [_label(glance, tenths) for glance in glances]


def language_name(tag: str | None) -> str:
    """Name a language for a sentence: `German (de)`; empty for none, and for what is no tag."""
    match = _LANGUAGE.fullmatch(tag or "")
    if match is None or match[1].lower() in _NO_LANGUAGE:
        return ""
    name = _LANGUAGES.get(iso_639_1(match[0]) or "")
    return f"{name} ({match[0]})" if name else f"the language with the code {match[0]}"


def _label(glance: Glance, tenths: bool) -> str:
    whole = _whole(glance, tenths)
    if glance.box is None:
        return f"{whole[0].upper()}{whole[1:]}:"
    box = glance.box
    across = ("left", "middle", "right")[min(2, int(1.5 * (box.x0 + box.x1)))]
    down = ("upper", "", "lower")[min(2, int(1.5 * (box.y0 + box.y1)))]
    place = f"{down} {across}".strip()
    return f"Part of {'the ' if whole.startswith('picture') else ''}{whole}, {place}, enlarged:"


def _whole(glance: Glance, tenths: bool) -> str:
    if glance.time_seconds is not None:
        return f"picture at {clock(glance.time_seconds, tenths)}"
    return "picture" if glance.page is None else f"page {glance.page}"


def clock(seconds: float, tenths: bool = False) -> str:
    """Write a time as `1:05`, `1:01:05` or `1:05.3`; rounded down, so never after the picture."""
    count = int(seconds * 10 + 1e-6)
    minutes, rest = divmod(count, 600)
    text = f"{rest // 10:02d}" + (f".{rest % 10}" if tenths else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"


def _pixels(glance: Glance, shown: Shown) -> Pixels:
    size = (shown.width_px, shown.height_px)
    if size != (glance.width_px, glance.height_px):
        msg = (
            f"Wanted a picture of {glance.width_px}x{glance.height_px} pixels, as planned; "
            f"found {size[0]}x{size[1]}."
        )
        raise InputError(Reason.INTERNAL, msg)
    if len(shown.pixels) != 3 * size[0] * size[1]:
        msg = (
            f"Wanted {3 * size[0] * size[1]} bytes for {size[0]}x{size[1]} pixels; found {len(shown.pixels)}."
        )
        raise InputError(Reason.INTERNAL, msg)
    return np.frombuffer(shown.pixels, np.uint8).reshape(size[1], size[0], 3)
