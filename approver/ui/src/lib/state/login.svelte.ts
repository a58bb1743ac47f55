// Who is logged in. The page that is open stays what it is when a login ends, so
// that the next one leads back to it.

import * as calls from "../api/calls";
import { setCsrf, setHooks } from "../api/client";
import { asProblem, type Problem } from "../api/problem";
import type { Me, Role } from "../api/types";
import { clock } from "./clock.svelte";

const RANK: Record<Role, number> = { viewer: 0, reviewer: 1, administrator: 2 };
/** Longest delay a timer takes. */
const TIMER_MAX = 2 ** 31 - 1;

class LoginState {
  me = $state<Me | null>(null);
  /** unknown: not asked yet. */
  known = $state(false);
  /** The login ended without the person asking for it. */
  ended = $state(false);
  /** Why it could not be found out. */
  problem = $state<Problem | null>(null);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    setHooks({ loggedOut: () => this.drop(), stale: () => void this.find(), time: (server) => clock.set(server) });
  }

  /** Asks the approver. */
  async find(): Promise<void> {
    this.problem = null;
    try {
      const me = await calls.me();
      this.#take(me, me.csrf_token ?? "");
      this.ended = false;
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status !== 401) {
        this.problem = problem;
        return;
      }
    }
    this.known = true;
  }

  async login(username: string, password: string): Promise<void> {
    const { me, csrf_token } = await calls.login(username, password);
    this.#take(me, csrf_token);
    this.ended = false;
  }

  async logout(): Promise<void> {
    await calls.logout();
    this.drop();
    this.ended = false;
  }

  /** The login is over. */
  drop(): void {
    clearTimeout(this.#timer);
    if (this.me) this.ended = true;
    this.me = null;
    setCsrf("");
  }

  /** Whether the person may do what `role` may. */
  may(role: Role): boolean {
    return this.me !== null && RANK[this.me.role] >= RANK[role];
  }

  #take(me: Me, csrf: string): void {
    setCsrf(csrf);
    this.me = me;
    clearTimeout(this.#timer);
    const left = Date.parse(me.expires_at) - clock.now;
    if (!Number.isNaN(left)) {
      this.#timer = setTimeout(() => this.drop(), Math.min(Math.max(left, 0), TIMER_MAX));
    }
  }
}

export const login = new LoginState();
