"""What people do with their sessions, and what the application does that loses nothing."""

import contextlib
import itertools

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from hermesguard.demo import acts, quirks
from hermesguard.demo.app import App
from hermesguard.demo.chat import NO_TITLE, Chat
from hermesguard.demo.eras import Era
from tests.model.machine.talks import OFTEN, PICTURE, Talk, held_in
from tests.model.machine.world import MOST_TALKS, TALK, Stage


class Acts(Stage):
    """What is meant, and stands."""

    @initialize(era=st.sampled_from(list(Era)), turns=st.integers(0, 3))
    def first(self, era: Era, turns: int) -> None:
        self.create(era, turns)

    @precondition(lambda self: len(self.talks) < MOST_TALKS)
    @rule(era=st.sampled_from(list(Era)), turns=st.integers(0, 3))
    def create(self, era: Era, turns: int) -> None:
        talk = Talk(self.server(era).create("A chat"))
        talk.story.append(f"created with {turns}")
        self.talks.append(talk)
        self.look(talk.chat.session_id)
        for _ in range(turns):
            self.send(talk, self.question())
            self.finish(talk)

    @rule(number=TALK, often=st.booleans())
    def turn(self, number: int, often: bool) -> None:
        talk = self.pick(number, "turn")
        if talk.prompt or (not talk.is_stale_writer and talk.cache != talk.meant):
            talk = self.idle(number, "")
        # What stands unanswered at the end is not said a second time when it is sent again.
        self.send(talk, self.question(often and talk.cache[-1:] != [OFTEN]))
        self.finish(talk)

    @rule(number=TALK)
    def ask_and_stop_there(self, number: int) -> None:
        talk = self.idle(number, "send")
        self.send(talk, self.question())

    @rule(number=TALK)
    def turn_with_tools(self, number: int) -> None:
        talk = self.idle(number, "tools")
        self.send(talk, self.question())
        results = [f"result {next(self.numbers)}" for _ in range(2)]
        text = self.answer()
        talk.answered(*results, text)
        talk.chat.finish(text, tools=[("terminal", "ls", result) for result in results])

    @rule(number=TALK, times=st.integers(1, 3))
    def answer_streams(self, number: int, times: int) -> None:
        talk = self.idle(number, f"stream {times}")
        self.send(talk, self.question())
        text = self.answer()
        talk.ask()
        for count in range(times):
            talk.chat.stream(text[: 6 + 2 * count])
        talk.answered(text)
        talk.chat.finish(text)

    @rule(number=TALK)
    def interrupted(self, number: int) -> None:
        talk = self.fresh(number, "interrupted")
        if not talk.prompt:
            self.send(talk, self.question())
        talk.answered()
        talk.chat.interrupt()

    @rule(number=TALK)
    def pinned(self, number: int) -> None:
        self.pick(number, "pin").chat.pin()

    @rule(number=TALK)
    def named(self, number: int) -> None:
        talk = self.pick(number, "rename")
        talk.chat.rename(f"Title {next(self.numbers)}")

    @rule(number=TALK)
    def undone(self, number: int) -> None:
        talk = self.idle(number, "undo")
        if talk.can_shrink():
            if acts.last_prompt(talk.chat.messages) == 0 or talk.leaves_a_side():
                talk.save_again()
            acts.undo(talk.chat)
            talk.took()

    @rule(number=TALK)
    def retried(self, number: int) -> None:
        talk = self.idle(number, "retry")
        if talk.can_shrink():
            talk.save_again()
            acts.retry(talk.chat, self.answer())
            talk.took()

    @rule(number=TALK)
    def regenerated(self, number: int) -> None:
        talk = self.idle(number, "regenerate")
        if talk.can_shrink():
            talk.save_again()
            with contextlib.suppress(ValueError):  # the context begins behind the prompt
                acts.regenerate(talk.chat, self.answer())
                talk.took()

    @rule(number=TALK, first=st.booleans())
    def edited(self, number: int, first: bool) -> None:
        talk = self.idle(number, "edit the first" if first else "edit")
        if talk.can_shrink() and len(talk.chat.messages) <= 30:
            talk.save_again()
            acts.truncate(talk.chat, 0 if first else acts.last_prompt(talk.chat.messages))
            talk.chat.turn(self.question(), self.answer())
            talk.took()

    @rule(number=TALK, keep=st.integers(0, 12))
    def truncated(self, number: int, keep: int) -> None:
        talk = self.idle(number, f"truncate to {keep}")
        if talk.era.marks_shrink:
            acts.truncate(talk.chat, keep)
            talk.took()

    @rule(number=TALK, place=st.integers(0, 20))
    def message_deleted(self, number: int, place: int) -> None:
        talk = self.idle(number, f"delete message {place}")
        messages = talk.chat.messages
        pairs = [
            index
            for index, (one, other) in enumerate(itertools.pairwise(messages))
            if (one["role"], other["role"]) == ("user", "assistant") and not one.get("tool_calls")
        ]
        if talk.era.marks_shrink and pairs:
            acts.delete_message(talk.chat, pairs[place % len(pairs)])
            talk.took()

    @rule(number=TALK)
    def cleared(self, number: int) -> None:
        talk = self.idle(number, "clear")
        if talk.chat.document["title"] not in NO_TITLE or talk.era.clears_all:
            acts.clear(talk.chat)
            talk.took()

    @rule(number=TALK)
    def compressed(self, number: int) -> None:
        talk = self.idle(number, "compress")
        if talk.can_shrink() and held_in(talk.chat.messages[-1:]):
            with contextlib.suppress(ValueError):  # there is not enough
                acts.compress(talk.chat)
                talk.took()

    @rule(number=TALK)
    def rotated(self, number: int) -> None:
        talk = self.idle(number, "rotate")
        self.come_to_rest()
        if len(self.talks) == MOST_TALKS or not talk.can_shrink():
            return
        old = talk.chat.session_id
        stays = not talk.era.renames_on_rotation
        acts.rotate(talk.chat)
        self.look(old)
        if stays:
            assert isinstance(talk.chat.app, App)
            left = Talk(talk.chat.app.open(old), list(talk.meant), seen=set(talk.seen), ids=list(talk.ids))
            left.story = [*talk.story, "is the old one"]
            self.talks.append(left)
            talk.seen = set()
        else:
            talk.ids.append(old)
        self.look(talk.chat.session_id)

    @precondition(lambda self: len(self.talks) > 1)
    @rule(number=TALK)
    def deleted(self, number: int) -> None:
        talk = self.pick(number, "deleted")
        self.come_to_rest()
        if not talk.era.buries:
            # Where another release has saved last, the guard would miss its tombstone (guarantees, section 3).
            talk.chat.reload()
            talk.chat.pin()
            self.come_to_rest()
        talk.chat.app.write_index(talk.chat)
        self.talks.remove(talk)
        self.gone.append(talk)
        talk.chat.backup_path.unlink(missing_ok=True)
        acts.delete(talk.chat)
        self.look(talk.chat.session_id)
        talk.chat.app.write_index()  # the user looks at the list, and it is built anew where there is none
        self.come_to_rest()

    @rule(kind=st.sampled_from(["btw", "bg"]))
    def asked_beside(self, kind: str) -> None:
        app = self.talks[0].chat.app
        assert isinstance(app, App)
        self.look(acts.side_question(app, "what is it", "this", kind=kind))

    @rule(number=TALK, era=st.sampled_from(list(Era)))
    def upgraded(self, number: int, era: Era) -> None:
        """The server is another release from here on; also an earlier one."""
        talk = self.idle(number, f"now {era.name}")
        self.come_to_rest()
        talk.chat = Chat(self.server(era), self.server(era).read(talk.chat.session_id))
        self.server(era).chats[talk.chat.session_id] = talk.chat

    @rule(number=TALK, flips=st.integers(1, 4))
    def harmless(self, number: int, flips: int) -> None:
        talk = self.idle(number, "quirks")
        self.send(talk, self.question())
        text = self.answer()
        talk.ask()
        talk.chat.stream(text[:6])
        for _ in range(flips):
            quirks.pile_up_partials(talk.chat, 4, text=text[:6])
            quirks.collapse_partials(talk.chat)
        talk.answered(text)
        talk.chat.finish(text)
        quirks.add_scaffolding(talk.chat)
        quirks.drop_scaffolding(talk.chat)

    @rule(number=TALK, what=st.sampled_from(["double", "picture", "markup", "stamp", "marker"]))
    def rewritten(self, number: int, what: str) -> None:
        """The application changes messages that stay what they are."""
        talk = self.idle(number, f"rewrites: {what}")
        if not talk.cache:
            return
        chat, last = talk.chat, talk.chat.messages[-1]
        if not self.is_saved(talk):
            return
        match what:
            case "double" if talk.can_shrink() and chat.messages[acts.last_prompt(chat.messages)] != last:
                quirks.double_prompt(chat)
                quirks.drop_double_prompts(chat)
                chat.backup_path.unlink(missing_ok=True)  # in which it stands twice
            case "picture" if not any(
                message["role"] == "tool" and message["content"] == PICTURE for message in chat.messages
            ):
                quirks.add_image(chat, f"call_{next(self.numbers)}")
                quirks.replace_images(chat)
            case "markup" if last["role"] == "assistant" and last["content"] and not last.get("_error"):
                last["content"] += " <function_calls>ls</function_calls>"
                chat.save()
                talk.seen.difference_update(held_in([last]))  # what is stripped is no loss
                quirks.strip_xml(chat)
            case "stamp":
                last.pop("timestamp", None)
                chat.save()
                quirks.stamp_timestamps(chat)
            case "marker":
                quirks.reword_interruption(chat)
                quirks.drop_interruption(chat)
        talk.took()

    @rule(number=TALK)
    def server_died_within_a_save(self, number: int) -> None:
        """Half a temp file is left, and who starts again reads the file."""
        talk = self.pick(number, "server died")
        self.come_to_rest()
        data = talk.chat.path.read_bytes()
        talk.chat.path.with_suffix(f".tmp.{talk.chat.app.process_id}.1").write_bytes(data[: len(data) // 2])
        self.restarts(talk)
