"""Sources and lakes on a store that speaks S3: any name, the usual credentials, only the bytes needed."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import operators.source
from jobs.cli import app
from jobs.ingest import run_ingest
from jobs.verify import check_lake
from operators.content import stated_etag, stated_hash, with_stated_hashes
from operators.decode import decode_units
from operators.discover import SourceError, discover
from operators.lake import Lake, LakeError
from operators.probe import Probe
from operators.ranges import FIRST_BYTES, RangeCache
from operators.source import open_source
from operators.store_options import StoreSettingsError, delta_options, file_options
from schemas.config import ConfigError, load_config
from schemas.failure import InputError, Reason
from schemas.media import Listing, Unit, UnitKind
from tests.long_video import write_long_video
from tests.media import encode, slide, steady
from tests.pages import drawn_pdf, picture_bytes, prose, put_picture, text_picture
from tests.s3_server import S3Server

QUIET = ["speech.engine=off", "store.commit_seconds=2"]

pytestmark = pytest.mark.timeout(900)
"""Each request to the test's store is some 10 ms of Python, and a run makes some thousand."""

NAMES = (
    "a b.png",
    "ünï – 文.png",
    "h#sh.png",
    "p%20c.png",
    "q?m.png",
    "pl+us.png",
    "do::uble.png",
    "st*r.png",
    "br[1].png",
    "a&b=c;d.png",
    "quo\"te'.png",
    "folder/x.png",
)

VIEWS = ("assets", "segments", "clips", "text_regions", "sentences", "citations", "failures")
PASSING = {"run_id", "ingested_at", "at", "modified_at", "seconds", "etag", "fingerprint", "plan_id"}


@dataclass(frozen=True)
class Both:
    """The same sources, ingested into a lake beside them and into one on this machine."""

    sources: str
    remote: Lake
    local: Lake
    codes: tuple[int, int]
    keys: list[str]


@pytest.fixture(scope="module")
def both(ray_cluster: None, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Two ingests of four small files with odd names."""
    talk = encode(steady([(0.0, slide(["Sluices", "open at noon"])), (3.0, slide(["Locks"]))], 6.0))
    files = {
        "talk #1 50%.mp4": talk,
        "talk #1 50%.en.srt": b"1\n00:00:01,000 --> 00:00:03,000\nThe sluice opens.\n",
        "rivers?.pdf": drawn_pdf(prose, prose),
        "ünï sign+.png": picture_bytes(text_picture("No mooring"), "PNG"),
        "broken.mp4": talk[:200],
    }
    for name, data in files.items():
        s3.put(f"both/in/{name}", data)
    folder = tmp_path_factory.mktemp("both")
    config = load_config("embedded", None, QUIET)
    remote, local = s3.url("both/the lake"), str(folder / "lake")
    codes = tuple(run_ingest([s3.url("both/in")], lake, config) for lake in (remote, local))
    assert len(codes) == 2
    return Both(s3.url("both/in"), Lake(remote), Lake(local), codes, s3.keys("both/the lake"))


def rows(lake: Lake, view: str) -> list[dict[str, Any]]:
    """Read a view, without what differs from run to run."""
    return all_rows(lake, (view,))[view]


def all_rows(lake: Lake, views: Sequence[str] = VIEWS) -> dict[str, list[dict[str, Any]]]:
    """Read several, by one look at the store."""
    with lake.connect() as connection:
        tables = {view: connection.sql(f"SELECT * FROM {view}").to_arrow_table() for view in views}
    return {
        view: sorted(
            table.select([name for name in table.column_names if name not in PASSING]).to_pylist(), key=repr
        )
        for view, table in tables.items()
    }


def gloss(*arguments: str) -> str:
    """Run a verb in this process; it must succeed."""
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_lake_on_the_store_holds_the_rows_of_one_beside_it(both: Both) -> None:
    """Row by row; and both ended with the broken file as a failure."""
    assert both.codes == (3, 3)
    there, here = all_rows(both.remote), all_rows(both.local)
    for view in VIEWS:
        assert there[view] == here[view], view
    assert [row["status"] for row in rows(both.remote, "assets")].count("ok") == 3
    assert [finding for finding in check_lake(both.remote) if finding.severity == "error"] == []


def test_every_verb_reads_it(both: Both) -> None:
    """Query, search, show and status, by the URL of the lake alone."""
    lake = both.remote.uri
    count = gloss("query", "SELECT count(*) AS n FROM assets", "--lake", lake, "--format", "json")
    assert json.loads(count) == [{"n": 4}]
    assert "talk #1 50%.mp4" in gloss("search", "sluice", "--lake", lake)
    assert "No mooring" in gloss("show", f"{both.sources}/ünï sign+.png", "--lake", lake)
    assert "broken.mp4" in gloss("status", "--lake", lake)


def test_compact_and_repair_write_to_it(both: Both) -> None:
    """And change no row."""
    before = all_rows(both.remote)
    gloss("compact", "--lake", both.remote.uri)
    gloss("repair", "--lake", both.remote.uri)
    assert all_rows(both.remote) == before


def test_unchanged_sources_are_not_read_again(both: Both, s3: S3Server) -> None:
    """A second night lists the store, and asks for no byte of any file."""
    s3.reset_counts()
    code = run_ingest([both.sources], both.remote.uri, load_config("embedded", None, QUIET))
    assert code == 3
    assert [key for key in s3.sent() if key.startswith("both/in/")] == []
    assert rows(both.remote, "runs")[-1]["skipped"] >= 1


def test_local_files_go_into_a_lake_on_the_store(ray_cluster: None, s3: S3Server, tmp_path: Path) -> None:
    """And no credential into anything that is stored, though every process had it."""
    (tmp_path / "sign.png").write_bytes(picture_bytes(text_picture("No mooring"), "PNG"))
    lake = s3.url("local/lake")
    assert run_ingest([str(tmp_path)], lake, load_config("embedded", None, QUIET)) == 0
    assert [row["status"] for row in rows(Lake(lake), "assets")] == ["ok"]
    for key in s3.keys("local/lake"):
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            assert s3.environment[name].encode() not in s3.get(key)


# --- names ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(s3: S3Server) -> str:
    """A folder of files with odd names, and the empty objects by which consoles show folders."""
    for name in NAMES:
        s3.put(f"odd/{name}", name.encode())
    for marker in ("odd/", "odd/folder/"):
        s3.put(marker, b"")
    return s3.url("odd")


def test_any_key_is_a_source(odd: str) -> None:
    """Each is listed under its own name, alone and in its folder, and gives its own bytes."""
    listed = [listing.uri for listing in discover([odd]).listings]
    assert listed == sorted(f"{odd}/{name}" for name in NAMES)
    for name in NAMES:
        uri = f"{odd}/{name}"
        assert [listing.uri for listing in discover([uri]).listings] == [uri]
        with open_source(uri) as file:
            assert file.read() == name.encode()


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b", "a\\b"])
def test_lakes_whose_name_delta_misreads_are_refused(s3: S3Server, name: str) -> None:
    """Behind a hash all tables would be the same one."""
    with pytest.raises(LakeError, match="Choose a name without"):
        Lake(s3.url(name))


# --- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "lake", "env", "said"),
    [
        ("s3://nobody/in", "s3://media/x", {}, "bucket does not exist"),
        ("s3://media/none", "s3://media/x", {}, "nothing is at"),
        ("s3://media/one.png", "s3://nobody/x", {}, "Check the bucket"),
        ("s3://media/one.png", "s3://media/x", {"AWS_PROFILE": "nope"}, "Check AWS_PROFILE"),
        ("s3://media/one.png", "s3://media/x", {"AWS_ACCESS_KEY_ID": ""}, "Wanted credentials"),
        ("sftp://me:hunter2@host/x", "s3://media/x", {}, "password or signature"),
        ("https://h/x.mp4?X-Amz-Signature=hunter2", "s3://media/x", {}, "password or signature"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    lake: str,
    env: dict[str, str],
    said: str,
) -> None:
    """Exit code 2, the reason, and nothing of a password."""
    s3.put("one.png", b"x")
    for name, value in env.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    done = CliRunner().invoke(app, ["ingest", source, "--lake", lake, "--set", "speech.engine=off"])
    error = done.exception
    assert isinstance(error, ConfigError | LakeError | SourceError), done.output
    assert said in str(error)
    assert "hunter2" not in str(error)
    assert s3.keys("x/") == []


def test_a_missing_library_is_named(s3: S3Server) -> None:
    """Exit code 2 and what to install."""
    script = (
        "import sys; sys.modules['s3fs'] = None; from jobs.cli import main;"
        "sys.argv = ['gloss', 'ingest', 's3://media/x', '--lake', 's3://media/y']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'gloss[s3]'" in done.stderr


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "secret", "key", "token", "azure_storage_account_key", "sas_token"]
)
def test_credentials_are_refused_in_the_configuration(name: str) -> None:
    """It is stored with the run, so the message says where they belong, and does not repeat them."""
    for value in ("hunter2", "1234567"):
        with pytest.raises(ConfigError) as raised:
            load_config("embedded", None, [f"store.storage_options.{name}={value}"])
        assert "in the environment" in str(raised.value)
        assert value not in str(raised.value)
    load_config("embedded", None, ["store.storage_options.AWS_WEB_IDENTITY_TOKEN_FILE=/var/token"])


PROFILE = """
[profile shop]
region = eu-west-3
endpoint_url = {endpoint}
[profile other]
region = eu-west-3
"""
KEYS = """
[shop]
aws_access_key_id = AKIASHOP
aws_secret_access_key = shop-secret
"""


def test_a_profile_is_seen_by_both_libraries(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys, region and endpoint, though Delta's own store knows no profile files."""
    for name in list(s3.environment):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "shop")
    (tmp_path / "config").write_text(PROFILE.format(endpoint=s3.endpoint))
    (tmp_path / "credentials").write_text(KEYS)

    told = delta_options("s3://media/x", {})
    assert (told["aws_access_key_id"], told["aws_region"]) == ("AKIASHOP", "eu-west-3")
    assert (told["aws_endpoint_url"], told["aws_allow_http"]) == (s3.endpoint, "true")
    assert file_options("s3://media/x", {})["endpoint_url"] == s3.endpoint
    lake = Lake(s3.url("profiled/lake"))
    lake.create()
    assert lake.exists()
    # What the configuration names comes before the environment.
    with pytest.raises(StoreSettingsError, match="Wanted credentials"):
        delta_options("s3://media/x", {"profile": "other"})
    assert delta_options("s3://media/x", {"AWS_REGION": "mars"})["aws_region"] == "mars"


def test_public_buckets_need_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the configuration says that they are public."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    options = {"skip_signature": "true"}
    assert file_options("s3://media/x", options)["anon"] is True
    assert delta_options("s3://media/x", options)["aws_skip_signature"] == "true"


def test_two_writers_never_overwrite_each_other() -> None:
    """Delta is told to write a version only where there is none."""
    assert delta_options("s3://media/x", {})["aws_conditional_put"] == "etag"


# --- identity -------------------------------------------------------------------------------

BIG = 64 << 20


@pytest.mark.parametrize(
    ("uri", "size", "etag", "identity", "stated"),
    [
        ("s3://b/k", BIG, "abc-8", "auto", True),
        ("s3://b/k", 1000, "abc", "auto", False),
        ("s3://b/k", 1000, "abc", "etag", True),
        ("s3://b/k", BIG, "abc", "bytes", False),
        ("s3://b/k", BIG, None, "etag", False),
        ("gs://b/k", BIG, "abc", "etag", False),
        ("https://h/k", BIG, "abc", "etag", False),
        ("file:///k", BIG, None, "etag", False),
    ],
)
def test_a_store_is_believed_only_where_it_speaks_of_bytes(
    uri: str, size: int, etag: str | None, identity: str, stated: bool
) -> None:
    """And then the identity says so, and cannot be taken for a hash."""
    found = stated_hash(Listing(uri, size, etag=etag), identity)
    assert (found is not None) == stated
    if found is not None:
        assert stated_etag(found) == etag
        assert not all(char in "0123456789abcdef" for char in found)
    assert stated_etag("0123456789abcdef" * 2) is None


def test_a_known_hash_is_kept() -> None:
    """What this run or the lake knows of a file comes first."""
    known = Listing("s3://b/k", BIG, etag="abc", content_hash="00ff")
    assert with_stated_hashes([known, replace(known, content_hash=None)], "etag") == [
        known,
        replace(known, content_hash=f"etag:abc:{BIG}"),
    ]


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test find what another one has read."""
    monkeypatch.setattr(operators.source, "_CACHE", RangeCache())


def test_a_file_that_changes_behind_its_etag_is_not_read(s3: S3Server) -> None:
    """Its identity was that of other bytes, so the rows would be wrong; the next run does it."""
    uri = s3.put("etag/sign.png", picture_bytes(text_picture("Before"), "PNG"))
    (listing,) = discover([uri]).listings
    config = load_config("embedded", None, ["store.identity=etag"])
    (planned,) = Probe(config)(listing)
    assert planned.asset.content_hash == f"etag:{listing.etag}:{listing.size_bytes}"
    s3.put("etag/sign.png", picture_bytes(text_picture("After"), "PNG"))

    (late,) = Probe(config)(listing)
    assert [failure.reason for failure in late.failures] == [Reason.UNREADABLE]
    assert "changed since it was listed" in late.failures[0].message
    with pytest.raises(InputError, match="changed since it was listed"):
        list(decode_units(planned.asset, planned.units, config))


def test_a_file_that_changes_while_it_is_read_is_not_read_on(s3: S3Server) -> None:
    """Half of one and half of another file is neither."""
    uri = s3.put("changing.bin", b"a" * (3 * FIRST_BYTES))
    with open_source(uri) as file:
        assert file.read(10) == b"a" * 10
        s3.put("changing.bin", b"b" * (3 * FIRST_BYTES))
        with pytest.raises(OSError, match=r"(?i)changed|precondition"):
            file.read()


# --- bytes ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Eight minutes of video, with its index behind and before the pictures, and as Matroska."""
    folder = tmp_path_factory.mktemp("long")
    sizes = {}
    for name, first in (("end.mp4", False), ("start.mp4", True), ("talk.mkv", False)):
        path = write_long_video(folder / name, 480, size=(320, 180), bit_rate=500_000, index_first=first)
        s3.put(f"long/{name}", path)
        sizes[name] = path.stat().st_size
        path.unlink()
    return sizes


@pytest.mark.parametrize("name", ["end.mp4", "start.mp4", "talk.mkv"])
def test_a_clip_costs_the_bytes_around_it(s3: S3Server, recording: dict[str, int], name: str) -> None:
    """Planning reads the index; a twentieth of the file reads little more than that; no hash reads it all."""
    config = load_config("embedded", None, [*QUIET, "sampling.interval_seconds=8"])
    (listing,) = discover([s3.url(f"long/{name}")]).listings
    size, key = recording[name], f"long/{name}"
    assert size > 16 << 20
    s3.reset_counts()
    plan = Probe(config)(listing)
    planning = s3.sent()[key]
    s3.reset_counts()
    span = Unit(0, UnitKind.SPAN, 240.0, 264.0)
    (perception,) = decode_units(plan[0].asset, [span], config)
    cold, requests = s3.sent()[key], len([item for item in s3.requests() if item.method == "GET"])
    s3.reset_counts()
    (_,) = decode_units(plan[0].asset, [Unit(1, UnitKind.SPAN, 264.0, 288.0)], config)
    warm = s3.sent()[key]

    assert perception.sampled == 3
    assert perception.failures == []
    clip = size // 20
    assert planning < 0.1 * size
    assert cold < 1.5 * clip + planning + 4 * FIRST_BYTES
    assert cold < 0.15 * size
    assert requests < 20
    assert warm < cold, "the index, and what was read ahead, are there already"


def test_a_page_costs_the_bytes_of_it(s3: S3Server) -> None:
    """Of a long document with pictures, a page in the middle is read, not the whole."""
    random = np.random.default_rng(1)

    def page(canvas: Any) -> None:
        noise = random.integers(0, 255, (300, 300, 3), dtype=np.uint8)
        put_picture(canvas, Image.fromarray(noise), 50, 50, 300, 300)
        prose(canvas)

    data = drawn_pdf(*[page] * 40)
    uri = s3.put("long/book.pdf", data)
    config = load_config("embedded", None, [*QUIET, "store.identity=etag"])
    (listing,) = discover([uri]).listings
    plan = Probe(config)(listing)
    s3.reset_counts()
    (perception,) = decode_units(plan[0].asset, [Unit(20, UnitKind.PAGE, page=21)], config)

    assert len(data) > 10 << 20
    assert perception.failures == []
    assert s3.sent()["long/book.pdf"] < 0.2 * len(data)


def test_copies_cost_nothing(s3: S3Server, recording: dict[str, int]) -> None:
    """Two keys of one content are told to be equal without reading either."""
    s3.client.copy_object(
        Bucket=s3.bucket, Key="long/copy.mp4", CopySource={"Bucket": s3.bucket, "Key": "long/end.mp4"}
    )
    listings = discover([s3.url("long/copy.mp4"), s3.url("long/end.mp4")]).listings
    s3.reset_counts()
    first, second = with_stated_hashes(listings, "auto")
    assert first.content_hash == second.content_hash is not None
    assert sum(s3.sent().values()) == 0


def test_the_environment_of_tests_is_not_that_of_this_machine(s3: S3Server) -> None:
    """No test may reach a real store."""
    assert os.environ["AWS_ENDPOINT_URL"] == s3.endpoint
