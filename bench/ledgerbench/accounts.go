package ledgerbench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// validFor is how long a transfer may wait between its signature and its block.
	validFor = 55 * time.Minute
	// given is how much each account has at the start, of which a transfer moves one.
	given = 1_000_000_000
	// issuesEach is how many accounts one transaction gives money to.
	issuesEach = ledger.MaxOperations
	// issueBatch is how many such transactions are handed in at once: as many as fit surely.
	issueBatch = 16
	// issuers is how many such batches are under way: about as much as a block holds.
	issuers = 4
	// issueTimeout bounds the time until all of a batch is in blocks.
	issueTimeout = 5 * time.Minute
)

// person is somebody with an account of one key.
type person struct {
	key  ed25519.PrivateKey
	keys ledger.KeySet
	id   ledger.AccountID
}

func newPerson() (*person, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}
	return &person{key, keys, keys.ID()}, nil
}

// payers makes transfers between accounts.
type payers struct {
	network ledger.Hash
	mint    *person
	asset   ledger.AssetID
	people  []*person
	salt    atomic.Uint64

	mu    sync.Mutex
	ready [][]byte // signed before they are needed, guarded by mu
}

// newPayers makes accounts, which have nothing yet.
func newPayers(ctx context.Context, accounts int) (*payers, error) {
	mint, err := newPerson()
	if err != nil {
		return nil, err
	}
	p := &payers{mint: mint, asset: ledger.AssetID{Code: "EUR", Issuer: mint.id}, people: make([]*person, accounts)}
	return p, each(ctx, accounts, func(i int) (err error) {
		p.people[i], err = newPerson()
		return err
	})
}

// each calls f with 0 to n-1, in as many goroutines as there are processors.
func each(ctx context.Context, n int, f func(i int) error) error {
	workers, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := f(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers.Wait()
}

func (p *payers) sign(by *person, operations ...ledger.Operation) ([]byte, error) {
	t := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(validFor).UnixMilli(), Salt: p.salt.Add(1), Operations: operations}}
	if err := t.Sign(p.network, by.id, &by.keys, by.key); err != nil {
		return nil, err
	}
	return ledger.EncodeTransaction(t)
}

// transfer returns a new transfer between two accounts.
func (p *payers) transfer() ([]byte, error) {
	from := mathrand.IntN(len(p.people))
	to := (from + 1 + mathrand.IntN(len(p.people)-1)) % len(p.people)
	return p.sign(p.people[from], &ledger.Transfer{Asset: p.asset, From: p.people[from].id, To: p.people[to].id, Amount: ledger.NewAmount(1)})
}

// prepare signs transfers in advance, so that this takes no processor time while something is measured.
func (p *payers) prepare(ctx context.Context, n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.ready)
	if n <= before {
		return nil
	}
	p.ready = append(p.ready, make([][]byte, n-before)...)
	return each(ctx, n-before, func(i int) (err error) {
		p.ready[before+i], err = p.transfer()
		return err
	})
}

// next returns transfers that were not handed in before.
func (p *payers) next(n int) ([][]byte, error) {
	p.mu.Lock()
	at := max(len(p.ready)-n, 0)
	list := append([][]byte(nil), p.ready[at:]...)
	p.ready = p.ready[:at]
	p.mu.Unlock()
	for len(list) < n {
		one, err := p.transfer()
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// issue gives every account money.
func (p *payers) issue(ctx context.Context, n *network) error {
	p.network = n.genesis.ID()
	if err := p.commit(ctx, n, &ledger.DefineAsset{Asset: p.asset}); err != nil {
		return err
	}
	issuing, ctx := errgroup.WithContext(ctx)
	issuing.SetLimit(issuers)
	for some := range slices.Chunk(p.people, issueBatch*issuesEach) {
		issuing.Go(func() error {
			batch, err := p.issues(some)
			if err != nil {
				return err
			}
			return n.insist(ctx, batch)
		})
	}
	return issuing.Wait()
}

// issues returns transactions that give some people money.
func (p *payers) issues(people []*person) (batch [][]byte, err error) {
	for some := range slices.Chunk(people, issuesEach) {
		var operations []ledger.Operation
		for _, one := range some {
			operations = append(operations, &ledger.Issue{Asset: p.asset, To: one.id, Amount: ledger.NewAmount(given)})
		}
		one, err := p.sign(p.mint, operations...)
		if err != nil {
			return nil, err
		}
		batch = append(batch, one)
	}
	return batch, nil
}

// insist hands in a batch, again while a busy machine needs longer than a request may take: it happens once.
func (n *network) insist(ctx context.Context, batch [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	for {
		err := n.submitBatch(ctx, 0, batch)
		if fault.KindOf(err) != fault.Unavailable || ctx.Err() != nil {
			return err
		}
		if err := n.nodes.Ended(); err != nil {
			return err
		}
	}
}

// commit has the mint do something at the first node, and waits until all nodes know.
func (p *payers) commit(ctx context.Context, n *network, operations ...ledger.Operation) error {
	data, err := p.sign(p.mint, operations...)
	if err != nil {
		return err
	}
	if err := n.submit(ctx, 0, data); err != nil {
		return err
	}
	return n.agree(ctx)
}
