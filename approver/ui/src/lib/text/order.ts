// The order of the queue. Pure.

import type { Request } from "../api/types";

/** What ends first comes first; of the same moment, what came first. */
export function byDeadline(a: Request, b: Request): number {
  const [left, right] = [time(a.deadline), time(b.deadline)];
  return (left === right ? 0 : left - right) || compare(a.id, b.id);
}

/** What changed last comes first. */
export function byChange(a: Request, b: Request): number {
  const [left, right] = [BigInt(a.revision), BigInt(b.revision)];
  return left === right ? 0 : left < right ? 1 : -1;
}

/**
 * The order while somebody points at the list: nothing moves, what is new comes
 * last. `before` is the order until now.
 */
export function settled(before: readonly string[], now: readonly string[]): string[] {
  const known = new Set(before);
  return [...before, ...now.filter((id) => !known.has(id))];
}

function time(at: string | null): number {
  const parsed = Date.parse(at ?? "");
  return Number.isNaN(parsed) ? Infinity : parsed;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
