import os
from pathlib import Path

import pytest

from hermesguard.config import settings as config
from hermesguard.config.options import OPTIONS
from hermesguard.config.paths import SYSTEM_FILE, configuration_files
from hermesguard.errors import ExitCode, GuardError


def load(flags=None, environment=None, files=(), home="/home/ada"):
    return config.load(flags or {}, {"HOME": home, **(environment or {})}, files)


def written(tmp_path, text, name="hermesguard.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def refusal(*args, **kwargs):
    with pytest.raises(GuardError) as caught:
        load(*args, **kwargs)
    assert caught.value.exit_code == ExitCode.CONFIG
    return str(caught.value)


def test_defaults_are_the_documented_ones():
    settings = load()
    assert settings.sessions == Path("/home/ada/.hermes/webui/sessions")
    assert settings.store == Path("/home/ada/.local/state/hermesguard")
    assert set(settings.origins.values()) == {"default"}
    assert settings == config.Settings(sessions=settings.sessions, store=settings.store)
    for option in OPTIONS[2:]:
        assert option.written(settings) == option.default, option.key


def test_every_field_has_an_option_and_every_example_is_accepted(tmp_path):
    fields = set(config.Settings.__dataclass_fields__) - {"origins", "sources", "sessions", "profile"}
    assert {option.field for option in OPTIONS} == fields
    path = written(tmp_path, "\n".join(f"{option.key} = {option.example}" for option in OPTIONS))
    settings = load(files=[path])
    assert {settings.origins[option.field] for option in OPTIONS} == {str(path)}
    again = written(
        tmp_path,
        "\n".join(f"{option.key} = {option.written(settings)}" for option in OPTIONS),
        "again",
    )
    assert load(files=[again]) == settings


def test_flag_over_environment_over_user_file_over_system_file(tmp_path):
    system = written(
        tmp_path,
        'store = "/system"\nkeep_versions = 1\nwatch = "polling"\non_uncertain = "keep"',
        "a",
    )
    user = written(tmp_path, 'store = "/user"\nkeep_versions = 2\nwatch = "auto"', "b")
    environment = {
        "HERMESGUARD_STORE": "/environment",
        "HERMESGUARD_KEEP_VERSIONS": "3",
    }
    settings = load({"store": "/flag", "sessions": None}, environment, [system, user])
    assert (settings.store, settings.origins["store"]) == (
        Path("/flag"),
        "flag --store",
    )
    assert settings.keep_versions == 3
    assert settings.origins["keep_versions"] == "environment HERMESGUARD_KEEP_VERSIONS"
    assert (settings.watch, settings.origins["watch"]) == ("auto", str(user))
    assert (settings.on_uncertain, settings.origins["on_uncertain"]) == ("keep", str(system))


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_a_named_file_replaces_the_others_and_must_exist(tmp_path, by):
    other = written(tmp_path, "keep_versions = 7", "other")
    named = written(tmp_path, "keep_versions = 8", "named")

    def load_named(path):
        flags = {"config": str(path)} if by == "flag" else {}
        environment = {"HERMESGUARD_CONFIG": str(path)} if by == "environment" else {}
        return config.load(flags, {"HOME": "/home/ada", **environment}, [other])

    assert load_named(named).keep_versions == 8
    with pytest.raises(GuardError, match="No such file"):
        load_named(tmp_path / "absent")
    assert load(files=[tmp_path / "absent"]).keep_versions == 50


def test_files_are_the_systems_and_the_users():
    assert configuration_files({"HOME": "/h"}) == (
        SYSTEM_FILE,
        Path("/h/.config/hermesguard/config.toml"),
    )
    assert configuration_files({"HOME": "/h", "XDG_CONFIG_HOME": "/x"})[1] == Path(
        "/x/hermesguard/config.toml"
    )
    relative = configuration_files({"HOME": "/h", "XDG_CONFIG_HOME": "x"})
    assert relative[1] == Path("/h/.config/hermesguard/config.toml")


@pytest.mark.parametrize(
    ("environment", "sessions", "origin"),
    [
        ({}, "/home/ada/.hermes/webui/sessions", "default"),
        (
            {"HERMES_HOME": "/hermes"},
            "/hermes/webui/sessions",
            "environment HERMES_HOME",
        ),
        (
            {"HERMES_HOME": "/hermes", "HERMES_WEBUI_STATE_DIR": "~/state"},
            "/home/ada/state/sessions",
            "environment HERMES_WEBUI_STATE_DIR",
        ),
        (
            {"HERMES_WEBUI_STATE_DIR": "/state", "HERMESGUARD_SESSIONS": "/own"},
            "/own",
            "environment HERMESGUARD_SESSIONS",
        ),
    ],
)
def test_sessions_are_found_by_the_apps_rules(environment, sessions, origin):
    settings = load(environment=environment)
    assert (settings.sessions, settings.origins["sessions"]) == (Path(sessions), origin)


@pytest.mark.parametrize(
    ("environment", "store", "origin"),
    [
        (
            {"STATE_DIRECTORY": "/var/lib/hermesguard:/b", "XDG_STATE_HOME": "/x"},
            "/var/lib/hermesguard",
            "environment STATE_DIRECTORY",
        ),
        ({"XDG_STATE_HOME": "/x"}, "/x/hermesguard", "environment XDG_STATE_HOME"),
        ({"XDG_STATE_HOME": "x"}, "/home/ada/.local/state/hermesguard", "default"),
    ],
)
def test_the_store_is_systemds_or_the_xdg_one(environment, store, origin):
    settings = load(environment=environment)
    assert (settings.store, settings.origins["store"]) == (Path(store), origin)


def test_a_missing_home_is_taken_from_the_user_database():
    import pwd

    settings = config.load({}, {}, ())
    assert settings.sessions == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".hermes/webui/sessions"


def test_no_home_at_all_is_said(monkeypatch):
    import pwd

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(GuardError, match="HERMESGUARD_SESSIONS"):
        config.load({}, {}, ())
    with pytest.raises(GuardError, match="HERMESGUARD_STORE"):
        config.load({"sessions": "/sessions"}, {}, ())
    assert config.load({"sessions": "/sessions", "store": "/store"}, {}, ()).store == Path("/store")


def test_a_relative_flag_is_relative_to_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load({"store": "here", "sessions": "../there"})
    assert settings.store == tmp_path / "here"
    assert settings.sessions == tmp_path / "../there"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "keep_version = 3",
            ['"keep_version" is unknown', "The nearest is keep_versions"],
        ),
        ('sweep_interval = "5s"', ['"sweep_interval" has another name now', "Write scan_interval instead"]),
        ("xyzzy = 3", ['"xyzzy" is unknown', "Keys are: sessions, store"]),
        ("[store]", ["store = {}", "an absolute path"]),
        ('[tables]\na = "b"', ['"tables" is unknown']),
        ('on_uncertain = "perhaps"', ['on_uncertain = "perhaps"', '"restore" or "keep"']),
        ("on_uncertain = []", ["on_uncertain = []", '"restore" or "keep"']),
        ('keep_history = "30"', ['keep_history = "30"', '"30d"']),
        ("keep_history = 30", ["keep_history = 30", '"30d"']),
        ('keep_history = "30 fortnights"', ["fortnights", '"30d"']),
        ('keep_history = "-1d"', ["-1d", '"30d"']),
        ('keep_history = "99999999d"', ["99999999d"]),
        ("keep_deleted = false", ["keep_deleted = False"]),
        ('scan_interval = "0"', ["scan_interval", "at least 100ms"]),
        ('scan_interval = "1ms"', ["scan_interval", "at least 100ms"]),
        ("keep_versions = 0", ["keep_versions = 0", "from 1 to"]),
        ("keep_versions = true", ["keep_versions = True", "from 1 to"]),
        ("keep_versions = 2.5", ["keep_versions = 2.5"]),
        ('keep_versions = "3"', ['keep_versions = "3"']),
        ('max_store_bytes = "2 GiBs"', ["2 GiBs", '"off"']),
        ("max_store_bytes = -1", ["max_store_bytes = -1"]),
        ("metrics_port = 65536", ["metrics_port = 65536", "from 1 to 65535"]),
        (
            'alert_command = "mail root"',
            ['alert_command = "mail root"', "a list of words"],
        ),
        ("alert_command = [1]", ["alert_command = [1]", "a list of words"]),
        ('alert_command = [""]', ["alert_command = ['']", "a list of words"]),
        ('store = ""', ['store = ""']),
        ('store = "relative/path"', ['store = "relative/path"', "an absolute path"]),
        ('store = "/a\\u0000b"', ["store = ", "absolute"]),
        ('sessions = "/a', ["is not TOML", "Unterminated string"]),
        ("keep_versions = 1\nkeep_versions = 2", ["is not TOML"]),
    ],
)
def test_an_invalid_value_names_file_key_value_and_what_is_allowed(tmp_path, line, words):
    path = written(tmp_path, line)
    message = refusal(files=[path])
    for word in [str(path), *words]:
        assert word in message


def test_a_value_cannot_write_escape_sequences_to_the_terminal(tmp_path):
    path = written(tmp_path, 'watch = "\\u001b[31m"\n')
    assert "\x1b" not in refusal(files=[path])
    path = written(tmp_path, '"\\u001b[31m" = 1\n')
    assert "\x1b" not in refusal(files=[path])


def test_a_file_that_has_no_end_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "cannot be read: it is a pipe" in refusal(files=[tmp_path / "pipe"])
    assert "cannot be read: it has more than 1 MiB" in refusal(files=[Path("/dev/zero")])
    (tmp_path / "link").symlink_to("/dev/null")
    assert config.load({}, {}, [tmp_path / "link"]) == config.load({}, {}, [])


def test_a_file_that_is_no_text_or_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin").write_bytes(b'store = "/caf\xe9"')
    assert "is not UTF-8 text at byte 13" in refusal(files=[tmp_path / "latin"])
    (tmp_path / "directory").mkdir()
    assert "Is a directory" in refusal(files=[tmp_path / "directory"])
    (tmp_path / "deep").write_text("store = " + "[" * 5000)
    assert "nested too deeply" in refusal(files=[tmp_path / "deep"])
    (tmp_path / "number").write_text("cache_bytes = " + "9" * 5000)
    assert "is not TOML: " in refusal(files=[tmp_path / "number"])


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        (
            "HERMESGUARD_ALERT_COMMAND",
            "mail -s 'a loss' root",
            "alert_command",
            ("mail", "-s", "a loss", "root"),
        ),
        ("HERMESGUARD_KEEP_HISTORY", "1h30m", "keep_history_seconds", 5400.0),
        ("HERMESGUARD_KEEP_DELETED", "0", "keep_deleted_seconds", 0.0),
        ("HERMESGUARD_MAX_STORE_BYTES", "1.5 GB", "max_store_bytes", 1_500_000_000),
        ("HERMESGUARD_MAX_STORE_BYTES", "off", "max_store_bytes", None),
        ("HERMESGUARD_METRICS_PORT", "9664", "metrics_port", 9664),
        (
            "HERMESGUARD_METRICS_TEXTFILE",
            "/m.prom",
            "metrics_textfile",
            Path("/m.prom"),
        ),
        ("HERMESGUARD_WATCH", "", "watch", "auto"),
    ],
)
def test_the_environment_says_the_same_in_text(variable, text, field, value):
    assert getattr(load(environment={variable: text}), field) == value


def test_a_mistake_in_the_environment_or_in_a_flag_is_named():
    assert "environment HERMESGUARD_WATCH" in refusal(environment={"HERMESGUARD_WATCH": "maybe"})
    assert "environment HERMESGUARD_ALERT_COMMAND" in refusal(environment={"HERMESGUARD_ALERT_COMMAND": "'"})
    assert "flag --store" in refusal({"store": ""})
    assert "flag --scan-interval" in refusal({"scan_interval": "soon"})


def test_store_and_sessions_must_lie_apart(tmp_path):
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    (tmp_path / "link").symlink_to(sessions)
    flags = {"sessions": str(sessions)}
    for store in (
        sessions,
        sessions / "store",
        tmp_path / "link" / "store",
        sessions / ".." / "sessions" / "x",
    ):
        assert "inside the sessions directory" in refusal({**flags, "store": str(store)})
    for store in (tmp_path, tmp_path / "link" / ".."):
        assert "around the sessions directory" in refusal({**flags, "store": str(store)})
    message = refusal({"store": str(sessions / "s")}, {"HERMESGUARD_SESSIONS": str(sessions)})
    assert "(flag --store)" in message
    assert "(environment HERMESGUARD_SESSIONS)" in message
    assert load({**flags, "store": str(tmp_path / "sessions-store")}).sessions == sessions


def test_store_inside_sessions_is_seen_before_either_exists(tmp_path):
    assert "inside" in refusal({"sessions": str(tmp_path / "no"), "store": str(tmp_path / "no" / "store")})


def test_a_reload_reads_the_same_places_again(tmp_path):
    path = written(tmp_path, "keep_versions = 4")
    settings = load({"store": "/flag"}, {"HERMESGUARD_WATCH": "polling"}, [path])
    assert settings.reloaded() == settings
    path.write_text("keep_versions = 5")
    again = settings.reloaded()
    assert (again.keep_versions, again.store, again.watch) == (
        5,
        Path("/flag"),
        "polling",
    )
    path.write_text("keep_versions = none")
    with pytest.raises(GuardError, match="is not TOML"):
        settings.reloaded()
