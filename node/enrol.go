package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/enrol"
	"github.com/folkmoot/folkmoot/ledger/replica"
	"github.com/folkmoot/folkmoot/routing"
)

// seatsFile is where a home remembers which validator is in which seat.
const seatsFile = "seats.json"

// voteWindow is how long a vote of this node may wait for a block: what is right now need not be right later.
const voteWindow = 30 * time.Second

// openEnrolment makes the node one of the validators that vote one another in, if it is to be.
func (n *Node) openEnrolment(crypto.PrivKey) (err error) {
	v := n.cfg.Validator
	switch {
	case v == nil:
		return nil
	case n.ledger == nil:
		return fault.New(fault.Conflict, "be a validator: network %q is open, and has no ledger", n.home.Network)
	case n.validator == nil:
		return fault.New(fault.NotFound, "be a validator: home %s holds no validator's key", n.cfg.Home)
	}
	operator := operatorOf(v.Operator)
	// Seats are those of one ledger: a node that follows the one which this goes on from must not be voted into this.
	n.enrolment, err = enrol.New(enrol.Config{
		Host: n.host, Network: consensus.NetworkID(n.home.Genesis), Ledger: enrolLedger{n.ledger, v.Operator}, Peers: n.alivePeers, Secret: v.Secret, Seat: v.Seat, Seats: v.Seats,
		Key: n.validator.PublicKey(), Operator: operator.ID(), Book: filepath.Join(n.cfg.Home, seatsFile), Interval: v.interval, Patience: v.patience,
		Logger: n.cfg.Logger.With("part", "validators"),
	})
	if err != nil {
		return fmt.Errorf("be a validator: %w", err)
	}
	n.onClose("close the validators' questions", n.enrolment.Close)
	return nil
}

// alivePeers returns the other peers that are there.
func (n *Node) alivePeers() []peer.ID {
	var list []peer.ID
	for _, m := range n.View().Members {
		if m.ID != n.ID() && m.State == routing.Alive {
			list = append(list, m.ID)
		}
	}
	return list
}

// operatorOf returns the first keys of the account that a key speaks for.
func operatorOf(key ed25519.PrivateKey) ledger.KeySet {
	return ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key.Public().(ed25519.PublicKey))}}
}

// enrolLedger shows the ledger to package enrol, and signs for the operator.
type enrolLedger struct {
	*replica.Replica
	operator ed25519.PrivateKey
}

// votes says whether a node in this state votes if its validator has power. One whose clock is behind, or whose disk has no room, does not, and must not be counted on when another is voted out.
func votes(s *consensus.Status) bool {
	return s.Running && !s.Syncing && s.Barred == nil && s.Failure == nil && s.Paused == nil && s.Behind == 0
}

// State returns what the ledger says now.
func (l enrolLedger) State() (enrol.State, error) {
	engine := l.Engine()
	s := enrol.State{Height: l.Tip().Height, Ready: votes(&engine)}
	var err error
	if s.InForce, err = l.InForce(); err != nil {
		return s, err
	}
	validators, err := l.Validators()
	if err != nil {
		return s, err
	}
	for _, v := range validators {
		s.Validators = append(s.Validators, enrol.Validator{Key: v.Key, Power: v.Power, Operator: v.Operator})
	}
	proposals, err := l.Proposals()
	if err != nil {
		return s, err
	}
	now := time.Now().UnixMilli()
	for _, p := range proposals {
		if p.Proposal.SetPower != nil && p.Until > now {
			s.Proposals = append(s.Proposals, enrol.Proposal{Change: *p.Proposal.SetPower, ID: p.ID, Votes: p.Votes})
		}
	}
	return s, nil
}

// Submit signs an operation for the operator, hands it in, and waits until it is in a block.
func (l enrolLedger) Submit(ctx context.Context, op ledger.Operation) error {
	return l.submit(ctx, op)
}

// submit is Submit for operations that all happen or none.
func (l enrolLedger) submit(ctx context.Context, ops ...ledger.Operation) error {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return fmt.Errorf("make a transaction: %w", err)
	}
	keys := operatorOf(l.operator)
	account := keys.ID()
	t := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(voteWindow).UnixMilli(), Salt: binary.BigEndian.Uint64(salt[:]), Operations: ops}}
	if err := t.Sign(l.Network(), account, &keys, l.operator); err != nil {
		return fmt.Errorf("sign for the operator: %w", err)
	}
	data, err := ledger.EncodeTransaction(t)
	if err != nil {
		return err
	}
	s, err := l.Replica.Submit(ctx, data)
	if err != nil {
		return err
	}
	place, err := s.Wait(ctx)
	if err != nil {
		return err
	}
	return replica.ResultError(place.Result, t)
}
