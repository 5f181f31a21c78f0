// The example against a real node, and where something is wrong: MOOT_BINARY is the program.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

const program = process.env.MOOT_BINARY;
const example = new URL("dist/orders.js", import.meta.url).pathname;
/** How long the node may take until it serves, in milliseconds. */
const patience = 60_000;

let folder, home, child, api, token, asset, bob;

/** Runs a program, and returns its exit code and what it says. */
const run = (file, args, env = {}) => new Promise((resolve) => {
  execFile(file, args, { cwd: folder, env: { PATH: process.env.PATH, HOME: folder, ...env } }, (error, stdout, stderr) => {
    resolve({ code: error ? error.code : 0, stdout, stderr });
  });
});

/** Runs a moot command that must succeed. */
async function moot(...args) {
  const { code, stdout, stderr } = await run(program, args, { MOOT_HOME: home });
  assert.equal(code, 0, `moot ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

const orders = (args, env) => run(process.execPath, [example, ...args], { MOOT_API: api, MOOT_TOKEN: token, ...env });

/** Returns the address of a port at which nobody listens. */
async function closedPort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return `http://127.0.0.1:${port}`;
}

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "moot-orders-"));
  home = path.join(folder, "node");
  await moot("init", "--network", "town");
  ({ token } = JSON.parse(await moot("token", "new", "orders", "--scope", "write", "--json")));
  child = spawn(program, ["run", "--listen", "/ip4/127.0.0.1/tcp/0", "--mdns=false", "--api-listen", "127.0.0.1:0", "--api-tokens=require"],
    { env: { PATH: process.env.PATH, HOME: folder, MOOT_HOME: home }, stdio: ["ignore", "ignore", "inherit"] });
  for (const deadline = Date.now() + patience; ; await pause(50)) {
    assert.ok(Date.now() < deadline && child.exitCode === null, "the node does not serve");
    try {
      api = JSON.parse(await readFile(path.join(home, "api.json"), "utf8")).url;
      if ((await fetch(`${api}/readyz`)).ok) break;
    } catch {
      // Not there yet.
    }
  }
  asset = `LOAF@${await moot("ledger", "account", "new", "ann")}`;
  bob = await moot("ledger", "account", "new", "bob");
  await moot("ledger", "asset", "define", "LOAF", "--issuer", "ann", "--scale", "2");
  await moot("ledger", "issue", "100", "LOAF", "--to", "ann");
});

after(async () => {
  if (child && child.exitCode === null) {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  if (folder) await rm(folder, { recursive: true });
});

const payment = (amount, more = []) => ["--key", path.join(home, "accounts", "ann.key"), "--to", bob, "--asset", asset, "--amount", amount, ...more];

test("orders are put, watched and paid", async () => {
  const { code, stdout, stderr } = await orders(payment("2.50"));
  assert.equal(stderr, "");
  assert.equal(code, 0);
  assert.match(stdout, new RegExp("^put orders/1: 1 of 1 copies\ngot orders/1 = two loaves\nsaw orders/2 = a cake\nresumed: saw orders/3 = ten rolls\n" +
    "paid 2\\.50: transaction [0-9a-f]{64} is in block \\d+\nproven: block \\d+; the receipt is in receipt.json\n$"));
  assert.match(await moot("ledger", "balances", "bob"), /^2\.50 LOAF/);
  await writeFile(path.join(folder, "genesis.json"), await moot("ledger", "genesis"));
  assert.match(await moot("ledger", "verify", path.join(folder, "receipt.json"), "--genesis", path.join(folder, "genesis.json")), /^proven: this transaction/);
});

for (const [name, { args = [], env = async () => ({}), code, says }] of Object.entries({
  "no node": { env: async () => ({ MOOT_API: await closedPort() }), code: 4, says: /the node does not answer: ECONNREFUSED/ },
  "no token": { env: async () => ({ MOOT_TOKEN: "" }), code: 1, says: /token/ },
  "a wrong token": { env: async () => ({ MOOT_TOKEN: `x${token}` }), code: 1, says: /token/ },
  "no address": { env: async () => ({ MOOT_API: "nowhere" }), code: 2, says: /want http:\/\/HOST:PORT/ },
  "half a payment": { args: ["--key", "none"], code: 2, says: /--key needs --to/ },
  "an unknown option": { args: ["--quickly"], code: 2, says: /--quickly/ },
  "no key": { args: () => payment("1", ["--key", "none"]), code: 2, says: /read the key: ENOENT/ },
  "too much": { args: () => payment("1000"), code: 5, says: /insufficient balance/ },
  "too many places": { args: () => payment("0.001"), code: 2, says: /3 places/ },
  "no such asset": { args: () => payment("1", ["--asset", `NONE@${bob}`]), code: 3, says: /there is no asset/ },
})) {
  test(`${name}: a clear message and exit code ${code}`, async () => {
    const got = await orders(typeof args === "function" ? args() : args, await env());
    assert.match(got.stderr, /^orders: /);
    assert.match(got.stderr, says);
    assert.equal(got.code, code, got.stderr);
  });
}
