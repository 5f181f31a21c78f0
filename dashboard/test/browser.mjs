// What the tests of the page have in common: the browser, and a page of which no complaint is overlooked.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const sizes = [{ width: 380, height: 800 }, { width: 1600, height: 1000 }];
/** How long the page may take for anything on a machine that does other things too, in milliseconds. */
export const patience = 20_000;

/** Starts the browser; CHROMIUM is its program. */
export const launch = (...args) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...args],
});

/** Opens an address in a page of its own. Whatever the browser complains of fails the test. */
export async function openPage(t, browser, address, { size = sizes[1], dark = false, tour = false, token, connected = true } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: dark ? "dark" : "light", acceptDownloads: true });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // Answers with a status of 400 or more are told by the page where they mean something.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  t.after(() => assert.deepEqual(complaints, []));
  if (!tour) await page.addInitScript(() => localStorage.setItem("folkmoot-tour-seen", "yes"));
  if (token) await page.addInitScript((text) => sessionStorage.setItem("folkmoot-token", text), token);
  await page.goto(address);
  if (connected) await page.getByRole("status").filter({ hasText: "live" }).waitFor();
  return page;
}

/** Fails for what people can't use, or is wider than the screen. axe must be there. */
export async function checkPage(page, name) {
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wider <= 0, `${name}: ${wider} px wider than the screen`);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 120)} ${n.any[0]?.message ?? ""}`).join(" | ")}`);
  assert.deepEqual(serious, [], name);
}
