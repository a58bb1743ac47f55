import { expect, it } from "vitest";

import { live, openRequest } from "./browser";
import { setUp } from "./setup";
import { PASSWORD } from "./stage";

const on = setUp();

it("does everything without a mouse: login, choosing, reading, deciding", async () => {
  const first = await on.stage.exec("/usr/bin/curl", "--first-by-keys");
  const page = await on.desk.window();
  await page.goto("/");
  await page.getByLabel("Name").waitFor();
  await page.keyboard.type("ada");
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await live(page);
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
  await page.getByText("--first-by-keys").waitFor();
  // Only now: two that are held at the same moment have no order.
  const second = await on.stage.exec("/usr/bin/curl", "--second-by-keys");
  await page.getByText("--second-by-keys").waitFor();
  await page.keyboard.press("j");
  expect(await focused()).toContain("--first-by-keys");
  await page.keyboard.press("j");
  expect(await focused()).toContain("--second-by-keys");
  await page.keyboard.press("k");
  expect(await focused()).toContain("--first-by-keys");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Your decision" }).waitFor();
  await page.keyboard.press("r");
  await page.keyboard.type("add to the journal: approved");
  // Enter in the field decides nothing, nor do letters there.
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await page.keyboard.press("a");
  expect(await focused()).toContain("Approve once");
  await page.getByText("Pending", { exact: true }).waitFor();
  await page.keyboard.press("Enter");
  expect(await on.stage.fate(first)).toBe("passed");
  await page.getByRole("heading", { name: "approved by ada" }).waitFor();

  await page.keyboard.press("u");
  await page.getByRole("heading", { name: "Queue" }).waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Your decision" }).waitFor();
  await page.keyboard.press("r");
  await page.keyboard.type("no");
  await page.keyboard.press("Tab");
  expect(await focused()).toContain("Deny");
  await page.keyboard.press("Enter");
  expect(await on.stage.fate(second)).toBe("refused");
});

it("helps with ?, shows where the focus is, and lets the keys be switched off", async () => {
  const process = await on.stage.exec("/usr/bin/curl", "--keys-off");
  const page = await on.desk.as("ada");
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog", { name: "Keyboard" });
  await dialog.waitFor();
  await dialog.getByLabel("Single-key shortcuts").uncheck();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.getByText("--keys-off").waitFor();
  await page.keyboard.press("j");
  expect(await page.evaluate(() => document.activeElement?.hasAttribute("data-request"))).toBe(false);

  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle);
  expect(outline).toBe("solid");
  await on.stage.exit(process);
});

it("gives the focus to the heading of a new page", async () => {
  const process = await on.stage.exec("/usr/bin/curl", "--focus");
  const page = await on.desk.as("ada");
  await openRequest(page, "--focus");
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("H1");
  await on.stage.exit(process);
});
