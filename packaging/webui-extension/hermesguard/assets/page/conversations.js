// All conversations, however many.

import { button, counted, h, number, timeOf, titled } from "./dom.js";
import { gap } from "./edges.js";
import { dot } from "./marks.js";
import { Paged } from "./paged.js";
import { STATES, STATE_MARKS } from "./words.js";

const PAGE = 100;
const SORTS = {
    changed: "Newest first",
    title: "By title",
    messages: "Longest first",
    incident: "Last lost or repaired",
};

/** Return the list of conversations. */
export async function conversations(app, place, signal) {
    const state = place.state ?? "";
    const sort = place.sort ?? "changed";
    const ask = (offset) => app.api.get("sessions", { state, sort, offset, limit: PAGE }, signal);
    const first = await ask(0);
    const all = Object.values(first.states).reduce((sum, count) => sum + count, 0);
    const choose = (change) => app.go("conversations", { ...place, ...change }, { isBack: true });
    const list = listed(app, first, (offset) => ask(offset), signal, "Conversations");
    return h(
        "div",
        {},
        h(
            "section",
            { class: "heading" },
            h("h1", {}, counted(state ? first.total : all, "conversation")),
            h(
                "span",
                { class: "acts" },
                h(
                    "label",
                    {},
                    "Show ",
                    select(
                        {
                            "": `all (${number(all)})`,
                            ...Object.fromEntries(
                                Object.entries(first.states).map(([name, count]) => [
                                    name,
                                    `${STATES[name] ?? name} (${number(count)})`,
                                ]),
                            ),
                        },
                        state,
                        (value) => choose({ state: value }),
                    ),
                ),
                h(
                    "label",
                    {},
                    "Order ",
                    select(SORTS, sort, (value) => choose({ sort: value })),
                ),
            ),
        ),
        first.total ? list : h("p", { class: "wait" }, "There is none of that kind."),
    );
}

function select(options, chosen, changed) {
    return h(
        "select",
        { onchange: (event) => changed(event.target.value) },
        Object.entries(options).map(([value, label]) => h("option", { value, selected: value === chosen }, label)),
    );
}

/** Return the rows of an answer of the API, with its further pages as they are needed. */
export function listed(app, first, ask, signal, label) {
    const size = first.limit;
    const list = new Paged({
        total: first.total,
        size,
        estimate: 62,
        root: app.view,
        label,
        load: async (offset) => (offset === 0 ? first : await ask(offset)).sessions,
        row: (one) => row(app, one),
        failed: gap,
    });
    signal.addEventListener("abort", () => list.close());
    return list.element;
}

function row(app, one) {
    const state = STATES[one.state] ?? one.state;
    return h(
        "div",
        { class: "row" },
        timeOf(one.changed),
        h(
            "span",
            { class: "which" },
            button(titled(one.title), () => app.go("conversation", { session: one.session }), { class: "link title" }),
        ),
        h(
            "span",
            { class: "what state" },
            dot(STATE_MARKS[one.state]),
            h(
                "span",
                {},
                one.message_count === null ? "" : `${counted(one.message_count, "message")}, `,
                state,
                one.versions ? `, ${counted(one.versions, "older version")}` : "",
                ".",
            ),
        ),
    );
}
