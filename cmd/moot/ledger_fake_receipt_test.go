package main

import (
	"net/http"
	"strconv"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	protocol "github.com/cometbft/cometbft/version"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
	"github.com/folkmoot/folkmoot/ledger/state"
)

func (f *fakeLedger) chain() string { return consensus.ChainID(consensus.NetworkID(f.genesis)) }

func (f *fakeLedger) validatorSet() *types.ValidatorSet {
	return types.NewValidatorSet([]*types.Validator{types.NewValidator(f.validator.PubKey(), 10)})
}

// header returns the header of a height, which has the root after the block before.
func (f *fakeLedger) header(height int64) *types.Header {
	root, set := f.roots[height-1], f.validatorSet()
	h := &types.Header{
		Version: cmtversion.Consensus{Block: protocol.BlockProtocol}, ChainID: f.chain(), Height: height, Time: time.Unix(1_800_000_000+height, 0).UTC(),
		ValidatorsHash: set.Hash(), NextValidatorsHash: set.Hash(), AppHash: root[:], ProposerAddress: f.validator.PubKey().Address(),
	}
	h.ConsensusHash, h.DataHash, h.LastCommitHash, h.LastResultsHash, h.EvidenceHash = make([]byte, 32), make([]byte, 32), make([]byte, 32), make([]byte, 32), make([]byte, 32)
	return h
}

// signed returns a header with the signature of the validator.
func (f *fakeLedger) signed(height int64) (light.Signed, error) {
	h := f.header(height)
	vote := &types.Vote{
		Type: cmtproto.PrecommitType, Height: height, Timestamp: h.Time.Add(time.Second), ValidatorAddress: f.validator.PubKey().Address(),
		BlockID: types.BlockID{Hash: h.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: make([]byte, 32)}},
	}
	signature, err := f.validator.Sign(types.VoteSignBytes(f.chain(), vote.ToProto()))
	if err != nil {
		return light.Signed{}, err
	}
	vote.Signature = signature
	return light.Encode(h, &types.Commit{Height: height, BlockID: vote.BlockID, Signatures: []types.CommitSig{vote.CommitSig()}})
}

// finish adds the path to a header to a receipt.
func (f *fakeLedger) finish(req *http.Request, r *receipt.Receipt, height int64) (any, error) {
	r.Version, r.Network = receipt.Version, f.network
	since, _ := strconv.ParseInt(req.URL.Query().Get("since"), 10, 64)
	if since >= height {
		return nil, fault.New(fault.Invalid, "block %d is not before block %d", since, height)
	}
	if since > 0 {
		start, err := light.EncodeHeader(f.header(since))
		if err != nil {
			return nil, err
		}
		r.Path.Start = &light.Start{Header: start, Next: light.Validators(f.validatorSet())}
	}
	var err error
	if r.Path.Last, err = f.signed(height); err != nil {
		return nil, err
	}
	return r.Encode()
}

func (f *fakeLedger) transactionReceipt(req *http.Request) (any, error) {
	id, err := ledger.ParseHash(req.PathValue("id"))
	if err != nil {
		return nil, err
	}
	var t *receipt.Transaction
	err = f.view(func(v *state.View) error {
		at, ok, err := v.Find(ledger.TransactionID(id))
		if err != nil || !ok {
			return fault.New(fault.NotFound, "transaction %s is in no block", id)
		}
		b, err := v.Block(at.Height)
		if err != nil {
			return err
		}
		entry, proof, err := v.BlockProof(at.Height)
		if err != nil {
			return err
		}
		result := ledger.ProveResult(b.Results, int(at.Index))
		t = &receipt.Transaction{
			Body: ledger.AppendBody(nil, &b.Transactions[at.Index].Body), Height: at.Height, Code: b.Results[at.Index].Code, Operation: b.Results[at.Index].Operation,
			Result: result.Append(nil), Entry: entry, Proof: proof.Append(nil),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f.finish(req, &receipt.Receipt{Transaction: t}, t.Height+1)
}

func (f *fakeLedger) balanceReceipt(req *http.Request) (any, error) {
	account, err := ledger.ParseAccountID(req.PathValue("id"))
	if err != nil {
		return nil, err
	}
	asset, err := ledger.ParseAssetID(req.URL.Query().Get("asset"))
	if err != nil {
		return nil, err
	}
	b := &receipt.Balance{Account: account, Asset: asset.String()}
	var height int64
	err = f.view(func(v *state.View) error {
		height = v.Tip.Height + 1
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
	return f.finish(req, &receipt.Receipt{Balance: b}, height)
}
