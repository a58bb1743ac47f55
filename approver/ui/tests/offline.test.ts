import { expect, it } from "vitest";

import { button, decide, live, openRequest, picture, violations } from "./browser";
import { setUp } from "./setup";

const on = setUp();
const LOST = "Connection to the approver lost.";

it("shows that the network is gone, and decides nothing until everything is known", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--while-offline");
  await openRequest(page, "--while-offline");
  await page.getByLabel("Reason").fill("kept meanwhile");
  await page.context().setOffline(true);
  await page.getByText(LOST).waitFor();
  for (const name of ["Approve once", "Deny", "Flag"]) expect(await button(page, name).isDisabled()).toBe(true);
  expect(await violations(page)).toEqual([]);
  await picture(page, "offline");
  await page.context().setOffline(false);
  await live(page);
  expect(await page.getByText(LOST).count()).toBe(0);
  expect(await page.getByLabel("Reason").inputValue()).toBe("kept meanwhile");
  await button(page, "Approve once").click();
  expect(await on.stage.fate(process)).toBe("passed");
});

it("learns of what happened while it was away", async () => {
  const page = await on.desk.as("ada");
  const gone = await on.stage.exec("/usr/bin/curl", "--gone-meanwhile");
  const list = page.getByRole("list", { name: "Pending requests" });
  await list.getByText("--gone-meanwhile").waitFor();
  await page.context().setOffline(true);
  await page.getByText(LOST).waitFor();
  await on.stage.exit(gone);
  const come = await on.stage.exec("/usr/bin/curl", "--come-meanwhile");
  await page.context().setOffline(false);
  await live(page);
  await list.getByText("--come-meanwhile").waitFor();
  await list.getByText("--gone-meanwhile").waitFor({ state: "detached" });
  await on.stage.exit(come);
});

it("outlives an approver that stops and starts", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--through-a-restart");
  await openRequest(page, "--through-a-restart");
  await on.stage.stopApprover();
  await page.getByText(LOST).waitFor();
  expect(await button(page, "Approve once").isDisabled()).toBe(true);
  await on.stage.startApprover();
  await live(page);
  await decide(page, "Approve once", "still wanted");
  expect(await on.stage.fate(process)).toBe("passed");
  await page.getByRole("heading", { name: "approved by ada" }).waitFor();
});
