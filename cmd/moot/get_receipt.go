package main

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/receipt"
)

// envelope returns the newest version of a record, as its author signed it, and the SHA-256 of that, which is anchored.
func (a *app) envelope(ctx context.Context, c *client.Client, key string) ([]byte, ledger.Hash, error) {
	if err := checkKey(key); err != nil {
		return nil, ledger.Hash{}, err
	}
	data, err := c.Envelope(ctx, key)
	if err != nil {
		return nil, ledger.Hash{}, a.askFailed("get", key, err)
	}
	return data, sha256.Sum256(data), nil
}

// getReceipt writes a record with the proof of when it was first anchored, to somebody who trusts the block at height since, or the genesis when that is 0.
func (a *app) getReceipt(ctx context.Context, key, output string, since int64) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	record, digest, err := a.envelope(ctx, c, key)
	if err != nil {
		return err
	}
	anchors, err := c.Anchors(ctx, digest.String())
	if fault.KindOf(err) == fault.NotFound {
		return advise(a.ledgerFailed("prove", key, err), `"moot ledger anchor --record %s --by ACCOUNT" anchors it; what was anchored of an earlier version is of no use for this one`, key)
	}
	if err != nil {
		return a.ledgerFailed("prove", key, err)
	}
	proof, err := c.TransactionReceipt(ctx, anchors.Transactions[0].ID, since)
	if err != nil {
		return a.ledgerFailed("prove", key, err)
	}
	r, err := receipt.Parse(proof)
	if err != nil {
		return fmt.Errorf("the receipt of transaction %s that the node wrote: %w", anchors.Transactions[0].ID, err)
	}
	r.Record = record
	document, err := r.Encode()
	if err != nil {
		return err
	}
	if output != "" && output != "-" {
		if err := writeOutput(output, document); err != nil {
			return fmt.Errorf("write the receipt: %w", err)
		}
		return nil
	}
	return a.writeDocument(document)
}
