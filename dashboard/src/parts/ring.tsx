import type { Holding, Peer } from "@folkmoot/client";
import { shortID } from "../live";
import { turnOfKey, turnOfPeer, type Turn } from "../keyring";

const radius = 150;
const frame = { width: 480, height: 356 };

const at = (turn: Turn, r: number) => ({ x: r * Math.sin(turn * 2 * Math.PI), y: -r * Math.cos(turn * 2 * Math.PI) });

/** Draws the ring of all keys with the key, every peer, and those that hold the record. The table of holders says the same. */
export function KeyRing({ holding, peers }: { holding: Holding; peers: ReadonlyMap<string, Peer> }) {
  const key = turnOfKey(holding.key);
  const version = newest(holding);
  const stored = holding.holders.filter((h) => h.found && h.version === version).length;
  const holders = new Map(holding.holders.map((h) => [h.id, h]));
  const all = new Set([...peers.keys(), ...holders.keys()]);
  const mark = at(key, radius);
  return (
    <svg class="keyring" viewBox={`${-frame.width / 2} ${-frame.height / 2} ${frame.width} ${frame.height}`} role="img" aria-label={`${stored} of ${holding.wanted} copies on the ring of keys`}>
      <circle class="track" r={radius} />
      {[...holders.values()].map((h) => {
        const p = at(turnOfPeer(h.id), radius);
        return <path key={h.id} class={`chord ${h.found ? "found" : h.wanted ? "missing" : ""}`} d={`M${mark.x} ${mark.y}Q0 0 ${p.x} ${p.y}`} />;
      })}
      {[...all].map((id) => {
        const turn = turnOfPeer(id);
        const holder = holders.get(id);
        const p = at(turn, radius);
        const text = at(turn, radius + 16);
        const name = holder ? (holder.found ? "found" : "missing") : "other";
        const side = Math.sin(turn * 2 * Math.PI);
        return (
          <g key={id} class={`holder ${name}`}>
            <circle cx={p.x} cy={p.y} r={holder ? 9 : 4} />
            {holder && <text x={text.x} y={text.y + 4} text-anchor={side > 0.3 ? "start" : side < -0.3 ? "end" : "middle"}>{shortID(id)}</text>}
          </g>
        );
      })}
      <g transform={`translate(${mark.x} ${mark.y}) rotate(45)`} class="key"><rect x="-8" y="-8" width="16" height="16" rx="2" /></g>
      <text class="big" y="-2">{stored} of {holding.wanted}</text>
      <text class="small" y="22">{holding.wanted === 1 ? "copy" : "copies"}{holding.wanted < holding.copies ? `; ${holding.copies} wanted` : ""}</text>
    </svg>
  );
}

/** Returns the newest version that a holder has: versions begin with their time, in digits of equal number. */
export function newest(holding: Holding): string {
  return holding.holders.reduce((version, h) => ((h.version ?? "") > version ? h.version! : version), "");
}
