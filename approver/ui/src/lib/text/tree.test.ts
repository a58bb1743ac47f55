import { expect, it } from "vitest";

import type { SessionProcess } from "../api/types";
import { forest, type Node } from "./tree";

const process = (pid: number, parent: number | null, start = pid): SessionProcess => ({
  pid,
  start_time_ns: String(start),
  parent: parent === null ? null : { pid: parent, start_time_ns: String(parent) },
  executable: "",
  argv: [],
  argv_cut: false,
  uid: 0,
  first_seen: "2027-01-01T00:00:00Z",
  last_seen: "2027-01-01T00:00:00Z",
  ended: false,
});
const shape = (nodes: Node[]): unknown => nodes.map((node) => [node.process.pid, shape(node.children)]);

it("makes the tree, children in the order they began", () => {
  const all = [process(4, 2), process(3, 2), process(2, 1), process(1, null), process(9, 77)];
  expect(shape(forest(all))).toEqual([
    [1, [[2, [[3, []], [4, []]]]]],
    [9, []],
  ]);
});

it("tells processes apart that had the same number", () => {
  const reused = { ...process(2, null, 500), parent: { pid: 1, start_time_ns: "1" } };
  expect(shape(forest([process(1, null), process(2, 1), reused, process(3, 2)]))).toEqual([
    [1, [[2, [[3, []]]], [2, []]]],
  ]);
});

it("survives a host that claims a circle", () => {
  const all = [process(1, 2), process(2, 3), process(3, 1), process(4, 4)];
  const drawn = JSON.stringify(shape(forest(all)));
  for (const pid of [1, 2, 3, 4]) expect(drawn).toContain(`[${pid},`);
});
