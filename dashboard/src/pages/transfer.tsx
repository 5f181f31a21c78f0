import { ProblemError, type Account, type Signer, type TransactionStatus } from "@folkmoot/client";
import { formatAmount, parseAccount, parseAmount, signTransfer, type KeySet } from "@folkmoot/client/ledger";
import { useEffect, useRef, useState } from "preact/hooks";
import { client, live, unlock } from "../live";
import { exportKey, keys, makeKey, openKey, type HeldKey } from "../keys";
import { Card, Facts, Long, Trouble, useAction, useAnswer } from "../parts/basics";
import { AccountLink } from "../parts/ledger";
import { to } from "../route";
import { useStore } from "../store";
import { useDoneSince } from "./ledger";
import { saveText } from "./ledger-things";

/** For how long a transfer may wait for its block, in milliseconds. */
const window = 10 * 60_000;

/** Whom a payment is from, and who signs it. */
interface Payer {
  /** Tells a key of the page from one of the node, of the same account. */
  id: string;
  name: string;
  account: string;
  /** The key, if it is here; the node has those that are not. */
  held?: HeldKey;
}

const ofPage = (held: HeldKey): Payer => ({ id: `page ${held.account}`, name: held.name, account: held.account, held });
const ofNode = (signer: Signer): Payer => ({ id: `node ${signer.account}`, name: signer.name, account: signer.account });

export function TransferPage() {
  const held = useStore(keys, (k) => k.held);
  const signers = useAnswer((signal) => client.signers(signal), []);
  const payers = [...held.map(ofPage), ...(signers.value ?? []).map(ofNode)];
  const [chosen, choose] = useState(held[0] ? ofPage(held[0]).id : "");
  const payer = payers.find((p) => p.id === chosen);
  return (
    <>
      <nav class="crumbs" aria-label="Where this is"><a href="#/ledger">Ledger</a> / transfer</nav>
      <h1>Make a transfer</h1>
      <div class="split even">
        <Keys payers={payers} chosen={chosen} choose={choose} />
        {payer ? <Form key={payer.id} payer={payer} /> : <Card title="Transfer" id="transfer-title"><p class="quiet">Choose a key first: it is what you sign with.</p></Card>}
      </div>
    </>
  );
}

function Keys({ payers, chosen, choose }: { payers: Payer[]; chosen: string; choose: (id: string) => void }) {
  const open = useAction<void>();
  const opened = (file: File | undefined) => file && open.run(async () => {
    if (file.size > 16 << 10) throw new RangeError("that is no key file: it is too large");
    choose(ofPage(openKey(file.name, await file.text())).id);
  });
  return (
    <Card title="Your keys" id="your-keys-title">
      <p class="quiet">A key that you open or make stays in this page: it signs here, is sent nowhere, and is forgotten when the page is closed. Where the node was told to sign (<code>moot run --sign-with</code>), its keys can be chosen, too, and stay with it.</p>
      {payers.length > 0 && (
        <fieldset class="choice column">
          <legend class="hidden">Sign with</legend>
          {payers.map((p) => (
            <label key={p.id}><input type="radio" name="key" checked={p.id === chosen} onChange={() => choose(p.id)} /><span><b>{p.name}</b> <AccountLink id={p.account} />{!p.held && <span class="tag">the node signs</span>}</span></label>
          ))}
        </fieldset>
      )}
      <label><span>Open a key file, as in the folder <code>accounts</code> of a node’s home</span><input type="file" accept=".key,.pem" onChange={(e) => void opened(e.currentTarget.files?.[0])} /></label>
      <Trouble error={open.error} />
      <div class="row">
        <button type="button" onClick={() => choose(ofPage(makeKey()).id)}>Make a new key</button>
        {payers.map((p) => p.held && p.id === chosen && <button key={p.id} type="button" onClick={() => saveText(`${p.name.replace(/\s+/g, "-")}.key`, exportKey(p.held!))}>Save “{p.name}”</button>)}
      </div>
    </Card>
  );
}

/** A transfer that was sent and may yet be in a block, with what hands it in once more: signed anew, it would be another one, and both could be carried out. */
interface Sent {
  form: string;
  until: number;
  /** An answer did not come: what was sent may be on its way. */
  uncertain?: boolean;
  send: () => Promise<TransactionStatus>;
}

function Form({ payer }: { payer: Payer }) {
  const ledger = useStore(live, (l) => l.ledger);
  const done = useDoneSince();
  const account = useAnswer((signal) => client.account(payer.account, signal), [payer.account, done]);
  const balances = account.value?.balances ?? [];
  const [asset, setAsset] = useState("");
  const [recipient, setRecipient] = useState("");
  const [amount, setAmount] = useState("");
  const [memo, setMemo] = useState("");
  useEffect(() => {
    if (!balances.some((b) => b.asset === asset)) setAsset(balances[0]?.asset ?? "");
  }, [account.value]);
  const transfer = useAction<TransactionStatus>();
  const pending = useRef<Sent>();
  const make = (form: string): Sent => {
    const balance = balances.find((b) => b.asset === asset);
    if (!balance || !ledger) throw new RangeError("the account has nothing of that asset");
    const units = parseAmount(amount.trim(), balance.scale);
    if (units > BigInt(balance.amount)) throw new RangeError(`the account has ${formatAmount(balance.amount, balance.scale)}`);
    parseAccount(recipient.trim());
    const until = Date.now() + window;
    const what = { network: ledger.network, asset, from: payer.account, to: recipient.trim(), amount: units, memo: memo || undefined, until };
    return { form, until, send: payer.held ? signedHere(payer.held, what, account.value) : signedByNode(what) };
  };
  const submit = () => transfer.run(async () => {
    const form = JSON.stringify([asset, recipient.trim(), amount.trim(), memo]);
    // By the time of blocks, which stands still when the ledger does.
    if (pending.current && ledger && Date.parse(ledger.time) >= pending.current.until) pending.current = undefined;
    if (pending.current && pending.current.form !== form) {
      throw new Error("What was sent before may yet be in a block. Send it again as it was: it is paid once at most, and you learn what became of it.");
    }
    pending.current ??= make(form);
    let status: TransactionStatus;
    try {
      status = await pending.current.send();
    } catch (error) {
      const refused = error instanceof ProblemError && error.byNode && error.status < 500 && error.status !== 429;
      if (!refused) pending.current.uncertain = true;
      else if (!pending.current.uncertain) pending.current = undefined; // once it is uncertain, a refusal says nothing of what was sent before
      throw error;
    }
    if (status.state !== "committed") throw new Error("It is not in a block yet. Send it again as it is: it is paid once at most.");
    pending.current = undefined;
    if (!status.applied) throw new Error(`The transfer failed: ${status.failure}`);
    setAmount("");
    dispatchEvent(new Event("folkmoot-transfer"));
    return status;
  });
  const needsToken = !payer.held && transfer.error instanceof ProblemError && (transfer.error.status === 401 || transfer.error.status === 403);
  return (
    <Card title={`From ${payer.name}`} id="transfer-title">
      <Facts of={[["Account", <Long text={payer.account} what="account" />], ["Signs", payer.held ? "this page" : "the node, with a key of its own"], ["Has", account.value && (balances.map((b) => `${formatAmount(b.amount, b.scale)} ${b.asset.split("@")[0]}`).join(", ") || "nothing yet")]]} />
      <Trouble error={account.error} />
      <form onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <label>Asset<select required value={asset} onChange={(e) => setAsset(e.currentTarget.value)}>{balances.map((b) => <option key={b.asset} value={b.asset}>{b.asset.split("@")[0]} of …{b.asset.slice(-6)}</option>)}</select></label>
        <label>To<input required spellcheck={false} autocapitalize="off" placeholder="moot1…" value={recipient} onInput={(e) => setRecipient(e.currentTarget.value)} /></label>
        <label>Amount<input required inputMode="decimal" placeholder="12.50" value={amount} onInput={(e) => setAmount(e.currentTarget.value)} /></label>
        <label>Memo, for everybody to read<input maxLength={128} value={memo} onInput={(e) => setMemo(e.currentTarget.value)} /></label>
        <button type="submit" class="primary" disabled={transfer.busy || !asset}>{transfer.busy ? "Waiting for its block…" : payer.held ? "Sign and send" : "Have it signed and sent"}</button>
        <Trouble error={transfer.error} />
        {transfer.value && <p class="done" role="status">In block <a href={to("ledger", "block", transfer.value.height ?? 0)}>{transfer.value.height}</a>: <a href={to("ledger", "tx", transfer.value.id)}>the transaction</a>.</p>}
      </form>
      {needsToken && <TokenForm />}
    </Card>
  );
}

/** Asks for a token that may administrate the node, where the one that the page has may not, or it has none. */
function TokenForm() {
  const [token, set] = useState("");
  return (
    <form class="token" onSubmit={(e) => { e.preventDefault(); unlock(token.trim()); set(""); }}>
      <label><span>Token of the scope admin, as <code>moot token new</code> makes them</span><input type="password" autocomplete="off" required value={token} onInput={(e) => set(e.currentTarget.value)} /></label>
      <button type="submit">Use it in this tab</button>
    </form>
  );
}

/** What a form says. */
interface Payment {
  network: string;
  asset: string;
  from: string;
  to: string;
  amount: bigint;
  memo: string | undefined;
  until: number;
}

/** Signs here and now, and returns what hands it in. */
function signedHere(held: HeldKey, p: Payment, account: Account | undefined): Sent["send"] {
  const body = { validUntil: p.until, salt: crypto.getRandomValues(new BigUint64Array(1))[0]!, memo: p.memo, transfers: [{ asset: p.asset, from: p.from, to: p.to, amount: p.amount }] };
  const { encoded } = signTransfer(p.network, body, held.pair, keySetOf(account?.keys, account?.threshold));
  return () => client.submit(encoded);
}

/** Returns what asks the node to sign: the same each time, so that it is one payment however often it is asked for. */
function signedByNode(p: Payment): Sent["send"] {
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const transfer = { network: p.network, from: p.from, to: p.to, asset: p.asset, amount: p.amount.toString(), memo: p.memo, valid_until: new Date(p.until).toISOString() };
  return () => client.transfer(transfer, key);
}

/** Returns the keys that were put in place of an account's first ones; undefined: it has the first. */
function keySetOf(texts: string[] | null | undefined, threshold: number | undefined): KeySet | undefined {
  if (!texts?.length) return undefined;
  return { threshold: threshold ?? 1, keys: texts.map((text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))) };
}
