/** Builds bytes with big-endian numbers. */
export class Writer {
  private readonly parts: Uint8Array[] = [];

  byte(value: number): this {
    return this.uint(BigInt(value), 1);
  }

  /** Appends a number of so many bytes. It fails for one that does not fit: nothing is cut off. */
  uint(value: bigint, size: number): this {
    if (value < 0n || value >> BigInt(8 * size) !== 0n) throw new RangeError(`${value} does not fit into ${size} bytes`);
    const bytes = new Uint8Array(size);
    for (let i = size - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
    return this.bytes(bytes);
  }

  bytes(value: Uint8Array): this {
    this.parts.push(value);
    return this;
  }

  /** Appends bytes of a fixed size. */
  fixed(value: Uint8Array, size: number): this {
    if (value.length !== size) throw new RangeError(`${value.length} bytes instead of ${size}`);
    return this.bytes(value);
  }

  /** Appends up to 255 bytes behind their length. */
  short(value: Uint8Array): this {
    return this.byte(value.length).bytes(value);
  }

  done(): Uint8Array {
    return concat(this.parts);
  }
}

export function concat(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Compares bytes as numbers of equal length. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}
