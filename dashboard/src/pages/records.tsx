import type { Entry } from "@folkmoot/client";
import { useEffect, useState } from "preact/hooks";
import { bytes, moment, plural } from "../format";
import { client } from "../live";
import { Card, PeerLink, Trouble, useAction } from "../parts/basics";
import { useListing } from "../parts/listing";
import { go, to, type Route } from "../route";
import { RecordPage } from "./record";

export function RecordPages({ route }: { route: Route }) {
  const [key] = route.parts;
  return key ? <RecordPage key={key} name={key} /> : <Browse prefix={route.query.get("prefix") ?? ""} />;
}

function Browse({ prefix }: { prefix: string }) {
  const [typed, type] = useState(prefix);
  useEffect(() => type(prefix), [prefix]);
  const { entries, incomplete, more, error, loading } = useListing(prefix);
  return (
    <>
      <h1>Records</h1>
      <div class="split records">
        <section class="card" aria-labelledby="list-title">
          <header><h2 id="list-title">{prefix ? <>Keys under <code class="break">{prefix}</code></> : "Keys"}</h2><small class="watching"><i aria-hidden="true" />watching</small></header>
          <form class="row" role="search" onSubmit={(e) => { e.preventDefault(); go(typed ? `#/records?prefix=${encodeURIComponent(typed)}` : "#/records"); }}>
            <label class="grow"><span class="hidden">Prefix</span><input type="search" placeholder="Prefix, such as photos/" value={typed} onInput={(e) => type(e.currentTarget.value)} /></label>
            <button type="submit">Show</button>
          </form>
          <Crumbs prefix={prefix} />
          <Trouble error={error} />
          {incomplete && <p class="banner">Some holders did not answer: keys may be missing.</p>}
          {entries && <Keys entries={entries} prefix={prefix} />}
          {!entries && loading && <p class="quiet">Listing…</p>}
          {more && <button type="button" onClick={more}>More</button>}
        </section>
        <PutForm prefix={prefix} />
      </div>
    </>
  );
}

/** The way up, one part of the prefix after the other. */
function Crumbs({ prefix }: { prefix: string }) {
  if (!prefix) return null;
  const parts = prefix.split("/");
  return (
    <nav class="crumbs" aria-label="Prefix">
      <a href="#/records">all keys</a>
      {parts.slice(0, -1).map((part, i) => <span key={i}> / <a href={`#/records?prefix=${encodeURIComponent(`${parts.slice(0, i + 1).join("/")}/`)}`}>{part || "·"}</a></span>)}
    </nav>
  );
}

/** Keys with a slash behind the prefix are shown together, as folders are. */
function Keys({ entries, prefix }: { entries: Entry[]; prefix: string }) {
  const folders = new Map<string, number>();
  const plain: Entry[] = [];
  for (const entry of entries) {
    const slash = entry.key.indexOf("/", prefix.length);
    if (slash < 0) plain.push(entry);
    else {
      const folder = entry.key.slice(0, slash + 1);
      folders.set(folder, (folders.get(folder) ?? 0) + 1);
    }
  }
  if (entries.length === 0) return <p class="quiet">{prefix ? "No key begins so." : "No records yet. Put the first one."}</p>;
  return (
    <ul class="keys" aria-label={plural(entries.length, "key")}>
      {[...folders].map(([folder, n]) => (
        <li key={folder}><a href={`#/records?prefix=${encodeURIComponent(folder)}`}><span class="icon" aria-hidden="true">▸</span><span class="name">{folder.slice(prefix.length)}</span><small>{plural(n, "key")}</small></a></li>
      ))}
      {plain.map((e) => (
        <li key={e.key}><a href={to("records", e.key)}><span class="icon" aria-hidden="true">▤</span><span class="name">{e.key.slice(prefix.length) || e.key}</span><small>{bytes(e.size)}{e.expires && ` · until ${moment(e.expires)}`}</small></a></li>
      ))}
    </ul>
  );
}

function PutForm({ prefix }: { prefix: string }) {
  const [key, setKey] = useState(prefix);
  const [value, setValue] = useState("");
  const [file, setFile] = useState<File>();
  const [ttl, setTTL] = useState("");
  const [consistency, setConsistency] = useState<"one" | "quorum" | "all">("quorum");
  const [fresh, setFresh] = useState(false);
  useEffect(() => setKey(prefix), [prefix]);
  const put = useAction<{ key: string; copies: string }>();
  const submit = () => put.run(async () => {
    const data = file ? new Uint8Array(await file.arrayBuffer()) : value;
    const done = await client.put(key, data, { ttl: ttl || undefined, consistency, ifAbsent: fresh });
    return { key, copies: `${done.copies.stored} of ${done.copies.wanted}` };
  });
  return (
    <Card title="Put a record" id="put-title">
      <form onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <label>Key<input required maxLength={1024} spellcheck={false} autocapitalize="off" value={key} onInput={(e) => setKey(e.currentTarget.value)} placeholder="greeting" /></label>
        <label>Value<textarea rows={5} value={value} disabled={Boolean(file)} onInput={(e) => setValue(e.currentTarget.value)} placeholder="hello" /></label>
        <label>or a file of up to 1 MiB<input type="file" onChange={(e) => setFile(e.currentTarget.files?.[0])} /></label>
        <details>
          <summary>More</summary>
          <label>Lives for<input value={ttl} placeholder="for ever, or such as 24h" onInput={(e) => setTTL(e.currentTarget.value.trim())} /></label>
          <label>Answer when on the disks of
            <select value={consistency} onChange={(e) => setConsistency(e.currentTarget.value as typeof consistency)}>
              <option value="one">one holder</option><option value="quorum">a quorum</option><option value="all">all holders</option>
            </select>
          </label>
          <label class="check"><input type="checkbox" checked={fresh} onChange={(e) => setFresh(e.currentTarget.checked)} />Only if there is no such record</label>
        </details>
        <button type="submit" class="primary" disabled={put.busy}>{put.busy ? "Putting…" : "Put"}</button>
        <Trouble error={put.error} />
        {put.value && <p class="done" role="status">Stored: <b>{put.value.copies}</b> copies. <a href={to("records", put.value.key)}>Look at it</a></p>}
      </form>
    </Card>
  );
}

export function AuthorLink({ id }: { id: string }) {
  return id ? <PeerLink id={id} /> : <>nobody signed it</>;
}
