// What the approver answers when it does not do what was asked, and how that is
// said to a person.

import type { ProblemBody, Request } from "./types";

/** What is said here where the approver speaks to whoever writes a tool. */
const OURS: ReadonlyMap<string, { message: string; mend: string }> = new Map([
  [
    "csrf",
    {
      message: "This page was of an older login in this browser.",
      mend: "Try again. If that does not help, reload the page.",
    },
  ],
]);
/** Advice that names calls is for tools. */
const FOR_TOOLS = "/api/";

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly mend: string;
  /** The request as it stands, of conflicts. */
  readonly request: Request | undefined;
  /** What the approver's log calls the call. */
  readonly call: string;

  constructor(status: number, body: ProblemBody, call = "") {
    const ours = OURS.get(body.code ?? "");
    super(ours?.message ?? body.detail ?? body.title ?? `the approver answered ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = body.code ?? "unknown";
    const mend = body.mend ?? "";
    this.mend = ours?.mend ?? (mend.includes(FOR_TOOLS) ? "" : mend);
    this.request = body.request;
    this.call = call;
  }

  /** The approver was not reached, or what it said did not arrive. */
  static unreachable(): Problem {
    return new Problem(0, {
      code: "unreachable",
      detail: "The approver could not be reached.",
      mend: "Check your connection and try again.",
    });
  }
}

/** `error` as a problem, whatever was thrown. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, {
    code: "dashboard",
    detail: error instanceof Error ? error.message : String(error),
    mend: "Reload the page.",
  });
}
