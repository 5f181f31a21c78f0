// The dashboard in a real browser, served by a peer of a real network of four: MOOT_BINARY is the program, CHROMIUM the browser.
import assert from "node:assert/strict";
import { readFile, writeFile, mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { startDemo } from "../../clients/typescript/dist/test/demo.js";
import { axe, checkPage, launch, openPage, sizes } from "./browser.mjs";

const markup = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>";

let demo, browser, base, folder;

before(async () => {
  demo = await startDemo();
  base = `${demo.peers[0].api}/`;
  folder = await mkdtemp(path.join(tmpdir(), "moot-ui-"));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
  if (folder) await rm(folder, { recursive: true });
});

/** Opens a place in a page of its own. */
const open = (t, place, options) => openPage(t, browser, base + place, options);

const places = () => ({
  network: "#/network",
  peer: `#/network/${demo.peers[1].id}`,
  records: "#/records",
  record: "#/records/town%2Fcouncil",
  "no record": "#/records/nothing%2Fhere",
  ledger: "#/ledger",
  block: `#/ledger/block/${demo.ledger.height}`,
  transaction: `#/ledger/tx/${demo.ledger.transaction}`,
  account: `#/ledger/account/${demo.ledger.accounts.bob}`,
  asset: `#/ledger/asset/${encodeURIComponent(demo.ledger.asset)}`,
  transfer: "#/ledger/transfer",
  check: "#/ledger/check",
  node: "#/node",
  api: "#/api/put-record",
});

for (const [i, size] of sizes.entries()) {
  for (const dark of [false, true]) {
    test(`every page at ${size.width} px, ${dark ? "dark" : "light"}`, async (t) => {
      const page = await open(t, "", { size, dark });
      await page.evaluate(axe);
      for (const [name, place] of Object.entries(places())) {
        await page.evaluate((hash) => { location.hash = hash; }, place);
        await page.locator("main h1").first().waitFor();
        await page.waitForFunction(() => !document.querySelector("main .waiting"));
        await page.waitForTimeout(250);
        await checkPage(page, name);
        if (process.env.PICTURES) await page.screenshot({ path: path.join(process.env.PICTURES, `${name}-${i}-${dark}.png`), fullPage: true });
      }
    });
  }
}

test("first paint within a second, and little to load", async (t) => {
  const page = await open(t, "");
  const paints = [];
  for (let i = 0; i < 3; i++) {
    await page.reload();
    await page.getByRole("heading", { level: 1 }).waitFor();
    paints.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
  }
  assert.ok(Math.min(...paints) < 1000, `first paint after ${paints} ms`);
  const response = await fetch(base);
  const policy = response.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
});

test("put, watch, change and delete a record whose key and value are markup", async (t) => {
  const page = await open(t, "#/records");
  const key = `ui/${markup}`;
  await page.getByLabel("Key", { exact: true }).fill(key);
  await page.getByLabel("Value", { exact: true }).fill(markup);
  await page.getByRole("button", { name: "Put", exact: true }).click();
  await page.getByText(/Stored: \d of 4 copies/).waitFor();
  await page.getByRole("link", { name: "Look at it" }).click();
  await page.getByRole("heading", { level: 1, name: key }).waitFor();
  assert.equal(await page.locator("pre.value").innerText(), markup);
  await page.getByRole("img", { name: "4 of 4 copies on the ring of keys" }).waitFor();
  // Another peer writes a new version: the page shows it by itself.
  const changed = await fetch(`${demo.peers[2].api}/v1/records/${encodeURIComponent(key)}`, { method: "PUT", body: `${markup} again` });
  assert.equal(changed.status, 200);
  await page.getByText(`${markup} again`, { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("button", { name: "Delete for everybody" }).click();
  await page.getByText("There is no record of this key").waitFor();
  await page.goto(`${base}#/network`);
  await page.locator(".feed").getByText(key).first().waitFor();
  assert.equal(await page.locator("img[src=x], main script").count(), 0);
  assert.notEqual(await page.title(), "run");
});

test("the list of keys follows what others write", async (t) => {
  const page = await open(t, "#/records?prefix=ui%2Flive%2F");
  await page.getByText("No key begins so.").waitFor();
  await fetch(`${demo.peers[3].api}/v1/records/ui%2Flive%2Fone`, { method: "PUT", body: "1" });
  await page.locator(".keys").getByRole("link", { name: /one/ }).waitFor();
  await fetch(`${demo.peers[3].api}/v1/records/ui%2Flive%2Fone`, { method: "DELETE" });
  await page.getByText("No key begins so.").waitFor();
});

test("pay with a key that stays in the page, and check the receipt there", async (t) => {
  const page = await open(t, "#/ledger/transfer");
  const requests = [];
  page.on("request", (request) => requests.push(request.postDataBuffer()));
  const file = path.join(demo.peers[0].home, "accounts", "ann.key");
  await page.getByLabel(/Open a key file/).setInputFiles(file);
  await page.getByLabel("To", { exact: true }).fill(demo.ledger.accounts.bob);
  await page.getByLabel("Amount").fill("1.239");
  await page.getByRole("button", { name: "Sign and send" }).click();
  await page.getByRole("alert").filter({ hasText: "3 places after the point" }).waitFor();
  await page.getByLabel("Amount").fill("1.23");
  await page.getByLabel(/Memo/).fill(markup);
  await page.getByRole("button", { name: "Sign and send" }).click();
  await page.getByRole("link", { name: "the transaction" }).click();
  await page.getByText("done", { exact: true }).waitFor();
  assert.equal(await page.locator("dd").filter({ hasText: markup }).count(), 1);
  const secret = Buffer.from((await readFile(file, "utf8")).match(/-----BEGIN PRIVATE KEY-----([\s\S]+?)-----END/)[1], "base64").subarray(-32);
  assert.ok(requests.every((body) => !body?.includes(secret)), "the key was sent");

  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save the receipt" }).click();
  const receipt = path.join(folder, "receipt.json");
  await (await download).saveAs(receipt);
  await page.goto(`${base}#/ledger/check`);
  await page.getByRole("button", { name: "Take this node’s" }).click();
  await page.getByText("this node", { exact: true }).waitFor();
  await page.getByLabel(/Drop a receipt/).setInputFiles(receipt);
  await page.getByText("did what it says").waitFor();
  await page.getByText("123", { exact: true }).waitFor();
  const changed = path.join(folder, "changed.json");
  await writeFile(changed, (await readFile(receipt, "utf8")).replace('"operation": 0', '"operation": 1'));
  await page.getByLabel(/Drop a receipt/).setInputFiles(changed);
  await page.getByText("Not proven.").waitFor();
});

test("everything by the keyboard alone", async (t) => {
  const page = await open(t, "");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  const until = async (name) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((text) => (document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent).trim().startsWith(text), name)) return;
    }
    assert.fail(`Tab does not lead to ${name}`);
  };
  await until("Map of 3 other peers");
  await page.keyboard.press("ArrowRight");
  await page.getByText(/^Peer …/).waitFor();
  await page.keyboard.press("Enter");
  await until("Ping five times");
  await page.keyboard.press("Enter");
  await page.locator(".pings li").nth(4).waitFor();
  await page.evaluate(() => document.querySelector(".skip").focus());
  await until("Records");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Records" }).waitFor();
  await page.evaluate(() => document.querySelector("form .primary").form.querySelector("input").focus());
  await page.keyboard.type("ui/keys");
  await page.keyboard.press("Tab");
  await page.keyboard.type("typed");
  await until("Put");
  await page.keyboard.press("Enter");
  await page.getByText(/Stored: \d of 4 copies/).waitFor();
});

test("colours stay as they were chosen", async (t) => {
  const page = await open(t, "#/node");
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.getByLabel("dark", { exact: true }).check();
  const dark = await background();
  assert.notEqual(dark, light);
  await page.reload();
  await page.getByRole("heading", { level: 1 }).waitFor();
  assert.equal(await background(), dark);
});

test("pages of other origins and rebound names get nothing", async (t) => {
  for (const [at, host] of [["/", "evil.example"], ["/v1/node", "evil.example:80"]]) {
    const status = await new Promise((resolve, reject) => {
      http.get(`${base.slice(0, -1)}${at}`, { headers: { host } }, (answer) => { answer.resume(); resolve(answer.statusCode); }).on("error", reject);
    });
    assert.equal(status, 403, `${at} for ${host}`);
  }
  const foreign = http.createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<title>elsewhere</title>")).listen(0, "127.0.0.1");
  t.after(() => foreign.close());
  await new Promise((resolve) => { foreign.once("listening", resolve); });
  const page = await (await browser.newContext()).newPage();
  t.after(() => page.context().close());
  await page.goto(`http://127.0.0.1:${foreign.address().port}/`);
  const got = await page.evaluate(async (node) => {
    const ask = (init) => fetch(`${node}v1/records/ui%2Fstolen`, init).then((r) => r.status, () => "refused");
    return [await ask({ method: "PUT", body: "x" }), await ask({ mode: "no-cors", method: "POST", body: "x" }), await ask({})];
  }, base);
  assert.ok(got.every((status) => status === "refused" || status === 0), `${got}`);
  assert.equal((await fetch(`${base}v1/records/ui%2Fstolen`)).status, 404);
});

test("the tour: ping, put, get, a peer that is killed and comes back, a payment", async (t) => {
  const page = await open(t, "", { tour: true });
  const tour = page.getByRole("complementary", { name: "Tour" });
  const next = () => tour.getByRole("button", { name: "Next" }).click();
  await tour.getByRole("button", { name: "Begin" }).click();
  await tour.getByRole("button", { name: /^Ping/ }).click();
  await tour.getByText(/answered in/).waitFor();
  await next();
  await tour.getByRole("button", { name: /^Put/ }).click();
  await tour.getByText(/copies were on disk/).waitFor();
  await next();
  await tour.getByRole("button", { name: /^Get/ }).click();
  await tour.getByText(/hello from the dashboard/).waitFor();
  await next();
  await tour.getByText("kill 4", { exact: true }).waitFor();
  demo.order("kill 4");
  await tour.getByText(/is (suspect|dead)\./).waitFor();
  await page.locator(".dot.dead, .dot.suspect").first().waitFor();
  demo.order("start 4");
  await tour.getByText(/It is back/).waitFor({ timeout: 60_000 });
  await next();
  await page.getByLabel(/Open a key file/).setInputFiles(path.join(demo.peers[0].home, "accounts", "bob.key"));
  await page.getByLabel("To", { exact: true }).fill(demo.ledger.accounts.ann);
  await page.getByLabel("Amount").fill("0.01");
  await page.getByRole("button", { name: "Sign and send" }).click();
  await tour.getByText(/Paid, and in a block/).waitFor();
  await tour.getByRole("button", { name: "End", exact: true }).click();
  assert.equal(await tour.count(), 0);
});
