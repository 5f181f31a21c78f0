package node

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/replica"
	"github.com/folkmoot/folkmoot/routing"
)

// maxLedgerPeers is with how many others a node keeps the ledger at once: each passes on what it learns, and with more than these the same would only come more often.
const maxLedgerPeers = 24

// ValidatorKey returns the public key with which the node of home votes, and makes it where there is none. A key is for one network: the first in whose name the node runs.
func ValidatorKey(home string) (ledger.PublicKey, error) {
	dir := filepath.Join(home, validatorDir)
	s, err := signer.Read(dir)
	if fault.KindOf(err) == fault.NotFound {
		s, err = signer.Generate(dir)
	}
	if err != nil {
		return ledger.PublicKey{}, err
	}
	return s.PublicKey(), nil
}

// NewGenesis returns the genesis of a new network with the given validators and first members, in any order. Without members everybody who has the genesis may enter.
func NewGenesis(name string, validators []ledger.GenesisValidator, members ...ledger.GenesisMember) (*ledger.Genesis, error) {
	g := &ledger.Genesis{Network: name, Created: time.Now().UTC().Truncate(time.Second), Validators: slices.Clone(validators), Members: slices.Clone(members), Limits: ledger.DefaultLimits()}
	if _, err := rand.Read(g.Salt[:]); err != nil {
		return nil, fmt.Errorf("make a genesis: %w", err)
	}
	slices.SortFunc(g.Validators, func(a, b ledger.GenesisValidator) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	slices.SortFunc(g.Members, func(a, b ledger.GenesisMember) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	if _, err := foundedDocument(g); err != nil {
		return nil, fmt.Errorf("make a genesis: %w", err)
	}
	return g, nil
}

// openLedger opens the ledger of a network that has one.
func (n *Node) openLedger(crypto.PrivKey) error {
	if n.home.Genesis == nil || n.cfg.NoLedger {
		return nil
	}
	if err := n.checkLedger(); err != nil {
		return err
	}
	s, err := signer.Bind(filepath.Join(n.cfg.Home, validatorDir), chainID(n.home.Genesis))
	if err != nil && fault.KindOf(err) != fault.NotFound { // most nodes have no vote
		return err
	}
	n.ledger, err = replica.Open(replica.Config{
		Dir: filepath.Join(n.cfg.Home, ledgerDir), Host: n.host, Genesis: n.home.Genesis, Signer: s, Peers: ledgerPeers{n}, OthersExpected: func() bool { return n.expectsPeers() || len(n.cached) > 0 },
		Sync: n.cfg.Ledger.Sync, KeepBlocks: n.cfg.Ledger.KeepBlocks, SnapshotEvery: n.cfg.Ledger.SnapshotEvery, Tracer: n.tracer, Registerer: n.metrics, Logger: n.cfg.Logger.With("part", "ledger"),
	})
	if err != nil {
		return err
	}
	n.validator = s
	n.onClose("close the ledger", n.ledger.Close)
	return nil
}

// chainID returns the id of the chain of a ledger.
func chainID(g *ledger.Genesis) string { return consensus.ChainID(consensus.NetworkID(g)) }

// ledgerPeers are the peers that a node keeps the ledger with.
type ledgerPeers struct{ n *Node }

// Allowed lets every member in; where the network is not for members only, every peer: the network's id is part of every protocol, and only who has the genesis knows it.
func (l ledgerPeers) Allowed(p peer.ID) bool {
	return l.n.members == nil || l.n.members.book.Allowed(p)
}

// Known returns the peers to keep the ledger with: of a large network some, each node others, so that the network of those who know one another is connected and every path in it short.
func (l ledgerPeers) Known() []peer.AddrInfo {
	self := l.n.ID()
	var list []peer.AddrInfo
	for _, m := range l.n.View().Members {
		if m.ID != self && m.State == routing.Alive && len(m.Addrs) > 0 {
			list = append(list, peer.AddrInfo{ID: m.ID, Addrs: m.Addrs})
		}
	}
	if len(list) <= maxLedgerPeers {
		return list
	}
	slices.SortFunc(list, func(a, b peer.AddrInfo) int {
		x, y := rank(self, a.ID), rank(self, b.ID)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return list[:maxLedgerPeers]
}

// Whole says whether Known are all that there are, so that each node keeps the ledger with every other.
func (l ledgerPeers) Whole() bool { return len(l.n.View().Members) <= maxLedgerPeers+1 }

// rank is a number that two peers have in common, and that says nothing about others.
func rank(a, b peer.ID) uint64 {
	h := fnv.New64a()
	h.Write([]byte(min(a, b)))
	h.Write([]byte(max(a, b)))
	return h.Sum64()
}

// ledgerError returns why the ledger has stopped at this node, or nil.
func (n *Node) ledgerError() error {
	if n.ledger == nil {
		return nil
	}
	engine := n.ledger.Engine()
	if engine.Failure != nil {
		return fault.New(fault.Unavailable, "the ledger has stopped at this node, which goes on with its records: %w", engine.Failure)
	}
	if engine.Paused != nil {
		return fault.As(fault.Unavailable, engine.Paused)
	}
	return nil
}

// Ledger returns the node's copy of the ledger, nil when it keeps none.
func (n *Node) Ledger() *replica.Replica { return n.ledger }

// Genesis returns what the network's ledger began with, nil in a network that has none. It must not be changed.
func (n *Node) Genesis() *ledger.Genesis { return n.home.Genesis }
