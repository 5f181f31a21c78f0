// Uses a node through the TypeScript client: puts and gets a record, watches others, and pays on the ledger.
//
// The node is that of MOOT_API and MOOT_TOKEN. Exit codes are those of moot.
import { createPrivateKey, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Client, ProblemError, UnreachableError, type RecordEvent, type TransactionStatus } from "@folkmoot/client";
import { accountOf, InvalidError, keyPair, parseAmount, signTransfer, verifyReceipt, type KeyPair } from "@folkmoot/client/ledger";

const prefix = "orders/";
/** How long the whole run may take, in milliseconds. */
const patience = 60_000;
/** How long a payment may wait for a block, in milliseconds: until then its outcome may be open. */
const validFor = 600_000;
const attempts = 3;
const codes: Record<string, number> = { invalid: 2, "too-large": 2, "not-found": 3, unavailable: 4, conflict: 5 };

/** What failed, and moot's exit code for it. */
class Failure extends Error {
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

interface Payment { key: string; to: string; asset: string; amount: string; receipt: string }

/** Reads the options; without --key nothing is paid. */
function readOptions(): Payment | undefined {
  const text = { type: "string" } as const;
  let values;
  try {
    ({ values } = parseArgs({ options: { key: text, to: text, asset: text, amount: text, receipt: { ...text, default: "receipt.json" } } }));
  } catch (error) {
    throw new Failure(2, (error as Error).message);
  }
  const { key, to, asset, amount, receipt } = values;
  if (!key) return undefined;
  if (!to || !asset || !amount) throw new Failure(2, "--key needs --to, --asset and --amount");
  return { key, to, asset, amount, receipt: receipt! };
}

/** Puts a record and gets it back. */
async function keep(client: Client, signal: AbortSignal): Promise<void> {
  const { copies } = await client.put(`${prefix}1`, "two loaves", { signal });
  console.log(`put ${prefix}1: ${copies.stored} of ${copies.wanted} copies`);
  const record = await client.get(`${prefix}1`, { signal });
  console.log(`got ${record.key} = ${new TextDecoder().decode(record.value)}`);
}

/** Follows what others order, stops, and goes on where it stopped: what was ordered meanwhile is not missed. */
async function watch(client: Client, signal: AbortSignal): Promise<void> {
  const cursor = await waitFor(client, `${prefix}2`, "saw", signal, { begun: () => client.put(`${prefix}2`, "a cake", { signal }) });
  // Nobody watches now. A program that ends here keeps the cursor in a file.
  await client.put(`${prefix}3`, "ten rolls", { signal });
  await waitFor(client, `${prefix}3`, "resumed: saw", signal, { cursor });
}

/** Watches until a key changes, and returns from where to go on; begun is called once it watches. Others may be told twice. */
async function waitFor(client: Client, key: string, told: string, signal: AbortSignal, from: { cursor?: string; begun?: () => Promise<unknown> }): Promise<string> {
  const stop = new AbortController();
  let failed: unknown;
  let { begun } = from;
  const onConnection = (connected: boolean, error?: Error) => {
    if (error) console.error(`orders: ${error.message} - trying again`);
    if (!connected || !begun) return;
    begun().catch((error: unknown) => {
      failed = error;
      stop.abort();
    });
    begun = undefined;
  };
  for await (const event of client.watch({ prefix, values: true, cursor: from.cursor, signal: AbortSignal.any([signal, stop.signal]), onConnection })) {
    if (isChange(event, key)) {
      console.log(`${told} ${key} = ${event.value}`);
      return event.cursor;
    }
  }
  throw failed ?? new Failure(4, "nothing came in time");
}

function isChange(event: RecordEvent, key: string): boolean {
  if (event.event === "lost") throw new Failure(4, `changes may be missing: ${event.detail}; list the records anew`);
  return event.event === "change" && event.key === key;
}

/** Transfers an amount, waits until that is in a block, and keeps the receipt, checked. The key stays in this program. */
async function pay(client: Client, payment: Payment, signal: AbortSignal): Promise<void> {
  const keys = await readKey(payment.key);
  const [genesis, { network }, asset] = await Promise.all([client.genesis(signal), client.ledger(signal), client.asset(payment.asset, signal)]);
  const transfer = { asset: payment.asset, from: accountOf({ threshold: 1, keys: [keys.public] }), to: payment.to, amount: parseAmount(payment.amount, asset.scale) };
  const { id, encoded } = signTransfer(network, { validUntil: Date.now() + validFor, salt: randomBytes(8).readBigUInt64BE(), transfers: [transfer] }, keys);
  const done = await handIn(client, encoded, signal);
  if (!done.applied) throw new Failure(5, `transaction ${id} is in block ${done.height} and did nothing: ${done.failure}`);
  console.log(`paid ${payment.amount}: transaction ${id} is in block ${done.height}`);
  // It proves the payment to whoever has the genesis, without a node.
  const receipt = await client.receipt(id, signal);
  const proven = verifyReceipt(receipt, genesis);
  if (proven.transaction?.id !== id || !proven.transaction.applied) throw new Failure(1, "the receipt is of another transaction");
  await writeFile(payment.receipt, receipt);
  console.log(`proven: block ${proven.height}; the receipt is in ${payment.receipt}`);
}

/** Hands a transaction in until an answer says what became of it. The same bytes happen once at most, so that they may be handed in again. */
async function handIn(client: Client, encoded: Uint8Array, signal: AbortSignal): Promise<TransactionStatus> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.submit(encoded, "committed", signal);
    } catch (error) {
      if (exitCode(error) !== 4 || attempt === attempts) throw error;
      await delay(1000 * 2 ** (attempt - 1), undefined, { signal }).catch(() => { throw error; }); // a node that is started again needs a moment
    }
  }
}

/** Reads a key in PKCS #8 as PEM, after lines that begin with #. */
async function readKey(file: string): Promise<KeyPair> {
  try {
    const key = createPrivateKey((await readFile(file, "utf8")).replace(/^(#.*\n)*/, ""));
    const seed = key.export({ format: "jwk" }).d;
    if (key.asymmetricKeyType !== "ed25519" || !seed) throw new Error(`${file} has no key of Ed25519`);
    return keyPair(Uint8Array.from(Buffer.from(seed, "base64url")));
  } catch (error) {
    throw new Failure(2, `read the key: ${(error as Error).message}`);
  }
}

/** Returns moot's exit code for an error. */
function exitCode(error: unknown): number {
  if (error instanceof Failure) return error.code;
  if (error instanceof ProblemError) return codes[error.kind] ?? 1;
  if (error instanceof UnreachableError || (error as Error).name === "TimeoutError") return 4;
  if (error instanceof InvalidError) return 1; // the node proves what is not so
  return error instanceof RangeError ? 2 : 1;
}

async function main(): Promise<void> {
  const payment = readOptions();
  const url = process.env["MOOT_API"] || "http://127.0.0.1:7070";
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) throw new Failure(2, `API address ${url}: want http://HOST:PORT or https://HOST:PORT`);
  const client = new Client({ url, token: process.env["MOOT_TOKEN"] });
  const signal = AbortSignal.timeout(patience);
  await keep(client, signal);
  await watch(client, signal);
  if (payment) await pay(client, payment, signal);
}

try {
  await main();
} catch (error) {
  const cause = (error as Error).cause as (Error & { code?: string; cause?: { code?: string } }) | undefined;
  const why = cause?.cause?.code ?? cause?.code ?? cause?.message;
  console.error(`orders: ${(error as Error).message}${why ? `: ${why}` : ""}`);
  process.exitCode = exitCode(error);
}
