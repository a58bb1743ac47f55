// Processes as the tree they are. Pure.

import type { SessionProcess } from "../api/types";

export interface Node {
  process: SessionProcess;
  children: Node[];
}

/**
 * The trees that `processes` make; a process whose parent is not among them is a
 * root. Children in the order they began.
 */
export function forest(processes: readonly SessionProcess[]): Node[] {
  const nodes = new Map<string, Node>();
  for (const process of processes) nodes.set(key(process), { process, children: [] });
  const roots: Node[] = [];
  for (const node of nodes.values()) {
    const { parent } = node.process;
    const above = parent ? nodes.get(key(parent)) : undefined;
    if (above && !isBelow(nodes, above, node)) above.children.push(node);
    else roots.push(node);
  }
  for (const node of nodes.values()) node.children.sort(byStart);
  return roots.sort(byStart);
}

function key({ pid, start_time_ns }: { pid: number; start_time_ns: string }): string {
  return `${pid}:${start_time_ns}`;
}

/** Whether `node` is `of` or stands somewhere under it: a host that says so errs. */
function isBelow(nodes: ReadonlyMap<string, Node>, node: Node, of: Node): boolean {
  const seen = new Set<Node>();
  let at: Node | undefined = node;
  while (at && !seen.has(at)) {
    if (at === of) return true;
    seen.add(at);
    const parent: SessionProcess["parent"] = at.process.parent;
    at = parent ? nodes.get(key(parent)) : undefined;
  }
  return false;
}

function byStart(a: Node, b: Node): number {
  const [left, right] = [BigInt(a.process.start_time_ns), BigInt(b.process.start_time_ns)];
  return left < right ? -1 : left > right ? 1 : a.process.pid - b.process.pid;
}
