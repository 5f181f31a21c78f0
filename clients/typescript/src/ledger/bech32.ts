const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const checksumLength = 6;

/** The checksum of BIP-173. */
function polymod(values: number[]): number {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    generators.forEach((generator, i) => {
      if ((top >> i) & 1) sum ^= generator;
    });
  }
  return sum >>> 0;
}

const expand = (prefix: string): number[] => {
  const codes = [...prefix].map((c) => c.charCodeAt(0));
  return [...codes.map((c) => c >> 5), 0, ...codes.map((c) => c & 31)];
};

/** Regroups bits; null where padding is not zero or too long. */
function regroup(values: ArrayLike<number>, from: number, to: number, pad: boolean): number[] | null {
  const out: number[] = [];
  let buffer = 0;
  let bits = 0;
  for (const value of Array.from(values)) {
    buffer = ((buffer << from) | value) & 0xfff;
    for (bits += from; bits >= to; ) out.push((buffer >> (bits -= to)) & ((1 << to) - 1));
  }
  const rest = buffer & ((1 << bits) - 1);
  if (pad) {
    if (bits > 0) out.push((rest << (to - bits)) & ((1 << to) - 1));
  } else if (bits >= from || rest !== 0) return null;
  return out;
}

/** Writes bytes in Bech32 (BIP-173). */
export function encodeBech32(prefix: string, bytes: Uint8Array): string {
  const data = regroup(bytes, 8, 5, true)!;
  const sum = polymod([...expand(prefix), ...data, 0, 0, 0, 0, 0, 0]) ^ 1;
  const check = Array.from({ length: checksumLength }, (_, i) => (sum >> (5 * (checksumLength - 1 - i))) & 31);
  return `${prefix}1${[...data, ...check].map((v) => alphabet[v]).join("")}`;
}

/** Reads Bech32 under a prefix, and fails for what is mistyped. */
export function decodeBech32(prefix: string, text: string): Uint8Array {
  const lower = text.toLowerCase();
  const wrong = (why: string) => new RangeError(`“${text.slice(0, 80)}” ${why}`);
  if (text !== lower && text !== text.toUpperCase()) throw wrong("mixes upper and lower case");
  if (!lower.startsWith(`${prefix}1`)) throw wrong(`does not begin with ${prefix}1`);
  const data = [...lower.slice(prefix.length + 1)].map((c) => alphabet.indexOf(c));
  if (data.length < checksumLength || data.includes(-1)) throw wrong("has characters that do not belong there");
  if (polymod([...expand(prefix), ...data]) !== 1) throw wrong("is mistyped: its checksum does not fit");
  const bytes = regroup(data.slice(0, -checksumLength), 5, 8, false);
  if (!bytes) throw wrong("is malformed");
  return Uint8Array.from(bytes);
}
