package node_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

// town is a network of validators, one a home, and two people.
type town struct {
	t        *testing.T
	genesis  *ledger.Genesis
	homes    []string
	keys     []ledger.PublicKey
	nodes    []*node.Node
	stops    []func() error
	operator []*signatory
	ann, bob *signatory
	eur      ledger.AssetID
	// bootstrap are further addresses that nodes are told of.
	bootstrap []ma.Multiaddr
}

// newTown founds a network with some validators of power 1, and starts them. Ann issues 1000 EUR to herself.
func newTown(t *testing.T, validators int) *town {
	t.Helper()
	n := &town{t: t, ann: newSignatory(t), bob: newSignatory(t), nodes: make([]*node.Node, validators), stops: make([]func() error, validators)}
	n.eur = ledger.AssetID{Code: "EUR", Issuer: n.ann.id}
	var list []ledger.GenesisValidator
	for range validators {
		home, operator := filepath.Join(t.TempDir(), "home"), newSignatory(t)
		key, err := node.ValidatorKey(home)
		if err != nil {
			t.Fatal(err)
		}
		n.homes, n.keys, n.operator = append(n.homes, home), append(n.keys, key), append(n.operator, operator)
		list = append(list, ledger.GenesisValidator{Key: key, Power: 1, Operator: operator.id})
	}
	var err error
	if n.genesis, err = node.NewGenesis("test", list); err != nil {
		t.Fatal(err)
	}
	for i, home := range n.homes {
		if _, err := node.JoinHome(home, n.genesis); err != nil {
			t.Fatal(err)
		}
		n.start(i)
	}
	n.commit(0, n.ann, &ledger.DefineAsset{Asset: n.eur, Scale: 2}, &ledger.Issue{Asset: n.eur, To: n.ann.id, Amount: ledger.NewAmount(1000)})
	for i := range n.nodes {
		n.eventually("all have the first block", func() bool {
			a, err := n.client(i).Account(t.Context(), n.ann.id.String())
			return err == nil && len(a.Balances) == 1
		})
	}
	return n
}

// addresses are those of the nodes that run.
func (n *town) addresses() []ma.Multiaddr {
	list := slices.Clone(n.bootstrap)
	for _, one := range n.nodes {
		if one != nil {
			list = append(list, one.Addrs()...)
		}
	}
	return list
}

// start runs the node of a home.
func (n *town) start(i int) {
	n.t.Helper()
	cfg := loopback(n.homes[i], n.addresses()...)
	cfg.Network = ""
	cfg.Ledger.Sync.ResumeWait = 2 * time.Second
	n.nodes[i], n.stops[i] = start(n.t, cfg)
}

func (n *town) stop(i int) {
	n.t.Helper()
	if err := n.stops[i](); err != nil {
		n.t.Fatal(err)
	}
	n.nodes[i] = nil
}

func (n *town) client(i int) *client.Client { return clientOf(n.t, n.nodes[i]) }

// ledgerID is the id of the ledger that a node keeps.
func (n *town) ledgerID(i int) ledger.Hash { return n.nodes[i].Genesis().ID() }

// commit hands a transaction in at a node, and returns what became of it.
func (n *town) commit(i int, by *signatory, operations ...ledger.Operation) v1.TransactionStatus {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*patience)
	defer cancel()
	data := by.sign(n.t, n.ledgerID(i), operations...)
	for { // as the commands do: the same bytes until somebody has room and power for them
		done, err := n.client(i).SubmitTransaction(ctx, data, v1.SubmitOptions{})
		if err == nil && done.State == v1.TransactionCommitted {
			if !done.Applied {
				n.t.Fatalf("not applied: %+v", done)
			}
			return done
		}
		if ctx.Err() != nil {
			n.t.Fatalf("not committed: %+v, %v; %s", done, err, n.problem(i))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// pay moves an amount from Ann to Bob.
func (n *town) pay(i int, amount uint64) v1.TransactionStatus {
	n.t.Helper()
	return n.commit(i, n.ann, &ledger.Transfer{Asset: n.eur, From: n.ann.id, To: n.bob.id, Amount: ledger.NewAmount(amount)})
}

// height returns that of the last block at a node, -1 where it does not answer.
func (n *town) height(i int) int64 {
	l, err := n.client(i).Ledger(n.t.Context())
	if err != nil {
		return -1
	}
	return l.Height
}

// bobs is what Bob has, as a node knows it.
func (n *town) bobs(i int) string {
	n.t.Helper()
	a, err := n.client(i).Account(n.t.Context(), n.bob.id.String())
	if err != nil {
		n.t.Fatal(err)
	}
	if len(a.Balances) == 0 {
		return "0"
	}
	return a.Balances[0].Amount
}

// idle waits until nodes have had the same last block for a while.
func (n *town) idle(nodes ...int) {
	n.t.Helper()
	const quiet = 2 * time.Second
	height, since := int64(-1), time.Now()
	n.eventually("all have the last block", func() bool {
		for _, i := range nodes {
			if at := n.height(i); at != height || at < 0 {
				height, since = at, time.Now()
			}
		}
		return time.Since(since) >= quiet
	})
}

func (n *town) problem(i int) string {
	l, err := n.client(i).Ledger(n.t.Context())
	if err != nil {
		return err.Error()
	}
	return l.Problem
}

func (n *town) eventually(what string, f func() bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*patience)
	defer cancel()
	eventuallyLedger(ctx, n.t, what, f)
}

// wantPowers checks that nobody lost power, as who is seen to sign two blocks of one height does.
func (n *town) wantPowers(i, validators int) {
	n.t.Helper()
	v, err := n.client(i).Validators(n.t.Context())
	if err != nil || len(v.Validators) != validators || v.Total != uint64(validators) {
		n.t.Fatalf("validators %+v, %v; want %d of power 1", v, err, validators)
	}
}

var cheap = node.BackupOptions{Passphrase: "correct horse", Work: 2, Program: "test"}

// backup saves a node, as the command does whether it runs or not.
func (n *town) backup(i int) []byte {
	n.t.Helper()
	var whole, plain bytes.Buffer
	if n.nodes[i] == nil {
		if err := node.Backup(n.t.Context(), n.homes[i], &whole, cheap); err != nil {
			n.t.Fatal(err)
		}
		return whole.Bytes()
	}
	keys, err := node.SealKeys(n.homes[i], cheap)
	if err == nil {
		err = n.client(i).Backup(n.t.Context(), &plain, client.BackupOptions{})
	}
	if err == nil {
		err = node.AddKeys(&whole, &plain, keys)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return whole.Bytes()
}

// restore makes another home of a backup, and returns its number. Its node does not run.
func (n *town) restore(data []byte) int {
	n.t.Helper()
	home := filepath.Join(n.t.TempDir(), "restored")
	done, err := node.Restore(n.t.Context(), home, bytes.NewReader(data), node.RestoreOptions{Passphrase: func() (string, error) { return cheap.Passphrase, nil }})
	if err != nil || !done.Validator || !done.SameIdentity || done.Height == 0 {
		n.t.Fatalf("%+v, %v", done, err)
	}
	n.homes, n.nodes, n.stops = append(n.homes, home), append(n.nodes, nil), append(n.stops, nil)
	return len(n.homes) - 1
}

// destroy removes the home of a node that does not run.
func (n *town) destroy(i int) {
	n.t.Helper()
	if err := os.RemoveAll(n.homes[i]); err != nil {
		n.t.Fatal(err)
	}
}
