"""Where the state directories of a user can be, by the application's own rules, and what may be written for `sessions`."""

import os
from pathlib import Path

import pytest

from hermesguard.config import settings as config
from hermesguard.config.paths import birthplaces, default_sessions, found_sessions, may_be_sessions
from hermesguard.errors import ExitCode, GuardError
from tests.helpers.namespaces import run_in_namespace


def made(home: Path, *places: str) -> list[Path]:
    paths = [home / place / "webui" / "sessions" for place in places]
    for path in paths:
        path.mkdir(parents=True)
    return paths


def test_the_default_directory_and_each_profile_are_found(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    paths = made(tmp_path, ".hermes", ".hermes/profiles/play", ".hermes/profiles/work")
    (tmp_path / ".hermes/profiles/empty").mkdir()
    (tmp_path / ".hermes/profiles/a-file").write_text("")
    assert found_sessions(environment) == paths


def test_the_first_one_is_named_before_it_is_there(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    assert found_sessions(environment) == [tmp_path / ".hermes/webui/sessions"]
    assert default_sessions(environment)[0] == found_sessions(environment)[0]


@pytest.mark.parametrize("variable", ["elsewhere", "elsewhere/profiles/work"])
def test_hermes_home_leads_to_its_profiles_and_to_the_home_around_it(tmp_path: Path, variable: str) -> None:
    environment = {"HOME": str(tmp_path), "HERMES_HOME": str(tmp_path / variable)}
    paths = made(tmp_path, "elsewhere", "elsewhere/profiles/work", ".hermes", ".hermes/profiles/play")
    found = found_sessions(environment)
    assert found[0] == tmp_path / variable / "webui/sessions"
    assert set(found) == set(paths)


def test_a_state_directory_of_its_own_comes_first(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "HERMES_WEBUI_STATE_DIR": str(tmp_path / "state")}
    (path,) = made(tmp_path, ".hermes/profiles/work")
    assert found_sessions(environment) == [tmp_path / "state/sessions", path]


def test_what_the_rules_allow_need_not_be_there(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    assert may_be_sessions(tmp_path / ".hermes/webui/sessions", environment)
    assert may_be_sessions(tmp_path / ".hermes/profiles/gone/webui/sessions", environment)
    assert not may_be_sessions(tmp_path / "other/webui/sessions", environment)
    assert not may_be_sessions(tmp_path / ".hermes/profiles/gone/webui", environment)


def test_one_more_directory_shows_itself_where_is_looked_for_it(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    home = tmp_path / ".hermes"
    made(tmp_path, ".hermes")
    assert home in birthplaces(environment), "where profiles/ comes into being"
    made(tmp_path, ".hermes/profiles/work")
    (home / "profiles/new/webui").mkdir(parents=True)
    found = birthplaces(environment)
    assert {home / "profiles", home / "profiles/new", home / "profiles/new/webui"} <= set(found)
    assert not {home, home / "webui", home / "profiles/work", home / "profiles/work/webui"} & set(found)


def load(tmp_path: Path, **flags: str) -> config.Settings:
    return config.load({"store": str(tmp_path / "store"), **flags}, {"HOME": str(tmp_path)}, [])


def test_several_are_named_with_colons_or_as_a_list(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = load(tmp_path, sessions=f"{one}:{two}")
    assert (settings.sessions, settings.directories, settings.is_auto) == (one, (one, two), False)
    path = tmp_path / "file.toml"
    path.write_text(f'sessions = ["{one}", "{two}"]\nstore = "{tmp_path / "store"}"\n')
    assert config.load({}, {"HOME": str(tmp_path)}, [path]).directories == (one, two)
    assert load(tmp_path).is_auto
    assert load(tmp_path, sessions="auto").sessions == tmp_path / ".hermes/webui/sessions"


def test_a_directory_with_a_colon_in_its_name_is_one(tmp_path: Path) -> None:
    odd = tmp_path / "a:" / "b"
    odd.mkdir(parents=True)
    assert load(tmp_path, sessions=str(odd)).directories == (odd,)


@pytest.mark.parametrize(
    "text", ["sessions = []", 'sessions = ["relative"]', "sessions = [1]", "sessions = true"]
)
def test_what_is_no_directory_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(GuardError, match="invalid value") as caught:
        config.load({}, {"HOME": str(tmp_path)}, [path])
    assert caught.value.exit_code is ExitCode.CONFIG


def test_one_in_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="lies in"):
        load(tmp_path, sessions=f"{tmp_path / 'one'}:{tmp_path / 'one' / 'two'}")


def test_where_each_directory_really_is_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is compared with each: ten were asked a hundred times."""
    asked = list[object]()
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(path) or real(path))
    named = made(tmp_path, *(f"home{number}" for number in range(10)))
    load(tmp_path, sessions=":".join(map(str, named)))
    assert sorted(map(str, asked)) == sorted(map(str, (tmp_path / "store", *named)))


def test_one_in_another_by_a_link_or_another_name_is_refused(tmp_path: Path) -> None:
    (one, two) = made(tmp_path, "one", "two")
    (tmp_path / "link").symlink_to(one)
    for other in (tmp_path / "link", tmp_path / "link" / "inner", tmp_path / "two/../one/webui/sessions"):
        with pytest.raises(GuardError, match="lies in"):
            load(tmp_path, sessions=f"{one}:{two}:{other}")


def test_one_that_is_or_lies_in_another_by_a_bind_mount_is_refused(tmp_path: Path) -> None:
    run_in_namespace(
        """
from hermesguard.config import settings as config
from hermesguard.errors import GuardError

one, bound, store = directory / "one", directory / "bound", directory / "store"
for made in (one / "inner", bound, store):
    made.mkdir(parents=True)
mount("--bind", one, bound)

def refusal(*named, store=store):
    flags = {"store": str(store), "sessions": ":".join(map(str, named))}
    try:
        config.load(flags, {"HOME": str(directory)}, [])
    except GuardError as error:
        return error.what

assert "lies in" in refusal(one, bound)
assert "lies in" in refusal(one, bound / "inner")
assert "lies inside" in refusal(one, store=bound / "inner" / "store")
assert "lies around" in refusal(one / "inner", store=bound)
assert refusal(one) is None
""",
        tmp_path,
    )


def test_a_link_to_another_profile_comes_after_it_and_what_begins_with_a_dot_is_none(tmp_path: Path) -> None:
    (work, _) = made(tmp_path, ".hermes/profiles/work", ".hermes/profiles/.trash")
    (tmp_path / ".hermes/profiles/alias").symlink_to("work")
    alias = tmp_path / ".hermes/profiles/alias/webui/sessions"
    assert found_sessions({"HOME": str(tmp_path)})[1:] == [work, alias]
