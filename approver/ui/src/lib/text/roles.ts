// What each role may do, in words.

import type { Role } from "../api/types";

export const ROLES: readonly { role: Role; may: string }[] = [
  { role: "viewer", may: "Sees everything and decides nothing." },
  { role: "reviewer", may: "Decides requests of sessions that are not their own." },
  { role: "administrator", may: "Also manages people and hosts, and lifts flags." },
];
