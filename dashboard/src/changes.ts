import type { RecordEvent } from "@folkmoot/client";
import { useEffect, useState } from "preact/hooks";

/** A change of a record, as the stream tells it. */
export type Change = RecordEvent & { key: string };

const listeners = new Set<(change: Change) => void>();

/** Tells everybody who listens of a change: each of a burst, not the last one alone. */
export function announce(change: Change): void {
  for (const listener of [...listeners]) listener(change);
}

/** Calls a listener at each change until the function that it returns is called. */
export function onChange(listener: (change: Change) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Returns the last change of one record since this was first called. */
export function useChange(key: string): Change | undefined {
  const [last, set] = useState<Change>();
  useEffect(() => {
    set(undefined);
    return onChange((change) => change.key === key && set(change));
  }, [key]);
  return last;
}
