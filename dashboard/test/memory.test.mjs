// Whether the page's memory stays as it is while it is open in a large network: an hour of one of 200 simulated peers, in a minute.
// MINUTES=60 has it go on for an hour, SPEED=1 in the time of the world; PICTURES=DIR writes what the map looks like.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { startNode } from "../sim/node.mjs";
import { axe, checkPage, launch, openPage, sizes } from "./browser.mjs";

const minutes = Number(process.env.MINUTES ?? 1);
const speed = Number(process.env.SPEED ?? 60);
/** How often is measured. */
const points = 6;
/** By how much the heap after garbage collection may be larger in the second half than in the first, in bytes, and by how many nodes the document. */
const maxGrowth = 2 ** 20;
const maxNodes = 500;
/** The pages that are gone through over and over: what one leaves behind is found, too. */
const places = ["#/network", "#/records", "#/records?prefix=photos%2F", "#/ledger", "#/node"];

let browser, node;

before(async () => {
  browser = await launch("--js-flags=--expose-gc");
});

after(async () => {
  await browser?.close();
});

test(`${minutes} min with 200 simulated peers, time ${speed} times as fast`, { timeout: (minutes + 5) * 60_000 }, async (t) => {
  node = await startNode({ peers: 200, speed });
  t.after(() => node.stop());
  const page = await openPage(t, browser, `${node.url}#/network`);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("HeapProfiler.enable");
  const measure = async () => {
    // Always at the same place, when what was there before had time to go.
    await page.evaluate(() => { location.hash = "#/network"; });
    await page.waitForTimeout(1500);
    for (let i = 0; i < 3; i++) await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    const { nodes, jsEventListeners } = await devtools.send("Memory.getDOMCounters");
    return { heap: usedSize, nodes, listeners: jsEventListeners, events: node.told() };
  };
  const go = async (until) => {
    for (let i = 0; Date.now() < until; i++) {
      await page.evaluate((hash) => { location.hash = hash; }, places[i % places.length]);
      await page.waitForTimeout(Math.min(2000, Math.max(0, until - Date.now())));
    }
  };
  const begun = Date.now();
  // The first measurement comes when the feed and the list of blocks are as long as they get, and code is compiled.
  const list = [];
  for (let i = 1; i <= points; i++) {
    await go(begun + (minutes * 60_000 * i) / points);
    list.push(await measure());
    t.diagnostic(`after ${((Date.now() - begun) / 1000).toFixed(0)} s and ${list.at(-1).events} events: ${(list.at(-1).heap / 2 ** 20).toFixed(2)} MiB, ${list.at(-1).nodes} nodes, ${list.at(-1).listeners} listeners`);
  }
  assert.ok(list.at(-1).events - list[0].events > (minutes * 60 * speed) / 2, `only ${list.at(-1).events - list[0].events} events`);
  // What goes up and down is not taken for growth: the least of the second half is compared with the least of the first.
  const grew = (what) => Math.min(...list.slice(points / 2).map((m) => m[what])) - Math.min(...list.slice(0, points / 2).map((m) => m[what]));
  assert.ok(grew("heap") < maxGrowth, `the heap grew by ${grew("heap")} bytes`);
  assert.ok(grew("nodes") < maxNodes, `the document grew by ${grew("nodes")} nodes`);
});

test("the map of 200 peers", async (t) => {
  const still = await startNode({ peers: 200, speed: 1 });
  t.after(() => still.stop());
  for (const [i, size] of sizes.entries()) {
    for (const dark of [false, true]) {
      const page = await openPage(t, browser, `${still.url}#/network`, { size, dark });
      await page.evaluate(axe);
      await page.getByRole("application", { name: /Map of 199 other peers/ }).waitFor();
      await page.waitForTimeout(500);
      await checkPage(page, "the map of 200 peers");
      if (process.env.PICTURES) await page.screenshot({ path: path.join(process.env.PICTURES, `crowd-${i}-${dark}.png`) });
      await page.context().close();
    }
  }
});
