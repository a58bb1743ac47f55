import { expect, it } from "vitest";

import { button, login, openRequest, picture, violations } from "./browser";
import { setUp } from "./setup";

const on = setUp();

it("tells a wrong password, and how to mend it", async () => {
  const page = await on.desk.window();
  await page.goto("/");
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("wrong");
  await button(page, "Log in").click();
  await expect(page.getByRole("alert").innerText()).resolves.toMatch(/password/i);
  await expect(page.getByLabel("Password").inputValue()).resolves.toBe("");
  expect(await violations(page)).toEqual([]);
});

it("leads to the page that was asked for", async () => {
  const page = await on.desk.as("vera", "/hosts");
  await page.getByRole("heading", { name: "Hosts" }).waitFor();
  expect(new URL(page.url()).pathname).toBe("/hosts");
});

it("stays logged in across a reload, and out after logging out", async () => {
  const page = await on.desk.as("vera");
  await page.reload();
  await page.getByRole("heading", { name: "Queue" }).waitFor();
  await button(page, "Log out").click();
  await button(page, "Log in").waitFor();
  await page.reload();
  await button(page, "Log in").waitFor();
});

it("comes back to the page after the login has ended", async () => {
  await on.stage.exec("/usr/bin/curl", "of-an-ended-login");
  const page = await on.desk.as("ada");
  await openRequest(page, "of-an-ended-login");
  const { pathname } = new URL(page.url());
  // The approver does not know the cookie any more.
  await page.context().clearCookies();
  await page.getByLabel("Reason").fill("decided too late");
  await button(page, "Deny").click();
  await page.getByText("Your login has ended").waitFor();
  await picture(page, "login-ended");
  await login(page, "ada");
  await page.getByRole("heading", { name: "Your decision" }).waitFor();
  expect(new URL(page.url()).pathname).toBe(pathname);
});

it("keeps the cookie from scripts and sends no page that allows inline code", async () => {
  const page = await on.desk.as("vera");
  expect(await page.evaluate(() => document.cookie)).toBe("");
  const response = await page.goto("/");
  const policy = response?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: "__Host-holdpoint", httpOnly: true, secure: true, sameSite: "Strict" });
});
