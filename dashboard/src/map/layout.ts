import type { Peer } from "@folkmoot/client";

/** The map is drawn around this node, at 0,0; the outermost ring has this radius. */
export const outer = 400;
const inner = 150;
/** Peers whose round trip is not known stand outside of the rings. */
const beyond = 450;
/** Room between two zones, in radians. */
const gap = 0.22;

export interface Placed {
  peer: Peer;
  x: number;
  y: number;
  angle: number;
  /** Where the line to this node begins: at a relay, if the peer is reached through one that is on the map. */
  via?: { x: number; y: number };
}

export interface Arc {
  zone: string;
  from: number;
  to: number;
}

export interface Ring {
  radius: number;
  micros: number;
}

export interface Layout {
  placed: Placed[];
  arcs: Arc[];
  rings: Ring[];
}

/** Places peers: the angle is the peer's place among those of its zone, by id; the distance is the round trip, on a logarithmic scale. It is the same for the same peers, whatever happened before. */
export function layout(peers: Iterable<Peer>): Layout {
  const others = [...peers].filter((peer) => !peer.self);
  const rings = ringsFor(others);
  const arcs: Arc[] = [];
  const placed: Placed[] = [];
  const zones = [...groups(others)];
  zones.sort(([a], [b]) => (a < b ? -1 : 1));
  const room = 2 * Math.PI - (zones.length > 1 ? gap * zones.length : 0);
  // Straight up is between two zones, where the rings have their names.
  let at = -Math.PI / 2 + (zones.length > 1 ? gap / 2 : 0);
  for (const [zone, members] of zones) {
    const width = (room * members.length) / others.length;
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    members.forEach((peer, i) => {
      const angle = at + (width * (i + 0.5)) / members.length;
      const radius = radiusOf(peer, rings);
      placed.push({ peer, angle, x: radius * Math.cos(angle), y: radius * Math.sin(angle) });
    });
    if (zone) arcs.push({ zone, from: at, to: at + width });
    at += width + (zones.length > 1 ? gap : 0);
  }
  const places = new Map(placed.map((p) => [p.peer.id, p]));
  for (const p of placed) {
    const relay = p.peer.relayed ? places.get(p.peer.relayed_by?.[0] ?? "") : undefined;
    if (relay) p.via = { x: relay.x, y: relay.y };
  }
  return { placed, arcs, rings };
}

const zoneOf = (peer: Peer): string => peer.zone ?? "";

function groups(peers: Peer[]): Map<string, Peer[]> {
  const map = new Map<string, Peer[]>();
  for (const peer of peers) map.set(zoneOf(peer), [...(map.get(zoneOf(peer)) ?? []), peer]);
  return map;
}

/** Returns rings at powers of ten that hold all round trips, at least a decade. */
function ringsFor(peers: Peer[]): Ring[] {
  const trips = peers.map((peer) => peer.rtt_us ?? 0).filter((micros) => micros > 0);
  const low = trips.length ? Math.floor(Math.log10(Math.min(...trips))) : 2;
  const high = Math.max(trips.length ? Math.ceil(Math.log10(Math.max(...trips))) : 3, low + 1);
  return Array.from({ length: high - low + 1 }, (_, i) => ({ micros: 10 ** (low + i), radius: inner + ((outer - inner) * i) / (high - low) }));
}

function radiusOf(peer: Peer, rings: Ring[]): number {
  if (!peer.rtt_us || !peer.connected) return beyond;
  const low = Math.log10(rings[0]!.micros);
  const high = Math.log10(rings.at(-1)!.micros);
  // In steps of a fifth of a decade: what varies by a little stays where it is.
  const step = Math.round(Math.log10(peer.rtt_us) * 5) / 5;
  return inner + ((outer - inner) * (Math.min(Math.max(step, low), high) - low)) / (high - low);
}
