import { expect, it } from "vitest";

import { button, live, login, violations } from "./browser";
import { setUp } from "./setup";

const on = setUp();

it("adds somebody, changes their role, gives a new password and removes them", async () => {
  const page = await on.desk.as("carol", "/people");
  await page.getByLabel("Name").fill("dave");
  await page.getByRole("combobox", { name: "Role", exact: true }).selectOption("viewer");
  await button(page, "Add").click();
  const secret = page.getByRole("dialog", { name: "Password of dave" });
  const password = await secret.locator("pre").innerText();
  expect(await violations(page)).toEqual([]);
  await secret.getByRole("button", { name: "Done" }).click();

  const dave = await on.desk.window();
  await dave.goto("/");
  await login(dave, "dave", password);
  expect(await dave.getByRole("link", { name: "People" }).count()).toBe(0);
  await dave.goto("/people");
  await dave.getByText("This page is for administrators.").waitFor();

  await page.getByLabel("Role of dave").selectOption("reviewer");
  await dave.reload();
  await live(dave);
  await dave.getByText("reviewer", { exact: true }).waitFor();

  const row = page.getByRole("row", { name: /dave/ });
  await row.getByRole("button", { name: "New password" }).click();
  await button(page, "Make a new password").click();
  expect(await secret.locator("pre").innerText()).not.toBe(password);
  await secret.getByRole("button", { name: "Done" }).click();
  await dave.reload();
  await button(dave, "Log in").waitFor();

  await row.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await row.waitFor({ state: "detached" });
});

it("gives a command that enrols a host, and takes its token back", async () => {
  const page = await on.desk.as("carol", "/enrolment");
  await page.getByLabel("Label").fill("gpu-3");
  await button(page, "Make a token").click();
  const dialog = page.getByRole("dialog", { name: "Enrol a host" });
  expect(await dialog.locator("pre").innerText()).toMatch(/holdpointd/);
  expect(await violations(page)).toEqual([]);
  await dialog.getByRole("button", { name: "Done" }).click();
  const row = page.getByRole("row", { name: /gpu-3/ });
  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row.waitFor({ state: "detached" });
});

it("changes a password, and makes and takes back a token", async () => {
  const page = await on.desk.as("vera", "/account");
  await page.getByLabel("Name").fill("ci");
  await button(page, "Make a token").click();
  const dialog = page.getByRole("dialog", { name: "Token ci" });
  const token = await dialog.locator("pre").innerText();
  expect(token).toMatch(/^hpt_/);
  await dialog.getByRole("button", { name: "Done" }).click();
  const row = page.getByRole("row", { name: /ci/ });
  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row.waitFor({ state: "detached" });

  await page.getByLabel("Current password").fill("correct horse battery");
  await page.getByLabel("New password", { exact: true }).fill("another battery staple");
  await page.getByLabel("New password again").fill("another battery stable");
  await page.getByText("The two are not the same.").waitFor();
  await page.getByLabel("New password again").fill("another battery staple");
  await button(page, "Change").click();
  await page.getByText("Your password is changed").waitFor();
  const again = await on.desk.window();
  await again.goto("/");
  await login(again, "vera", "another battery staple");
});
