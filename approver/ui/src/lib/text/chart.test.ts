import { expect, it } from "vitest";

import type { Bucket } from "../api/types";
import { bars, total } from "./chart";

const bucket = (of: Partial<Bucket>): Bucket => ({
  start: "2027-01-01T00:00:00Z", allowed: 0, held: 0, released: 0, denied: 0, other: 0, ...of,
});

it("fills the height with the greatest, from the bottom up", () => {
  const [first, second, third] = bars([bucket({ allowed: 10 }), bucket({ allowed: 5, denied: 5 }), bucket({})], 300, 100);
  expect(first?.parts).toEqual([{ kind: "allowed", y: 0, height: 100 }]);
  expect(second?.parts).toEqual([
    { kind: "allowed", y: 50, height: 50 },
    { kind: "denied", y: 0, height: 50 },
  ]);
  expect(second?.x).toBe(100);
  expect(third?.parts).toEqual([]);
});

it("lets one denial be seen among thousands, and never leaves the picture", () => {
  const [bar] = bars([bucket({ allowed: 100_000, denied: 1 })], 100, 100);
  const denied = bar?.parts.find(({ kind }) => kind === "denied");
  expect(denied?.height).toBeGreaterThanOrEqual(1.5);
  expect(denied?.y).toBeGreaterThanOrEqual(0);
  expect(total(bucket({ held: 2, other: 1 }))).toBe(3);
  expect(bars([], 100, 100)).toEqual([]);
});
