import { useEffect, useRef, useState } from "preact/hooks";
import type { Answer } from "./basics";

/**
 * Asks when what it depends on changes, as useAnswer does, but one question at a time and no sooner than a pause after the answer before, in milliseconds: for
 * what costs many, and changes often. The last change is always followed by a question.
 */
export function useCoalesced<T>(ask: (signal: AbortSignal) => Promise<T>, on: unknown[], pause: number): Answer<T> {
  const [answer, set] = useState<Answer<T>>({ loading: true });
  const state = useRef({ asking: false, stale: false, free: 0, ask });
  state.current.ask = ask;
  const stop = useRef(new AbortController());
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const next = () => {
    const s = state.current;
    if (s.asking || timer.current !== undefined) {
      s.stale = true;
      return;
    }
    const wait = s.free - Date.now();
    if (wait > 0) {
      timer.current = setTimeout(() => { timer.current = undefined; next(); }, wait);
      return;
    }
    s.asking = true;
    s.stale = false;
    const { signal } = stop.current;
    const over = (result: Partial<Answer<T>>) => {
      if (signal.aborted) return;
      s.asking = false;
      s.free = Date.now() + pause;
      set((before) => ({ value: before.value, ...result, loading: false }));
      if (s.stale) next();
    };
    s.ask(signal).then((value) => over({ value, error: undefined }), (error: unknown) => over({ error }));
  };
  useEffect(next, on);
  useEffect(() => () => {
    stop.current.abort();
    clearTimeout(timer.current);
  }, []);
  return answer;
}
