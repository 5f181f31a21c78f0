import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { live, unlock } from "./live";
import { ApiPage } from "./pages/api";
import { LedgerPages } from "./pages/ledger";
import { NetworkPages } from "./pages/network";
import { NodePage } from "./pages/node";
import { RecordPages } from "./pages/records";
import { useRoute, type Route } from "./route";
import { useStore } from "./store";
import { Tour } from "./tour";

const pages = [
  { name: "network", title: "Network", icon: "M12 12m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0M12 4.2a1.7 1.7 0 1 0 0-.1M19 16.3a1.7 1.7 0 1 0 0-.1M5 16.3a1.7 1.7 0 1 0 0-.1M12 5.8v3.6M17.6 15.2l-3.3-1.9M6.4 15.2l3.3-1.9", show: (route: Route) => <NetworkPages route={route} /> },
  { name: "records", title: "Records", icon: "M5 6.5c0-1.4 3.1-2.5 7-2.5s7 1.1 7 2.5S15.9 9 12 9 5 7.9 5 6.5ZM5 6.5v5.5C5 13.4 8.1 14.5 12 14.5s7-1.1 7-2.5V6.5M5 12v5.5C5 18.9 8.1 20 12 20s7-1.1 7-2.5V12", show: (route: Route) => <RecordPages route={route} /> },
  { name: "ledger", title: "Ledger", icon: "M4.5 9.5 8.5 7l4 2.5v5l-4 2.5-4-2.5ZM12.5 9.5l3.5-2.200 3.5 2.200v5L16 16.700l-3.5-2.200", show: (route: Route) => <LedgerPages route={route} /> },
  { name: "node", title: "Node", icon: "M5 5h14v6H5ZM5 13h14v6H5ZM8 8h.01M8 16h.01M12 8h4M12 16h4", show: () => <NodePage /> },
] as const;

export function App() {
  const route = useRoute();
  const reference = route.parts[0] === "api";
  const page = pages.find((p) => p.name === (reference ? "node" : route.parts[0])) ?? pages[0];
  const inner = { ...route, parts: route.parts.slice(1) };
  const network = useStore(live, (l) => l.node?.network.name);
  const main = useRef<HTMLElement>(null);
  const place = route.parts.join("/");
  const first = useRef(true);
  useEffect(() => {
    document.title = `${reference ? "API" : page.title} · ${network ?? "Folkmoot"}`;
  }, [page, reference, network]);
  useEffect(() => {
    // Who goes elsewhere by a link is taken to the top of what is there, screen readers too.
    if (!first.current) {
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    first.current = false;
  }, [place]);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
      <header class="bar">
        <a class="brand" href="#/network">
          <img src="favicon.svg" alt="" width="28" height="28" />
          <span class="name"><b>{network ?? "Folkmoot"}</b><small>{network ? "Folkmoot network" : "peer-to-peer"}</small></span>
        </a>
        <nav aria-label="Pages">
          {pages.map((p) => (
            <a key={p.name} href={`#/${p.name}`} aria-current={p === page ? "page" : undefined}>
              <svg viewBox="0 0 24 24" aria-hidden="true"><path d={p.icon} /></svg>
              {p.title}
            </a>
          ))}
        </nav>
        <Pulse />
      </header>
      <main ref={main} tabIndex={-1} id="main">
        <Gate>{reference ? <ApiPage route={inner} /> : page.show(inner)}</Gate>
      </main>
      <Tour />
    </div>
  );
}

const pulseText = { connecting: "connecting", live: "live", broken: "not connected", locked: "token needed" };

/** Says whether what is seen is how things are now. */
function Pulse() {
  const connection = useStore(live, (l) => l.connection);
  const ready = useStore(live, (l) => l.node?.ready);
  return (
    <p class={`pulse ${connection}`} role="status">
      <i aria-hidden="true" />{connection === "live" && ready === false ? "live, not ready" : pulseText[connection]}
    </p>
  );
}

/** Shows what stands between the page and the node, where something does. */
function Gate({ children }: { children: ComponentChildren }) {
  const connection = useStore(live, (l) => l.connection);
  const trouble = useStore(live, (l) => l.trouble);
  const known = useStore(live, (l) => l.peers.size > 0);
  if (connection === "locked") return <Unlock />;
  return (
    <>
      {connection === "broken" && (
        <p class="banner" role="alert">
          <b>The node does not answer.</b> What you see is how it was. {trouble}
        </p>
      )}
      {!known && connection !== "live" ? <p class="waiting">Asking the node…</p> : children}
    </>
  );
}

function Unlock() {
  const [token, set] = useState("");
  return (
    <form class="card unlock" onSubmit={(e) => { e.preventDefault(); unlock(token.trim()); }}>
      <h1>This node asks for a token</h1>
      <p>Paste one that it accepts. It is kept in this tab and forgotten when the tab is closed.</p>
      <label>Token<input type="password" autocomplete="off" required value={token} onInput={(e) => set(e.currentTarget.value)} /></label>
      <button type="submit" class="primary">Open</button>
    </form>
  );
}
