"""What loses something, and is repaired."""

import contextlib
import json
from copy import deepcopy

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.store.upkeep.pruning import finished
from hermesguard.webui import benign
from hermesguard.webui.session import Message
from tests.model.machine.talks import OFTEN, Server, Talk, held_in
from tests.model.machine.world import MOST_TALKS, REST_SECONDS, TALK, Stage


class Faults(Stage):
    """Every loss that the application is known for; a prompt that was running becomes a message with the repair."""

    @rule(number=TALK, then=st.sampled_from(["reads again", "works on", "stale"]))
    def wiped(self, number: int, then: str) -> None:
        talk = self.fresh(number, f"wipe, {then}")
        if not talk.prompt:
            self.send(talk, self.question())
        talk.ask()
        deaths = self.deaths
        if then == "stale":
            losses.stale_writer(talk.chat)
            talk.answered()
            talk.is_stale_writer = not talk.era.rereads
        else:
            losses.wipe(talk.chat)
        if (
            then == "reads again" or self.deaths > deaths
        ):  # a guard that died meanwhile may know nothing of its repair
            self.come_to_rest()
            talk.chat.reload()
            talk.reloaded()
            talk.is_stale_writer = False

    @rule(number=TALK, behind=st.integers(1, 7))
    def stale(self, number: int, behind: int) -> None:
        talk = self.fresh(number, f"stale by {behind}")
        behind = min(behind, len(talk.chat.messages))
        if talk.would_be_behind(behind):
            talk.ask()
            losses.stale_process(talk.chat, messages_behind=behind)

    @rule(number=TALK)
    def late(self, number: int) -> None:
        talk = self.idle(number, "late worker")
        if not self.is_saved(talk):
            self.come_to_rest()
        messages = talk.chat.messages
        if sum(message["role"] == "user" for message in messages) > 1:
            text = self.answer()
            answered = acts.last_prompt(messages[: acts.last_prompt(messages)]) + 1
            broken = messages[answered]
            takes_place = (
                benign.is_interruption_marker(Message(broken, ""))
                and broken in talk.chat.on_disk()["messages"]
            )
            place = len(held_in(messages[:answered])) if takes_place else len(talk.meant)
            with contextlib.suppress(ValueError):  # the context begins later than the last two turns
                losses.late_worker(talk.chat, text)
                talk.meant.insert(place, text)

    @rule(number=TALK, place=st.integers(0, 20))
    def message_lost(self, number: int, place: int) -> None:
        talk = self.fresh(number, f"message lost {place}")
        messages = talk.chat.messages
        places = [
            index
            for index, message in enumerate(messages[:-1])
            if held_in([message]) not in ([], [OFTEN]) and held_in(messages[index + 1 :])
        ]
        if places:
            talk.ask()
            losses.lose_message(talk.chat, places[place % len(places)])

    @rule(number=TALK)
    def collapsed(self, number: int) -> None:
        talk = self.fresh(number, "collapse to the tail")
        if held_in(talk.chat.messages[:-2]):
            talk.ask()
            losses.collapse_to_tail(talk.chat)

    @rule(number=TALK, keep=st.integers(1, 8))
    def truncated_by_window(self, number: int, keep: int) -> None:
        talk = self.idle(number, f"window {keep}")
        gone = [Message(message, "") for message in talk.chat.messages[keep:]]
        if talk.era.truncates_by_window and sum(map(benign.is_user_turn, gone)) > 1:
            losses.window_truncate(talk.chat, keep=keep)

    @rule(number=TALK, messages=st.integers(1, 8))
    def truncated_to_a_negative_count(self, number: int, messages: int) -> None:
        talk = self.idle(number, "#3487")
        gone = [Message(message, "") for message in talk.chat.messages[-messages:]]
        if (
            talk.era.accepts_negative_keep
            and sum(map(benign.is_user_turn, gone)) > 1
            and len(talk.chat.messages) > messages
        ):
            losses.negative_keep(talk.chat, messages)

    @rule(number=TALK, keep=st.integers(0, 8))
    def cut_shorter_than_marked(self, number: int, keep: int) -> None:
        talk = self.idle(number, "shorter than marked")
        messages = talk.chat.messages
        if not talk.era.marks_shrink or not talk.can_shrink():
            return
        cut = acts.last_prompt(messages)
        boundary = messages[cut - 1].get("timestamp") if cut else None
        # Where messages were said in the same instant, as tools do, it may have cut between them.
        is_legible = boundary and all(
            message.get("timestamp") != boundary
            for message in (*messages[cut:], *messages[max(keep - 1, 0) : keep])
        )
        if is_legible and held_in(messages[keep:cut]):
            talk.meant = held_in(messages[:cut])
            losses.unfinished_shrink(talk.chat, keep=keep)

    @rule(number=TALK)
    def a_rename_destroyed_the_only_copy(self, number: int) -> None:
        talk = self.idle(number, "#2223")
        self.come_to_rest()
        chat = talk.chat
        if not talk.era.renames_on_rotation or len(self.talks) == MOST_TALKS or not talk.can_shrink():
            return
        if not held_in(chat.messages[: acts.last_prompt(chat.messages)]):
            return
        if not self.is_saved(talk):
            return  # what was kept uncertain may stand in the new file as a whole: then it was a rename
        # A guard that dies when it has seen the new file, and not yet missed the old one, takes that for a deletion.
        self.steps_to_crash = None
        old, before = chat.session_id, deepcopy(chat.document)
        losses.rename_destroys(chat)
        talk.chat = Chat(chat.app, before)
        self.talks.append(Talk(chat, held_in(chat.messages), story=["was made by #2223"]))
        self.look(old, chat.session_id)
        self.come_to_rest()

    @rule(number=TALK)
    def only_the_backup_was_left(self, number: int) -> None:
        talk = self.pick(number, "#2035")
        self.come_to_rest()
        if talk.era.keeps_backup and held_in(talk.chat.on_disk()["messages"]):
            talk.chat.app.write_index(talk.chat)
            talk.ask()
            losses.only_backup_left(talk.chat)
            self.look(talk.chat.session_id)
            self.come_to_rest()

    @rule(number=TALK, place=st.integers(0, 20))
    def rewritten_in_place(self, number: int, place: int) -> None:
        """The maintenance script writes into the same inode, and loses a message, or none."""
        talk = self.fresh(number, "in place")
        self.come_to_rest()
        messages = talk.chat.on_disk()["messages"]
        index = place % (len(messages) + 1)
        said = held_in(messages[index : index + 1])
        if index < len(messages) - 1 and said == []:
            return  # the server would still hold a message that nobody said, and put it into what an undo leaves
        if index < len(messages) - 1 and said != [OFTEN] and held_in(messages[index + 1 :]):
            talk.ask()
            messages = messages[:index] + messages[index + 1 :]
        losses.rewrite_in_place(talk.chat, messages)
        self.look(talk.chat.session_id)

    @rule()
    def all_vanished(self) -> None:
        """The directory is emptied: nothing is judged, nothing purged, and a user brings it all back."""
        self.come_to_rest()
        self.happened["all vanished"] += 1
        for talk in self.talks:
            talk.ask()
        for path in self.world.sessions.iterdir():
            path.unlink()
        self.look(*(talk.chat.session_id for talk in self.talks))
        with self.guarding():
            self.world.pass_time(REST_SECONDS)
        self.start()
        for talk in self.talks:
            assert not talk.chat.path.exists(), talk.story
            assert self.world.guard.copies.store.has_shadow(talk.chat.session_id), talk.story
        finished(self.world.operations().restore_all_missing())
        self.come_to_rest()

    @rule(number=TALK)
    def emptied_over_a_turn(self, number: int) -> None:
        talk = self.fresh(number, "#4205")
        if not talk.cache:
            return
        if not talk.prompt:
            self.send(talk, self.question())
        talk.ask()
        losses.empty_over_active_turn(talk.chat)

    @rule(number=TALK)
    def recovered_from_backup(self, number: int) -> None:
        talk = self.idle(number, "recovered from .bak")
        if not talk.era.keeps_backup or not talk.chat.backup_path.exists():
            return
        self.come_to_rest()
        if not self.is_saved(talk):
            return
        self.injected = None  # a server that starts saves nothing from what it held before
        backup = held_in(json.loads(talk.chat.backup_path.read_text())["messages"])
        if {*backup} & {
            *held_in([message for message in talk.chat.messages if not message.get("timestamp")])
        }:
            return  # a message without a stamp, and others around it: it may come twice (guarantees, section 2)
        if losses.recover_from_backup(talk.chat):
            talk.extra.update({*backup} - {*talk.meant} | {*backup} & {OFTEN})
            self.look(talk.chat.session_id)
            self.come_to_rest()
            self.restarts(talk)

    @rule(number=TALK, share=st.sampled_from([0, 0.3, 0.99]), by_rename=st.booleans())
    def torn(self, number: int, share: float, by_rename: bool) -> None:
        talk = self.pick(number, "torn")
        if not talk.chat.path.exists():
            return
        talk.ask()
        (losses.tear_by_rename if by_rename else losses.tear)(talk.chat, share=share)
        self.look(talk.chat.session_id)

    @rule(number=TALK)
    def missing_files(self, number: int) -> None:
        talk = self.pick(number, "vanished")
        self.come_to_rest()
        talk.chat.app.write_index(talk.chat)
        talk.ask()
        losses.vanish(talk.chat)
        self.look(talk.chat.session_id)
        self.come_to_rest()  # else the index of another server drops its message while the guard is dead, as a deletion does

    @rule(number=TALK)
    def second_server_says_something(self, number: int) -> None:
        """It read the file before the last turn, and now saves its own over it."""
        talk = self.idle(number, "second server")
        self.come_to_rest()
        second = Server(
            self.world.sessions, talk.era, clock=self.ticks.__next__, seed=next(self.numbers), process_id=5000
        ).open(talk.chat.session_id)
        self.send(talk, self.question())
        self.finish(talk)
        asked, said = self.question(), self.answer()
        talk.meant += [asked, said]
        second.send(asked)
        second.finish(said)
        talk.sides += [talk.cache, held_in(second.messages)]
        second.pin()
