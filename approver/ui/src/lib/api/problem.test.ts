import { expect, it } from "vitest";

import { asProblem, Problem } from "./problem";

it("says what happened and the mend, and what the log calls the call", () => {
  const body = { title: "the request is closed", detail: "already denied", code: "already-decided", mend: "look again" };
  const problem = new Problem(409, body, "0193e1f0");
  expect(problem).toMatchObject({ status: 409, code: "already-decided", message: "already denied", mend: "look again", call: "0193e1f0" });
  expect(new Problem(502, {})).toMatchObject({ code: "unknown", message: "the approver answered 502", mend: "" });
});

it("leaves out advice for tools", () => {
  expect(new Problem(400, { code: "invalid", detail: "d", mend: "see /api/v1/openapi.json" }).mend).toBe("");
  const csrf = new Problem(403, { code: "csrf", detail: "the header X-CSRF-Token is wrong", mend: "send the csrf_token" });
  expect(`${csrf.message} ${csrf.mend}`).not.toMatch(/csrf/i);
  expect(csrf.mend).toMatch(/Try again/);
});

it("takes whatever is thrown", () => {
  const problem = Problem.unreachable();
  expect(asProblem(problem)).toBe(problem);
  expect(asProblem(new Error("odd")).message).toBe("odd");
  expect(asProblem("odd").message).toBe("odd");
});
