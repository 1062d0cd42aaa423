// hermesguard in hermes-webui: a small shield with the state, a notice in the chat after a repair, and the panel with the page.
// Where the connection to hermesguard, or something of this release, is missing, there is no shield and no word.

(() => {
    "use strict";
    const ID = "hermesguard";
    if (document.getElementById("hermesguardShield")) return;
    const source = document.currentScript?.src ?? "";
    const cut = source.indexOf("/extensions/");
    if (cut < 0) return;
    const root = source.slice(0, cut + 1);
    const assets = source.slice(0, source.lastIndexOf("/") + 1);
    const sidecar = `${root}api/extensions/${ID}/sidecar/`;

    const POLL_MS = 5000;
    const REST_MS = 60_000;
    const RECENT_MS = 24 * 3_600_000;
    const MOST_REMEMBERED = 200;
    const SVG = "http://www.w3.org/2000/svg";
    const SIGNS = {
        well: "M8.2 12.2l2.7 2.7 5-5.4",
        decide: "M9.6 9.6a2.4 2.4 0 1 1 3.4 2.2c-.7.3-1 .8-1 1.6M12 16.4v.1",
        trouble: "M9 9l6 6M15 9l-6 6",
    };
    const LABELS = {
        well: "hermesguard: all is well",
        decide: "hermesguard: a conversation needs you",
        trouble: "hermesguard: something is wrong",
        consent: "hermesguard: one click is left",
        auth: "hermesguard: needs a password for hermes-webui",
    };

    const number = new Intl.NumberFormat("en");
    const loadedAt = Date.now();
    const handle = window.hermesExt?.register?.(ID) ?? null;
    let state = "";
    let app = null;
    let dialog = null;
    let lastAsked = 0;
    let failures = 0;
    let isAsking = false;
    let awaited = null;

    function element(tag, attributes = {}, ...children) {
        const made = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes)) {
            if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
            else made.setAttribute(name, value);
        }
        made.append(...children);
        return made;
    }

    function icon(sign, size) {
        const drawing = document.createElementNS(SVG, "svg");
        for (const [name, value] of Object.entries({
            viewBox: "0 0 24 24",
            width: size,
            height: size,
            "aria-hidden": "true",
            class: "hermesguard-icon",
        }))
            drawing.setAttribute(name, value);
        for (const d of ["M12 2.6l7.6 2.9v5.6c0 4.9-3.2 8.6-7.6 10.3-4.4-1.7-7.6-5.4-7.6-10.3V5.5z", sign]) {
            const path = document.createElementNS(SVG, "path");
            path.setAttribute("d", d);
            drawing.append(path);
        }
        return drawing;
    }

    // What is remembered in this browser: which repairs were told, and since when there is something to tell.

    const memory = { read: () => ({}), write: () => {} };
    if (handle?.storage?.get && handle.storage.set) {
        memory.read = () => handle.storage.get("told") ?? {};
        memory.write = (told) => handle.storage.set("told", told);
    } else {
        let kept = {};
        memory.read = () => kept;
        memory.write = (told) => (kept = told);
    }

    function isTold(incident) {
        return Boolean(memory.read().incidents?.includes(incident));
    }

    function tell(incident) {
        const told = memory.read();
        memory.write({ ...told, incidents: [...(told.incidents ?? []), incident].slice(-MOST_REMEMBERED) });
    }

    function since() {
        const told = memory.read();
        if (told.since) return told.since;
        memory.write({ ...told, since: loadedAt });
        return loadedAt;
    }

    function wantsNotices() {
        return handle?.settings?.get?.("notices") !== false;
    }

    // The application: what is open, and its own way of loading it again.

    function open() {
        const session = typeof S === "object" && S ? S.session : null;
        return session?.session_id ? { session: session.session_id, title: session.title ?? "" } : null;
    }

    function isBusy() {
        return typeof S === "object" && Boolean(S?.busy || S?.activeStreamId);
    }

    function shown() {
        return typeof S === "object" && S?.session ? Number(S.session.message_count) || 0 : null;
    }

    async function load(session, isAgain) {
        if (typeof loadSession !== "function") return false;
        await loadSession(session, isAgain ? { force: true, keepStaleUntilLoaded: true } : {});
        if (typeof renderSessionList === "function") void renderSessionList();
        return true;
    }

    async function openChat(session) {
        close();
        if (typeof switchPanel === "function") await switchPanel("chat");
        await load(session, open()?.session === session);
    }

    function openSettings() {
        close();
        if (typeof switchPanel !== "function") return;
        if (typeof switchSettingsSection === "function") switchSettingsSection("extensions");
        void switchPanel("settings");
    }

    // The connection.

    async function ask(path) {
        const response = await fetch(path, {
            credentials: "same-origin",
            cache: "no-store",
            signal: AbortSignal.timeout(12_000),
        });
        if (!response.ok) throw new Error(String(response.status));
        return response.json();
    }

    /** Return how the application stands to the sidecar: none, auth, consent or ready. */
    async function standing() {
        const status = await ask(`${root}api/extensions/status`);
        const proxy = status.sidecars?.find?.((one) => one.id === ID)?.proxy;
        // A release without tokens would let the page talk to a sidecar that refuses it.
        if (!proxy?.available || proxy.proxy_auth !== "token-v1") return "none";
        if (proxy.posture === "local_unprotected") return "auth";
        return proxy.consented ? "ready" : "consent";
    }

    /** What the page shows where an error comes from the application between it and hermesguard. */
    async function explain(error) {
        if (!["between", "offline", "wrong_token", "no_token"].includes(error.code) || !navigator.onLine) return null;
        const now = await standing().catch(() => null);
        const settings = { label: "Open the settings", run: openSettings };
        if (now === "auth")
            return {
                heading: "hermes-webui has no password",
                sign: "asks",
                lines: [
                    "hermesguard shows conversations only where a password protects them. Set one in Settings, then approve hermesguard in Settings, Extensions.",
                ],
                act: settings,
            };
        if (now === "consent")
            return {
                heading: "One click is left",
                sign: "asks",
                lines: [
                    "In Settings, Extensions, approve the connection of hermesguard (\u201cproxy\u201d). Until then hermes-webui shows nothing of it here. Your conversations are guarded all the same.",
                ],
                act: settings,
            };
        if (now === "none")
            return {
                heading: "hermes-webui does not offer the connection",
                lines: ["The extension is switched off, or was put there twice. See Settings, Extensions."],
                act: settings,
            };
        if (error.status === 502)
            return {
                heading: "The page of hermesguard does not answer",
                lines: [
                    "Your conversations may be guarded all the same. On the machine of hermes-webui, this says how it stands, and what to do:",
                    ["type", "hermesguard status"],
                ],
            };
        return null;
    }

    // The shield.

    const shield = element("button", {
        type: "button",
        id: "hermesguardShield",
        class: "hermesguard-shield",
        onclick: () => void show("now"),
    });

    function paint(next) {
        if (next === state && shield.isConnected) return;
        state = next;
        if (next === "none") return void shield.remove();
        const sign = SIGNS[next] ?? SIGNS.trouble;
        shield.className = `hermesguard-shield ${next}`;
        shield.title = LABELS[next];
        shield.setAttribute("aria-label", LABELS[next]);
        shield.replaceChildren(icon(sign, 18));
        if (shield.isConnected) return;
        const bar = document.querySelector(".app-titlebar");
        if (bar) bar.append(shield);
        else document.body.append(shield);
    }

    // The panel.

    function close() {
        dialog?.close();
    }

    async function show(name, place = {}) {
        if (!dialog) {
            const host = element("div", { class: "hermesguard-page" });
            dialog = element(
                "dialog",
                { id: "hermesguardPanel", class: "hermesguard-panel", "aria-label": "hermesguard", onclose: ended },
                host,
            );
            document.body.append(dialog);
            host.attachShadow({ mode: "open" });
        }
        if (!dialog.open) dialog.showModal();
        const host = dialog.firstElementChild;
        host.style.colorScheme = document.documentElement.classList.contains("dark") ? "dark" : "light";
        try {
            if (!app) {
                const [{ App }, { Api }] = await Promise.all([
                    import(`${assets}page/app.js`),
                    import(`${assets}page/api.js`),
                ]);
                const style = element("link", { rel: "stylesheet", href: `${assets}page/page.css` });
                const ready = new Promise((go) => style.addEventListener("load", go, { once: true }));
                host.shadowRoot.append(style);
                await ready;
                app = new App(host.shadowRoot, {
                    api: new Api(sidecar),
                    close,
                    chat: open,
                    openChat,
                    explain,
                    changed: (session) => void renew(session),
                    told: (status) => paint(status.state),
                });
            }
            if (dialog.open) await app.go(name, place);
        } catch (error) {
            console.warn("hermesguard: the panel cannot be shown", error);
            close();
        }
    }

    function ended() {
        app?.destroy();
        app = null;
        dialog.firstElementChild.shadowRoot.replaceChildren();
        shield.focus();
    }

    /** After an act in the panel: the open chat shows what there is now. */
    async function renew(session) {
        if (open()?.session === session && !isBusy()) await load(session, true);
        else if (typeof renderSessionList === "function") void renderSessionList();
    }

    // The notice.

    function notice(text, incident, session) {
        document.getElementById("hermesguardNotice")?.remove();
        const away = () => made.remove();
        const made = element(
            "div",
            { id: "hermesguardNotice", class: "hermesguard-notice", role: "status" },
            icon("M12 16.2V8.4M8.6 11.6L12 8.2l3.4 3.4", 20),
            element("span", {}, text),
            element(
                "button",
                {
                    type: "button",
                    onclick: () => {
                        away();
                        void show("conversation", { session, incident });
                    },
                },
                "Show",
            ),
            element("button", { type: "button", class: "away", "aria-label": "Dismiss", onclick: away }, "\u2715"),
        );
        const composer = document.getElementById("composerWrap");
        if (composer) composer.before(made);
        else document.body.append(made);
    }

    /** A conversation that is open was repaired: show it whole, and say so. */
    async function repaired(session, repair) {
        if (isBusy()) {
            awaited = { session, repair };
            return;
        }
        awaited = null;
        const isNow = Date.parse(repair.time) > loadedAt;
        if (isNow || (repair.messages_after !== null && shown() < repair.messages_after))
            await load(session, true).catch(() => {});
        if (open()?.session !== session) return;
        tell(repair.incident);
        const count = repair.messages_back
            ? `${number.format(repair.messages_back)} ${repair.messages_back === 1 ? "message" : "messages"} of this conversation ${repair.messages_back === 1 ? "was" : "were"}`
            : "This conversation was";
        const when = isNow ? "just " : "";
        const isStale = repair.messages_after !== null && shown() !== null && shown() < repair.messages_after;
        // The server of some releases goes on with what it has in memory, and writes that over the file again.
        const advice = isStale
            ? ` hermes-webui still shows ${number.format(shown())}: restart it, and do not write here until then.`
            : "";
        notice(`${count} ${when}brought back.${advice}`, repair.incident, session);
    }

    async function pulse() {
        if (isAsking || document.visibilityState !== "visible") return;
        if (failures > 3 && Date.now() - lastAsked < REST_MS) return;
        isAsking = true;
        lastAsked = Date.now();
        try {
            const chat = open();
            const answer = await ask(
                `${sidecar}api/v1/pulse${chat ? `?session=${encodeURIComponent(chat.session)}` : ""}`,
            );
            failures = 0;
            paint(answer.state);
            const repair = answer.session?.repair;
            if (!repair || repair.resolved_by || open()?.session !== chat?.session) return;
            // Where it is not sure and has left things as they are, the shield says so.
            if (repair.what === "not_sure" && !repair.messages_back) return;
            const time = Date.parse(repair.time);
            if (!wantsNotices() || isTold(repair.incident) || time < since() || time < Date.now() - RECENT_MS) return;
            await repaired(chat.session, repair);
        } catch {
            failures += 1;
            if (failures === 2 || failures % 10 === 0) {
                const now = await standing().catch(() => state);
                if (now !== "ready") paint(now);
                else paint("trouble");
            }
        } finally {
            isAsking = false;
        }
    }

    async function begin() {
        const now = await standing().catch(() => "none");
        if (now === "none") return;
        since();
        if (now === "ready") await pulse();
        else paint(now);
        setInterval(() => void pulse(), POLL_MS);
        document.addEventListener("visibilitychange", () => void pulse());
        for (const kind of ["turn:complete", "turn:error", "turn:cancel"])
            handle?.events?.on?.(kind, () => {
                if (awaited && !isBusy() && open()?.session === awaited.session)
                    void repaired(awaited.session, awaited.repair);
                else void pulse();
            });
    }

    void begin();
})();
