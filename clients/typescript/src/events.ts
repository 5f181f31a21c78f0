import { errorOf, ProblemError, UnreachableError } from "./problem.js";

/** One server-sent event (HTML standard, section 9.2). */
export interface ServerEvent {
  type: string;
  data: string;
  /** From where a stream goes on after this event. */
  cursor: string;
}

/** What to do about a stream besides taking its events. */
export interface StreamOptions {
  signal?: AbortSignal;
  /** Where to go on; absent: what happens from now on. */
  cursor?: string;
  /** Told when the stream is there, and false when it broke off and is being taken up again. */
  onConnection?: (connected: boolean, error?: Error) => void;
}

// Bounds of waiting between two tries, in milliseconds.
const firstPause = 500;
const longestPause = 15_000;
/** The node sends something every 15 seconds: a connection silent for this long is dead. In milliseconds. */
const silence = 40_000;
/** How long the answer to a question for a stream may take to begin, in milliseconds: the node begins at once. */
const openTime = 20_000;
/** The most characters of one event: a value of 1 MiB, written in JSON. */
const maxEvent = 16 << 20;

/** Reads the lines of server-sent events; pure, so that it can be tested byte by byte. */
export class EventParser {
  private rest = "";
  private type = "";
  private data: string[] = [];
  private size = 0;
  /** How long the server wants clients to wait before they come back, in milliseconds. */
  retry: number | undefined;

  constructor(public cursor = "") {}

  /** Takes a piece of the stream and returns the events that it completes. */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = this.line(line);
      if (event) events.push(event);
    }
    if (this.rest.length + this.size > maxEvent) throw new UnreachableError("an event is larger than any event is");
    return events;
  }

  private line(line: string): ServerEvent | undefined {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.type = value;
    else if (name === "data") {
      this.data.push(value);
      this.size += value.length;
    } else if (name === "id" && !value.includes("\0")) this.cursor = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return undefined;
  }

  private dispatch(): ServerEvent | undefined {
    const event = { type: this.type || "message", data: this.data.join("\n"), cursor: this.cursor };
    const some = this.data.length > 0;
    this.type = "";
    this.data = [];
    this.size = 0;
    return some ? event : undefined;
  }
}

/**
 * Yields the events of a stream until the signal aborts, and takes it up again by its cursor when it breaks off. It ends with an error only where
 * trying again is no use: the node itself refuses the request. What somebody between says, such as a proxy whose node is being started, passes.
 */
export async function* stream(open: (cursor: string, signal: AbortSignal) => Promise<Response>, options: StreamOptions = {}): AsyncGenerator<ServerEvent> {
  const { signal, onConnection } = options;
  let cursor = options.cursor ?? "";
  let pause = firstPause;
  while (!signal?.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const response = await within(openTime, attempt, open(cursor, attempt.signal));
      if (!response.ok || !response.body) throw await errorOf(response);
      onConnection?.(true);
      const parser = new EventParser(cursor);
      for await (const text of pieces(response.body, attempt)) {
        const events = parser.push(text);
        cursor = parser.cursor;
        pause = firstPause;
        for (const event of events) {
          if (signal?.aborted) return;
          yield event;
        }
      }
      throw new UnreachableError("the stream of events ended");
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof ProblemError && error.byNode && error.status < 500 && error.status !== 429) throw error;
      onConnection?.(false, error as Error);
      await sleep(error instanceof ProblemError && error.retryAfter ? error.retryAfter * 1000 : pause, signal);
      pause = Math.min(pause * 2, longestPause);
    } finally {
      signal?.removeEventListener("abort", stop);
      attempt.abort();
    }
  }
}

/** Gives up on an attempt that is not answered in time. */
async function within<T>(milliseconds: number, attempt: AbortController, answer: Promise<T>): Promise<T> {
  const timer = setTimeout(() => attempt.abort(new UnreachableError(`the node did not answer within ${milliseconds / 1000} s`)), milliseconds);
  // What heeds no signal is left to itself.
  const ended = new Promise<never>((_, reject) => attempt.signal.addEventListener("abort", () => reject(attempt.signal.reason as Error), { once: true }));
  try {
    return await Promise.race([answer, ended]);
  } finally {
    clearTimeout(timer);
  }
}

/** Yields a body as text, and gives up on one that is silent for too long. */
async function* pieces(body: ReadableStream<Uint8Array>, attempt: AbortController): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const silent = () => attempt.abort(new UnreachableError(`the node was silent for ${silence / 1000} s`));
  let timer = setTimeout(silent, silence);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      timer = setTimeout(silent, silence);
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    clearTimeout(timer);
    void reader.cancel().catch(() => undefined);
  }
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end, { once: true });
  });
}
