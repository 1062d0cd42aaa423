"""`config check` of [notify] and [offsite]: whatever is wrong is one sentence with an exit code, and no secret is in it."""

import os
import stat
from pathlib import Path

import pyrage
import pytest

from hermesguard.cli.commands.service import check
from hermesguard.config.addresses import is_web_address
from hermesguard.errors import ExitCode
from hermesguard.offsite.bucket import Bucket, BucketError
from tests.helpers import cli_store
from tests.helpers.receivers import Http
from tests.helpers.s3_server import BUCKET, KEY, s3_server

PRIVATE = str(pyrage.x25519.Identity.generate())
PUBLIC = str(pyrage.x25519.Identity.from_str(PRIVATE).to_public())
SECRET = "pa55word"


class Desk:
    """A configuration, and what is said of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scene = cli_store.make(root / "scene")
        self.path = root / "hermesguard.toml"
        self.key = root / "credentials"
        self.key.write_text(f"aws_access_key_id = {KEY.access_key_id}\naws_secret_access_key = {SECRET}\n")
        self.key.chmod(0o600)

    def __call__(self, text: str, *words: str) -> tuple[int, str]:
        self.path.write_text(text)
        self.path.chmod(0o600)
        code, out, err = self.scene.call("config", *(words or ("check",)), "--config", self.path)
        assert SECRET not in out + err
        assert PRIVATE not in out + err
        assert "should not have happened" not in out + err
        return code, out + err

    def offsite(self, *words: str, **values: str) -> tuple[int, str]:
        good = {
            "url": '"s3://bucket/p"',
            "recipients": f'["{PUBLIC}"]',
            "credentials": f'"{self.key}"',
        } | values
        return self("[offsite]\n" + "\n".join(f"{key} = {value}" for key, value in good.items()), *words)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("check"))


WRONG_HOSTS = (
    "https://host:abc/pa55word",
    "https://host:99999/pa55word",
    "https://[::1/pa55word",
    "https:///pa55word",
    "https://ho st/pa55word",
    "https://h%zz/pa55word",
    "https://\\u0000/pa55word",
    f"https://{'a' * 300}/pa55word",
    "https://host\\\\x/pa55word",
)


@pytest.mark.parametrize("address", WRONG_HOSTS)
@pytest.mark.parametrize("network", [(), ("--network",)])
def test_a_ping_url_that_can_be_none(desk: Desk, address: str, network: tuple[str, ...]) -> None:
    code, said = desk(f'[notify]\nping_url = "{address}"\n', "check", *network)
    assert (code, "notify.ping_url: invalid value" in said) == (ExitCode.CONFIG, True), said


@pytest.mark.parametrize("address", [*WRONG_HOSTS, "https://user:pa55word@host", "https://host/?pa55word"])
@pytest.mark.parametrize("network", [(), ("--network",)])
def test_an_endpoint_that_can_be_none(desk: Desk, address: str, network: tuple[str, ...]) -> None:
    address = address.replace("/pa55word", "")
    code, said = desk.offsite("check", *network, endpoint=f'"{address}"')
    assert (code, "offsite.endpoint" in said, "invalid value" in said) == (ExitCode.CONFIG, True, True), said


def test_addresses_that_are_ones() -> None:
    for good in (
        "http://[::1]:9000",
        "https://münchen.example",
        "https://user:x@host:1/p?q",
        "http://10.0.0.1",
    ):
        assert is_web_address(good), good
    assert not is_web_address("https://user@host", with_user=False)
    assert not is_web_address(3)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/\\u0000",
        "s3://bucket//p",
        "s3://bucket/../p",
        "s3://bucket/p/..",
        "s3://bucket/a b",
        "s3://",
    ],
)
def test_a_place_that_can_be_none(desk: Desk, url: str) -> None:
    code, said = desk.offsite(url=f'"{url}"')
    assert (code, "invalid value" in said) == (ExitCode.CONFIG, True), said


def test_a_prefix_with_dots_is_one(desk: Desk) -> None:
    assert desk.offsite(url='"s3://bucket/a/.hidden/v1.2/"')[0] == ExitCode.OK


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no aws_access_key_id"),
        ("aws_access_key_id = a", "no aws_secret_access_key"),
        ("aws_access_key_id = a\naws_secret_access_key = pa55wörd", "no such key has"),
        ("aws_access_key_id = a\naws_secret_access_key = pa55\x01word", "no such key has"),
        ("aws_access_key_id = a\naws_secret_access_key = pa55 word", "no such key has"),
    ],
)
def test_a_key_of_the_storage_that_is_none(desk: Desk, content: str, words: str) -> None:
    other = desk.root / "other"
    other.write_text(content)
    other.chmod(0o600)
    code, said = desk.offsite(credentials=f'"{other}"')
    assert (code, words in said, "pa55" in said) == (ExitCode.CONFIG, True, False), said


def test_a_private_key_in_the_wrong_place_is_never_shown(desk: Desk) -> None:
    code, said = desk.offsite(recipients=f'["{PRIVATE}"]')
    assert (code, "private key stands in" in said) == (ExitCode.CONFIG, True)
    code, said = desk.offsite("show", recipients=f'["{PRIVATE}"]')
    assert (code, '["a private key"]' in said) == (ExitCode.OK, True)
    assert desk.offsite("check", recipients=f'"{PRIVATE}"')[0] == ExitCode.CONFIG, "not a list either"
    code, said = desk.offsite("show", recipients=f'["{PUBLIC}"]')
    assert PUBLIC in said


def test_nothing_to_be_told_is_said(desk: Desk) -> None:
    code, said = desk('[notify]\nurls = ["json://127.0.0.1:9/x"]\nevents = []\n')
    assert (code, "nothing would ever be told" in said) == (ExitCode.OK, True)


def test_secrets_are_in_no_output_of_any_command(desk: Desk) -> None:
    server = Http()
    text = f'[notify]\nurls = ["ntfy://user:{SECRET}@127.0.0.1:{server.port}/topic"]\n'
    text += f'ping_url = "http://127.0.0.1:{server.port}/{SECRET}"\n'
    for words in (("show",), ("show", "--json"), ("check",), ("check", "--network"), ("check", "--json")):
        assert desk(text, *words)[0] == ExitCode.OK
    server.stop()
    code, said = desk(text, "check", "--network")
    assert (code, said.count("cannot be reached now: Connection refused")) == (ExitCode.PROBLEM, 2)


# -- what the key of the storage may do


def test_a_storage_that_takes_and_gives_up_is_right_and_nothing_stays(desk: Desk) -> None:
    key = desk.root / "good"
    key.write_text(f"aws_access_key_id={KEY.access_key_id}\naws_secret_access_key={KEY.secret_access_key}\n")
    key.chmod(0o600)
    with s3_server("rclone", desk.root / "server") as server:
        place = {"url": f'"s3://{BUCKET}/p"', "endpoint": f'"{server.endpoint}"'}
        assert desk.offsite("check", "--network", **place, credentials=f'"{key}"')[0] == ExitCode.OK
        assert not [path for path in (desk.root / "server").rglob("*") if path.is_file()]
        code, said = desk.offsite("check", "--network", **place)
        assert (code, "403" in said) == (ExitCode.PROBLEM, True), said
        code, said = desk.offsite(
            "check", "--network", url='"s3://none-such/p"', endpoint=place["endpoint"], credentials=f'"{key}"'
        )
        assert (code, "NoSuchBucket" in said) == (ExitCode.PROBLEM, True), said


class Strict(Bucket):
    """A disk whose key may not do everything."""

    forbidden = ""

    def put(self, name: str, source: Path) -> None:
        if self.forbidden == "write":
            raise BucketError("the storage answered 403 Forbidden (AccessDenied)", is_refusal=True)
        super().put(name, source)

    def remove(self, names: object) -> None:
        if self.forbidden == "remove":
            raise BucketError("the storage answered 403 Forbidden (AccessDenied)", is_refusal=True)
        if self.forbidden != "lock":
            super().remove(names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("forbidden", "words"),
    [
        ("write", "may list the storage, but not write into it: the storage answered 403"),
        ("remove", "may write into the storage, but not remove anything: the storage answered 403"),
        ("lock", "not remove anything: it was removed, and is still there"),
    ],
)
def test_what_the_key_may_not_do_is_said(tmp_path: Path, forbidden: str, words: str) -> None:
    bucket = Strict(f"file://{tmp_path}")
    bucket.forbidden = forbidden
    (finding,) = check._tried(bucket, is_to_remove=True)
    assert words in finding.what
    assert finding.exit_code == ExitCode.PROBLEM
    if forbidden != "write":
        assert check._tried(bucket, is_to_remove=False) == [], "with a lifetime nothing has to be removed"


def test_a_disk_that_takes_nothing_is_said(desk: Desk, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        place = Path("/proc/self/task")
    else:
        place = tmp_path / "disk"
        place.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    code, said = desk.offsite("check", "--network", url=f'"file://{place}"')
    assert (code, "not write into it" in said) == (ExitCode.PROBLEM, True), said
