import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { compare, concat, utf8, Writer } from "./bytes.js";
import { verifyPath, type Header, type Power, type Signed } from "./light.js";
import { InvalidError, must, Reader } from "./read.js";
import { accountOf, formatAccount, hashOf, parseAccount, parseAsset, transactionID } from "./transaction.js";
import { proveAbsent, provePresent } from "./tree.js";

/** What a verified receipt says. */
export interface Statement {
  network: string;
  /** The header that was signed, and by how much of the voting power. */
  header: Header;
  /** The block that it speaks of. */
  height: bigint;
  time: Date;
  transaction?: ProvenTransaction;
  balance?: { account: string; asset: string; amount: string };
}

export interface ProvenTransaction {
  id: string;
  /** It did what it says; otherwise it failed and did nothing. */
  applied: boolean;
  /** Code of the failure (ledger/result.go). */
  code: number;
  memo: string;
  validUntil: Date;
  operations: ProvenOperation[];
  /** Operations that are of a kind that is not told here. */
  untold: number;
}

export type ProvenOperation =
  | { kind: "transfer"; asset: string; from: string; to: string; amount: bigint }
  | { kind: "issue"; asset: string; to: string; amount: bigint }
  | { kind: "retire"; asset: string; from: string; amount: bigint }
  | { kind: "define-asset"; asset: string; scale: number; cap: bigint }
  | { kind: "anchor"; by: string; digest: string; note: string };

const version = 1;
const chainDigits = 40;
const applied = 0;
/** The most characters of a receipt and of a genesis that the page takes, and the most changes of validators. */
const maxReceipt = 64 << 20;
const maxGenesis = 256 << 10;
const maxSteps = 100_000;

interface GenesisDocument {
  network: string;
  created: string;
  salt: string;
  validators: { key: string; power: number; operator: string }[];
  limits: { block_cost: number; account_transactions: number };
  members?: { key: string; name?: string }[];
  predecessor?: unknown;
}

interface SignedDocument { header: string; commit: string }
interface ReceiptDocument {
  receipt: number;
  network: string;
  transaction?: { body: string; height: number; code: number; operation: number; result_proof: string; entry: string; proof: string };
  balance?: { account: string; asset: string; amount: string; proof: string };
  members?: unknown;
  record?: string;
  path: { start?: unknown; steps?: (SignedDocument & { next: { key: string; power: number }[] })[]; last: SignedDocument };
}

const changed = "the receipt was changed: it is not written as receipts are";

/** Reads base64 that is written in the one way. */
function base64(text: string): Uint8Array {
  must(typeof text === "string", changed);
  const binary = atob(text);
  must(btoa(binary) === text, changed);
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

function document<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new InvalidError(`the ${what} can't be read: ${(error as Error).message}`);
  }
}

/** Fails for what is there but written otherwise than by the ledger: every byte of a receipt counts, and nothing is in it that nobody checks. */
function checkSpelling(text: string, doc: ReceiptDocument): void {
  must(`${JSON.stringify(doc, null, 1)}\n` === text, changed);
  members(doc, "receipt network transaction? balance? members? record? path");
  must(doc.receipt === version, `a receipt of version ${doc.receipt}: this page reads version ${version}`);
  must(isHash(doc.network), changed);
  if ("transaction" in doc) {
    members(doc.transaction, "body height code operation result_proof entry proof");
    const { height, code, operation } = doc.transaction!;
    must([height, code, operation].every(Number.isSafeInteger), changed);
  }
  if ("balance" in doc) members(doc.balance, "account asset amount proof");
  members(doc.path, "start? steps? last");
  members(doc.path.last, "header commit");
  if ("steps" in doc.path) {
    const { steps } = doc.path;
    must(Array.isArray(steps) && steps.length > 0 && steps.length <= maxSteps, changed);
    for (const step of steps) checkStep(step);
  }
}

function checkStep(step: NonNullable<ReceiptDocument["path"]["steps"]>[number]): void {
  members(step, "header commit next");
  must(Array.isArray(step.next), changed);
  for (const v of step.next) {
    members(v, "key power");
    must(isHash(v.key) && Number.isSafeInteger(v.power), changed);
  }
}

/** Fails unless a value has the members named, in that order and no others; those with a question mark may be left out. */
function members(value: unknown, names: string): void {
  must(typeof value === "object" && value !== null && !Array.isArray(value), changed);
  const there = Object.keys(value);
  let at = 0;
  for (const name of names.split(" ")) {
    const optional = name.endsWith("?");
    if (there[at] === (optional ? name.slice(0, -1) : name)) at++;
    else must(optional, changed);
  }
  must(at === there.length, changed);
}

/** Says whether a value is 32 bytes as they are written in receipts. */
const isHash = (value: unknown): boolean => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);

/** Returns the id of a genesis' network, and who its first validators are (ledger/genesis.go). */
export function readGenesis(text: string): { network: string; name: string; validators: Power[] } {
  must(text.length <= maxGenesis, "the genesis document is too large");
  const g = document<GenesisDocument>(text, "genesis document");
  try {
    checkGenesis(g);
    must(!g.predecessor, "the genesis goes on from another ledger, which this page can't follow: use moot ledger verify");
    const name = utf8(g.network);
    const w = new Writer().uint(BigInt(name.length), 2).bytes(name).uint(BigInt(Math.floor(Date.parse(g.created) / 1000)), 8).fixed(hexToBytes(g.salt), 32);
    w.byte(1).uint(BigInt(g.limits.block_cost), 4).uint(BigInt(g.limits.account_transactions), 4);
    for (const v of g.validators) w.fixed(hexToBytes(v.key), 32).byte(1).uint(BigInt(v.power), 8).fixed(parseAccount(v.operator), 32);
    const id = g.members?.length ? hashOf("folkmoot/founding/1", rosterDigest(g.members), w.done()) : hashOf("folkmoot/genesis/1", w.done());
    return { network: bytesToHex(id), name: g.network, validators: g.validators.map((v) => ({ key: hexToBytes(v.key), power: BigInt(v.power) })) };
  } catch (error) {
    if (error instanceof InvalidError) throw error;
    throw new InvalidError(`the genesis document is malformed: ${(error as Error).message}`);
  }
}

/** Fails for a genesis document with something in it that the network's id does not depend on, and for one that breaks its bounds. */
function checkGenesis(g: GenesisDocument): void {
  const only = (value: object, names: string[]) => must(Object.keys(value).every((name) => names.includes(name)), "the genesis document has something in it that this page does not know");
  only(g, ["network", "created", "salt", "validators", "limits", "members", "predecessor"]);
  only(g.limits, ["block_cost", "account_transactions"]);
  for (const v of g.validators) only(v, ["key", "power", "operator"]);
  for (const m of g.members ?? []) only(m, ["key", "name"]);
  must(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.0+)?(Z|[+-]\d\d:\d\d)$/.test(g.created), "the genesis document does not say when the network was made");
  const ascending = (list: { key: string }[]) => list.every((one, i) => i === 0 || compare(hexToBytes(list[i - 1]!.key), hexToBytes(one.key)) < 0);
  must(ascending(g.validators) && ascending(g.members ?? []), "the validators, or the first members, are not in ascending order of their keys");
}

/** The bytes of a peer id of an Ed25519 key, before the key: a multihash that holds it as it is, as libp2p encodes it. */
const memberPrefix = Uint8Array.from([0x00, 0x24, 0x08, 0x01, 0x12, 0x20]);

function rosterDigest(members: { key: string; name?: string }[]): Uint8Array {
  const domain = "folkmoot/roster/1";
  const w = new Writer().short(utf8(domain));
  for (const m of members) {
    const key = hexToBytes(m.key);
    const by = parseAccount(accountOf({ threshold: 1, keys: [key] }));
    const value = new Writer().byte(1).fixed(by, 32).uint(0n, 8).short(utf8(m.name ?? "")).done();
    w.short(concat([utf8("m"), memberPrefix, key])).uint(BigInt(value.length), 2).bytes(value);
  }
  return sha256(w.done());
}

/** Returns what a receipt proves to somebody who trusts the genesis. It fails with InvalidError for everything that proves nothing. */
export function verifyReceipt(receipt: string, genesis: string): Statement {
  must(receipt.length <= maxReceipt, "the receipt is too large");
  const root = readGenesis(genesis);
  const doc = document<ReceiptDocument>(receipt, "receipt");
  try {
    return verify(receipt, doc, root);
  } catch (error) {
    if (error instanceof InvalidError) throw error;
    throw new InvalidError(`the receipt is malformed: ${(error as Error).message}`);
  }
}

function verify(text: string, doc: ReceiptDocument, root: { network: string; validators: Power[] }): Statement {
  checkSpelling(text, doc);
  must(doc.network === root.network, `the receipt is of the network ${doc.network}, and the genesis of the network ${root.network}`);
  must(!("members" in doc) && !("record" in doc), "a receipt of members or of a record, which this page can't check: use moot ledger verify");
  must("transaction" in doc !== "balance" in doc, "a receipt is of a transaction or of a balance");
  must(!("start" in doc.path), "the receipt leads from a later block, not from the genesis");
  const signed = (s: SignedDocument): Signed => ({ header: base64(s.header), commit: base64(s.commit) });
  const steps = (doc.path.steps ?? []).map((s) => ({ ...signed(s), next: s.next.map((v) => ({ key: hexToBytes(v.key), power: BigInt(v.power) })) }));
  const header = verifyPath(chainOf(doc.network), root.validators, steps, signed(doc.path.last));
  const statement: Statement = { network: doc.network, header, height: header.height - 1n, time: header.time };
  if (doc.transaction) verifyTransaction(doc.transaction, statement);
  else if (doc.balance) verifyBalance(doc.balance, statement);
  return statement;
}

/** Names the chain as CometBFT knows it: the beginning of the network's id in base32 (ledger/consensus/config.go). */
function chainOf(network: string): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  const bits = [...hexToBytes(network)].map((b) => b.toString(2).padStart(8, "0")).join("");
  const digits = bits.match(/.{5}/g) ?? [];
  return `moot-${digits.slice(0, chainDigits).map((d) => alphabet[Number.parseInt(d, 2)]).join("")}`;
}

function verifyTransaction(t: NonNullable<ReceiptDocument["transaction"]>, s: Statement): void {
  must(BigInt(t.height) === s.height, `the receipt is of block ${t.height}, and leads to the header of block ${s.header.height}`);
  const body = base64(t.body);
  const id = transactionID(s.network, body);
  const entry = base64(t.entry);
  provePresent(s.header.appHash, base64(t.proof), new Writer().bytes(utf8("r")).uint(BigInt(t.height), 8).done(), entry);
  const r = new Reader(entry, "entry of a block");
  must(r.number(1) === 1, "malformed entry of a block");
  s.time = new Date(r.number(8));
  const results = r.bytes(32);
  const count = r.number(4);
  r.end();
  const leaf = new Writer().byte(0).bytes(hexToBytes(id)).uint(BigInt(t.code), 1).uint(BigInt(t.operation), 2).done();
  verifyResult(base64(t.result_proof), sha256(leaf), results, count);
  s.transaction = { id, applied: t.code === applied, code: t.code, ...readBody(body) };
}

/** Follows the path of a result to the root of its block (RFC 9162, section 2.1.3.2). */
function verifyResult(data: Uint8Array, leaf: Uint8Array, root: Uint8Array, count: number): void {
  const wrong = "the proof does not lead from the transaction to the root of its block";
  const r = new Reader(data, "proof of a result");
  let at = r.number(4);
  must(r.number(4) === count && at < count && r.left % 32 === 0, wrong);
  let last = count - 1;
  let hash = leaf;
  const node = (left: Uint8Array, right: Uint8Array) => sha256(concat([Uint8Array.of(1), left, right]));
  while (r.left > 0) {
    const beside = r.bytes(32);
    must(last !== 0, wrong);
    if (at % 2 === 1 || at === last) {
      hash = node(beside, hash);
      for (; at % 2 === 0 && at !== 0; at = Math.floor(at / 2)) last = Math.floor(last / 2);
    } else hash = node(hash, beside);
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  must(last === 0 && compare(hash, root) === 0, wrong);
}

function verifyBalance(b: NonNullable<ReceiptDocument["balance"]>, s: Statement): void {
  const asset = parseAsset(b.asset);
  must(formatAccount(parseAccount(b.account)) === b.account && `${asset.code}@${formatAccount(asset.issuer)}` === b.asset, changed);
  const amount = BigInt(b.amount);
  must(amount.toString() === b.amount && amount >= 0n, "the amount is not written as in receipts");
  const key = concat([utf8("b"), parseAccount(b.account), asset.issuer, utf8(asset.code)]);
  if (amount === 0n) proveAbsent(s.header.appHash, base64(b.proof), key);
  else provePresent(s.header.appHash, base64(b.proof), key, new Writer().uint(amount, 16).done());
  s.balance = { account: b.account, asset: b.asset, amount: b.amount };
}

/** Reads what a transaction says, as far as its operations are of kinds that are told here. */
function readBody(body: Uint8Array): Pick<ProvenTransaction, "memo" | "validUntil" | "operations" | "untold"> {
  const r = new Reader(body, "transaction");
  const validUntil = new Date(r.number(8));
  if (r.number(1) === 1) r.bytes(32 + 1 + 4);
  r.bytes(8);
  const memo = new TextDecoder().decode(r.short());
  const count = r.number(2);
  const operations: ProvenOperation[] = [];
  for (let i = 0; i < count; i++) {
    const operation = readOperation(r);
    if (!operation) return { validUntil, memo, operations, untold: count - i };
    operations.push(operation);
  }
  r.end();
  return { validUntil, memo, operations, untold: 0 };
}

function readOperation(r: Reader): ProvenOperation | undefined {
  const account = () => formatAccount(r.bytes(32));
  const asset = () => `${new TextDecoder().decode(r.short())}@${account()}`;
  switch (r.number(1)) {
    case 1: return { kind: "define-asset", asset: asset(), scale: r.number(1), cap: r.uint(16) };
    case 2: return { kind: "issue", asset: asset(), to: account(), amount: r.uint(16) };
    case 3: return { kind: "transfer", asset: asset(), from: account(), to: account(), amount: r.uint(16) };
    case 4: return { kind: "retire", asset: asset(), from: account(), amount: r.uint(16) };
    case 5: return { kind: "anchor", by: account(), digest: bytesToHex(r.bytes(32)), note: new TextDecoder().decode(r.short()) };
    default: return undefined;
  }
}
