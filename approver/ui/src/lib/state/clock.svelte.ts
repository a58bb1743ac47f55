// The time as the approver has it, once a second, so that every countdown on the
// page moves together.

/** Smaller differences are the second that HTTP dates are rounded to. */
const TOLERANCE = 2_000;

class Clock {
  now = $state(Date.now());
  /** The day it is for whoever looks: what only depends on this changes once a day. */
  today = $state(new Date().toDateString());
  #offset = 0;

  constructor() {
    setInterval(() => this.#tick(), 1_000);
  }

  /** The approver says it is `server` now. */
  set(server: number): void {
    const offset = server - Date.now();
    this.#offset = Math.abs(offset) > TOLERANCE ? offset : 0;
    // Whoever asks next must not get the time of a clock that was found wrong.
    this.#tick();
  }

  #tick(): void {
    this.now = Date.now() + this.#offset;
    this.today = new Date(this.now).toDateString();
  }
}

export const clock = new Clock();
