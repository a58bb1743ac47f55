// Calls to the approver. It owns the CSRF token and the difference between the
// approver's clock and this machine's; it must never repeat an unsafe call by
// itself.

import { Problem } from "./problem";
import type { ProblemBody } from "./types";

export const BASE = "/api/v1";

type Query = Record<string, string | number | boolean | null | undefined>;

interface Hooks {
  /** The login is over. */
  loggedOut: () => void;
  /** Somebody else is logged in than this page believes, or as something else. */
  stale: () => void;
  /** The approver's time, as far as a response tells. */
  time: (server: number) => void;
}

let csrf = "";
let hooks: Hooks = { loggedOut: () => {}, stale: () => {}, time: () => {} };

export function setCsrf(token: string): void {
  csrf = token;
}

export function setHooks(next: Hooks): void {
  hooks = next;
}

export function address(path: string, query: Query = {}): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") words.set(name, String(value));
  }
  const tail = words.toString();
  return `${BASE}${path}${tail ? `?${tail}` : ""}`;
}

/** One segment of a path. */
export function segment(value: string): string {
  return encodeURIComponent(value);
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return call<T>("GET", address(path, query), undefined, {}, signal);
}

export async function post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
  return call<T>("POST", address(path), body, headers);
}

export async function patch<T>(path: string, body: unknown): Promise<T> {
  return call<T>("PATCH", address(path), body);
}

export async function remove(path: string): Promise<void> {
  await call<undefined>("DELETE", address(path));
}

async function call<T>(
  method: string,
  url: string,
  body?: unknown,
  extra: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json", ...extra };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
    text = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Problem.unreachable();
  }
  noteTime(response);
  if (!response.ok) throw problem(response, text);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

export function noteTime(response: Response): void {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) hooks.time(date);
}

/** The problem in a response; tells those who watch for the end of the login. */
export function problem(response: Response, text: string): Problem {
  let body: ProblemBody = {};
  try {
    body = JSON.parse(text) as ProblemBody;
  } catch {
    // A proxy in between says it in its own way; the status is what counts.
  }
  const found = new Problem(response.status, body, response.headers.get("X-Request-Id") ?? "");
  // Another tab has logged in anew, or an administrator has changed the role.
  if (found.code === "csrf" || found.code === "role") hooks.stale();
  if (response.status === 401 && found.code !== "bad-login") hooks.loggedOut();
  return found;
}
