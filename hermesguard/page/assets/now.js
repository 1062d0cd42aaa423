// Now: is all well; what needs a decision; what happened lately.

import { button, counted, fill, h, moment, said, shield, span, timeOf, titled, visible } from "./dom.js";
import { decision } from "./decide.js";
import { dot } from "./marks.js";
import { capital, inShort, markOf, reasons } from "./words.js";

const LATELY = 20;

/** Return the first page. */
export async function now(app, _place, signal) {
    const answer = await app.api.get("now", { lately: LATELY }, signal);
    const element = h("div", { class: "first" });
    paint(app, element, answer, signal);
    app.renew = async (isNews) => {
        // What the user is just deciding on is not pulled away; the sentence above follows all the same.
        const fresh = await app.api.get("now", { lately: LATELY }, signal);
        if (signal.aborted) return;
        if (isNews || fresh.decisions.length !== answer.decisions.length) paint(app, element, fresh, signal);
        else fill(element.querySelector(".answer"), sentence(app, fresh));
        answer.decisions = fresh.decisions;
    };
    signal.addEventListener("abort", () => (app.renew = null));
    return element;
}

function paint(app, element, answer, signal) {
    app.status(answer.status);
    app.newest ??= undefined;
    fill(
        element,
        h("div", { class: "answer" }, sentence(app, answer)),
        answer.decisions.length > 0 &&
            h(
                "section",
                { class: "decisions", "aria-label": "What needs you" },
                answer.decisions.map((event, index) => decision(app, event, signal, { isOpen: index < 2 })),
            ),
        app.home.chat && here(app),
        h("section", { "aria-labelledby": "lately" }, h("h2", { id: "lately" }, "Lately"), lately(app, answer)),
    );
}

function sentence(app, { status, decisions }) {
    const { state, problems, running, ready, sessions, messages } = status;
    const guarded = `${counted(sessions, "conversation")}, ${counted(messages, "message")} guarded.`;
    const checked = moment(status.last_scan);
    const ago = checked ? ` Checked ${span(moment(status.now) - checked)} ago.` : "";
    if (!running) {
        const problem = problems[0];
        return [
            shield("off", 26),
            h("h1", {}, "hermesguard does not run: nothing new is guarded."),
            problem?.remedy && h("p", {}, visible(problem.remedy)),
            h("p", {}, "What it has kept until now is here and can be read. To bring something back, it has to run."),
        ];
    }
    if (!ready)
        return [
            shield("well", 26),
            h("h1", {}, "hermesguard looks at everything for the first time."),
            h("p", {}, `${counted(sessions, "conversation")} so far. This page shows more as soon as it is through.`),
        ];
    if (state === "trouble") {
        const [first, ...more] = problems;
        return [
            shield("off", 26),
            h("h1", {}, visible(capital(first?.what ?? "Something is wrong")), "."),
            first?.remedy && h("p", {}, visible(first.remedy)),
            more.map((one) => h("p", {}, visible(`${capital(one.what)}. ${one.remedy}`))),
            h("p", {}, guarded, ago),
        ];
    }
    if (decisions.length)
        return [
            shield("asks", 26),
            h(
                "h1",
                {},
                decisions.length === 1
                    ? "1 conversation needs you."
                    : `${counted(decisions.length, "conversation")} need you.`,
            ),
            h(
                "p",
                {},
                `Nothing is lost: both versions are kept, whatever you choose. All else is well: ${guarded}${ago}`,
            ),
        ];
    if (state === "decide")
        return [
            shield("asks", 26),
            h("h1", {}, "Something may have been lost before hermesguard came."),
            h("p", {}, guarded, ago),
            h(
                "p",
                { class: "acts" },
                button("See what", () => app.go("found"), { class: "main" }),
            ),
        ];
    return [
        shield("well", 26),
        h("h1", {}, `All is well: ${counted(sessions, "conversation")} guarded.`),
        h("p", {}, `${counted(messages, "message")}.${ago}`),
    ];
}

function here(app) {
    const chat = app.home.chat();
    if (!chat) return null;
    return h(
        "section",
        { "aria-label": "The open conversation" },
        h(
            "div",
            { class: "row" },
            h("span", { class: "meta" }, "Open now"),
            h("span", { class: "which" }, titled(chat.title)),
            button("See its past", () => app.go("conversation", { session: chat.session }), { class: "go" }),
        ),
    );
}

function lately(app, { lately: events }) {
    if (!events.length) return h("p", { class: "meta" }, "Nothing was lost, and nothing had to be brought back.");
    return h(
        "ul",
        {},
        events.map((event) => eventRow(app, event)),
    );
}

/** Return a row for an event: when, which conversation, what and why. */
export function eventRow(app, event) {
    const why = reasons(event)[0];
    return h(
        "li",
        { class: "row" },
        timeOf(event.time),
        h("span", { class: "which" }, titled(event.title)),
        h(
            "span",
            { class: "what" },
            h("span", { class: "state" }, dot(markOf(event)), h("span", {}, capital(inShort(event)), ".")),
            why && event.what === "brought_back" ? h("span", { class: "meta" }, " ", said(why)) : null,
        ),
        event.session &&
            h(
                "button",
                {
                    type: "button",
                    class: "go",
                    onclick: () =>
                        app.go("conversation", { session: event.session, incident: event.id, version: event.version }),
                },
                "Show",
                h("span", { class: "reader-only" }, " ", titled(event.title)),
            ),
    );
}
