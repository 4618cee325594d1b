"""`gloss schedule`: the same ingest every night, by whatever runs things at night where you are.

It renders files and starts nothing. What they start is `gloss nightly` with the configuration given here.
"""

import getpass
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.cron import render_crontab
from cluster.kuberay import render_nightly, render_once
from cluster.ray_job import uses_gpus
from cluster.ray_up import render_cluster
from cluster.scheduled import CONFIG_FILE, Scheduled
from cluster.systemd import render_units
from jobs.output import note
from jobs.places import absolute
from jobs.portable import check_elsewhere, check_secrets, is_local, same_anywhere, with_absolute_paths
from schemas.config import Config, ConfigError
from schemas.timetable import Timetable, parse_timetable

EXIT_OK = 0
TARGETS = ("kuberay", "cron", "systemd", "ray-up")

_DEFAULT_TIME = "30 2 * * *"


def run_schedule(
    sources: Sequence[str],
    lake: str,
    config: Config,
    *,
    target: str,
    at: str | None = None,
    timezone: str | None = None,
    output: Path | None = None,
    options: Sequence[str] = (),
) -> int:
    """Render what starts `gloss nightly` every night.

    Args:
        sources: As of ingest.
        lake: As of ingest.
        config: The configuration of the run, and where it is to take place (`deployment`).
        target: kuberay, cron, systemd; ray-up for the cluster alone.
        at: Cron expression or HH:MM; null takes `nightly.schedule`, else 02:30.
        timezone: Of it; null takes `nightly.timezone`.
        output: Folder for the files; null prints, where one file is all.
        options: Further options of the command.

    Raises:
        ConfigError: It cannot run there, or would write a secret into a file.
    """
    if target not in TARGETS:
        msg = f"Wanted a target of {', '.join(TARGETS)}; found {target!r}."
        raise ConfigError(msg)
    check_secrets([*sources, lake])
    timetable, config = _timed(config, at, timezone)
    if target in ("kuberay", "ray-up"):
        check_elsewhere(list(sources), lake, config)
        run = Scheduled(tuple(sources), lake, config, timetable, tuple(options))
        return _give(_for_cluster(run, target), output)
    if output is None:
        msg = f"Wanted --output FOLDER for {target}: the file of the configuration has to lie somewhere."
        raise ConfigError(msg)
    places = tuple(map(same_anywhere, sources))
    run = Scheduled(places, same_anywhere(lake), with_absolute_paths(config), timetable, tuple(options))
    folder = Path(absolute(str(output)))
    files = _units(run, folder) if target == "systemd" else _crontab(run, folder)
    return _give(files, folder)


def _timed(config: Config, at: str | None, timezone: str | None) -> tuple[Timetable, Config]:
    """Settle when it is due, and let the run know, so that it can tell missed nights."""
    text = at or config.nightly.schedule or _DEFAULT_TIME
    zone = timezone or config.nightly.timezone
    timetable = parse_timetable(text, zone)
    told = {"schedule": timetable.cron} | ({"timezone": zone} if zone else {})
    return timetable, config.model_copy(update={"nightly": config.nightly.model_copy(update=told)})


def _for_cluster(run: Scheduled, target: str) -> dict[str, str]:
    name = run.config.deployment.name
    if target == "ray-up":
        return {f"{name}-cluster.yaml": render_cluster(run.config)}
    return {f"{name}.yaml": render_nightly(run), f"{name}-once.yaml": render_once(run)}


def _crontab(run: Scheduled, folder: Path) -> dict[str, str]:
    name = run.config.deployment.name
    line = render_crontab(run, _program(run.config), folder / CONFIG_FILE, folder / f"{name}.log")
    return {f"{name}.crontab": line, CONFIG_FILE: run.config_text()}


def _units(run: Scheduled, folder: Path) -> dict[str, str]:
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    writable = [cache]
    if is_local(run.lake):
        writable.append(_existing(Path(run.lake.removeprefix("file://"))))
    units = render_units(
        run,
        _program(run.config),
        folder / CONFIG_FILE,
        user=run.config.deployment.user or getpass.getuser(),
        writable=writable,
        environment={"HF_HOME": str(cache)},
        gpus=uses_gpus(run.config),
    )
    return units | {CONFIG_FILE: run.config_text()}


def _existing(path: Path) -> Path:
    """Name the nearest folder that is there: systemd opens no folder that has yet to be made."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _program(config: Config) -> list[str]:
    """Say how gloss is called by something that knows no virtual environment."""
    if program := list(config.deployment.program):
        found = shutil.which(program[0])
        if found is None:
            msg = f"deployment.program wants a program that is there; {program[0]!r} is not."
            raise ConfigError(msg)
        return [absolute(found), *program[1:]]
    beside = Path(sys.executable).with_name("gloss")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "jobs.cli"]


def _give(files: Mapping[str, str], output: Path | None) -> int:
    """Write files into a folder, or print the first."""
    if output is None:
        sys.stdout.write(next(iter(files.values())))
        return EXIT_OK
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"Wanted a folder to write to at {output}; {error}."
        raise ConfigError(msg) from error
    for name in files:
        note(f"{output / name}")
    note(_next(list(files), output))
    return EXIT_OK


def _next(names: Sequence[str], output: Path) -> str:
    first = output / names[0]
    if names[0].endswith(".service"):
        units = " ".join(str(output / name) for name in names if name != CONFIG_FILE)
        timer = names[1]
        return (
            f"Next: sudo cp {units} /etc/systemd/system/ && sudo systemctl daemon-reload && "
            f"sudo systemctl enable --now {timer}"
        )
    if names[0].endswith(".crontab"):
        return f"Next: (crontab -l; cat {first}) | crontab -"
    if names[0].endswith("-cluster.yaml"):
        return f"Next: ray up {first}"
    return f"Next: kubectl apply -f {first}; one run now: kubectl create -f {output / names[1]}"
