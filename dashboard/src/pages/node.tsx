import { useState } from "preact/hooks";
import { ago, bytes, count, moment, plural } from "../format";
import type { Diagnosis } from "@folkmoot/client";
import { client, live } from "../live";
import { Card, Facts, Long, PeerLink, useAnswer } from "../parts/basics";
import { useStore } from "../store";
import { applyTheme, storedTheme, type Theme } from "../theme";

export function NodePage() {
  const node = useStore(live, (l) => l.node);
  const records = useStore(live, (l) => l.records);
  const ledger = useStore(live, (l) => l.ledger);
  if (!node) return <p class="waiting">Asking the node…</p>;
  const reach = node.reachability;
  return (
    <>
      <h1>This node</h1>
      <div class="columns">
        <Card title="Status" id="status-title" extra={<span class={`badge ${node.ready ? "good" : "warn"}`}>{node.ready ? "ready" : "not ready"}</span>}>
          <Facts of={[
            ["Not ready", node.not_ready], ["Peer id", <Long text={node.id} what="peer id" />],
            ["Network", `${node.network.name}, ${node.network.open ? "open to who knows the name" : "closed"}`],
            ["Network id", <Long text={node.network.id} what="network id" />],
            ["Version", node.version], ["Started", `${moment(node.started)} (${ago(node.started)} ago)`],
          ]} />
        </Card>
        <Findings />
        {records && (
          <Card title="Records on this disk" id="records-title">
            <Facts of={[
              ["Stored", plural(records.stored, "record")],
              ["Disk", records.quota_bytes ? `${bytes(records.disk_bytes)} of ${bytes(records.quota_bytes)} allowed` : bytes(records.disk_bytes)],
              ["In charge of", `${count(records.full)} with all copies, ${count(records.below)} with fewer, ${count(records.unreachable)} out of reach`],
              ["Shards in sync", <><meter min={0} max={Math.max(records.shards_held, 1)} value={records.shards_synced} aria-label="Shards in sync" /> {count(records.shards_synced)} of {count(records.shards_held)}</>],
            ]} />
          </Card>
        )}
        {ledger && (
          <Card title="Ledger" id="ledger-title" extra={ledger.problem ? <span class="badge bad">stands still</span> : ledger.syncing ? <span class="badge warn">fetching</span> : <span class="badge good">up to date</span>}>
            <Facts of={[
              ["Problem", ledger.problem], ["Block", count(ledger.height)], ["Blocks kept", `from ${count(ledger.first)}`],
              ["Votes here", ledger.power ? `${ledger.power} of ${ledger.total_power}` : "follows, does not vote"], ["Kept with", plural(ledger.peers, "peer")],
              ["Rules", ledger.rules && `version ${ledger.rules.version}; this program knows up to ${ledger.rules.known}`],
            ]} />
          </Card>
        )}
        <Card title="How it is reached" id="reach-title" extra={reach && <span class={`badge ${reach.state === "reachable" ? "good" : "warn"}`}>{reach.state}</span>}>
          <Facts of={[
            ["Relays", reach?.relays.length ? reach.relays.map((id) => <PeerLink key={id} id={id} />) : undefined],
            ["NAT, TCP", reach?.nat_tcp], ["NAT, QUIC", reach?.nat_quic],
            ["Relays for others", reach?.relaying && `${plural(reach.relaying.reservations, "peer")}, ${bytes(reach.relaying.bytes)}`],
            ["Hole punches", reach && `${reach.hole_punches} made, ${reach.hole_punches_failed} failed`],
          ]} />
          <ul class="plain">{node.addresses.map((a) => <li key={a}><code class="break">{a}</code></li>)}</ul>
        </Card>
        <Card title="Settings in force" id="settings-title">
          <Facts of={[
            ["Copies of each record", `${node.records.copies} (--copies); ${node.records.wanted} now, as many as there are peers for`],
            ["Quorum of a write", plural(node.records.quorum, "copy", "copies")],
            ["Zone", node.zone || "none (--zone)"], ["Quota", node.records.quota_bytes ? bytes(node.records.quota_bytes) : "none (--quota)"],
            ["API", location.origin],
          ]} />
        </Card>
        <Look />
      </div>
    </>
  );
}

/** What the doctor says. */
function Findings() {
  const answer = useAnswer((signal) => client.json<Diagnosis>("/v1/doctor", { signal }), []);
  if (!answer.value) return null;
  const { findings } = answer.value;
  return (
    <Card title="Findings" id="findings-title" extra={<span class={`badge ${answer.value.healthy ? "good" : "bad"}`}>{answer.value.healthy ? "no problem" : "problems"}</span>}>
      {findings.length === 0 && <p class="quiet">All is well.</p>}
      <ul class="findings">
        {findings.map((f, i) => (
          <li key={i} class={f.severity}><b>{f.summary}</b>{f.command && <pre class="value">{f.command}</pre>}</li>
        ))}
      </ul>
    </Card>
  );
}

function Look() {
  const [theme, set] = useState<Theme>(storedTheme);
  const choose = (next: Theme) => { applyTheme(next); set(next); };
  return (
    <Card title="This page" id="look-title">
      <fieldset class="choice">
        <legend>Colours</legend>
        {(["system", "light", "dark"] as const).map((t) => (
          <label key={t}><input type="radio" name="theme" checked={theme === t} onChange={() => choose(t)} />{t === "system" ? "as the system" : t}</label>
        ))}
      </fieldset>
      <p><button type="button" onClick={() => dispatchEvent(new Event("folkmoot-tour"))}>Take the tour</button> <a class="button" href="#/api">API reference</a></p>
    </Card>
  );
}
