// A conversation as a line of its message count. What matters is what happened, not how long it lasted: a night is wider
// than a second, but not ten thousand times, and a loss and its repair half a millisecond later stand apart.

import { counted, exactTime, h, number, shortTime, svg } from "./dom.js";

const HEIGHT = 140;
const TOP = 24;
const LANE = 26;
const AXIS = 24;
// A mark and what is beside it can be told apart, and touched.
const APART = 24;
const MOST_QUIET = 240;

const SHAPES = {
    loss: "M-6.5-5.5h13L0 6z",
    repair: "M-6.5 5.5h13L0-6z",
    unsure: "M0-7.5L7.5 0 0 7.5-7.5 0z",
    yours: "M-2-6h4V6h-4z",
};

/** Words for the marks, as the legend has them. */
export const MARKS = { loss: "lost", repair: "brought back", unsure: "not sure", yours: "done by you" };

/** Return at most so many moments: all that are marked, and of the quiet growth between them an even choice. */
export function thinned(moments, most = MOST_QUIET) {
    const quiet = moments.filter((one) => !one.mark).length;
    if (quiet <= most) return moments;
    const stride = Math.ceil(quiet / most);
    let seen = 0;
    return moments.filter((one, index) => {
        if (one.mark || index === 0 || index === moments.length - 1) return true;
        if (moments[index + 1].mark || moments[index - 1].mark) return true;
        return seen++ % stride === 0;
    });
}

function places(moments, width, left, right) {
    const room = width - left - right;
    const steps = moments.slice(1).map((one, index) => {
        const seconds = Math.max(0, (Date.parse(one.time) - Date.parse(moments[index].time)) / 1000) || 0;
        return {
            isMarked: Boolean(one.mark || (moments[index].mark && !one.isEnd)),
            length: 0.02 + Math.log10(1 + seconds / 10),
        };
    });
    const marked = steps.filter((step) => step.isMarked).length;
    // Before a mark, and after it, is room; the rest is for the time between. Many marks share what there is.
    const apart = marked ? Math.min(APART, (0.7 * room) / marked) : 0;
    const whole = steps.reduce((sum, step) => sum + step.length, 0) || 1;
    let x = left;
    return [
        x,
        ...steps.map((step) => (x += (step.isMarked ? apart : 0) + (step.length / whole) * (room - marked * apart))),
    ];
}

/** The line, its marks, and the handle that is moved along it by pointer, finger or keys. */
export class Timeline {
    /** `select(index)` is called for each moment that is come to, `settle(index)` when the moving ends. */
    constructor({ select, settle }) {
        this.select = select;
        this.settle = settle;
        this.moments = [];
        this.index = 0;
        this.drawing = svg("svg", { "aria-hidden": "true", focusable: "false" });
        this.slider = h(
            "div",
            {
                class: "slider",
                role: "slider",
                tabindex: "0",
                "aria-label": "Moment of the conversation",
                "aria-orientation": "horizontal",
                "aria-valuemin": "0",
                "aria-valuemax": "0",
                "aria-valuenow": "0",
            },
            this.drawing,
        );
        this.before = h("button", { type: "button", class: "step", "aria-label": "What happened before" }, "\u2039");
        this.after = h("button", { type: "button", class: "step", "aria-label": "What happened after" }, "\u203a");
        this.before.addEventListener("click", () => this.jump(-1));
        this.after.addEventListener("click", () => this.jump(1));
        this.legend = h("p", { class: "legend small", "aria-hidden": "true" });
        this.element = h(
            "div",
            { class: "timeline" },
            h("div", { class: "track" }, this.before, this.slider, this.after),
            this.legend,
        );
        this.slider.addEventListener("keydown", (event) => this.key(event));
        this.slider.addEventListener("pointerdown", (event) => this.down(event));
        this.slider.addEventListener("pointermove", (event) => this.move(event));
        this.slider.addEventListener("pointerup", () => this.up());
        this.slider.addEventListener("pointercancel", () => this.up());
        this.observer = new ResizeObserver(() => this.draw());
        this.observer.observe(this.slider);
    }

    /** Show these moments, `{time, count, mark, text}` in the order of time, at this one. */
    show(moments, index) {
        this.moments = moments;
        this.at = null; // where the others were drawn says nothing of these
        this.slider.setAttribute("aria-valuemin", "0");
        this.slider.setAttribute("aria-valuemax", String(Math.max(0, moments.length - 1)));
        const marks = Object.keys(MARKS).filter((mark) => moments.some((one) => one.mark === mark));
        this.legend.replaceChildren(
            ...marks.map((mark) =>
                h(
                    "span",
                    { class: "key" },
                    svg(
                        "svg",
                        { viewBox: "-9 -9 18 18", width: 14, height: 14, class: `mark ${mark}` },
                        svg("path", { d: SHAPES[mark] }),
                    ),
                    MARKS[mark],
                ),
            ),
        );
        this.go(index);
        this.draw();
    }

    /** Move to a moment, without a word to `settle`. */
    go(index) {
        this.index = Math.max(0, Math.min(this.moments.length - 1, index));
        const here = this.moments[this.index];
        if (!here) return;
        this.slider.setAttribute("aria-valuenow", String(this.index));
        this.slider.setAttribute(
            "aria-valuetext",
            `${exactTime(here.time)}, ${counted(here.count, "message")}. ${here.text ?? ""}`.trim(),
        );
        this.before.disabled = this.marked(-1) === this.index;
        this.after.disabled = this.marked(1) === this.index;
        this.place();
    }

    marked(way) {
        for (let index = this.index + way; index >= 0 && index < this.moments.length; index += way)
            if (this.moments[index].mark) return index;
        return way < 0 ? 0 : this.moments.length - 1;
    }

    jump(way) {
        this.to(this.marked(way));
        this.settle(this.index);
    }

    to(index) {
        const before = this.index;
        this.go(index);
        if (this.index !== before) this.select(this.index);
    }

    key(event) {
        const last = this.moments.length - 1;
        const ways = {
            ArrowLeft: this.index - 1,
            ArrowDown: this.index - 1,
            ArrowRight: this.index + 1,
            ArrowUp: this.index + 1,
            PageUp: this.marked(-1),
            PageDown: this.marked(1),
            Home: 0,
            End: last,
        };
        if (!(event.key in ways) || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        this.to(ways[event.key]);
        this.settle(this.index);
    }

    down(event) {
        if (event.button) return;
        this.slider.setPointerCapture(event.pointerId);
        this.isHeld = true;
        this.follow(event);
    }

    move(event) {
        if (this.isHeld) this.follow(event);
    }

    up() {
        if (!this.isHeld) return;
        this.isHeld = false;
        this.settle(this.index);
    }

    follow(event) {
        if (!this.at) return;
        const x = event.clientX - this.slider.getBoundingClientRect().left;
        const isOnMarks = event.clientY - this.slider.getBoundingClientRect().top > HEIGHT - AXIS - LANE;
        let nearest = this.index;
        let least = Infinity;
        this.at.forEach((place, index) => {
            // A finger on the row of the marks means one of them.
            const distance = Math.abs(place - x) - (isOnMarks && this.moments[index].mark ? 12 : 0);
            if (distance < least) [least, nearest] = [distance, index];
        });
        this.to(nearest);
    }

    draw() {
        const width = Math.floor(this.slider.clientWidth);
        if (!width || !this.moments.length) return;
        const most = Math.max(1, ...this.moments.map((one) => one.count));
        const left = 12;
        this.at = places(this.moments, width, left, 14);
        const floor = HEIGHT - AXIS - LANE;
        const y = (count) => floor - (count / most) * (floor - TOP);
        let line = "";
        this.moments.forEach((one, index) => {
            line += index
                ? `H${this.at[index].toFixed(1)}V${y(one.count).toFixed(1)}`
                : `M${this.at[0].toFixed(1)} ${y(one.count).toFixed(1)}`;
        });
        const end = this.at.at(-1).toFixed(1);
        const parts = [
            svg("path", { class: "ground", d: `${line}V${floor}H${this.at[0].toFixed(1)}z` }),
            svg("path", { class: "line", d: line }),
            svg("path", { class: "floor", d: `M${left} ${floor}H${end}` }),
            svg("text", { class: "count", x: left, y: TOP - 6 }, counted(most, "message")),
        ];
        this.moments.forEach((one, index) => {
            if (!one.mark) return;
            const x = this.at[index].toFixed(1);
            if (one.mark === "loss")
                parts.push(
                    svg("path", {
                        class: "drop",
                        d: `M${x} ${y(this.moments[index - 1]?.count ?? 0).toFixed(1)}V${y(one.count).toFixed(1)}`,
                    }),
                );
            parts.push(
                svg("path", { class: `stem ${one.mark}`, d: `M${x} ${floor}v6` }),
                svg("path", {
                    class: `mark ${one.mark}`,
                    d: SHAPES[one.mark],
                    transform: `translate(${x} ${floor + 14})`,
                }),
            );
        });
        const first = this.moments[0];
        const last = this.moments.at(-1);
        parts.push(
            svg("text", { class: "when", x: left, y: HEIGHT - 4 }, shortTime(first.time)),
            svg(
                "text",
                { class: "when", x: width - 2, y: HEIGHT - 4, "text-anchor": "end" },
                last.isNow ? "now" : shortTime(last.time),
            ),
        );
        this.handle = svg(
            "g",
            { class: "handle" },
            svg("path", { d: `M0 ${TOP - 4}V${floor + 4}` }),
            svg("circle", { r: 6.5 }),
            svg("text", { class: "value", y: TOP - 6 }),
        );
        this.y = y;
        this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
        this.drawing.setAttribute("width", width);
        this.drawing.setAttribute("height", HEIGHT);
        this.drawing.replaceChildren(...parts, this.handle);
        this.place();
    }

    place() {
        if (!this.handle || !this.at) return;
        const here = this.moments[this.index];
        const x = this.at[this.index];
        const width = this.drawing.clientWidth || this.slider.clientWidth;
        this.handle.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
        this.handle.querySelector("circle").setAttribute("cy", this.y(here.count).toFixed(1));
        const value = this.handle.querySelector("text");
        value.textContent = number(here.count);
        const isLeft = x < width / 2;
        value.setAttribute("text-anchor", isLeft ? "start" : "end");
        value.setAttribute("x", isLeft ? 8 : -8);
        // The number beside the handle and the one of the scale do not stand on each other.
        this.drawing.querySelector(".count").classList.toggle("covered", isLeft && x < 210);
    }
}
