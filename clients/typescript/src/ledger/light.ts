import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { compare, concat, utf8 } from "./bytes.js";
import { bytesOf, checkFields, fields, must, numberOf, type Field } from "./read.js";

/** One with its voting power. */
export interface Power {
  key: Uint8Array;
  power: bigint;
}

/** A header and the commit that is for it, each as CometBFT encodes it. */
export interface Signed {
  header: Uint8Array;
  commit: Uint8Array;
}

/** A signed header with the validators of the block after it, where those are others. */
export interface Step extends Signed {
  next: Power[];
}

/** What a checked header says. */
export interface Header {
  height: bigint;
  time: Date;
  hash: Uint8Array;
  /** Root of the state after the block before. */
  appHash: Uint8Array;
  /** Voting power of those who signed the block, and of all. */
  signed: bigint;
  power: bigint;
}

/** Bounds of what is read (ledger/consensus/light). */
const maxHeader = 2 << 10;
const maxCommit = 64 << 10;
const maxValidators = 256;
const addressSize = 20;
const precommit = 2n;
const flagAbsent = 1n;
const flagCommit = 2n;
const flagNil = 3n;

// Protocol buffers as CometBFT writes them.
const varint = (value: bigint): Uint8Array => {
  const out: number[] = [];
  for (; value >= 0x80n; value >>= 7n) out.push(Number(value & 0x7fn) | 0x80);
  return Uint8Array.from([...out, Number(value)]);
};
const bytesField = (number: number, value: Uint8Array) => concat([varint(BigInt((number << 3) | 2)), varint(BigInt(value.length)), value]);
const varintField = (number: number, value: bigint) => (value === 0n ? new Uint8Array() : concat([varint(BigInt(number << 3)), varint(value)]));
const fixedField = (number: number, value: bigint) => {
  if (value === 0n) return new Uint8Array();
  const out = new Uint8Array(9);
  out[0] = (number << 3) | 1;
  new DataView(out.buffer).setBigUint64(1, value, true);
  return out;
};

/** The time of a vote that is absent: the first second of the year 1. */
const noTime = varintField(1, BigInt.asUintN(64, -62135596800n));

/** The Merkle tree of RFC 6962, as CometBFT uses it. */
export function merkleRoot(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256(new Uint8Array());
  if (leaves.length === 1) return sha256(concat([Uint8Array.of(0), leaves[0]!]));
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  return sha256(concat([Uint8Array.of(1), merkleRoot(leaves.slice(0, half)), merkleRoot(leaves.slice(half))]));
}

/** Validators in the order that CometBFT has them: by power, then by address. */
class ValidatorSet {
  readonly list: (Power & { address: Uint8Array })[];
  readonly total: bigint;

  constructor(list: Power[]) {
    must(list.length > 0 && list.length <= maxValidators, `${list.length} validators: want 1 to ${maxValidators}`);
    this.list = list.map((v) => ({ ...v, address: sha256(v.key).slice(0, addressSize) }));
    this.list.sort((a, b) => (a.power === b.power ? compare(a.address, b.address) : a.power > b.power ? -1 : 1));
    this.total = list.reduce((sum, v) => sum + v.power, 0n);
    const known = new Set(list.map((v) => v.key.join()));
    must(known.size === list.length && list.every((v) => v.power > 0n && v.key.length === 32), "a validator is there twice, or has no power");
  }

  hash(): Uint8Array {
    return merkleRoot(this.list.map((v) => concat([bytesField(1, bytesField(1, v.key)), varintField(2, v.power)])));
  }
}

interface ParsedHeader {
  chain: string;
  height: bigint;
  time: Date;
  validators: Uint8Array;
  nextValidators: Uint8Array;
  appHash: Uint8Array;
  hash: Uint8Array;
}

function parseHeader(data: Uint8Array): ParsedHeader {
  must(data.length <= maxHeader, "malformed header of a block");
  const list = fields(data, "header of a block");
  checkFields(list, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], "header of a block");
  // Messages are always written, other bytes never when there are none.
  must([1, 4, 5].every((n) => list.some((f) => f.number === n)) && list.every((f) => [1, 3, 4, 5].includes(f.number) || (f.value as Uint8Array).length > 0), "malformed header of a block");
  const height = numberOf(list, 3);
  must(height > 0n && height < 1n << 63n && bytesOf(list, 8).length === 32, "malformed header of a block");
  // A value stands in a wrapper of its own; one that is empty is nothing.
  const wrapped = (number: number) => {
    const value = bytesOf(list, number);
    return value.length ? bytesField(1, value) : value;
  };
  const hash = merkleRoot([
    bytesOf(list, 1), wrapped(2), varintField(1, height), bytesOf(list, 4), bytesOf(list, 5),
    ...[6, 7, 8, 9, 10, 11, 12, 13, 14].map(wrapped),
  ]);
  return {
    chain: new TextDecoder().decode(bytesOf(list, 2)), height, time: timeOf(bytesOf(list, 4)), hash,
    validators: bytesOf(list, 8), nextValidators: bytesOf(list, 9), appHash: bytesOf(list, 11),
  };
}

function timeOf(data: Uint8Array): Date {
  const list = fields(data, "time of a block");
  return new Date(Number(numberOf(list, 1)) * 1000 + Math.floor(Number(numberOf(list, 2)) / 1e6));
}

/** Returns the header if more than two thirds of the validators signed it, with the power of those who did. */
function verifySigned(signed: Signed, chain: string, validators: ValidatorSet, least: bigint): { header: ParsedHeader; power: bigint } {
  const header = parseHeader(signed.header);
  const block = `block ${header.height}`;
  must(header.chain === chain, `${block} is of another network`);
  must(header.height >= least, `${block} does not come after block ${least - 1n}`);
  must(compare(header.validators, validators.hash()) === 0, `${block} has other validators than those that the path leads to`);
  must(signed.commit.length <= maxCommit, "malformed commit of a block");
  const list = fields(signed.commit, "commit of a block");
  checkFields(list.filter((f) => f.number !== 4), [1, 2, 3], "commit of a block");
  must(list.every((f) => f.number <= 4), "malformed commit of a block");
  const blockID = bytesOf(list, 3);
  const parts = fields(blockID, "commit of a block");
  checkFields(parts, [1, 2], "commit of a block");
  checkFields(fields(bytesOf(parts, 2), "commit of a block"), [1, 2], "commit of a block");
  must(numberOf(list, 1) === header.height && compare(bytesOf(parts, 1), header.hash) === 0, `the commit is not for ${block}`);
  const signatures = list.filter((f) => f.number === 4).map((f) => f.value);
  must(signatures.length === validators.list.length, `${block}: ${signatures.length} signatures for ${validators.list.length} validators`);
  let power = 0n;
  signatures.forEach((value, i) => {
    must(typeof value !== "bigint", "malformed commit of a block");
    if (verifyVote(fields(value, "signature of a block"), validators.list[i]!, list, blockID, chain, `${block}, signature ${i + 1}`)) power += validators.list[i]!.power;
  });
  must(power * 3n > validators.total * 2n, `${block} was signed by ${power} of ${validators.total} of the voting power: want more than two thirds`);
  return { header, power };
}

/** Checks one vote, and says whether it was for the block. */
function verifyVote(vote: Field[], validator: Power & { address: Uint8Array }, commit: Field[], blockID: Uint8Array, chain: string, what: string): boolean {
  checkFields(vote, [1, 2, 3, 4], what);
  must(vote.every((f) => f.number === 1 || f.number === 3 || (f.value as Uint8Array).length > 0) && vote.some((f) => f.number === 3), `${what}: malformed`);
  checkFields(fields(bytesOf(vote, 3), what), [1, 2], what);
  const flag = numberOf(vote, 1);
  if (flag === flagAbsent) {
    must(bytesOf(vote, 2).length === 0 && bytesOf(vote, 4).length === 0 && compare(bytesOf(vote, 3), noTime) === 0, `${what}: one that is absent says something`);
    return false;
  }
  must(flag === flagCommit || flag === flagNil, `${what}: malformed`);
  must(compare(bytesOf(vote, 2), validator.address) === 0, `${what} names another validator`);
  // The canonical vote (CometBFT's spec, "Data structures"), behind its length.
  const canonical = concat([
    varintField(1, precommit), fixedField(2, numberOf(commit, 1)), fixedField(3, numberOf(commit, 2)),
    flag === flagCommit ? bytesField(4, blockID) : new Uint8Array(), bytesField(5, bytesOf(vote, 3)), bytesField(6, utf8(chain)),
  ]);
  const message = concat([varint(BigInt(canonical.length)), canonical]);
  const signature = bytesOf(vote, 4);
  must(signature.length === 64 && ed25519.verify(signature, message, validator.key), `${what} is wrong`);
  return flag === flagCommit;
}

/** Follows a path from the validators of a genesis to its last header, over each change of validators. */
export function verifyPath(chain: string, genesis: Power[], steps: Step[], last: Signed): Header {
  let validators = new ValidatorSet(genesis);
  let least = 1n;
  for (const step of steps) {
    const { header } = verifySigned(step, chain, validators, least);
    must(compare(header.validators, header.nextValidators) !== 0, `the validators did not change at block ${header.height}`);
    const next = new ValidatorSet(step.next);
    must(next.list.every((v, i) => compare(v.key, step.next[i]!.key) === 0), "the validators are not in the order of their power");
    must(compare(next.hash(), header.nextValidators) === 0, `the validators listed after block ${header.height} are not those that it names`);
    validators = next;
    least = header.height + 1n;
  }
  const { header, power } = verifySigned(last, chain, validators, least);
  must(header.appHash.length === 32, "the header has no root of the state");
  return { height: header.height, time: header.time, hash: header.hash, appHash: header.appHash, signed: power, power: validators.total };
}
