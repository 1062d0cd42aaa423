// The frame of the page: the bar, one view at a time, the way back, and what is always known of the guard.

import { isAborted } from "./api.js";
import { button, fill, h, shield } from "./dom.js";
import { edge } from "./edges.js";
import { now } from "./now.js";
import { conversations } from "./conversations.js";
import { conversation } from "./conversation.js";
import { found } from "./found.js";
import { search } from "./search.js";

const VIEWS = { now, conversations, conversation, found, search };
const TABS = { now: "Now", conversations: "Conversations", found: "Lost and found" };
const SHIELDS = { well: "well", decide: "asks", trouble: "off" };
const REFRESH_MS = 10_000;

/**
 * Put the page into a shadow root.
 *
 * `home` tells where it lives: `api`; `close()` where it can be closed; `openChat(session)` where there is a chat beside it;
 * `changed(session)` is told when a conversation was changed by an act; `places` (of `remember` and `recall`) is the way back.
 */
export class App {
    constructor(root, home) {
        this.home = home;
        this.api = home.api;
        this.trail = [];
        this.badge = h("span", { class: "badge" }, shield("well"));
        this.tabs = Object.fromEntries(
            Object.entries(TABS).map(([name, label]) => [name, button(label, () => this.go(name))]),
        );
        this.words = h("input", {
            type: "search",
            name: "words",
            placeholder: "Search titles and messages",
            "aria-label": "Search titles and messages",
            autocomplete: "off",
            maxlength: 200,
        });
        const form = h("form", { role: "search", onsubmit: (event) => this.sought(event) }, this.words);
        this.bar = h(
            "header",
            { class: "bar" },
            h("span", { class: "name" }, this.badge, "hermesguard"),
            h("nav", { "aria-label": "hermesguard" }, Object.values(this.tabs)),
            form,
            home.close &&
                button("\u2715", () => home.close(), { class: "plain close", "aria-label": "Close hermesguard" }),
        );
        this.strip = h("div", { class: "strip", role: "status", hidden: true });
        this.view = h("main", { class: "view", tabindex: "-1" });
        this.voice = h("div", { class: "reader-only", role: "status", "aria-live": "polite" });
        root.append(this.bar, this.strip, this.view, this.voice);
        this.timer = setInterval(() => void this.refresh(), REFRESH_MS);
        this.seen = () => document.visibilityState === "visible" && void this.refresh();
        document.addEventListener("visibilitychange", this.seen);
        window.addEventListener("online", this.seen);
        window.addEventListener("offline", this.seen);
    }

    /** End everything that goes on by itself. */
    destroy() {
        clearInterval(this.timer);
        document.removeEventListener("visibilitychange", this.seen);
        window.removeEventListener("online", this.seen);
        window.removeEventListener("offline", this.seen);
        this.leave?.abort();
    }

    /** Show a view. `isBack` goes there without making a new step of the way back. */
    async go(name, place = {}, { isBack = false } = {}) {
        if (!VIEWS[name]) [name, place] = ["now", {}];
        this.leave?.abort();
        this.leave = new AbortController();
        const { signal } = this.leave;
        if (this.at && !isBack) this.trail.push(this.at);
        this.at = { name, place };
        if (!isBack) this.home.remember?.(this.at);
        for (const [tab, control] of Object.entries(this.tabs)) {
            if (tab === name) control.setAttribute("aria-current", "page");
            else control.removeAttribute("aria-current");
        }
        if (name !== "search") this.words.value = "";
        const wait = h("p", { class: "wait", role: "status" }, "One moment \u2026");
        // What comes at once needs no word of waiting.
        const soon = setTimeout(() => !signal.aborted && fill(this.view, wait), 250);
        try {
            const made = await VIEWS[name](this, place, signal);
            if (signal.aborted) return;
            this.view.className = `view ${name}`;
            fill(this.view, made);
            this.view.scrollTop = 0;
            this.focus();
            this.problem = null;
        } catch (error) {
            if (signal.aborted || isAborted(error)) return;
            await this.broken(error);
        } finally {
            clearTimeout(soon);
        }
    }

    /** Show why a view cannot be shown, and what to do next. */
    async broken(error) {
        const { signal } = this.leave;
        const shown = await edge(this, error, () => void this.go(this.at.name, this.at.place, { isBack: true }));
        if (signal.aborted) return;
        this.view.className = "view";
        this.problem = error;
        fill(this.badge, shield("off"));
        fill(this.view, shown);
        this.focus();
    }

    focus() {
        const heading = this.view.querySelector("h1") ?? this.view;
        heading.tabIndex = -1;
        if (this.isQuiet) this.isQuiet = false;
        else heading.focus({ preventScroll: true });
    }

    /** Go back one step; to the first page when there is none. */
    back() {
        const { name, place } = this.trail.pop() ?? { name: "now", place: {} };
        this.home.remember?.({ name, place });
        void this.go(name, place, { isBack: true });
    }

    reload() {
        return this.go(this.at.name, this.at.place, { isBack: true });
    }

    sought(event) {
        event.preventDefault();
        const words = this.words.value.trim();
        if (words) void this.go("search", { words });
        else this.words.focus();
    }

    /** Say something to whoever listens instead of looking. */
    say(text) {
        this.voice.textContent = "";
        requestAnimationFrame(() => (this.voice.textContent = text));
    }

    /** A status was had from somewhere: the badge and the strip follow. */
    status(status) {
        this.last = status;
        this.canAct = status.page.can_act;
        fill(this.badge, shield(SHIELDS[status.state] ?? "off"));
        this.home.told?.(status);
        if (!status.running && this.at?.name !== "now") {
            fill(
                this.strip,
                h("span", {}, "hermesguard does not run: nothing new is guarded, and nothing can be brought back now."),
                button("What to do", () => this.go("now"), { class: "link" }),
            );
            this.strip.hidden = false;
        } else this.strip.hidden = true;
    }

    /** Ask how things are; the first page shows it, and a page that could not be shown is tried again. */
    async refresh() {
        if (document.visibilityState !== "visible" || !this.at) return;
        try {
            const pulse = await this.api.get("pulse");
            fill(this.badge, shield(SHIELDS[pulse.state] ?? "off"));
            if (this.problem) return void this.reload();
            this.lost = 0;
            const isNews = this.newest !== undefined && (pulse.newest !== this.newest || pulse.state !== this.pulse);
            this.newest = pulse.newest;
            this.pulse = pulse.state;
            if (isNews) this.home.news?.(pulse);
            await this.renew?.(isNews);
        } catch (error) {
            if (isAborted(error) || this.problem) return;
            // Once is nothing; a second time in a row is said.
            this.lost = (this.lost ?? 0) + 1;
            fill(this.badge, shield("off"));
            if (this.lost < 2) return;
            fill(
                this.strip,
                h("span", {}, `${error.what ?? "hermesguard cannot be reached"}: what stands here may be old.`),
                button("Try again", () => this.reload(), { class: "link" }),
            );
            this.strip.hidden = false;
        }
    }
}
