"""What wakes the loop: a queue that all directories share, read by whoever needs it first."""

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
    ears.wait(0.0)
    assert not ears.may_have_news
    (tmp_path / "second" / "a.json").write_text("{}")
    assert first.take(is_read=True) == []
    assert not ears.may_have_news, "nobody has read"
    assert first.take() == []
    assert ears.may_have_news
    assert second.has_news
    assert ears.wait(0.0) == {}, "nobody is woken for it"
    assert not ears.may_have_news
    assert [change.name for change in second.take(is_read=True)] == ["a.json"]
    for watch in watches:
        watch.stop()
    ears.close()
