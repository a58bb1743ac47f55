import { expect, it } from "vitest";

import { List, type Page } from "./list.svelte";

/** Numbers from 0 on, two on a page. */
function numbers(count: () => number): (cursor: string | null) => Promise<Page<number>> {
  return async (cursor) => {
    const from = Number(cursor ?? "0");
    const to = Math.min(from + 2, count());
    const items = Array.from({ length: to - from }, (_, index) => from + index);
    return { items, next: to < count() ? String(to) : null };
  };
}

it("reads page by page, and as much anew as is shown", async () => {
  let count = 5;
  const list = new List(numbers(() => count));
  await list.refresh();
  expect(list.loaded).toBe(false);
  await list.load();
  await list.more();
  expect([list.items, list.next]).toEqual([[0, 1, 2, 3], "4"]);
  count = 9;
  await list.refresh();
  expect([list.items, list.next]).toEqual([[0, 1, 2, 3], "4"]);
  count = 3;
  await list.refresh();
  expect([list.items, list.next]).toEqual([[0, 1, 2], null]);
  count = 9;
  await list.load();
  expect(list.items).toEqual([0, 1]);
});

it("never shows the answer to an older question", async () => {
  const answers: ((page: Page<string>) => void)[] = [];
  const list = new List<string>(() => new Promise((answer) => answers.push(answer)));
  const [older, newer] = [list.load(), list.load()];
  answers[1]?.({ items: ["newer"], next: null });
  answers[0]?.({ items: ["older"], next: "x" });
  await Promise.all([older, newer]);
  expect([list.items, list.next, list.busy]).toEqual([["newer"], null, false]);
});

it("keeps what is shown when reading fails, and says why", async () => {
  let fail = false;
  const list = new List<string>(async () => {
    if (fail) throw new Error("odd");
    return { items: ["one"], next: null };
  });
  await list.load();
  fail = true;
  await list.refresh();
  expect([list.items, list.problem?.message, list.busy]).toEqual([["one"], "odd", false]);
});
