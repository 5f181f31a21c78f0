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

test("a refusal ends the stream", async () => {
  const problem = { type: "urn:x", title: "Invalid", status: 400, detail: "no cursor", kind: "invalid" };
  const open = async () => Response.json(problem, { status: 400, headers: { "Content-Type": "application/problem+json" } });
  await assert.rejects(stream(open).next(), (error) => error instanceof ProblemError && error.kind === "invalid" && error.message === "no cursor");
});
