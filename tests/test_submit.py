"""What `gloss submit` decides before there is a job, and what it makes of a job's end; no cluster here."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cluster import start_job
from cluster.job_log import JobLog
from cluster.package import GIVEN, PACKAGES, pack
from cluster.ray_jobs import Job
from cluster.start_job import STDOUT_MARK
from jobs import submit
from jobs.cli import app
from jobs.submit import Place, check_ray, command_of, environment_of, exit_code, portable
from jobs.submit_request import Request, request_of
from schemas.config import ConfigError, load_config

ROOT = Path(__file__).resolve().parents[1]


def request(*sources: str, lake: str = "s3://b/lake", settings: tuple[str, ...] = ()) -> Request:
    """Ask for an ingest."""
    return Request(sources, lake, load_config(settings=settings), settings=settings)


def place(**given: object) -> Place:
    """Name a cluster that is never reached."""
    return Place("http://127.0.0.1:9", **given)  # type: ignore[arg-type]


# --- what only the client has ---------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["talks", "./talks", "/data/*.mp4", "file:///data", "zip://*.pdf::/data/a.zip", "~/talks"]
)
def test_local_sources_are_refused_unless_shared(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice names the option, and following it helps."""
    monkeypatch.chdir("/")
    with pytest.raises(ConfigError, match="--shared-path") as raised:
        portable(request(source), place())
    folder = re.search(r"--shared-path (\S+)", str(raised.value))
    assert folder is not None
    arguments, _ = portable(request(source), place(shared=[folder[1]]))
    named = arguments[-1]
    assert named == source if "://" in source else named == str(Path(source).expanduser().absolute())


def test_remote_sources_go_as_they_are() -> None:
    """Nothing about them is changed, whatever they begin with."""
    sources = ["s3://b/a b/*.mp4", "https://h/x.pdf?v=1", "zip://*.pdf::s3://b/a.zip"]
    arguments, files = portable(request(*sources), place())
    assert arguments[arguments.index("--") + 1 :] == sources
    assert files == {}


def test_a_folder_beside_the_shared_one_is_not_shared() -> None:
    """`/mnt/talks-old` is not below `/mnt/talks`, and neither is what `..` leads out to."""
    for source in ("/mnt/talks-old/a.mp4", "/mnt/talks/../other/a.mp4"):
        with pytest.raises(ConfigError, match="path of this machine"):
            portable(request(source), place(shared=["/mnt/talks"]))


def test_a_local_lake_is_refused() -> None:
    """As is one in memory."""
    for lake in ("lake", "file:///lake", "memory://lake"):
        with pytest.raises(ConfigError, match="The lake is"):
            portable(request("s3://b/in", lake=lake), place())


def test_a_password_is_refused_and_not_shown() -> None:
    """A job's command stands in the dashboard."""
    with pytest.raises(ConfigError) as raised:
        portable(request("sftp://me:hunter2@host/in"), place())
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "setting",
    ["speech.model=./whisper", "vision.model=/m/qwen", "ocr.model=~/ocr", "embedding.frames=./clip"],
)
def test_model_folders_are_refused_unless_shared(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model by name goes as it is; a shared folder becomes absolute."""
    monkeypatch.chdir("/")
    key, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=re.escape(key)):
        portable(request("s3://b/in", settings=(setting,)), place())
    absolute = str(Path(value).expanduser().absolute())
    arguments, _ = portable(
        request("s3://b/in", settings=(setting,)), place(shared=[str(Path(absolute).parent)])
    )
    assert arguments[arguments.index(f"{key}={absolute}") - 1] == "--set"


def test_models_by_name_and_of_a_server_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a folder of that name lies here, which a run here would take."""
    settings = ("speech.model=openai/whisper-small", "summary.engine=openai", "summary.model=/served/name")
    portable(request("s3://b/in", settings=settings), place())
    monkeypatch.chdir(tmp_path)
    Path("openai/whisper-small").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"speech\.model"):
        portable(request("s3://b/in", settings=settings), place())


def test_configuration_file_and_prompts_travel(tmp_path: Path) -> None:
    """They are named as they lie in the job's working folder, where the last setting wins."""
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "caption.md").write_text("Say what {pictures} show.")
    file = tmp_path / "my.toml"
    file.write_text(f'[vision]\nprompts = "{prompts}"\n')
    asked = request_of(["s3://b/in"], "s3://b/lake", "embedded", file, ["ocr.engine=off"], {})
    arguments, files = portable(asked, place())
    folder = tmp_path / "job"
    folder.mkdir()
    pack(folder, files, with_code=False)
    found = load_config("embedded", folder / arguments[arguments.index("--config") + 1], _settings(arguments))
    assert found.ocr.engine == "off"
    assert found.vision.prompts == f"{GIVEN}/vision.prompts"
    assert (folder / found.vision.prompts / "caption.md").read_text() == "Say what {pictures} show."


def _settings(arguments: list[str]) -> list[str]:
    return [arguments[at + 1] for at, word in enumerate(arguments) if word == "--set"]


def test_another_cluster_in_the_settings_is_refused() -> None:
    """The job runs where it is submitted to."""
    with pytest.raises(ConfigError, match=r"run\.address"):
        portable(request("s3://b/in", settings=("run.address=ray://other:10001",)), place())


# --- the command ----------------------------------------------------------------------------


def test_the_command_is_the_local_one(tmp_path: Path) -> None:
    """Every option of ingest reaches it, and the shell changes nothing."""
    options: dict[str, str | float | bool | None] = {
        "--since": "36h", "--limit": 0, "--prune": True, "--dry-run": False, "--max-cost": None,
    }  # fmt: skip
    asked = request_of(["s3://b/it's $HOME"], "s3://b/lake", "cpu", None, ["ocr.engine=off"], options)
    arguments, _ = portable(asked, place())
    words = shlex.split(command_of(arguments))
    assert words[:3] == ["exec", "python", "start_job.py"]
    assert words[3:] == [
        "ingest", "--lake", "s3://b/lake", "--profile", "cpu", "--set", "ocr.engine=off",
        "--since", "36h", "--limit", "0", "--prune", "--", "s3://b/it's $HOME",
    ]  # fmt: skip


def test_submit_has_every_option_of_ingest() -> None:
    """None can be forgotten when ingest gets another one."""
    from typer.main import get_command

    commands = getattr(get_command(app), "commands")  # noqa: B009 - not in the type
    names = {verb: {param.name for param in commands[verb].params} for verb in ("ingest", "submit")}
    assert names["ingest"] <= names["submit"]


def test_a_command_too_long_for_a_shell_is_refused() -> None:
    """Before it is submitted."""
    with pytest.raises(ConfigError, match="globs"):
        command_of([f"s3://b/{number}.pdf" for number in range(20_000)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["s3://b/in", "--lake", "s3://b/l", "--set", "ocr.engin=off"], "ocr.engine"),
        (["s3://b/in", "--lake", "s3://b/l", "--since", "soon"], "--since"),
        (["s3://b/in", "--lake", "s3://b/l", "--max-tokens", "5"], "vision.engine"),
        (["s3://b/in", "--lake", "s3://b/l", "--code", "guess"], "--code"),
        (["s3://b/in", "--lake", "s3://b/l"], "Wanted the address"),
        (["/in", "--lake", "s3://b/l"], "--shared-path"),
    ],
)
def test_what_cannot_work_is_refused_before_a_cluster_is_asked(arguments: list[str], said: str) -> None:
    """As a ConfigError, which `main` makes exit code 2 of."""
    found = CliRunner().invoke(
        app, ["submit", *arguments], env={"RAY_ADDRESS": "", "RAY_API_SERVER_ADDRESS": ""}
    )
    assert isinstance(found.exception, ConfigError)
    assert said in str(found.exception)


def test_usage_is_checked() -> None:
    """Sources and lake, or one of the three others."""
    for arguments in ([], ["s3://b/in"], ["--follow", "a", "--stop", "b"], ["s3://b/in", "--list"]):
        assert (
            CliRunner().invoke(app, ["submit", *arguments, "--address", "http://127.0.0.1:9"]).exit_code == 2
        )


# --- the environment ------------------------------------------------------------------------


def test_variables_are_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their value here; one that is not set here is a mistake."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert environment_of(place(env=["AWS_REGION"])) == {"AWS_REGION": "eu-central-1"}
    with pytest.raises(ConfigError, match="AWS_REGIO "):
        environment_of(place(env=["AWS_REGIO"]))


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "HF_TOKEN", "DB_PASSWORD"])
def test_secrets_are_refused_unless_named_as_such(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message never shows the value."""
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ConfigError, match="--secret-env") as raised:
        environment_of(place(env=[name]))
    assert "hunter2" not in str(raised.value)
    assert environment_of(place(secret_env=[name])) == {name: "hunter2"}


# --- the package ----------------------------------------------------------------------------


def test_the_package_runs_from_itself_and_holds_nothing_else(tmp_path: Path) -> None:
    """All modules and data files of the four packages; with this checkout and folder out of sight."""
    folder = tmp_path / "job"
    folder.mkdir()
    pack(folder, {}, with_code=True)
    tops = {path.name for path in folder.iterdir()}
    assert {name for name in tops if not name.startswith("gloss-")} == {
        *PACKAGES,
        "start_job.py",
        "client.json",
    }
    wanted = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    found = {str(path.relative_to(folder)) for name in PACKAGES for path in (folder / name).rglob("*")}
    assert wanted <= found
    assert not [name for name in found if "__pycache__" in name]
    ran = _start(folder, "--version")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"{STDOUT_MARK}gloss ")


def _start(folder: Path, *arguments: str, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    """Start what was packed as a job does; the checkout is not on the path."""
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [python, "start_job.py", *arguments],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def test_an_image_that_lacks_something_is_told_from_a_broken_run(tmp_path: Path) -> None:
    """Exit code 2 and all names, on a Python that has nothing but what Ray brings for it."""
    folder, image = tmp_path / "job", tmp_path / "image"
    folder.mkdir()
    pack(folder, {}, with_code=True)
    info = folder / "gloss-9.dist-info"
    for old in folder.glob("gloss-*.dist-info"):
        shutil.rmtree(old)
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: gloss\nVersion: 9\nRequires-Dist: packaging<2\n"
        'Requires-Dist: deltalake>=1.6\nRequires-Dist: torch; extra == "big"\n'
    )
    venv.create(image, symlinks=True)
    (packages,) = image.glob("lib/python*/site-packages")
    import packaging

    shutil.copytree(Path(packaging.__file__).parent, packages / "packaging")
    (packages / "packaging-26.0.dist-info").mkdir()
    (packages / "packaging-26.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: packaging\nVersion: 26.0\n"
    )
    ran = _start(folder, "--version", python=str(image / "bin" / "python"))
    assert ran.returncode == 2
    assert "packaging<2 (it has 26.0), deltalake>=1.6." in ran.stderr
    assert "torch" not in ran.stderr


def test_an_image_without_gloss_is_named(tmp_path: Path) -> None:
    """With --code installed nothing is taken along."""
    folder = tmp_path / "job"
    folder.mkdir()
    pack(folder, {}, with_code=False)
    venv.create(tmp_path / "image", symlinks=True)
    ran = _start(folder, "--version", python=str(tmp_path / "image" / "bin" / "python"))
    assert (ran.returncode, "--code ship" in ran.stderr) == (2, True)


def test_differences_that_do_not_matter_are_said() -> None:
    """Another Python, and another Gloss in the image."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert start_job.differences({"python": f"{here}.99", "gloss": "1", "code": "ship"}) == []
    notes = start_job.differences({"python": "3.99.1", "gloss": "99", "code": "installed"})
    assert len(notes) == 2
    assert "Python 3.99" in notes[0]
    assert "Gloss" in notes[1]


def test_rays_release_is_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of what Gloss requires it is refused; another one inside is said."""
    from packaging.requirements import Requirement

    monkeypatch.setattr(submit, "_requirements", lambda: [Requirement("ray[data]>=2.60,<2.64")])
    monkeypatch.setattr(submit, "versions", lambda: {"ray": "2.60.0"})
    check_ray("2.60.0")
    assert capsys.readouterr().err == ""
    check_ray("2.61.1")
    assert "2.61.1" in capsys.readouterr().err
    for found in ("2.9.0", "2.64.0", "3.0.0"):
        with pytest.raises(ConfigError, match=re.escape(found)):
            check_ray(found)


# --- the log and the end --------------------------------------------------------------------

LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)


@given(st.lists(st.tuples(st.booleans(), LINE), max_size=12), st.data())
def test_a_log_in_any_pieces_gives_the_same_lines(lines: list[tuple[bool, str]], data: st.DataObject) -> None:
    """Each on its stream; Ray's own lines before them on none."""
    lines = [(out, line.removeprefix("\u00bb")) for out, line in lines]
    text = (
        "2026-11-27 04:22:06 INFO Runtime env is setting up.\nRunning entrypoint for job j: exec python x\n"
    )
    text += "".join(f"{STDOUT_MARK if out else ''}{line}\n" for out, line in lines)
    log = JobLog()
    found: list[tuple[bool, str]] = []
    while text:
        size = data.draw(st.integers(1, len(text)))
        found += log.feed(text[:size])
        text = text[size:]
    assert found == [(out, f"{line}\n") for out, line in lines]
    assert list(log.end()) == []


def test_marked_output_is_told_apart_and_whole(tmp_path: Path) -> None:
    """Through a real file descriptor, in pieces that end anywhere, without a last line end."""
    with (tmp_path / "log").open("wb") as file:
        stream = start_job.marked(file.fileno())
        stream.reconfigure(errors="backslashreplace")
        for piece in ("[\n", ' {"a": ', '"é"}\n', "]"):
            stream.write(piece)
            stream.flush()
    log = JobLog()
    text = "Running entrypoint for job j: x\n" + (tmp_path / "log").read_text(encoding="utf-8")
    found = [*log.feed(text), *log.end()]
    assert all(out for out, _ in found)
    assert json.loads("".join(line for _, line in found)) == [{"a": "é"}]


@pytest.mark.parametrize(
    ("status", "code", "wanted"),
    [
        ("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", 2, 2), ("FAILED", 1, 1), ("FAILED", -9, 1),
        ("FAILED", 137, 1), ("FAILED", None, 1), ("STOPPED", None, 1), ("STOPPED", 0, 1),
    ],
)  # fmt: skip
def test_exit_codes_are_those_of_a_run_made_here(status: str, code: int | None, wanted: int) -> None:
    """What ended in another way than by itself is broken."""
    assert exit_code(Job("j", status, code, "", 0, {})) == wanted
