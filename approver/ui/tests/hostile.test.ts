import type { Page } from "playwright-core";
import { expect, it } from "vitest";

import { decide, openRequest, overflow, PHONE, picture } from "./browser";
import { setUp } from "./setup";

const on = setUp();

/** Nothing on the page that is not seen, or that runs. */
async function expectPlain(page: Page): Promise<void> {
  const text = await page.evaluate(() => document.body.innerText);
  // Lines of the page itself, and the thin space in its numbers.
  expect(text.replace(/[\n\t\u202f\u00a0]/g, "")).not.toMatch(/[\p{C}\p{Zl}\p{Zp}\p{Mn}\p{Me}]/u);
  expect(await page.evaluate(() => "pwned" in window)).toBe(false);
  expect(await page.locator("main :is(img, iframe, object, script, b b, u)").count()).toBe(0);
}

const HOSTILE: (string | Uint8Array)[] = [
  "/tmp/\u202etxt.\u0441url",
  "<script>window.pwned = 1</script>",
  '"><img src=x onerror="window.pwned = 1">',
  "{@html pwned}${pwned}{{pwned}}",
  "javascript:window.pwned=1",
  "\u001b[2J\u001b[31mapproved\u001b[0m\u0007",
  "one\ntwo\r\nthree",
  "\u202edrawkcab\u202c\u2066x\u2069",
  "zero\u200bwidth\ufeff\u00ad",
  Buffer.from([0xff, 0xfe, 0xc3, 0x28]),
  "",
  "p\u0430ypal.com",
  "\uff43\uff55\uff52\uff4c",
  "日本語 💩",
  " two  spaces ",
];

it("shows hostile arguments for what they are, everywhere, and runs nothing", async () => {
  const page = await on.desk.as("ada");
  const process = await on.stage.exec(...HOSTILE);
  const row = page.getByRole("list", { name: "Pending requests" }).getByRole("link");
  await row.first().waitFor();
  await expectPlain(page);
  expect(await row.first().innerText()).toContain("\\u{202e}");
  await picture(page, "hostile-queue");

  await openRequest(page, "txt.");
  const tokens = await page.locator("section", { hasText: "15 arguments" }).getByRole("listitem").allInnerTexts();
  const shown = tokens.map((token) => token.replace(/^\d+\n?/, ""));
  expect(shown).toEqual([
    "/tmp/\\u{202e}txt.\\u{441}url",
    "<script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "{@html pwned}${pwned}{{pwned}}",
    "javascript:window.pwned=1",
    "\\u{1b}[2J\\u{1b}[31mapproved\\u{1b}[0m\\u{7}",
    "one\\ntwo\\r\\nthree",
    "\\u{202e}drawkcab\\u{202c}\\u{2066}x\\u{2069}",
    "zero\\u{200b}width\\u{feff}\\u{ad}",
    "\\xff\\xfe\\xc3(",
    "(empty)",
    "p\\u{430}ypal.com",
    "\\u{ff43}\\u{ff55}\\u{ff52}\\u{ff4c}",
    "日本語 💩",
    " two  spaces ",
  ]);
  await page.getByText("characters here that would not be seen").waitFor();
  await expectPlain(page);
  await picture(page, "hostile-request");
  await page.setViewportSize(PHONE);
  expect(await overflow(page)).toBe(0);
  await picture(page, "hostile-request-phone");

  await decide(page, "Deny", "looks like \u202e an attack <b>");
  expect(await on.stage.fate(process)).toBe("refused");
  await page.getByRole("heading", { name: "denied by ada" }).waitFor();
  await expectPlain(page);
  for (const path of ["/", "/requests", "/sessions", "/events"]) {
    await page.goto(path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
    await expectPlain(page);
  }
});

it("stays alive with 2 MiB of arguments, says how long they are, and shows all of them", async () => {
  const long = "abcdefgh".split("").map((letter) => letter.repeat(128 * 1024));
  const many = Array.from({ length: 16_000 }, (_, index) => `--argument-number-${index}-of-many-of-them-here-is-the-rest`);
  const process = await on.stage.exec("/usr/bin/curl", ...long, ...many);
  const page = await on.desk.as("ada");
  const before = performance.now();
  await openRequest(page, "aaaa");
  await page.getByText("16 009 arguments").or(page.getByText(/16.009 arguments/)).first().waitFor();
  await page.getByText("not all of it shown").waitFor();
  await page.getByText("Not all of the arguments are shown. A decision covers all of them.").waitFor();
  const opened = performance.now() - before;
  console.log(`     a page with 2 MiB of arguments is there after ${opened.toFixed(0)} ms`);
  expect(opened).toBeLessThan(5_000);

  const whole = page.getByRole("button", { name: "Show all of argument 1" });
  await whole.click();
  await whole.waitFor({ state: "detached" });
  const length = await page.locator("section", { hasText: "arguments" }).getByRole("listitem").nth(1).evaluate(
    (item) => item.textContent?.match(/a{1000,}/g)?.join("").length,
  );
  expect(length).toBe(128 * 1024);
  // It still answers.
  const answered = performance.now();
  await page.getByLabel("Reason").fill("read it all");
  expect(performance.now() - answered).toBeLessThan(2_000);
  await decide(page, "Approve once", "read it all");
  expect(await on.stage.fate(process)).toBe("passed");
});
