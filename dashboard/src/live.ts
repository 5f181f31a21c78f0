import { Client, ProblemError, type BlockBrief, type Ledger, type Link, type NetworkEvent, type Node, type Peer, type Records } from "@folkmoot/client";
import { announce } from "./changes";
import { Store } from "./store";

/** The most entries of the feed, and of blocks, that are kept: the page may be open for weeks. */
const maxFeed = 60;
const maxBlocks = 40;
const maxRecalled = 12;
/** How often the page is drawn anew at most, in milliseconds. */
const tellPause = 100;

/** One thing that happened. */
export interface Happening {
  id: number;
  time: Date;
  kind: "peer" | "record" | "block" | "repair";
  text: string;
  /** What it is about, as a link within the page. */
  href?: string;
  subject?: string;
  tone?: "good" | "warn" | "bad";
}

export type Connection = "connecting" | "live" | "broken" | "locked";

export interface Live {
  connection: Connection;
  /** Why the connection is broken. */
  trouble: string;
  node: Node | undefined;
  peers: ReadonlyMap<string, Peer>;
  /** Links by the peers at their ends; those of this node are told by the peers themselves. */
  links: ReadonlyMap<string, Link[]>;
  /** Peers that are alive are all connected to one another. */
  mesh: boolean;
  /** The network is larger than what this node keeps in view. */
  partial: boolean;
  records: Records | undefined;
  ledger: Ledger | undefined;
  blocks: BlockBrief[];
  feed: Happening[];
  /** Grows when everything has to be listed anew. */
  epoch: number;
}

export const live = new Store<Live>({
  connection: "connecting", trouble: "", node: undefined, peers: new Map(), links: new Map(), mesh: false, partial: false, records: undefined, ledger: undefined,
  blocks: [], feed: [], epoch: 0,
}, tellPause);

const tokenName = "folkmoot-token";

/** The client of the node that served the page. A token lives as long as the tab. */
export const client = new Client({ url: location.origin, token: sessionStorage.getItem(tokenName) ?? undefined });

let stop: AbortController | undefined;
let happenings = 0;

/** Takes a token and starts anew. */
export function unlock(token: string): void {
  client.token = token;
  sessionStorage.setItem(tokenName, token);
  startLive();
}

/** Follows the node until the page is closed. */
export function startLive(): void {
  stop?.abort();
  stop = new AbortController();
  const { signal } = stop;
  live.set({ connection: "connecting", trouble: "" });
  void follow(signal, network);
  void follow(signal, records);
  void loadNode();
}

/** Loads what no event tells. */
export async function loadNode(): Promise<void> {
  try {
    live.set({ node: await client.node() });
  } catch (error) {
    if (error instanceof ProblemError && error.status === 401) live.set({ connection: "locked" });
  }
}

async function follow(signal: AbortSignal, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  try {
    await run(signal);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof ProblemError && error.status === 401) live.set({ connection: "locked", trouble: error.message });
    else live.set({ connection: "broken", trouble: (error as Error).message });
  }
}

async function network(signal: AbortSignal): Promise<void> {
  const onConnection = (connected: boolean, error?: Error) => {
    live.set(connected ? { connection: "live", trouble: "" } : { connection: "broken", trouble: error?.message ?? "" });
    if (connected) void loadNode();
  };
  for await (const event of client.watchNetwork({ signal, onConnection })) take(event);
}

async function records(signal: AbortSignal): Promise<void> {
  let begun = false;
  const onConnection = (connected: boolean) => {
    if (connected && begun) live.set({ epoch: live.get().epoch + 1 });
    begun ||= connected;
  };
  for await (const event of client.watch({ signal, onConnection })) {
    if (event.event === "change" && event.key) {
      announce({ ...event, key: event.key });
      tell({ kind: "record", subject: event.key, href: `#/records/${encodeURIComponent(event.key)}`, text: event.deleted ? "deleted" : "written" });
    } else if (event.event === "lost" || event.event === "complete") {
      live.set({ epoch: live.get().epoch + 1 });
    }
  }
}

function tell(what: Omit<Happening, "id" | "time">, time = new Date()): void {
  live.set({ feed: [{ ...what, id: ++happenings, time }, ...live.get().feed].slice(0, maxFeed) });
}

/** Takes one event of the network. */
function take(event: NetworkEvent): void {
  const now = live.get();
  const time = new Date(event.time);
  switch (event.event) {
    case "state": {
      if (!event.state) return;
      const peers = new Map(event.state.peers.map((peer) => [peer.id, peer]));
      if (now.peers.size === 0) recall(event.state.peers);
      live.set({ peers, links: linksOf(event.state.links), mesh: event.state.mesh, partial: event.state.partial, records: event.state.records, ledger: event.state.ledger });
      return;
    }
    case "peer": {
      if (!event.peer) return;
      const before = now.peers.get(event.peer.id);
      live.set({
        peers: new Map(now.peers).set(event.peer.id, event.peer),
        links: new Map(now.links).set(event.peer.id, event.links ?? []),
      });
      tellPeer(before, event.peer, time);
      return;
    }
    case "gone": {
      const peers = new Map(now.peers);
      const links = new Map(now.links);
      peers.delete(event.id ?? "");
      links.delete(event.id ?? "");
      live.set({ peers, links });
      return;
    }
    case "records":
      if (event.records) {
        tellRepair(now.records, event.records, time);
        live.set({ records: event.records });
      }
      return;
    case "ledger":
      live.set({ ledger: event.ledger });
      return;
    case "block":
      if (event.block) takeBlock(event.block, time);
  }
}

/** Begins the feed with what is known of the time before the page was opened. */
function recall(peers: Peer[]): void {
  const told = peers.filter((peer) => !peer.self && peer.since).sort((a, b) => (a.since! < b.since! ? -1 : 1));
  for (const peer of told.slice(-maxRecalled)) tellPeer(undefined, peer, new Date(peer.since!));
}

function linksOf(links: Link[]): Map<string, Link[]> {
  const map = new Map<string, Link[]>();
  for (const link of links) {
    // A connection is told with the peer at its other end, and a relay with the peer that is reached through it.
    const of = link.kind === "connection" ? link.to : link.from;
    map.set(of, [...(map.get(of) ?? []), link]);
  }
  return map;
}

function takeBlock(block: BlockBrief, time: Date): void {
  const now = live.get();
  const blocks = [block, ...now.blocks.filter((other) => other.height !== block.height)].slice(0, maxBlocks);
  live.set({ blocks, ledger: now.ledger && { ...now.ledger, height: Math.max(now.ledger.height, block.height), time: block.time ?? now.ledger.time } });
  if (block.transactions > 0) {
    tell({
      kind: "block", subject: `Block ${block.height}`, href: `#/ledger/block/${block.height}`,
      text: block.transactions === 1 ? "1 transaction" : `${block.transactions} transactions`,
    }, time);
  }
}

const words: Record<Peer["state"], { text: string; tone: Happening["tone"] }> = {
  alive: { text: "is alive", tone: "good" },
  suspect: { text: "is silent: suspected", tone: "warn" },
  away: { text: "said that it is away", tone: "warn" },
  dead: { text: "is dead", tone: "bad" },
  unknown: { text: "is heard of", tone: undefined },
};

function tellPeer(before: Peer | undefined, peer: Peer, time: Date): void {
  const about = { kind: "peer" as const, subject: shortID(peer.id), href: `#/network/${peer.id}` };
  if (!before || before.state !== peer.state) tell({ ...about, ...words[peer.state] }, time);
  else if (peer.leaving && !before.leaving) tell({ ...about, text: "leaves for good, and hands over", tone: "warn" }, time);
  else if (peer.relayed !== before.relayed) tell({ ...about, text: peer.relayed ? "is reached through a relay" : "is reached directly" }, time);
}

function tellRepair(before: Records | undefined, now: Records, time: Date): void {
  if (!before) return;
  if (now.below > 0 && before.below === 0) {
    tell({ kind: "repair", text: `${now.below === 1 ? "1 record lacks" : `${now.below} records lack`} copies: repair began`, tone: "warn" }, time);
  } else if (now.below === 0 && before.below > 0) {
    tell({ kind: "repair", text: "every record has all its copies again", tone: "good" }, time);
  }
}

/** The end of a peer id tells peers apart; its beginning is the same for all. */
export const shortID = (id: string): string => `…${id.slice(-6)}`;
