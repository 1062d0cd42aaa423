"""Who is told, and that nobody else can read how: every mistake is a sentence with a remedy."""

from pathlib import Path

import pytest

from hermesguard.cli.commands.service import check
from hermesguard.config import settings as config
from hermesguard.config import tables
from hermesguard.config.tables import NOTIFY
from hermesguard.errors import ExitCode, GuardError
from hermesguard.notify import settings as notify_settings
from hermesguard.notify.alerts import ALERTS, KNOWN, RELIEF, URGENT
from tests.helpers.notifying import options

URL = "ntfys://user:pa55word@ntfy.example.org/topic"


def refusal(root: Path, **table: object) -> str:
    with pytest.raises(GuardError) as caught:
        options(root, **table)
    assert caught.value.exit_code == ExitCode.CONFIG
    assert "pa55word" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_are_the_documented_ones_and_every_example_is_accepted(tmp_path: Path) -> None:
    settings, asked = options(tmp_path)
    assert asked.is_idle
    table = tables.load(settings, "notify")
    for option in NOTIFY:
        assert option.kind.write(table.values[option.field]) == option.default
    path = tmp_path / "examples.toml"
    path.write_text("\n".join(f"{option.key} = {option.example}" for option in NOTIFY))
    places = {"sessions": str(tmp_path / "sessions"), "store": str(tmp_path / "store")}
    again = tables.load(config.load(places, {"HOME": str(tmp_path)}, [path]), "notify")
    assert set(again.origins.values()) == {str(path)}


def test_the_guard_starts_whatever_stands_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "hermesguard.toml"
    path.write_text('[notify]\nulrs = 3\nevents = ["nothing"]\n')
    assert config.load({}, {"HOME": str(tmp_path)}, [path]).keep_versions == 50
    path.write_text("notify = 3\n")
    with pytest.raises(GuardError, match="notify is a table"):
        config.load({}, {"HOME": str(tmp_path)}, [path])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"ulrs": ["ntfy://x"]}, "The nearest is urls"),
        ({"urls": "ntfy://pa55word"}, "notify.urls: invalid value"),
        ({"urls": ["pa55word"]}, "address 1 is none"),
        ({"events": ["unrepared"]}, "The nearest is unrepaired"),
        ({"quiet_hours": "22:00-22:00"}, "a time of day such as"),
        ({"quiet_hours": "10pm"}, "a time of day such as"),
        ({"gather": "soon"}, "a duration such as"),
        ({"ping_url": "ftp://pa55word"}, "notify.ping_url: invalid value"),
        ({"unit": "a b"}, "the name of a service"),
        ({"titles": "yes"}, "true or false"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_is_named_with_what_is_allowed_and_no_secret(
    tmp_path: Path, table: dict[str, object], words: str
) -> None:
    assert words in refusal(tmp_path, **table)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_secrets_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    secrets = tmp_path / "urls"
    secrets.write_text(URL)
    secrets.chmod(mode)
    assert "chmod 600" in refusal(tmp_path, urls_file=secrets)
    secrets.chmod(0o600)
    assert options(tmp_path, urls_file=secrets)[1].addresses[0].url == URL
    settings, _ = options(tmp_path, urls=[URL])
    (tmp_path / "hermesguard.toml").chmod(mode)
    with pytest.raises(GuardError, match="may be read by others"):
        notify_settings.load(settings, {})


def test_a_file_of_addresses_has_remarks_and_the_ping(tmp_path: Path) -> None:
    secrets = tmp_path / "urls"
    secrets.write_text(f"# mine\n\n{URL}\nping https://hc-ping.com/uuid\n{URL}\n  json://x/y\n")
    secrets.chmod(0o600)
    _, asked = options(tmp_path, urls_file=secrets)
    assert [address.name for address in asked.addresses] == ["address 1 (ntfys)", "address 2 (json)"]
    assert asked.ping_url == "https://hc-ping.com/uuid"
    secrets.write_text("ping nonsense\n")
    assert "line that begins with ping" in refusal(tmp_path, urls_file=secrets)
    secrets.unlink()
    assert "No such file" in refusal(tmp_path, urls_file=secrets)


def test_a_credential_of_systemd_is_read_whatever_its_mode(tmp_path: Path) -> None:
    settings, _ = options(tmp_path)
    credential = tmp_path / "credentials" / "notify.urls"
    credential.parent.mkdir()
    credential.write_text(URL)
    credential.chmod(0o440)
    asked = notify_settings.load(settings, {"CREDENTIALS_DIRECTORY": str(credential.parent)})
    assert [address.url for address in asked.addresses] == [URL]


def test_variables_win_over_files(tmp_path: Path) -> None:
    path = tmp_path / "hermesguard.toml"
    path.write_text('notify.urls = ["json://file"]\nnotify.titles = false\n')
    path.chmod(0o600)
    environment = {"HOME": str(tmp_path), "HERMESGUARD_NOTIFY_URLS": "json://a json://b"}
    environment["HERMESGUARD_NOTIFY_TITLES"] = "true"
    asked = notify_settings.load(config.load({}, environment, [path]), {})
    assert [address.url for address in asked.addresses] == ["json://a", "json://b"]
    assert asked.titles


def test_the_groups_are_made_of_events_that_there_are() -> None:
    assert KNOWN.keys() >= URGENT
    assert KNOWN.keys() >= ALERTS
    assert set() == URGENT - ALERTS
    assert {name for ends in RELIEF.values() for name in ends} <= URGENT


def test_config_check_names_what_is_no_address_and_with_the_network_what_cannot_be_reached(
    tmp_path: Path,
) -> None:
    settings, _ = options(
        tmp_path,
        urls=[
            "bogus://pa55word",
            "json://127.0.0.1:1/pa55word",
            "mailto://127.0.0.1:1?from=a@b.org&to=c@d.org",
        ],
        ping_url="http://127.0.0.1:1/pa55word",
        source="journal",
        unit="hermesguard@nobody.service",
    )
    found = check.of_notify(settings, with_network=False)
    assert [(one.what.split(" is ")[0], one.exit_code) for one in found if one.exit_code] == [
        ("address 1 (bogus)", ExitCode.CONFIG)
    ]
    assert any("the journal has nothing of hermesguard@nobody.service" in one.what for one in found)
    reached = [
        one for one in check.of_notify(settings, with_network=True) if one.exit_code is ExitCode.PROBLEM
    ]
    assert [one.what.split(" cannot")[0] for one in reached] == [
        "address 2 (json)",
        "address 3 (mailto)",
        "ping_url",
    ]
    assert "pa55word" not in str(found + reached)
