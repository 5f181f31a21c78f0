package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Bounds of what a node signs for its callers.
const (
	// MaxSigners is the most keys that a node signs transfers with.
	MaxSigners = ledger.MaxKeys
	// maxRemembered is the most transfers whose idempotency keys are remembered until they are too late for any block, whatever became of them; more are put off. That is 18 a second where each is valid for an hour.
	maxRemembered = 1 << 16
)

// Signer is a key of an account with which the node signs transfers for callers of its API that may administrate it.
type Signer struct {
	// Name is what people call it.
	Name string
	Key  ed25519.PrivateKey
}

// signing signs transfers with the keys that the node was told of.
type signing struct {
	keys []Signer
	now  func() time.Time

	mu   sync.Mutex
	seen map[string]promise // by idempotency key; guarded by mu
}

// promise is what was signed under an idempotency key.
type promise struct {
	id    ledger.TransactionID
	until int64 // ms since 1970
}

// openSigning takes over the keys to sign with. None may be one that the node needs for itself: who may have a payment signed must not get a signature that stands for the node or its vote.
func (n *Node) openSigning(identity crypto.PrivKey) error {
	if len(n.cfg.Signers) == 0 {
		return nil
	}
	if n.ledger == nil {
		return fault.New(fault.Invalid, "there are keys to sign transfers with, and this node keeps no ledger")
	}
	own, err := MemberKey(identity)
	if err != nil {
		return err
	}
	seen := make(map[ledger.PublicKey]string)
	for _, s := range n.cfg.Signers {
		key := publicKey(s.Key)
		switch {
		case key == own:
			return fault.New(fault.Invalid, "the key %s is the node's own identity: make one for an account, with moot ledger account new", s.Name)
		case n.validator != nil && key == ledger.PublicKey(n.validator.PublicKey()):
			return fault.New(fault.Invalid, "the key %s is the one that the node votes with: make one for an account, with moot ledger account new", s.Name)
		case seen[key] != "":
			return fault.New(fault.Invalid, "the keys %s and %s are the same", seen[key], s.Name)
		}
		seen[key] = s.Name
	}
	for _, s := range n.cfg.Signers {
		n.cfg.Logger.Info("signs transfers for callers with a token of the scope admin", "key", s.Name, "account", firstKeys(publicKey(s.Key)).ID())
	}
	n.signing = &signing{keys: slices.Clone(n.cfg.Signers), now: time.Now, seen: make(map[string]promise)}
	return nil
}

func publicKey(key ed25519.PrivateKey) ledger.PublicKey {
	return ledger.PublicKey(key.Public().(ed25519.PublicKey))
}

// firstKeys returns the keys of the account that one key alone speaks for, until it is given others.
func firstKeys(key ledger.PublicKey) *ledger.KeySet {
	return &ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{key}}
}

func (b ledgerBackend) Signers(context.Context) (v1.Signers, error) {
	var list v1.Signers
	if b.n.signing == nil {
		return list, nil
	}
	for _, s := range b.n.signing.keys {
		key := publicKey(s.Key)
		list.Signers = append(list.Signers, v1.Signer{Name: s.Name, Account: firstKeys(key).ID().String(), Key: key.String()})
	}
	return list, nil
}

func (b ledgerBackend) Transfer(ctx context.Context, t v1.Transfer, key string, committed bool) (v1.TransactionStatus, error) {
	s := b.n.signing
	if s == nil {
		return v1.TransactionStatus{}, fault.New(fault.Forbidden, "this node signs nothing: it was not told to with --sign-with")
	}
	body, err := s.body(t, key, b.r.Network())
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	from := body.Operations[0].(*ledger.Transfer).From
	known, err := b.r.Account(from)
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	signed, err := s.sign(body, b.r.Network(), from, known.KeySet)
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	encoded, err := ledger.EncodeTransaction(signed)
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	id := signed.ID(b.r.Network())
	if err := s.promise(key, promise{id, body.ValidUntil}, b.r.Tip().Time); err != nil {
		return v1.TransactionStatus{}, err
	}
	b.n.cfg.Logger.Info("signed a transfer", "transaction", id, "from", from, "to", t.To, "asset", t.Asset, "amount", t.Amount)
	return b.Submit(ctx, encoded, committed)
}

// body returns what a transfer says. It depends on nothing but the transfer and its idempotency key, so that who asks again, also of a node that was started again meanwhile, asks for the same transaction.
func (s *signing) body(t v1.Transfer, key string, network ledger.Hash) (*ledger.Body, error) {
	if t.Network != network.String() {
		return nil, fault.New(fault.Conflict, "the transfer is meant for the ledger %.64q, and this node keeps the ledger %s", t.Network, network)
	}
	if s.now().Add(v1.MaxTransferWindow).Before(t.ValidUntil) {
		return nil, fault.New(fault.Invalid, "valid_until: %s is more than %s ahead", t.ValidUntil.UTC().Format(time.RFC3339), v1.MaxTransferWindow)
	}
	op := new(ledger.Transfer)
	var err error
	if op.From, err = ledger.ParseAccountID(t.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if op.To, err = ledger.ParseAccountID(t.To); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if op.Asset, err = ledger.ParseAssetID(t.Asset); err != nil {
		return nil, fmt.Errorf("asset: %w", err)
	}
	if op.Amount, err = ledger.ParseAmount(t.Amount, 0); err != nil {
		return nil, fmt.Errorf("amount: %w", err)
	}
	digest := sha256.Sum256([]byte("folkmoot/transfer-of-node/1\x00" + key))
	body := &ledger.Body{ValidUntil: t.ValidUntil.UnixMilli(), Salt: binary.BigEndian.Uint64(digest[:8]), Operations: []ledger.Operation{op}}
	if t.Memo != "" {
		body.Memo = []byte(t.Memo)
	}
	return body, body.Validate()
}

// sign signs for an account with as many of its keys as it takes; present are those that were put in place of its first one, nil: none were.
func (s *signing) sign(body *ledger.Body, network ledger.Hash, from ledger.AccountID, present *ledger.KeySet) (*ledger.Transaction, error) {
	tx, signed := &ledger.Transaction{Body: *body}, 0
	for _, one := range s.keys {
		key := publicKey(one.Key)
		set := present
		if set == nil {
			set = firstKeys(key)
			if set.ID() != from {
				continue
			}
		}
		if signed == int(set.Threshold) || !slices.Contains(set.Keys, key) {
			continue
		}
		if err := tx.Sign(network, from, set, one.Key); err != nil {
			return nil, err
		}
		signed++
	}
	switch {
	case present != nil && signed < int(present.Threshold):
		return nil, fault.New(fault.Forbidden, "%d of the keys of %s must sign, and this node has %d of them (--sign-with)", present.Threshold, from, signed)
	case signed == 0:
		return nil, fault.New(fault.Forbidden, "this node has no key of %s (--sign-with)", from)
	}
	return tx, nil
}

// promise remembers what was signed under a key for as long as it may come into a block: until the ledger's own time, tip, the last block's, is past it, which may be behind the clock by as long as the ledger stands still. It is fault.Conflict when that was something else, and fault.Unavailable when too much is remembered.
func (s *signing) promise(key string, p promise, tip int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.seen[key]; ok && before.until > tip {
		if before.id != p.id {
			return fault.New(fault.Conflict, "another transfer was signed under this idempotency key, as transaction %s: choose a new one for a new transfer", before.id)
		}
		return nil
	}
	if len(s.seen) >= maxRemembered {
		for other, q := range s.seen {
			if q.until <= tip {
				delete(s.seen, other)
			}
		}
	}
	if len(s.seen) >= maxRemembered {
		return fault.New(fault.Unavailable, "%d transfers that this node signed are not past their valid_until: try again later, and choose shorter ones", len(s.seen))
	}
	s.seen[key] = p
	return nil
}
