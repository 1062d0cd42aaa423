"""What a search notes of versions that only repeat newer copies: it must never hide a word, and holds no text."""

import gzip
import json
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from hermesguard import files
from hermesguard.config.settings import Settings
from hermesguard.lookup.find import notes, search
from hermesguard.lookup.find.query import Query
from hermesguard.lookup.find.repeats import Repeats, adds_text
from hermesguard.lookup.library import Library
from hermesguard.store.history import digest, version_name
from hermesguard.store.store import Store

WORDS = ["anchor", "bread", "copper", "Ängste", "echo", "42", "garden", "\\", '"', "harbour", ","]
WORDS += ["]", "}", "true", "null", "messages", "17.5"]
SAID = ["anchor", "bread", "copper", "Ängste", "echo", "garden", "harbour", "anchor bread", "echo anchor"]
NAMES = ["20260101_000000_aaaaaa", "20260101_000000_bbbbbb"]


def text(value):
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


def document(random, messages=None):
    count = random.randrange(6)
    made = [
        {"role": random.choice(["user", "assistant"]), "content": said(random), "timestamp": random.random()}
        for _ in range(count)
    ]
    return {
        "title": said(random),
        "updated_at": random.random(),
        "pinned": random.random() < 0.5,
        "messages": made if messages is None else messages,
        "message_count": count,
        "context": {"note": said(random), "input_tokens": random.randrange(9)},
    }


def said(random):
    return " ".join(random.choice(WORDS) for _ in range(random.randrange(4)))


def changed(random, value):
    """Return a document that was saved again: grown, shortened, renamed, or with other figures alone."""
    value = json.loads(json.dumps(value))
    for _ in range(random.randrange(1, 3)):
        match random.randrange(5):
            case 0:
                value["messages"].append({"role": "user", "content": said(random)})
            case 1:
                del value["messages"][random.randrange(3) :]
            case 2:
                value["title"] = said(random)
            case 3:
                value["updated_at"] = random.random()
            case 4 if value["messages"]:
                random.choice(value["messages"])["content"] = said(random)
    return value


def strings(value):
    if isinstance(value, dict):
        return [one for inner in value.values() for one in strings(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in strings(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("seed", range(150))
def test_what_adds_no_text_has_no_text_of_its_own(seed):
    some = random.Random(seed)
    old = document(some)
    new = changed(some, old) if seed % 4 else document(some)
    for a, b in ((old, new), (new, old)):
        if not adds_text(text(a), text(b)):
            assert set(strings(a)) <= set(strings(b))
        if set(strings(a)) - set(strings(b)):
            assert adds_text(text(a), text(b))


def test_other_figures_and_fewer_messages_add_no_text():
    whole = document(random.Random(1), [{"role": "user", "content": word} for word in WORDS])
    assert not adds_text(text(whole | {"updated_at": 2.0, "message_count": 1, "pinned": None}), text(whole))
    assert not adds_text(text(whole | {"messages": whole["messages"][:5]}), text(whole))
    assert not adds_text(text(whole | {"messages": []}), text(whole))
    assert not adds_text(b"", text(whole))
    assert adds_text(text(whole), text(whole | {"messages": whole["messages"][:-1]}))
    assert adds_text(text(whole | {"title": "Other"}), text(whole))
    assert adds_text(json.dumps(whole).encode(), text(whole))
    assert adds_text(b"no session at all", text(whole))


class Place:
    """A sessions directory, its store, and what searches of it notes."""

    def __init__(self, root: Path, name: str = "store") -> None:
        self.settings = Settings(sessions=root / f"{name}-sessions", store=root / name)
        self.settings.sessions.mkdir()
        self.store = Store(self.settings.store)
        self.store.create()
        self.notes = root / "cache" / "hermesguard"
        self.minutes = 0

    def save(self, name, value, *, is_kept=True):
        path = self.settings.sessions / f"{name}.json"
        files.write_durably(path, text(value), is_lasting=False)
        if is_kept:
            self.store.keep(name, text(value), path.stat().st_mtime_ns, len(value["messages"]))

    def version(self, name, value):
        self.minutes += 1
        when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self.minutes)
        data = text(value)
        path = self.store.history_directory / name / f"{version_name(when)}-1-loss-{digest(data)}.json.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(data, 1))
        return path

    def find(self, word):
        return sorted(search.search(Library(self.settings), Query(word)))

    def find_without_notes(self, word):
        library = Library(self.settings)
        return sorted(search.looking(library, Query(word))(library.sessions))


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(search, "_LEAST_NOTED", 1)
    monkeypatch.setattr(notes, "_SETTLED_NS", -(10**12))
    place = Place(tmp_path)
    some = random.Random(7)
    for name in NAMES:
        value = document(some, [{"role": "user", "content": f"{word} {word}"} for word in WORDS])
        place.save(name, value)
        for count in range(4):
            place.version(name, value | {"updated_at": count, "messages": value["messages"][:count]})
    place.version(NAMES[0], value | {"title": "A zeppelin"})
    return place


@pytest.fixture
def opened(monkeypatch):
    """Which versions were unpacked."""
    found = []
    unpack = search._unpacked
    monkeypatch.setattr(search, "_unpacked", lambda packed: found.append(1) or unpack(packed))
    return found


def test_the_second_search_opens_only_versions_that_say_something_else(place, opened):
    place.find("nothing")
    assert len(opened) == 9
    opened.clear()
    assert place.find("nothing") == []
    assert len(opened) == 1
    (hit,) = place.find("zeppelin")
    assert (hit.session, hit.source) == (NAMES[0], "version")


@pytest.mark.parametrize("act", ["save", "save without the guard", "version", "less", "delete"])
def test_what_changed_is_looked_through_again(place, opened, act):
    place.find("nothing")
    value = document(random.Random(3), [{"role": "user", "content": "quicksilver"}])
    match act:
        case "save" | "save without the guard":
            place.save(NAMES[1], value, is_kept=act == "save")
        case "version":
            place.version(NAMES[1], value)
        case "less":
            next((place.store.history_directory / NAMES[1]).iterdir()).unlink()
        case "delete":
            place.store.shadow_path(NAMES[1]).unlink()
    opened.clear()
    assert [hit.session for hit in place.find("quicksilver")] == (
        [] if act in ("less", "delete") else [NAMES[1]]
    )
    assert len(opened) > 2 or act in ("version", "save", "save without the guard")
    for word in ("anchor", "copper copper", "garden", "Ängste", "zeppelin", "quicksilver"):
        assert place.find(word) == place.find_without_notes(word)


def test_what_changes_in_the_moment_of_the_search_is_not_noted(place, opened, monkeypatch):
    monkeypatch.setattr(notes, "_SETTLED_NS", 10**12)
    place.find("nothing")
    opened.clear()
    place.find("nothing")
    assert len(opened) == 9


def test_what_cannot_be_read_now_is_tried_again(place, opened):
    broken = place.version(NAMES[1], {"messages": []})
    whole = gzip.compress(text(document(random.Random(3), [{"content": "quicksilver"}])))
    broken.write_bytes(b"no gzip")
    assert place.find("quicksilver") == []
    broken.write_bytes(whole)
    assert [hit.session for hit in place.find("quicksilver")] == [NAMES[1]]


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_version_that_only_repeated_what_was_live_is_read_when_that_changes(place, tmp_path, is_kept):
    value = document(random.Random(3), [{"role": "user", "content": "quicksilver"}])
    place.save(NAMES[1], value, is_kept=is_kept)
    place.version(NAMES[1], value | {"updated_at": 7.0})
    place.find("nothing")
    wait_for_a_tick(tmp_path / "clock")
    place.save(NAMES[1], value | {"messages": []}, is_kept=is_kept)
    (hit,) = place.find("quicksilver")
    assert (hit.session, hit.source) == (NAMES[1], "version")


def wait_for_a_tick(path):
    """Wait until what is changed from now on has another time than what was changed before."""
    path.touch()
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        path.touch()


@pytest.mark.parametrize("seed", range(25))
def test_any_history_of_changes_is_found_as_without_notes(tmp_path, monkeypatch, seed):
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(search, "_LEAST_NOTED", 1)
    monkeypatch.setattr(notes, "_SETTLED_NS", -(10**12))
    some, place = random.Random(seed), Place(tmp_path)
    values = {name: document(some) for name in NAMES}
    for _ in range(12):
        name = some.choice(NAMES)
        wait_for_a_tick(tmp_path / "clock")
        before, values[name] = values[name], changed(some, values[name])
        if some.random() < 0.7:
            place.version(name, before)
        place.save(name, values[name], is_kept=some.random() < 0.8)
        if some.random() < 0.4 and (there := sorted(place.store.history_directory.glob("*/*.gz"))):
            write_over(some, some.choice(there), values[name])
        if some.random() < 0.5:
            for word in some.sample(SAID, 3):
                assert place.find(word) == place.find_without_notes(word)


def write_over(random, path, value):
    """Let what stands at a version's name be damaged, or another: its directory does not tell."""
    packed = path.read_bytes()
    match random.randrange(3):
        case 0:
            path.write_bytes(packed[: random.randrange(len(packed) + 1)])
        case 1:
            path.write_bytes(gzip.compress(text(changed(random, value)), 1))
        case 2:
            path.write_bytes(gzip.compress(text(value), 1))


def test_a_version_that_is_written_over_is_read_again_although_the_clock_went_back(place, monkeypatch):
    value = document(random.Random(3), [{"content": "harbour"}])
    paths = [place.version(NAMES[1], value | {"updated_at": count}) for count in range(3)]
    assert place.find("quicksilver") == []
    paths[1].write_bytes(gzip.compress(text(value | {"title": "quicksilver"}), 1))
    look = search._stat

    def stat_with_an_early_time(path):
        found = look(path)
        if path != str(paths[1]):
            return found
        return SimpleNamespace(st_ino=found.st_ino, st_ctime_ns=found.st_ctime_ns - 10**12)

    monkeypatch.setattr(search, "_stat", stat_with_an_early_time)
    assert [hit.session for hit in place.find("quicksilver")] == [NAMES[1]]


@pytest.mark.parametrize("damage", ["cut off", "another"])
def test_a_damaged_version_whose_place_a_whole_one_takes_is_read_again(place, damage):
    path = place.version(NAMES[1], document(random.Random(3), [{"content": "quicksilver"}]))
    whole = path.read_bytes()
    shadow = place.store.shadow_path(NAMES[1]).read_bytes()
    path.write_bytes(whole[: len(whole) // 3] if damage == "cut off" else gzip.compress(shadow, 1))
    assert place.find("quicksilver") == []
    path.write_bytes(whole)  # as from a backup: the directory stays as it is
    assert [hit.session for hit in place.find("quicksilver")] == [NAMES[1]]


@pytest.mark.parametrize("has_live", [True, False])
def test_what_a_shadow_does_not_give_is_found_in_a_file_with_the_same_content(place, monkeypatch, has_live):
    value = document(random.Random(3), [{"role": "user", "content": "quicksilver"}])
    place.save(NAMES[1], value)
    path = place.version(NAMES[1], value)
    if not has_live:
        (place.settings.sessions / f"{NAMES[1]}.json").unlink()
    read = search._read
    monkeypatch.setattr(search, "_read", lambda path: b"" if "shadows" in path else read(path))
    expected = (NAMES[1], "live", "") if has_live else (NAMES[1], "version", path.name)
    for found in (place.find, place.find_without_notes, place.find):
        (hit,) = found("quicksilver")
        assert hit[1:] == expected


def test_of_a_content_that_is_kept_twice_the_whole_one_is_found(place):
    value = document(random.Random(3), [{"content": "quicksilver"}])
    place.version(NAMES[1], value)
    place.version(NAMES[1], value).write_bytes(b"no gzip")
    assert [hit.session for hit in place.find("quicksilver")] == [NAMES[1]]


def test_what_is_no_text_in_utf_8_can_be_in_a_path(place, tmp_path):
    name = os.fsdecode(b"caf\xe9")
    odd = Place(tmp_path, name)
    odd.save(NAMES[0], document(random.Random(3), [{"content": "quicksilver"}]))
    (odd.store.history_directory / NAMES[0]).mkdir()
    (odd.store.history_directory / NAMES[0] / f"{name}.json.gz").write_bytes(gzip.compress(b"{}"))
    assert len(odd.find("quicksilver")) == 1
    assert odd.find("zeppelin") == []
    assert len(odd.find("quicksilver")) == 1


def test_what_was_purged_is_not_noted_any_longer(place):
    place.find("nothing")
    (path,) = place.notes.iterdir()
    assert NAMES[1] in path.read_text()
    place.store.purge(NAMES[1])
    (place.settings.sessions / f"{NAMES[1]}.json").unlink()
    place.find("nothing")
    assert NAMES[0] in path.read_text()
    assert NAMES[1] not in path.read_text()


@pytest.mark.parametrize("planted", ["pipe", "link", "directory"])
def test_what_is_no_file_is_no_note(place, tmp_path, planted):
    place.find("nothing")
    (path,) = place.notes.iterdir()
    before = json.loads(path.read_text())
    path.unlink()
    match planted:
        case "pipe":
            os.mkfifo(path)
        case "link":
            (tmp_path / "elsewhere").write_bytes(b"precious")
            path.symlink_to(tmp_path / "elsewhere")
        case "directory":
            path.mkdir()
    assert len(place.find("zeppelin")) == 1
    assert place.find("nothing") == []
    if planted == "directory":
        assert [one.name for one in place.notes.iterdir()] == [path.name]
    else:
        assert json.loads(path.read_text()) == before
    if planted == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b"precious"


def test_no_notes_are_put_into_the_folder_of_somebody_else(place):
    if os.geteuid():
        return  # another user is needed
    place.notes.mkdir()
    os.chown(place.notes, 4711, -1)
    assert place.find("nothing") == []
    assert not list(place.notes.iterdir())


def test_the_notes_hold_no_text_and_are_for_their_user_alone(place):
    place.find("nothing")
    (path,) = place.notes.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    data = path.read_text().casefold()
    assert not [word for word in (*WORDS, "zeppelin", "title") if word.isalpha() and word in data]


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "no JSON",
        "[]",
        '{"format": 1}',
        '{"format": 1, "store": "STORE", "sessions": {"a": 1}}',
        '{"format": 1, "store": "STORE", "sessions": {"a": [1, [2]]}}',
        '{"format": 2, "store": "STORE", "sessions": {}}',
        '{"format": 1, "store": "/another", "sessions": {}}',
    ],
)
def test_damaged_notes_are_as_none(place, opened, damage):
    place.find("nothing")
    (path,) = place.notes.iterdir()
    path.write_text(damage.replace("STORE", os.path.realpath(place.settings.store)))
    opened.clear()
    place.find("nothing")
    assert len(opened) == 9
    opened.clear()
    place.find("nothing")
    assert len(opened) == 1


def test_notes_that_others_may_write_do_not_count(place, opened):
    place.find("nothing")
    (path,) = place.notes.iterdir()
    path.chmod(0o666)
    opened.clear()
    place.find("nothing")
    assert len(opened) == 9


def test_where_nothing_can_be_noted_the_search_goes_on(place, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self/nowhere")
    assert len(place.find("zeppelin")) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    assert len(place.find("zeppelin")) == 1
    assert not place.notes.exists()


def test_a_place_for_notes_that_is_not_there_yet_is_made(place, tmp_path, opened, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "yet"))
    place.find("nothing")
    opened.clear()
    place.find("nothing")
    assert len(opened) == 1


def test_nothing_is_noted_in_the_home_of_somebody_else(place, tmp_path, monkeypatch):
    home = Path("/")
    if os.geteuid() == 0:
        home = tmp_path / "home"
        home.mkdir()
        os.chown(home, 4711, -1)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(home))
    assert len(place.find("zeppelin")) == 1
    assert not (home / ".cache" / "hermesguard").exists()


def test_a_small_store_needs_no_notes(place, monkeypatch):
    monkeypatch.setattr(search, "_LEAST_NOTED", 3)
    assert len(place.find("zeppelin")) == 1
    assert not place.notes.exists()


def test_notes_of_a_store_are_kept_by_its_real_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store")
    Repeats(tmp_path / "store").write({"a": [[1], ["b"]]}, "a")
    assert Repeats(tmp_path / "link").versions("a", [1]) == ["b"]
    assert Repeats(tmp_path / "link").versions("a", [2]) is None
    assert Repeats(tmp_path / "other").versions("a", [1]) is None
