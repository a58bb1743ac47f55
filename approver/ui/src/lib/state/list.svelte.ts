// A list that is read page by page. It owns what is loaded, and must never show
// the answer to an older question.

import { untrack } from "svelte";

import { asProblem, type Problem } from "../api/problem";

/** Pages that are read anew at a time; whoever has loaded more loads the rest again. */
const ANEW = 10;

export interface Page<T> {
  items: T[];
  next: string | null;
}

export class List<T> {
  items = $state.raw<T[]>([]);
  next = $state<string | null>(null);
  busy = $state(false);
  /** Something was read. */
  loaded = $state(false);
  problem = $state<Problem | null>(null);
  #read: (cursor: string | null) => Promise<Page<T>>;
  #asked = 0;

  constructor(read: (cursor: string | null) => Promise<Page<T>>) {
    this.#read = read;
  }

  /** From the beginning. What is shown stays until the answer is here. */
  async load(): Promise<void> {
    await this.#show(() => this.#read(null));
  }

  /** As much anew as is shown; nothing while nothing is. */
  async refresh(): Promise<void> {
    const shown = untrack(() => this.items.length);
    if (untrack(() => this.loaded)) await this.#show(() => this.#pages(shown));
  }

  async more(): Promise<void> {
    const { next, items } = this;
    if (next === null || this.busy) return;
    await this.#show(async () => {
      const page = await this.#read(next);
      return { items: [...items, ...page.items], next: page.next };
    });
  }

  async #pages(shown: number): Promise<Page<T>> {
    const all = await this.#read(null);
    for (let page = 1; page < ANEW && all.items.length < shown && all.next !== null; page += 1) {
      const { items, next } = await this.#read(all.next);
      all.items.push(...items);
      all.next = next;
    }
    return all;
  }

  async #show(read: () => Promise<Page<T>>): Promise<void> {
    this.#asked += 1;
    const asked = this.#asked;
    this.busy = true;
    try {
      const { items, next } = await read();
      if (asked !== this.#asked) return;
      this.items = items;
      this.next = next;
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      if (asked === this.#asked) this.problem = asProblem(error);
    } finally {
      if (asked === this.#asked) this.busy = false;
    }
  }
}
