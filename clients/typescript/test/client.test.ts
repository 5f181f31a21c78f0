import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, ProblemError, UnreachableError } from "../src/index.js";
import { startDemo } from "./demo.js";

test("a node of a network of four", async (t) => {
  const demo = await startDemo();
  t.after(() => demo.stop());
  const url = demo.peers[0]!.api;
  const client = new Client({ url });

  await t.test("says who is there", async () => {
    const node = await client.node();
    const peers = await client.peers();
    assert.equal(peers.filter((p) => p.self).map((p) => p.id)[0], node.id);
    const other = peers.find((p) => !p.self)!;
    assert.equal((await client.peer(other.id)).id, other.id);
    assert.ok((await client.ping(other.id)).rtt_us > 0);
    assert.ok((await client.standing()).complete);
  });

  await t.test("keeps records under any key", async () => {
    for (const key of ["ts/plain", "ts/a//b", "ts/a/../b", "ts/ä b?c=d&e#f%2Fg", "ts/<b>"]) {
      const value = new TextEncoder().encode(`value of ${key}`);
      const written = await client.put(key, value);
      const got = await client.get(key);
      assert.deepEqual([got.key, [...got.value], got.version], [key, [...value], written.version]);
      assert.ok((await client.holders(key)).holders.some((h) => h.version === written.version));
    }
    const page = await client.list({ prefix: "ts/" });
    assert.deepEqual(page.records.map((r) => r.key), ["ts/<b>", "ts/a/../b", "ts/a//b", "ts/plain", "ts/ä b?c=d&e#f%2Fg"]);
    const first = await client.list({ prefix: "ts/", limit: 2 });
    assert.equal((await client.list({ prefix: "ts/", limit: 2, cursor: first.cursor! })).records[0]?.key, "ts/a//b");
    await assert.rejects(client.get(".."), RangeError);
  });

  await t.test("says what failed in problem documents", async () => {
    await client.put("ts/once", "1");
    await assert.rejects(client.put("ts/once", "2", { ifAbsent: true }), (e) => e instanceof ProblemError && e.status === 412 && e.kind === "conflict");
    await assert.rejects(client.get("ts/none"), (e) => e instanceof ProblemError && e.kind === "not-found");
    await assert.rejects(new Client({ url: "http://127.0.0.1:9" }).node(), UnreachableError);
    const stop = AbortSignal.abort(new Error("enough"));
    await assert.rejects(client.node(stop), /enough/);
  });

  await t.test("tells changes, and goes on from a cursor", async () => {
    const stop = new AbortController();
    const put = async (key: string) => void (await client.put(key, "x"));
    let cursor = "";
    const keys: string[] = [];
    for await (const event of client.watch({ prefix: "ts/watch/", signal: stop.signal, values: true, onConnection: (on) => on && void put("ts/watch/1") })) {
      keys.push(event.key!);
      assert.equal(event.value, "x");
      cursor = event.cursor;
      stop.abort();
    }
    await put("ts/watch/2");
    const again = new AbortController();
    for await (const event of client.watch({ prefix: "ts/watch/", signal: again.signal, cursor })) {
      keys.push(event.key!);
      if (event.key === "ts/watch/2") again.abort();
    }
    assert.equal(keys[0], "ts/watch/1");
    assert.equal(keys.at(-1), "ts/watch/2");
  });

  await t.test("tells of the network, everything first", async () => {
    const stop = new AbortController();
    for await (const event of client.watchNetwork({ signal: stop.signal })) {
      assert.equal(event.event, "state");
      assert.equal(event.state!.self, (await client.node()).id);
      assert.equal(event.state!.peers.length, (await client.peers()).length);
      stop.abort();
    }
  });
});
