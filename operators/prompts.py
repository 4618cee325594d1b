"""What a vision-language model is told: prompts are files, and their hash reaches every caption.

A prompt has placeholders: `{pictures}` once, and at most once each `{seen}` (text read in the
pictures, quoted), `{said}` (what is said meanwhile, quoted) and `{language}` (`German (de)`). A
paragraph all of whose placeholders are empty is left out.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from operators.language import iso_639_1
from operators.quote import quoted
from operators.vision_engine import Pixels, Request
from schemas.config import ConfigError
from schemas.failure import InputError, Reason
from schemas.ids import digest
from schemas.look import Glance, Look, Shown

NAMES = ("caption", "read")
"""Of the prompts there are."""

_OWN = Path(__file__).parent / "prompt_texts"

_PLACEHOLDERS = ("pictures", "seen", "said", "language")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")

_LONGEST_PROMPT = 20_000
"""Characters; a file beyond that is no prompt."""

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


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, its placeholders checked."""

    name: str
    text: str
    version: str
    """A hash of the text."""


def load_prompt(name: str, folder: str | None = None) -> Prompt:
    """Read a prompt.

    Args:
        name: `caption` or `read`.
        folder: With prompts that take the place of Gloss's own; one that it lacks is Gloss's.

    Raises:
        ConfigError: The folder or a prompt in it cannot be used.
    """
    if name not in NAMES:
        msg = f"Wanted a prompt of {', '.join(NAMES)}; found {name!r}.{_near(name, NAMES)}"
        raise ConfigError(msg)
    path = _OWN / f"{name}.md"
    if folder is not None:
        _check_folder(Path(folder))
        if (own := Path(folder) / f"{name}.md").exists():
            path = own
    text = _read(path)
    _check_placeholders(text, path)
    return Prompt(name, text, digest("prompt", text))


def lay_out(look: Look, prompt: Prompt) -> list[str | int]:
    """Fill a prompt: text, and indices of the look's glances, in the order the model meets them.

    Two texts never follow each other, so what stands between two pictures is one text.
    """
    values = {
        "seen": quoted(look.seen),
        "said": quoted(look.said),
        "language": language_name(look.language),
        "pictures": "pictures",
    }
    kept = [paragraph for paragraph in prompt.text.split("\n\n") if _is_needed(paragraph, values)]
    # One pass over the prompt alone: what is filled in is never searched for placeholders.
    before, after = (
        _PLACEHOLDER.sub(lambda match: values[match[1]], part)
        for part in "\n\n".join(kept).split("{pictures}")
    )
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
        return f"picture at {_clock(glance.time_seconds, tenths)}"
    return "picture" if glance.page is None else f"page {glance.page}"


def _clock(seconds: float, tenths: bool) -> str:
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


def _is_needed(paragraph: str, values: dict[str, str]) -> bool:
    names = _PLACEHOLDER.findall(paragraph)
    return not names or any(values[name] for name in names)


def _check_folder(folder: Path) -> None:
    """Refuse a folder without prompts, or with one whose name is nearly right."""
    if not folder.is_dir():
        msg = f"Wanted a folder with prompts (vision.prompts) at {folder}; found none. Make it, or unset it."
        raise ConfigError(msg)
    wanted = [f"{name}.md" for name in NAMES]
    found = sorted(path.name for path in folder.iterdir() if path.is_file())
    missing = [name for name in wanted if name not in found]
    strays = [
        name for name in found if name not in wanted and difflib.get_close_matches(name, missing, 1, 0.7)
    ]
    if strays or len(missing) == len(wanted):
        near = _near(strays[0], missing) if strays else ""
        names = ", ".join(strays or found[:5]) or "nothing"
        msg = f"Wanted {' or '.join(wanted)} in {folder} (vision.prompts); found {names}.{near}"
        raise ConfigError(msg)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"Wanted a prompt as UTF-8 text at {path}; it cannot be read ({error})."
        raise ConfigError(msg) from None
    if len(text) > _LONGEST_PROMPT:
        msg = f"Wanted a prompt of at most {_LONGEST_PROMPT} characters at {path}; found {len(text)}."
        raise ConfigError(msg)
    return re.sub(r"\n[ \t]*(\n[ \t]*)+", "\n\n", text).strip()


def _check_placeholders(text: str, path: Path) -> None:
    found = _PLACEHOLDER.findall(text)
    for name in found:
        if name not in _PLACEHOLDERS:
            known = ", ".join(f"{{{known}}}" for known in _PLACEHOLDERS)
            msg = f"{path}: wanted placeholders of {known}; found {{{name}}}.{_near(name, _PLACEHOLDERS)}"
            raise ConfigError(msg)
    if found.count("pictures") != 1:
        msg = f"{path}: wanted {{pictures}} exactly once; found it {found.count('pictures')} times."
        raise ConfigError(msg)
    for name in _PLACEHOLDERS:
        if found.count(name) > 1:
            msg = f"{path}: wanted {{{name}}} at most once; found it {found.count(name)} times."
            raise ConfigError(msg)


def _near(name: str, known: Sequence[str]) -> str:
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
