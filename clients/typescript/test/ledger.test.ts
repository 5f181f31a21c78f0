import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { accountOf, formatAmount, InvalidError, keyPair, maxAmount, parseAccount, parseAmount, readGenesis, signTransfer, verifyReceipt } from "../src/ledger/index.js";

interface Vectors {
  transfers: {
    network: string; seed: string; account: string; id: string; encoded: string;
    body: { valid_until: number; salt: string; memo: string; transfers: { asset: string; from: string; to: string; amount: string }[] };
  }[];
}

// Made by the Go code: go test ./ledger -run TypeScript -update-typescript, and the receipts by moot demo.
const read = (name: string) => readFileSync(new URL(`../../test/data/${name}`, import.meta.url), "utf8");

test("transfers are encoded and signed as by the Go code", () => {
  const { transfers } = JSON.parse(read("transfers.json")) as Vectors;
  assert.ok(transfers.length > 0);
  for (const v of transfers) {
    const keys = keyPair(hexToBytes(v.seed));
    assert.equal(accountOf({ threshold: 1, keys: [keys.public] }), v.account);
    const body = {
      validUntil: v.body.valid_until, salt: BigInt(v.body.salt), memo: v.body.memo,
      transfers: v.body.transfers.map((t) => ({ ...t, amount: BigInt(t.amount) })),
    };
    const { id, encoded } = signTransfer(v.network, body, keys);
    assert.equal(bytesToHex(encoded), v.encoded);
    assert.equal(id, v.id);
  }
});

test("amounts are exact", () => {
  assert.equal(formatAmount("1250", 2), "12.50");
  assert.equal(formatAmount("5", 2), "0.05");
  assert.equal(formatAmount(maxAmount, 0), "340282366920938463463374607431768211455");
  assert.equal(parseAmount("12.5", 2), 1250n);
  for (const wrong of ["", "1.", ".5", "-1", "1e3", "1.234", "1,5", "١", "340282366920938463463374607431768211456"]) assert.throws(() => parseAmount(wrong, 2), RangeError, wrong);
});

test("mistyped accounts are found out", () => {
  const { transfers } = JSON.parse(read("transfers.json")) as Vectors;
  const account = transfers[0]!.account;
  for (let i = 5; i < account.length; i++) {
    const other = account[i] === "q" ? "p" : "q";
    assert.throws(() => parseAccount(account.slice(0, i) + other + account.slice(i + 1)), RangeError);
  }
});

test("a receipt of the Go code is proven, and none with a bit changed", () => {
  const genesis = read("genesis.json");
  for (const name of ["receipt-transaction.json", "receipt-balance.json", "receipt-absent.json"]) {
    const receipt = read(name);
    const s = verifyReceipt(receipt, genesis);
    assert.equal(s.network, readGenesis(genesis).network);
    if (s.transaction) assert.deepEqual([s.transaction.applied, s.transaction.operations[0]?.kind], [true, "transfer"]);
    // One character in eleven, so that the test is over soon.
    for (let i = 0; i < receipt.length; i += 11) {
      const changed = receipt.slice(0, i) + String.fromCharCode(receipt.charCodeAt(i) ^ (1 << i % 7)) + receipt.slice(i + 1);
      assert.throws(() => verifyReceipt(changed, genesis), InvalidError, `${name}: character ${i} of ${receipt.length}`);
    }
  }
});

test("receipts that are good for the Go code are good here, and no others", () => {
  const genesis = read("genesis.json");
  const { cases } = JSON.parse(read("receipt-cases.json")) as { cases: { name: string; of: string; from: string; to: string; good: boolean }[] };
  assert.ok(cases.length > 20);
  for (const c of cases) {
    const of = read(c.of);
    assert.ok(c.from === "" || of.split(c.from).length === 2, `${c.name}: what is to be replaced is not there once`);
    const check = () => verifyReceipt(of.replace(c.from, () => c.to), genesis);
    if (c.good) check();
    else assert.throws(check, InvalidError, c.name);
  }
});

test("a genesis with something that its id does not depend on is refused", () => {
  const genesis = read("genesis.json");
  readGenesis(genesis);
  for (const [from, to] of [
    ['"network":', '"extra": 1, "network":'], ['"block_cost":', '"extra": 1, "block_cost":'], ['"power": 1,', '"power": 1, "extra": 1,'], ["Z\",", ".5Z\","], ['"created": "', '"created": " '],
  ] as const) {
    assert.throws(() => readGenesis(genesis.replace(from, to)), InvalidError, to);
  }
  const swapped = JSON.parse(genesis) as { validators: unknown[] };
  swapped.validators.reverse();
  assert.throws(() => readGenesis(JSON.stringify(swapped)), InvalidError);
});

test("a genesis of another network proves nothing", () => {
  const genesis = read("genesis.json");
  const other = genesis.replace(/"network": "[^"]*"/, '"network": "other"');
  assert.notEqual(other, genesis);
  assert.throws(() => verifyReceipt(read("receipt-transaction.json"), other), InvalidError);
});
