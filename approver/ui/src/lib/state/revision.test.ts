import { expect, it } from "vitest";

import { isNewer } from "./revision";

it("orders revisions beyond what numbers hold", () => {
  expect(isNewer("10", "9")).toBe(true);
  expect(isNewer("9007199254740993", "9007199254740992")).toBe(true);
  expect(isNewer("9", "9")).toBe(false);
  expect(isNewer("8", "9")).toBe(false);
});
