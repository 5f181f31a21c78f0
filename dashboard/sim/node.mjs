// Serves the page as a node does, with a simulated network behind it. node dashboard/sim/node.mjs [PEERS [SPEED]] serves it until it is stopped.
import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Network } from "./network.mjs";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
/** How often events are sent, in milliseconds: as often as a node looks at its network. */
const tick = 200;

/** Starts a node of a simulated network whose time goes so many times as fast as that of the world. */
export async function startNode({ peers = 200, speed = 1, seed = 1 } = {}) {
  const network = new Network({ peers, seed });
  const streams = { network: new Set(), records: new Set() };
  let cursor = 0;
  let told = 0;
  const send = (stream, { event, data }) => stream.write(`id: ${++cursor}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const timer = setInterval(() => {
    for (const event of network.advance((speed * tick) / 1000)) {
      told++;
      for (const stream of streams[event.stream]) send(stream, event);
    }
  }, tick);

  const open = (response, name) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write("retry: 1000\n\n");
    streams[name].add(response);
    response.once("close", () => streams[name].delete(response));
    if (name === "network") send(response, network.event("state", { state: network.whole() }));
  };
  const documents = {
    "/v1/node": () => ({ id: network.self, network: { name: "crowd", id: "ab".repeat(32), open: false }, version: "1.0.0", started: new Date(network.start).toISOString(), addresses: [], peers: {}, records: network.holds(), ready: true }),
    "/v1/standing": () => ({ full: network.records.size, below: 0, unreachable: 0, complete: true }),
    "/v1/doctor": () => ({ healthy: true, time: network.time(), checks: [], findings: [] }),
    "/v1/ledger/signers": () => ({ signers: [] }),
    "/v1/ledger/validators": () => ({ validators: ["a", "b", "c", "d"].map((c) => ({ key: c.repeat(64), power: 1, operator: `moot1${c.repeat(58)}`, blocks: 100, signed: 97 })), proposals: [], total_power: 4, window: 100 }),
    "/v1/records": (url) => {
      const prefix = url.searchParams.get("prefix") ?? "";
      const from = url.searchParams.get("cursor") ?? "";
      const list = [...network.records.values()].filter((r) => r.key.startsWith(prefix) && r.key > from).sort((a, b) => (a.key < b.key ? -1 : 1));
      const page = list.slice(0, 100);
      return { records: page, complete: true, cursor: list.length > 100 ? page.at(-1).key : undefined };
    },
  };
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/v1/network/events") return open(response, "network");
    if (url.pathname === "/v1/events") return open(response, "records");
    const answer = documents[url.pathname] ?? (/^\/v1\/ledger\/blocks\/\d+$/.test(url.pathname) ? () => ({ height: Number(path.basename(url.pathname)), hash: "ef".repeat(32), transactions: [] }) : undefined);
    if (answer) return response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(answer(url)));
    if (url.pathname.startsWith("/v1/")) {
      return response.writeHead(404, { "Content-Type": "application/problem+json" }).end(JSON.stringify({ type: "urn:folkmoot:problem:not-found", title: "Not found", status: 404, detail: "the simulated node does not know this", kind: "not-found" }));
    }
    try {
      const name = url.pathname === "/" ? "index.html" : path.normalize(url.pathname).slice(1);
      const data = await readFile(path.join(dist, name));
      return response.writeHead(200, { "Content-Type": types[path.extname(name)] ?? "application/octet-stream" }).end(data);
    } catch {
      return response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    network,
    /** How many events there were so far. */
    told: () => told,
    stop: async () => {
      clearInterval(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [peers = "200", speed = "1"] = process.argv.slice(2);
  const node = await startNode({ peers: Number(peers), speed: Number(speed) });
  console.log(`${peers} simulated peers, time ${speed} times as fast: ${node.url}`);
}
