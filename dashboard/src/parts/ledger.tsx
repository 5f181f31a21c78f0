import type { CommittedTransaction, Operation } from "@folkmoot/client";
import { formatAmount } from "@folkmoot/client/ledger";
import { clock } from "../format";
import { client } from "../live";
import { to } from "../route";
import { useAnswer } from "./basics";

export function AccountLink({ id, whole }: { id: string; whole?: boolean }) {
  return <a class="id" href={to("ledger", "account", id)} title={id}>{whole ? id : `${id.slice(0, 10)}…${id.slice(-4)}`}</a>;
}

export function AssetLink({ id }: { id: string }) {
  const [code = "", issuer = ""] = id.split("@");
  return <a href={to("ledger", "asset", id)} title={id}>{code}<small class="issuer">@…{issuer.slice(-4)}</small></a>;
}

/** Scales by asset; they never change once an asset is defined. */
const scales = new Map<string, Promise<number>>();

function scaleOf(asset: string): Promise<number> {
  let known = scales.get(asset);
  if (!known) {
    known = client.asset(asset).then((a) => a.scale);
    known.catch(() => scales.delete(asset));
    scales.set(asset, known);
  }
  return known;
}

/** An amount in units that people use, once the asset's scale is known. */
export function Amount({ amount, asset }: { amount: string; asset: string }) {
  const { value } = useAnswer(() => scaleOf(asset), [asset]);
  return <span class="amount">{value === undefined ? "…" : formatAmount(amount, value)} <AssetLink id={asset} /></span>;
}

export function OperationLine({ of: o }: { of: Operation }) {
  switch (o.kind) {
    case "transfer": return <><Amount amount={o.amount ?? "0"} asset={o.asset ?? ""} /> from <AccountLink id={o.from ?? ""} /> to <AccountLink id={o.to ?? ""} /></>;
    case "issue": return <>Issued <Amount amount={o.amount ?? "0"} asset={o.asset ?? ""} /> to <AccountLink id={o.to ?? ""} /></>;
    case "retire": return <>Retired <Amount amount={o.amount ?? "0"} asset={o.asset ?? ""} /> of <AccountLink id={o.from ?? ""} /></>;
    case "define-asset": return <>Defined the asset <AssetLink id={o.asset ?? ""} />, {o.scale ?? 0} places{o.cap && `, at most ${formatAmount(o.cap, o.scale ?? 0)}`}</>;
    case "anchor": return <>Anchored <code class="break">{o.digest}</code>{o.note && <>: {o.note}</>} by <AccountLink id={o.by ?? ""} /></>;
    case "vote": return <>Voted for <code class="break">{o.proposal}</code> by <AccountLink id={o.by ?? ""} /></>;
    default: return <>{o.kind}{o.by && <> by <AccountLink id={o.by} /></>}{o.member && <> · <code class="break">{o.member}</code></>}</>;
  }
}

export function Transactions({ list }: { list: CommittedTransaction[] }) {
  if (list.length === 0) return <p class="quiet">None.</p>;
  return (
    <ol class="transactions">
      {list.map((t) => (
        <li key={t.id} class={t.applied ? "" : "failed"}>
          <div class="row"><a class="id" href={to("ledger", "tx", t.id)} title={t.id}>{t.id.slice(0, 12)}…</a>
            <small>block <a href={to("ledger", "block", t.height ?? 0)}>{t.height}</a> · {clock(t.time)}</small>
            {!t.applied && <span class="badge bad">failed: {t.failure}</span>}</div>
          {t.transaction.operations.slice(0, 5).map((o, i) => <p key={i}><OperationLine of={o} /></p>)}
          {t.transaction.operations.length > 5 && <p class="quiet">and {t.transaction.operations.length - 5} more</p>}
        </li>
      ))}
    </ol>
  );
}
