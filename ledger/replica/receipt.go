package replica

import (
	"context"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/receipt"
	"github.com/folkmoot/folkmoot/ledger/state"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

// TransactionReceipt returns the proof of what became of a transaction, to somebody who trusts the block at height since, or the genesis when that is 0. It waits for the block after the
// transaction's, whose header has the root. It is fault.NotFound when the transaction is in no block, or what is needed is not kept, and fault.Invalid when since is not before it.
func (r *Replica) TransactionReceipt(ctx context.Context, id ledger.TransactionID, since int64) (*receipt.Receipt, error) {
	var t receipt.Transaction
	err := r.read(func(v *state.View) error {
		b, index, err := find(v, id)
		if err != nil {
			return err
		}
		entry, proof, err := v.BlockProof(b.Height)
		if err != nil {
			return err
		}
		if entry == nil {
			return fault.New(fault.NotFound, "the proof of block %d is not kept", b.Height)
		}
		results := ledger.ProveResult(b.Results, int(index))
		t = receipt.Transaction{
			Body: ledger.AppendBody(nil, &b.Transactions[index].Body), Height: b.Height, Code: b.Results[index].Code, Operation: b.Results[index].Operation,
			Result: results.Append(nil), Entry: entry, Proof: proof.Append(nil),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.await(ctx, t.Height+1); err != nil {
		return nil, err
	}
	return r.receipt(&receipt.Receipt{Transaction: &t}, since, t.Height+1)
}

// BalanceReceipt returns the proof of what an account has of an asset after the last block, to somebody who trusts the block at height since, or the genesis when that is 0. The errors are those of
// TransactionReceipt.
func (r *Replica) BalanceReceipt(ctx context.Context, account ledger.AccountID, asset ledger.AssetID, since int64) (*receipt.Receipt, error) {
	var tip state.Tip
	b := receipt.Balance{Account: account, Asset: asset.String()}
	err := r.read(func(v *state.View) error {
		tip = v.Tip
		value, proof, err := v.Prove(ledger.BalanceKey(account, asset))
		if err != nil {
			return err
		}
		amount, err := ledger.UnmarshalBalance(value)
		b.Amount, b.Proof = amount.String(), proof.Append(nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	height, err := r.headerOf(ctx, tip, since)
	if err != nil {
		return nil, err
	}
	return r.receipt(&receipt.Receipt{Balance: &b}, since, height)
}

// headerOf returns the height of a header above since that has the root of a tip: the tip's own if the block changed nothing, and else the one after it, which follows at once if it did.
func (r *Replica) headerOf(ctx context.Context, tip state.Tip, since int64) (int64, error) {
	if tip.Height > max(since, 0) {
		if root, err := r.engine.AppHash(tip.Height); err == nil && tree.Hash(root) == tip.Root {
			return tip.Height, nil
		}
	}
	return tip.Height + 1, r.await(ctx, tip.Height+1)
}

// await waits until a block is there.
func (r *Replica) await(ctx context.Context, height int64) error {
	for {
		moved := r.Moved()
		if r.engine.LatestHeight() >= height {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "block %d, which has the proof, is not there yet: more than two thirds of the voting power must be there", height)
		}
	}
}

func (r *Replica) receipt(out *receipt.Receipt, since, height int64) (*receipt.Receipt, error) {
	if since < 0 || since >= height {
		return nil, fault.New(fault.Invalid, "the proof is in the header of block %d, and can't lead there from block %d", height, since)
	}
	var err error
	out.Version, out.Network = receipt.Version, r.network
	out.Path, err = r.engine.Path(since, height)
	return out, err
}
