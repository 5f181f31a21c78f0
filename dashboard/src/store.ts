import { useEffect, useReducer, useRef } from "preact/hooks";

/** A value that pages watch. */
export class Store<T> {
  private readonly listeners = new Set<() => void>();
  private told = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Who watches is told at most once in so many milliseconds, and of what is new by then: streams may bring hundreds of events at once. */
  constructor(
    private value: T,
    private readonly pause = 0,
  ) {}

  get(): T {
    return this.value;
  }

  /** Puts parts of the value in place of those that were there, and tells who watches. */
  set(change: Partial<T>): void {
    this.value = { ...this.value, ...change };
    if (this.pause === 0) this.tell();
    else this.timer ??= setTimeout(() => this.tell(), Math.max(0, this.told + this.pause - performance.now()));
  }

  private tell(): void {
    this.timer = undefined;
    this.told = performance.now();
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
