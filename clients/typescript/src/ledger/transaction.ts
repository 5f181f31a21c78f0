import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { maxAmount } from "./amount.js";
import { decodeBech32, encodeBech32 } from "./bech32.js";
import { compare, concat, utf8, Writer } from "./bytes.js";

// Domains keep what is hashed or signed for one purpose from meaning anything for another (ledger/hash.go).
const domainAccount = "folkmoot/account/1";
const domainTransaction = "folkmoot/transaction/1";
const domainSignature = "folkmoot/signature/1";

const accountPrefix = "moot";
const transactionVersion = 1;
const kindTransfer = 3;
const keySize = 32;
const signatureSize = 64;
/** Bounds of a transaction (ledger/transaction.go). */
export const maxMemo = 128;
/** The longest time that a transaction is valid for, in milliseconds. */
export const maxWindow = 3_600_000;

/** Who may speak for an account: any threshold of its keys, which are in ascending order. */
export interface KeySet {
  threshold: number;
  keys: Uint8Array[];
}

/** A payment of an asset, CODE@ISSUER, in its smallest unit. */
export interface Transfer {
  asset: string;
  from: string;
  to: string;
  amount: bigint;
}

/** What a transaction of transfers says. */
export interface TransferBody {
  /** Block time from which on no block may hold it, in milliseconds since 1970. */
  validUntil: number;
  /** Tells transactions apart that are otherwise the same, and both meant: 64 bits at random. */
  salt: bigint;
  memo?: string;
  transfers: Transfer[];
}

export function hashOf(domain: string, ...parts: Uint8Array[]): Uint8Array {
  return sha256(concat([Uint8Array.of(domain.length), utf8(domain), ...parts]));
}

export function parseAccount(text: string): Uint8Array {
  const bytes = decodeBech32(accountPrefix, text);
  if (bytes.length !== keySize) throw new RangeError(`“${text.slice(0, 80)}” is not an account`);
  return bytes;
}

export const formatAccount = (bytes: Uint8Array): string => encodeBech32(accountPrefix, bytes);

/** Reads CODE@ISSUER. */
export function parseAsset(text: string): { code: string; issuer: Uint8Array } {
  const match = /^([A-Z0-9]{1,12})@(.+)$/.exec(text);
  if (!match) throw new RangeError(`“${text.slice(0, 80)}” is not an asset: want CODE@ISSUER`);
  return { code: match[1]!, issuer: parseAccount(match[2]!) };
}

function writeKeySet(w: Writer, set: KeySet): Writer {
  w.byte(set.threshold).byte(set.keys.length);
  for (const key of set.keys) w.fixed(key, keySize);
  return w;
}

/** Returns the id of the account whose first keys these are. */
export function accountOf(set: KeySet): string {
  return formatAccount(hashOf(domainAccount, writeKeySet(new Writer(), set).done()));
}

/** Writes the body of a transaction (ledger/codec.go). */
export function encodeBody(body: TransferBody): Uint8Array {
  const memo = utf8(body.memo ?? "");
  if (memo.length > maxMemo) throw new RangeError(`a memo of ${memo.length} bytes: at most ${maxMemo}`);
  const w = new Writer().uint(BigInt(body.validUntil), 8).byte(0).uint(body.salt, 8).short(memo).uint(BigInt(body.transfers.length), 2);
  for (const t of body.transfers) {
    if (t.amount <= 0n || t.amount > maxAmount) throw new RangeError("the amount must be more than 0");
    const asset = parseAsset(t.asset);
    w.byte(kindTransfer).short(utf8(asset.code)).fixed(asset.issuer, keySize);
    w.fixed(parseAccount(t.from), keySize).fixed(parseAccount(t.to), keySize).uint(t.amount, 16);
  }
  return w.done();
}

/** Returns the id of a transaction in a network, whose id is given in hexadecimal. */
export function transactionID(network: string, body: Uint8Array): string {
  return bytesToHex(hashOf(domainTransaction, hexToBytes(network), body));
}

/** A pair of keys. The secret never leaves where it was made unless somebody takes it. */
export interface KeyPair {
  secret: Uint8Array;
  public: Uint8Array;
}

/** Makes a pair of keys, of 32 random bytes or of those given (the seed of RFC 8032). */
export function keyPair(seed: Uint8Array = crypto.getRandomValues(new Uint8Array(keySize))): KeyPair {
  return { secret: seed, public: ed25519.getPublicKey(seed) };
}

/** Signs a body for its one payer, an account of one key or one of which one key suffices, and returns the transaction and its id. */
export function signTransfer(network: string, body: TransferBody, keys: KeyPair, set: KeySet = { threshold: 1, keys: [keys.public] }) {
  const payer = body.transfers[0]?.from;
  if (!payer || body.transfers.some((t) => t.from !== payer)) throw new RangeError("all transfers must be of one account");
  const index = set.keys.findIndex((key) => compare(key, keys.public) === 0);
  if (index < 0) throw new RangeError("the key is not one of the account's");
  if (set.threshold !== 1) throw new RangeError(`the account takes ${set.threshold} signatures: use moot ledger tx`);
  const encoded = encodeBody(body);
  const id = transactionID(network, encoded);
  const signature = ed25519.sign(concat([utf8(domainSignature), hexToBytes(id)]), keys.secret);
  const w = new Writer().byte(transactionVersion).bytes(encoded).byte(1).fixed(parseAccount(payer), keySize);
  writeKeySet(w, set).byte(1).byte(index).fixed(signature, signatureSize);
  return { id, encoded: w.done() };
}
