// Times, durations and names in words. Pure.

import type { Bytes, Connect, Operation, Scope, State, Verdict } from "../api/types";
import { text } from "./reveal";

/** `4:09`, `1:02:09`, `3 d 4 h`; never negative. */
export function countdown(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  const two = (value: number): string => String(value).padStart(2, "0");
  const rest = two(seconds % 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** `45 seconds`, `5 minutes`, `2 hours`: exact, in the largest unit that is. */
export function duration(seconds: number): string {
  const units = [["day", 86_400], ["hour", 3_600], ["minute", 60]] as const;
  for (const [name, size] of units) {
    if (seconds >= size && seconds % size === 0) return counted(seconds / size, name);
  }
  if (seconds > 60) return `${counted(Math.floor(seconds / 60), "minute")} ${counted(seconds % 60, "second")}`;
  return counted(seconds, "second");
}

/** `1 host`, `2 hosts`. */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** `1 234 567` with thin spaces a screen reader reads as one number. */
export function grouped(value: number | string): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `just now`, `5 min ago`, `3 d ago`. */
export function ago(then: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - then) / 1_000));
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

const LOCAL = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const LOCAL_TIME = new Intl.DateTimeFormat("sv-SE", { timeStyle: "medium" });

/** `2027-01-15 08:04:12` in the time zone of whoever looks; the time alone on the day `today`. */
export function localTime(at: number, today: string): string {
  const date = new Date(at);
  return (date.toDateString() === today ? LOCAL_TIME : LOCAL).format(date);
}

/** `2027-01-15 08:04:12 UTC`. */
export function utc(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** The last part of a path. */
export function baseName(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name === "" ? path : name;
}

/**
 * `192.0.2.1:443`, `[fe80::1%2]:443`, `/run/docker.sock`, `@name`. The last two are raw
 * characters: reveal them before they are shown.
 */
export function destination({ address, port, scope_id, local }: Connect): string {
  if (local) return text(local.name).replace(/^\0/, "@") || "socket without a name";
  if (address === null) return `unknown address, port ${port}`;
  const scoped = scope_id ? `${address}%${scope_id}` : address;
  return scoped.includes(":") ? `[${scoped}]:${port}` : `${scoped}:${port}`;
}

export function protocol({ protocol_name, protocol: number, local }: Connect): string {
  if (local) return "local socket";
  return protocol_name?.toUpperCase() ?? `protocol ${number}`;
}

/** An operation in a few raw characters, for titles: reveal it before it is shown. */
export function headline(operation: Operation | null): string {
  if (operation?.exec) return baseName(text(operation.exec.path));
  if (operation?.connect) return destination(operation.connect);
  return "unknown operation";
}

/** Words of an exec after its name, for one line: at most `max` units in all. */
export function tail(argv: readonly Bytes[], max: number): { words: string[]; more: number } {
  const words: string[] = [];
  let left = max;
  for (const argument of argv.slice(1)) {
    if (left <= 0 || words.length >= 24) break;
    // Base64 is longer than its bytes, so this never decodes too little.
    const word = typeof argument === "string" ? argument : text({ base64: argument.base64.slice(0, 4 * max) });
    words.push(word);
    left -= word.length + 1;
  }
  return { words, more: Math.max(0, argv.length - 1 - words.length) };
}

export const STATE_NAME: Record<State, string> = {
  pending: "Pending",
  approved: "Approved",
  denied: "Denied",
  flagged: "Flagged",
  expired: "Expired",
  withdrawn: "Withdrawn",
};

export const VERDICT_DONE: Record<Verdict, string> = { approve: "approved", deny: "denied", flag: "flagged" };
export const SCOPE_NAME: Record<Scope | "once", string> = {
  once: "Once",
  process: "This process",
  session: "This session",
};

/** The beginning of a hash or id, for a glance; never for comparing. */
export function short(hash: string): string {
  return hash.slice(0, 12);
}
