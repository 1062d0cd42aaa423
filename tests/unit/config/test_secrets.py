"""Files with secrets: one rule, one kind of sentence, whoever reads them."""

import os
from pathlib import Path

import pytest

from hermesguard.config.secrets import read_secret, require_private
from hermesguard.errors import ExitCode, GuardError
from hermesguard.offsite import access
from tests.helpers.notifying import options

TEXT = "aws_access_key_id = a\naws_secret_access_key = b\n"


def refusal(path: Path) -> str:
    with pytest.raises(GuardError) as caught:
        read_secret(path, "the key")
    assert caught.value.exit_code == ExitCode.CONFIG
    assert str(path) in caught.value.what
    return str(caught.value)


def made(path: Path, mode: int = 0o600) -> Path:
    path.write_text(TEXT)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_what_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = made(tmp_path / "key", mode)
    assert f"(mode {mode:04o}), and has the key in it" in refusal(path)
    with pytest.raises(GuardError, match="chmod 600"):
        require_private(path, "the key")
    assert read_secret(path, "the key", is_of_systemd=True) == TEXT


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_what_only_its_user_may_read_is_read(tmp_path: Path, mode: int) -> None:
    path = made(tmp_path / "key", mode)
    require_private(path, "the key")
    assert read_secret(path, "the key") == TEXT
    (tmp_path / "link").symlink_to(path)
    assert read_secret(tmp_path / "link", "the key") == TEXT


def test_what_is_no_file_with_text_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none")
    assert "no regular file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "no regular file" in refusal(tmp_path / "pipe")
    path = made(tmp_path / "key")
    path.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(path)
    path.write_bytes(b"x" * 70_000)
    assert "more than 64 KiB" in refusal(path)


def test_another_users_file_is_refused_but_to_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "key")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 4242)
    if path.stat().st_uid != 0:
        assert "belongs to uid" in refusal(path)
    else:
        os.chown(path, 1234, -1)
        assert "belongs to uid 1234" in refusal(path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert read_secret(path, "the key") == TEXT


def test_notify_and_offsite_say_the_same(tmp_path: Path) -> None:
    path = made(tmp_path / "key", 0o644)
    said = []
    with pytest.raises(GuardError) as caught:
        access.credentials(path, {})
    said.append(str(caught.value).replace("the key of the storage", "WHAT"))
    with pytest.raises(GuardError) as caught:
        options(tmp_path, urls_file=path)
    said.append(str(caught.value).replace("addresses of notify", "WHAT"))
    assert said[0] == said[1]
