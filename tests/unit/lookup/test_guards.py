"""Which store a command is about, and how what it advises must be typed."""

import dataclasses
import errno
import os
import shutil
from pathlib import Path

import pytest

from hermesguard.cli.verbs import VERBS
from hermesguard.config import settings as config
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events import event
from hermesguard.lookup import guards, typed
from hermesguard.store.place import Place, user_name

CONTAINER = "0123456789abcdef" * 4


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing on it, and this user's home."""
    (tmp_path / "home/.hermes/webui/sessions").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(guards, "SERVICE_STATES", tmp_path / "state")
    monkeypatch.setattr(guards, "PROCESSES", tmp_path / "proc")
    monkeypatch.setattr(guards, "UNIT_FOLDERS", (tmp_path / "units",))
    monkeypatch.setattr(guards, "USER_UNIT_FOLDERS", ())
    monkeypatch.setattr(typed.shutil, "which", lambda name: f"/usr/bin/{name}")
    for name in ("SUDO_UID", typed.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    typed.know(verb.name for verb in VERBS)
    typed.use(typed.BARE)


def load(machine, *, home=None, **flags):
    return config.load(flags, {"HOME": str(home or machine / "home")}, ())


def make(store: Path, sessions: Path) -> Path:
    place = Place(store)
    store.parent.mkdir(parents=True, exist_ok=True)
    place.make()
    sessions.mkdir(parents=True, exist_ok=True)
    place.note_guarded(sessions)
    return store


def own_sessions(machine):
    return machine / "home/.hermes/webui/sessions"


def test_the_store_of_the_installed_service_is_found_by_the_sessions_that_it_guards(machine):
    mine = make(machine / "state/hermesguard-me", own_sessions(machine))
    make(machine / "state/hermesguard-ada", machine / "ada/sessions")
    found = guards.with_its_store(load(machine), "status")
    assert (found.store, found.sessions) == (mine, own_sessions(machine))
    assert typed.command() == "hermesguard", "the same words find it again"


def test_the_only_guard_is_meant_and_its_sessions_are_known(machine):
    store = make(machine / "state/hermesguard", machine / "srv/sessions")
    found = guards.with_its_store(load(machine), "lost")
    assert (found.store, found.sessions) == (store, machine / "srv/sessions")


def test_several_are_listed_and_asked_for_by_name(machine):
    for name in ("ada", "bob"):
        make(machine / f"state/hermesguard-{name}", machine / name)
    with pytest.raises(GuardError) as caught:
        guards.with_its_store(load(machine), "status", ["status", "--json"])
    assert caught.value.exit_code == ExitCode.USAGE
    for name in ("ada", "bob"):
        store = machine / f"state/hermesguard-{name}"
        assert f"hermesguard@{name}  hermesguard --store {store} status --json" in caught.value.what
    named = guards.store_named("hermesguard@ada")
    assert guards.with_its_store(load(machine, store=named), "status").sessions == machine / "ada"
    assert guards.store_named("hermesguard.service") == str(machine / "state/hermesguard")
    assert guards.store_named("hermesguard") == "hermesguard", "a directory may be called so"


def test_sessions_that_are_not_those_of_the_store_are_an_error(machine):
    store = make(machine / "store", machine / "ada")
    (machine / "other").mkdir()
    with pytest.raises(GuardError, match=r"is that of .*/ada, not of .*/other \(flag --sessions\)"):
        guards.with_its_store(load(machine, store=str(store), sessions=str(machine / "other")), "list")
    os.symlink(machine / "ada", machine / "link")
    assert guards.with_its_store(load(machine, store=str(store), sessions=str(machine / "link")), "list")
    for directory in (machine / "ada", store / "shadows"):
        (directory / "one.json").write_text("{}")
    with pytest.raises(GuardError, match="is that of"):
        Place(store).note_guarded(machine / "other")
    shutil.rmtree(machine / "ada")
    Place(store).note_guarded(machine / "other")
    assert Place(store).guarded() == machine / "other", "the directory has moved"


def test_a_directory_that_was_named_by_mistake_does_not_bind_the_store(machine):
    """As in a container whose second compose file was forgotten: it looked at an empty directory, or at another program's."""
    store = make(machine / "store", machine / "stale")
    (machine / "right").mkdir()
    (machine / "stale/session_of_another_program.json").write_text("{}")
    Place(store).note_guarded(machine / "right")
    assert Place(store).guarded() == machine / "right", "nothing was kept of it"
    for directory in (machine / "right", store / "shadows"):
        (directory / "one.json").write_text("{}")
    with pytest.raises(GuardError, match="is that of"):
        Place(store).note_guarded(machine / "stale")
    (machine / "right/one.json").unlink()
    Place(store).note_guarded(machine / "stale")
    assert Place(store).guarded() == machine / "stale", "none of what is kept is there"


def test_a_directory_that_may_not_be_looked_at_still_binds_the_store(machine, monkeypatch):
    """As one in the home of another user, or on a server that does not answer now: it is there for all that is known."""
    store = make(machine / "store", machine / "home/ada")
    (machine / "other").mkdir()

    def denied(real):
        def call(path, *more, **named):
            if str(path).startswith(str(machine / "home")):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *more, **named)

        return call

    for name in ("stat", "scandir"):
        monkeypatch.setattr(os, name, denied(getattr(os, name)))
    with pytest.raises(GuardError, match="is that of"):
        Place(store).note_guarded(machine / "other")
    assert Place(store).guarded() == machine / "home/ada"


def test_a_copy_of_a_store_is_for_no_directory(machine):
    store = make(machine / "store", machine / "ada")
    os.rename(store, machine / "copy")
    make(store, machine / "ada")
    assert Place(machine / "copy").guarded() is None


def test_a_store_of_another_user_is_spoken_to_with_sudo(machine, monkeypatch):
    store = make(machine / "state/hermesguard-ada", machine / "ada")
    monkeypatch.setattr(typed, "owner_of", lambda store: 4711)
    command = f"sudo -u '#4711' hermesguard --store {store}"
    monkeypatch.setattr(guards.os, "access", lambda path, mode: False)
    with pytest.raises(GuardError) as caught:
        guards.with_its_store(load(machine), "status", ["status"])
    assert caught.value.exit_code == ExitCode.NO_STORE
    assert f"hermesguard@ada  {command} status" in caught.value.what
    guards.with_its_store(load(machine, store=str(store)), "status")
    assert typed.as_typed("See: hermesguard explain 7; hermesguard@ada runs.") == (
        f"See: {command} explain 7; hermesguard@ada runs."
    )


def test_what_was_typed_with_sudo_is_typed_with_sudo_again(machine, monkeypatch):
    store = make(machine / "store", machine / "ada")
    settings = load(machine, store=str(store))
    outer = {"SUDO_UID": str(os.geteuid() + 1)}
    assert typed.command_for(settings, outer).startswith("sudo -u ")
    assert typed.command_for(settings, {}) == f"hermesguard --store {store}"
    assert typed.command_for(dataclasses.replace(settings, origins={"store": "default"}), {}) == "hermesguard"
    inside = {typed.VARIABLE: "docker exec hermesguard hermesguard"}
    assert typed.command_for(settings, inside) == "docker exec hermesguard hermesguard"


def process(machine, number, words, group, store=None):
    folder = machine / "proc" / str(number)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
    (folder / "cgroup").write_text(group)
    if store:
        os.symlink(store / "lock", folder / "fd/3")


def test_running_guards_are_found_wherever_their_store_is_and_those_in_containers(machine):
    (machine / "proc/self").mkdir()
    (machine / "proc/self/cgroup").write_text("0::/user.slice\n")
    store = make(machine / "elsewhere", own_sessions(machine))
    process(machine, 100, ["/usr/bin/python3", "/usr/bin/hermesguard", "run"], "0::/user.slice\n", store)
    process(machine, 101, ["/bin/sh", "-c", "run"], "0::/user.slice\n", store)
    assert guards.with_its_store(load(machine), "status").store == store
    other = make(machine / "makeshift", machine / "ada")
    process(machine, 103, ["python3", "/usr/bin/hermesguard", "run"], "0::/user.slice\n", other)
    assert guards.with_its_store(load(machine), "status").store == store
    with pytest.raises(GuardError, match=f"process 103, running *hermesguard --store {other} status"):
        guards.with_its_store(load(machine, home=machine / "nobody"), "status")
    group = f"0::/system.slice/docker-{CONTAINER}.scope\n"
    process(machine, 102, ["python3", "/opt/hermesguard/bin/hermesguard", "run"], group)
    found = guards.find(load(machine))
    assert [one.command for one in found] == [
        f"hermesguard --store {store}",
        f"hermesguard --store {other}",
        f"docker exec {CONTAINER[:12]} hermesguard",
    ]
    assert found[2].is_running


def test_where_there_is_none_the_installed_unit_is_advised(machine):
    settings = guards.with_its_store(load(machine), "status")
    assert settings.store == machine / "home/.local/state/hermesguard"
    assert guards.install_command() == "hermesguard run"
    (machine / "units").mkdir()
    (machine / "units/hermesguard@.service").touch()
    assert guards.install_command().startswith("sudo systemctl enable --now hermesguard@")
    assert guards.start_command(machine / "state/hermesguard-ada").endswith("systemctl start hermesguard@ada")


def test_a_scan_never_takes_the_store_of_other_sessions(machine):
    make(machine / "state/hermesguard-ada", machine / "ada")
    assert guards.with_its_store(load(machine), "scan").store == machine / "home/.local/state/hermesguard"
    mine = make(machine / "state/hermesguard-me", own_sessions(machine))
    assert guards.with_its_store(load(machine), "scan").store == mine


def test_what_a_guard_reports_is_typed_by_whoever_reads_it(machine, monkeypatch):
    own = load(machine)
    environment = {"HOME": str(machine / "home")}
    assert typed.command_in_reports(own, environment) == "hermesguard"
    named = load(machine, store=str(machine / "elsewhere"))
    assert typed.command_in_reports(named, environment) == f"hermesguard --store {machine / 'elsewhere'}"
    service = config.load({}, {**environment, "STATE_DIRECTORY": "/var/lib/hermesguard-ada"}, ())
    me = user_name(os.geteuid())
    words = "hermesguard --store /var/lib/hermesguard-ada"
    assert typed.command_in_reports(service, environment) == f"sudo -u {me} {words}"
    monkeypatch.setattr(typed.shutil, "which", lambda name: None)
    assert typed.command_in_reports(service, environment) == f"runuser -u {me} -- {words}"
    inside = {**environment, typed.VARIABLE: "docker exec hermesguard hermesguard"}
    assert typed.command_in_reports(service, inside) == "docker exec hermesguard hermesguard"


def test_an_event_names_commands_as_they_are_typed():
    typed.use("sudo -u ada hermesguard --store /var/lib/x")
    try:
        values = event.as_typed({"undo": "hermesguard undo 7", "session": "hermesguard undo 7", "count": 3})
    finally:
        typed.use(typed.BARE)
    assert values["undo"] == "sudo -u ada hermesguard --store /var/lib/x undo 7"
    assert (values["session"], values["count"]) == ("hermesguard undo 7", 3)


def test_a_process_that_is_no_guard_is_asked_again_when_its_number_is_another_ones_or_it_is_asked_for(
    machine,
):
    process(machine, 100, ["/bin/sh"], "")
    process(
        machine, 101, ["python3", "/usr/bin/hermesguard", "run"], "", make(machine / "a", machine / "ada")
    )
    strangers: dict[str, int] = {}
    ours = {machine / "ada": machine / "a"}
    for looks in (1, 2, 2):
        assert guards.guarded_by_others(strangers) == ours
        assert strangers == {"100": looks}
    process(
        machine, 102, ["python3", "/usr/bin/hermesguard", "run"], "", make(machine / "b", machine / "bob")
    )
    both = {**ours, machine / "bob": machine / "b"}
    assert guards.guarded_by_others(strangers) == both
    (machine / "proc/100").rename(machine / "gone")
    assert guards.guarded_by_others(strangers) == both
    assert not strangers
    process(machine, 100, ["python3", "/usr/bin/hermesguard", "run"], "", make(machine / "c", machine / "cy"))
    assert guards.guarded_by_others(strangers) == {**both, machine / "cy": machine / "c"}
    process(machine, 103, ["/bin/sh"], "")
    guards.guarded_by_others(strangers)
    process(machine, 104, ["/bin/sh"], "")
    for _ in range(2):
        guards.guarded_by_others(strangers)
    store = make(machine / "d", machine / "dee")
    for number in (103, 104):
        (machine / f"proc/{number}/cmdline").write_bytes(b"python3\0/usr/bin/hermesguard\0run\0")
    os.symlink(store / "lock", machine / "proc/103/fd/3")
    assert len(guards.guarded_by_others(strangers)) == 3
    assert len(guards.guarded_by_others()) == 4


def test_a_process_that_is_about_to_run_a_guard_is_asked_again(machine):
    """Until it runs its program it has the command line of the one that started it."""
    process(machine, 100, ["/usr/lib/systemd/systemd-executor"], "")
    strangers: dict[str, int] = {}
    assert not guards.guarded_by_others(strangers)
    store = make(machine / "a", machine / "ada")
    (machine / "proc/100/cmdline").write_bytes(b"python3\0/usr/bin/hermesguard\0run\0")
    os.symlink(store / "lock", machine / "proc/100/fd/3")
    assert guards.guarded_by_others(strangers) == {machine / "ada": store}
