"""A night that nobody watches: codes, catching up, no overlap, and somebody told however it ends."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs import nightly
from jobs.cli import app
from jobs.night import count_missed
from jobs.nightly import run_nightly
from operators.claim import Claim
from operators.commit import put_run
from operators.lake import Lake, LakeError
from schemas.config import Config, ConfigError, load_config
from schemas.nightly import Nightly
from schemas.tables import Count
from tests.pages import drawn_pdf, prose
from tests.rows import run_row

FAST = ["speech.engine=off", "ocr.engine=off"]


@dataclass
class Nights:
    """A lake, nights of which are made up, and what was told of them."""

    root: Path
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        """The lake of them all."""
        return Lake(self.root / "lake")

    def run(self, *settings: str, format: str = "json") -> int:  # noqa: A002 - as in the command
        """Run a night, with a command that is told; note what it was."""
        told = self.root / "told.json"
        told.unlink(missing_ok=True)
        command = f"nightly.command=['tee', '{told}']"
        config = load_config(settings=["nightly.min_assets=1", command, *settings])
        try:
            return run_nightly(["/data"], str(self.root / "lake"), config, format=format)
        finally:
            if told.exists():
                self.told.append(json.loads(told.read_text()))

    def drift(self, sql: str = "SELECT count(*) FROM drift") -> Any:
        """Ask the lake for one value."""
        with self.lake.connect() as connection:
            return (connection.execute(sql).fetchone() or (None,))[0]


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """A lake without runs."""
    made = Nights(tmp_path)
    made.lake.create()
    return made


Ingest = Callable[..., int]


def ingest(
    code: int = 0, started: timedelta = timedelta(0), error: BaseException | None = None, **columns: Any
) -> Ingest:
    """Stand in for the ingest: only a run's row, and how it ends."""

    def run(_sources: list[str], lake: str, _config: Config, *, run_id: str, **_options: object) -> int:
        at = datetime.now(UTC) - started
        row = run_row(run_id=run_id, started_at=at, finished_at=at, exit_code=code, **columns)
        put_run(Lake(lake), row)
        if error is not None:
            raise error
        return code

    return run


@pytest.mark.parametrize(
    ("code", "settings", "expected"),
    [
        (0, [], 0),
        (3, [], 3),
        (3, ["nightly.tolerate_failures=true"], 0),
        (1, ["nightly.tolerate_failures=true"], 1),
    ],
)
def test_it_ends_as_its_ingest_did(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, code: int, settings: list[str], expected: int
) -> None:
    """Failed files may be tolerated, because they are in the lake; a run that broke never is."""
    status = "failed" if code == 1 else "finished"
    monkeypatch.setattr(nightly, "run_ingest", ingest(code, status=status, ok=3, failed=1, message="why"))
    assert nights.run(*settings) == expected
    (told,) = nights.told
    assert (told["exit_code"], told["status"], told["counts"]["ok"], told["message"]) == (
        expected,
        status,
        3,
        "why",
    )
    assert bool(nights.drift()) == (status == "finished"), "what broke is no measure of anything"


def test_numbers_are_kept_and_compared_and_a_limit_fails_the_run(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two good nights, and one in which half of the files failed."""
    limit = "nightly.max_failure_rate_change=0.2"
    for days in (2, 1):
        monkeypatch.setattr(nightly, "run_ingest", ingest(started=timedelta(days=days), ok=10))
        assert nights.run(limit) == 0
    broken = ingest(3, ok=5, failed=5, failures_by_reason=[Count("timeout", 5)])
    monkeypatch.setattr(nightly, "run_ingest", broken)
    capsys.readouterr()
    assert nights.run(limit) == 4
    out, err = capsys.readouterr()
    assert "failure_rate is 0.5 (before 0, limit 0.2)" in err
    (printed,) = json.loads(out)
    assert printed == nights.told[-1]
    assert printed["missed_limits"] == ["failure_rate"]
    assert printed["failures"] == {"timeout": 5}
    missed = "SELECT string_agg(metric || ' ' || value || ' ' || baseline) FROM drift WHERE missed"
    assert nights.drift(missed) == "failure_rate 0.5 0.0"
    assert nights.drift("SELECT count(DISTINCT run_id) FROM drift") == 3
    assert nights.run(limit, format="table") == 4
    assert "over its limit" in capsys.readouterr().out


def test_a_second_run_ends_at_once_and_says_who_has_the_lake(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a code of its own; no file is opened, and whoever is told hears of it."""
    file = nights.root / "report.pdf"
    file.write_bytes(drawn_pdf(prose))
    told = nights.root / "told.json"
    config = load_config(settings=[*FAST, f"nightly.command=['tee', '{told}']"])
    with Claim(nights.lake, "the-other-run", what="ingest"):
        assert run_nightly([str(file)], nights.lake.uri, config) == 5
    err = capsys.readouterr().err
    assert "Nothing was done" in err
    assert "the-other-run" in err
    story = json.loads(told.read_text())
    assert (story["status"], story["exit_code"]) == ("busy", 5)
    assert "the-other-run" in story["message"]
    assert nights.drift("SELECT count(*) FROM runs") == 0


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ConfigError("resources.ocr_gpus wants a GPU"), "refused", 2),
        (RuntimeError("the cluster is gone"), "broken", 1),
        (MemoryError(), "broken", 1),
    ],
)
def test_what_breaks_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str, code: int
) -> None:
    """Before there is a lake, and for whatever reason; the error goes on to the command line."""

    def broken(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(nightly, "run_ingest", broken)
    made = Nights(tmp_path)
    with pytest.raises(type(error)):
        made.run()
    (told,) = made.told
    assert (told["status"], told["exit_code"], told["counts"]) == (status, code, {})
    assert (str(error) or type(error).__name__) in told["message"]


def test_a_password_in_an_address_is_not_told(tmp_path: Path) -> None:
    """It is refused, and whoever is notified of that does not read it."""
    told = tmp_path / "told"
    config = load_config(settings=[f"nightly.command=['tee', '{told}']"])
    for sources, lake in (
        ([str(tmp_path)], "sftp://ann:hunter2@h/lake"),
        (["sftp://ann:hunter2@h/x"], "lake"),
    ):
        with pytest.raises((ConfigError, LakeError)):
            run_nightly(sources, lake if "://" in lake else str(tmp_path / lake), config)
        assert json.loads(told.read_text())["status"] == "refused"
        assert "hunter2" not in told.read_text()


@pytest.mark.parametrize("how", [KeyboardInterrupt(), SystemExit(15)])
def test_being_stopped_is_told_with_what_the_run_says(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, how: BaseException
) -> None:
    """Ray makes SystemExit of a SIGTERM; the run has written its row by then."""
    monkeypatch.setattr(nightly, "run_ingest", ingest(status="failed", error=how, message=None))
    assert nights.run() == 1
    (told,) = nights.told
    assert (told["status"], told["counts"]["discovered"]) == ("failed", 1)


def test_sigterm_stops_a_run_as_ctrl_c_does(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedulers end runs by it; the handler that was there before is there again."""
    before = signal.getsignal(signal.SIGTERM)

    def stopped(*_: object, **__: object) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 5)
        pytest.fail("nothing was raised")

    monkeypatch.setattr(nightly, "run_ingest", stopped)
    assert nights.run() == 1
    assert nights.told[0]["message"] == "KeyboardInterrupt"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_nobody_hears_of_is_not_lost(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A good one has a code of its own, a worse code stays; the lake holds all of it."""
    config = load_config(settings=["nightly.command=['false']"])
    for code, expected in ((0, 6), (3, 3)):
        monkeypatch.setattr(nightly, "run_ingest", ingest(code))
        assert run_nightly(["/data"], nights.lake.uri, config) == expected
        assert "Nobody was told: The command false ended with 1" in capsys.readouterr().err
    assert nights.drift("SELECT count(DISTINCT run_id) FROM drift") == 2


def test_nobody_to_tell_is_found_before_any_work(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that the environment lacks would be missed in the morning."""
    monkeypatch.setattr(nightly, "run_ingest", lambda *_, **__: pytest.fail("it ran"))
    with pytest.raises(ConfigError, match="GLOSS_NO_SUCH_TOKEN"):
        nights.run("nightly.webhook=https://example.org", "nightly.webhook_token_env=GLOSS_NO_SUCH_TOKEN")


def test_numbers_that_cannot_be_stored_cost_nothing_else(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another run may have taken the lake meanwhile; a later one measures this one anew."""
    monkeypatch.setattr(nightly, "run_ingest", ingest(ok=10))
    monkeypatch.setattr(nightly, "_WAIT_SECONDS", 0.0)
    with Claim(nights.lake, "the-other-run", what="compact"):
        assert nights.run() == 0
    assert "could not be stored" in capsys.readouterr().err
    assert nights.drift() == 0
    monkeypatch.setattr(nightly, "run_ingest", ingest(ok=10))
    assert nights.run() == 0
    assert nights.drift("SELECT baseline FROM drift WHERE metric = 'assets' AND part = ''") == 10


@pytest.mark.parametrize(
    ("last", "started", "missed", "late"),
    [
        ("2026-11-23T02:30:05", "2026-11-24T02:30:07", 0, 7),
        ("2026-11-20T02:30:05", "2026-11-24T09:00:00", 3, 23400),  # off for three nights, and late
        ("2026-11-23T18:00:00", "2026-11-24T02:30:00", 0, 0),  # one by hand between
        ("2026-11-24T02:30:05", "2026-11-24T18:00:00", 0, None),  # and one by hand after it
    ],
)
def test_missed_nights_are_counted(last: str, started: str, missed: int, late: float | None) -> None:
    """Each due moment since the last finished run but this run's own."""
    settings = Nightly(schedule="02:30")
    at = (datetime.fromisoformat(f"{text}+00:00") for text in (started, last))
    assert count_missed(settings, *at) == (missed, late)


def test_missed_nights_are_counted_in_their_zone() -> None:
    """02:30 in Berlin is 01:30 UTC in winter; on the night of the change there is one run, not two."""
    settings = Nightly(schedule="30 2 * * *", timezone="Europe/Berlin")
    last, now = datetime(2026, 10, 24, 0, 31, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, 10, tzinfo=UTC)
    assert count_missed(settings, now, last) == (1, 10)
    assert count_missed(Nightly(), now, last) == (None, None)
    assert count_missed(settings, now, None) == (None, None)


def test_missed_nights_are_told(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To people, and to whoever is notified."""
    monkeypatch.setattr(nightly, "run_ingest", ingest(started=timedelta(hours=3), ok=1))
    assert nights.run("nightly.schedule='0 * * * *'") == 0
    assert nights.told[0]["missed_runs"] is None, "there was none before it"
    monkeypatch.setattr(nightly, "run_ingest", ingest(ok=1))
    assert nights.run("nightly.schedule='0 * * * *'", format="table") == 0
    assert nights.told[1]["missed_runs"] == 2
    assert "2 runs were due and did not come" in capsys.readouterr().out


def test_what_was_missed_is_read_and_nothing_twice(tmp_path: Path) -> None:
    """The whole way, by the command line: files that came during missed nights are read by the next run."""
    source, told, lake = tmp_path / "in", tmp_path / "told", Lake(tmp_path / "lake")
    source.mkdir()
    (source / "a.pdf").write_bytes(drawn_pdf(prose, prose))
    lake.create()
    before = datetime.now(UTC) - timedelta(days=3)
    put_run(lake, run_row(run_id="three-days-ago", started_at=before, sources=[str(source)], ok=9))
    arguments = ["nightly", str(source), "--lake", lake.uri, "--format", "json"]
    for setting in (*FAST, "nightly.schedule=02:30", f"nightly.command=['tee', '{told}']"):
        arguments += ["--set", setting]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    story = json.loads(told.read_text())
    assert (story["counts"]["discovered"], story["counts"]["ok"], story["missed_runs"]) == (1, 1, 2)
    drift = {(row["metric"], row["part"]): row for row in story["drift"]}
    assert drift["text_per_page", ""]["value"] > 200
    assert (drift["assets", "document"]["value"], drift["assets", ""]["baseline"]) == (1, 9)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0, again.output
    story = json.loads(told.read_text())
    assert (story["counts"]["skipped"], story["counts"]["ok"]) == (1, 0)
    drift = {(row["metric"], row["part"]): row for row in story["drift"]}
    assert (drift["failure_rate", ""]["value"], drift["assets", ""]["baseline"]) == (None, 5)
