"""What a job takes along to the cluster: the code that runs here, files of the user, and nothing else.

Gloss is installed here as a wheel, in editable form or not at all (a checkout), and called from any
folder; so its packages are taken from where Python found them, with their data files, and what lies
around is never looked at. The distribution's metadata goes along, so that a run in the job can name its
version, and its start can check what the image lacks.
"""

import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

import cluster.start_job

PACKAGES = ("jobs", "operators", "schemas", "cluster")
"""The top-level packages of Gloss."""

GIVEN = "given"
"""Folder of the package in which files of the user lie."""

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*")


def pack(folder: Path, files: Mapping[str, Path], *, with_code: bool) -> None:
    """Lay out what becomes the working folder of each process of the job.

    Args:
        folder: An empty folder.
        files: Files and folders of the user, by the names they get below `GIVEN`.
        with_code: Take Gloss along; without, the job runs what is installed in the image.
    """
    shutil.copy(Path(cluster.start_job.__file__), folder / "start_job.py")
    if with_code:
        for name in PACKAGES:
            shutil.copytree(_found(name), folder / name, ignore=_LEFT_OUT)
        _copy_metadata(folder)
    for name, path in files.items():
        target = folder / GIVEN / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=_LEFT_OUT)
        else:
            shutil.copy(path, target)
    client = versions() | {"code": "ship" if with_code else "installed"}
    (folder / cluster.start_job.CLIENT_FILE).write_text(json.dumps(client), encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the versions of Gloss, Python and Ray here."""
    try:
        gloss = version("gloss")
    except PackageNotFoundError:
        gloss = ""  # a checkout that is not installed
    return {"gloss": gloss, "python": platform.python_version(), "ray": version("ray")}


def _found(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        msg = f"Wanted the files of Gloss's package {package}; Python does not find them."
        raise RuntimeError(msg)
    return Path(spec.origin).parent


def _copy_metadata(folder: Path) -> None:
    try:
        gloss = distribution("gloss")
    except PackageNotFoundError:
        return
    if text := gloss.read_text("METADATA") or gloss.read_text("PKG-INFO"):
        info = folder / f"gloss-{gloss.version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(text, encoding="utf-8")
