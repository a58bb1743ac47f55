import { expect, it } from "vitest";

import type { Request } from "../api/types";
import { matches } from "./search";

const request = {
  id: "0198f1a2",
  state: "pending",
  host: { id: "h", hostname: "Build-7" },
  session: { id: "a1", profile: "demo", owner: "ada", uid: 1, user: "agent" },
  rule: { name: "downloads", risk: "high" },
  operation: { exec: { path: "/usr/bin/curl", argv: ["curl", "-T", { base64: "bm90ZXP/" }] } },
} as unknown as Request;

it("finds every word somewhere, whatever its case", () => {
  for (const filter of ["", "  ", "CURL", "build-7 ada", "notes -t", "high demo downloads", "0198"]) {
    expect(matches(request, filter), filter).toBe(true);
  }
  for (const filter of ["wget", "curl wget", "bob"]) expect(matches(request, filter), filter).toBe(false);
});

it("finds destinations", () => {
  const connect = { address: "192.0.2.1", port: 443, protocol: 6, protocol_name: "tcp", network_namespace: 1, scope_id: 0, local: null, listener: null };
  const other = { ...request, operation: { connect } } as Request;
  expect(matches(other, "192.0.2.1:443 tcp")).toBe(true);
  expect(matches(other, "curl")).toBe(false);
});
