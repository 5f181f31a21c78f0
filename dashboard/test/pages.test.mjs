// Parts of the dashboard that need a node of their own: bursts of changes, the reference of the API behind a token, and payments that the node signs.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { axe, checkPage, launch, openPage, sizes } from "./browser.mjs";

const program = process.env.MOOT_BINARY;
const run = promisify(execFile);
/** How long a node may take until it is there, in milliseconds. */
const patience = 60_000;

let browser, folder, node, token;

/** Runs a node that signs for ann and asks everybody for a token. */
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "moot-ui-"));
  const home = path.join(folder, "home");
  const moot = async (...args) => (await run(program, [...args, "--home", home])).stdout.trim();
  await moot("init", "--network", "town", "--members-only=false");
  const ann = await moot("ledger", "account", "new", "ann");
  const bob = await moot("ledger", "account", "new", "bob");
  token = (await moot("token", "new", "page", "--scope", "admin")).split(/\s+/).find((word) => word.startsWith("moot_"));
  const reader = (await moot("token", "new", "reader", "--scope", "read")).split(/\s+/).find((word) => word.startsWith("moot_"));
  const child = spawn(program, ["run", "--home", home, "--json", "--mdns=false", "--map-ports=false", "--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0", "--api-tokens", "require", "--sign-with", "ann"], { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const { api } = await new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`the node is not there: ${text}`)), patience);
    child.stdout.on("data", (piece) => {
      text += piece;
      try {
        resolve(JSON.parse(text));
        clearTimeout(timer);
      } catch {
        // More is to come.
      }
    });
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}`)));
  });
  node = { api, ann, bob, reader, stop: async () => { child.kill("SIGTERM"); await ended; } };
  await moot("ledger", "asset", "define", "EUR", "--issuer", "ann", "--scale", "2");
  await moot("ledger", "issue", "100", "EUR@ann", "--to", "ann");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.stop();
  if (folder) await rm(folder, { recursive: true });
});

const open = (t, place, options) => openPage(t, browser, `${node.api}/${place}`, { token, ...options });
const put = (key, value, method = "PUT") => fetch(`${node.api}/v1/records/${encodeURIComponent(key)}`, { method, body: method === "PUT" ? value : undefined, headers: { Authorization: `Bearer ${token}` } });

test("a page without a token asks for one, and the reference works with it", async (t) => {
  const page = await open(t, "#/api", { token: undefined, connected: false });
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Open" }).click();
  await page.getByRole("heading", { level: 1, name: "HTTP API" }).waitFor();
  await page.getByRole("status").filter({ hasText: "operations, version" }).waitFor();
});

test("the reference of the API: found by words, opened by keys, with examples and problems", async (t) => {
  for (const [i, size] of sizes.entries()) {
    for (const dark of [false, true]) {
      const page = await open(t, "#/api", { size, dark });
      await page.evaluate(axe);
      await page.getByRole("status").filter({ hasText: "operations, version" }).waitFor();
      if (process.env.PICTURES) await page.screenshot({ path: path.join(process.env.PICTURES, `reference-${i}-${dark}.png`) });
      await page.locator("main").focus();
      await page.keyboard.press("/");
      await page.keyboard.type("record delete");
      await page.getByRole("status").filter({ hasText: "1 operation found." }).waitFor();
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.getByText("Needs a token of the scope write").waitFor();
      await page.locator("pre").filter({ hasText: /curl -X DELETE .*http:\/\/127.0.0.1:\d+\/v1\/records\// }).waitFor();
      await page.getByText("copies must be on disk").first().waitFor();
      await page.getByRole("link", { name: "412 Conflict" }).waitFor();
      await checkPage(page, "an operation");
      if (process.env.PICTURES) await page.screenshot({ path: path.join(process.env.PICTURES, `operation-${i}-${dark}.png`), fullPage: true });
      await page.getByLabel("Search the API").fill("");
      await page.getByText("urn:folkmoot:problem:conflict").waitFor();
      await page.context().close();
    }
  }
});

test("every operation can be opened by its address", async (t) => {
  const page = await open(t, "#/api");
  const description = await (await fetch(`${node.api}/openapi.json`, { headers: { Authorization: `Bearer ${token}` } })).json();
  const ids = Object.values(description.paths).flatMap((methods) => Object.values(methods).map((o) => o.operationId));
  assert.ok(ids.length > 40);
  for (const id of ids) {
    await page.evaluate((hash) => { location.hash = hash; }, `#/api/${id}`);
    await page.locator("details[open] .operation").getByText(/^Needs (no token|a token of)/).last().waitFor();
    await page.locator(`details[open] a[href="#/api/${id}"]`).waitFor();
  }
});

test("a burst of changes is shown whole, and a record that is in it too", async (t) => {
  const list = await open(t, "#/records?prefix=burst%2F");
  await list.getByText("No key begins so.").waitFor();
  const one = await open(t, "#/records/burst%2F0");
  await one.getByText("There is no record of this key").waitFor();
  const keys = Array.from({ length: 60 }, (_, i) => `burst/${i}`);
  await Promise.all(keys.map((key) => put(key, `value of ${key}`)));
  await list.getByRole("list", { name: "60 keys" }).waitFor();
  await one.getByText("value of burst/0", { exact: true }).first().waitFor();
  await Promise.all(keys.slice(10).map((key) => put(key, undefined, "DELETE")));
  await list.getByRole("list", { name: "10 keys" }).waitFor();
});

test("how records fare is asked for now and then, however much changes", async (t) => {
  const page = await open(t, "#/network");
  await page.getByText("Every record has all its copies.").waitFor();
  let asked = 0;
  page.on("request", (request) => { if (request.url().endsWith("/v1/standing")) asked++; });
  const begun = Date.now();
  for (let i = 0; i < 20; i++) {
    await put(`standing/${i}`, "x");
    await page.waitForTimeout(150);
  }
  assert.ok(asked <= 1 + (Date.now() - begun) / 5000, `asked ${asked} times in ${Date.now() - begun} ms`);
  // What is shown in the end is not from before the last change.
  const wanted = (await (await fetch(`${node.api}/v1/standing`, { headers: { Authorization: `Bearer ${token}` } })).json()).full;
  await page.locator(".tiles").getByText(String(wanted), { exact: true }).waitFor();
});

test("pay with a key that the node holds", async (t) => {
  for (const [i, size] of sizes.entries()) {
    for (const dark of [false, true]) {
      const page = await open(t, "#/ledger/transfer", { size, dark });
      await page.evaluate(axe);
      await page.getByRole("radio", { name: /ann/ }).check();
      await page.getByText("the node, with a key of its own").waitFor();
      await page.getByLabel("To", { exact: true }).fill(node.bob);
      await page.getByLabel("Amount").fill("1.25");
      await page.getByLabel(/Memo/).fill("rent");
      await checkPage(page, "a transfer that the node signs");
      if (process.env.PICTURES) await page.screenshot({ path: path.join(process.env.PICTURES, `sign-${i}-${dark}.png`), fullPage: true });
      await page.getByRole("button", { name: "Have it signed and sent" }).click();
      await page.getByRole("link", { name: "the transaction" }).click();
      await page.getByText("done", { exact: true }).waitFor();
      await page.context().close();
    }
  }
  const account = await (await fetch(`${node.api}/v1/ledger/accounts/${node.bob}`, { headers: { Authorization: `Bearer ${token}` } })).json();
  assert.equal(account.balances[0].amount, "500");
});

test("a payment whose answer is lost is made once", async (t) => {
  const page = await open(t, "#/ledger/transfer");
  let lost = 0;
  await page.route("**/v1/ledger/transfers*", async (route) => {
    if (lost++ > 0) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await page.getByRole("radio", { name: /ann/ }).check();
  await page.getByLabel("To", { exact: true }).fill(node.bob);
  await page.getByLabel("Amount").fill("0.01");
  const before = await balance();
  await page.getByRole("button", { name: "Have it signed and sent" }).click();
  await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
  await page.getByRole("button", { name: "Have it signed and sent" }).click();
  await page.getByRole("link", { name: "the transaction" }).waitFor();
  assert.equal(await balance(), before + 1n);
  async function balance() {
    const account = await (await fetch(`${node.api}/v1/ledger/accounts/${node.bob}`, { headers: { Authorization: `Bearer ${token}` } })).json();
    return BigInt(account.balances[0]?.amount ?? 0);
  }
});

test("a token that may only read signs nothing, and the page asks for another", async (t) => {
  const page = await open(t, "#/ledger/transfer", { token: node.reader });
  await page.getByRole("radio", { name: /ann/ }).check();
  await page.getByLabel("To", { exact: true }).fill(node.bob);
  await page.getByLabel("Amount").fill("0.01");
  await page.getByRole("button", { name: "Have it signed and sent" }).click();
  await page.getByRole("alert").filter({ hasText: "this needs the scope admin" }).waitFor();
  await page.getByLabel(/Token of the scope admin/).fill(token);
  await page.getByRole("button", { name: "Use it in this tab" }).click();
  await page.getByRole("status").filter({ hasText: "live" }).waitFor();
  await page.getByRole("button", { name: "Have it signed and sent" }).click();
  await page.getByRole("link", { name: "the transaction" }).waitFor();
});

test("findings with long words stay in their place", async (t) => {
  for (const size of sizes) {
    const page = await open(t, "#/network", { size });
    await page.route("**/v1/doctor", (route) => route.fulfill({ json: { healthy: false, time: new Date().toISOString(), checks: ["ledger"], findings: [{ check: "ledger", severity: "warning", summary: `validators did not vote: ${"a1".repeat(32)}`, command: `moot find ${"b2".repeat(40)}` }] } }));
    await page.evaluate(axe);
    await page.evaluate(() => { location.hash = "#/node"; });
    await page.getByText(/validators did not vote/).waitFor();
    await checkPage(page, "long findings");
    const [card, text] = await Promise.all([page.locator("section", { has: page.locator("#findings-title") }).boundingBox(), page.getByText(/validators did not vote/).boundingBox()]);
    assert.ok(text.x + text.width <= card.x + card.width, "the text leaves its card");
  }
});

test("validators are told with what they signed", async (t) => {
  const page = await open(t, "#/ledger");
  await page.locator(".validators").getByText(/signed 100 %/).waitFor();
  await page.getByText(/^Signed: of the last \d+ blocks/).waitFor();
});
