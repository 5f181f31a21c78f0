/** A document, proof or encoding that is not what it should be: nothing is proven. */
export class InvalidError extends Error {
  override readonly name = "InvalidError";
}

export function must(holds: boolean, why: string): asserts holds {
  if (!holds) throw new InvalidError(why);
}

/** Reads bytes with big-endian numbers, and fails where they end too early. */
export class Reader {
  private at = 0;

  constructor(
    private readonly data: Uint8Array,
    private readonly what: string,
  ) {}

  bytes(n: number): Uint8Array {
    must(n >= 0 && this.at + n <= this.data.length, `malformed ${this.what}`);
    return this.data.subarray(this.at, (this.at += n));
  }

  uint(size: number): bigint {
    return this.bytes(size).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  number(size: number): number {
    return Number(this.uint(size));
  }

  /** Reads bytes behind their length in 8 bits. */
  short(): Uint8Array {
    return this.bytes(this.number(1));
  }

  get left(): number {
    return this.data.length - this.at;
  }

  end(): void {
    must(this.left === 0, `malformed ${this.what}: something follows`);
  }
}

/** A field of a protocol buffer: a number, or the bytes of everything else. */
export interface Field {
  number: number;
  value: bigint | Uint8Array;
}

/** Of the greatest number of a field that is read anywhere, 15. */
const maxTag = 0x7f;
const wireVarint = 0;
const wireBytes = 2;

/** Reads the fields of a protocol buffer that is made of numbers and bytes, in ascending order and written in the shortest way. */
export function fields(data: Uint8Array, what: string): Field[] {
  const list: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = data[at++];
      must(byte !== undefined, `malformed ${what}`);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        must(value < 1n << 64n && (byte !== 0 || shift === 0n), `malformed ${what}`);
        return value;
      }
    }
    throw new InvalidError(`malformed ${what}`);
  };
  while (at < data.length) {
    const tag = Number(varint());
    must(tag <= maxTag, `malformed ${what}`);
    const number = tag >> 3;
    must(number >= (list.at(-1)?.number ?? 1), `malformed ${what}`);
    if ((tag & 7) === wireVarint) {
      const value = varint();
      must(value !== 0n, `malformed ${what}`);
      list.push({ number, value });
    } else {
      must((tag & 7) === wireBytes, `malformed ${what}`);
      const length = Number(varint());
      must(at + length <= data.length, `malformed ${what}`);
      list.push({ number, value: data.subarray(at, (at += length)) });
    }
  }
  return list;
}

/** Fails unless each field is one of those known, once. */
export function checkFields(list: Field[], known: number[], what: string): void {
  must(new Set(list.map((f) => f.number)).size === list.length && list.every((f) => known.includes(f.number)), `malformed ${what}`);
}

/** Returns the bytes of a field; none: nothing. */
export function bytesOf(list: Field[], number: number): Uint8Array {
  const value = list.find((field) => field.number === number)?.value;
  must(value === undefined || typeof value !== "bigint", "a field is of another kind");
  return value ?? new Uint8Array();
}

/** Returns the number of a field; none: 0. */
export function numberOf(list: Field[], number: number): bigint {
  const value = list.find((field) => field.number === number)?.value ?? 0n;
  must(typeof value === "bigint", "a field is of another kind");
  return value;
}
