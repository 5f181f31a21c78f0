package receipt

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/tree"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// Version is that of the document.
	Version = 1
	// MaxSize is the most bytes of a receipt: of a path with many changes of validators.
	MaxSize = 64 << 20
)

// Receipt is a proof. It has one of Transaction, Balance and Members, and with Transaction perhaps Record.
type Receipt struct {
	Version int `json:"receipt"`
	// Network is the id of the network, the hash of its genesis.
	Network     ledger.Hash  `json:"network"`
	Transaction *Transaction `json:"transaction,omitempty"`
	Balance     *Balance     `json:"balance,omitempty"`
	Members     *Members     `json:"members,omitempty"`
	// Record is the signed envelope of a record that the transaction has anchored: the anchor's digest is its SHA-256.
	Record []byte `json:"record,omitempty"`
	// Path leads to a header with the root of the state.
	Path light.Path `json:"path"`
}

// Transaction proves what became of a transaction.
type Transaction struct {
	// Body is what the transaction says, encoded. That those who must sign have signed the block's validators have seen to: which signatures they saw is not proven, as an id does not depend on them.
	Body []byte `json:"body"`
	// Height is that of the block that it was in.
	Height int64 `json:"height"`
	// Code and Operation are its ledger.Result there.
	Code      ledger.Code `json:"code"`
	Operation uint16      `json:"operation"`
	// Result is the proof that this was a result of the block, Entry the block's entry in the state, and Proof that this was there after the block.
	Result []byte `json:"result_proof"`
	Entry  []byte `json:"entry"`
	Proof  []byte `json:"proof"`
}

// Balance proves what an account had of an asset after the block before the header that the path leads to.
type Balance struct {
	Account ledger.AccountID `json:"account"`
	Asset   string           `json:"asset"`
	// Amount is in the asset's smallest unit.
	Amount string `json:"amount"`
	Proof  []byte `json:"proof"`
}

// Encode returns the document.
func (r *Receipt) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", " ")
	return append(b, '\n'), err
}

// Parse reads a receipt, which proves nothing until it is verified. Errors are of kind fault.Invalid, or fault.TooLarge.
func Parse(data []byte) (*Receipt, error) {
	if len(data) > MaxSize {
		return nil, fault.New(fault.TooLarge, "a receipt of %d bytes: at most %d", len(data), MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	r := new(Receipt)
	if err := d.Decode(r); err != nil {
		return nil, fault.New(fault.Invalid, "the receipt can't be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "something follows the receipt")
	}
	if r.Version != Version {
		return nil, fault.New(fault.Invalid, "a receipt of version %d: this program reads version %d", r.Version, Version)
	}
	if again, err := r.Encode(); err != nil || !bytes.Equal(again, data) {
		return nil, fault.New(fault.Invalid, "the receipt was changed: it is not written as receipts are")
	}
	return r, nil
}

// Statement is what a verified receipt says.
type Statement struct {
	Network ledger.Hash
	// Transaction says what it did, and Result what became of it, in the block of Height and Time.
	Transaction *ledger.Body
	Result      ledger.Result
	// Record was there at Time, and the transaction says so; nil where the receipt is of no record.
	Record *records.Record
	// Account had Amount of Asset, of a balance, after the block of Height. Time is that of the block after.
	Account ledger.AccountID
	Asset   ledger.AssetID
	Amount  ledger.Amount
	// Members are all that were members after the block of Height, or had been, by the bytes of their peer ids.
	Members map[string]ledger.Member
	// Roster is what these are together.
	Roster ledger.Roster

	Height int64
	Time   time.Time
	// Header is the one that was signed.
	Header light.Header
}

// Verify returns what the receipt proves to somebody who trusts the root. Who trusts a genesis trusts the ledgers that it goes on from, up to the last block that it names of each. Errors are of kind fault.Invalid.
func (r *Receipt) Verify(root light.Root) (Statement, error) {
	s := Statement{Network: r.Network}
	network := networkOf(root, r.Network)
	root, last, err := r.rootOf(root)
	if err != nil {
		return s, err
	}
	header, err := r.Path.Verify(consensus.ChainID(swarm.NetworkID(r.Network)), root)
	if err != nil {
		return s, err
	}
	if last != nil && (header.Height > last.Height || header.Height == last.Height && header.Hash != last.Block) {
		return s, fault.New(fault.Invalid, "the proof is in block %d:%s of a ledger of which the one that goes on from it knows blocks up to %d:%s", header.Height, header.Hash, last.Height, last.Block)
	}
	s.Header = header
	switch {
	case r.kinds() != 1:
		err = fault.New(fault.Invalid, "a receipt is of a transaction, of a balance or of the members")
	case r.Record != nil && r.Transaction == nil:
		err = fault.New(fault.Invalid, "a receipt of a balance or of members is of no record")
	case r.Members != nil:
		err = r.Members.verify(&s)
	case r.Transaction != nil:
		if err = r.Transaction.verify(&s); err == nil && r.Record != nil {
			err = s.anchors(r.Record, network)
		}
	default:
		err = r.Balance.verify(&s)
	}
	return s, err
}

// rootOf returns what is trusted of the receipt's ledger, with where that one ends if the trusted genesis is that of one that goes on from it.
func (r *Receipt) rootOf(root light.Root) (light.Root, *ledger.Predecessor, error) {
	if root.Genesis == nil || root.Genesis.ID() == r.Network {
		return root, nil, nil
	}
	if p := root.Genesis.Ancestor(r.Network); p != nil {
		return light.Root{Genesis: p.Genesis}, p, nil
	}
	return root, nil, fault.New(fault.Invalid, "the receipt is of the network %s, and the genesis of the network %s", r.Network, root.Genesis.ID())
}

func (t *Transaction) verify(s *Statement) (err error) {
	if s.Transaction, err = ledger.ParseBody(t.Body); err != nil {
		return err
	}
	s.Result = ledger.Result{ID: s.Transaction.ID(s.Network), Code: t.Code, Operation: t.Operation}
	if s.Height = t.Height; s.Height != s.Header.Height-1 || !s.Result.Valid() {
		return fault.New(fault.Invalid, "the receipt is of block %d, and leads to the header of block %d", s.Height, s.Header.Height)
	}
	proof, err := tree.ParseProof(t.Proof)
	if err != nil {
		return err
	}
	if err := proof.Present(tree.Hash(s.Header.AppHash), tree.NewEntry(ledger.RecentKey(t.Height), t.Entry)); err != nil {
		return err
	}
	var block ledger.Recent
	if err := block.Unmarshal(t.Entry); err != nil {
		return fault.As(fault.Invalid, err)
	}
	s.Time = time.UnixMilli(block.Time).UTC()
	result, err := ledger.ParseResultProof(t.Result)
	if err != nil {
		return err
	}
	return result.Verify(&block, s.Result)
}

// networkOf returns the id of the network in which the records are that a ledger's transactions anchor: that of the first ledger, whichever goes on from it. Who trusts but a block does not know of others than the ledger itself.
func networkOf(root light.Root, own ledger.Hash) swarm.NetworkID {
	if root.Genesis == nil {
		return swarm.NetworkID(own)
	}
	return swarm.NetworkID(root.Genesis.Origin())
}

// anchors checks that the transaction has anchored a record of a network.
func (s *Statement) anchors(envelope []byte, network swarm.NetworkID) error {
	digest := ledger.Hash(sha256.Sum256(envelope))
	said := slices.ContainsFunc(s.Transaction.Operations, func(o ledger.Operation) bool {
		anchor, ok := o.(*ledger.Anchor)
		return ok && anchor.Digest == digest
	})
	if !said || s.Result.Code != ledger.Applied {
		return fault.New(fault.Invalid, "the transaction has not anchored the record, whose envelope has the SHA-256 %s", digest)
	}
	record, err := records.ParseEnvelope(network, envelope)
	if err != nil {
		return fault.As(fault.Invalid, fmt.Errorf("the record is none of the network %s (in a ledger that goes on from another one only a genesis leads to the network): %w", network, err))
	}
	s.Record = &record
	return nil
}

func (b *Balance) verify(s *Statement) (err error) {
	s.Account, s.Height, s.Time = b.Account, s.Header.Height-1, s.Header.Time
	if s.Asset, err = ledger.ParseAssetID(b.Asset); err != nil {
		return err
	}
	if s.Amount, err = ledger.ParseAmount(b.Amount, 0); err != nil {
		return err
	}
	if s.Asset.String() != b.Asset || s.Amount.String() != b.Amount { // one spelling
		return fault.New(fault.Invalid, "the receipt was changed: its asset or amount is not written as in receipts")
	}
	proof, err := tree.ParseProof(b.Proof)
	if err != nil {
		return err
	}
	key, root := ledger.BalanceKey(s.Account, s.Asset), tree.Hash(s.Header.AppHash)
	if s.Amount.IsZero() {
		return proof.Absent(root, tree.HashKey(key))
	}
	return proof.Present(root, tree.NewEntry(key, ledger.MarshalBalance(s.Amount)))
}
