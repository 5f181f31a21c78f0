import { formatAmount, readGenesis, verifyReceipt, type ProvenOperation, type Statement } from "@folkmoot/client/ledger";
import { useState } from "preact/hooks";
import { moment, plural } from "../format";
import { client } from "../live";
import { Card, Facts, Long, Trouble, useAction } from "../parts/basics";
import { AccountLink, AssetLink } from "../parts/ledger";

/** Where the genesis came from: it is what everything is proven from. */
interface Genesis {
  text: string;
  from: string;
  network: string;
  name: string;
}

export function CheckPage() {
  const [genesis, setGenesis] = useState<Genesis>();
  const [over, setOver] = useState(false);
  const open = useAction<void>();
  const check = useAction<Statement>();
  const take = (text: string, from: string) => {
    const { network, name } = readGenesis(text);
    setGenesis({ text, from, network, name });
    check.reset();
  };
  const drop = (file: File | undefined) => file && check.run(async () => {
    if (!genesis) throw new Error("Choose a genesis first: it is what the receipt is checked against.");
    return verifyReceipt(await file.text(), genesis.text);
  });
  return (
    <>
      <nav class="crumbs" aria-label="Where this is"><a href="#/ledger">Ledger</a> / check</nav>
      <h1>Check a receipt</h1>
      <p class="quiet">A receipt proves what is in the ledger to somebody who trusts its genesis. It is checked in this page, signature by signature; neither the receipt nor the genesis is sent anywhere.</p>
      <div class="split even">
        <Card title="1. What you trust" id="trust-title">
          <label>Genesis document that you have<input type="file" accept=".json,application/json" onChange={(e) => { const file = e.currentTarget.files?.[0]; if (file) void open.run(async () => take(await file.text(), file.name)); }} /></label>
          <p class="row"><button type="button" disabled={open.busy} onClick={() => void open.run(async () => take(await client.genesis(), "this node"))}>Take this node’s</button><small>only if you trust the node</small></p>
          <Trouble error={open.error} />
          {genesis && <Facts of={[["From", genesis.from], ["Network", genesis.name], ["Id", <Long text={genesis.network} what="network id" />]]} />}
        </Card>
        <Card title="2. The receipt" id="receipt-title">
          <label class={`drop ${over ? "over" : ""}`} onDragOver={(e) => { e.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)}
            onDrop={(e) => { e.preventDefault(); setOver(false); void drop(e.dataTransfer?.files[0]); }}>
            <span>Drop a receipt here, or choose one</span>
            <input type="file" accept=".json,application/json" onChange={(e) => void drop(e.currentTarget.files?.[0])} />
          </label>
          {check.error !== undefined && <p class="trouble" role="alert"><b>Not proven.</b> {(check.error as Error).message}</p>}
        </Card>
      </div>
      {check.value && <Proven statement={check.value} />}
    </>
  );
}

function Proven({ statement: s }: { statement: Statement }) {
  const percent = ((Number(s.header.signed) / Number(s.header.power)) * 100).toFixed(0);
  return (
    <Card title="Proven" id="proven-title" extra={<span class="badge good" role="status">proven</span>}>
      <Facts of={[
        ["In block", `${s.height}, of ${moment(s.time)}`],
        ["Signed by", `${percent} % of the voting power, in the header of block ${s.header.height}`],
        ["Transaction", s.transaction && <Long text={s.transaction.id} what="transaction id" />],
        ["It", s.transaction && (s.transaction.applied ? "did what it says" : `failed, and did nothing (code ${s.transaction.code})`)],
        ["Memo", s.transaction?.memo],
        ["Account", s.balance && <AccountLink id={s.balance.account} whole />],
        ["Had", s.balance && <>{s.balance.amount} of the smallest unit of <AssetLink id={s.balance.asset} /></>],
      ]} />
      {s.transaction && (
        <ol class="transactions">
          {s.transaction.operations.map((o, i) => <li key={i}><Told of={o} /></li>)}
          {s.transaction.untold > 0 && <li class="quiet">and {plural(s.transaction.untold, "operation")} of kinds that this page does not read</li>}
        </ol>
      )}
    </Card>
  );
}

/** Amounts are in the smallest unit: an asset's scale is not part of what the receipt proves. */
function Told({ of: o }: { of: ProvenOperation }) {
  switch (o.kind) {
    case "transfer": return <><span class="amount">{String(o.amount)}</span> of the smallest unit of <AssetLink id={o.asset} /> from <AccountLink id={o.from} /> to <AccountLink id={o.to} /></>;
    case "issue": return <>Issued <span class="amount">{String(o.amount)}</span> of the smallest unit of <AssetLink id={o.asset} /> to <AccountLink id={o.to} /></>;
    case "retire": return <>Retired <span class="amount">{String(o.amount)}</span> of the smallest unit of <AssetLink id={o.asset} /> of <AccountLink id={o.from} /></>;
    case "define-asset": return <>Defined <AssetLink id={o.asset} />, {o.scale} places, {o.cap ? `at most ${formatAmount(o.cap, o.scale)}` : "without a cap"}</>;
    case "anchor": return <>Anchored <code class="break">{o.digest}</code> by <AccountLink id={o.by} />{o.note && <>: {o.note}</>}</>;
  }
}
