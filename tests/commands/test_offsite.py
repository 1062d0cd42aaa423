"""`hermesguard offsite` as people type it: its answers, and what it says of mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from hermesguard.errors import ExitCode
from tests.helpers import cli_store

PRIVATE = pyrage.x25519.Identity.generate()


class Typed:
    """A store, a place for its copies, and a configuration."""

    def __init__(self, root: Path) -> None:
        self.root, self.scene = root, cli_store.make(root / "scene")
        (root / "disk").mkdir()
        self.key = root / "key.txt"
        self.key.write_text(f"# a key\n{PRIVATE}\n")
        self.config = root / "hermesguard.toml"
        self.configure()

    def configure(self, **values: str) -> None:
        """Write the configuration, with these values below [offsite] in place of the good ones."""
        good = {"url": f'"file://{self.root}/disk"', "recipients": f'["{PRIVATE.to_public()}"]'} | values
        lines = [f"{key} = {value}" for key, value in good.items()]
        places = [f'sessions = "{self.scene.sessions}"', f'store = "{self.scene.store}"']
        self.config.write_text("\n".join([*places, "[offsite]", *lines]))

    def __call__(self, *words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "hermesguard", *words, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    return Typed(tmp_path)


def test_there_and_back(typed: Typed) -> None:
    assert typed("offsite", "status")[0] == ExitCode.PROBLEM
    assert typed("offsite", "run", "--once")[0] == ExitCode.OK
    code, out, _ = typed("offsite", "status", "--json")
    said = json.loads(out)
    assert (code, said["running"], said["waiting_files"], said["requests_today"] > 0) == (0, False, 0, True)
    assert said["sessions"] == said["sessions_safe"] > 0
    assert (said["by_timer"], said["problems"]) == (True, []), "a timer that runs it now and then is as good"
    assert typed("offsite", "verify", "--all")[0] == ExitCode.OK
    into = typed.root / "come back"
    code, out, err = typed("offsite", "restore", "--identity", str(typed.key), str(into))
    assert (code, f"in {into}" in out) == (ExitCode.OK, True), err
    assert f"hermesguard list --store '{into}'\n" in out
    assert f"--all-missing --store '{into}' --sessions" in out
    assert len(list((into / "shadows").iterdir())) == len(
        list((typed.scene.store / "shadows").glob("*.json"))
    )
    code, out, _ = typed("offsite", "restore", "--identity", str(typed.key), str(into))
    assert code == ExitCode.REFUSED
    assert typed("config", "check", "--network")[0] == ExitCode.OK
    assert typed("offsite", "accept")[0] == ExitCode.OK


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"recipients": f'["{PRIVATE}"]'}, "private key stands in"),
        ({"recipients": "[]"}, "nobody could read"),
        ({"recipients": '["age1nonsense"]'}, "is no public key"),
        ({"url": '"ftp://nas/copies"'}, "invalid value"),
        ({"url": '"file:///nowhere/at/all"'}, "is no directory"),
        ({"url": '"s3://bucket/prefix"'}, "aws_access_key_id"),
        ({"requests_per_day": "3"}, "from 48"),
        ({"intervall": '"1m"'}, "The nearest is interval"),
    ],
)
def test_a_wrong_configuration_is_a_sentence(typed: Typed, values: dict[str, str], said: str) -> None:
    typed.configure(**values)
    code, _, err = typed("offsite", "run", "--once")
    assert (code, said in err) == (ExitCode.CONFIG, True), err
    code, out, err = typed("config", "check")
    assert (code, said in out + err) == (ExitCode.CONFIG, True), out + err
    assert str(PRIVATE) not in out + err
    assert typed("status")[0] in (ExitCode.OK, ExitCode.PROBLEM), "whatever stands there, the guard guards"


def test_credentials_that_others_can_read_are_refused(typed: Typed) -> None:
    credentials = typed.root / "credentials"
    credentials.write_text("aws_access_key_id = a\naws_secret_access_key = b\n")
    credentials.chmod(0o644)
    typed.configure(url='"s3://bucket/prefix"', credentials=f'"{credentials}"')
    code, _, err = typed("offsite", "run", "--once")
    assert (code, "may be read by others (mode 0644)" in err) == (ExitCode.CONFIG, True)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["restore"], ExitCode.USAGE),
        (["restore", "/tmp/nothing-there"], ExitCode.USAGE),
        (["status", "--at", "2h"], ExitCode.USAGE),
        (["status", "word"], ExitCode.USAGE),
        (["frobnicate"], ExitCode.USAGE),
        (["verify"], ExitCode.NOT_FOUND),
    ],
)
def test_mistakes(typed: Typed, words: list[str], code: ExitCode) -> None:
    assert typed("offsite", *words)[0] == code


def test_the_guard_imports_nothing_of_it() -> None:
    strange = "'hermesguard.offsite' in name or name in ('obstore', 'pyrage', 'sqlite3')"
    look = f"import sys; import hermesguard.daemon.loop; print([name for name in sys.modules if {strange}])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
