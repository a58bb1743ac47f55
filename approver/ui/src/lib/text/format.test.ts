import { expect, it } from "vitest";

import { ago, baseName, countdown, counted, destination, duration, grouped, tail, utc } from "./format";

it("counts down, never below nothing", () => {
  expect([-5_000, 0, 1, 59_000, 61_000, 3_600_000, 3_661_500, 90_000_000].map(countdown)).toEqual([
    "0:00", "0:00", "0:01", "0:59", "1:01", "1:00:00", "1:01:02", "1 d 1 h",
  ]);
});

it("says durations exactly", () => {
  expect([1, 45, 60, 90, 900, 3_600, 86_400, 172_800, 100_000].map(duration)).toEqual([
    "1 second", "45 seconds", "1 minute", "1 minute 30 seconds", "15 minutes", "1 hour", "1 day", "2 days",
    "1\u202f666 minutes 40 seconds",
  ]);
});

it("says how long ago something was", () => {
  const now = Date.parse("2027-01-02T00:00:00Z");
  expect([1, 30, 300, 7_200, 200_000, -50].map((seconds) => ago(now - seconds * 1_000, now))).toEqual([
    "just now", "30 s ago", "5 min ago", "2 h ago", "2 d ago", "just now",
  ]);
  expect(utc(now)).toBe("2027-01-02 00:00:00 UTC");
});

it("groups digits", () => {
  expect(grouped(1_234_567)).toBe("1\u202f234\u202f567");
  expect(grouped("182734")).toBe("182\u202f734");
  expect(counted(1, "host")).toBe("1 host");
  expect(counted(0, "host")).toBe("0 hosts");
});

it("names programs and destinations", () => {
  expect(["/usr/bin/curl", "curl", "/", "/tmp/"].map(baseName)).toEqual(["curl", "curl", "/", "/tmp/"]);
  const to = { port: 443, protocol: 6, protocol_name: "tcp", network_namespace: 1, scope_id: 0, local: null, listener: null };
  expect(destination({ ...to, address: "192.0.2.1" })).toBe("192.0.2.1:443");
  expect(destination({ ...to, address: "fe80::1", scope_id: 2 })).toBe("[fe80::1%2]:443");
  expect(destination({ ...to, address: null })).toBe("unknown address, port 443");
  const local = { name: "/run/docker.sock", name_is_hosts: true, socket_type: 1, uid: 0 };
  expect(destination({ ...to, address: null, local })).toBe("/run/docker.sock");
  expect(destination({ ...to, address: null, local: { ...local, name: "\0x" } })).toBe("@x");
  expect(destination({ ...to, address: null, local: { ...local, name: "" } })).toBe("socket without a name");
});

it("takes the beginning of arguments and counts the rest", () => {
  expect(tail(["curl", "-T", "x"], 100)).toEqual({ words: ["-T", "x"], more: 0 });
  expect(tail(["printf", "a".repeat(300), "b", "c"], 200)).toEqual({ words: ["a".repeat(300)], more: 2 });
  expect(tail(["x", ...Array.from({ length: 5_000 }, () => "")], 200).more).toBe(5_000 - 24);
  expect(tail([], 10)).toEqual({ words: [], more: 0 });
});
