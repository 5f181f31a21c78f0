import type { Link, Peer } from "@folkmoot/client";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { duration, plural } from "../format";
import { shortID } from "../live";
import { go, to } from "../route";
import { layout, type Arc, type Placed } from "./layout";

/** Up to so many peers have their names beside them, and lines between one another. */
const namedPeers = 16;
/** With more the lines to them are faint: all together they would be the loudest thing in the picture. */
const calmPeers = 48;
const meshedPeers = 24;
const minZoom = 1;
const maxZoom = 8;

interface View {
  zoom: number;
  x: number;
  y: number;
}

const whole: View = { zoom: 1, x: 0, y: 0 };
/** Height of the picture; its width follows from the room that there is. */
const height = 1060;
/** How much higher it is where there is no room beside the circle: the zones' names go around it then. */
const narrowHeight = 1150;

/** Draws peers around this node. It can be gone through by arrow keys, and the table of peers says the same. */
export function NetworkMap({ peers, links, mesh }: { peers: ReadonlyMap<string, Peer>; links: ReadonlyMap<string, Link[]>; mesh: boolean }) {
  const { placed, arcs, rings } = useMemo(() => layout(peers.values()), [peers]);
  const [view, setView] = useState(whole);
  const [room, setRoom] = useState({ width: 2 * height, height, unit: 1.8 });
  const [picked, pick] = useState<string>();
  const svg = useRef<SVGSVGElement>(null);
  const drag = useDrag(svg, view, setView);
  useEffect(() => wheel(svg.current!, setView), []);
  useEffect(() => {
    const look = new ResizeObserver(([entry]) => {
      const box = entry!.contentRect;
      if (box.height === 0) return;
      const tall = box.width < 1.15 * box.height ? narrowHeight : height;
      setRoom({ width: tall * Math.max(1, box.width / box.height), height: tall, unit: tall / Math.min(box.height, box.width) });
    });
    look.observe(svg.current!);
    return () => look.disconnect();
  }, []);
  // Letters and dots have their size on the screen, whatever the size of the picture; zoomed in they grow, but less than distances do.
  const unit = room.unit / Math.sqrt(view.zoom);
  const narrow = room.height === narrowHeight;

  const named = placed.length <= namedPeers || view.zoom > 2.5;
  const size = unit * (placed.length <= 12 ? 9 : placed.length <= 48 ? 6.5 : placed.length <= 120 ? 5 : narrow ? 3 : 3.8);
  const current = placed.find((p) => p.peer.id === picked);
  const alive = placed.filter((p) => p.peer.state === "alive").length;

  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && placed.length) {
      const at = placed.findIndex((p) => p.peer.id === picked);
      pick(placed[(at + step + placed.length + (at < 0 && step < 0 ? 1 : 0)) % placed.length]!.peer.id);
    } else if (event.key === "Enter" && current) go(to("network", current.peer.id));
    else if (event.key === "+" || event.key === "=") setView((v) => zoomed(v, 1.4));
    else if (event.key === "-") setView((v) => zoomed(v, 1 / 1.4));
    else if (event.key === "0" || event.key === "Escape") { setView(whole); pick(undefined); }
    else return;
    event.preventDefault();
  };

  return (
    <div class="map">
      <svg
        ref={svg} viewBox={`${-room.width / 2} ${-room.height / 2} ${room.width} ${room.height}`} tabindex={0} role="application" aria-roledescription="map"
        aria-label={`Map of ${plural(placed.length, "other peer")}, ${alive} alive. Arrow keys go from one to the next, Enter opens it, plus and minus zoom.`}
        onKeyDown={onKey} class={`${drag.active ? "dragged" : ""} ${placed.length > calmPeers ? "calm" : ""}`} {...drag.handlers}
      >
        <g transform={`translate(${view.x} ${view.y}) scale(${view.zoom})`}>
          {rings.map((ring) => (
            <g key={ring.micros} class="ring">
              <circle r={ring.radius} />
              <text y={-ring.radius + 4 * unit} font-size={11 * unit}>{duration(ring.micros)}</text>
            </g>
          ))}
          {arcs.map((arc) => <ZoneArc key={arc.zone} arc={arc} unit={unit} around={narrow} />)}
          {placed.length <= meshedPeers && <Chords placed={placed} links={links} mesh={mesh} picked={picked} />}
          {placed.map((p) => <Line key={p.peer.id} placed={p} picked={p.peer.id === picked} />)}
          <g class="self"><circle r={17 * unit} /><circle r={7 * unit} class="core" /><text y={32 * unit} font-size={12.5 * unit}>this node</text></g>
          {placed.map((p) => (
            <Dot key={p.peer.id} placed={p} size={placed.length > calmPeers && !p.peer.connected && p.peer.state === "alive" ? 0.7 * size : size} unit={unit} named={named || p.peer.id === picked} picked={p.peer.id === picked}
              onPick={(on) => pick(on ? p.peer.id : undefined)} />
          ))}
        </g>
      </svg>
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" onClick={() => setView((v) => zoomed(v, 1.5))} aria-label="Zoom in">+</button>
        <button type="button" onClick={() => setView((v) => zoomed(v, 1 / 1.5))} aria-label="Zoom out" disabled={view.zoom <= minZoom}>−</button>
        <button type="button" onClick={() => setView(whole)} aria-label="Show all" disabled={view.zoom === 1}>⤢</button>
      </div>
      <p class="picked" aria-live="polite">{current ? describe(current.peer) : ""}</p>
      <Legend />
    </div>
  );
}

function describe(peer: Peer): string {
  const parts = [`Peer ${shortID(peer.id)}`, peer.leaving ? "leaving" : peer.state, peer.zone && `zone ${peer.zone}`];
  if (peer.connected) parts.push(duration(peer.rtt_us), peer.transports?.join(", "), peer.relayed ? "relayed" : "direct");
  else parts.push("not connected");
  return parts.filter(Boolean).join(" · ");
}

function Line({ placed: { peer, x, y, via }, picked }: { placed: Placed; picked: boolean }) {
  if (!peer.connected) return null;
  const name = `line ${peer.state} ${peer.relayed ? "relayed" : ""} ${peer.transports?.[0] ?? ""} ${picked ? "picked" : ""}`;
  return <path class={name} d={via ? `M0 0L${via.x} ${via.y}L${x} ${y}` : `M0 0L${x} ${y}`} />;
}

/** Who else is connected to whom, as far as is known. */
function Chords({ placed, links, mesh, picked }: { placed: Placed[]; links: ReadonlyMap<string, Link[]>; mesh: boolean; picked: string | undefined }) {
  const places = new Map(placed.map((p) => [p.peer.id, p]));
  const pairs: [Placed, Placed][] = [];
  if (mesh) {
    const alive = placed.filter((p) => p.peer.state === "alive");
    alive.forEach((a, i) => alive.slice(i + 1).forEach((b) => pairs.push([a, b])));
  } else {
    for (const link of [...links.values()].flat()) {
      const [a, b] = [places.get(link.from), places.get(link.to)];
      if (a && b) pairs.push([a, b]);
    }
  }
  return <>{pairs.map(([a, b]) => <path key={a.peer.id + b.peer.id} class={`chord ${picked === a.peer.id || picked === b.peer.id ? "picked" : ""}`} d={`M${a.x} ${a.y}L${b.x} ${b.y}`} />)}</>;
}

function ZoneArc({ arc, unit, around }: { arc: Arc; unit: number; around: boolean }) {
  const radius = 500;
  const id = useId();
  const point = (angle: number, r = radius) => `${r * Math.cos(angle)} ${r * Math.sin(angle)}`;
  const middle = (arc.from + arc.to) / 2;
  const big = arc.to - arc.from > Math.PI ? 1 : 0;
  const side = Math.cos(middle);
  const at = radius + 10 * unit;
  // Below the middle the name goes the other way around, so that nobody has to stand on their head.
  const below = Math.sin(middle) > 0;
  const line = radius + (below ? 16 : 7) * unit;
  const [from, to] = below ? [middle + 1.5, middle - 1.5] : [middle - 1.5, middle + 1.5];
  return (
    <g class="zone">
      <path d={`M${point(arc.from)}A${radius} ${radius} 0 ${big} 1 ${point(Math.min(arc.to, arc.from + 2 * Math.PI - 0.01))}`} />
      {around ? (
        <>
          <path id={id} class="way" d={`M${point(from, line)}A${line} ${line} 0 0 ${below ? 0 : 1} ${point(to, line)}`} />
          <text font-size={12.5 * unit}><textPath href={`#${id}`} startOffset="50%" text-anchor="middle">{arc.zone}</textPath></text>
        </>
      ) : <text x={at * Math.cos(middle)} y={at * Math.sin(middle) + 4 * unit} text-anchor={side > 0.3 ? "start" : side < -0.3 ? "end" : "middle"} font-size={12.5 * unit}>{arc.zone}</text>}
    </g>
  );
}

interface DotProps {
  placed: Placed;
  size: number;
  named: boolean;
  picked: boolean;
  unit: number;
  onPick: (on: boolean) => void;
}

function Dot({ placed: { peer, x, y, angle }, size, named, picked, onPick, unit }: DotProps) {
  const side = Math.cos(angle);
  const right = side >= -0.2;
  const text = 12.5 * unit;
  const at = size + 5 * unit;
  const name = `dot ${peer.leaving ? "leaving" : ""} ${peer.state} ${peer.connected ? "" : "far"} ${picked ? "picked" : ""}`;
  return (
    <g class={name} transform={`translate(${x} ${y})`} onPointerEnter={() => onPick(true)} onPointerLeave={() => onPick(false)} onClick={() => go(to("network", peer.id))}>
      <circle class="hit" r={Math.max(size + 3 * unit, 10 * unit)} />
      {picked && <circle class="halo" r={size + 4 * unit} />}
      {peer.relay && <circle class="halo relay" r={size + 3 * unit} />}
      <Shape state={peer.state} size={size} />
      {named && (
        <text x={right ? at : -at} y={text * 0.1} text-anchor={right ? "start" : "end"} font-size={text}>
          {shortID(peer.id)}<tspan class="trip" x={right ? at : -at} dy={text * 1.1} font-size={text * 0.82}>{peer.connected ? duration(peer.rtt_us) : peer.state}</tspan>
        </text>
      )}
    </g>
  );
}

function Shape({ state, size: r }: { state: Peer["state"]; size: number }) {
  switch (state) {
    case "suspect": return <path class="shape" d={`M0 ${-r * 1.15}L${r * 1.1} ${r * 0.85}H${-r * 1.1}Z`} />;
    case "away": return <circle class="shape hollow" r={r * 0.85} />;
    case "dead": return <path class="shape cross" d={`M${-r * 0.7} ${-r * 0.7}L${r * 0.7} ${r * 0.7}M${r * 0.7} ${-r * 0.7}L${-r * 0.7} ${r * 0.7}`} />;
    case "unknown": return <circle class="shape" r={r * 0.5} />;
    default: return <circle class="shape" r={r} />;
  }
}

function Legend() {
  return (
    <ul class="legend" aria-label="Legend">
      {(["alive", "suspect", "away", "dead"] as const).map((state) => (
        <li key={state}><svg viewBox="-10 -10 20 20" class={`dot ${state}`} aria-hidden="true"><Shape state={state} size={7} /></svg>{state}</li>
      ))}
      <li><svg viewBox="0 0 26 10" class="wide" aria-hidden="true"><path class="line alive" d="M1 5H25" /></svg>direct</li>
      <li><svg viewBox="0 0 26 10" class="wide" aria-hidden="true"><path class="line alive relayed" d="M1 5H25" /></svg>through a relay</li>
      <li class="note">distance from the middle: round trip</li>
    </ul>
  );
}

/** Zooms around a point of the picture, the middle if none is given, and keeps the picture in its frame. */
function zoomed(view: View, by: number, x = 0, y = 0): View {
  const zoom = Math.min(Math.max(view.zoom * by, minZoom), maxZoom);
  const factor = zoom / view.zoom;
  return bounded({ zoom, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor });
}

function bounded({ zoom, x, y }: View): View {
  const most = (height / 2) * (zoom - 1);
  const within = (value: number) => Math.min(Math.max(value, -most), most);
  return { zoom, x: within(x), y: within(y) };
}

/** Zooms by the wheel with Ctrl, which is what pinching on a touchpad sends; without it the wheel scrolls the page. */
function wheel(svg: SVGSVGElement, setView: (change: (view: View) => View) => void): () => void {
  const turned = (event: WheelEvent) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const at = pointOf(svg, event.clientX, event.clientY);
    setView((view) => zoomed(view, Math.exp(-event.deltaY / 200), at.x, at.y));
  };
  svg.addEventListener("wheel", turned, { passive: false });
  return () => svg.removeEventListener("wheel", turned);
}

function pointOf(svg: SVGSVGElement, x: number, y: number): DOMPoint {
  const matrix = svg.getScreenCTM();
  return matrix ? new DOMPoint(x, y).matrixTransform(matrix.inverse()) : new DOMPoint(0, 0);
}

/** Moves the picture by a pointer, and zooms by two. */
function useDrag(svg: { current: SVGSVGElement | null }, view: View, setView: (change: (view: View) => View) => void) {
  const pointers = useRef(new Map<number, DOMPoint>());
  const [active, setActive] = useState(false);
  const down = (event: PointerEvent) => {
    if (view.zoom === 1 && event.pointerType === "mouse") return;
    pointers.current.set(event.pointerId, pointOf(svg.current!, event.clientX, event.clientY));
    if (view.zoom > 1) setActive(true);
  };
  const move = (event: PointerEvent) => {
    const before = pointers.current.get(event.pointerId);
    if (!before) return;
    const now = pointOf(svg.current!, event.clientX, event.clientY);
    pointers.current.set(event.pointerId, now);
    const other = [...pointers.current].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = (p: DOMPoint) => Math.hypot(p.x - other.x, p.y - other.y);
      setView((v) => zoomed(v, apart(now) / Math.max(apart(before), 1), (now.x + other.x) / 2, (now.y + other.y) / 2));
    } else setView((v) => bounded({ ...v, x: v.x + now.x - before.x, y: v.y + now.y - before.y }));
  };
  const up = (event: PointerEvent) => {
    pointers.current.delete(event.pointerId);
    setActive(false);
  };
  return { active, handlers: { onPointerDown: down, onPointerMove: move, onPointerUp: up, onPointerCancel: up, onPointerLeave: up } };
}
