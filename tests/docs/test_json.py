"""docs/json.md says what `--json` prints: no member that it does not know, none that it has and nobody prints."""

import json
import re
import subprocess
import sys
from datetime import datetime

import pyrage
import pytest

from hermesguard import files
from hermesguard.demo import losses
from hermesguard.notify import state
from hermesguard.notify.outbox import Outbox
from tests.helpers import cli_store
from tests.helpers.page_client import Serving

TYPES = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "time": lambda value: value == "" or datetime.fromisoformat(value).utcoffset().total_seconds() == 0,
    "null": lambda value: value is None,
    "any": lambda value: True,
}


def documented():
    """By kind: member -> its types."""
    found, kind = {}, ""
    for line in (cli_store.ROOT / "docs/json.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            kind = line[3:]
            found[kind] = {}
        elif match := re.fullmatch(r"\| (`.*`) \| (.*?) \| .* \|", line):
            for member in re.findall(r"`([^`]+)`", match[1]):
                found[kind][member] = match[2]
    for members in found.values():
        for member, kinds in members.items():
            if kinds.startswith("as in "):
                members[member] = found[kinds.removeprefix("as in ")][member]
    return found


DOCUMENTED = documented()


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Every kind of object, as real commands print them; by kind."""
    root = tmp_path_factory.mktemp("json")
    scene = cli_store.make(root)
    objects = {}

    def run(*words, **variables):
        _, text, _ = scene.call(*words, "--json", **variables)
        assert text.isascii(), words
        found = json.loads(text)
        assert found["schema_version"] == 2
        objects.setdefault(found["kind"], []).append(found)
        return found

    thoughtless = (scene.sessions / f"{scene.whole}.json").read_bytes()
    thoughtful = json.loads(thoughtless)
    thoughtful["messages"][1]["reasoning"] = "a long thought"
    (scene.sessions / f"{scene.whole}.json").write_text(json.dumps(thoughtful))
    run("diff", f"{scene.whole}@live", "@latest")
    (scene.sessions / f"{scene.whole}.json").write_bytes(thoughtless)
    run("status")
    told = state.State(outboxes=[Outbox("key", "address 1 (ntfys)")], source="journal")
    files.make_directory(state.directory_of(scene.store))
    state.write(state.directory_of(scene.store), told)
    for words in (
        ["status"],
        ["list"],
        ["history", "3f2a"],
        ["show", "cron"],
        ["diff", "2026"],
        ["log"],
        ["lost"],
        ["find", "garden"],
        ["explain", "1"],
        ["explain", "restored"],
        ["restore", "2026@-1", "--dry-run"],
        ["restore", "2026@-1"],
        ["restore", "2026"],
        ["restore", "3f2b", "-o", root / "copy.json"],
        ["undo", "1", "--dry-run"],
        ["accept", "3f2b", "--dry-run"],
        ["accept", "3f2b"],
        ["prune", "--dry-run"],
        ["drill"],
        ["report", "-o", "-"],
        ["config", "show"],
        ["config", "check"],
    ):
        run(*words)
    late = scene.app.create("late", session_id="late", turns=2)
    (scene.sessions / "late.tmp.4711.1").write_bytes((scene.sessions / "late.json").read_bytes())
    losses.vanish(late)
    run("salvage", "--dry-run")
    run("salvage", "late", "--show")
    run("salvage", "late", "--restore")
    scene.app.create("new", session_id="new", turns=1)
    (scene.sessions / "broken.json").write_text("{")
    run("scan", "--check")
    run("scan")
    run("status")
    losses.vanish(scene.app.open(scene.odd))
    run("restore", "--all-missing")
    run("undo", "1")
    version = max((scene.store / "history" / scene.wiped).iterdir())
    version.write_bytes(version.read_bytes()[:50])
    (scene.store / "shadows" / f"{scene.odd}.json").write_bytes(b"{")
    run("verify")
    (scene.sessions / f"{scene.odd}.json").unlink()
    (scene.store / "shadows" / f"{scene.odd}.json").write_bytes(b"{")
    run("drill")
    run("purge", scene.odd, "--dry-run")
    run("purge", scene.wiped, "--yes")
    run("log")
    run("extension", "install")
    run("extension", "status")
    identity = pyrage.x25519.Identity.generate()
    (root / "disk").mkdir()
    (root / "key.txt").write_text(str(identity))
    copies = {
        "HERMESGUARD_OFFSITE_URL": f"file://{root}/disk",
        "HERMESGUARD_OFFSITE_RECIPIENTS": str(identity.to_public()),
    }
    subprocess.run(
        [sys.executable, "-m", "hermesguard", "offsite", "run", "--once"],
        cwd=cli_store.ROOT,
        env=scene.environment(copies),
        check=True,
    )
    run("status", **copies)
    run("offsite", "status", **copies)
    run("offsite", "verify", "--identity", root / "key.txt", **copies)
    run("offsite", "restore", "--identity", root / "key.txt", root / "back", **copies)
    run("offsite", "accept", **copies)
    with Serving(root, scene.store, scene.sessions) as page:
        run("open", HERMESGUARD_PAGE_PORT=str(page.port))
    objects["incident"] = [
        {"schema_version": 2, "kind": "incident"} | it["incidents"][0] for it in objects["incidents"]
    ]
    return objects


def test_every_kind_is_documented_and_printed(printed):
    assert set(printed) == set(DOCUMENTED)


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_what_is_printed_is_what_is_documented(printed, kind):
    seen = set()
    for found in printed[kind]:
        members = {key: value for key, value in found.items() if key not in ("schema_version", "kind")}
        seen |= check(DOCUMENTED[kind], "", members)
    assert seen == set(DOCUMENTED[kind])


def check(members, place, value):
    """Look at a value and all that is in it; return the members that were met. AssertionError for an unknown one."""
    types = members.get(place)
    if types:
        assert any(is_of(word, value) for word in types.split(" or ")), f"{place} is no {types}: {value!r}"
        if not any(member.startswith((f"{place}.", f"{place}[]")) for member in members):
            return {place}
    seen = {place} & set(members)
    if place and value in ([], {}):
        seen |= {member for member in members if re.match(re.escape(place) + r"(\[\]|\.[A-Z]+)", member)}
    if isinstance(value, list):
        for item in value:
            seen |= check(members, f"{place}[]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = f"{place}.{key}" if place else key
            free = next(
                (it for it in ("KEY", "SID") if any(m.startswith(f"{place}.{it}") for m in members)), None
            )
            seen |= check(members, f"{place}.{free}" if free else inner, item)
    else:
        assert types or value is None, f"{place} is not documented"
    return seen


def is_of(word, value):
    if word in TYPES:
        return TYPES[word](value)
    if word in ("object",):
        return isinstance(value, dict)
    if isinstance(value, dict):
        check(DOCUMENTED[word], "", {key: item for key, item in value.items() if key != "schema_version"})
        return True
    return False


def test_a_line_of_the_log_is_one_object(tmp_path):
    scene = cli_store.make(tmp_path)
    found = json.loads(scene.run("log", "--json").stdout)["incidents"][0]
    process = subprocess.Popen(
        [sys.executable, "-m", "hermesguard", "log", "-f", "--json"],
        cwd=cli_store.ROOT,
        env=scene.environment(),
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            line = json.loads(process.stdout.readline())
            process.terminate()
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert line == {"schema_version": 2, "kind": "incident", **found}
