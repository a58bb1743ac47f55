import { expect, it } from "vitest";

import type { DecisionBody, Rule } from "../api/types";
import { firstLife, grantOf, Keyring, lives, usesProblem } from "./decision";

const rule = (max_ttl_seconds: number | null, grants: Rule["grants"] = ["session"]): Rule => ({
  name: "r",
  justification: "",
  risk: null,
  grants,
  max_ttl_seconds,
  policy_sha256: null,
});

it("offers lives up to what the rule gives, and a short one first", () => {
  expect(lives(rule(1_000))).toEqual([60, 300, 900, 1_000]);
  expect(lives(rule(30))).toEqual([30]);
  expect(lives(rule(null))).toEqual([60, 300, 900, 1_800, 3_600]);
  expect(lives(rule(0))).toEqual([]);
  expect(lives(rule(1_000, []))).toEqual([]);
  expect(lives(null)).toEqual([]);
  expect(firstLife(rule(86_400))).toBe(900);
  expect(firstLife(rule(30))).toBe(30);
  expect(firstLife(rule(3_000))).toBe(900);
  expect(firstLife(null)).toBe(0);
});

it("takes a number of uses, or none", () => {
  for (const good of ["", " ", "1", " 20 ", "4294967295"]) expect(usesProblem(good)).toBeNull();
  for (const bad of ["0", "-1", "1.5", "many", "4294967296", "1e99"]) expect(usesProblem(bad)).not.toBeNull();
});

it("gives a grant only with an approval for more than once", () => {
  const wish = { scope: "session", ttl_seconds: 900, uses: " 3 " } as const;
  expect(grantOf("approve", wish)).toEqual({ scope: "session", ttl_seconds: 900, max_uses: 3 });
  expect(grantOf("approve", { ...wish, uses: "" })).toEqual({ scope: "session", ttl_seconds: 900, max_uses: null });
  expect(grantOf("approve", { ...wish, scope: "once" })).toBeNull();
  expect(grantOf("deny", wish)).toBeNull();
  expect(grantOf("flag", wish)).toBeNull();
});

it("has one key for one decision, and another for another", () => {
  const ring = new Keyring();
  const body: DecisionBody = { verdict: "approve", reason: "r", digest: "d" };
  const key = ring.of("1", body);
  expect(key).toMatch(/^[0-9a-f]{32}$/);
  expect(ring.of("1", { ...body })).toBe(key);
  for (const other of [ring.of("2", body), ring.of("1", { ...body, verdict: "deny" }), ring.of("1", body)]) {
    expect(other).not.toBe(key);
  }
});
