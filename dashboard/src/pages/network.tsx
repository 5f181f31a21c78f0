import type { Peer, Standing } from "@folkmoot/client";
import { client, live, shortID, type Happening } from "../live";
import { NetworkMap } from "../map/map";
import { Card, Facts, Long, PeerLink, StateMark, Trouble, useAction, useAnswer } from "../parts/basics";
import { useCoalesced } from "../parts/coalesce";
import { ago, clock, count, duration, moment, plural } from "../format";
import { to, type Route } from "../route";
import { useStore } from "../store";

export function NetworkPages({ route }: { route: Route }) {
  const [id] = route.parts;
  return id ? <PeerPage key={id} id={id} /> : <Overview />;
}

function Overview() {
  const peers = useStore(live, (l) => l.peers);
  const links = useStore(live, (l) => l.links);
  const mesh = useStore(live, (l) => l.mesh);
  const partial = useStore(live, (l) => l.partial);
  const list = [...peers.values()];
  return (
    <>
      <Headline peers={list} />
      <div class="split">
        <section class="card map-card" aria-labelledby="map-title">
          <header>
            <h2 id="map-title">Peers as this node sees them</h2>
            {partial && <small>a part of a larger network</small>}
          </header>
          <NetworkMap peers={peers} links={links} mesh={mesh} />
        </section>
        <Feed />
      </div>
      <PeerTable peers={list} />
    </>
  );
}

/** How long is waited between two questions how records fare, each of which goes to every peer, in milliseconds. */
const standingPause = 5000;

/** Says in a sentence what the network is doing. */
function Headline({ peers }: { peers: Peer[] }) {
  const records = useStore(live, (l) => l.records);
  const ledger = useStore(live, (l) => l.ledger);
  const epoch = useStore(live, (l) => l.epoch);
  const partial = useStore(live, (l) => l.partial);
  const standing = useCoalesced((signal) => client.standing(signal), [records, epoch], standingPause).value;
  const answering = peers.filter((p) => p.state === "alive" && standing?.missing?.includes(p.id)).length;
  const alive = peers.filter((p) => p.state === "alive" || p.self).length;
  const total = standing ? standing.full + standing.below + standing.unreachable : undefined;
  const silent = peers.length - alive;
  return (
    <div class="headline">
      <h1>{silent === 0 ? (peers.length === 1 ? "One peer, alone so far." : `All ${peers.length} peers are here.`) : `${alive} of ${peers.length} peers are here.`}{" "}
        <span class={standing && standing.below + standing.unreachable > 0 ? "warn" : ""}>{recordSentence(standing, total, answering, partial)}</span>
      </h1>
      <ul class="tiles">
        <Tile href="#/network" name="peers alive" value={`${alive}`} of={silent ? `of ${peers.length}` : undefined} />
        <Tile href="#/records" name={total === 1 ? "record" : "records"} value={total === undefined ? "…" : count(total)} />
        <Tile href="#/records" name="copies of each" value={records ? `${records.wanted}` : "…"} of={records && records.wanted < records.copies ? `${records.copies} wanted` : undefined} />
        {ledger && <Tile href="#/ledger" name={ledger.height === 1 ? "block" : "blocks"} value={count(ledger.height)} of={ledger.problem ? "stands still" : undefined} />}
      </ul>
    </div>
  );
}

/** Says how records fare; silent is how many peers are alive and did not say it of theirs. Of peers that are gone others hold the copies. */
function recordSentence(standing: Standing | undefined, total: number | undefined, silent: number, partial: boolean): string {
  if (!standing) return "";
  if (standing.unreachable > 0) return `${plural(standing.unreachable, "record")} can’t be reached.`;
  if (standing.below > 0) return `${plural(standing.below, "record lacks", "records lack")} copies, which are being made.`;
  if (silent > 0) return `${plural(silent, "peer")} did not say how records fare.`;
  if (total === 0) return partial ? "No records that these peers know of." : "No records yet.";
  return partial ? "Every record of these peers has all its copies." : "Every record has all its copies.";
}

function Tile({ href, name, value, of }: { href: string; name: string; value: string; of?: string }) {
  return <li><a href={href}><b>{value}</b>{of && <i>{of}</i>}<span>{name}</span></a></li>;
}

function Feed() {
  const feed = useStore(live, (l) => l.feed);
  return (
    <Card title="As it happens" class="feed" id="feed-title">
      {feed.length === 0 ? <p class="quiet">Nothing has changed since you opened this page.</p> : <ol>{feed.map((h) => <Line key={h.id} of={h} />)}</ol>}
    </Card>
  );
}

const icons: Record<Happening["kind"], string> = { peer: "●", record: "▤", block: "⬡", repair: "⟳" };

function Line({ of }: { of: Happening }) {
  return (
    <li class={of.tone ?? ""}>
      <time dateTime={of.time.toISOString()}>{clock(of.time)}</time>
      <span class="icon" aria-hidden="true">{icons[of.kind]}</span>
      <span>{of.subject && (of.href ? <a href={of.href}>{of.subject}</a> : of.subject)} {of.text}</span>
    </li>
  );
}

function PeerTable({ peers }: { peers: Peer[] }) {
  const order = { alive: 1, suspect: 0, away: 2, dead: 3, unknown: 4 };
  const sorted = peers.sort((a, b) => Number(b.self ?? false) - Number(a.self ?? false) || order[a.state] - order[b.state] || (a.id < b.id ? -1 : 1));
  return (
    <Card title="All peers" id="peers-title" extra={<small>{plural(peers.length, "peer")}</small>}>
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="peers-title">
        <table>
          <thead><tr><th scope="col">Peer</th><th scope="col">State</th><th scope="col">Zone</th><th scope="col" class="number">Round trip</th><th scope="col">Connection</th><th scope="col">Version</th></tr></thead>
          <tbody>
            {sorted.map((p) => (
              <tr key={p.id}>
                <th scope="row"><PeerLink id={p.id} self={p.self} /></th>
                <td><StateMark state={p.self ? "alive" : p.state} />{p.leaving && <span class="tag">leaving</span>}</td>
                <td>{p.zone || "—"}</td>
                <td class="number">{p.self ? "—" : duration(p.rtt_us)}</td>
                <td>{connectionOf(p)}</td>
                <td>{p.version || "—"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function connectionOf(peer: Peer): string {
  if (peer.self) return "—";
  if (!peer.connected) return "none";
  return `${peer.transports?.join(", ") ?? ""} ${peer.relayed ? "through a relay" : "direct"}`.trim();
}

function PeerPage({ id }: { id: string }) {
  const known = useStore(live, (l) => l.peers.get(id));
  const found = useAnswer((signal) => (known ? Promise.resolve(known) : client.peer(id, undefined, signal)), [id, known]);
  const peer = known ?? found.value;
  const ping = useAction<{ trips: number[]; address: string }>();
  const run = () => ping.run(async () => {
    const trips: number[] = [];
    let address = "";
    for (let i = 0; i < 5; i++) {
      const pong = await client.ping(id);
      trips.push(pong.rtt_us);
      address = pong.address;
    }
    return { trips, address };
  });
  return (
    <>
      <p class="crumbs"><a href="#/network">Network</a> / peer</p>
      <h1 class="mono">{shortID(id)}{peer?.self && <span class="tag">this node</span>}</h1>
      <Trouble error={!peer && found.error} />
      {peer && (
        <div class="columns">
          <Card title="Peer" id="peer-title">
            <Facts of={[
              ["Id", <Long text={peer.id} what="peer id" />],
              ["State", <><StateMark state={peer.self ? "alive" : peer.state} />{peer.since && <small> since {moment(peer.since)} ({ago(peer.since)})</small>}</>],
              ["Leaving", peer.leaving && "hands over what it holds, and goes for good"],
              ["Zone", peer.zone], ["Version", peer.version],
              ["Last seen", !peer.self && peer.last_seen && moment(peer.last_seen)],
              ["Found by", peer.found_by?.join(", ")],
              ["Relay", peer.relay && "relays for others"],
            ]} />
          </Card>
          {!peer.self && (
            <Card title="Connection" id="connection-title">
              <Facts of={[
                ["Way", peer.connected ? (peer.relayed ? "through a relay" : "direct") : "none: others tell of it"],
                ["Transports", peer.transports?.join(", ")], ["Round trip", peer.rtt_us ? duration(peer.rtt_us) : undefined],
                ["Relayed by", peer.relayed_by?.map((relay) => <PeerLink key={relay} id={relay} />)],
              ]} />
              <button type="button" class="primary" onClick={() => void run()} disabled={ping.busy}>{ping.busy ? "Pinging…" : "Ping five times"}</button>
              <Trouble error={ping.error} />
              {ping.value && (
                <output class="pings">
                  <ol>{ping.value.trips.map((trip, i) => <li key={i}><meter min={0} max={Math.max(...ping.value!.trips)} value={trip} aria-label={`Ping ${i + 1}`} /> {duration(trip)}</li>)}</ol>
                  <small class="break">{ping.value.address}</small>
                </output>
              )}
            </Card>
          )}
          <Card title="Addresses" id="addresses-title">
            {peer.addresses.length ? <ul class="plain">{peer.addresses.map((a) => <li key={a}><code class="break">{a}</code></li>)}</ul> : <p class="quiet">None are known.</p>}
          </Card>
        </div>
      )}
      <p><a href={to("network")}>Back to the map</a></p>
    </>
  );
}
