// A list that is read page by page. It owns what is loaded, and must never show
// the answer to an older question.

import { asProblem, type Problem } from "../api/problem";

export class List<T> {
  items = $state.raw<T[]>([]);
  next = $state<string | null>(null);
  busy = $state(false);
  /** Something was read. */
  loaded = $state(false);
  problem = $state<Problem | null>(null);
  #read: (cursor: string | null) => Promise<{ items: T[]; next: string | null }>;
  #asked = 0;

  constructor(read: (cursor: string | null) => Promise<{ items: T[]; next: string | null }>) {
    this.#read = read;
  }

  /** From the beginning. What is shown stays until the answer is here. */
  async load(): Promise<void> {
    await this.#page(null);
  }

  async more(): Promise<void> {
    if (this.next !== null && !this.busy) await this.#page(this.next);
  }

  async #page(cursor: string | null): Promise<void> {
    this.#asked += 1;
    const asked = this.#asked;
    this.busy = true;
    try {
      const page = await this.#read(cursor);
      if (asked !== this.#asked) return;
      this.items = cursor === null ? page.items : [...this.items, ...page.items];
      this.next = page.next;
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      if (asked === this.#asked) this.problem = asProblem(error);
    } finally {
      if (asked === this.#asked) this.busy = false;
    }
  }
}
