import { expect, it } from "vitest";

import { leaves, requestOf, summary, tagOf } from "./record";

const RECORD = {
  time: 1_800_000_000_000,
  message: "exec of /usr/bin/curl denied",
  class_name: "Process Activity",
  device: { hostname: "build-7" },
  actor: { process: { pid: 12, ancestry: [{ pid: 3 }, { pid: 1 }] } },
  unmapped: { kind: "exec", outcome: "denied", request_id: "r-1" },
  nothing: null,
};

it("says what a row shows", () => {
  expect(summary(RECORD)).toEqual({
    time: 1_800_000_000_000,
    message: "exec of /usr/bin/curl denied",
    kind: "exec",
    outcome: "denied",
    hostname: "build-7",
  });
  expect(requestOf(RECORD)).toBe("r-1");
});

it("is content with whatever is there", () => {
  expect(summary({ class_name: "Authentication", device: "odd", unmapped: [] })).toMatchObject({
    message: "Authentication",
    kind: "Authentication",
    outcome: "",
    hostname: "",
  });
  expect(summary({ unmapped: { __proto__: { kind: "inherited" } } }).kind).toBe("");
  expect(requestOf({})).toBe("");
  expect(tagOf("constructor")).toBe("");
  expect(tagOf("denied")).toBe("bad");
});

it("lists every leaf with its path", () => {
  expect(leaves(RECORD)).toContainEqual({ path: "actor.process.ancestry[1].pid", value: "1" });
  expect(leaves(RECORD)).toContainEqual({ path: "nothing", value: "null" });
  expect(leaves({ a: {}, b: [] })).toEqual([]);
});
