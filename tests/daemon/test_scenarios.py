"""Each rule of the judge, and each loss that has happened: the real daemon, real renames, every release that can have it.

One daemon guards one directory in which the sessions of all scenarios are played at the same time, as servers of five releases
do: each takes a step, the guard has looked at all of them, each takes the next. In the end the guard is killed and started
again, so what stands then stands for good. Sessions whose file goes are in test_daemon_vanishing.py.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2
from typing import Any

import pytest

from hermesguard.demo import acts, losses, quirks
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import text_of
from tests.helpers.daemon_process import Daemon, Record

SECONDS = 40.0
UNSENT = "what was typed last"
QUIET = {"version_kept", "two_writers"}
"""What may be told of a session to which nothing happens."""


@dataclass(eq=False)
class Scene:
    """One session in one release; `expected` is what must be said in it in the end (else what its server knows)."""

    daemon: Daemon
    chat: Chat
    expected: list[str] | None = None
    error: BaseException | None = None

    @property
    def name(self) -> str:
        return self.chat.session_id

    @property
    def era(self) -> Era:
        return self.chat.app.era

    def known(self) -> list[str]:
        """What the server knows."""
        return texts(self.chat.messages)

    def on_disk(self) -> list[str]:
        return texts(self.chat.on_disk()["messages"])

    def is_resolved(self) -> bool:
        """Whether the guard has nothing to do: its copy is the file."""
        return self.daemon.shadow(self.chat.path) == self.chat.path.read_bytes()

    def incidents(self) -> list[Record]:
        return [incident for incident in self.daemon.incidents() if incident["session"] == self.name]

    def reported(self) -> list[Record]:
        return [event for event in list(self.daemon.events) if event.get("session") == self.name]

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """What happens here is seen by nobody; only the next save writes it where the guard looks."""
        app, seen = self.chat.app, self.chat.app.directory
        with tempfile.TemporaryDirectory() as name:
            app.directory = Path(name)
            copy2(seen / self.chat.path.name, self.chat.path)
            try:
                yield
            finally:
                app.directory = seen


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [text_of(message) for message in messages]


Play = Callable[[Scene], Iterator[None]]


@dataclass(frozen=True)
class Scenario:
    """`play` yields where the guard is to have seen what was written; `rules` says by era which rule decides."""

    name: str
    play: Play
    ends: str
    rules: dict[Era, str]


SCENARIOS: list[Scenario] = []
MENT = "intended"
LOST = "repaired"
SAME = "nothing happened"
ALL = {era.name: "" for era in Era}


def scenario(ends: str, **rules: str) -> Callable[[Play], Play]:
    """A decorator: this is played in these eras, and ends so, by these rules."""

    def register(play: Play) -> Play:
        name = play.__name__.strip("_")
        SCENARIOS.append(Scenario(name, play, ends, {Era[era]: rule for era, rule in rules.items()}))
        return play

    return register


def by(rule: str, *eras: Era) -> dict[str, str]:
    """The same rule in these eras, in all when none is named."""
    return {era.name: rule for era in eras or Era}


OLD, V137, V720, V875, NEW = Era
UNMARKED = (OLD, V137, V720, V875)


# ---- 1: what cannot be read ------------------------------------------------------------------------------------------


@scenario(LOST, **by("1"))
def an_empty_file_after_a_power_cut(scene: Scene) -> Iterator[None]:
    losses.tear(scene.chat, share=0)
    yield


@scenario(LOST, **by("1"))
def a_torn_file(scene: Scene) -> Iterator[None]:
    losses.tear(scene.chat)
    yield


@scenario(LOST, **by("1"))
def a_torn_file_by_rename(scene: Scene) -> Iterator[None]:
    losses.tear_by_rename(scene.chat, share=0.8)
    yield


@scenario(SAME, **ALL)
def torn_for_a_moment(scene: Scene) -> Iterator[None]:
    """Whoever writes in place is not done; a second is enough."""
    text = scene.chat.path.read_text("utf-8")
    losses.tear(scene.chat)
    scene.chat.path.write_text(text, "utf-8")
    yield


# ---- 2, 21: nothing is lost ------------------------------------------------------------------------------------------


@scenario(SAME, **ALL)
def growth(scene: Scene) -> Iterator[None]:
    scene.chat.send("and then?")
    yield
    scene.chat.stream("It wr", reasoning="Let me see")
    yield
    scene.chat.stream("It writes", reasoning="Let me see")
    yield
    scene.chat.finish("It writes the rest.", tools=[("terminal", "ls", "a b")])
    yield
    scene.chat.pin()
    scene.chat.rename("Another title")
    yield


@scenario(SAME, **ALL)
def flip_flop_of_54_and_5_partials(scene: Scene) -> Iterator[None]:
    """Collapsed on load, brought back at the next start, for ever: nobody wants to hear of it."""
    scene.chat.send("and then?")
    yield
    for _ in range(4):
        quirks.pile_up_partials(scene.chat, 50)
        yield
        quirks.collapse_partials(scene.chat)
        yield


@scenario(SAME, **ALL)
def scaffolding_goes_11_to_8(scene: Scene) -> Iterator[None]:
    quirks.add_scaffolding(scene.chat)
    yield
    quirks.drop_scaffolding(scene.chat)
    yield


@scenario(SAME, **ALL)
def an_interruption_is_reworded_and_dropped(scene: Scene) -> Iterator[None]:
    scene.chat.send("and then?")
    yield
    scene.chat.interrupt()
    yield
    quirks.reword_interruption(scene.chat)
    yield
    quirks.drop_interruption(scene.chat)
    yield


@scenario(SAME, **ALL)
def a_prompt_that_stands_twice(scene: Scene) -> Iterator[None]:
    quirks.double_prompt(scene.chat)
    yield
    quirks.drop_double_prompts(scene.chat)
    yield


@scenario(SAME, **ALL)
def pictures_are_replaced(scene: Scene) -> Iterator[None]:
    quirks.add_image(scene.chat)
    yield
    quirks.replace_images(scene.chat)
    yield


@scenario(SAME, **ALL)
def issue_702_markup_is_stripped(scene: Scene) -> Iterator[None]:
    scene.chat.turn("list", "Here: <function_calls><invoke>ls</invoke></function_calls>")
    yield
    quirks.strip_xml(scene.chat)
    yield


@scenario(SAME, **ALL)
def messages_are_stamped(scene: Scene) -> Iterator[None]:
    quirks.drop_timestamps(scene.chat)
    yield
    quirks.stamp_timestamps(scene.chat)
    yield


@scenario(SAME, **ALL)
def never_any_messages(scene: Scene) -> Iterator[None]:
    scene.chat = scene.chat.app.create("Nothing in it")
    yield
    scene.chat.rename("Still nothing")
    yield
    scene.chat.pin()
    yield


# ---- 3, 13, 15: the wipe, and the server that goes on from an empty memory ---------------------------------------------


@scenario(LOST, **by("3"))
def issue_1558_the_wipe(scene: Scene) -> Iterator[None]:
    scene.chat.send(UNSENT)
    yield
    scene.expected = [*scene.on_disk(), UNSENT]
    losses.wipe(scene.chat)
    yield


@scenario(LOST, **by("15", OLD, V137))
def issue_1558_the_stale_writer(scene: Scene) -> Iterator[None]:
    scene.chat.send(UNSENT)
    yield
    scene.expected = [*scene.on_disk(), UNSENT, "are you there?", "I know of nothing.", "still?", "No."]
    losses.stale_writer(scene.chat)
    yield
    scene.chat.turn("are you there?", "I know of nothing.")
    yield
    scene.chat.turn("still?", "No.")
    yield
    scene.chat.pin()
    yield


@scenario(LOST, **by("15", OLD, V137))
def issue_1558_the_stale_writer_of_a_conversation_that_was_edited(scene: Scene) -> Iterator[None]:
    """The repair moves the watermark on; that of the stale writer is the older one."""
    acts.truncate(scene.chat, 8)
    yield
    scene.chat.turn("Said otherwise", "Answered otherwise.")
    yield
    yield from issue_1558_the_stale_writer(scene)


@scenario(LOST, **by("13", OLD, V137))
def issue_1558_a_stale_writer_whose_wipe_nobody_saw(scene: Scene) -> Iterator[None]:
    scene.chat.send(UNSENT)
    yield
    scene.expected = [*scene.on_disk(), UNSENT, "are you there?", "I know of nothing."]
    with scene.unseen():
        losses.stale_writer(scene.chat)
        scene.chat.turn("are you there?", "I know of nothing.")
    scene.chat.save()
    yield


# ---- 4, 8, 9, 11: taken back -------------------------------------------------------------------------------------------


@scenario(MENT, **by("9", *UNMARKED), NEW="4")
def undo_and_undo_again(scene: Scene) -> Iterator[None]:
    acts.undo(scene.chat)
    yield
    acts.undo(scene.chat)
    yield


@scenario(MENT, **by("9", *UNMARKED), NEW="4")
def retry(scene: Scene) -> Iterator[None]:
    acts.undo(scene.chat)
    yield
    scene.chat.turn("Question 5: what does part 5 do?", "Something else.")
    yield


@scenario(MENT, **by("9", *UNMARKED), NEW="4")
def regenerate(scene: Scene) -> Iterator[None]:
    if scene.era == NEW:
        acts.regenerate(scene.chat, "Something else.")
    else:
        acts.truncate(scene.chat, 8)
        yield
        scene.chat.turn("Question 5: what does part 5 do?", "Something else.")
    yield


@scenario(MENT, **by("9", *UNMARKED), NEW="4")
def edit(scene: Scene) -> Iterator[None]:
    acts.truncate(scene.chat, 8)
    yield
    scene.chat.turn("Said otherwise", "Answered otherwise.")
    yield


@scenario(MENT, NEW="4")
def truncate_to_4_of_10(scene: Scene) -> Iterator[None]:
    acts.truncate(scene.chat, 4)
    yield


@scenario(MENT, NEW="4b")
def a_message_deleted_from_the_middle(scene: Scene) -> Iterator[None]:
    acts.delete_message(scene.chat, 4)
    yield


@scenario(MENT, **by("11", *UNMARKED), NEW="4")
def undo_of_the_only_turn(scene: Scene) -> Iterator[None]:
    scene.chat = scene.chat.app.create("Only one", turns=1)
    yield
    acts.undo(scene.chat)
    yield


@scenario(MENT, **by("11", *UNMARKED))
def edit_of_the_first_of_five_turns(scene: Scene) -> Iterator[None]:
    acts.truncate(scene.chat, 0)
    scene.chat.send("Said otherwise")
    yield
    scene.chat.finish("Answered otherwise.")
    yield


# ---- 6, 14, 12: cleared, compressed ------------------------------------------------------------------------------------


@scenario(MENT, **by("6", OLD, V137, V720), **by("6a", V875, NEW))
def clear(scene: Scene) -> Iterator[None]:
    acts.clear(scene.chat)
    yield
    scene.chat.turn("A new beginning", "Yes.")
    yield


@scenario(MENT, **by("14", OLD, V137, V720), **by("6a", V875, NEW))
def clear_and_a_new_chat_seen_at_once(scene: Scene) -> Iterator[None]:
    with scene.unseen():
        acts.clear(scene.chat)
        scene.chat.turn("A new beginning", "Yes.")
    scene.chat.save()
    yield


@scenario(MENT, **by("12", OLD, V137))
def issue_3133_compress_that_replaces_the_messages(scene: Scene) -> Iterator[None]:
    acts.compress(scene.chat)
    yield


@scenario(SAME, **by("", V720, V875, NEW))
def compress_of_the_context_alone(scene: Scene) -> Iterator[None]:
    acts.compress(scene.chat)
    yield


# ---- 5, 7, 10, 11, 16, 17, 22: lost --------------------------------------------------------------------------------------


@scenario(LOST, NEW="5")
def a_shrink_that_went_further_than_its_mark(scene: Scene) -> Iterator[None]:
    scene.expected = scene.known()[:8]
    losses.unfinished_shrink(scene.chat, keep=3)
    yield


@scenario(LOST, **by("10", OLD, V137))
def issue_5096_an_edit_cuts_1000_messages_to_28(scene: Scene) -> Iterator[None]:
    for number in range(6, 500):
        scene.chat.add_turn(f"Question {number}", f"Answer {number}.")
    scene.chat.save()
    yield
    scene.expected = scene.known()
    losses.window_truncate(scene.chat)
    yield


@scenario(LOST, **by("10", OLD, V137))
def issue_3487_a_negative_count(scene: Scene) -> Iterator[None]:
    scene.expected = scene.known()
    losses.negative_keep(scene.chat, 5)
    yield


@scenario(LOST, **by("10", *UNMARKED), NEW="7")
def a_stale_process_10_to_4(scene: Scene) -> Iterator[None]:
    losses.stale_process(scene.chat)
    yield


@scenario(LOST, **by("25", *UNMARKED), NEW="7")
def a_stale_process_one_turn_behind(scene: Scene) -> Iterator[None]:
    """As an undo, but for the token counters."""
    losses.stale_process(scene.chat, messages_behind=2)
    yield


@scenario(LOST, **by("17", *UNMARKED), NEW="7")
def a_second_server_says_something(scene: Scene) -> Iterator[None]:
    app = App(scene.chat.app.directory, scene.era, clock=scene.chat.app.clock)
    second = app.open(scene.name)
    scene.chat.turn("said to the first", "The first answers.")
    yield
    scene.expected = [*scene.known(), "said to the second", "The second answers."]
    second.add_turn("said to the second", "The second answers.")
    second.save()
    yield


@scenario(LOST, **by("17", *UNMARKED), NEW="7")
def issue_2136_a_late_worker(scene: Scene) -> Iterator[None]:
    late = f"Late, in {scene.chat.session_id}."  # the same in two sessions at the same time would be a stranger in one of them
    scene.expected = [*scene.known(), late]
    losses.late_worker(scene.chat, late)
    yield


@scenario(LOST, **by("17", *UNMARKED), NEW="7")
def issue_6623_a_broken_answer_comes_late(scene: Scene) -> Iterator[None]:
    chat = scene.chat
    chat.send("breaks off")
    yield
    chat.interrupt()
    yield
    chat.turn("next", "Done.")
    yield
    scene.expected = [*scene.known()[:11], "Late.", "next", "Done."]
    losses.late_worker(chat, "Late.")
    yield


@scenario(LOST, **by("17", *UNMARKED), NEW="7")
def issue_3300_a_chat_collapses_to_its_tail(scene: Scene) -> Iterator[None]:
    losses.collapse_to_tail(scene.chat)
    yield


@scenario(LOST, **by("17", *UNMARKED), NEW="7")
def a_message_in_the_middle_is_lost(scene: Scene) -> Iterator[None]:
    losses.lose_message(scene.chat, 4)
    yield


@scenario(LOST, **by("22", *UNMARKED), NEW="7")
def issue_4205_an_empty_snapshot_over_an_active_turn(scene: Scene) -> Iterator[None]:
    scene.chat.send(UNSENT)
    yield
    scene.expected = [*scene.on_disk(), UNSENT]
    losses.empty_over_active_turn(scene.chat)
    yield


@scenario(LOST, **by("25", *UNMARKED), NEW="7")
def emptied_and_no_prompt_follows(scene: Scene) -> Iterator[None]:
    scene.expected = scene.known()
    scene.chat.messages = []
    scene.chat.document["context_messages"] = []
    scene.chat.save()
    yield


@scenario(LOST, **by("16", V137, V720, V875), NEW="7")
def an_older_and_longer_backup_8_to_11(scene: Scene) -> Iterator[None]:
    """The count rises, and the newest turn is gone. What a user had taken back comes with the backup, and does not stay."""
    chat = scene.chat
    chat.turn("with tools", "Done.", tools=[("terminal", "ls", "a")])
    yield
    longer = len(chat.messages)
    acts.undo(chat)
    yield
    chat.turn("newest", "Newest answer.")
    yield
    scene.expected = texts(chat.messages)
    assert len(scene.expected) < longer
    assert losses.recover_from_backup(chat)
    yield


@scenario(LOST, **by("22", *UNMARKED), NEW="7")
def a_script_in_place_leaves_other_messages(scene: Scene) -> Iterator[None]:
    old = f"of old, in {scene.chat.session_id}"
    scene.expected = [old, *scene.known()]
    losses.rewrite_in_place(scene.chat, [{"role": "user", "content": old, "timestamp": 1000.5}])
    yield


@scenario(SAME, **ALL)
def a_script_in_place_changes_no_message(scene: Scene) -> Iterator[None]:
    losses.rewrite_in_place(scene.chat, [message | {"seen": True} for message in scene.chat.messages])
    yield


# ---- what people took away does not come back (#4836, #5532, #6954, #5498) ---------------------------------------------


@scenario(MENT, **by("9", V137, V720, V875), NEW="4")
def issue_5532_undone_and_not_brought_back_from_the_backup(scene: Scene) -> Iterator[None]:
    acts.undo(scene.chat)
    assert scene.chat.backup_path.exists()
    yield
    scene.chat.pin()
    yield


@scenario(SAME, **by("", V137, V720, V875, NEW))
def issue_4836_what_the_application_itself_brings_back_is_its_own(scene: Scene) -> Iterator[None]:
    """The copy follows the file, and is not fought over."""
    before = scene.known()
    quirks.add_scaffolding(scene.chat)
    yield
    quirks.drop_scaffolding(scene.chat)
    yield
    losses.resurrect(scene.chat)
    scene.expected = [*before, *scene.on_disk()[len(before) :]]
    yield


# ---- playing them ------------------------------------------------------------------------------------------------------


def play(scenes: dict[tuple[str, Era], Scene]) -> None:
    """Play all of them, step by step, side by side."""
    going = {
        scene: found.play(scene)
        for found in SCENARIOS
        for era in found.rules
        for scene in (scenes[found.name, era],)
    }
    for scene in going:
        scene.daemon.until_kept(scene.chat.path)
    while going:
        for scene, steps in list(going.items()):
            try:
                next(steps)
            except StopIteration:
                del going[scene]
            except Exception as error:  # noqa: BLE001
                scene.error = error
                del going[scene]
        deadline = time.monotonic() + SECONDS
        for scene in list(going):
            try:
                scene.daemon.until(scene.is_resolved, max(0.0, deadline - time.monotonic()))
            except AssertionError as error:
                scene.error = error
                del going[scene]


@pytest.fixture(scope="module")
def scenes() -> Iterator[dict[tuple[str, Era], Scene]]:
    """All scenarios, played."""
    with tempfile.TemporaryDirectory() as name, Daemon(Path(name)) as daemon:
        daemon.sessions.mkdir(parents=True)
        daemon.start()
        built: dict[tuple[str, Era], Scene] = {}
        for found in SCENARIOS:
            for era in found.rules:
                number = len(built)
                clock = itertools.count(1_760_000_000.0, 1.5).__next__
                app = App(daemon.sessions, era, clock=clock, seed=number, process_id=5000 + number)
                built[found.name, era] = Scene(daemon, app.create("A chat", turns=5))
        play(built)
        daemon.kill()
        daemon.start()
        yield built


@pytest.mark.parametrize(
    ("found", "era"),
    [
        pytest.param(found, era, id=f"{found.name}-{era.release}")
        for found in SCENARIOS
        for era in found.rules
    ],
)
def test_scenario(scenes: dict[tuple[str, Era], Scene], found: Scenario, era: Era) -> None:
    scene, rule = scenes[found.name, era], found.rules[era]
    if scene.error:
        raise scene.error
    scene.daemon.until_kept(scene.chat.path)
    expected = scene.known() if scene.expected is None else scene.expected
    assert scene.on_disk() == expected
    intended = [event["rule"].split()[0] for event in scene.reported() if event["event"] == "intended"]
    repaired = [incident["rule"].split()[0] for incident in scene.incidents()]
    if found.ends == MENT:
        assert set(intended) == {rule}
        assert not repaired
    elif found.ends == LOST:
        assert repaired[-1] == rule
        assert not intended or scene.expected
        for incident in scene.incidents():
            assert incident["undo"] == f"hermesguard undo {incident['id']}"
            assert incident["version"]
            assert incident["displaced"]
    else:
        assert {event["event"] for event in scene.reported()} <= QUIET
        assert not repaired


def test_every_rule_of_a_file_is_played() -> None:
    played = {rule for found in SCENARIOS for rule in found.rules.values()}
    # 8 is left to what no act explains; the tests of the rules have it.
    assert played >= {*map(str, (1, *range(3, 8), *range(9, 18), 22, 25)), "4b", "6a"}
    assert {era for found in SCENARIOS for era in found.rules} == set(Era)
