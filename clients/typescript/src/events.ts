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
 * trying again is no use: the node refuses the request.
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
      const response = await open(cursor, attempt.signal);
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
      if (error instanceof ProblemError && error.status < 500 && error.status !== 429) throw error;
      onConnection?.(false, error as Error);
      await sleep(error instanceof ProblemError && error.retryAfter ? error.retryAfter * 1000 : pause, signal);
      pause = Math.min(pause * 2, longestPause);
    } finally {
      signal?.removeEventListener("abort", stop);
      attempt.abort();
    }
  }
}

/** Yields a body as text, and gives up on one that is silent for too long. */
async function* pieces(body: ReadableStream<Uint8Array>, attempt: AbortController): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let timer = setTimeout(() => attempt.abort(), silence);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      timer = setTimeout(() => attempt.abort(), silence);
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
