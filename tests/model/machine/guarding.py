"""What happens to the guard: time, scans, restarts, deaths, and what it does not see."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hermesguard.demo import acts, losses
from hermesguard.demo.chat import NO_TITLE
from hermesguard.repair.standby import QUIET_SECONDS
from tests.model.machine.world import TALK, Stage


class Guarding(Stage):
    """The guard's own life."""

    @rule(seconds=st.sampled_from([0.5, 3.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        with self.guarding():
            self.world.pass_time(seconds)
        self.note_seen()

    @rule()
    def scanned(self) -> None:
        with self.guarding():
            self.world.scan()
        self.note_seen()

    @rule()
    def made_ready(self) -> None:
        """It has been quiet for a moment: what a wipe would need is prepared."""
        with self.guarding():
            self.world.pass_time(QUIET_SECONDS)
            for _ in self.talks:
                self.world.guard.get_ready()
        self.note_seen()

    @rule()
    def rest(self) -> None:
        self.come_to_rest()

    @rule()
    def restarted(self) -> None:
        self.start()

    @rule(steps=st.integers(1, 40))
    def will_crash(self, steps: int) -> None:
        """At its so-many-th next step the guard dies, and is started again."""
        self.steps_to_crash = steps

    @rule(number=TALK, what=st.sampled_from(["pin", "turn", "finish"]))
    def will_be_saved_during_a_repair(self, number: int, what: str) -> None:
        talk = self.talks[number % len(self.talks)]

        def save() -> None:
            if talk not in self.talks:
                return
            is_behind = not talk.is_stale_writer and talk.cache != talk.meant
            if what == "pin" or is_behind:
                talk.story.append("(pinned during a repair)")
                talk.chat.pin()
            elif not talk.prompt:
                talk.story.append("(turn during a repair)")
                self.send(talk, self.question())
                self.finish(talk)
            elif what == "finish" and not talk.is_stale_writer:
                talk.story.append("(finished during a repair)")
                self.finish(talk)

        self.injected = save

    @rule(
        number=TALK,
        what=st.sampled_from(["turns", "undo", "clear", "wipe", "tear", "vanish", "stale", "retry"]),
    )
    def happens_while_the_guard_is_down(self, number: int, what: str) -> None:
        talk = self.idle(number, f"down: {what}")
        if what == "undo" and talk.can_shrink() and talk.leaves_a_side():
            talk.save_again()
        self.come_to_rest()
        self.injected = None
        self.world.watching = False
        chat = talk.chat
        match what:
            case "turns":
                for _ in range(2):
                    self.send(talk, self.question())
                    self.finish(talk)
            case "undo" if talk.can_shrink():
                if talk.cache and acts.last_prompt(chat.messages) > 0:
                    acts.undo(chat)
                    talk.took()
            case "retry" if talk.can_shrink() and talk.era.marks_watermark:
                if talk.is_first_cut():
                    acts.retry(chat, self.answer())
                    talk.took()
            case "clear" if chat.document["title"] not in NO_TITLE or talk.era.clears_all:
                acts.clear(chat)
                talk.took()
            case "wipe":
                self.world.watching = True
                self.send(talk, self.question())
                self.come_to_rest()
                self.world.watching = False
                talk.ask()
                losses.wipe(chat)
                talk.answered()
            case "tear":
                losses.tear(chat)
            case "vanish":
                chat.app.write_index(chat)
                losses.vanish(chat)
            case "stale" if talk.would_be_behind(1):
                losses.stale_process(chat, messages_behind=1)
        self.world.watching = True
        self.start()
        self.come_to_rest()
