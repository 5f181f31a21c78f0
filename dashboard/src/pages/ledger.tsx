import type { BlockBrief } from "@folkmoot/client";
import { useEffect, useState } from "preact/hooks";
import { clock, count, plural } from "../format";
import { client, live } from "../live";
import { Card, Facts, Long, Trouble, useAnswer } from "../parts/basics";
import { go, to, type Route } from "../route";
import { useStore } from "../store";
import { AccountPage, AssetPage, BlockPage, TransactionPage } from "./ledger-things";
import { TransferPage } from "./transfer";
import { CheckPage } from "./check";
import { AccountLink } from "../parts/ledger";

/** How many blocks from before the page was opened are shown. */
const firstBlocks = 8;

export function LedgerPages({ route }: { route: Route }) {
  const [kind, id] = route.parts;
  if (kind === "transfer") return <TransferPage />;
  if (kind === "check") return <CheckPage />;
  if (kind === "block" && id) return <BlockPage key={id} height={Number(id)} />;
  if (kind === "tx" && id) return <TransactionPage key={id} id={id} />;
  if (kind === "account" && id) return <AccountPage key={id} id={id} />;
  if (kind === "asset" && id) return <AssetPage key={id} id={id} />;
  return <Overview />;
}

function Overview() {
  const ledger = useStore(live, (l) => l.ledger);
  if (!ledger) return <><h1>Ledger</h1><p class="banner">This node keeps no ledger: its network has none, or it was told to keep records alone.</p></>;
  return (
    <>
      <div class="headline">
        <h1>Ledger <span class={ledger.problem ? "warn" : ""}>{ledger.problem ?? `at block ${count(ledger.height)}`}</span></h1>
        <p class="row"><a class="button primary" href={to("ledger", "transfer")}>Make a transfer</a><a class="button" href={to("ledger", "check")}>Check a receipt</a></p>
      </div>
      <Find />
      <div class="split even">
        <Blocks />
        <Validators />
      </div>
      <Card title="What this ledger is" id="ledger-facts">
        <Facts of={[
          ["Network", ledger.name], ["Id", <Long text={ledger.network} what="network id" />],
          ["State root", <Long text={ledger.root} what="state root" />], ["Trust", ledger.trust && <Long text={ledger.trust} what="trusted block" />],
          ["Rules", ledger.rules && `version ${ledger.rules.version}`],
        ]} />
      </Card>
    </>
  );
}

/** Goes to what a person pastes: a height, a transaction, an account or an asset. */
function Find() {
  const [text, set] = useState("");
  const [error, fail] = useState<unknown>();
  const find = () => {
    const what = text.trim();
    fail(undefined);
    if (/^\d+$/.test(what)) go(to("ledger", "block", what));
    else if (/^[0-9a-f]{64}$/i.test(what)) go(to("ledger", "tx", what.toLowerCase()));
    else if (/^moot1\w+$/i.test(what)) go(to("ledger", "account", what.toLowerCase()));
    else if (/^[A-Z0-9]{1,12}@moot1\w+$/i.test(what)) go(to("ledger", "asset", what));
    else fail("Want a block’s height, a transaction’s id, an account (moot1…) or an asset (CODE@moot1…).");
  };
  return (
    <form class="row find" role="search" onSubmit={(e) => { e.preventDefault(); find(); }}>
      <label class="grow"><span class="hidden">Block, transaction, account or asset</span>
        <input type="search" placeholder="Block, transaction, account or asset" spellcheck={false} value={text} onInput={(e) => set(e.currentTarget.value)} /></label>
      <button type="submit">Find</button>
      <Trouble error={error} />
    </form>
  );
}

function Blocks() {
  const recent = useStore(live, (l) => l.blocks);
  const height = useStore(live, (l) => l.ledger?.height ?? 0);
  const [from] = useState(height);
  const before = useAnswer(async (signal) => {
    const heights = Array.from({ length: firstBlocks }, (_, i) => from - i).filter((h) => h > 0);
    const blocks = await Promise.all(heights.map((h) => client.block(h, signal).catch(() => undefined)));
    return blocks.flatMap((b): BlockBrief[] => (b ? [{ height: b.height, time: b.time, transactions: b.transactions.length }] : []));
  }, [from]);
  const shown = new Map([...(before.value ?? []), ...recent].map((b) => [b.height, b]));
  const list = [...shown.values()].sort((a, b) => b.height - a.height).slice(0, 16);
  return (
    <Card title="Blocks as they come" id="blocks-title">
      <ol class="blocks" aria-live="off">
        {list.map((b) => (
          <li key={b.height} class={b.transactions ? "full" : ""}>
            <a href={to("ledger", "block", b.height)}>
              <b>{count(b.height)}</b><span>{b.transactions ? plural(b.transactions, "transaction") : "empty"}</span>{b.time && <time dateTime={b.time}>{clock(b.time)}</time>}
            </a>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function Validators() {
  const power = useStore(live, (l) => l.ledger?.total_power);
  // Who signed changes with each block: it is asked for again after every tenth.
  const tenth = useStore(live, (l) => Math.floor((l.ledger?.height ?? 0) / 10));
  const own = useStore(live, (l) => l.ledger?.validator);
  const answer = useAnswer((signal) => client.validators(signal), [power, tenth]);
  const window = answer.value?.window ?? 0;
  const total = answer.value?.total_power || 1;
  return (
    <Card title="Validators" id="validators-title" extra={<small>more than two thirds of the power decide</small>}>
      <Trouble error={answer.error} />
      <ul class="validators">
        {answer.value?.validators.map((v) => (
          <li key={v.key}>
            <code title={v.key}>{v.key.slice(0, 10)}…</code>{v.key === own && <span class="tag">this node</span>}
            <meter min={0} max={total} value={v.power} aria-label={`Power of ${v.key.slice(0, 10)}`} />
            <span>{((100 * v.power) / total).toFixed(1)} %</span>
            <small>{v.blocks > 0 && <><span class={v.signed * 3 < v.blocks * 2 ? "warn" : ""}>signed {Math.floor((100 * v.signed) / v.blocks)} %</span> · </>}operator <AccountLink id={v.operator} /></small>
          </li>
        ))}
      </ul>
      {window > 0 && <p class="quiet">Signed: of the last {plural(window, "block")}, those whose signatures this node has. A commit holds the votes that its proposer had heard by then: who is slow is missed in some.</p>}
      {answer.value?.proposals.length ? <p class="quiet">{plural(answer.value.proposals.length, "proposal")} open.</p> : null}
    </Card>
  );
}

/** Follows what changes with each block in which something was done. */
export function useDoneSince(): number {
  const [height, set] = useState(0);
  const last = useStore(live, (l) => l.blocks.find((b) => b.transactions > 0)?.height ?? 0);
  useEffect(() => set(last), [last]);
  return height;
}
