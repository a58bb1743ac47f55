// Which requests the words in the queue's filter mean. Pure.

import type { Request } from "../api/types";
import { destination } from "./format";
import { text } from "./reveal";

/** Longest part of an argument that is searched. */
const REACH = 10_000;
const ARGUMENTS = 200;

/** Whether every word of `filter` is somewhere in what the queue shows. */
export function matches(request: Request, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return true;
  const all = haystack(request);
  return words.every((word) => all.includes(word));
}

function haystack({ id, host, session, rule, operation, state }: Request): string {
  const parts: string[] = [id, state, host.hostname];
  if (session) parts.push(session.profile, session.owner, session.user, session.id);
  if (rule) parts.push(rule.name, rule.risk ?? "");
  if (operation?.exec) {
    parts.push(text(operation.exec.path));
    for (const argument of operation.exec.argv.slice(0, ARGUMENTS)) {
      parts.push(typeof argument === "string" ? argument.slice(0, REACH) : text({ base64: argument.base64.slice(0, REACH) }));
    }
  }
  if (operation?.connect) parts.push(destination(operation.connect), operation.connect.protocol_name ?? "");
  return parts.join("\n").toLowerCase();
}
