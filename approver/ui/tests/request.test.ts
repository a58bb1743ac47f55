import { createHash } from "node:crypto";

import { expect, it, vi } from "vitest";

import { decide, live, login, openRequest, picture } from "./browser";
import { setUp } from "./setup";

const on = setUp();

it("shows everything that a decision rests on", async () => {
  const page = await on.desk.as("ada");
  const attempt = (): Promise<number> =>
    on.stage.execWith(["LD_PRELOAD=/tmp/\u202eos.x", "EMPTY="], "/usr/bin/curl", "-T", "my notes.txt");
  const first = await attempt();
  await openRequest(page, "my notes.txt");
  const part = (name: string) => page.getByRole("region", { name });
  const shows = (name: string, words: string) => part(name).getByText(words, { exact: true }).first().waitFor();

  await page.getByRole("heading", { level: 1, name: "Run curl" }).waitFor();
  await page.getByText("risk: medium", { exact: true }).waitFor();
  await page.getByRole("timer").filter({ hasText: /4:\d\d/ }).waitFor();
  const tokens = await part("Arguments").getByRole("listitem").locator(".token").allInnerTexts();
  expect(tokens).toEqual(["/usr/bin/curl", "-T", "my notes.txt"]);
  await shows("Program", "/usr/bin/curl");
  // The stage’s files hold their own names.
  await part("Program").getByText(createHash("sha256").update("/usr/bin/curl").digest("hex")).waitFor();
  const variables = await part("Program").getByRole("listitem").allInnerTexts();
  expect(variables.map((text) => text.replace(/\s+/g, " "))).toEqual(["LD_PRELOAD /tmp/\\u{202e}os.x", "EMPTY (empty)"]);
  await shows("How it came about", "/usr/bin/sh");
  await shows("How it came about", "holds here");
  await shows("How it came about", "/home/agent");
  await shows("Why it is held", "Moves data in or out of this host.");
  await shows("Why it is held", "downloads");
  for (const words of ["owner", "demo", "build-7"]) await shows("Whose it is", words);
  await shows("Earlier decisions on the same operation", "None: nobody has decided about exactly this operation before.");
  expect(await page.locator("[data-digest]").innerText()).toMatch(/^[0-9a-f]{64}$/);
  await page.getByText("characters here that would not be seen").waitFor();
  await picture(page, "request-everything");
  await decide(page, "Deny", "not this file");
  expect(await on.stage.fate(first)).toBe("refused");

  await on.stage.newSession();
  const second = await attempt();
  await page.goto("/");
  await openRequest(page, "my notes.txt");
  await shows("Earlier decisions on the same operation", "denied");
  await shows("Earlier decisions on the same operation", "not this file");
  await part("Digests").getByRole("link", { name: "All requests for it" }).click();
  const found = page.getByRole("list", { name: "Requests, newest first" }).getByRole("link");
  await found.nth(1).waitFor();
  expect(await found.count()).toBe(2);
  await on.stage.exit(second);
});

it("leads to the session, its processes and its events", async () => {
  const page = await on.desk.as("vera");
  await on.stage.newSession();
  const process = await on.stage.exec("/usr/bin/curl", "--of-this-session");
  await openRequest(page, "--of-this-session");
  await page.getByRole("region", { name: "Whose it is" }).getByRole("link").click();
  await page.getByRole("heading", { level: 1, name: /^Session/ }).waitFor();
  // The host tells of its processes by and by.
  await vi.waitFor(
    async () => {
      await page.reload();
      const shown = page.getByRole("region", { name: "Processes" }).getByText("/usr/bin/sh");
      await shown.waitFor({ timeout: 2_000 });
    },
    { timeout: 30_000, interval: 200 },
  );
  const requests = page.getByRole("region", { name: "Requests" });
  await requests.getByText("--of-this-session").waitFor();
  await requests.getByRole("link", { name: "All 1 request of this session" }).click();
  await page.getByRole("list", { name: "Requests, newest first" }).getByText("--of-this-session").waitFor();
  await page.goBack();
  await page.getByRole("link", { name: "Its events" }).click();
  await page.getByRole("table").getByRole("button", { name: /exec of \/usr\/bin\/curl held/ }).waitFor();
  await on.stage.exit(process);
});

it("shows a destination, and where a connect comes from", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.connect("2001:db8::7", 9000);
  await openRequest(page, "2001:db8::7");
  await page.getByRole("heading", { level: 1, name: "Connect to [2001:db8::7]:9000" }).waitFor();
  const destination = page.getByRole("region", { name: "Destination" });
  await destination.getByText("[2001:db8::7]:9000").waitFor();
  await destination.getByText("TCP").waitFor();
  await page.getByRole("region", { name: "How it came about" }).getByText("/usr/bin/sh").waitFor();
  await on.stage.exit(process);
});

it("counts down by the approver’s clock, whatever the browser’s says", async () => {
  const process = await on.stage.exec("/usr/bin/curl", "--other-clock");
  const page = await on.desk.window();
  // Further ahead than a login lives.
  await page.clock.setSystemTime(Date.now() + 20 * 3_600_000);
  await page.goto("/");
  await login(page, "ada");
  await openRequest(page, "--other-clock");
  await page.getByRole("timer").filter({ hasText: /4:\d\d/ }).waitFor();
  await page.reload();
  await live(page);
  await page.getByRole("heading", { name: "Your decision" }).waitFor();
  await on.stage.exit(process);
});
