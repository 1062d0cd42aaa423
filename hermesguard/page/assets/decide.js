// Not sure: two versions beside each other, and the one question that there is.

import { isAborted } from "./api.js";
import { button, counted, fill, h, said, shortTime, timeOf, titled, visible } from "./dom.js";
import { hindrance, perform } from "./acts.js";
import { gap } from "./edges.js";
import { dot } from "./marks.js";
import { capital, inShort, markOf, reasons, sentences } from "./words.js";

const SHOWN = 40;
const CONTEXT = 2;

/** Return the element in which a user decides about an event. */
export function decision(app, event, signal, { isOpen = true } = {}) {
    const body = h("div", {});
    const holder = h(
        "article",
        { class: "decision" },
        h(
            "div",
            { class: "heading" },
            h("h2", {}, "Not sure: ", titled(event.title)),
            button("See its past", () => app.go("conversation", { session: event.session, incident: event.id }), {
                class: "link",
            }),
        ),
        h(
            "p",
            { class: "state" },
            dot(markOf(event)),
            h("span", {}, `${capital(inShort(event))}, `, timeOf(event.time), "."),
        ),
        body,
    );
    if (isOpen) open();
    else fill(body, button("Look at both", open));
    return holder;

    function open() {
        const why = reasons(event);
        const place = h("div", { "aria-live": "polite" });
        const sides = event.sides.map((side) =>
            sideOf(app, event, side, signal, (act) =>
                perform(app, act, place, { signal, after: (result) => (result ? fill(body, place) : app.reload()) }),
            ),
        );
        fill(
            body,
            h("p", {}, event.sides.length > 1 ? "Two versions. Which one is right?" : sentences(event).join(" ")),
            why.length > 0 &&
                h(
                    "details",
                    {},
                    h("summary", {}, "Why hermesguard is not sure"),
                    h(
                        "ul",
                        { class: "evidence" },
                        why.map((one) => h("li", {}, said(one))),
                    ),
                ),
            h(
                "div",
                { class: "sides" },
                sides.map((side) => side.element),
            ),
            place,
            h("p", { class: "meta" }, "Both stay in the history for a while, whichever you choose."),
        );
        void compare(app, event, sides, signal);
    }
}

function sideOf(app, event, side, signal, act) {
    const piece = h(
        "div",
        {
            class: "piece",
            tabindex: "0",
            role: "group",
            "aria-label": side.is_now ? "What is different now" : "What was there before",
        },
        h("p", { class: "wait" }, "One moment \u2026"),
    );
    const hinder = hindrance(app);
    const label = side.is_now ? "Keep this" : "Bring this back";
    const heading = side.is_now ? "Now" : ["Before ", shortTime(event.time)];
    const control =
        side.act &&
        button(label, () => void act(side.act), { class: "main", disabled: Boolean(hinder) || !side.can_read });
    const element = h(
        "div",
        { class: "side" },
        h("h3", {}, heading, ", ", counted(side.message_count ?? 0, "message")),
        piece,
        hinder && h("p", { class: "meta" }, hinder),
        control,
    );
    if (!side.can_read)
        fill(
            piece,
            h(
                "p",
                { class: "wait" },
                side.is_now ? "There is no file, or it cannot be read." : "This copy cannot be read.",
            ),
        );
    return { ...side, element, piece };
}

async function compare(app, event, sides, signal) {
    const [live, ...others] = sides;
    for (const other of others) {
        if (!other.can_read) continue;
        if (!live.can_read) {
            fill(other.piece, h("p", { class: "wait" }, "All that was ever there."));
            continue;
        }
        try {
            const path = `sessions/${encodeURIComponent(event.session)}`;
            const [diff, end] = await Promise.all([
                app.api.get(`${path}/diff`, { a: other.version, b: live.version, limit: SHOWN }, signal),
                app.api.get(`${path}/versions/${encodeURIComponent(live.version)}/messages`, { last: CONTEXT }, signal),
            ]);
            const { gone = 0, new: fresh = 0, changed = 0 } = diff.counts;
            const short = diff.counts["cut short"] ?? 0;
            const same = h("p", { class: "note wait" }, `${counted(diff.same, "message")} the same on both sides.`);
            const rest =
                diff.total > diff.changes.length
                    ? h("p", { class: "wait" }, `And ${diff.total - diff.changes.length} more.`)
                    : null;
            fill(
                live.piece,
                same,
                fresh + changed + short === 0 &&
                    end.messages.map((one) => message("", "", one.role, one.text.slice(0, 200), "the same")),
                gone > 0 &&
                    h(
                        "p",
                        { class: "wait missing" },
                        `${counted(gone, "message")} of the other side ${gone === 1 ? "is" : "are"} missing here.`,
                    ),
                diff.changes
                    .filter((one) => one.b_number !== null)
                    .map((one) =>
                        message(
                            "+",
                            one.kind === "new" ? "back" : "changed",
                            one.role,
                            one.b_text,
                            one.kind === "new" ? "only here" : "different here",
                        ),
                    ),
                rest?.cloneNode(true),
            );
            fill(
                other.piece,
                same.cloneNode(true),
                fresh > 0 &&
                    h(
                        "p",
                        { class: "wait" },
                        `${counted(fresh, "newer message")} of the other side ${fresh === 1 ? "comes" : "come"} along if you bring this back.`,
                    ),
                changed + short > 0 &&
                    h(
                        "p",
                        { class: "wait" },
                        `${counted(changed + short, "message")} ${changed + short === 1 ? "is" : "are"} different.`,
                    ),
                diff.changes
                    .filter((one) => one.a_number !== null)
                    .map((one) =>
                        message(
                            "\u2212",
                            one.kind === "gone" ? "gone" : "changed",
                            one.role,
                            one.a_text,
                            one.kind === "gone" ? "only here" : "different here",
                        ),
                    ),
                rest,
            );
        } catch (error) {
            if (isAborted(error)) return;
            fill(
                live.piece,
                gap(error, () => void compare(app, event, sides, signal)),
            );
            fill(other.piece, "");
        }
    }
}

function message(sign, kind, role, text, words) {
    const who = role === "user" ? "You" : role === "assistant" ? "Hermes" : said(role);
    return h(
        "div",
        { class: `message ${kind}` },
        h("span", { class: "sign", "aria-hidden": "true" }, sign),
        h("span", { class: "who" }, who, h("span", { class: "reader-only" }, ` (${words})`)),
        h("div", { class: "body" }, h("div", { class: "said", dir: "auto" }, visible(text))),
    );
}
