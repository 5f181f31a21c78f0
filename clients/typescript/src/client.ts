import { stream, type StreamOptions } from "./events.js";
import { errorOf, UnreachableError } from "./problem.js";
import type { components } from "./schema.js";

type Schemas = components["schemas"];
export type Node = Schemas["Node"];
export type Diagnosis = Schemas["Diagnosis"];
export type Peer = Schemas["Peer"];
export type Pong = Schemas["Pong"];
export type Copies = Schemas["Copies"];
export type Entry = Schemas["Entry"];
export type Page = Schemas["Page"];
export type Written = Schemas["Written"];
export type Holding = Schemas["Holding"];
export type Holder = Schemas["Holder"];
export type Standing = Schemas["Standing"];
export type RecordEvent = Schemas["Event"];
export type Records = Schemas["Records"];
export type Topology = Schemas["Topology"];
export type Link = Schemas["Link"];
export type NetworkEvent = Schemas["NetworkEvent"];
export type BlockBrief = Schemas["BlockBrief"];
export type Ledger = Schemas["Ledger"];
export type Block = Schemas["Block"];
export type Account = Schemas["Account"];
export type Asset = Schemas["Asset"];
export type History = Schemas["History"];
export type Validators = Schemas["Validators"];
export type Transaction = Schemas["Transaction"];
export type Operation = Schemas["Operation"];
export type TransactionStatus = Schemas["TransactionStatus"];
export type CommittedTransaction = Schemas["CommittedTransaction"];
export type Signer = Schemas["Signer"];
export type NodeTransfer = Schemas["Transfer"];
export type Members = Schemas["Members"];
export type Published = Schemas["Published"];

/** How many copies a write waits for, and how many holders a read asks. */
export type Consistency = "one" | "quorum" | "all";

/** A record with its value as bytes. */
export interface StoredRecord {
  key: string;
  value: Uint8Array;
  version: string;
  author: string;
  expires?: Date;
  /** On how many disks the version is known to be, such as "3 of 5". */
  copies: string;
  /** Token of the session that the read belongs to. */
  session?: string;
}

export interface PutOptions {
  /** How long the record lives, such as "90s"; absent: for ever. */
  ttl?: string;
  consistency?: Consistency;
  /** Write only if this version is the newest. */
  ifVersion?: string;
  /** Write only if there is no record. */
  ifAbsent?: boolean;
  session?: string;
  signal?: AbortSignal;
}

export interface ListOptions {
  prefix?: string;
  cursor?: string;
  after?: string;
  limit?: number;
  local?: boolean;
  signal?: AbortSignal;
}

export interface ClientOptions {
  /** Address of the API, such as http://127.0.0.1:7070; absent in a page that the node serves: the page's own. */
  url?: string;
  /** Sent as Authorization: Bearer TOKEN. */
  token?: string;
  fetch?: typeof fetch;
}

type Query = Record<string, string | number | boolean | undefined>;
type Init = RequestInit & { query?: Query };

/** Media type of an encoded transaction. */
export const transactionType = "application/vnd.folkmoot.transaction";

/**
 * Client of one node. Methods reject with ProblemError when the node refuses or fails, and with UnreachableError when there is no answer; what a
 * signal aborts rejects with the signal's reason.
 */
export class Client {
  private readonly base: string;
  private readonly fetch: typeof fetch;
  token: string | undefined;

  constructor(options: ClientOptions = {}) {
    this.base = (options.url ?? "").replace(/\/+$/, "");
    this.token = options.token;
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  node(signal?: AbortSignal): Promise<Node> {
    return this.json("/v1/node", { signal });
  }

  standing(signal?: AbortSignal): Promise<Standing> {
    return this.json("/v1/standing", { signal });
  }

  /** Returns every peer known, the node itself included, sorted by id. */
  async peers(signal?: AbortSignal): Promise<Peer[]> {
    return (await this.json<Schemas["Peers"]>("/v1/peers", { signal })).peers;
  }

  /** Finds a peer, beyond those known where needed. */
  peer(id: string, via?: "iterative" | "recursive" | "broadcast", signal?: AbortSignal): Promise<Peer> {
    return this.json(`/v1/peers/${segment(id)}`, { query: { via }, signal });
  }

  /** Measures one round trip to a peer id or multiaddr. */
  ping(target: string, signal?: AbortSignal): Promise<Pong> {
    return this.json("/v1/ping", { method: "POST", body: JSON.stringify({ target }), headers: { "Content-Type": "application/json" }, signal });
  }

  /** Returns who is there and who is connected to whom, as far as the node knows. */
  network(signal?: AbortSignal): Promise<Topology> {
    return this.json("/v1/network", { signal });
  }

  /** Yields how the network around the node changes until the signal aborts: everything first (an event "state", which voids what was told before), then changes. */
  async *watchNetwork(options: StreamOptions = {}): AsyncGenerator<NetworkEvent & { cursor: string }> {
    for await (const event of this.events("/v1/network/events", {}, options)) {
      yield { ...(JSON.parse(event.data) as NetworkEvent), cursor: event.cursor };
    }
  }

  members(signal?: AbortSignal): Promise<Members> {
    return this.json("/v1/members", { signal });
  }

  async get(key: string, options: { consistency?: Consistency; session?: string; signal?: AbortSignal } = {}): Promise<StoredRecord> {
    const response = await this.send(`/v1/records/${segment(key)}`, {
      query: { consistency: options.consistency }, headers: defined({ "Moot-Session": options.session, Accept: "application/octet-stream" }), signal: options.signal,
    });
    const value = new Uint8Array(await response.arrayBuffer());
    const header = (name: string) => response.headers.get(name) ?? "";
    const expires = response.headers.get("Moot-Expires");
    return {
      key, value, version: header("Moot-Version"), author: header("Moot-Author"), copies: header("Moot-Copies"),
      expires: expires ? new Date(expires) : undefined, session: response.headers.get("Moot-Session") ?? undefined,
    };
  }

  put(key: string, value: string | Uint8Array, options: PutOptions = {}): Promise<Written> {
    return this.json(`/v1/records/${segment(key)}`, {
      method: "PUT", body: value as BodyInit, query: { ttl: options.ttl, consistency: options.consistency }, signal: options.signal,
      headers: { "Content-Type": "application/octet-stream", ...conditions(options) },
    });
  }

  delete(key: string, options: Omit<PutOptions, "ttl" | "ifAbsent"> = {}): Promise<Written> {
    return this.json(`/v1/records/${segment(key)}`, {
      method: "DELETE", query: { consistency: options.consistency }, headers: conditions(options), signal: options.signal,
    });
  }

  list(options: ListOptions = {}): Promise<Page> {
    const { signal, ...query } = options;
    return this.json("/v1/records", { query: { ...query, prefix: query.prefix || undefined }, signal });
  }

  holders(key: string, signal?: AbortSignal): Promise<Holding> {
    return this.json(`/v1/holders/${segment(key)}`, { signal });
  }

  /** Yields the changes of records until the signal aborts. Every change that is acknowledged is told at least once; after an event "lost" the records should be listed anew. */
  async *watch(options: StreamOptions & { prefix?: string; values?: boolean } = {}): AsyncGenerator<RecordEvent & { cursor: string }> {
    const query = { prefix: options.prefix || undefined, values: options.values };
    for await (const event of this.events("/v1/events", query, options)) {
      yield { ...(JSON.parse(event.data) as RecordEvent), cursor: event.cursor };
    }
  }

  /** Publishes a message of up to 64 KiB to everybody who follows the topic now. */
  publish(topic: string, message: string | Uint8Array, signal?: AbortSignal): Promise<Published> {
    return this.json(`/v1/topics/${segment(topic)}`, {
      method: "POST", body: message as BodyInit, headers: { "Content-Type": "application/octet-stream" }, signal,
    });
  }

  ledger(signal?: AbortSignal): Promise<Ledger> {
    return this.json("/v1/ledger", { signal });
  }

  block(height: number | "latest", signal?: AbortSignal): Promise<Block> {
    return this.json(`/v1/ledger/blocks/${height}`, { signal });
  }

  account(id: string, signal?: AbortSignal): Promise<Account> {
    return this.json(`/v1/ledger/accounts/${segment(id)}`, { signal });
  }

  history(id: string, options: { cursor?: string; limit?: number; signal?: AbortSignal } = {}): Promise<History> {
    const { signal, ...query } = options;
    return this.json(`/v1/ledger/history/${segment(id)}`, { query, signal });
  }

  asset(id: string, signal?: AbortSignal): Promise<Asset> {
    return this.json(`/v1/ledger/assets/${segment(id)}`, { signal });
  }

  validators(signal?: AbortSignal): Promise<Validators> {
    return this.json("/v1/ledger/validators", { signal });
  }

  transaction(id: string, signal?: AbortSignal): Promise<CommittedTransaction> {
    return this.json(`/v1/ledger/transactions/${segment(id)}`, { signal });
  }

  /** Hands in an encoded transaction; the same again is the same transaction. */
  submit(encoded: Uint8Array, wait: "accepted" | "committed" = "committed", signal?: AbortSignal): Promise<TransactionStatus> {
    return this.json("/v1/ledger/transactions", {
      method: "POST", body: encoded as BodyInit, query: { wait }, headers: { "Content-Type": transactionType }, signal,
    });
  }

  /** Returns the keys that the node was told to sign transfers with. */
  async signers(signal?: AbortSignal): Promise<Signer[]> {
    return (await this.json<Schemas["Signers"]>("/v1/ledger/signers", { signal })).signers;
  }

  /** Has the node sign a transfer and hand it in. The same document under the same key, 16 to 64 random characters for one payment, is the same payment; it takes a token of the scope admin. */
  transfer(transfer: NodeTransfer, key: string, wait: "accepted" | "committed" = "committed", signal?: AbortSignal): Promise<TransactionStatus> {
    return this.json("/v1/ledger/transfers", {
      method: "POST", body: JSON.stringify(transfer), query: { wait }, headers: { "Content-Type": "application/json", "Idempotency-Key": key }, signal,
    });
  }

  /** Returns the description of the API (OpenAPI 3.1). */
  openapi(signal?: AbortSignal): Promise<unknown> {
    return this.json("/openapi.json", { signal });
  }

  /** Returns the receipt of a transaction as it is written: any byte that differs is found out. */
  async receipt(id: string, signal?: AbortSignal): Promise<string> {
    return (await this.send(`/v1/ledger/receipts/transactions/${segment(id)}`, { signal })).text();
  }

  /** Returns the genesis document as it is written. */
  async genesis(signal?: AbortSignal): Promise<string> {
    return (await this.send("/v1/ledger/genesis", { signal })).text();
  }

  /** Yields the server-sent events of any path, and takes the stream up again when it breaks off. */
  events(path: string, query: Query = {}, options: StreamOptions = {}) {
    return stream((cursor, signal) => this.fetch(this.base + path + search(query), {
      headers: this.authorized(defined({ Accept: "text/event-stream", "Last-Event-ID": cursor || undefined })), signal, cache: "no-store",
    }), options);
  }

  /** Asks for a document of any path. */
  async json<T>(path: string, init: Init = {}): Promise<T> {
    const response = await this.send(path, { ...init, headers: { Accept: "application/json", ...(init.headers as Record<string, string>) } });
    return (await response.json()) as T;
  }

  private async send(path: string, { query, ...init }: Init): Promise<Response> {
    let response: Response;
    try {
      response = await this.fetch(this.base + path + search(query ?? {}), {
        ...init, headers: this.authorized((init.headers as Record<string, string>) ?? {}), cache: "no-store",
      });
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new UnreachableError("the node does not answer", { cause: error });
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  private authorized(headers: Record<string, string>): Record<string, string> {
    return this.token ? { ...headers, Authorization: `Bearer ${this.token}` } : headers;
  }
}

/** Returns text as one segment of a path. The keys "." and ".." can't be one: URLs lose them whichever way they are written (URL standard, double-dot segments). */
function segment(text: string): string {
  if (text === "." || text === "..") throw new RangeError(`the key ${JSON.stringify(text)} can't be written in a URL by a browser: use moot`);
  return encodeURIComponent(text);
}

function search(query: Query): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "" && value !== false) parts.set(name, String(value));
  }
  return parts.size > 0 ? `?${parts}` : "";
}

function conditions(options: Pick<PutOptions, "ifVersion" | "ifAbsent" | "session">): Record<string, string> {
  return defined({
    "If-Match": options.ifVersion && `"${options.ifVersion}"`, "If-None-Match": options.ifAbsent ? "*" : undefined, "Moot-Session": options.session,
  });
}

function defined(headers: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => Boolean(entry[1])));
}
