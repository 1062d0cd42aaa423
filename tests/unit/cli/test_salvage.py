"""`salvage` as people type it: history first, live on demand, one command back; and what status and explain say of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesguard.cli import main as cli
from hermesguard.demo.eras import Era
from hermesguard.store.store import Store
from tests.helpers.home import Home, chat, stamps, told

SID, OTHER = "4f2a61c09b7d", "aa00bb11cc22"
CHAT = chat(6)
KEPT = CHAT[:-4]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of an old release: one conversation wiped, one undone, both whole in state.db."""
    found = Home(tmp_path, Era.OLD, 2)
    found.save(SID, CHAT)
    found.wipe(SID, index_count=len(CHAT))
    found.remember(SID, CHAT)
    found.save(OTHER, KEPT, updated_at=CHAT[-1]["timestamp"] + 30)
    found.remember(OTHER, CHAT)
    return found


@pytest.fixture
def command(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line in this process; return (exit code, stdout, stderr)."""
    for name in ("HERMES_HOME", "HERMES_WEBUI_STATE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home.root))
    monkeypatch.setenv("HERMESGUARD_STORE", str(home.root / "store"))
    monkeypatch.setenv("COLUMNS", "140")

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(list(words))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run


def live(home: Home, name: str) -> list[tuple[str, str]]:
    return told(json.loads((home.sessions / f"{name}.json").read_text(encoding="utf-8"))["messages"])


def test_a_dry_run_writes_nothing_at_all(home: Home, command: Command) -> None:
    before = stamps(home.root)
    code, out, _ = command("salvage", "--dry-run")
    assert code == 0
    assert stamps(home.root) == before
    assert "1 conversation lost 18 messages that can come back." in out
    assert f"1 conversation may have been cut on purpose: {OTHER}." in out


def test_a_dry_run_of_what_makes_live_says_what_would_come_and_what_to_type(
    home: Home, command: Command
) -> None:
    before = stamps(home.root)
    code, out, _ = command("salvage", "--restore", SID, "--dry-run")
    assert code == 0
    assert stamps(home.root) == before
    assert "1 conversation lost 18 messages that can come back." in out
    assert f"To bring them back: hermesguard salvage --restore {SID}\n" in out
    assert "To bring them back: hermesguard salvage --restore\n" in command("salvage", "--dry-run")[1]
    assert "To bring them back" not in command("salvage", "--restore")[1]


def test_what_is_uncertain_is_named_as_it_is_to_be_typed(home: Home, command: Command) -> None:
    assert f"hermesguard salvage {OTHER} --restore\n" in command("salvage", "--dry-run")[1]


def test_the_result_goes_into_the_history_first(home: Home, command: Command) -> None:
    before = stamps(home.agent)
    assert command("salvage")[0] == 0
    assert stamps(home.agent) == before
    (version,) = Store(home.root / "store").versions(SID)
    assert (version.reason, version.messages) == ("salvaged", len(CHAT))
    assert command("salvage")[0] == 0
    assert len(Store(home.root / "store").versions(SID)) == 1
    code, out, _ = command("show", f"{SID}@-1", "--no-pager")
    assert code == 0
    assert "question 5" in out


def test_restore_makes_it_live_and_undo_reverses_it(home: Home, command: Command) -> None:
    wiped = (home.sessions / f"{SID}.json").read_bytes()
    code, out, _ = command("salvage", "--restore")
    assert code == 0
    assert live(home, SID) == told(CHAT)
    assert live(home, OTHER) == told(KEPT)
    assert "To reverse it: hermesguard undo 1" in out
    assert "hermesguard undo 1" in command("explain", "1")[1]
    assert command("undo", "1")[0] == 0
    assert (home.sessions / f"{SID}.json").read_bytes() == wiped


def test_what_is_uncertain_comes_back_when_it_is_named(home: Home, command: Command) -> None:
    code, out, _ = command("salvage", OTHER[:4], "--restore", "--json")
    assert code == 0
    (found,) = json.loads(out)["conversations"]
    assert (found["state"], found["action"], found["messages_after"]) == ("uncertain", "salvaged", len(CHAT))
    assert live(home, OTHER) == told(CHAT)
    assert live(home, SID) == []


def test_a_gone_session_comes_back_and_undo_takes_it_away_again(home: Home, command: Command) -> None:
    (home.sessions / f"{SID}.json").unlink()
    command("salvage", "--restore")
    assert live(home, SID) == told(CHAT)
    assert command("undo", "1")[0] == 0
    assert not (home.sessions / f"{SID}.json").exists()
    # Whoever has undone it has said what is to be.
    assert (
        "No conversation" in command("salvage", "--dry-run")[1]
        or SID not in command("salvage", "--dry-run")[1]
    )


def test_what_was_written_since_is_kept(home: Home, command: Command) -> None:
    command("salvage")
    later = chat(1, start=CHAT[-1]["timestamp"] + 900, word="later question")
    home.save(SID, later, listed=False)
    command("salvage", SID, "--restore")
    assert live(home, SID) == told(CHAT + later)


def test_show_says_of_each_message_what_becomes_of_it(home: Home, command: Command) -> None:
    code, out, _ = command("salvage", OTHER, "--show")
    assert code == 0
    lines = out.splitlines()
    assert sum(line.startswith("? ") for line in lines) == 4
    assert any("question 5" in line and line.startswith("?") for line in lines)
    assert command("salvage", "--show")[0] == 2


def test_another_home_can_be_named(home: Home, command: Command, tmp_path: Path) -> None:
    (home.agent / "state.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "agent").mkdir()
    (tmp_path / "elsewhere.db").rename(tmp_path / "agent" / "state.db")
    assert (
        "No conversation" not in command("salvage", "--dry-run", "--hermes-home", str(tmp_path / "agent"))[1]
    )
    code, _, error = command("salvage", "--hermes-home", str(tmp_path / "nowhere"))
    assert code == 2
    assert "is no directory" in error


def test_status_names_what_looks_lost_from_before_the_guard(home: Home, command: Command) -> None:
    command("scan")
    assert "1 lost before the guard came" in command("status")[1]
    assert "hermesguard salvage --restore" in command("lost")[1]
    command("salvage", "--restore")
    assert "lost before" not in command("status")[1]


def test_explain_asks_a_second_witness_about_an_uncertain_incident(home: Home, command: Command) -> None:
    name = "cc33dd44ee55"
    home.save(name, CHAT)
    home.remember(name, CHAT)
    command("scan")
    home.save(name, CHAT[:-10], updated_at=CHAT[-1]["timestamp"] + 60)
    command("scan")
    (incident,) = json.loads(command("log", "--json", "--session", name)[1])["incidents"]
    assert incident["event"] == "uncertain"
    out = command("explain", incident["id"])[1]
    assert "What other traces say" in out
    assert "state.db knows 10 of the 10 missing messages" in out
