"""Weights of one kind of model: found, fetched, refused, pinned, and listed.

A model is a folder, or a repository on the Hugging Face hub. Before the first item the driver
finds it, fetches it if it has to, refuses it if no engine could read it, and pins what it found:
the commit, or a digest of the folder. Every worker then loads exactly that. What differs between
models that see, that read and that make vectors is said by a `Kind`.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from operators.checkpoint_files import CheckpointError
from operators.hub import (
    ModelError,
    Say,
    cached,
    digest_of_files,
    fetch_files,
    is_commit,
    is_path,
    snapshots,
)
from operators.hub_files import is_whole, read_or_empty
from schemas.section import Section

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def is_folder(model: str) -> bool:
    """Tell whether a model is meant as a folder: written like a path, or there."""
    return is_path(model) or Path(model).exists()


def short_name(model: str) -> str:
    """Name a model for people: by the last part of its folder or repository."""
    return Path(model).expanduser().resolve().name if is_folder(model) else model.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model in the cache of this node."""

    name: str
    """Its repository."""
    bytes: int
    revision: str
    refs: tuple[str, ...]
    """Branches and tags that point to it."""
    folder: str
    problem: str | None
    """Why it cannot be read, if it cannot."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is wanted of a model."""

    section: str
    """Of the configuration that names it; also the option of `gloss models pull`."""
    examples: Sequence[str]
    files: Sequence[str]
    """Patterns of the files that an engine reads."""
    check: Callable[[Path], None]
    """Raises a `CheckpointError` for a folder that no engine can read."""
    lacks: Callable[[Sequence[str]], str | None]
    """Says by the names of its files why a repository with safetensors holds another kind of model."""
    what: str
    """For messages: `a vision-language model`."""
    instead: str
    """What to take in place of another kind: `one that sees`."""
    setting: str = "model"
    """Of the section, that names it."""
    also: Sequence[str] = ()
    """Patterns of files that are fetched with it: by them another kind reads the same repository."""
    if_changed: str = "Put the same on every node and start again."
    """What to do where a folder holds others than it did."""

    # --- names ------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """What names it in the configuration: `vision.model`."""
        return f"{self.section}.{self.setting}"

    @property
    def revision_setting(self) -> str:
        """The setting of its revision."""
        return "revision" if self.setting == "model" else f"{self.setting}_revision"

    def named(self, settings: Section) -> tuple[str, str | None]:
        """Return the model that its section names, empty for none, and the revision."""
        return getattr(settings, self.setting) or "", getattr(settings, self.revision_setting)

    def check_repository(self, model: str) -> str | None:
        """Tell why a name cannot be one of a repository, or None."""
        if _REPOSITORY.fullmatch(model):
            return None
        known = {example.rpartition("/")[2]: example for example in self.examples}
        near = difflib.get_close_matches(model.rpartition("/")[2], known, n=1)
        hint = f" Did you mean {known[near[0]]}?" if near else ""
        return (
            f"Wanted {self.key} to be a repository with its owner ({self.examples[0]}) or a folder that is "
            f"there; found {model!r}.{hint}"
        )

    def pull(self, model: str) -> str:
        """Return the command that fetches a model."""
        return f"gloss models pull --{self.section} {model}"

    # --- in the driver ----------------------------------------------------------------------

    def find(self, model: str, revision: str | None, say: Say) -> str:
        """Find a model, or fetch it, and see that the engine can read it.

        Args:
            model: Name or folder.
            revision: Branch, tag or commit; null takes what the cache holds, else the newest.
            say: Tells what is fetched.

        Returns:
            Its revision: the commit, or the digest of the folder.

        Raises:
            ModelError: It is not here and could not be fetched.
            CheckpointError: It cannot be read.
        """
        if is_folder(model):
            folder = Path(model).expanduser()
            self.check(folder)
            return self.digest(folder)
        folder = self._cached(model, revision) or self._fetched(model, revision, say)
        try:
            self.check(folder)
        except CheckpointError as error:
            advice = f" It came from {model}; if it is damaged, `{self.pull(model)}` fetches it again."
            raise CheckpointError(str(error) + advice) from None
        return folder.name

    def _fetched(self, model: str, revision: str | None, say: Say) -> Path:
        try:
            return self.fetch(model, revision, say)
        except ModelError as error:
            advice = (
                f" Run `{self.pull(model)}` where the hub can be reached, or name a folder: "
                f"--set {self.key}=FOLDER."
            )
            raise ModelError(str(error) + advice) from None

    # --- in a worker ------------------------------------------------------------------------

    def folder(self, model: str, revision: str | None, *, fetch: bool = True) -> Path:
        """Return the folder with the weights, on this node.

        Several workers of a node that find nothing fetch once: the hub's client locks each file.

        Args:
            model: As the driver resolved it.
            revision: As it pinned it.
            fetch: Whether to fetch them if they are not here.

        Raises:
            CheckpointError: The weights are not here and cannot be fetched, or are others.
        """
        if is_folder(model):
            return self._pinned(Path(model).expanduser(), revision)
        if (folder := self._cached(model, revision)) is not None:
            return folder
        if not fetch:
            at = f" at {revision}" if revision else ""
            msg = f"Wanted {model}{at} in the cache; found none that is whole. Run `{self.pull(model)}`."
            raise CheckpointError(msg)
        try:
            return self._fetched(model, revision, lambda _: None)
        except ModelError as error:
            raise CheckpointError(str(error)) from None

    def _pinned(self, folder: Path, revision: str | None) -> Path:
        self.check(folder)
        if revision is not None and (found := self.digest(folder)) != revision:
            msg = (
                f"Wanted the model with the digest {revision} in {folder}, as the run began with; found "
                f"{found}: its files were changed, or are others on this node. {self.if_changed}"
            )
            raise CheckpointError(msg)
        return folder

    def revision(self, model: str, pinned: str | None) -> str:
        """Return the revision of the weights, without reading them where it is pinned.

        Raises:
            CheckpointError: They are not here.
        """
        if pinned is not None and (is_commit(pinned) or is_folder(model)):
            return pinned
        folder = self.folder(model, pinned, fetch=False)
        return self.digest(folder) if is_folder(model) else folder.name

    def digest(self, folder: Path) -> str:
        """Hash the files of a model that an engine reads."""
        return digest_of_files(folder, self.files)

    # --- the cache and the hub --------------------------------------------------------------

    def installed(self, resembles: Callable[[Mapping[str, Any]], bool]) -> list[InstalledModel]:
        """List the models in the cache of the hub's client.

        Args:
            resembles: Whether a config.json is of this kind, of models that cannot be read: other
                programs keep other models there.
        """
        models = [
            InstalledModel(
                name=one.repo,
                bytes=one.bytes,
                revision=one.revision,
                refs=one.refs,
                folder=str(one.folder),
                problem=self.problem(one.folder),
            )
            for one in snapshots()
            if is_whole(one.folder)
        ]
        return [
            one
            for one in models
            if one.problem is None or resembles(read_or_empty(Path(one.folder) / "config.json"))
        ]

    def problem(self, folder: Path) -> str | None:
        """Tell why a folder cannot be read, or None."""
        try:
            self.check(folder)
        except CheckpointError as error:
            return str(error)
        return None

    def _cached(self, repo: str, revision: str | None) -> Path | None:
        folder = cached(repo, self.files, revision)
        return folder if folder is not None and is_whole(folder) else None

    def fetch(self, repo: str, revision: str | None, say: Say) -> Path:
        """Fetch a model into the cache and compare it with what the hub says of it.

        Args:
            repo: On the hub.
            revision: Branch, tag or commit; null takes the newest.
            say: Told what is fetched, from where and how large.

        Returns:
            The folder, named like the commit.

        Raises:
            ModelError: The hub cannot be reached, has no such model, broke off, or gave something
                else than it says.
            CheckpointError: The repository holds nothing that an engine reads.
        """
        return fetch_files(repo, (*self.files, *self.also), revision, say, partial(self._refuse, repo))

    def _refuse(self, repo: str, chosen: Sequence[str], all_files: Mapping[str, int]) -> None:
        """Refuse a repository of another format or kind before gigabytes are fetched."""
        names = ", ".join(sorted(all_files)[:8]) or "no files"
        if not any("/" not in name and name.endswith(".safetensors") for name in chosen):
            pickles = any(name.endswith((".bin", ".pt", ".pth")) for name in all_files)
            why = "its weights are pickles alone, which can hold any program" if pickles else "no safetensors"
            other = "Take a repository with model.safetensors, or convert it: save_pretrained() writes them."
        elif (lack := self.lacks(chosen)) is not None:
            why, other = lack, f"Name {self.instead}, such as {self.examples[0]}."
        else:
            return
        msg = f"Wanted {self.what} for transformers in {repo}; found {names}: {why}. {other}"
        raise CheckpointError(msg)
