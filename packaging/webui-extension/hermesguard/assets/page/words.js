// What happened, in the words of the one to whom it happened.

import { counted, number } from "./dom.js";

const none = (value) => value === null || value === undefined;

/** Return "0.6 ms", "40 ms", "2.1 s", "3 min" for a number of microseconds. */
export function duration(microseconds) {
    if (microseconds < 10_000) return `${(microseconds / 1000).toFixed(1)} ms`;
    if (microseconds < 1_000_000) return `${Math.round(microseconds / 1000)} ms`;
    if (microseconds < 90_000_000) return `${(microseconds / 1_000_000).toFixed(1)} s`;
    return `${Math.round(microseconds / 60_000_000)} min`;
}

function vanished(event) {
    const { messages_before: before, messages_live: live, messages_lost: lost } = event;
    if (none(live))
        return none(before)
            ? "The conversation vanished"
            : `The conversation vanished, with ${counted(before, "message")}`;
    if (live === 0 && before > 1) return `All ${counted(before, "message")} vanished in one write`;
    if (!none(lost) && lost > 0 && !none(before) && lost < before)
        return `${number(lost)} of ${counted(before, "message")} vanished in one write`;
    if (!none(lost) && lost > 0) return `${counted(lost, "message")} vanished in one write`;
    return "Something of this conversation vanished in one write";
}

function went(event) {
    const { messages_before: before, messages_live: live, messages_lost: lost } = event;
    const count = !none(lost) && lost > 0 ? lost : !none(before) && !none(live) && before > live ? before - live : 0;
    return count ? counted(count, "message") : "something";
}

function cameAgain(event) {
    const { messages_before: before, messages_live: live } = event;
    const count = !none(before) && !none(live) && live > before ? live - before : 0;
    return count === 1 ? "One message came again" : count ? `${counted(count, "message")} came again` : "Something came again";
}

const SENTENCES = {
    brought_back: (event) => [
        `${vanished(event)}.`,
        `Brought back${none(event.duration_us) ? "" : ` ${duration(event.duration_us)} later`}.`,
    ],
    not_sure: (event) => [
        `${capital(went(event))} went.`,
        "You may have taken that back yourself, or it was lost: hermesguard is not sure. Both versions are kept.",
    ],
    not_brought_back: (event) => [`${vanished(event)}.`, "It could not be brought back by itself."],
    gone: () => ["This conversation is gone.", "Nothing says whether you deleted it or it was lost. A copy is kept."],
    taken_back: (event) => [`You took ${went(event)} back.`, "That stands. A copy from before is kept for a while."],
    cleared: (event) => [
        `You cleared this conversation${event.messages_before ? ` of ${counted(event.messages_before, "message")}` : ""}.`,
        "That stands. A copy from before is kept for a while.",
    ],
    came_again: (event) => [
        `${cameAgain(event)} that you had taken back.`,
        "hermes-webui put that there again, so it stands until you take it away.",
    ],
    deleted: () => ["You deleted this conversation.", "A copy is kept for a while."],
    restored_by_you: (event) => [
        none(event.messages_back) || !event.messages_back
            ? "You brought an older version back."
            : `You brought ${counted(event.messages_back, "message")} back.`,
        "",
    ],
    reversed_by_you: () => ["You reversed what hermesguard had done.", "It will not do the same again."],
    accepted_by_you: () => ["You said that it is right as it was.", ""],
    lost_before: () => ["Something may have been lost before hermesguard came.", ""],
    unreadable: () => ["The file of this conversation cannot be read.", "What is kept of it is shown here."],
    other: (event) => [capital(String(event.incident?.event ?? "something happened").replaceAll("_", " ")) + ".", ""],
};

/** Return what happened as two sentences, the second of them perhaps empty. */
export function sentences(event) {
    return (SENTENCES[event.what] ?? SENTENCES.other)(event);
}

const SHORT = {
    brought_back: (event) =>
        event.messages_back ? `${counted(event.messages_back, "message")} brought back` : "brought back",
    not_sure: (event) => `${went(event)} went: not sure why`,
    not_brought_back: () => "lost, and not brought back yet",
    gone: () => "gone: deleted or lost, not known",
    taken_back: (event) => `you took ${went(event)} back`,
    cleared: () => "cleared by you, kept for a while",
    came_again: (event) => `${cameAgain(event).toLowerCase()} that you had taken back`,
    deleted: () => "deleted by you, kept for a while",
    restored_by_you: (event) =>
        event.messages_back
            ? `you brought ${counted(event.messages_back, "message")} back`
            : "you brought an older version back",
    reversed_by_you: () => "you reversed a repair",
    accepted_by_you: () => "you said that it is right as it is",
    lost_before: () => "may have lost something before hermesguard came",
    unreadable: () => "its file cannot be read",
    other: (event) => String(event.incident?.event ?? "something happened").replaceAll("_", " "),
};

/** Return what happened in a few words, for a list. */
export const inShort = (event) => (SHORT[event.what] ?? SHORT.other)(event);

/** Return the mark of an event: loss, repair, unsure, yours, or nothing. */
export function markOf(event) {
    if (["brought_back", "restored_by_you"].includes(event.what)) return "repair";
    if (["not_sure", "gone", "lost_before", "came_again"].includes(event.what)) return "unsure";
    if (["not_brought_back", "unreadable"].includes(event.what)) return "loss";
    return "yours";
}

/** Return why hermesguard thinks so, a sentence each. */
export function reasons(event) {
    if (event.what.endsWith("_by_you")) return []; // you know it
    return [...event.evidence.map(capital), ...event.against.map((one) => `Against it: ${one}`)].map((one) =>
        /[.!?]$/.test(one) ? one : `${one}.`,
    );
}

/** Return what an act would change, from its preview. */
export function changes(preview) {
    if (preview.action === "unchanged") return "All of it is there already.";
    if (preview.file_goes) return "The conversation goes away again; a copy is kept.";
    const parts = [];
    if (preview.messages_back) parts.push(`${counted(preview.messages_back, "message comes", "messages come")} back`);
    if (preview.messages_gone) parts.push(`${counted(preview.messages_gone, "message goes", "messages go")}`);
    if (preview.action === "accepted")
        return `It stays as it is now, with ${counted(preview.messages_live, "message")}. The other version is kept.`;
    const whole = `It would have ${counted(preview.messages_after, "message")}`;
    return parts.length
        ? `${parts.join(", ")}. ${whole}, now ${number(preview.messages_live)}.`
        : `No message comes or goes. ${whole}.`;
}

/** Return what was done, from the result of an act. */
export function outcome(result) {
    if (result.action === "unchanged") return "Nothing had to be done: all of it was there already.";
    if (result.action === "accepted") return "It stays as it is. The other version is kept in the history.";
    if (result.action === "removed") return "The conversation is away again. A copy is kept.";
    const parts = [];
    if (result.messages_back) parts.push(`${counted(result.messages_back, "message")} brought back`);
    if (result.messages_gone)
        parts.push(`${counted(result.messages_gone, "message")} gone from it, and kept in the history`);
    const whole = `It has ${counted(result.messages_after, "message")} now.`;
    return parts.length ? `${capital(parts.join(", "))}. ${whole}` : `Done. ${whole}`;
}

export const STATES = {
    fine: "all there",
    shortened: "you took something back",
    restored: "brought back",
    uncertain: "not sure",
    unrepaired: "lost, not brought back",
    unreadable: "cannot be read",
    lost: "lost",
    missing: "gone",
    deleted: "deleted, still kept",
};

/** The mark that goes with the state of a conversation. */
export const STATE_MARKS = {
    shortened: "yours",
    restored: "repair",
    uncertain: "unsure",
    unrepaired: "loss",
    unreadable: "loss",
    lost: "loss",
    missing: "unsure",
    deleted: "yours",
};

export const KINDS = {
    "lost before": ["lost before hermesguard came", "Something may have been lost before hermesguard came."],
    unreadable: ["cannot be read", "Its file is broken, and there is no copy of it."],
    "not repaired": ["not brought back", "Messages were lost and could not be brought back by themselves."],
    uncertain: ["not sure", "Messages went, perhaps because you took them back."],
    "not known": ["gone", "It is gone, and nothing says whether you deleted it or it was lost."],
    cleared: ["cleared by you", "You cleared it."],
    shortened: ["taken back by you", "You took messages back."],
    deleted: ["deleted, still kept", "You deleted it; a copy is still kept."],
    repaired: ["brought back", "Messages were lost, and brought back."],
};

export const KIND_MARKS = {
    "lost before": "unsure",
    unreadable: "loss",
    "not repaired": "loss",
    uncertain: "unsure",
    "not known": "unsure",
    cleared: "yours",
    shortened: "yours",
    deleted: "yours",
    repaired: "repair",
};

export function capital(text) {
    return text ? text[0].toUpperCase() + text.slice(1) : text;
}
