// Elements, and the one way in which text of conversations gets into the page: as text nodes, each in an isolated
// run of its own, with the characters made visible that would otherwise hide, reorder or forge what is around them.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. `props` are attributes, `class`, `data` and listeners (`onclick`); children are nodes or text. */
export function h(tag, props = {}, ...children) {
    return dressed(document.createElement(tag), props, children);
}

/** Return an SVG element, as `h` does. */
export function svg(tag, props = {}, ...children) {
    return dressed(document.createElementNS(SVG, tag), props, children);
}

function dressed(element, props, children) {
    for (const [name, value] of Object.entries(props)) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name === "data") Object.assign(element.dataset, value);
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(
        ...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false),
    );
    return element;
}

/** Put these children, and no others, into an element. */
export function fill(element, ...children) {
    element.replaceChildren(
        ...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false),
    );
    return element;
}

// What has no shape of its own or changes the order of what follows: controls but tab and line feed, marks and overrides of
// direction, invisible separators and tags. The joiners of emoji and of Persian stay.
const HIDDEN =
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;
const MOST_MARKS = 200;

function name(character) {
    return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Return the nodes that show a text of a conversation, hidden characters as marks. */
export function visible(text) {
    const whole = String(text ?? "").replaceAll("\r\n", "\n");
    const nodes = [];
    let from = 0;
    let marks = 0;
    for (const match of whole.matchAll(HIDDEN)) {
        if (++marks > MOST_MARKS) {
            nodes.push(whole.slice(from).replace(HIDDEN, (one) => `[${name(one)}]`));
            return nodes;
        }
        if (match.index > from) nodes.push(whole.slice(from, match.index));
        nodes.push(h("span", { class: "hidden-character", title: "a character that cannot be seen" }, name(match[0])));
        from = match.index + match[0].length;
    }
    if (from < whole.length) nodes.push(whole.slice(from));
    return nodes;
}

/** Return a text of a conversation in one line with others: isolated, so that its direction stays its own. */
export function said(text, props = {}) {
    return h("bdi", props, visible(String(text ?? "").replaceAll("\n", " ")));
}

/** Return the title of a conversation; `Untitled` when it has none. */
export function titled(title) {
    const text = String(title ?? "").trim();
    return text ? said(text, { class: "title" }) : h("span", { class: "title none" }, "Untitled");
}

/** Return a button. */
export function button(label, onclick, props = {}) {
    return h("button", { type: "button", onclick, ...props }, label);
}

const numbers = new Intl.NumberFormat("en");

/** Return a number as people write it. */
export const number = (value) => numbers.format(value);

/** Return "1 message" or "1,001 messages". */
export const counted = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECONDS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const WEEKDAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });
const DAY_MS = 86_400_000;

/** Return the Date of a time of the API; null when it has none. */
export function moment(time) {
    const found = time ? new Date(time) : null;
    return found && !Number.isNaN(found.getTime()) ? found : null;
}

const midnight = (when) => new Date(when.getFullYear(), when.getMonth(), when.getDate()).getTime();

/** Return a time as short as it can be told apart today: 14:02, Mon 14:02, 3 Nov, 3 Nov 2025. */
export function shortTime(time, now = new Date()) {
    const when = moment(time);
    if (!when) return "";
    const days = Math.round((midnight(now) - midnight(when)) / DAY_MS);
    if (days === 0) return CLOCK.format(when);
    if (days > 0 && days < 7) return WEEKDAY.format(when).replace(",", "");
    return when.getFullYear() === now.getFullYear() ? DAY.format(when) : DATE.format(when);
}

/** Return a time to the second, with its day unless that is today. */
export function exactTime(time, now = new Date()) {
    const when = moment(time);
    if (!when) return "";
    const clock = SECONDS.format(when);
    if (midnight(now) === midnight(when)) return clock;
    return `${when.getFullYear() === now.getFullYear() ? DAY.format(when) : DATE.format(when)}, ${clock}`;
}

/** Return a <time> with the short form; the whole of it as its title. */
export function timeOf(time) {
    const when = moment(time);
    return when ? h("time", { datetime: when.toISOString(), title: FULL.format(when) }, shortTime(when)) : h("span");
}

/** Return "4 s", "3 min", "2 h", "5 days". */
export function span(milliseconds) {
    const seconds = Math.max(0, Math.round(milliseconds / 1000));
    if (seconds < 90) return `${seconds} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
    return counted(Math.round(seconds / 86_400), "day");
}

/** Return an icon: the shield, with the sign of a state in it. */
export function shield(state, size = 20) {
    const signs = {
        well: "M8.2 12.2l2.7 2.7 5-5.4",
        repaired: "M12 16.2V8.4M8.6 11.6L12 8.2l3.4 3.4",
        asks: "M9.6 9.6a2.4 2.4 0 1 1 3.4 2.2c-.7.3-1 .8-1 1.6M12 16.4v.1",
        off: "M9 9l6 6M15 9l-6 6",
    };
    return svg(
        "svg",
        { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", class: `shield ${state}` },
        svg("path", { class: "body", d: "M12 2.6l7.6 2.9v5.6c0 4.9-3.2 8.6-7.6 10.3-4.4-1.7-7.6-5.4-7.6-10.3V5.5z" }),
        svg("path", { class: "sign", d: signs[state] ?? signs.off }),
    );
}
