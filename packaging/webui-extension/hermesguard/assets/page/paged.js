// A list of any length. It is made of pages; each is asked for when it comes near the window and emptied, at its own
// height, when it is far away: 10,000 conversations or 5,000 messages cost no more than the few that are seen.

import { h } from "./dom.js";

const NEAR = "1200px 0px";
const MOST_KEPT = 60;
const END = 24;

export class Paged {
    /**
     * `load(offset, limit)` resolves to the items of a page, `row(item, index)` returns the element of one, and `failed(error, retry)`
     * what stands there when a page cannot be had. `root` is what scrolls.
     */
    constructor({ total, size, estimate, load, row, failed, root, label }) {
        Object.assign(this, { total, size, estimate, load, row, failed, root });
        this.data = new Map();
        this.element = h("div", { class: "paged", role: "list", "aria-label": label });
        this.pages = [];
        for (let offset = 0; offset < total; offset += size) {
            const page = h("div", { class: "page", role: "presentation" });
            page.style.minHeight = `${Math.min(size, total - offset) * estimate}px`;
            page.number = this.pages.length;
            this.pages.push(page);
        }
        this.element.append(...this.pages);
        this.observer = new IntersectionObserver((seen) => this.seen(seen), { root, rootMargin: NEAR });
        for (const page of this.pages) this.observer.observe(page);
    }

    seen(entries) {
        for (const { target, isIntersecting, boundingClientRect } of entries) {
            if (isIntersecting) void this.show(target);
            else if (target.isShown) {
                target.style.minHeight = `${Math.max(1, boundingClientRect.height)}px`;
                target.replaceChildren();
                target.isShown = false;
            }
        }
    }

    async show(page) {
        if (page.isShown || page.isAsked) return;
        page.isAsked = true;
        const offset = page.number * this.size;
        const limit = Math.min(this.size, this.total - offset);
        try {
            let items = this.data.get(page.number);
            if (!items) {
                items = await this.load(offset, limit);
                this.data.set(page.number, items);
                if (this.data.size > MOST_KEPT) this.data.delete(this.data.keys().next().value);
            }
            if (this.isClosed) return;
            page.replaceChildren(
                ...items.map((item, index) => {
                    const row = this.row(item, offset + index);
                    row.setAttribute("role", "listitem");
                    row.setAttribute("aria-setsize", String(this.total));
                    row.setAttribute("aria-posinset", String(offset + index + 1));
                    return row;
                }),
            );
            page.isShown = true;
            page.style.minHeight = "";
        } catch (error) {
            if (this.isClosed) return;
            const retry = () => void this.show(page);
            page.replaceChildren(h("div", { role: "listitem" }, this.failed(error, retry)));
        } finally {
            page.isAsked = false;
        }
    }

    /** Bring the row with this index into view: at the end of the window, or in its upper part. */
    async reveal(index, block = "upper") {
        const page = this.pages[Math.floor(index / this.size)];
        if (!page) return null;
        const { root } = this;
        root.scrollTop += page.getBoundingClientRect().top - root.getBoundingClientRect().top;
        await this.show(page);
        const row = page.children[index % this.size];
        if (!row || this.isClosed) return null;
        const [inner, outer] = [row.getBoundingClientRect(), root.getBoundingClientRect()];
        root.scrollTop +=
            block === "end" ? inner.bottom - outer.bottom + END : inner.top - outer.top - outer.height / 4;
        return row;
    }

    close() {
        this.isClosed = true;
        this.observer.disconnect();
    }
}
