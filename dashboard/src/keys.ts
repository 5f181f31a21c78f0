import { accountOf, keyPair, type KeyPair } from "@folkmoot/client/ledger";
import { Store } from "./store";

/** A key that the page holds in memory, with the account whose first key it is. It is sent nowhere, and forgotten with the page. */
export interface HeldKey {
  name: string;
  account: string;
  pair: KeyPair;
}

export const keys = new Store<{ held: HeldKey[] }>({ held: [] });

function hold(name: string, pair: KeyPair): HeldKey {
  const key = { name, pair, account: accountOf({ threshold: 1, keys: [pair.public] }) };
  keys.set({ held: [...keys.get().held.filter((k) => k.account !== key.account), key] });
  return key;
}

export function makeKey(): HeldKey {
  const made = keys.get().held.filter((k) => k.name.startsWith("new key")).length;
  return hold(made ? `new key ${made + 1}` : "new key", keyPair());
}

/** The beginning of an Ed25519 key in PKCS #8 (RFC 8410), before its 32 bytes. */
const pkcs8 = Uint8Array.from([0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]);

/** Reads a key file as moot writes them. */
export function openKey(name: string, text: string): HeldKey {
  if (text.startsWith("age-encryption.org/") || text.includes("BEGIN AGE ENCRYPTED FILE")) {
    throw new RangeError("the key file is under a passphrase, which this page can't open: use moot ledger transfer");
  }
  const match = /-----BEGIN PRIVATE KEY-----([\s\S]+?)-----END PRIVATE KEY-----/.exec(text);
  if (!match) throw new RangeError("the file holds no private key in PEM");
  const der = Uint8Array.from(atob(match[1]!.replace(/\s/g, "")), (c) => c.charCodeAt(0));
  if (der.length !== pkcs8.length + 32 || pkcs8.some((byte, i) => der[i] !== byte)) throw new RangeError("the file holds a key of another kind than Ed25519");
  return hold(name.replace(/\.key$/, ""), keyPair(der.slice(pkcs8.length)));
}

/** Writes a key as moot reads it. */
export function exportKey(key: HeldKey): string {
  const der = [...pkcs8, ...key.pair.secret];
  return `-----BEGIN PRIVATE KEY-----\n${btoa(String.fromCharCode(...der))}\n-----END PRIVATE KEY-----\n`;
}
