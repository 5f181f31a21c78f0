import type { Entry } from "@folkmoot/client";
import { useEffect, useRef, useState } from "preact/hooks";
import { onChange, type Change } from "../changes";
import { client, live } from "../live";
import { useStore } from "../store";
import { useAnswer } from "./basics";

const pageSize = 100;
/** A watched list shows at most so many entries: the rest is behind "more". */
const maxShown = 2000;
/** For how long changes are gathered before they are shown, in milliseconds. */
const gatherTime = 50;
/** The most keys whose changes are gathered: with more the list is asked for anew. */
const maxGathered = 4 * maxShown;

/** Entries by key, and what has been deleted since by version, so that what is late changes nothing. */
interface Listed {
  entries: Map<string, Entry>;
  deleted: Map<string, string>;
}

/** Puts changes into a list. Versions begin with their time in digits of equal number: the greater one is the newer. */
function changed(before: Listed, changes: Iterable<Change>): Listed {
  const entries = new Map(before.entries);
  const deleted = new Map(before.deleted);
  for (const c of changes) {
    const version = c.version ?? "";
    if (version < (entries.get(c.key)?.version ?? deleted.get(c.key) ?? "")) continue;
    if (c.deleted) {
      entries.delete(c.key);
      deleted.set(c.key, version);
    } else if (entries.has(c.key) || entries.size < maxShown) {
      entries.set(c.key, { key: c.key, version, author: c.author ?? "", size: c.size ?? 0, expires: c.expires });
      deleted.delete(c.key);
    }
  }
  // Only what was deleted lately can come late.
  for (const key of deleted.keys()) {
    if (deleted.size <= maxShown) break;
    deleted.delete(key);
  }
  return { entries, deleted };
}

/** Lists the keys under a prefix and keeps the list as it is: changes come with the stream that the whole page follows. */
export function useListing(prefix: string) {
  const epoch = useStore(live, (l) => l.epoch);
  const [shown, show] = useState(pageSize);
  const [again, ask] = useState(0);
  const [list, set] = useState<Listed>();
  // What changed while the list was asked for: the answer may be from before.
  const since = useRef<Map<string, Change>>();
  useEffect(() => { show(pageSize); set(undefined); }, [prefix]);
  const page = useAnswer(async (signal) => {
    since.current = new Map();
    const all: Entry[] = [];
    let answer = await client.list({ prefix, limit: pageSize, signal });
    for (;;) {
      all.push(...answer.records);
      if (!answer.cursor || all.length >= shown) return { prefix, all, complete: answer.complete, more: Boolean(answer.cursor) };
      answer = await client.list({ prefix, limit: pageSize, cursor: answer.cursor, signal });
    }
  }, [prefix, epoch, shown, again]);
  useEffect(() => {
    if (page.value?.prefix !== prefix || page.loading) return;
    set(changed({ entries: new Map(page.value.all.map((e) => [e.key, e])), deleted: new Map() }, since.current?.values() ?? []));
    since.current = undefined;
  }, [page.value, page.loading]);
  useEffect(() => {
    let gathered = new Map<string, Change>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
      timer = undefined;
      const changes = gathered;
      gathered = new Map();
      set((before) => before && changed(before, changes.values()));
    };
    const stop = onChange((change) => {
      if (!change.key.startsWith(prefix)) return;
      gathered.set(change.key, change);
      since.current?.set(change.key, change);
      if (since.current && since.current.size > maxGathered) {
        since.current = new Map();
        ask((n) => n + 1);
      }
      timer ??= setTimeout(flush, gatherTime);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [prefix]);
  const sorted = list && [...list.entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  return {
    entries: sorted, incomplete: page.value && !page.value.complete, error: page.error, loading: page.loading,
    more: page.value?.more && shown < maxShown ? () => show(shown + pageSize) : undefined,
  };
}
