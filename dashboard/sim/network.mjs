// A network of many peers, simulated for the page alone: what a node would tell of it, at the rate at which things happen in a network that is in use. The same seed tells the same.

/** The most connections of a node in a network of more than 128 peers (routing). */
const maxConnections = 64;
const zones = ["east-1", "east-2", "north", "south-1", "south-2", "west"];
/** How often things happen, on an average: per simulated second, in the whole network. */
const rates = {
  trip: 3, // a peer's round trip changed by so much that it is told
  switched: 0.2, // a connection is closed and another one opened
  suspected: 0.05, // a peer is silent for a moment
  died: 0.005, // a peer dies, and comes back later
  replaced: 0.002, // a peer leaves for good, and another one comes
  record: 5, // a record is written or deleted
  records: 1, // what this node holds changed
  block: 0.5,
};
/** How long a suspected peer is silent, and a dead one away, in simulated seconds. */
const silence = 4;
const absence = 120;
const keys = 3000;

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const hex = "0123456789abcdef";

/** Numbers that look random (mulberry32). */
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Network {
  constructor({ peers = 200, seed = 1, start = Date.now() } = {}) {
    this.random = generator(seed);
    this.start = start;
    /** Simulated seconds since the start. */
    this.now = 0;
    this.height = 1000;
    this.peers = new Map();
    this.later = [];
    this.records = new Map();
    for (let i = 0; i < peers; i++) this.add(i === 0);
    this.self = [...this.peers.keys()][0];
    for (let i = 0; i < 400; i++) this.write();
  }

  text(letters, n) {
    return Array.from({ length: n }, () => letters[Math.floor(this.random() * letters.length)]).join("");
  }

  time() {
    return new Date(this.start + this.now * 1000).toISOString();
  }

  add(self = false) {
    const id = `12D3KooW${this.text(alphabet, 44)}`;
    const zone = zones[Math.floor(this.random() ** 1.4 * zones.length)];
    const peer = { id, state: "alive", zone, connected: false, addresses: [`/ip4/10.${Math.floor(this.random() * 250)}.${Math.floor(this.random() * 250)}.7/udp/4242/quic-v1`], version: "1.0.0", since: this.time(), found_by: ["members"], self };
    this.peers.set(id, peer);
    if (!self && [...this.peers.values()].filter((p) => p.connected).length < maxConnections) this.connect(peer);
    return peer;
  }

  connect(peer) {
    const far = zones.indexOf(peer.zone) + 1;
    Object.assign(peer, { connected: true, transports: ["quic"], rtt_us: Math.round(250 * far ** 2.2 * (0.6 + this.random())), relayed: this.random() < 0.05, last_seen: this.time() });
    if (peer.relayed) peer.relayed_by = [this.any((p) => p.connected && !p.relayed && p !== peer)?.id ?? this.self];
    else delete peer.relayed_by;
  }

  disconnect(peer) {
    Object.assign(peer, { connected: false, relayed: false, rtt_us: 0 });
    delete peer.transports;
    delete peer.relayed_by;
  }

  any(fits = () => true) {
    const list = [...this.peers.values()].filter((p) => !p.self && fits(p));
    return list[Math.floor(this.random() * list.length)];
  }

  links(peer) {
    return peer.connected ? [{ from: this.self, to: peer.id, kind: "connection", transports: peer.transports, rtt_us: peer.rtt_us, relayed: peer.relayed }] : [];
  }

  whole() {
    const list = [...this.peers.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return { self: this.self, peers: list, links: list.flatMap((p) => this.links(p)), mesh: false, partial: false, records: this.holds(), ledger: this.ledger() };
  }

  holds() {
    const below = [...this.peers.values()].some((p) => p.state === "dead") ? Math.floor(this.random() * 20) : 0;
    return { stored: 40 + Math.floor(this.random() * 5), disk_bytes: 5_000_000 + Math.floor(this.random() * 1e5), wanted: 5, copies: 5, quorum: 3, shards_held: 103, shards_synced: 103, full: 15 - Math.min(below, 15), below, unreachable: 0 };
  }

  ledger() {
    return { network: "ab".repeat(32), name: "crowd", height: this.height, time: this.time(), root: this.text(hex, 64), trust: `${this.height}:${"cd".repeat(32)}`, syncing: false, first: 1, peers: 40, power: 0, total_power: 4, rules: { version: 1, known: 1 } };
  }

  event(event, more) {
    return { stream: "network", event, data: { event, time: this.time(), ...more } };
  }

  told(peer) {
    return this.event("peer", { peer: { ...peer }, links: this.links(peer) });
  }

  become(peer, state) {
    Object.assign(peer, { state, since: this.time() });
    if (state === "dead") this.disconnect(peer);
    return this.told(peer);
  }

  write() {
    const key = `${["photos", "orders", "config"][Math.floor(this.random() * 3)]}/${Math.floor(this.random() * keys)}`;
    const version = `${(this.start + Math.floor(this.now * 1000)).toString(16).padStart(12, "0")}0000-${this.text(hex, 32)}`;
    const deleted = this.records.has(key) && this.random() < 0.45;
    if (deleted) this.records.delete(key);
    else this.records.set(key, { key, version, author: this.self, size: Math.floor(this.random() * 4000) });
    return { stream: "records", event: "change", data: { event: "change", key, version, author: this.self, size: this.records.get(key)?.size, deleted } };
  }

  /** Goes on by so many simulated seconds, and returns what is told of them. */
  advance(seconds) {
    const events = [];
    for (const [what, rate] of Object.entries(rates)) {
      // As many as there are on an average, and now and then one more.
      for (let n = rate * seconds; this.random() < n; n--) events.push(...this.happen(what));
    }
    this.now += seconds;
    const due = this.later.filter((l) => l.at <= this.now);
    this.later = this.later.filter((l) => l.at > this.now);
    for (const l of due) events.push(...l.then());
    return events;
  }

  after(seconds, then) {
    this.later.push({ at: this.now + seconds, then });
  }

  happen(what) {
    const alive = this.any((p) => p.state === "alive");
    switch (what) {
      case "trip": {
        const peer = this.any((p) => p.connected);
        peer.rtt_us = Math.max(80, Math.round(peer.rtt_us * (0.8 + 0.45 * this.random())));
        return [this.told(peer)];
      }
      case "switched": {
        const [closed, opened] = [this.any((p) => p.connected), this.any((p) => !p.connected && p.state === "alive")];
        if (!opened) return [];
        this.disconnect(closed);
        this.connect(opened);
        return [this.told(closed), this.told(opened)];
      }
      case "suspected":
        this.after(silence, () => (alive.state === "suspect" ? [this.become(alive, "alive")] : []));
        return [this.become(alive, "suspect")];
      case "died":
        this.after(absence, () => (this.peers.has(alive.id) ? [this.become(alive, "alive")] : []));
        return [this.become(alive, "dead")];
      case "replaced":
        this.peers.delete(alive.id);
        return [this.event("gone", { id: alive.id }), this.told(this.add())];
      case "record": return [this.write()];
      case "records": return [this.event("records", { records: this.holds() })];
      default:
        this.height++;
        return [this.event("block", { block: { height: this.height, time: this.time(), transactions: Math.floor(this.random() * 4) } })];
    }
  }
}
