// What the approver answers when it does not do what was asked, and how that is
// said to a person.

import type { ProblemBody, Request } from "./types";

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly mend: string;
  /** The request as it stands, of conflicts. */
  readonly request: Request | undefined;

  constructor(status: number, body: ProblemBody) {
    super(body.detail ?? body.title ?? `the approver answered ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = body.code ?? "unknown";
    this.title = body.title ?? "";
    this.mend = body.mend ?? "";
    this.request = body.request;
  }

  /** The approver was not reached, or what it said did not arrive. */
  static unreachable(): Problem {
    return new Problem(0, {
      code: "unreachable",
      title: "The approver is out of reach",
      detail: "The approver could not be reached.",
      mend: "Check your connection and try again. Nothing is done twice.",
    });
  }
}

/** `error` as a problem, whatever was thrown. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, {
    code: "dashboard",
    title: "The dashboard failed",
    detail: error instanceof Error ? error.message : String(error),
    mend: "Reload the page.",
  });
}
