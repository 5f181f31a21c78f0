import type { Peer } from "@folkmoot/client";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { duration } from "./format";
import { client, live, shortID } from "./live";
import { Trouble, useAction } from "./parts/basics";
import { go, to } from "./route";
import { useStore } from "./store";

const seenName = "folkmoot-tour-seen";
/** The name of the network that moot demo makes. */
const demo = "demo";
const tourKey = "tour/hello";

/** Five things that a network does, one after the other, done for real. */
export function Tour() {
  const network = useStore(live, (l) => l.node?.network.name);
  const [step, set] = useState(-1);
  const [offered, offer] = useState(false);
  useEffect(() => {
    const begin = () => set(0);
    addEventListener("folkmoot-tour", begin);
    return () => removeEventListener("folkmoot-tour", begin);
  }, []);
  useEffect(() => {
    if (network === demo && !localStorage.getItem(seenName)) offer(true);
  }, [network]);
  const end = () => {
    localStorage.setItem(seenName, "yes");
    offer(false);
    set(-1);
  };
  if (step < 0) {
    if (!offered) return null;
    return (
      <Panel title="A tour in five steps" step={-1} end={end}>
        <p>See what a network of peers does: one peer reaches another, a record is kept by all of them and survives when one is killed, and a payment that nobody can undo.</p>
        <p class="row"><button type="button" class="primary" onClick={() => set(0)}>Begin</button><button type="button" onClick={end}>Not now</button></p>
      </Panel>
    );
  }
  const Step = steps[step]!;
  const next = step + 1 < steps.length ? () => set(step + 1) : end;
  return <Panel title={titles[step]!} step={step} end={end}><Step key={step} next={next} /></Panel>;
}

function Panel({ title, step, end, children }: { title: string; step: number; end: () => void; children: ComponentChildren }) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    if (step >= 0) box.current?.focus({ preventScroll: true });
  }, [step]);
  return (
    <aside class="tour" aria-label="Tour" ref={box} tabIndex={-1} onKeyDown={(e) => e.key === "Escape" && end()}>
      <header><h2>{step >= 0 ? `${step + 1}. ${title}` : title}</h2><button type="button" onClick={end} aria-label="End the tour">✕</button></header>
      {step >= 0 && <ol class="steps" aria-label={`Step ${step + 1} of ${steps.length}`}>{steps.map((_, i) => <li key={i} class={i < step ? "past" : i === step ? "now" : ""} />)}</ol>}
      {children}
    </aside>
  );
}

interface StepProps {
  next: () => void;
}

const titles = ["Ping a peer", "Put a record", "Get it", "Kill a peer", "Pay somebody"];
const steps = [Ping, Put, Get, Kill, Transfer];

function Next({ next, done, last }: StepProps & { done: boolean; last?: boolean }) {
  return <button type="button" class={done ? "primary" : ""} onClick={next}>{last ? "End" : done ? "Next" : "Skip"}</button>;
}

function Ping({ next }: StepProps) {
  const peers = useStore(live, (l) => l.peers);
  const act = useAction<string>();
  const peer = [...peers.values()].find((p) => !p.self && p.state === "alive");
  const run = (p: Peer) => act.run(async () => {
    go(to("network", p.id));
    return `${shortID(p.id)} answered in ${duration((await client.ping(p.id)).rtt_us)}.`;
  });
  return (
    <>
      <p>Every peer has an id that its key proves. A ping opens a stream to one, encrypted, and back.</p>
      <Done text={act.value} error={act.error} />
      <p class="row">{peer ? <button type="button" class={act.value ? "" : "primary"} disabled={act.busy} onClick={() => void run(peer)}>Ping {shortID(peer.id)}</button> : "There is nobody else."}<Next next={next} done={Boolean(act.value)} /></p>
    </>
  );
}

function Put({ next }: StepProps) {
  const act = useAction<string>();
  const run = () => act.run(async () => {
    const written = await client.put(tourKey, "hello from the dashboard");
    go(to("records", tourKey));
    return `Stored: ${written.copies.stored} of ${written.copies.wanted} copies were on disk when the answer came.`;
  });
  return (
    <>
      <p>A record is signed by this node and kept by the peers nearest to its key. The answer comes when a quorum has it on disk.</p>
      <Done text={act.value} error={act.error} />
      <p class="row"><button type="button" class={act.value ? "" : "primary"} disabled={act.busy} onClick={() => void run()}>Put “{tourKey}”</button><Next next={next} done={Boolean(act.value)} /></p>
    </>
  );
}

function Get({ next }: StepProps) {
  const act = useAction<string>();
  const run = () => act.run(async () => {
    go(to("records", tourKey));
    const record = await client.get(tourKey);
    return `“${new TextDecoder().decode(record.value)}”, known to be on ${record.copies} disks.`;
  });
  return (
    <>
      <p>Whichever peer is asked, it hears a quorum of the holders, and takes the newest version that one of them has.</p>
      <Done text={act.value} error={act.error} />
      <p class="row"><button type="button" class={act.value ? "" : "primary"} disabled={act.busy} onClick={() => void run()}>Get “{tourKey}”</button><Next next={next} done={Boolean(act.value)} /></p>
    </>
  );
}

function Kill({ next }: StepProps) {
  const peers = useStore(live, (l) => l.peers);
  const records = useStore(live, (l) => l.records);
  const [before] = useState(() => new Set([...peers.values()].filter((p) => p.state === "alive").map((p) => p.id)));
  const lost = [...before].map((id) => peers.get(id)).find((p) => p && !p.self && p.state !== "alive");
  const stopped = useRef(false);
  if (lost) stopped.current = true;
  useEffect(() => go(to("network")), []);
  const whole = records?.below === 0 && records.unreachable === 0;
  return (
    <>
      <p>In the terminal where <code>moot demo</code> runs, type <code>kill {before.size}</code> and Enter: the peer says no goodbye, as when its machine loses power. Watch the map: the others find out, and its records stay readable all the while.</p>
      {lost && <p class="done" role="status">{shortID(lost.id)} is {lost.state}. {whole ? "Each record has all the copies that are wanted now." : "Its copies are missed."} Type <code>start {before.size}</code>, and it catches up.</p>}
      {!lost && stopped.current && <p class="done" role="status">It is back, and has what was written meanwhile.</p>}
      <p class="row"><Next next={next} done={stopped.current} /></p>
    </>
  );
}

function Transfer({ next }: StepProps) {
  const [done, set] = useState(false);
  useEffect(() => {
    go(to("ledger", "transfer"));
    const sent = () => set(true);
    addEventListener("folkmoot-transfer", sent);
    return () => removeEventListener("folkmoot-transfer", sent);
  }, []);
  return (
    <>
      <p>Open the key file of <code>ann</code>, whose path <code>moot demo</code> printed, and pay <code>bob</code>. The key signs in this page; the peers vote on the block that the payment is in.</p>
      {done && <p class="done" role="status">Paid, and in a block: nobody can take it back.</p>}
      <p class="row"><Next next={next} done={done} last /></p>
    </>
  );
}

function Done({ text, error }: { text?: string; error: unknown }) {
  return <>{text && <p class="done" role="status">{text}</p>}<Trouble error={error} /></>;
}
