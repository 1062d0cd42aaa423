// What stands in place of a view that cannot be shown: what is the matter, and the next step. Nothing spins for ever.

import { SPOKEN } from "./api.js";
import { button, h, said, shield, visible } from "./dom.js";

const OFF = "off";

function known(error, isInside) {
    switch (error.code) {
        case "offline":
            if (!navigator.onLine)
                return ["You are offline", ["As soon as there is a connection, this page goes on by itself."]];
            if (isInside)
                return [
                    "hermes-webui does not answer",
                    ["It may be restarting. This page goes on by itself when it is back."],
                ];
            return [
                "The page of hermesguard has ended",
                [
                    "It ends by itself when nobody looks at it. Your conversations are guarded all the same.",
                    ["To open it again, type", "hermesguard open"],
                ],
            ];
        case "signed_out":
            return [
                "This link is no longer good",
                ["A link to this page works once, and for a day at most.", ["For a new one, type", "hermesguard open"]],
            ];
        case "wrong_token":
            return [
                "hermes-webui and hermesguard do not know each other any more",
                [
                    "The key between them was renewed. In hermes-webui, open Settings, Extensions; take the approval of hermesguard back and give it again.",
                ],
            ];
        case "no_token":
            return [
                "One click is left",
                [
                    "In hermes-webui, open Settings, Extensions, and approve the connection to hermesguard. Until then it shows nothing here.",
                ],
            ];
        case "no_store":
            return [
                "Nothing is kept yet",
                ["hermesguard has not begun to keep conversations here, or may not read what it keeps."],
            ];
        case "no_guard":
            return [
                "hermesguard does not run",
                ["What is kept can be looked at, but nothing can be brought back until it runs."],
            ];
        case "unreadable":
            return [
                "This copy cannot be read",
                ["The file is damaged. Other moments of the conversation may be whole."],
            ];
        case "not_found":
            return ["That is not here", ["The conversation or the moment is not kept, or not any more."]];
        case "slow":
        case "busy":
            return ["That takes too long", ["The machine is busy. Your conversations are guarded all the same."]];
        default:
            return ["That did not work", []];
    }
}

/** Return the element that says what is the matter, and offers to try again. */
export async function edge(app, error, again) {
    const home = app.home;
    let [heading, lines] = known(error, Boolean(home.explain));
    const told = await home.explain?.(error);
    if (told) [heading, lines] = [told.heading, told.lines];
    else if (error.code === "not_found" || error.code === "between") {
        const spoken = await app.api.spoken();
        if (spoken !== null && spoken !== SPOKEN) {
            heading = "This page and hermesguard are of different versions";
            lines = home.explain
                ? [
                      "Bring the extension up to date, then reload hermes-webui.",
                      ["To put the fitting one there, type", "hermesguard extension install"],
                  ]
                : ["Reload this page. If that does not help, clear what the browser keeps of it."];
        }
    }
    const isTold = told || ["offline", "signed_out", "no_token", "wrong_token"].includes(error.code);
    return h(
        "div",
        { class: "edge" },
        shield(told?.sign ?? OFF, 24),
        h("h1", {}, heading),
        lines.map((line) =>
            Array.isArray(line) ? h("p", {}, line[0], " ", h("code", {}, line[1])) : h("p", {}, line),
        ),
        !isTold && error.what && h("p", { class: "meta" }, visible(sentence(error.what))),
        !isTold && error.remedy && h("p", {}, visible(sentence(error.remedy))),
        !isTold && !error.code && h("p", { class: "meta" }, said(String(error))),
        h(
            "p",
            { class: "acts" },
            told?.act && button(told.act.label, told.act.run, { class: "main" }),
            button("Try again", again),
        ),
    );
}

/** Return the element that stands in a list for a part that cannot be had. */
export function gap(error, retry) {
    return h(
        "p",
        { class: "wait" },
        visible(sentence(error.what ?? "This part cannot be had now")),
        " ",
        button("Try again", retry, { class: "link" }),
    );
}

function sentence(text) {
    return /[.!?:]$/.test(text) ? text : `${text}.`;
}
