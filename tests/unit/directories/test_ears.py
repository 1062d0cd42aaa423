"""What wakes the loop: a queue that all directories share, read by whoever needs it first."""

import time
from pathlib import Path

from hermesguard.daemon.directories.ears import Ears
from hermesguard.watcher.watcher import Watch


def test_what_was_read_along_for_another_directory_is_not_waited_for(tmp_path: Path) -> None:
    ears = Ears()
    watches = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        watches.append(Watch(tmp_path / name, queue=ears.queue))
        watches[-1].start()
        ears.listen(watches[-1].fileno())
    first, second = watches
    asked: list[bool] = []

    def has_news() -> bool:
        asked.append(second.has_news)
        return asked[-1]

    assert ears.wait(0.0, has_news) == []
    asked.clear()  # each has proved itself, and read for that
    (tmp_path / "second" / "a.json").write_text("{}")
    assert first.take(is_read=True) == []
    assert first.take() == []
    began = time.monotonic()
    assert ears.wait(120.0, has_news) == [], "nobody is woken for it"
    assert time.monotonic() - began < 60.0, "it is not waited for"
    assert ears.wait(0.0, has_news) == []
    assert asked == [True], "who else may have news is asked only when somebody has read"
    assert [change.name for change in second.take(is_read=True)] == ["a.json"]
    for watch in watches:
        watch.stop()
    ears.close()


def test_a_directory_that_was_heard_of_along_with_something_else_is_not_waited_for(tmp_path: Path) -> None:
    ears = Ears()
    (tmp_path / "sessions").mkdir()
    (tmp_path / "profiles").mkdir()
    watch = Watch(tmp_path / "sessions", queue=ears.queue)
    watch.start()
    ears.listen(watch.fileno())
    assert ears.look_out([tmp_path / "profiles"])
    assert ears.wait(0.0, lambda: False) == []
    (tmp_path / "profiles" / "new").mkdir()
    assert watch.take() == []
    began = time.monotonic()
    assert ears.wait(120.0, lambda: False) == [], "nobody is woken for it"
    assert time.monotonic() - began < 60.0
    assert ears.is_stirred()
    assert not ears.is_stirred()
    watch.stop()
    ears.close()
