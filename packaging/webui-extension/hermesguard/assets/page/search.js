// Words in titles, and in the text of all that is kept: also of what was lost or deleted.

import { isAborted } from "./api.js";
import { button, counted, fill, h, said, timeOf, titled } from "./dom.js";
import { listed } from "./conversations.js";
import { gap } from "./edges.js";
import { dot } from "./marks.js";
import { STATES, STATE_MARKS } from "./words.js";

const PAGE = 20;

/** Return the page with what was found. */
export async function search(app, place, signal) {
    const { words } = place;
    app.words.value = words;
    const ask = (offset) => app.api.get("sessions", { search: words, offset, limit: PAGE }, signal);
    const [titles, job] = await Promise.all([ask(0), app.api.post("find", { words }, signal)]);
    const inText = h("div", { "aria-live": "polite" }, h("p", { class: "wait" }, "Searching the messages \u2026"));
    const texts = h("section", {}, h("h2", {}, "In the text"), inText);
    void (async () => {
        try {
            const result = await app.api.result(job, {
                signal,
                progress: (far) =>
                    far &&
                    fill(
                        inText,
                        h(
                            "p",
                            { class: "wait" },
                            `Searching the messages: ${counted(far.done, "conversation")} of ${far.of} \u2026`,
                        ),
                    ),
            });
            const hits = result.found.filter((one) => one.message !== null);
            fill(
                inText,
                hits.length
                    ? h(
                          "ul",
                          {},
                          hits.map((one) => hit(app, one)),
                      )
                    : h("p", { class: "meta" }, "No message has these words."),
                result.count > result.found.length &&
                    h(
                        "p",
                        { class: "meta" },
                        `These are the best ${result.found.length} of ${result.count}. More words make it fewer.`,
                    ),
            );
        } catch (error) {
            if (!isAborted(error))
                fill(
                    inText,
                    gap(error, () => app.reload()),
                );
        }
    })();
    return h(
        "div",
        {},
        h("section", {}, h("h1", {}, "Search for \u201c", said(words), "\u201d")),
        h(
            "section",
            {},
            h("h2", {}, titles.total ? `In ${counted(titles.total, "title")}` : "In titles"),
            titles.total
                ? listed(app, titles, ask, signal, "Titles that were found")
                : h("p", { class: "meta" }, "No title has these words."),
        ),
        texts,
    );
}

function hit(app, one) {
    const version = one.version || one.source;
    return h(
        "li",
        { class: "row" },
        timeOf(one.changed),
        h(
            "span",
            { class: "which" },
            button(
                titled(one.title),
                () => app.go("conversation", { session: one.session, version, message: one.message }),
                { class: "link title" },
            ),
        ),
        h(
            "span",
            { class: "what" },
            h("span", { class: "meta" }, one.role === "user" ? "You: " : ""),
            said(one.text),
            one.source === "version" &&
                h(
                    "span",
                    { class: "state meta line" },
                    dot(STATE_MARKS[one.state] ?? "yours"),
                    h("span", {}, `Only in an older version (${STATES[one.state] ?? one.state}).`),
                ),
        ),
    );
}
