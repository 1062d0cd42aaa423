// A conversation as it was at one moment, with what went or came back marked in the margin.

import { button, fill, h, moment, number, said, shortTime, visible } from "./dom.js";
import { gap } from "./edges.js";
import { Paged } from "./paged.js";

const PAGE = 50;
const FOLD = 3000;
const PIECE = 100_000;
const WHO = { user: "You", assistant: "Hermes", tool: "Tool", system: "System" };
const SIGNS = { gone: "\u2212", back: "+", changed: "~" };
const LABELS = { error: "an error", partial: "not finished", recovered: "never sent, recovered" };

/** The marks of a diff that a margin has: `[first, last, kind]` in the words of this page. */
export function margin(marks, kinds) {
    return marks.filter(([, , kind]) => kinds[kind]).map(([first, last, kind]) => [first, last, kinds[kind]]);
}

export class Transcript {
    /** `notes` has for each kind of mark what it means here. */
    constructor(app, session, signal) {
        Object.assign(this, { app, session, signal, pages: new Map(), digests: new Map() });
        this.element = h("div", {
            class: "transcript",
            tabindex: "0",
            role: "region",
            "aria-label": "The conversation at this moment",
        });
        this.key = h("p", { class: "key-of-marks", hidden: true });
        signal.addEventListener("abort", () => this.list?.close());
    }

    path(version) {
        return `sessions/${encodeURIComponent(this.session)}/versions/${encodeURIComponent(version)}/messages`;
    }

    /** Show the first `upto` messages of a version; come to `at`: a number, or the end. */
    show({ version, upto, marks = [], notes = {}, at = null }) {
        this.list?.close();
        this.marks = marks;
        this.notes = notes;
        const kinds = [...new Set(marks.map(([, , kind]) => kind))].filter((kind) => notes[kind]);
        this.key.hidden = !kinds.length;
        fill(
            this.key,
            kinds.map((kind) => h("span", {}, h("strong", {}, SIGNS[kind]), ` ${notes[kind]}`)),
        );
        if (version === null)
            return void fill(this.element, h("p", { class: "wait" }, "No copy of this moment is kept."));
        if (!upto) return void fill(this.element, h("p", { class: "wait" }, "There was no message at this moment."));
        this.list = new Paged({
            total: upto,
            size: PAGE,
            estimate: 72,
            root: this.element,
            label: "Messages",
            load: (offset, limit) => this.load(version, offset, limit),
            row: (message) => this.row(version, message),
            failed: gap,
        });
        fill(this.element, this.list.element);
        void this.list.reveal((at ?? upto) - 1, at === null ? "end" : "upper");
    }

    wait() {
        this.key.hidden = true;
        this.list?.close();
        fill(this.element, h("p", { class: "wait" }, "One moment \u2026"));
    }

    async load(version, offset, limit) {
        const key = `${version} ${offset} ${limit}`;
        if (this.pages.has(key)) return this.pages.get(key);
        const found = [];
        while (found.length < limit) {
            const answer = await this.app.api.get(
                this.path(version),
                { from: offset + found.length + 1, limit: limit - found.length },
                this.signal,
            );
            const known = this.digests.get(version);
            if (known && known !== answer.digest) this.pages.clear();
            this.digests.set(version, answer.digest);
            found.push(...answer.messages);
            if (!answer.messages.length || answer.next === null) break;
        }
        this.pages.set(key, found);
        return found;
    }

    markOf(index) {
        return this.marks.find(([first, last]) => first <= index && index <= last);
    }

    row(version, message) {
        const run = this.markOf(message.number);
        const kind = run?.[2];
        const isFirst = run && (run[0] === message.number || message.number % PAGE === 1);
        const note = kind && this.notes[kind];
        const when = moment(message.timestamp ? message.timestamp * 1000 : null);
        return h(
            "div",
            { class: `message ${kind ?? ""}` },
            h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind] ?? ""),
            h("span", { class: "who" }, WHO[message.role] ?? said(message.role)),
            when ? h("time", { datetime: when.toISOString() }, shortTime(when)) : h("span"),
            h(
                "div",
                { class: "body" },
                note && (isFirst ? h("p", { class: "note" }, note) : h("span", { class: "reader-only" }, note)),
                this.text(version, message),
                this.extras(version, message),
            ),
        );
    }

    text(version, message) {
        const body = h("div", { class: "said", dir: "auto" }, visible(message.text.slice(0, FOLD)));
        const isFolded = message.is_cut || message.text.length > FOLD;
        const holder = h("div", {}, body);
        if (isFolded)
            holder.append(
                this.more(
                    version,
                    message.number,
                    { part: "text" },
                    body,
                    message.text,
                    Math.min(FOLD, message.text.length),
                    message.text_length,
                ),
            );
        if (!message.text && !message.tools.length && !message.pictures && !message.reasoning)
            body.append(h("span", { class: "none" }, "(nothing)"));
        return holder;
    }

    /** Return the button that shows more of a long text, a piece at a press. */
    more(version, index, part, body, first, shown, length) {
        const label = () => `Show more (${number(shown)} of ${number(length)} characters)`;
        const control = button(
            label(),
            async () => {
                control.disabled = true;
                try {
                    if (shown < first.length) {
                        body.append(...visible(first.slice(shown)));
                        shown = first.length;
                    } else {
                        const answer = await this.app.api.get(
                            `${this.path(version)}/${index}`,
                            { ...part, offset: shown, length: PIECE },
                            this.signal,
                        );
                        body.append(...visible(answer.text));
                        shown = answer.next ?? length;
                    }
                    if (shown >= length) control.remove();
                    else control.textContent = label();
                } catch (error) {
                    control.textContent = `${error.what ?? "That did not work"}: try again`;
                }
                control.disabled = false;
            },
            { class: "link" },
        );
        return control;
    }

    extras(version, message) {
        const parts = message.labels.map((label) => h("span", {}, LABELS[label] ?? said(label)));
        if (message.pictures)
            parts.push(h("span", {}, message.pictures === 1 ? "1 picture" : `${message.pictures} pictures`));
        if (message.reasoning_length)
            parts.push(
                this.folded(
                    "What Hermes thought",
                    version,
                    message.number,
                    { part: "reasoning" },
                    message.reasoning,
                    message.reasoning_length,
                ),
            );
        message.tools.forEach((tool, index) => {
            const names = { call: "Used ", result: "Answer of the tool ", attachment: "Attached " };
            const label = h("span", {}, names[tool.what] ?? `${tool.what} `, tool.name && said(tool.name));
            parts.push(
                tool.text_length
                    ? this.folded(
                          label,
                          version,
                          message.number,
                          { part: "tool", tool: index },
                          tool.text,
                          tool.text_length,
                      )
                    : label,
            );
        });
        return parts.length ? h("div", { class: "extras" }, parts) : null;
    }

    folded(label, version, index, part, first, length) {
        const body = h("div", { class: "said", dir: "auto" });
        const holder = h(
            "details",
            {
                ontoggle: () => {
                    if (body.childNodes.length) return;
                    body.append(...visible(first));
                    if (first.length < length)
                        holder.append(this.more(version, index, part, body, first, first.length, length));
                },
            },
            h("summary", {}, label),
            body,
        );
        return holder;
    }
}
