import { ProblemError, type Holder, type StoredRecord } from "@folkmoot/client";
import { useEffect, useState } from "preact/hooks";
import { useChange } from "../changes";
import { ago, bytes, moment, versionTime } from "../format";
import { client, live } from "../live";
import { Card, Facts, Long, PeerLink, StateMark, Trouble, useAction, useAnswer } from "../parts/basics";
import { KeyRing, newest } from "../parts/ring";
import { go } from "../route";
import { useStore } from "../store";
import { AuthorLink } from "./records";

/** Values above this are offered for download rather than shown, in bytes. */
const maxShown = 64 << 10;

export function RecordPage({ name }: { name: string }) {
  const peers = useStore(live, (l) => l.peers);
  const epoch = useStore(live, (l) => l.epoch);
  const change = useChange(name);
  const repair = useStore(live, (l) => l.records);
  const layoutOf = [...peers.values()].map((p) => p.id + p.state).join();
  const record = useAnswer((signal) => client.get(name, { signal }), [name, change, epoch]);
  const holding = useAnswer((signal) => client.holders(name, signal), [name, change, epoch, layoutOf, repair]);
  const absent = record.error instanceof ProblemError && record.error.kind === "not-found";
  return (
    <>
      <nav class="crumbs" aria-label="Where the record is"><a href="#/records">Records</a>{folderOf(name) && <> / <a href={`#/records?prefix=${encodeURIComponent(folderOf(name))}`}>{folderOf(name)}</a></>}</nav>
      <h1 class="mono break">{name}</h1>
      {absent ? <p class="banner">There is no record of this key{change?.deleted ? ": it was deleted" : ""}.</p> : <Trouble error={record.error} />}
      <div class="split records">
        <div>
          {record.value && <ValueCard record={record.value} />}
          {holding.value && (
            <Card title="Holders" id="holders-title">
              <div class="scroll" tabIndex={0} role="region" aria-labelledby="holders-title">
                <table>
                  <thead><tr><th scope="col">Peer</th><th scope="col">State</th><th scope="col">Zone</th><th scope="col">Copy</th><th scope="col">In sync</th><th scope="col">Since</th></tr></thead>
                  <tbody>{holding.value.holders.map((h) => <HolderRow key={h.id} holder={h} version={newest(holding.value!)} />)}</tbody>
                </table>
              </div>
            </Card>
          )}
        </div>
        <div>
          <Card title="On the ring of keys" id="ring-title">
            <Trouble error={holding.error} />
            {holding.value && <KeyRing holding={holding.value} peers={peers} />}
            <p class="quiet">Each peer and each key has a place on the ring. The peers nearest to the key by XOR hold the record, spread over zones: a circle that is full has the newest version.</p>
          </Card>
          <Edit name={name} record={record.value} absent={absent} />
        </div>
      </div>
    </>
  );
}

const folderOf = (key: string): string => key.slice(0, key.lastIndexOf("/") + 1);

function HolderRow({ holder: h, version }: { holder: Holder; version: string }) {
  const copy = !h.answered ? "did not answer" : !h.found ? "none yet" : h.deleted ? "deleted" : h.version === version ? "newest" : "older";
  return (
    <tr>
      <th scope="row"><PeerLink id={h.id} />{!h.wanted && <span class="tag">besides</span>}</th>
      <td><StateMark state={h.state} /></td><td>{h.zone || "—"}</td>
      <td class={copy === "newest" ? "good" : copy === "older" || copy === "none yet" ? "warn" : ""}>{copy}</td>
      <td>{h.answered ? h.level : "—"}</td><td>{h.found ? moment(h.since) : "—"}</td>
    </tr>
  );
}

function ValueCard({ record }: { record: StoredRecord }) {
  const written = versionTime(record.version);
  return (
    <Card title="Value" id="value-title" extra={<small>{bytes(record.value.length)}</small>}>
      <Value bytes={record.value} name={record.key} />
      <Facts of={[
        ["Written", written && `${moment(written)} (${ago(written)} ago)`], ["Author", <AuthorLink id={record.author} />],
        ["Heard by this read", `${record.copies} copies`], ["Expires", record.expires && moment(record.expires)], ["Version", <Long text={record.version} what="version" />],
      ]} />
    </Card>
  );
}

/** Shows a value as text and never as anything else: who wrote it may not be a friend. */
function Value({ bytes: value, name }: { bytes: Uint8Array; name: string }) {
  const [address, set] = useState("");
  useEffect(() => {
    const url = URL.createObjectURL(new Blob([value as BlobPart], { type: "application/octet-stream" }));
    set(url);
    return () => URL.revokeObjectURL(url);
  }, [value]);
  const text = textOf(value);
  return (
    <>
      {value.length === 0 ? <p class="quiet">The value is empty.</p>
        : value.length > maxShown ? <p class="quiet">Too long to be shown here.</p>
          : <pre class="value" tabIndex={0} aria-label="Value">{text ?? hex(value)}</pre>}
      <p class="row"><a class="button" href={address} download={name.split("/").pop() || "value"}>Download</a>{text === undefined && <small>not UTF-8: shown in hexadecimal</small>}</p>
    </>
  );
}

/** Returns a value as text, to the letter, or undefined where it is none. */
function textOf(value: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return undefined;
  }
}

function hex(value: Uint8Array): string {
  const lines: string[] = [];
  for (let i = 0; i < Math.min(value.length, 4096); i += 16) {
    lines.push(`${i.toString(16).padStart(6, "0")}  ${[...value.slice(i, i + 16)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}`);
  }
  return lines.join("\n") + (value.length > 4096 ? "\n…" : "");
}

/** Writes a new version, only if nobody else has meanwhile, or deletes the record. */
function Edit({ name, record, absent }: { name: string; record?: StoredRecord; absent: boolean }) {
  // What is typed, and the version that it was typed over: the one shown may be another by then.
  const [edit, set] = useState<{ text: string; version?: string; absent: boolean }>();
  const [sure, setSure] = useState(false);
  const act = useAction<string>();
  const shown = record && textOf(record.value);
  const over = edit ?? { text: shown ?? "", version: record?.version, absent };
  const overtaken = edit !== undefined && (edit.absent !== absent || edit.version !== record?.version);
  const put = () => act.run(async () => {
    const done = await client.put(name, over.text, over.absent ? { ifAbsent: true } : { ifVersion: over.version });
    set(undefined);
    return `Stored: ${done.copies.stored} of ${done.copies.wanted} copies.`;
  });
  const remove = () => act.run(async () => {
    const done = await client.delete(name);
    setSure(false);
    return `Deleted on ${done.copies.stored} of ${done.copies.wanted} peers.`;
  });
  return (
    <Card title={absent ? "Put it" : "Change it"} id="edit-title">
      <form onSubmit={(e) => { e.preventDefault(); void put(); }}>
        <label>New value<textarea rows={4} value={over.text} onInput={(e) => set({ ...over, text: e.currentTarget.value })} /></label>
        {!absent && shown === undefined && !edit && <p class="quiet">What is there is no text: what you type takes its place.</p>}
        {overtaken && <p class="quiet" role="status">Somebody has written it meanwhile. <button type="button" onClick={() => set(undefined)}>Drop what I typed</button></p>}
        <div class="row">
          <button type="submit" class="primary" disabled={act.busy || !(over.absent || over.version) || (!over.absent && shown === undefined && !edit)}>Put</button>
          {!absent && (sure
            ? <><button type="button" class="danger" disabled={act.busy} onClick={() => void remove()}>Delete for everybody</button><button type="button" onClick={() => setSure(false)}>Keep</button></>
            : <button type="button" onClick={() => setSure(true)}>Delete…</button>)}
        </div>
        <Trouble error={act.error} />
        {act.value && <p class="done" role="status">{act.value} <a href="#/records" onClick={() => go("#/records")}>All records</a></p>}
      </form>
    </Card>
  );
}
