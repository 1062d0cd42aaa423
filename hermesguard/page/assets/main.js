// The page on its own: where its server is, and the way back in the address.

import { Api } from "./api.js";
import { App } from "./app.js";

const KEY = "hermesguard.key";

function toHash({ name, place }) {
    const query = new URLSearchParams(Object.entries(place).filter(([, value]) => value));
    return `#${name}${query.size ? `?${query}` : ""}`;
}

function fromHash(hash) {
    const [name, query = ""] = hash.replace(/^#/, "").split("?");
    const place = Object.fromEntries(new URLSearchParams(query));
    if (place.message) place.message = Number(place.message);
    return { name: name || "now", place };
}

const host = document.querySelector("hermesguard-page");
const root = host.attachShadow({ mode: "open" });
const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("page.css", import.meta.url).href;
const key = localStorage.getItem(KEY) ?? "";
const app = new App(root, {
    api: new Api(new URL("./", document.baseURI).href, { "X-Hermesguard-Page": key }),
    remember: (at) => {
        const hash = toHash(at);
        if (hash !== location.hash) history.pushState(null, "", hash);
    },
});
root.prepend(style);
window.addEventListener("popstate", () => {
    const { name, place } = fromHash(location.hash);
    app.trail.pop();
    void app.go(name, place, { isBack: true });
});
style.addEventListener("load", () => {
    const { name, place } = fromHash(location.hash);
    app.isQuiet = true;
    void app.go(name, place, { isBack: true });
});
