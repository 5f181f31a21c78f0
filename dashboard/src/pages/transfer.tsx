import { ProblemError, type TransactionStatus } from "@folkmoot/client";
import { formatAmount, parseAccount, parseAmount, signTransfer, type KeySet } from "@folkmoot/client/ledger";
import { useEffect, useRef, useState } from "preact/hooks";
import { client, live } from "../live";
import { exportKey, keys, makeKey, openKey, type HeldKey } from "../keys";
import { Card, Facts, Long, Trouble, useAction, useAnswer } from "../parts/basics";
import { AccountLink } from "../parts/ledger";
import { to } from "../route";
import { useStore } from "../store";
import { useDoneSince } from "./ledger";
import { saveText } from "./ledger-things";

/** For how long a transfer may wait for its block, in milliseconds. */
const window = 10 * 60_000;
/** How much later by this clock a block may still hold it. */
const leeway = 60_000;

export function TransferPage() {
  const held = useStore(keys, (k) => k.held);
  const [account, choose] = useState(held[0]?.account ?? "");
  const key = held.find((k) => k.account === account);
  return (
    <>
      <nav class="crumbs" aria-label="Where this is"><a href="#/ledger">Ledger</a> / transfer</nav>
      <h1>Make a transfer</h1>
      <div class="split even">
        <Keys held={held} chosen={account} choose={choose} />
        {key ? <Form key={key.account} held={key} /> : <Card title="Transfer" id="transfer-title"><p class="quiet">Choose a key first: it is what you sign with.</p></Card>}
      </div>
    </>
  );
}

function Keys({ held, chosen, choose }: { held: HeldKey[]; chosen: string; choose: (account: string) => void }) {
  const open = useAction<void>();
  const opened = (file: File | undefined) => file && open.run(async () => {
    if (file.size > 16 << 10) throw new RangeError("that is no key file: it is too large");
    choose(openKey(file.name, await file.text()).account);
  });
  return (
    <Card title="Your keys" id="your-keys-title">
      <p class="quiet">A key stays in this page: it signs here, is sent nowhere, and is forgotten when the page is closed.</p>
      {held.length > 0 && (
        <fieldset class="choice column">
          <legend class="hidden">Sign with</legend>
          {held.map((k) => (
            <label key={k.account}><input type="radio" name="key" checked={k.account === chosen} onChange={() => choose(k.account)} /><span><b>{k.name}</b> <AccountLink id={k.account} /></span></label>
          ))}
        </fieldset>
      )}
      <label>Open a key file, as in the folder <code>accounts</code> of a node’s home<input type="file" accept=".key,.pem" onChange={(e) => void opened(e.currentTarget.files?.[0])} /></label>
      <Trouble error={open.error} />
      <div class="row">
        <button type="button" onClick={() => choose(makeKey().account)}>Make a new key</button>
        {held.filter((k) => k.account === chosen).map((k) => <button key={k.account} type="button" onClick={() => saveText(`${k.name.replace(/\s+/g, "-")}.key`, exportKey(k))}>Save “{k.name}”</button>)}
      </div>
    </Card>
  );
}

function Form({ held }: { held: HeldKey }) {
  const ledger = useStore(live, (l) => l.ledger);
  const done = useDoneSince();
  const account = useAnswer((signal) => client.account(held.account, signal), [held.account, done]);
  const balances = account.value?.balances ?? [];
  const [asset, setAsset] = useState("");
  const [recipient, setRecipient] = useState("");
  const [amount, setAmount] = useState("");
  const [memo, setMemo] = useState("");
  useEffect(() => {
    if (!balances.some((b) => b.asset === asset)) setAsset(balances[0]?.asset ?? "");
  }, [account.value]);
  const transfer = useAction<TransactionStatus>();
  // What was sent and may yet be in a block: signed anew, it would be another transfer, and both could be carried out.
  const pending = useRef<{ form: string; encoded: Uint8Array; until: number }>();
  const sign = () => {
    const balance = balances.find((b) => b.asset === asset);
    if (!balance || !ledger) throw new RangeError("the account has nothing of that asset");
    const units = parseAmount(amount.trim(), balance.scale);
    if (units > BigInt(balance.amount)) throw new RangeError(`the account has ${formatAmount(balance.amount, balance.scale)}`);
    parseAccount(recipient.trim());
    const until = Date.now() + window;
    const body = {
      validUntil: until, salt: crypto.getRandomValues(new BigUint64Array(1))[0]!, memo: memo || undefined,
      transfers: [{ asset, from: held.account, to: recipient.trim(), amount: units }],
    };
    return { until, encoded: signTransfer(ledger.network, body, held.pair, keySetOf(account.value?.keys, account.value?.threshold)).encoded };
  };
  const submit = () => transfer.run(async () => {
    const form = JSON.stringify([asset, recipient.trim(), amount.trim(), memo]);
    if (pending.current && Date.now() > pending.current.until + leeway) pending.current = undefined;
    if (pending.current && pending.current.form !== form) {
      throw new Error("What was sent before may yet be in a block. Send it again as it was: it is paid once at most, and you learn what became of it.");
    }
    pending.current ??= { form, ...sign() };
    let status: TransactionStatus;
    try {
      status = await client.submit(pending.current.encoded);
    } catch (error) {
      if (error instanceof ProblemError && error.status < 500 && error.status !== 429) pending.current = undefined;
      throw error;
    }
    if (status.state !== "committed") throw new Error("It is not in a block yet. Send it again as it is: it is paid once at most.");
    pending.current = undefined;
    if (!status.applied) throw new Error(`The transfer failed: ${status.failure}`);
    setAmount("");
    dispatchEvent(new Event("folkmoot-transfer"));
    return status;
  });
  return (
    <Card title={`From ${held.name}`} id="transfer-title">
      <Facts of={[["Account", <Long text={held.account} what="account" />], ["Has", account.value && (balances.map((b) => `${formatAmount(b.amount, b.scale)} ${b.asset.split("@")[0]}`).join(", ") || "nothing yet")]]} />
      <Trouble error={account.error} />
      <form onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <label>Asset<select required value={asset} onChange={(e) => setAsset(e.currentTarget.value)}>{balances.map((b) => <option key={b.asset} value={b.asset}>{b.asset.split("@")[0]} of …{b.asset.slice(-6)}</option>)}</select></label>
        <label>To<input required spellcheck={false} autocapitalize="off" placeholder="moot1…" value={recipient} onInput={(e) => setRecipient(e.currentTarget.value)} /></label>
        <label>Amount<input required inputMode="decimal" placeholder="12.50" value={amount} onInput={(e) => setAmount(e.currentTarget.value)} /></label>
        <label>Memo, for everybody to read<input maxLength={128} value={memo} onInput={(e) => setMemo(e.currentTarget.value)} /></label>
        <button type="submit" class="primary" disabled={transfer.busy || !asset}>{transfer.busy ? "Waiting for its block…" : "Sign and send"}</button>
        <Trouble error={transfer.error} />
        {transfer.value && <p class="done" role="status">In block <a href={to("ledger", "block", transfer.value.height ?? 0)}>{transfer.value.height}</a>: <a href={to("ledger", "tx", transfer.value.id)}>the transaction</a>.</p>}
      </form>
    </Card>
  );
}

/** Returns the keys that were put in place of an account's first ones; undefined: it has the first. */
function keySetOf(texts: string[] | null | undefined, threshold: number | undefined): KeySet | undefined {
  if (!texts?.length) return undefined;
  return { threshold: threshold ?? 1, keys: texts.map((text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))) };
}
