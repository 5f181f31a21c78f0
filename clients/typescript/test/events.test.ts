import assert from "node:assert/strict";
import { test } from "node:test";
import { EventParser, ProblemError, stream } from "../src/index.js";

test("events arrive whole however the stream is cut", () => {
  const text = "retry: 1000\nid: 1\n\n: beat\nid: 2\nevent: change\ndata: {\"a\":\ndata: 1}\n\r\nevent: lost\r\ndata: x\r\n\r\ndata\n\n";
  const want = [
    { type: "change", data: '{"a":\n1}', cursor: "2" },
    { type: "lost", data: "x", cursor: "2" },
    { type: "message", data: "", cursor: "2" },
  ];
  for (let size = 1; size <= text.length; size++) {
    const parser = new EventParser();
    const got = [];
    for (let at = 0; at < text.length; at += size) got.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(got, want, `pieces of ${size}`);
    assert.equal(parser.retry, 1000);
  }
});

test("a stream that breaks off goes on from its cursor", async () => {
  const asked: string[] = [];
  const answers = ["id: a\ndata: 1\n\n", "id: b\ndata: 2\n\nid: c\n\n", "data: 3\n\n"];
  const stop = new AbortController();
  const told: boolean[] = [];
  const got: string[] = [];
  const open = async (cursor: string) => {
    asked.push(cursor);
    return new Response(answers[asked.length - 1] ?? "");
  };
  for await (const event of stream(open, { signal: stop.signal, onConnection: (on) => told.push(on) })) {
    got.push(event.data);
    if (got.length === 3) stop.abort();
  }
  assert.deepEqual(got, ["1", "2", "3"]);
  assert.deepEqual(asked, ["", "a", "c"]);
  assert.deepEqual(told, [true, false, true, false, true]);
});

/** Lets everything run that waits for no timer. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("what a proxy says while the node is started ends no stream", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const answers = [() => new Response("no such app", { status: 404 }), () => new Response("", { status: 403 }), () => new Response("data: 1\n\n")];
  const told: [boolean, string | undefined][] = [];
  const next = stream(async () => answers.shift()!(), { onConnection: (on, error) => told.push([on, error?.message]) }).next();
  for (const pause of [500, 1000]) {
    await settle();
    t.mock.timers.tick(pause);
  }
  assert.equal((await next).value?.data, "1");
  assert.deepEqual(told, [[false, "the answer was 404"], [false, "the answer was 403"], [true, undefined]]);
});

test("a stream that is not answered is asked for again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const told: [boolean, string | undefined][] = [];
  let asked = 0;
  // The first question heeds no signal, the second does.
  const open = (_: string, signal: AbortSignal) => {
    asked++;
    if (asked === 1) return new Promise<Response>(() => undefined);
    if (asked === 2) return new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    return Promise.resolve(new Response("data: 1\n\n"));
  };
  const next = stream(open, { onConnection: (on, error) => told.push([on, error?.message]) }).next();
  for (const time of [20_000, 500, 20_000, 1000]) {
    await settle();
    t.mock.timers.tick(time);
  }
  assert.equal((await next).value?.data, "1");
  assert.deepEqual(told, [[false, "the node did not answer within 20 s"], [false, "the node did not answer within 20 s"], [true, undefined]]);
});

test("a refusal ends the stream", async () => {
  const problem = { type: "urn:x", title: "Invalid", status: 400, detail: "no cursor", kind: "invalid" };
  const open = async () => Response.json(problem, { status: 400, headers: { "Content-Type": "application/problem+json" } });
  await assert.rejects(stream(open).next(), (error) => error instanceof ProblemError && error.kind === "invalid" && error.message === "no cursor");
});
