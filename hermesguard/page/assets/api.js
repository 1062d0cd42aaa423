// What the page asks its server. Each failure becomes one kind of error with a code, a sentence and what to do next.

const LONGEST_MS = 12_000;
const POLL_MS = 500;
const VERSION = 1;

export class ApiError extends Error {
    constructor(code, what, remedy = "", status = 0) {
        super(what);
        Object.assign(this, { code, what, remedy, status });
    }
}

/** True of an error that only says that somebody else was faster. */
export const isAborted = (error) => error?.name === "AbortError";

export class Api {
    /** `base` ends with a slash and is where `api/v1/` lies; `headers` are sent with each request. */
    constructor(base, headers = {}) {
        this.base = base;
        this.headers = headers;
    }

    get(path, params = {}, signal = undefined) {
        const query = new URLSearchParams(
            Object.entries(params).filter(([, value]) => value !== undefined && value !== "" && value !== null),
        );
        const tail = query.size ? `?${query}` : "";
        return this.ask("GET", path + tail, undefined, signal);
    }

    post(path, body, signal = undefined) {
        return this.ask("POST", path, body, signal);
    }

    async ask(method, path, body, signal) {
        const limit = AbortSignal.timeout(LONGEST_MS);
        let response;
        let answer = null;
        try {
            response = await fetch(`${this.base}api/v${VERSION}/${path}`, {
                method,
                credentials: "same-origin",
                cache: "no-store",
                headers: {
                    ...this.headers,
                    Accept: "application/json",
                    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
                },
                body: body === undefined ? undefined : JSON.stringify(body),
                signal: signal ? AbortSignal.any([limit, signal]) : limit,
            });
            answer = await response.json();
        } catch (error) {
            if (signal?.aborted) throw new DOMException("Somebody else was faster", "AbortError");
            if (error?.name === "TimeoutError")
                throw new ApiError("slow", "hermesguard takes too long to answer", "Try again in a moment.");
            if (!response) throw new ApiError("offline", "hermesguard cannot be reached", "");
        }
        if (response.ok && answer && typeof answer === "object" && typeof answer.kind === "string") return answer;
        if (answer?.kind === "error") throw new ApiError(answer.code, answer.what, answer.remedy, response.status);
        // Not the page's server, but what stands before it.
        throw new ApiError(
            "between",
            String(answer?.error ?? `The answer makes no sense (${response.status})`),
            "",
            response.status,
        );
    }

    /** Return the result of a job, however long it takes; `progress` is told how far it is. */
    async result(job, { signal, progress } = {}) {
        let now = job;
        while (now.state === "running") {
            progress?.(now.progress);
            await new Promise((go) => setTimeout(go, POLL_MS));
            if (signal?.aborted) {
                void this.ask("DELETE", `jobs/${encodeURIComponent(job.job)}`).catch(() => {});
                throw new DOMException("Somebody else was faster", "AbortError");
            }
            now = await this.get(`jobs/${encodeURIComponent(job.job)}`, {}, signal);
        }
        if (now.state === "done") return now.result;
        if (now.state === "stopped") throw new DOMException("The search was stopped", "AbortError");
        throw new ApiError(
            now.error?.code ?? "internal",
            now.error?.what ?? "It could not be done",
            now.error?.remedy ?? "",
        );
    }

    /** Return the version of the API that the server speaks; null when it cannot be asked. */
    async spoken() {
        try {
            const response = await fetch(`${this.base}health`, {
                credentials: "same-origin",
                cache: "no-store",
                signal: AbortSignal.timeout(LONGEST_MS),
            });
            return (await response.json()).api ?? null;
        } catch {
            return null;
        }
    }
}

/** The version of the API that this page speaks. */
export const SPOKEN = VERSION;
