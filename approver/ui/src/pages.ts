// Which page belongs to which address, and who may see it.

import type { Component } from "svelte";

import type { Role } from "./lib/api/types";
import type { IconName } from "./lib/parts/Icon.svelte";
import Account from "./pages/Account.svelte";
import Enrolment from "./pages/Enrolment.svelte";
import Events from "./pages/Events.svelte";
import Flags from "./pages/Flags.svelte";
import Grants from "./pages/Grants.svelte";
import Hosts from "./pages/Hosts.svelte";
import NotFound from "./pages/NotFound.svelte";
import People from "./pages/People.svelte";
import Queue from "./pages/Queue.svelte";
import Request from "./pages/Request.svelte";
import Requests from "./pages/Requests.svelte";
import Session from "./pages/Session.svelte";
import Sessions from "./pages/Sessions.svelte";

/** A place in the navigation. */
export interface Place {
  to: string;
  name: string;
  icon: IconName;
  role: Role;
}

export const PLACES: readonly Place[] = [
  { to: "/", name: "Queue", icon: "queue", role: "viewer" },
  { to: "/requests", name: "Requests", icon: "history", role: "viewer" },
  { to: "/grants", name: "Grants", icon: "grant", role: "viewer" },
  { to: "/flags", name: "Flags", icon: "flag", role: "viewer" },
  { to: "/sessions", name: "Sessions", icon: "session", role: "viewer" },
  { to: "/hosts", name: "Hosts", icon: "host", role: "viewer" },
  { to: "/events", name: "Events", icon: "event", role: "viewer" },
  { to: "/people", name: "People", icon: "people", role: "administrator" },
  { to: "/enrolment", name: "Enrolment", icon: "enrol", role: "administrator" },
];

/** What to show for `parts` of an address. */
export function page(parts: readonly string[]): { component: Component; key: string } {
  const [first = "", second, third, ...rest] = parts;
  const key = parts.join("/");
  if (rest.length === 0 && third !== undefined) {
    return { component: first === "sessions" ? Session : NotFound, key };
  }
  if (second !== undefined) return { component: first === "requests" ? Request : NotFound, key };
  const found: Record<string, Component> = {
    "": Queue,
    requests: Requests,
    grants: Grants,
    flags: Flags,
    sessions: Sessions,
    hosts: Hosts,
    events: Events,
    people: People,
    enrolment: Enrolment,
    account: Account,
  };
  return { component: (Object.hasOwn(found, first) ? found[first] : undefined) ?? NotFound, key };
}
