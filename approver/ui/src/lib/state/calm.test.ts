import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { calm } from "./calm";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("acts at once, then seldom, and never forgets the last time", () => {
  const act = vi.fn();
  const ask = calm(act, 1_000);
  ask();
  expect(act).toHaveBeenCalledTimes(1);
  for (let time = 0; time < 25; time += 1) {
    ask();
    vi.advanceTimersByTime(100);
  }
  expect(act).toHaveBeenCalledTimes(3);
  vi.advanceTimersByTime(1_000);
  expect(act).toHaveBeenCalledTimes(4);
  vi.advanceTimersByTime(10_000);
  expect(act).toHaveBeenCalledTimes(4);
  ask();
  expect(act).toHaveBeenCalledTimes(5);
});
