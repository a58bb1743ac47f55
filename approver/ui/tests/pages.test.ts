import { beforeAll, expect, it } from "vitest";

import { button, decide, openRequest, overflow, PHONE, picture, type Theme, violations } from "./browser";
import { setUp } from "./setup";

const on = setUp();

const PAGES: Record<string, string> = {
  queue: "/",
  requests: "/requests",
  grants: "/grants?show=all",
  flags: "/flags",
  sessions: "/sessions",
  hosts: "/hosts",
  events: "/events",
  people: "/people",
  enrolment: "/enrolment",
  account: "/account",
  "not-found": "/no-such-page",
};

beforeAll(async () => {
  // Something of everything.
  await on.stage.connect("192.0.2.9", 9000);
  await on.stage.exec("/usr/bin/curl", "-T", "notes.txt", "https://example.org/");
  const flagged = await on.stage.exec("/usr/bin/curl", "--to-be-flagged");
  const page = await on.desk.as("ada");
  await openRequest(page, "--to-be-flagged");
  await decide(page, "Flag", "for the pages");
  expect(await on.stage.fate(flagged)).toBe("refused");
});

const THEMES: readonly Theme[] = ["light", "dark"];

it.each(THEMES)("has no fault that axe finds on any page, nor anything too wide for a phone: %s", async (theme) => {
  const page = await on.desk.as("carol", "/", { colorScheme: theme });
  const paths = { ...PAGES };
  paths["request"] = (await page.getByRole("link").filter({ hasText: "notes.txt" }).first().getAttribute("href")) ?? "";
  await page.goto("/sessions");
  paths["session"] = (await page.getByRole("table").getByRole("link").first().getAttribute("href")) ?? "";
  for (const [name, path] of Object.entries(paths)) {
    for (const [size, viewport] of [["", page.viewportSize() ?? PHONE], ["-phone", PHONE]] as const) {
      await page.setViewportSize(viewport);
      await page.goto(path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
      expect(await page.getByRole("alert").allInnerTexts(), path).toEqual([]);
      expect(await violations(page), `${path}${size}`).toEqual([]);
      expect(await overflow(page), `${path}${size}`).toBe(0);
      await picture(page, `${name}-${theme}${size}`);
      await page.setViewportSize({ width: 1280, height: 860 });
    }
  }
}, 240_000);

it("follows the system’s theme until somebody chooses", async () => {
  const page = await on.desk.as("vera", "/account", { colorScheme: "dark" });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await background();
  await page.getByLabel("Light").check();
  const light = await background();
  expect(light).not.toBe(dark);
  await page.reload();
  expect(await background()).toBe(light);
});

it("has a menu on a phone", async () => {
  const page = await on.desk.window({ viewport: PHONE });
  await page.goto("/");
  await page.getByLabel("Name").fill("vera");
  await page.getByLabel("Password").fill("correct horse battery");
  await button(page, "Log in").click();
  await button(page, /^Menu/).click();
  await page.getByRole("link", { name: "Hosts" }).click();
  await page.getByRole("heading", { name: "Hosts" }).waitFor();
  await page.getByRole("link", { name: "Sessions" }).first().waitFor();
  await page.getByRole("navigation", { name: "Pages" }).waitFor({ state: "hidden" });
});

it("shows a host, its state and its sessions", async () => {
  const page = await on.desk.as("vera", "/hosts");
  const host = page.getByRole("region", { name: "build-7" });
  await host.getByText("connected").first().waitFor();
  await host.getByText("enforcing").first().waitFor();
  await host.getByRole("link", { name: "Sessions" }).click();
  await page.getByRole("table").getByRole("link").first().click();
  await page.getByRole("heading", { name: /^Session/ }).waitFor();
  await page.getByRole("region", { name: "Processes" }).getByText("/usr/bin/sh").first().waitFor();
  await page.getByRole("region", { name: "Facts" }).getByText("owner", { exact: true }).waitFor();
  await page.getByRole("region", { name: "Requests" }).getByRole("link").first().waitFor();
});

it("finds requests by what is asked for", async () => {
  const page = await on.desk.as("vera", "/requests");
  const list = page.getByRole("list", { name: "Requests, newest first" });
  await list.getByText("notes.txt").waitFor();
  await page.getByLabel("Kind").selectOption("connect");
  await list.getByText("notes.txt").waitFor({ state: "detached" });
  await list.getByText("192.0.2.9:9000").waitFor();
  await page.getByLabel("Kind").selectOption("");
  await page.getByLabel("State").selectOption("flagged");
  await list.getByText("--to-be-flagged").waitFor();
  await expect.poll(() => list.getByRole("link").count()).toBe(1);
});

it("shows events, their histogram as a table too, and what is wrong with a query", async () => {
  const page = await on.desk.as("vera", "/events");
  await page.getByRole("img", { name: /events from/ }).waitFor();
  await page.getByText("As a table").click();
  await page.getByRole("columnheader", { name: "denied" }).waitFor();
  await page.getByRole("button", { name: /flag/ }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("class_uid").waitFor();
  expect(await violations(page)).toEqual([]);
  await picture(page, "event");
  await page.keyboard.press("Escape");
  await page.getByRole("searchbox").fill("no_such_field:x");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  expect(await page.getByRole("alert").innerText()).toContain("no_such_field");
});
