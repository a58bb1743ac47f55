import { expect, it } from "vitest";

import { openRequest, picture } from "./browser";
import { setUp } from "./setup";

const on = setUp();

it("shows a request as soon as it is held, and tells of it politely", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--live-arrival");
  await page.getByRole("list", { name: "Pending requests" }).getByText("--live-arrival").waitFor();
  await expect(page.locator("[aria-live=polite]").first().textContent()).resolves.toMatch(/New request: curl on build-7/);
  await page.getByRole("timer").filter({ hasText: /[0-5]:[0-5][0-9]/ }).first().waitFor();
  await picture(page, "queue-arrival");
  await on.stage.exit(process);
});

it("takes what is over out of the queue", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--goes-away");
  const row = page.getByRole("list", { name: "Pending requests" }).getByText("--goes-away");
  await row.waitFor();
  await on.stage.exit(process);
  await row.waitFor({ state: "detached" });
  await page.getByText("Withdrawn").first().waitFor();
});

it("lets a request expire, and says that it is nobody’s denial", async () => {
  const page = await on.desk.as("ada");
  await on.stage.exec("/usr/bin/impatient");
  await openRequest(page, "impatient");
  await page.getByRole("heading", { name: "Nobody decided before the deadline" }).waitFor();
});

it("filters by words, which the address keeps", async () => {
  const page = await on.desk.as("ada");
  const first = await on.stage.exec("/usr/bin/curl", "--one-of-two");
  const second = await on.stage.connect("192.0.2.7", 9000);
  const list = page.getByRole("list", { name: "Pending requests" });
  await list.getByText("--one-of-two").waitFor();
  await list.getByText("192.0.2.7:9000").waitFor();
  await page.getByRole("searchbox").fill("192.0.2.7 staging");
  await list.getByText("--one-of-two").waitFor({ state: "detached" });
  expect(await list.getByRole("link").count()).toBe(1);
  expect(new URL(page.url()).search).toBe("?filter=192.0.2.7+staging");
  await page.reload();
  await list.getByText("192.0.2.7:9000").waitFor();
  expect(await list.getByRole("link").count()).toBe(1);
  await on.stage.exit(first);
  await on.stage.exit(second);
});

it("does not move what somebody points at", async () => {
  const page = await on.desk.as("ada");
  const patient = await on.stage.exec("/usr/bin/curl", "--points-at");
  const row = page.getByRole("list", { name: "Pending requests" }).getByRole("link").filter({ hasText: "--points-at" });
  await row.hover();
  // Its deadline is sooner: in the settled order it would come first.
  await on.stage.exec("/usr/bin/impatient", "--sooner");
  const sooner = page.getByRole("list", { name: "Pending requests" }).getByRole("link").filter({ hasText: "--sooner" });
  await sooner.waitFor();
  const [above, below] = await Promise.all([row.boundingBox(), sooner.boundingBox()]);
  expect(above?.y).toBeLessThan(below?.y ?? 0);
  await on.stage.exit(patient);
});
