/** The greatest amount, in an asset's smallest unit. */
export const maxAmount = (1n << 128n) - 1n;

/** Writes smallest units as people read them: 1250 with scale 2 is "12.50". */
export function formatAmount(amount: string | bigint, scale: number): string {
  const digits = BigInt(amount).toString().padStart(scale + 1, "0");
  return scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Reads what people write, "12.5" with scale 2 is 1250. It never rounds: more places than the scale are an error. */
export function parseAmount(text: string, scale: number): bigint {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw new RangeError(`“${text.slice(0, 80)}” is not an amount: want digits, such as 12 or 12.50`);
  const places = match[2] ?? "";
  if (places.length > scale) throw new RangeError(`“${text.slice(0, 80)}” has ${places.length} places after the point: this asset has ${scale}`);
  const amount = BigInt(match[1]! + places.padEnd(scale, "0"));
  if (amount > maxAmount) throw new RangeError(`“${text.slice(0, 80)}” is more than there can be`);
  return amount;
}
