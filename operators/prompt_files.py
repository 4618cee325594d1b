"""Prompts are files, and a hash of their text reaches all that they bring about.

A prompt has placeholders, each at most once. A paragraph all of whose placeholders are empty is
left out when it is filled.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.config import ConfigError
from schemas.ids import digest

_OWN = Path(__file__).parent / "prompt_texts"

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")

_LONGEST_PROMPT = 20_000
"""Characters; a file beyond that is no prompt."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, its placeholders checked."""

    name: str
    text: str
    version: str
    """A hash of the text."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts that belong together: those of one setting."""

    setting: str
    """Of the folder with prompts that take the place of Gloss's own."""
    names: Sequence[str]
    placeholders: Sequence[str]
    needed: str
    """The placeholder that none may lack."""

    def load(self, name: str, folder: str | None = None) -> Prompt:
        """Read a prompt.

        Args:
            name: One of `names`.
            folder: With prompts that take the place of Gloss's own; one that it lacks is Gloss's.

        Raises:
            ConfigError: The folder or a prompt in it cannot be used.
        """
        if name not in self.names:
            msg = f"Wanted a prompt of {', '.join(self.names)}; found {name!r}.{_near(name, self.names)}"
            raise ConfigError(msg)
        path = _OWN / f"{name}.md"
        if folder is not None:
            self._check_folder(Path(folder))
            if (own := Path(folder) / f"{name}.md").exists():
                path = own
        text = _read(path)
        self._check_placeholders(text, path)
        return Prompt(name, text, digest("prompt", text))

    def _check_folder(self, folder: Path) -> None:
        """Refuse a folder without prompts, or with one whose name is nearly right."""
        if not folder.is_dir():
            what = f"a folder with prompts ({self.setting}) at {folder}"
            msg = f"Wanted {what}; found none. Make it, or unset it."
            raise ConfigError(msg)
        wanted = [f"{name}.md" for name in self.names]
        found = sorted(path.name for path in folder.iterdir() if path.is_file())
        missing = [name for name in wanted if name not in found]
        strays = [
            name for name in found if name not in wanted and difflib.get_close_matches(name, missing, 1, 0.7)
        ]
        if strays or len(missing) == len(wanted):
            near = _near(strays[0], missing) if strays else ""
            names = ", ".join(strays or found[:5]) or "nothing"
            msg = f"Wanted {' or '.join(wanted)} in {folder} ({self.setting}); found {names}.{near}"
            raise ConfigError(msg)

    def _check_placeholders(self, text: str, path: Path) -> None:
        found = _PLACEHOLDER.findall(text)
        for name in found:
            if name not in self.placeholders:
                known = ", ".join(f"{{{known}}}" for known in self.placeholders)
                near = _near(name, self.placeholders)
                msg = f"{path}: wanted placeholders of {known}; found {{{name}}}.{near}"
                raise ConfigError(msg)
        if found.count(self.needed) != 1:
            count = found.count(self.needed)
            msg = f"{path}: wanted {{{self.needed}}} exactly once; found it {count} times."
            raise ConfigError(msg)
        for name in self.placeholders:
            if found.count(name) > 1:
                msg = f"{path}: wanted {{{name}}} at most once; found it {found.count(name)} times."
                raise ConfigError(msg)


def fill(prompt: Prompt, values: Mapping[str, str], around: str) -> tuple[str, str]:
    """Fill a prompt but for one placeholder; return the text before and after that.

    Args:
        prompt: As loaded.
        values: Of the other placeholders.
        around: The placeholder that is left out; its paragraph stays in any case.
    """
    kept = [paragraph for paragraph in prompt.text.split("\n\n") if _is_needed(paragraph, values, around)]
    # One pass over the prompt alone: what is filled in is never searched for placeholders.
    before, after = (
        _PLACEHOLDER.sub(lambda match: values[match[1]], part)
        for part in "\n\n".join(kept).split(f"{{{around}}}")
    )
    return before, after


def _is_needed(paragraph: str, values: Mapping[str, str], around: str) -> bool:
    names = _PLACEHOLDER.findall(paragraph)
    return not names or any(name == around or values[name] for name in names)


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


def _near(name: str, known: Sequence[str]) -> str:
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
