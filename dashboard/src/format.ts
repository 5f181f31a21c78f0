/** Writes microseconds as people read them. */
export function duration(micros: number | undefined): string {
  if (micros === undefined || micros <= 0) return "—";
  if (micros < 1000) return `${Math.round(micros)} µs`;
  const millis = micros / 1000;
  if (millis < 10) return `${millis.toFixed(1)} ms`;
  return millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`;
}

export function bytes(n: number | undefined): string {
  if (n === undefined) return "—";
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = n;
  let unit = "B";
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export const count = (n: number): string => n.toLocaleString("en");

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

export function clock(time: Date | string | undefined): string {
  if (!time) return "—";
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function moment(time: Date | string | undefined): string {
  if (!time) return "—";
  const date = new Date(time);
  return date.toDateString() === new Date().toDateString() ? clock(date) : `${date.toLocaleDateString("en-CA")} ${clock(date)}`;
}

/** Says for how long something has been so. */
export function ago(time: Date | string | undefined, now = Date.now()): string {
  if (!time) return "—";
  const seconds = Math.max(0, Math.round((now - new Date(time).getTime()) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return plural(Math.floor(seconds / 86_400), "day");
}

/** A version begins with its time: milliseconds since 1970 in 48 bits, in hexadecimal. */
export function versionTime(version: string): Date | undefined {
  const millis = Number.parseInt(version.slice(0, 12), 16);
  return Number.isFinite(millis) && millis > 0 ? new Date(millis) : undefined;
}
