import { useEffect, useReducer, useRef } from "preact/hooks";

/** A value that pages watch. */
export class Store<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  /** Puts parts of the value in place of those that were there, and tells who watches. */
  set(change: Partial<T>): void {
    this.value = { ...this.value, ...change };
    for (const listener of [...this.listeners]) listener();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** Returns a part of a store's value, and renders anew when that part is another. */
export function useStore<T, S>(store: Store<T>, select: (value: T) => S): S {
  const [, again] = useReducer((n: number) => n + 1, 0);
  const selected = select(store.get());
  const last = useRef(selected);
  last.current = selected;
  useEffect(() => {
    const check = () => {
      if (select(store.get()) !== last.current) again(undefined);
    };
    check();
    return store.subscribe(check);
  }, [store]);
  return selected;
}
