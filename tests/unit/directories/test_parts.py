"""The parts of a store: their names, and whose they are."""

from pathlib import Path

import pytest

from hermesguard.store.directories.parts import name_for, part_for, parts_of
from hermesguard.store.place import top_of
from hermesguard.store.store import Store


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/a/.hermes/webui/sessions", "default"),
        ("/home/a/.hermes/profiles/work/webui/sessions", "work"),
        ("/srv/hermes/webui/sessions", "hermes"),
        ("/srv/chat/sessions", "chat"),
        ("/srv/Ünder stand/sessions", "nder-stand"),
        ("/sessions", "directory"),
    ],
)
def test_a_part_is_called_as_people_call_its_directory(path: str, name: str) -> None:
    assert name_for(Path(path)) == name
    assert name_for(Path(path), {name}) == f"{name}-2"


def made(root: Path, sessions: Path) -> None:
    store = Store(root)
    store.create()
    store.place.note_guarded(sessions)


def test_the_first_part_is_the_store_itself(tmp_path: Path) -> None:
    store, first, work = tmp_path / "store", tmp_path / ".hermes/webui/sessions", tmp_path / "work/sessions"
    made(store, first)
    assert [(part.name, part.root) for part in parts_of(store, first)] == [("default", store)]
    made(store / "directories/work", work)
    (store / "directories/half-made").mkdir()
    found = parts_of(store, first)
    assert [(part.name, part.sessions) for part in found] == [("default", first), ("work", work)]
    assert part_for(found, work) == found[1]
    assert part_for(found, tmp_path / "other") is None
    assert top_of(found[1].root) == top_of(store) == store


def test_of_a_part_and_its_copies_the_first_one_counts(tmp_path: Path) -> None:
    store, first, work = tmp_path / "store", tmp_path / ".hermes/webui/sessions", tmp_path / "work/sessions"
    for name in ("work-of-may", "work", "yesterday"):
        made(store / "directories" / name, work)
    work.mkdir(parents=True)
    (tmp_path / "link").symlink_to("work")
    for called in (work, tmp_path / "link/sessions"):
        part = part_for(parts_of(store, first)[1:], called)
        assert part is not None
        assert part.name == "work"
