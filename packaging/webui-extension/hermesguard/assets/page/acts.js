// To bring back, to reverse, to keep: always with what exactly would change, and with a way back afterwards.

import { isAborted } from "./api.js";
import { button, fill, h, number, said, visible } from "./dom.js";
import { changes, outcome } from "./words.js";

const NAMES = { restore: "Bring this back", undo: "Reverse", accept: "Keep it as it is now" };

/** Return what the button of an act says. */
export const nameOf = (act) =>
    act.act === "restore" && act.replace ? "Make it exactly so" : (NAMES[act.act] ?? act.act);

/** Why nothing can be done now, or nothing. */
export function hindrance(app) {
    return app.canAct === false ? "hermesguard does not run: nothing can be brought back now." : "";
}

/**
 * Do an act, and say what came of it in `place`, with what reverses it. `after(result)` is called when it is done.
 * An act that comes from a preview is held to what was looked at.
 */
export async function perform(app, act, place, { signal, after }) {
    fill(place, h("p", { class: "wait", role: "status" }, "One moment \u2026"));
    try {
        const job = await app.api.post("acts", act, signal);
        const result = await app.api.result(job, { signal });
        const text = outcome(result);
        app.say(text);
        app.home.changed?.(result.session);
        const undo =
            result.reverse && button("Undo", () => void perform(app, result.reverse, place, { signal, after }));
        const chat =
            app.home.openChat &&
            result.session &&
            button("Show it in the chat", () => app.home.openChat(result.session));
        fill(place, h("div", { class: "done" }, h("p", {}, text), undo, chat));
        undo?.focus();
        after?.(result);
    } catch (error) {
        if (isAborted(error)) return;
        const again =
            error.code === "changed"
                ? "The conversation went on meanwhile. Look again at what would change."
                : sentence(error.what ?? String(error));
        app.say(again);
        fill(
            place,
            h(
                "div",
                { class: "done bad" },
                h("p", {}, visible(again), error.remedy ? [" ", visible(sentence(error.remedy))] : null),
                button("Look again", () => after?.(null)),
            ),
        );
    }
}

/** Show in `place` what an act would change, message by message, and the button that does it. */
export async function propose(app, act, place, { signal, after, cancel, label }) {
    fill(place, h("p", { class: "wait", role: "status" }, "One moment \u2026"));
    let preview;
    try {
        preview = await app.api.post("acts/preview", act, signal);
    } catch (error) {
        if (isAborted(error)) return;
        fill(
            place,
            h(
                "div",
                { class: "done bad" },
                h(
                    "p",
                    {},
                    visible(sentence(error.what ?? String(error))),
                    error.remedy ? [" ", visible(sentence(error.remedy))] : null,
                ),
                button("Cancel", cancel),
            ),
        );
        return;
    }
    const confirm = button(label ?? nameOf(act), () => void perform(app, preview.act, place, { signal, after }), {
        class: "main",
        disabled: preview.action === "unchanged",
    });
    fill(
        place,
        h("div", { class: "done" }, h("p", {}, changes(preview)), confirm, button("Cancel", cancel)),
        listOf(preview),
    );
    app.say(changes(preview));
    (confirm.disabled ? place.querySelector("button:not(:disabled)") : confirm).focus();
}

/** Return the messages that would come and go, to be unfolded; nothing when there are none. */
export function listOf(preview) {
    const row = (sign, kind, words) => (one) =>
        h(
            "div",
            { class: `message ${kind}` },
            h("span", { class: "sign", "aria-hidden": "true" }, sign),
            h(
                "span",
                { class: "who" },
                one.role === "user" ? "You" : one.role === "assistant" ? "Hermes" : said(one.role),
                h("span", { class: "reader-only" }, ` ${words}`),
            ),
            h("div", { class: "body" }, h("div", { class: "said", dir: "auto" }, visible(one.text))),
        );
    const rows = [
        ...preview.gone.map(row("\u2212", "gone", "goes")),
        ...preview.back.map(row("+", "back", "comes back")),
    ];
    if (!rows.length) return null;
    return h(
        "details",
        {},
        h("summary", {}, `Which messages${preview.is_more ? ` (the first ${number(rows.length)})` : ""}`),
        rows,
    );
}

function sentence(text) {
    return /[.!?:]$/.test(text) ? text : `${text}.`;
}
