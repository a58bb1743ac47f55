// What is sent when a person decides. Pure, but for the random key.

import type { DecisionBody, Rule, Scope, Verdict, WishedGrant } from "../api/types";

/** What the form says. */
export interface Wish {
  scope: Scope | "once";
  ttl_seconds: number;
  /** As typed; empty: any number. */
  uses: string;
}

const DEFAULT_TTL = 15 * 60;
/** Longest life of a grant whose rule names none. */
const USUAL_MAX = 3_600;
const STEPS = [60, 300, 900, 1_800, 3_600, 4 * 3_600, 8 * 3_600, 86_400] as const;

/** Lives a grant may have under this rule, shortest first; none if it gives none. */
export function lives(rule: Rule | null): number[] {
  if (!rule || rule.grants.length === 0) return [];
  const longest = rule.max_ttl_seconds ?? USUAL_MAX;
  if (longest <= 0) return [];
  return [...STEPS.filter((step) => step < longest), longest];
}

/** The life that is offered first: short, whatever the rule gives. */
export function firstLife(rule: Rule | null): number {
  const all = lives(rule);
  return all.findLast((life) => life <= DEFAULT_TTL) ?? all[0] ?? 0;
}

/** What is wrong with the number of uses, if anything is. */
export function usesProblem(uses: string): string | null {
  if (uses.trim() === "") return null;
  const number = Number(uses);
  return Number.isInteger(number) && number >= 1 && number <= 4_294_967_295
    ? null
    : "Give a whole number from 1 on, or nothing for any number of uses.";
}

export function grantOf(verdict: Verdict, { scope, ttl_seconds, uses }: Wish): WishedGrant | null {
  if (verdict !== "approve" || scope === "once") return null;
  return { scope, ttl_seconds, max_uses: uses.trim() === "" ? null : Number(uses) };
}

/**
 * A key for one decision: the same for the same content, so that trying again
 * after a lost answer decides once; another for other content.
 */
export class Keyring {
  #content = "";
  #key = "";

  of(id: string, body: DecisionBody): string {
    const content = JSON.stringify([id, body]);
    if (content !== this.#content) {
      this.#content = content;
      const random = crypto.getRandomValues(new Uint8Array(16));
      this.#key = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    }
    return this.#key;
  }
}
