"""What an act cannot leave behind: for each part of a session file, what a change has that contradicts it. Pure.

Each function returns what the act would do instead, as the end of a sentence that begins with the act ("an undo would ..."),
and an empty string where the part is as the act leaves it.
"""

from collections.abc import Hashable, Sequence

from hermesguard.judge.case import WINDOW_MESSAGES, Case
from hermesguard.judge.messages import says_something, says_the_same
from hermesguard.webui import benign, session
from hermesguard.webui.session import Message
from hermesguard.webui.text import words_of

# What only an act of its own changes.
SETTINGS = ("pinned", "archived", "project_id", "composer_draft")
# What sending a prompt may change too.
TURN_SETTINGS = ("workspace", "model", "model_provider", "profile", "personality", "enabled_toolsets")


# ---- messages


def is_no_undo(case: Case) -> str:
    """Not the start of the conversation that ends before a question, with one turn less (or one for each save)."""
    if not case.live.messages or not case.is_start or not case.lost_turns:
        return "leave the start of the conversation"
    if not benign.user_turns(case.gone[0]):
        return "take a question with its answer"
    return "" if case.lost_turns <= case.saves else "take one turn at most"


def is_no_truncate(case: Case) -> str:
    """Not the start of the conversation with one turn less at most."""
    if not case.live.messages or not case.is_start:
        return "leave the start of the conversation"
    return "" if case.lost_turns <= case.saves else "take one turn at most"


def is_no_first_turn(case: Case) -> str:
    """Not emptied, or neither of the only turn nor with a new prompt for the first one."""
    if case.has_new_prompt and (case.is_emptied or case.is_only_asked):
        return "" if len(case.shadow.messages) <= WINDOW_MESSAGES else "take one turn at most"
    if not case.is_emptied:
        return "leave no message"
    return "" if case.lost_turns <= case.saves else "be followed by a new prompt"


def is_not_emptied(case: Case) -> str:
    """Messages are left, or there were none."""
    return "" if case.is_emptied else "leave no message"


def is_not_cleared(case: Case) -> str:
    """Other messages are left than those of a turn that was running and was stopped: its end came a moment later."""
    is_end_of_turn = case.live.messages and all(map(_is_of_stopped_turn, case.live.messages))
    return "" if is_end_of_turn and not case.is_start and _is_of_last_turn(case) else is_not_emptied(case)


def _is_of_last_turn(case: Case) -> bool:
    """Whether what is left of the shadow, if anything, is of its last turn: an older state has the first ones."""
    there = (*case.comparison.pairs, *case.comparison.shortened)
    first = min((old for old, _ in there), default=len(case.shadow.messages))
    return not any(map(benign.user_turns, case.shadow.messages[first + 1 :]))


def _is_of_stopped_turn(message: Message) -> bool:
    return benign.is_interruption_marker(message) or any(map(message.get, ("_recovered", "_partial")))


def is_no_stopped_turn(case: Case) -> str:
    """More is gone than what a stopped turn had said so far, beside the mark of the stop, or not its question is the end."""
    messages, end = case.shadow.messages, case.live.messages[-1:]
    if not end or not case.comparison.missing or not benign.is_user_turn(end[0]) or not case.goes_on_anew:
        return "leave its question as the end"
    rest = [index for index in case.comparison.missing if not _is_half_said(messages, index)]
    is_question_only = set(case.comparison.added) <= {case.live.count - 1}
    # The question may be stamped anew, or get its picture: then it is another message in the same words.
    is_rest = len(rest) <= 1 and all(_is_asked_again(messages[index], end[0]) for index in rest)
    is_stopped = any(map(benign.is_interruption_marker, messages[case.comparison.missing[0] :]))
    return "" if is_question_only and is_rest and is_stopped else "leave its question as the end"


def _is_asked_again(question: Message, again: Message) -> bool:
    """Return whether all of a question stands in lines of its own in another, beside the picture and what tells of its place."""
    asked, lines = (
        "\n".join(map(words_of, message.words.strip().split("\n"))) for message in (question, again)
    )
    return question.role == "user" and f"\n{asked}\n" in f"\n{lines}\n"


def _is_half_said(messages: Sequence[Message], index: int) -> bool:
    return benign.is_stopped(messages, index) and not messages[index].get("_partial_tool_calls")


def is_no_summary(case: Case) -> str:
    """The messages are no short list that begins with a card of compacted context."""
    live = case.live.messages
    if not live or len(live) >= len(case.shadow.messages):
        return "leave fewer messages"
    is_told = session.CONTEXT in case.live or any(map(benign.is_compaction_marker, live))
    return "" if is_told else "leave its summary"


# ---- what the model sees


def context_is_not_undone(case: Case) -> str:
    """The context is not what an undo leaves: all before its last message by a user, perhaps a summary with nothing before."""
    places = [place for place, message in enumerate(case.shadow.context) if message.role == "user"]
    is_undone_whole = places[:1] == [0] and len(places) <= case.lost_turns
    return "" if is_undone_whole and not case.live.context else context_is_not_cut(case)


def context_is_not_cut(case: Case) -> str:
    """The context is not a beginning of what it was."""
    return (
        "" if case.is_context_beginning and not _is_gone(case) else "leave a beginning of the model's context"
    )


def context_is_not_kept_or_cut(case: Case) -> str:
    """The context was cut by a release that keeps it, or is another one; with an undo of the only turn it is cut everywhere."""
    may_be_cut = session.MESSAGE_COUNT in case.live or (case.is_emptied and case.lost_turns <= case.saves)
    if not may_be_cut:
        return "" if case.is_context_kept else "leave the model's context as it was"
    return context_is_not_cut(case)


def context_is_not_told(case: Case) -> str:
    """The context does not go on with the question that is the last message: an older state would know nothing of it."""
    live, context, before = case.live.messages, case.live.context, case.shadow.context
    # Behind a /compress both lists are one: the model knows of the stopped turn as much as people do.
    halves = sum(
        bool(message.get("_partial")) or benign.is_interruption_marker(message) for message in before
    )
    is_longer = len(context) > len(before) - (halves and halves + 1)
    is_told = is_longer and bool(live) and context[-1].identity == live[-1].identity
    return "" if is_told else "tell the model of its question"


def context_is_not_cleared(case: Case) -> str:
    """The context is gone where a clear keeps it, or is another one; turns before it may have cut, added to or compressed it."""
    if session.BOUNDARY in case.live and not case.live.context:
        return ""
    if case.may_be_several and _turns_off_context(case) <= max(1, case.saves - 1):
        return ""
    if case.is_context_kept or (_may_be_compressed_before(case) and case.live.context):
        return ""
    return "leave the model's context as it was"


def _turns_off_context(case: Case) -> int:
    """Return how many turns of the context are not there as they were; an empty memory has lost them all."""
    return sum(message.role == "user" for message in case.shadow.context[case.context_lead :])


def _may_be_compressed_before(case: Case) -> bool:
    """Return whether a /compress may have come before the act, between the same two looks."""
    return case.may_be_several and not anchors_stay(case)


def context_is_another(case: Case) -> str:
    """The release keeps a context, and it is not the list of messages; a turn since has stamps in one of them alone."""
    live = case.live
    if session.CONTEXT not in live or says_the_same(live.messages, live.context):
        return ""
    is_gone_on = case.may_be_several and [m.said for m in live.messages] == [m.said for m in live.context]
    return "" if is_gone_on else "leave the same in the model's context"


def _is_gone(case: Case) -> bool:
    """The whole context went, although messages are left that were in it."""
    if case.live.context or not case.shadow.context or not case.live.messages:
        return False
    gone = (message.said for message in case.gone)
    if all(message.said in gone for message in case.shadow.context):
        return False  # what the model knew was of what was taken away, in this order
    said = {message.said for message in case.live.messages}
    return any(message.said in said for message in case.shadow.context)


# ---- tool calls


def calls_change(case: Case) -> str:
    """An entry came, or went though its message is there."""
    before = {_call(call) for call in case.shadow.tool_calls}
    after = {_call(call) for call in case.live.tool_calls}
    kept = case.live.count
    went = (call for call in case.shadow.tool_calls if _call(call) not in after)
    if after - before or any(_place(call) < kept for call in went):
        return f"leave `{session.TOOL_CALLS}` alone"
    return ""


def calls_go(case: Case) -> str:
    """An entry went though its call is there; the end of a turn finds those of all messages, and no others."""
    after = {_call(call) for call in case.live.tool_calls}
    called = {tool for message in case.live.messages for tool in message.identity[2]}
    went = any(_call(call) not in after and call.get("tid") in called for call in case.shadow.tool_calls)
    return f"not take entries of `{session.TOOL_CALLS}` away" if went else ""


def calls_are_left(case: Case) -> str:
    """Tool calls are left."""
    return f"empty `{session.TOOL_CALLS}`" if case.live.tool_calls else ""


def _call(call: Message) -> Hashable:
    return str(call.get("tid") or "") or call.digest


def _place(call: Message) -> int:
    place = call.get("assistant_msg_idx")
    return place if isinstance(place, int) else -1


# ---- metadata


def title_changes(case: Case) -> str:
    """The title is another."""
    same = case.shadow.title == case.live.title or case.may_be_several
    return "" if same else f"not change `{session.TITLE}`"


def title_is_left(case: Case) -> str:
    """The title was not taken away, nor did it give way to that of the next prompt, which is another save."""
    prompt, title = " ".join(case.live.prompt.split()), " ".join(case.live.title.split())
    is_next = case.may_be_several and case.has_new_prompt and not case.is_title_kept
    is_named_anew = is_next and bool(title) and prompt.startswith(title)
    return "" if case.is_untitled_now or is_named_anew else "leave it untitled"


def title_is_another(case: Case) -> str:
    """There was a title, and it is another."""
    return "" if case.is_title_kept or case.may_be_several else f"not change `{session.TITLE}`"


def counters_go_back(case: Case) -> str:
    """A token counter is lower than it was."""
    return "not put the token counters back" if case.counters_go_back else ""


def counters_change(case: Case) -> str:
    """A token counter differs, in whatever direction."""
    changed = case.counters_go_back or case.counters_go_on
    return "not change the token counters" if changed else ""


def counters_are_of_no_turn(case: Case) -> str:
    """A token counter differs, and no turn between two looks can have changed it."""
    if case.tells_of_turns_between:
        return ""
    return counters_go_back(case) if case.may_be_several else counters_change(case)


def time_goes_back(case: Case) -> str:
    """The time of the save is an earlier one."""
    return f"not put `{session.UPDATED}` back" if case.time_goes_back else ""


def settings_change(case: Case) -> str:
    """What an act of its own changes was changed in the same save."""
    if case.may_be_several:
        return ""
    keys = () if case.has_new_prompt else (key for key in TURN_SETTINGS if key in case.shadow)
    changed = [f"`{key}`" for key in (*SETTINGS, *keys) if key in case.live and _differs(case, key)]
    return f"not change {' and '.join(changed)}" if changed else ""


def _differs(case: Case, key: str) -> bool:
    before, after = case.shadow.get(key), case.live.get(key)
    return bool(before != after and (says_something(before) or says_something(after)))


def stream_ends(case: Case) -> str:
    """A stream that was set is not any more, or a prompt was sent in the same save, which only later releases do, and mark it."""
    if case.may_be_several:
        return ""
    if case.has_new_prompt:
        return "not send a prompt in the same save"
    return f"not change `{session.STREAM}`" if case.shadow.stream and not case.live.stream else ""


def stream_or_prompt_ends(case: Case) -> str:
    """As `stream_ends`, or a prompt that was sent is gone."""
    if left_over := stream_ends(case):
        return left_over
    is_lost = case.prompt_is_lost and not case.may_be_several
    return f"not change `{session.PENDING_MESSAGE}`" if is_lost else ""


def stream_was_set(case: Case) -> str:
    """A stream was set: what empties the file then is a bug (hermes-webui #1558)."""
    return "not be done while a stream is set" if case.shadow.stream else ""


def prompt_is_new(case: Case) -> str:
    """A new prompt is pending."""
    return "not send a prompt" if case.has_new_prompt and not case.may_be_several else ""


def anchors_change(case: Case) -> str:
    """The anchors of a compression are others; one that a release does not write, or writes empty, says nothing."""
    changed = any(key.startswith(session.ANCHOR_PREFIX) and _differs(case, key) for key in case.live.keys)
    return "not change the anchors of a compression" if changed else ""


def anchors_change_unless_before(case: Case) -> str:
    """The anchors are others, and not those of a /compress just before."""
    return "" if _may_be_compressed_before(case) else anchors_change(case)


def anchors_stay(case: Case) -> str:
    """No anchor of a compression was set."""
    fresh = any(
        key.startswith(session.ANCHOR_PREFIX) and case.changed(key) and says_something(case.live.get(key))
        for key in case.live.keys
    )
    return "" if fresh else "set its anchors"


# ---- marks


def marks_do_not_fit(case: Case) -> str:
    """A release that says where it cut says something else."""
    for key in (session.WATERMARK, session.BOUNDARY):
        if key in case.live and not case.fits_cut(key):
            return f"set `{key}` to the last stamp that it keeps"
    return ""


def marks_are_known(case: Case) -> str:
    """The release is one that heeds a stop."""
    return "leave what was said so far" if session.WATERMARK in case.live else ""


def clear_marks_do_not_fit(case: Case) -> str:
    """The context was emptied, as from v0.51.860 on, but the marks of those releases are not there."""
    live, shadow = case.live, case.shadow
    if session.BOUNDARY not in live or live.context or not shadow.context:
        return ""
    fits = live.get(session.WATERMARK) == live.get(session.BOUNDARY) == 0
    return "" if fits else f"set `{session.BOUNDARY}` to 0"


def boundary_is_known(case: Case) -> str:
    """The release is one that leaves the messages alone."""
    return "leave the messages alone" if session.BOUNDARY in case.live else ""
