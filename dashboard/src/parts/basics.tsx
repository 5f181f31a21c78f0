import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { shortID } from "../live";
import { to } from "../route";

export type State = "alive" | "suspect" | "away" | "dead" | "unknown";

/** Tells a state by shape, word and colour, so that none of these is needed alone. */
export function StateMark({ state, word = true }: { state: State; word?: boolean }) {
  return (
    <span class={`state ${state}`}>
      <svg class="mark" viewBox="0 0 12 12" aria-hidden="true">{shapeOf(state)}</svg>
      <span class={word ? "" : "hidden"}>{state}</span>
    </span>
  );
}

function shapeOf(state: State) {
  switch (state) {
    case "alive": return <circle cx="6" cy="6" r="4.5" />;
    case "suspect": return <path d="M6 1 11.2 10.5H.8Z" />;
    case "away": return <circle cx="6" cy="6" r="3.8" fill="none" stroke="currentColor" stroke-width="2" />;
    case "dead": return <path d="M2 2 10 10M10 2 2 10" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" />;
    case "unknown": return <circle cx="6" cy="6" r="2" />;
  }
}

export function PeerLink({ id, self }: { id: string; self?: boolean }) {
  return <a class="id" href={to("network", id)} title={id}>{shortID(id)}{self && <span class="tag">this node</span>}</a>;
}

export function Card({ title, children, class: name, extra, id }: { title?: string; children: ComponentChildren; class?: string; extra?: ComponentChildren; id?: string }) {
  return (
    <section class={`card ${name ?? ""}`} aria-labelledby={title && id}>
      {title && <header><h2 id={id}>{title}</h2>{extra}</header>}
      {children}
    </section>
  );
}

/** Names and values; what has no value is left out. */
export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {of.filter(([, value]) => value !== undefined && value !== "" && value !== false).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [done, set] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => set(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  if (!navigator.clipboard) return null;
  return (
    <button type="button" class="copy" onClick={() => void navigator.clipboard.writeText(text).then(() => set(true))}>
      {done ? "copied" : "copy"}<span class="hidden"> {what}</span>
    </button>
  );
}

export function Long({ text, what }: { text: string; what: string }) {
  return <span class="long"><code>{text}</code><Copy text={text} what={what} /></span>;
}

/** Says what failed, to screen readers at once. */
export function Trouble({ error }: { error: unknown }) {
  if (!error) return null;
  return <p class="trouble" role="alert">{error instanceof Error ? error.message : String(error)}</p>;
}

/** What a page asked the node for: the answer to the newest question. */
export interface Answer<T> {
  value?: T;
  error?: unknown;
  loading: boolean;
}

/** Asks when what it depends on changes; the answer before stays until there is a new one. */
export function useAnswer<T>(ask: (signal: AbortSignal) => Promise<T>, on: unknown[]): Answer<T> {
  const [answer, set] = useState<Answer<T>>({ loading: true });
  useEffect(() => {
    const stop = new AbortController();
    set((before) => ({ ...before, loading: true }));
    ask(stop.signal).then(
      (value) => stop.signal.aborted || set({ value, loading: false }),
      (error: unknown) => stop.signal.aborted || set({ error, loading: false }),
    );
    return () => stop.abort();
  }, on);
  return answer;
}

/** Runs one thing at a time at a person's word, and says how it went. */
export function useAction<T>() {
  const [state, set] = useState<{ busy: boolean; error?: unknown; value?: T }>({ busy: false });
  const here = useRef(true);
  useEffect(() => () => void (here.current = false), []);
  const run = async (act: () => Promise<T>): Promise<T | undefined> => {
    set({ busy: true });
    try {
      const value = await act();
      if (here.current) set({ busy: false, value });
      return value;
    } catch (error) {
      if (here.current) set({ busy: false, error });
      return undefined;
    }
  };
  return { ...state, run, reset: () => set({ busy: false }) };
}
