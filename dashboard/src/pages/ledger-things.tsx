import { formatAmount } from "@folkmoot/client/ledger";
import { useState } from "preact/hooks";
import { count, moment, plural } from "../format";
import { client, live } from "../live";
import { Card, Facts, Long, Trouble, useAction, useAnswer } from "../parts/basics";
import { AccountLink, AssetLink, OperationLine, Transactions } from "../parts/ledger";
import { to } from "../route";
import { useStore } from "../store";
import { useDoneSince } from "./ledger";

const Crumbs = ({ what }: { what: string }) => <nav class="crumbs" aria-label="Where this is"><a href="#/ledger">Ledger</a> / {what}</nav>;

export function BlockPage({ height }: { height: number }) {
  const newest = useStore(live, (l) => l.ledger?.height ?? 0);
  const { value: block, error } = useAnswer((signal) => client.block(height, signal), [height, newest >= height]);
  return (
    <>
      <Crumbs what="block" />
      <div class="headline"><h1>Block {count(height)}</h1>
        <p class="row">{height > 1 && <a class="button" href={to("ledger", "block", height - 1)}>← {height - 1}</a>}{height < newest && <a class="button" href={to("ledger", "block", height + 1)}>{height + 1} →</a>}</p></div>
      <Trouble error={error} />
      {block && (
        <>
          <Card title="Block" id="block-title"><Facts of={[["Hash", <Long text={block.hash} what="hash" />], ["Time", block.time && moment(block.time)], ["Transactions", count(block.transactions.length)]]} /></Card>
          <Card title="What was done" id="done-title"><Transactions list={block.transactions} /></Card>
        </>
      )}
    </>
  );
}

export function TransactionPage({ id }: { id: string }) {
  const { value: t, error } = useAnswer((signal) => client.transaction(id, signal), [id]);
  const receipt = useAction<void>();
  const save = () => receipt.run(async () => saveText(`receipt-${id.slice(0, 12)}.json`, await client.receipt(id)));
  return (
    <>
      <Crumbs what="transaction" />
      <h1>Transaction</h1>
      <Trouble error={error} />
      {t && (
        <>
          <Card title="What became of it" id="fate-title" extra={<span class={`badge ${t.applied ? "good" : t.state === "pending" ? "warn" : "bad"}`}>{t.state === "pending" ? "pending" : t.applied ? "done" : "failed"}</span>}>
            <Facts of={[
              ["Id", <Long text={id} what="transaction id" />], ["Block", t.height && <a href={to("ledger", "block", t.height)}>{count(t.height)}</a>], ["Time", t.time && moment(t.time)],
              ["Why it failed", t.failure && `${t.failure}, at operation ${t.operation}`], ["Memo", t.transaction.memo ?? t.transaction.memo_base64],
              ["Signed by", t.transaction.signers?.map((s) => <AccountLink key={s.account} id={s.account} />)],
            ]} />
            {t.state === "committed" && <p class="row"><button type="button" disabled={receipt.busy} onClick={() => void save()}>Save the receipt</button><small>proves it to anybody who has the genesis, without a network</small></p>}
            <Trouble error={receipt.error} />
          </Card>
          <Card title={plural(t.transaction.operations.length, "operation")} id="operations-title">
            <ol class="transactions">{t.transaction.operations.map((o, i) => <li key={i}><OperationLine of={o} /></li>)}</ol>
          </Card>
        </>
      )}
    </>
  );
}

export function AccountPage({ id }: { id: string }) {
  const done = useDoneSince();
  const [pages, setPages] = useState(1);
  const account = useAnswer((signal) => client.account(id, signal), [id, done]);
  const history = useAnswer(async (signal) => {
    const list = [];
    let cursor: string | undefined;
    let first: number | undefined;
    for (let i = 0; i < pages; i++) {
      const page = await client.history(id, { cursor, limit: 25, signal });
      list.push(...page.transactions);
      ({ cursor, first } = page);
      if (!cursor) break;
    }
    return { list, more: Boolean(cursor), first };
  }, [id, done, pages]);
  return (
    <>
      <Crumbs what="account" />
      <h1>Account</h1>
      <p><Long text={id} what="account" /></p>
      <Trouble error={account.error ?? history.error} />
      <div class="split even">
        <Card title="Transactions, newest first" id="history-title">
          {history.value && <Transactions list={history.value.list} />}
          {history.value?.more && <button type="button" onClick={() => setPages(pages + 1)}>More</button>}
          {history.value?.first && <p class="quiet">This node keeps blocks from {count(history.value.first)} on: what was before is not told.</p>}
        </Card>
        <div>
          <Card title="Balances" id="balances-title">
            {account.value && (account.value.balances.length
              ? <ul class="balances">{account.value.balances.map((b) => <li key={b.asset}><b>{formatAmount(b.amount, b.scale)}</b> <AssetLink id={b.asset} /></li>)}</ul>
              : <p class="quiet">Nothing.</p>)}
          </Card>
          {account.value?.keys && <Card title="Keys" id="keys-title"><p>{account.value.threshold} of {account.value.keys.length} sign.</p><ul class="plain">{account.value.keys.map((k) => <li key={k}><code class="break">{k}</code></li>)}</ul></Card>}
        </div>
      </div>
    </>
  );
}

export function AssetPage({ id }: { id: string }) {
  const done = useDoneSince();
  const { value: asset, error } = useAnswer((signal) => client.asset(id, signal), [id, done]);
  const [code, issuer = ""] = id.split("@");
  return (
    <>
      <Crumbs what="asset" />
      <h1>{code}</h1>
      <Trouble error={error} />
      {asset && (
        <Card title="Asset" id="asset-title">
          <Facts of={[
            ["Supply", <b>{formatAmount(asset.supply, asset.scale)}</b>], ["At most", asset.cap ? formatAmount(asset.cap, asset.scale) : "no cap"],
            ["Places", String(asset.scale)], ["Issuer", <AccountLink id={issuer} whole />], ["Id", <Long text={asset.id} what="asset" />],
          ]} />
        </Card>
      )}
    </>
  );
}

export function saveText(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
