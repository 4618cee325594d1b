"""What is scheduled: one command and its configuration, the same whoever starts it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from schemas.config import Config
from schemas.timetable import Timetable

CONFIG_FILE = "gloss.yaml"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A nightly run as its scheduler has to start it."""

    sources: tuple[str, ...]
    lake: str
    config: Config
    timetable: Timetable
    options: tuple[str, ...] = ()
    """Further options of the command (`--prune`)."""

    def arguments(self, config_file: str, *more: str) -> list[str]:
        """Return the arguments of `gloss`.

        Args:
            config_file: Where its configuration lies when it is started.
            more: Further options.
        """
        end = ("--", *self.sources)  # nothing behind it is taken for an option
        return ["nightly", "--lake", self.lake, "--config", config_file, *more, *self.options, *end]

    def config_text(self) -> str:
        """Write down what of the configuration is not a default, as YAML that `--config` reads.

        What was not set stays unset: that an engine was never named means something to a run.
        """
        given = self.config.model_dump(mode="json", exclude_unset=True, exclude={"deployment"})
        return dump_yaml(given)


class _Dumper(yaml.SafeDumper):
    """Writes text so that YAML 1.1 and 1.2 read it alike."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's name
        """Write what is used twice out twice."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    lines = text.splitlines()
    if len(lines) > 1 and text == "\n".join([*lines, ""]) and all(line.isprintable() for line in lines):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    # `1e3` is a text to PyYAML and a number to Go; so is much else that begins like a number.
    quoted = text[:1].isdigit() or text[:1] in "+-." or not text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def dump_yaml(*documents: Mapping[str, Any]) -> str:
    """Write documents as YAML, in the order of their keys."""
    several = len(documents) > 1
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, explicit_start=several
    )
