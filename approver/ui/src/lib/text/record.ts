// OCSF records as people read them. Pure, and content with whatever is there:
// records of later versions say more.

import type { EventRecord, Json } from "../api/types";

/** What a row of the list says. */
export interface Summary {
  time: number;
  message: string;
  kind: string;
  outcome: string;
  hostname: string;
}

function at(record: Json | undefined, path: string): Json | undefined {
  let value: Json | undefined = record;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = Object.hasOwn(value, name) ? value[name] : undefined;
  }
  return value;
}

function word(record: EventRecord, ...paths: string[]): string {
  for (const path of paths) {
    const value = at(record, path);
    if (typeof value === "string" && value !== "") return value;
  }
  return "";
}

export function summary(record: EventRecord): Summary {
  const time = record["time"];
  return {
    time: typeof time === "number" ? time : NaN,
    message: word(record, "message", "type_name", "class_name") || "event",
    kind: word(record, "unmapped.kind", "class_name"),
    outcome: word(record, "unmapped.outcome", "status"),
    hostname: word(record, "device.hostname"),
  };
}

/** The request that a record is about. */
export function requestOf(record: EventRecord): string {
  return word(record, "unmapped.request_id");
}

const CLASS: Record<string, string> = {
  allowed: "",
  held: "pending",
  pending: "pending",
  released: "good",
  approved: "good",
  enforcing: "good",
  denied: "bad",
  refused: "bad",
  lost: "bad",
  "not-enforcing": "bad",
  flagged: "flagged",
  set: "flagged",
};

/** The colour of an outcome. */
export function tagOf(outcome: string): string {
  return Object.hasOwn(CLASS, outcome) ? (CLASS[outcome] ?? "") : "";
}

/** Every leaf of a record with the path to it, in the record's order. */
export function leaves(value: Json, path = ""): { path: string; value: string }[] {
  if (value !== null && typeof value === "object") {
    const entries = Array.isArray(value)
      ? value.map((one, index) => [`${path}[${index}]`, one] as const)
      : Object.entries(value).map(([name, one]) => [path === "" ? name : `${path}.${name}`, one] as const);
    return entries.flatMap(([below, one]) => leaves(one, below));
  }
  return [{ path, value: value === null ? "null" : String(value) }];
}
