// The time machine: one conversation, the line of its life, and the transcript of the moment to which one moves.

import { isAborted } from "./api.js";
import { button, counted, exactTime, fill, h, moment, said, titled, visible } from "./dom.js";
import { hindrance, listOf, nameOf, perform, propose } from "./acts.js";
import { decision } from "./decide.js";
import { dot } from "./marks.js";
import { Timeline, thinned } from "./timeline.js";
import { Transcript, margin } from "./transcript.js";
import { capital, changes, markOf, reasons, sentences } from "./words.js";

const SETTLE_MS = 140;
const EVIDENCE = 2;
const IS_NEWEST = new Set(["latest", "live"]);

/** Return the page of one conversation, at a moment: of an incident, of a version, or now. */
export async function conversation(app, place, signal) {
    const path = `sessions/${encodeURIComponent(place.session)}`;
    const [life, about] = await Promise.all([
        app.api.get(`${path}/timeline`, { points: 600 }, signal),
        app.api.get(path, {}, signal),
    ]);
    if (app.canAct === undefined) app.status(await app.api.get("status", {}, signal));
    const machine = new Machine(app, place, life, about, signal);
    // What can be seen decides how much of the transcript is asked for: it is filled when it is there.
    requestAnimationFrame(() => machine.start());
    return machine.element;
}

class Machine {
    constructor(app, place, life, about, signal) {
        Object.assign(this, { app, place, life, about, signal, diffs: new Map() });
        this.events = new Map([...about.events, ...life.events].filter((one) => one.id).map((one) => [one.id, one]));
        this.moments = momentsOf(life, about, this.events);
        this.timeline = new Timeline({ select: (index) => this.passing(index), settle: (index) => this.settle(index) });
        this.transcript = new Transcript(app, place.session, signal);
        this.said = h("div", { class: "moment" });
        this.result = h("div", { "aria-live": "polite" });
        const { title, state } = life;
        this.element = h(
            "div",
            { class: "machine-room" },
            h(
                "div",
                { class: "top" },
                button("\u2039 Back", () => app.back(), { class: "plain" }),
                h("h1", {}, titled(title)),
                app.home.openChat &&
                    about.is_live &&
                    button("Open in the chat", () => app.home.openChat(place.session)),
            ),
            state === "unreadable" &&
                h(
                    "p",
                    { class: "strip" },
                    "The file of this conversation cannot be read. What is kept of it is shown here.",
                ),
            h("div", { class: "machine" }, this.timeline.element, this.said, this.result),
            this.transcript.key,
            this.transcript.element,
        );
        signal.addEventListener("abort", () => this.timeline.observer.disconnect());
    }

    start() {
        if (!this.moments.length) {
            fill(this.said, h("p", {}, "Nothing is known of the past of this conversation."));
            this.transcript.show({ version: this.about.newest, upto: this.life.message_count });
            return;
        }
        this.timeline.show(this.moments, this.startAt());
        this.settle(this.timeline.index, 0);
    }

    startAt() {
        const { incident, version, message } = this.place;
        const find = (test) => this.moments.findIndex(test);
        const marked = incident ? find((one) => one.incident === incident && one.mark) : -1;
        if (marked >= 0) return marked;
        if (version && !IS_NEWEST.has(version)) {
            const held = find((one) => one.version === version && one.upto >= (message ?? 0));
            if (held >= 0) return held;
        }
        return this.moments.length - 1;
    }

    /** While one moves: what happened, at once; the transcript when one rests. */
    passing(index) {
        fill(this.result);
        fill(this.said, this.sentence(this.moments[index], null));
        clearTimeout(this.rest);
        this.rest = setTimeout(() => this.settle(index), SETTLE_MS);
    }

    settle(index, wait = 0) {
        clearTimeout(this.rest);
        this.rest = setTimeout(() => void this.arrive(index), wait);
    }

    async arrive(index) {
        if (this.signal.aborted) return;
        this.stop?.abort();
        this.stop = new AbortController();
        const signal = AbortSignal.any([this.signal, this.stop.signal]);
        const here = this.moments[index];
        const acts = this.acts(here);
        const preview = h("div", { class: "preview" });
        fill(this.said, this.sentence(here, acts), preview);
        await Promise.all([this.margins(index, signal), acts.first && this.preview(acts, preview, signal)]);
    }

    /** What can be done at a moment: the act that shows its preview at once, and others that are asked about. */
    acts(here) {
        const event = this.events.get(here.incident);
        if (event?.sides.length > 1 && !event.resolved_by) return { event, first: null, others: [], isDecision: true };
        const others = event ? event.acts.filter((act) => act.act !== "restore") : [];
        const own = event?.acts.find((act) => act.act === "restore") ?? null;
        const session = this.place.session;
        const isPast = here.version && !IS_NEWEST.has(here.version) && here.upto > 0;
        let first = isPast ? { act: "restore", session, version: here.version } : own;
        // At the moment of a loss, the version from before it is meant, not the emptied one.
        if (here.before && here.mark && here.mark !== "repair")
            first =
                here.before.version && !IS_NEWEST.has(here.before.version)
                    ? { act: "restore", session, version: here.before.version }
                    : own;
        if (here.isNow) first = own;
        return { event, first, others };
    }

    sentence(here, acts) {
        const event = this.events.get(here.incident);
        const when = here.isNow ? "Now" : exactTime(here.time);
        const lines = event && here.mark ? sentences(event) : [here.text];
        const why = event && here.mark ? reasons(event) : [];
        const meaning = event?.meaning ?? "";
        return [
            h(
                "div",
                {},
                h(
                    "p",
                    {},
                    here.mark && dot(here.mark),
                    " ",
                    h("strong", {}, when),
                    h("span", { class: "meta" }, ` ${counted(here.count, "message")} `),
                    lines.filter(Boolean).join(" "),
                ),
                event?.error && h("p", {}, said(event.error)),
                why.length > 0 && whys(why, meaning),
            ),
            acts && h("div", { class: "acts" }, this.buttons(here, acts)),
        ];
    }

    buttons(here, acts) {
        if (acts.isDecision) return [button("Decide", () => this.decide(acts.event), { class: "main" })];
        const hinder = hindrance(this.app);
        const found = acts.others.map((act) =>
            button(nameOf(act), () => this.propose(act), { disabled: Boolean(hinder) }),
        );
        if (acts.first) {
            this.main = button(nameOf(acts.first), () => void this.perform(this.held ?? acts.first), {
                class: "main",
                disabled: true,
            });
            found.unshift(this.main);
        }
        if (hinder && found.length) found.push(h("span", { class: "meta" }, hinder));
        return found;
    }

    async preview(acts, place, signal) {
        this.held = null;
        if (hindrance(this.app)) return;
        try {
            const preview = await this.app.api.post("acts/preview", acts.first, signal);
            this.held = preview.act;
            const exact = { ...acts.first, replace: true };
            fill(
                place,
                h(
                    "p",
                    {},
                    changes(preview),
                    preview.action === "unchanged"
                        ? [" ", button("Make it exactly as it was then", () => this.propose(exact), { class: "link" })]
                        : null,
                ),
                listOf(preview),
            );
            if (preview.action === "unchanged") this.main.remove();
            else this.main.disabled = false;
        } catch (error) {
            if (isAborted(error)) return;
            fill(place, h("p", {}, visible(`${error.what ?? error}. ${error.remedy ?? ""}`)));
        }
    }

    perform(act) {
        return perform(this.app, act, this.result, { signal: this.signal, after: (result) => this.changed(result) });
    }

    propose(act) {
        const cancel = () => {
            fill(this.result);
            this.timeline.slider.focus();
        };
        return propose(this.app, act, this.result, {
            signal: this.signal,
            cancel,
            after: (result) => this.changed(result),
        });
    }

    decide(event) {
        fill(this.result, decision(this.app, event, this.signal));
        this.result.scrollIntoView({ block: "nearest" });
        this.result.querySelector("button")?.focus();
    }

    /** After an act the line has grown by it: come to its end, with what was said left standing. */
    async changed(result) {
        if (!result) return void this.app.reload();
        const path = `sessions/${encodeURIComponent(this.place.session)}`;
        try {
            const [life, about] = await Promise.all([
                this.app.api.get(`${path}/timeline`, { points: 600 }, this.signal),
                this.app.api.get(path, {}, this.signal),
            ]);
            Object.assign(this, { life, about });
            this.events = new Map(
                [...about.events, ...life.events].filter((one) => one.id).map((one) => [one.id, one]),
            );
            this.moments = momentsOf(life, about, this.events);
            this.diffs.clear();
            this.transcript.pages.clear();
            this.transcript.digests.clear();
            if (this.moments.length) {
                this.timeline.show(this.moments, this.moments.length - 1);
                await this.arrive(this.moments.length - 1);
            }
        } catch (error) {
            if (!isAborted(error)) void this.app.reload();
        }
    }

    /** Show the transcript of a moment: of a loss what went, of a repair what came back, else what is not there now. */
    async margins(index, signal) {
        const here = this.moments[index];
        const { before } = here;
        const isLoss = here.mark && here.mark !== "repair" && before && before.count > here.count;
        const shown = isLoss && before.version ? before : here;
        const at =
            this.place.message && shown.version === this.place.version && !this.hasCome ? this.place.message : null;
        this.hasCome = true;
        const plain = { version: shown.version, upto: shown.upto, at };
        let pair = null;
        if (isLoss && before.version && here.version)
            pair = {
                a: before,
                b: here,
                side: "a_marks",
                kinds: { gone: "gone", "cut short": "changed" },
                notes: { gone: "went in this moment", changed: "was cut short in this moment" },
            };
        else if (here.mark === "repair" && before?.version && here.version)
            pair = {
                a: before,
                b: here,
                side: "b_marks",
                kinds: { new: "back" },
                notes: { back: "came back in this moment" },
            };
        else if (here.version && !IS_NEWEST.has(here.version) && this.about.is_live)
            pair = {
                a: here,
                b: { version: "live", upto: Infinity },
                side: "a_marks",
                kinds: { gone: "gone", "cut short": "changed", changed: "changed" },
                notes: { gone: "is not there now", changed: "is different now" },
            };
        if (isLoss && before.version && here.upto === 0) {
            this.transcript.show({
                ...plain,
                marks: [[1, before.upto, "gone"]],
                notes: pair?.notes ?? { gone: "went in this moment" },
                at: at ?? before.upto,
            });
            return;
        }
        if (!pair || pair.a.version === pair.b.version) {
            const marks =
                pair && isLoss
                    ? [[here.upto + 1, before.upto, "gone"]]
                    : pair && here.mark === "repair"
                      ? [[before.upto + 1, here.upto, "back"]]
                      : [];
            this.transcript.show({ ...plain, marks, notes: pair?.notes ?? {}, at: at ?? marks[0]?.[0] ?? null });
            return;
        }
        const slow = setTimeout(() => !signal.aborted && this.transcript.wait(), 200);
        try {
            const diff = await this.diff(pair.a.version, pair.b.version, signal);
            const marks = margin(diff[pair.side], pair.kinds).filter(([first]) => first <= shown.upto);
            this.transcript.show({ ...plain, marks, notes: pair.notes, at: at ?? marks[0]?.[0] ?? null });
        } catch (error) {
            if (!isAborted(error)) this.transcript.show(plain);
        } finally {
            clearTimeout(slow);
        }
    }

    async diff(a, b, signal) {
        const key = `${a} ${b}`;
        if (!this.diffs.has(key))
            this.diffs.set(
                key,
                await this.app.api.get(
                    `sessions/${encodeURIComponent(this.place.session)}/diff`,
                    { a, b, limit: 1 },
                    signal,
                ),
            );
        return this.diffs.get(key);
    }
}

/** Two lines of why; more of it on demand. */
function whys(why, meaning) {
    const first = why.slice(0, EVIDENCE);
    const rest = [...why.slice(EVIDENCE), ...(meaning ? [`${capital(meaning)}.`] : [])];
    const line = (one) => h("li", {}, said(one));
    return h(
        "div",
        { class: "why" },
        h("ul", { class: "evidence" }, first.map(line)),
        rest.length > 0 && h("details", {}, h("summary", {}, "More"), h("ul", { class: "evidence" }, rest.map(line))),
    );
}

/** Return the moments of a life: the points of the line, each with its mark, its words and the moment before it. */
function momentsOf(life, about, events) {
    const moments = life.points.map((point) => {
        const event = events.get(point.incident);
        let mark = { loss: "loss", repair: "repair", intended: "yours", act: "yours" }[point.mark] ?? "";
        if (mark === "loss" && event && markOf(event) === "unsure") mark = "unsure";
        return {
            time: point.time,
            count: point.message_count,
            mark,
            version: point.version,
            upto: point.upto,
            incident: point.incident,
        };
    });
    const last = moments.at(-1);
    if (about.is_live && last) {
        const isAlike = last.count === life.message_count && IS_NEWEST.has(last.version) && !last.mark;
        if (isAlike) Object.assign(last, { isNow: true });
        else
            moments.push({
                time: new Date().toISOString(),
                count: life.message_count,
                mark: "",
                version: about.newest,
                upto: life.message_count,
                incident: null,
                isNow: true,
                isEnd: true,
            });
    }
    moments.forEach((one, index) => {
        one.before = moments[index - 1] ?? null;
        const event = events.get(one.incident);
        one.text = one.mark && event ? sentences(event).join(" ") : grown(one);
    });
    return thinned(moments.filter((one) => moment(one.time)));
}

function grown(one) {
    const more = one.before ? one.count - one.before.count : one.count;
    if (one.isNow) return "As it is now.";
    return more > 0 ? `${capital(counted(more, "message"))} more.` : "";
}
