import { expect, it } from "vitest";

import { button, decide, openRequest, picture, violations } from "./browser";
import { setUp } from "./setup";

const on = setUp();

it("approves, and the process goes on within a second of the click", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--approve-me");
  await openRequest(page, "--approve-me");
  await picture(page, "request-pending");
  const digest = await page.locator("[data-digest]").innerText();
  const sent = page.waitForRequest((request) => request.url().endsWith("/decision"));
  await page.getByLabel("Reason").fill("I know where this goes");
  const clicked = performance.now();
  await button(page, "Approve once").click();
  expect(await on.stage.fate(process)).toBe("passed");
  const taken = performance.now() - clicked;
  console.log(`     from the click to the release: ${taken.toFixed(0)} ms`);
  expect(taken).toBeLessThan(1_000);
  const request = await sent;
  expect(request.postDataJSON()).toEqual({ verdict: "approve", reason: "I know where this goes", digest });
  expect(request.headers()["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
  await page.getByRole("heading", { name: "approved by ada" }).waitFor();
  await page.getByText("The operation went on.").waitFor();
  await picture(page, "request-approved");
});

it("denies", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--deny-me");
  await openRequest(page, "--deny-me");
  await decide(page, "Deny", "not today");
  expect(await on.stage.fate(process)).toBe("refused");
  await page.getByRole("heading", { name: "denied by ada" }).waitFor();
  await page.getByText("not today").waitFor();
});

it("flags, after asking, and refuses the same operation from then on", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--flag-me");
  await openRequest(page, "--flag-me");
  await page.getByLabel("Reason").fill("sends secrets away");
  await button(page, "Flag").click();
  await picture(page, "flag-question");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await decide(page, "Flag", "sends secrets away");
  expect(await on.stage.fate(process)).toBe("refused");
  await page.getByRole("heading", { name: "flagged by ada" }).waitFor();
  await on.stage.newSession();
  const again = await on.stage.exec("/usr/bin/curl", "--flag-me");
  expect(await on.stage.fate(again)).toBe("refused");
  await page.getByRole("link", { name: "Flags" }).click();
  await page.getByRole("cell", { name: "sends secrets away" }).waitFor();
  expect(await button(page, "Lift").count()).toBe(0);

  const carol = await on.desk.as("carol", "/flags");
  await button(carol, "Lift").click();
  await carol.getByRole("dialog").getByLabel("Reason").fill("it was a test");
  await button(carol, "Lift the flag").click();
  await carol.getByText("Nothing is flagged.").waitFor();
  // Nobody has to load the page anew to see it.
  await page.getByText("Nothing is flagged.").waitFor();
});

it("approves for the session, for as long and as often as was chosen, and no further", async () => {
  const page = await on.desk.as("ada");
  await on.stage.newSession();
  const argv = ["/usr/bin/curl", "--for-the-session"] as const;
  const first = await on.stage.exec(...argv);
  await openRequest(page, "--for-the-session");
  // Nothing beyond once is chosen beforehand.
  expect(await page.getByRole("radio", { name: /^Once/ }).isChecked()).toBe(true);
  await page.getByRole("radio", { name: /^This session/ }).check();
  const life = page.getByRole("combobox", { name: "For", exact: true });
  expect(await life.locator("option").allInnerTexts()).toEqual(["1 minute", "5 minutes", "10 minutes"]);
  expect(await life.inputValue()).toBe("600");
  await life.selectOption("5 minutes");
  await page.getByLabel("Reason").fill("the agent fetches its sources");
  const uses = page.getByRole("textbox", { name: "Uses", exact: true });
  await uses.fill("0");
  await button(page, "Approve").click();
  await page.getByText("Give a whole number").waitFor();
  await page.getByText("Pending", { exact: true }).waitFor();
  await uses.fill("2");
  expect(await violations(page)).toEqual([]);
  await picture(page, "request-grant");
  const sent = page.waitForRequest((request) => request.url().endsWith("/decision"));
  await button(page, "Approve").click();
  expect((await sent).postDataJSON()).toMatchObject({ grant: { scope: "session", ttl_seconds: 300, max_uses: 2 } });
  expect(await on.stage.fate(first)).toBe("passed");
  await page.getByRole("heading", { name: "approved by ada" }).waitFor();
  await page.getByText("This session, for 5 minutes, 2 more uses").waitFor();

  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Grants" }).click();
  const grant = page.getByRole("row", { name: /--for-the-session/ });
  await grant.getByText("0 of 2").waitFor();
  await picture(page, "grant");
  expect(await on.stage.fate(await on.stage.exec(...argv))).toBe("passed");
  await grant.getByText("1 of 2").waitFor();
  expect(await on.stage.fate(await on.stage.exec(...argv))).toBe("passed");
  // It has ended, and so it leaves the list of those that give something.
  await grant.waitFor({ state: "detached" });
  await page.getByLabel("Also those that are over").check();
  await grant.getByText("ended").waitFor();

  const asked = await on.stage.exec(...argv);
  await page.goto("/");
  await openRequest(page, "--for-the-session");
  await page.getByRole("region", { name: "Earlier decisions" }).getByText("the agent fetches its sources").waitFor();
  await on.stage.exit(asked);
});

it("takes a grant back, and people are asked again", async () => {
  const page = await on.desk.as("ada");
  await on.stage.newSession();
  const argv = ["/usr/bin/curl", "--taken-back"] as const;
  const first = await on.stage.exec(...argv);
  await openRequest(page, "--taken-back");
  await page.getByRole("radio", { name: /^This session/ }).check();
  await page.getByLabel("Reason").fill("for a while");
  await button(page, "Approve").click();
  expect(await on.stage.fate(first)).toBe("passed");
  expect(await on.stage.fate(await on.stage.exec(...argv))).toBe("passed");

  // The owner of the session can not, nor can who only looks.
  for (const name of ["owner", "vera"]) {
    const other = await on.desk.as(name, "/grants");
    await other.getByRole("row", { name: /--taken-back/ }).waitFor();
    expect(await button(other, "Revoke").count()).toBe(0);
  }
  await page.goto("/grants");
  await page.getByRole("row", { name: /--taken-back/ }).getByRole("button", { name: "Revoke" }).click();
  const dialog = page.getByRole("dialog", { name: "Revoke this grant?" });
  expect(await dialog.getByRole("button", { name: "Revoke" }).isDisabled()).toBe(true);
  await dialog.getByLabel("Reason").fill("long enough");
  await dialog.getByRole("button", { name: "Revoke" }).click();
  // Its host has confirmed.
  await page.getByRole("row", { name: /--taken-back/ }).waitFor({ state: "detached" });
  const asked = await on.stage.exec(...argv);
  await page.goto("/");
  await page.getByRole("list", { name: "Pending requests" }).getByText("--taken-back").waitFor();
  await on.stage.exit(asked);
});

it("offers nothing that the rule does not give", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/tmp/anything");
  await openRequest(page, "anything");
  await page.getByText("The rule gives nothing beyond this one operation.").waitFor();
  expect(await page.getByRole("radio").count()).toBe(1);
  await on.stage.exit(process);
});

it("says so to who has decided already, and decides nothing again", async () => {
  const process = await on.stage.exec("/usr/bin/curl", "--by-myself");
  const page = await on.desk.as("ada");
  await openRequest(page, "--by-myself");
  const other = await page.context().newPage();
  await other.goto(page.url());
  let hold = true;
  await page.route("**/decision", async (route) => {
    while (hold) await new Promise((done) => setTimeout(done, 20));
    await route.continue();
  });
  await page.getByLabel("Reason").fill("first thought");
  await button(page, "Approve once").click();
  await decide(other, "Deny", "second thought");
  expect(await on.stage.fate(process)).toBe("refused");
  hold = false;
  await page.getByText("You had decided already: denied.").waitFor();
  await page.getByText("second thought").waitFor();
});

it("wants a reason first, and says so where it is missing", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--without-a-reason");
  await openRequest(page, "--without-a-reason");
  await button(page, "Approve once").click();
  await page.getByText("Say why").waitFor();
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("TEXTAREA");
  await page.getByText("Pending", { exact: true }).waitFor();
  await on.stage.exit(process);
  await page.getByRole("heading", { name: "Withdrawn" }).waitFor();
  expect(await button(page, "Approve once").count()).toBe(0);
});

it("refuses the owner, and says why", async () => {
  const page = await on.desk.as("owner");
  const process = await on.stage.exec("/usr/bin/curl", "--of-my-own");
  await openRequest(page, "--of-my-own");
  await page.getByText("somebody else has to decide").waitFor();
  for (const name of ["Approve once", "Deny", "Flag"]) {
    expect(await button(page, name).isDisabled()).toBe(true);
  }
  await picture(page, "request-own");
  // And not by going around the page either.
  const answer = await page.evaluate(async () => {
    const me = (await (await fetch("/api/v1/me")).json()) as { csrf_token: string };
    const id = location.pathname.split("/").at(-1);
    const digest = document.querySelector("[data-digest]")?.textContent;
    const response = await fetch(`/api/v1/requests/${id}/decision`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": me.csrf_token, "Idempotency-Key": "around" },
      body: JSON.stringify({ verdict: "approve", reason: "mine", digest }),
    });
    return { status: response.status, problem: (await response.json()) as { code: string } };
  });
  expect(answer).toMatchObject({ status: 403, problem: { code: "own-request" } });
  await on.stage.exit(process);
});

it("lets viewers look, and not decide", async () => {
  const page = await on.desk.as("vera");
  const process = await on.stage.exec("/usr/bin/curl", "--for-viewers");
  await openRequest(page, "--for-viewers");
  await page.getByText("Your role may look at requests, but not decide them.").waitFor();
  expect(await button(page, "Deny").isDisabled()).toBe(true);
  await on.stage.exit(process);
});

it("has one outcome when two browsers decide at once, and tells the other", async () => {
  for (let round = 0; round < 5; round += 1) {
    const words = `--race-${round}`;
    const process = await on.stage.exec("/usr/bin/curl", words);
    const [ada, bob] = await Promise.all([on.desk.as("ada"), on.desk.as("bob")]);
    await Promise.all([openRequest(ada, words), openRequest(bob, words)]);
    await Promise.all([ada.getByLabel("Reason").fill("by ada"), bob.getByLabel("Reason").fill("by bob")]);
    // Both are sent before either answer is back.
    await Promise.all([
      button(ada, "Approve once").evaluate((one: HTMLButtonElement) => one.click()),
      button(bob, "Deny").evaluate((one: HTMLButtonElement) => one.click()),
    ]);
    const fate = await on.stage.fate(process);
    const outcome = fate === "passed" ? "approved by ada" : "denied by bob";
    await Promise.all([ada, bob].map((page) => page.getByRole("heading", { name: outcome }).waitFor()));
    const [winner, loser] = fate === "passed" ? [ada, bob] : [bob, ada];
    expect(await winner.getByText("did not count").count()).toBe(0);
    // Either its decision was refused, or it came too late to be made at all.
    await picture(loser, "race-lost");
  }
});

it("says clearly that somebody else was first", async () => {
  const process = await on.stage.exec("/usr/bin/curl", "--too-late");
  const [ada, bob] = await Promise.all([on.desk.as("ada"), on.desk.as("bob")]);
  await openRequest(bob, "--too-late");
  // What changes on the approver does not reach bob’s page in time.
  let hold = true;
  await bob.route("**/decision", async (route) => {
    while (hold) await new Promise((done) => setTimeout(done, 20));
    await route.continue();
  });
  await bob.getByLabel("Reason").fill("fine by me");
  await button(bob, "Approve once").click();
  await openRequest(ada, "--too-late");
  await decide(ada, "Deny", "not at all");
  expect(await on.stage.fate(process)).toBe("refused");
  hold = false;
  await bob.getByText("Your decision did not count").waitFor();
  await bob.getByText("ada has denied it.").waitFor();
  await picture(bob, "conflict");
});

it("decides once however often a lost answer makes somebody try", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec("/usr/bin/curl", "--lost-answer");
  await openRequest(page, "--lost-answer");
  const keys: (string | undefined)[] = [];
  let lose = true;
  await page.route("**/decision", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (!lose) return route.continue();
    lose = false;
    // It is decided, and nobody learns of it.
    await route.fetch();
    return route.abort();
  });
  // Nor by the stream.
  await page.route("**/stream", (route) => route.abort());
  await decide(page, "Approve once", "once is enough");
  expect(await on.stage.fate(process)).toBe("passed");
  await page.getByRole("heading", { name: "approved by ada" }).or(page.getByText("could not be reached")).first().waitFor();
  if ((await page.getByText("could not be reached").count()) > 0 && (await button(page, "Approve once").count()) > 0) {
    await button(page, "Approve once").click();
    await page.getByRole("heading", { name: "approved by ada" }).waitFor();
    expect(new Set(keys).size).toBe(1);
  }
});
