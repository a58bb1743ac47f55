import { expect, it } from "vitest";

import type { Request } from "../api/types";
import { byChange, byDeadline, settled } from "./order";

const request = (id: string, deadline: string | null, revision = "1"): Request =>
  ({ id, deadline, revision }) as Request;
const ids = (requests: Request[]): string[] => requests.map(({ id }) => id);

it("puts what ends first first, and what has no deadline last", () => {
  const all = [
    request("c", null),
    request("b", "2027-01-01T00:00:02Z"),
    request("a", "2027-01-01T00:00:02Z"),
    request("d", "2027-01-01T00:00:01Z"),
    request("e", null),
  ];
  expect(ids(all.sort(byDeadline))).toEqual(["d", "a", "b", "c", "e"]);
});

it("puts what changed last first, beyond what numbers hold", () => {
  const all = [request("a", null, "9007199254740992"), request("b", null, "9007199254740993"), request("c", null, "9")];
  expect(ids(all.sort(byChange))).toEqual(["b", "a", "c"]);
});

it("moves nothing that somebody points at", () => {
  expect(settled(["b", "a"], ["c", "a", "b", "d"])).toEqual(["b", "a", "c", "d"]);
  expect(settled(["b", "a"], ["a"])).toEqual(["b", "a"]);
  expect(settled([], ["a"])).toEqual(["a"]);
});
