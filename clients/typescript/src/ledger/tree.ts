import { sha256 } from "@noble/hashes/sha2.js";
import { compare, concat, utf8 } from "./bytes.js";
import { must, Reader } from "./read.js";

// What the ledger's tree hashes begins with one of these (ledger/tree/hash.go).
const hashUnder = (domain: string) => (...parts: Uint8Array[]) => sha256(concat([utf8(domain), ...parts]));
const hashKey = hashUnder("folkmoot/tree/key/1");
const hashValue = hashUnder("folkmoot/tree/value/1");
const hashLeaf = hashUnder("folkmoot/tree/leaf/1");
const hashInner = hashUnder("folkmoot/tree/inner/1");

const endsAtEntry = 1;
const endsAtOther = 2;
const endsAtNothing = 3;
const maxDepth = 256;
const nothing = new Uint8Array(32);

const bit = (key: Uint8Array, depth: number): number => (key[depth >> 3]! >> (7 - (depth & 7))) & 1;

interface Proof {
  ending: number;
  siblings: Uint8Array[];
  other?: { key: Uint8Array; value: Uint8Array };
}

function parseProof(data: Uint8Array): Proof {
  const r = new Reader(data, "proof");
  const ending = r.number(1);
  const count = r.number(2);
  must(ending >= endsAtEntry && ending <= endsAtNothing && count <= maxDepth, "malformed proof");
  const bits = r.bytes((count + 7) >> 3);
  const there = (i: number) => ((bits[i >> 3]! << (i & 7)) & 0x80) !== 0;
  const siblings = Array.from({ length: count }, (_, i) => (there(i) ? r.bytes(32) : nothing));
  const proof: Proof = { ending, siblings };
  if (ending === endsAtOther) proof.other = { key: r.bytes(32), value: r.bytes(32) };
  r.end();
  return proof;
}

function rootOver(proof: Proof, key: Uint8Array, end: Uint8Array): Uint8Array {
  return proof.siblings.reduceRight((hash, sibling, depth) => (bit(key, depth) === 0 ? hashInner(hash, sibling) : hashInner(sibling, hash)), end);
}

/** Fails unless the proof shows that the tree with the root has the value under the key. */
export function provePresent(root: Uint8Array, proof: Uint8Array, key: Uint8Array, value: Uint8Array): void {
  const p = parseProof(proof);
  const place = hashKey(key);
  must(p.ending === endsAtEntry && compare(rootOver(p, place, hashLeaf(place, hashValue(value))), root) === 0, "the proof does not show that the entry is in the state");
}

/** Fails unless the proof shows that the tree with the root has nothing under the key. */
export function proveAbsent(root: Uint8Array, proof: Uint8Array, key: Uint8Array): void {
  const p = parseProof(proof);
  const place = hashKey(key);
  const wrong = "the proof does not show that the entry is missing";
  must(p.ending !== endsAtEntry, wrong);
  let end: Uint8Array = nothing;
  if (p.other) {
    const { other } = p;
    must(compare(other.key, place) !== 0 && p.siblings.every((_, depth) => bit(other.key, depth) === bit(place, depth)), wrong);
    end = hashLeaf(other.key, other.value);
  }
  must(compare(rootOver(p, place, end), root) === 0, wrong);
}
