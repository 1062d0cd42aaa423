// Lost and found: everything that a user may miss, newest first.

import { button, counted, h, number, said, timeOf, titled, visible } from "./dom.js";
import { gap } from "./edges.js";
import { dot } from "./marks.js";
import { Paged } from "./paged.js";
import { KINDS, KIND_MARKS } from "./words.js";

const PAGE = 50;

/** Return what may be missed. */
export async function found(app, place, signal) {
    const kind = place.kind ?? "";
    const ask = (offset) => app.api.get("lost", { kind, offset, limit: PAGE }, signal);
    const first = await ask(0);
    const all = first.counts.reduce((sum, one) => sum + one.count, 0);
    const list = new Paged({
        total: first.total,
        size: PAGE,
        estimate: 90,
        root: app.view,
        label: "What you may miss",
        load: async (offset) => (offset === 0 ? first : await ask(offset)).lost,
        row: (one) => row(app, one),
        failed: gap,
    });
    signal.addEventListener("abort", () => list.close());
    const choose = (value) => app.go("found", value ? { kind: value } : {}, { isBack: true });
    const chip = (value, label) =>
        button(label, () => choose(value), {
            "aria-pressed": String(value === kind),
            class: value === kind ? "chosen" : "",
        });
    return h(
        "div",
        {},
        h(
            "section",
            {},
            h(
                "h1",
                {},
                all
                    ? `${counted(all, "thing")} that you may miss.`
                    : "Nothing is missing, as far as hermesguard knows.",
            ),
            h(
                "p",
                { class: "meta" },
                "If what you look for is not here, search for words of it above: what was lost or deleted and is still kept is searched too.",
            ),
            first.counts.length > 1 &&
                h(
                    "p",
                    { class: "acts chips" },
                    chip("", `all (${number(all)})`),
                    first.counts.map((one) =>
                        chip(one.kind, `${KINDS[one.kind]?.[0] ?? one.kind} (${number(one.count)})`),
                    ),
                ),
        ),
        first.total ? list.element : null,
    );
}

function row(app, one) {
    const counts = [
        one.messages_before !== null && `${counted(one.messages_before, "message")} before`,
        one.messages_now !== null && one.kind !== "deleted" && `${number(one.messages_now)} now`,
    ]
        .filter(Boolean)
        .join(", ");
    return h(
        "div",
        { class: "row" },
        timeOf(one.time),
        h("span", { class: "which" }, titled(one.title)),
        h(
            "span",
            { class: "what" },
            h(
                "span",
                { class: "state" },
                dot(KIND_MARKS[one.kind]),
                h("span", {}, KINDS[one.kind]?.[1] ?? one.kind, counts ? ` ${counts}.` : ""),
            ),
            one.kind === "lost before" && one.evidence.map((line) => h("span", { class: "meta line" }, said(line))),
            !one.version &&
                !one.acts.length &&
                one.command &&
                h("span", { class: "meta line" }, "To bring it back, type ", h("code", {}, visible(one.command))),
        ),
        (one.version || one.acts.length || one.kind !== "unreadable") &&
            h(
                "button",
                {
                    type: "button",
                    class: "go",
                    onclick: () =>
                        app.go("conversation", { session: one.session, incident: one.incident, version: one.version }),
                },
                "Show",
                h("span", { class: "reader-only" }, " ", titled(one.title)),
            ),
    );
}
