"""Which other guard has a sessions directory, whatever the two call it."""

import pytest

from hermesguard.daemon.directories import finding
from hermesguard.daemon.directories.finding import Owners, identity


@pytest.fixture
def home(tmp_path):
    (tmp_path / "profiles/work").mkdir(parents=True)
    (tmp_path / "mine").symlink_to("profiles")
    (tmp_path / "later").symlink_to("profiles/to come")
    return tmp_path


@pytest.fixture
def owners(home):
    profiles = home / "profiles"
    return Owners({profiles / "work": home / "first", profiles / "to come": home / "second"})


@pytest.mark.parametrize("name", ["profiles/work", "mine/work", "profiles/../mine/work"])
def test_a_directory_is_that_of_another_guard_by_whatever_name(home, owners, name):
    assert owners.of(home / name) == home / "first"
    assert owners.of(home / name, identity(home / name)) == home / "first"


@pytest.mark.parametrize("name", ["profiles/to come", "mine/to come", "later"])
def test_one_that_is_not_there_yet_is_known_behind_links(home, owners, name):
    assert owners.of(home / name) == home / "second"


@pytest.mark.parametrize("name", ["profiles", "nowhere", "mine/nowhere"])
def test_no_other_has_it(home, owners, name):
    assert owners.of(home / name) is None
    assert owners.of(home / name, identity(home / name)) is None


def test_one_that_has_moved_is_known_by_what_it_is(home, owners):
    itself = identity(home / "profiles/work")
    (home / "profiles/work").rename(home / "profiles/home")
    assert owners.of(home / "profiles/home", itself) == home / "first"


@pytest.mark.parametrize("far", ["profiles/work", "mine/work"])
def test_one_that_may_not_answer_is_known_by_name_alone(home, monkeypatch, far):
    monkeypatch.setattr(finding, "type_by_name", lambda path: "nfs4" if path == home / far else "ext4")
    owners = Owners({home / "profiles/work": home / "first"})
    assert owners.of(home / "profiles/work") == home / "first"
    assert owners.of(home / "mine/work") is None
