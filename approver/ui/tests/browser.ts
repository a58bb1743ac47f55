// The browser, and what every test wants of it. A page that reports an error, or
// something the content security policy refused, fails its test.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import type axe from "axe-core";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core";
import { expect } from "vitest";

import { PASSWORD, type Stage } from "./stage";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export type Theme = "light" | "dark";

export const DESK = { width: 1280, height: 860 };
export const PHONE = { width: 360, height: 740 };

/** One browser with all its windows. */
export class Desk {
  readonly #browser: Browser;
  readonly #stage: Stage;
  readonly #contexts: BrowserContext[] = [];
  #complaints: string[] = [];

  private constructor(browser: Browser, stage: Stage) {
    this.#browser = browser;
    this.#stage = stage;
  }

  static async open(stage: Stage): Promise<Desk> {
    const browser = await chromium.launch({
      executablePath: process.env["HOLDPOINT_CHROMIUM"] ?? "/usr/bin/chromium",
      // Its sandbox does not work for root, which tests in containers are.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    });
    return new Desk(browser, stage);
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }

  /** Ends the windows of one test, and fails it if a page has complained. */
  async clear(): Promise<void> {
    await Promise.all(this.#contexts.splice(0).map((context) => context.close()));
    const complaints = this.#complaints;
    this.#complaints = [];
    expect(complaints.join("\n")).toBe("");
  }

  /** A window in which nobody is logged in. */
  async window(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.#browser.newContext({
      ignoreHTTPSErrors: true,
      viewport: DESK,
      reducedMotion: "reduce",
      baseURL: this.#stage.address,
      ...options,
    });
    context.setDefaultTimeout(20_000);
    this.#contexts.push(context);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.#complaints.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.#complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      const text = message.text();
      // What the network does is told by the browser, and tested otherwise.
      if (message.type() === "error" && !/Failed to load resource|net::ERR/.test(text)) {
        this.#complaints.push(`console: ${text}`);
      }
    });
    return page;
  }

  /** A window in which `name` is logged in and sees `path`. */
  async as(name: string, path = "/", options: BrowserContextOptions = {}): Promise<Page> {
    const page = await this.window(options);
    await page.goto(path);
    await login(page, name);
    return page;
  }
}

export async function login(page: Page, name: string, password = PASSWORD): Promise<void> {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor({ state: "attached" });
  await live(page);
}

/** Waits until the page knows everything. */
export async function live(page: Page): Promise<void> {
  await page.locator("[data-link=live]").waitFor({ state: "attached" });
}

/** Opens the newest request of the queue that has `words` in its row. */
export async function openRequest(page: Page, words: string | RegExp): Promise<void> {
  await page.getByRole("list", { name: "Pending requests" }).getByRole("link").filter({ hasText: words }).last().click();
  await page.getByRole("heading", { name: "Your decision" }).waitFor();
}

export function button(page: Page, name: string | RegExp): Locator {
  return page.getByRole("button", { name, exact: typeof name === "string" });
}

/** Decides as a person would, with the reason given. */
export async function decide(page: Page, verdict: "Approve once" | "Deny" | "Flag", reason: string): Promise<void> {
  await page.getByLabel("Reason").fill(reason);
  await button(page, verdict).click();
  if (verdict === "Flag") await button(page, "Flag it").click();
}

/** What axe has against the page as it is. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe: run } = window as unknown as { axe: typeof axe };
    return (await run.run()).violations;
  });
  return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary ?? ""}`));
}

/** Keeps a picture. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env["HOLDPOINT_UI_ARTIFACTS"];
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** How far the page can be scrolled sideways, which it never should. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
