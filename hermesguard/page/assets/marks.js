// The shapes that say what happened, beside the words that say it too.

import { svg } from "./dom.js";

const SHAPES = {
    loss: "M1.5 3h13L8 14z",
    repair: "M1.5 13h13L8 2z",
    unsure: "M8 1l7 7-7 7-7-7z",
    yours: "M6 2h4v12H6z",
};

/** Return the shape of a mark, as large as the text beside it. */
export function dot(mark) {
    if (!SHAPES[mark]) return null;
    return svg(
        "svg",
        { viewBox: "0 0 16 16", class: `dot ${mark}`, "aria-hidden": "true" },
        svg("path", { d: SHAPES[mark] }),
    );
}
