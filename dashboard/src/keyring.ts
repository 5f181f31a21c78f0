import { sha256 } from "@noble/hashes/sha2.js";

/** Where a thing stands on the ring of all keys: a part of a full turn, from the first bits of a SHA-256. */
export type Turn = number;

const firstBits = (hash: Uint8Array): Turn => new DataView(hash.buffer, hash.byteOffset).getUint32(0) / 2 ** 32;

export const turnOfKey = (key: string): Turn => firstBits(sha256(new TextEncoder().encode(key)));

/** A peer stands where the SHA-256 of the bytes of its id is. */
export const turnOfPeer = (id: string): Turn => firstBits(sha256(base58(id)));

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Reads base58 as of Bitcoin, which peer ids are written in. */
export function base58(text: string): Uint8Array {
  let value = 0n;
  for (const c of text) {
    const digit = alphabet.indexOf(c);
    if (digit < 0) return new TextEncoder().encode(text);
    value = value * 58n + BigInt(digit);
  }
  const bytes: number[] = [];
  for (; value > 0n; value >>= 8n) bytes.unshift(Number(value & 0xffn));
  return Uint8Array.from([...Array<number>(/^1*/.exec(text)![0].length).fill(0), ...bytes]);
}
