// Requests as they are now, and whether that is known. Deciding is possible only
// while it is: connected, and everything that changed meanwhile has been read.

import { SvelteMap } from "svelte/reactivity";

import * as calls from "../api/calls";
import { address, noteTime, problem as problemOf } from "../api/client";
import { Problem } from "../api/problem";
import { SseParser, type ServerEvent } from "../api/sse";
import type { Request } from "../api/types";
import { calm } from "./calm";
import { clock } from "./clock.svelte";
import { login } from "./login.svelte";
import { isNewer } from "./revision";

/** The approver says something every 15 seconds; more silence than this is none. */
const SILENCE = 40_000;
const BACKOFF = [500, 1_000, 2_000, 5_000, 10_000] as const;
/** How many requests that are over are kept for those who look at the queue. */
const KEPT = 100;
const PAGE = 50;

export type Link = "connecting" | "live" | "lost";

class Live {
  link = $state<Link>("connecting");
  /** Since when it is lost. */
  lostAt = $state<number | null>(null);
  /** What the approver said when it would not be followed. */
  refusal = $state<Problem | null>(null);
  /** What is pending, and what came to its end while the page was open. */
  requests = new SvelteMap<string, Request>();
  /** Grows when one of these has changed; pages read it to load anew. */
  hosts = $state(0);
  sessions = $state(0);
  grants = $state(0);
  flags = $state(0);
  /** Likewise, of all requests. */
  changes = $state(0);
  /** How often the state became complete. */
  resumed = $state(0);
  /** The newest arrival, for those who are told of it. */
  arrival = $state<{ request: Request; waiting: number } | null>(null);
  #stop: AbortController | undefined;
  #wake: (() => void) | undefined;
  #lastId: string | undefined;
  #attempt = 0;
  // A host that is flooded changes things faster than anybody can read.
  readonly #told = {
    host: calm(() => (this.hosts += 1)),
    session: calm(() => (this.sessions += 1)),
    grant: calm(() => (this.grants += 1)),
    flag: calm(() => (this.flags += 1)),
    request: calm(() => (this.changes += 1)),
  };

  constructor() {
    addEventListener("offline", () => this.#stop?.abort("offline"));
    addEventListener("online", () => this.#wake?.());
  }

  get pending(): Request[] {
    return [...this.requests.values()].filter(({ state }) => state === "pending");
  }

  /** Follows the approver until the returned function is called. */
  follow(): () => void {
    let over = false;
    this.link = "connecting";
    this.lostAt = null;
    this.refusal = null;
    this.requests.clear();
    this.#lastId = undefined;
    this.#attempt = 0;
    void (async () => {
      while (!over) {
        await this.#connect();
        if (over) break;
        this.#lose();
        await this.#pause();
      }
    })();
    return () => {
      over = true;
      this.#stop?.abort("over");
      this.#wake?.();
    };
  }

  /** Tries again at once. */
  retry(): void {
    this.#wake?.();
  }

  /**
   * What a call answered is as good as what the stream tells. Of the same
   * revision too: what the person may do is not of the request alone.
   */
  take(request: Request): void {
    const known = this.requests.get(request.id);
    if (known && isNewer(known.revision, request.revision)) return;
    this.requests.set(request.id, request);
    this.#told.request();
    if (!known && request.state === "pending" && this.link === "live") {
      this.arrival = { request, waiting: this.pending.length };
    }
    this.#forget();
  }

  #lose(): void {
    if (this.link !== "lost") this.lostAt = clock.now;
    this.link = "lost";
  }

  async #pause(): Promise<void> {
    const delay = BACKOFF[Math.min(this.#attempt, BACKOFF.length - 1)] ?? 10_000;
    this.#attempt += 1;
    await new Promise<void>((done) => {
      const timer = setTimeout(done, delay * (0.75 + Math.random() / 2));
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
    });
    this.#wake = undefined;
  }

  /** One connection, from its begin to its end. */
  async #connect(): Promise<void> {
    const stop = new AbortController();
    this.#stop = stop;
    let watchdog = setTimeout(() => stop.abort("silence"), SILENCE);
    const alive = (): void => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => stop.abort("silence"), SILENCE);
    };
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (this.#lastId !== undefined) headers["Last-Event-ID"] = this.#lastId;
      const response = await fetch(address("/stream"), {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        signal: stop.signal,
      });
      noteTime(response);
      if (!response.ok || !response.body) throw problemOf(response, await response.text());
      const parser = new SseParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        alive();
        for (const event of parser.push(value)) this.#event(event, stop);
      }
    } catch (error) {
      // Lost is lost, whatever the reason; a login that ended has been told of.
      if (error instanceof Problem) this.refusal = error;
      else if (!(error instanceof TypeError || stop.signal.aborted)) console.error(error);
    } finally {
      clearTimeout(watchdog);
      stop.abort("over");
    }
  }

  #event({ event, data, id }: ServerEvent, stop: AbortController): void {
    if (id !== undefined) this.#lastId = id;
    switch (event) {
      case "hello":
        void this.#complete(stop);
        break;
      case "request":
        this.take(JSON.parse(data) as Request);
        break;
      case "host":
      case "session":
      case "grant":
      case "flag":
        this.#told[event]();
        break;
      case "bye":
        stop.abort("bye");
        // The approver stops, or the login is over: this finds out, and also
        // who else has logged in meanwhile.
        void login.find();
        break;
    }
  }

  /** Reads all that is pending: with that and the stream, nothing is missing. */
  async #complete(stop: AbortController): Promise<void> {
    try {
      const seen = new Set<string>();
      let cursor: string | null = null;
      const before = this.pending;
      do {
        const page: { requests: Request[]; next: string | null } = await calls.requests(
          { state: "pending", limit: PAGE, cursor },
          stop.signal,
        );
        for (const request of page.requests) {
          seen.add(request.id);
          this.take(request);
        }
        cursor = page.next;
      } while (cursor !== null);
      // Over while nobody was listening.
      for (const { id } of before) {
        if (!seen.has(id) && this.requests.get(id)?.state === "pending") await this.#catchUp(id, stop.signal);
      }
      if (stop.signal.aborted) return;
      this.link = "live";
      this.lostAt = null;
      this.refusal = null;
      this.#attempt = 0;
      this.resumed += 1;
    } catch {
      stop.abort("incomplete");
    }
  }

  async #catchUp(id: string, signal: AbortSignal): Promise<void> {
    try {
      this.take(await calls.request(id, signal));
    } catch (error) {
      // An approver that was restored from a backup may not know it.
      if (!(error instanceof Problem && error.code === "not-found")) throw error;
      this.requests.delete(id);
    }
  }

  #forget(): void {
    const over = [...this.requests.values()].filter(({ state }) => state !== "pending");
    for (const { id } of over.slice(0, Math.max(0, over.length - KEPT))) this.requests.delete(id);
  }
}

export const live = new Live();
