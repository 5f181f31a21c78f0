//go:build kubernetes && linux

package e2e

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// payers pay side by side, each once in payInterval; each asks another address after payAttempt without an answer.
	payers      = 2
	payInterval = 400 * time.Millisecond
	payAttempt  = 3 * time.Second
	// payLife is how long a payment may be tried: as long as the ledger takes it.
	payLife = 10 * time.Minute
)

// money is an asset of the test's own, and two accounts between which it is paid.
type money struct {
	network    ledger.Hash
	key        ed25519.PrivateKey // of the one who issues and pays
	keys       ledger.KeySet
	from, to   ledger.AccountID
	asset      ledger.AssetID
	mu         sync.Mutex
	salt       uint64            // guarded by mu
	acked      []payment         // guarded by mu
	longest    time.Duration     // guarded by mu; between two acknowledgements of any payer
	last       time.Time         // guarded by mu; when the last one came
	unanswered map[string]string // guarded by mu; why payments were given up, by id
}

// payment is one that was acknowledged.
type payment struct {
	id     string
	height int64
}

// newMoney makes an asset and issues more of it than is paid.
func newMoney(t *testing.T, c *client.Client, network ledger.Hash) *money {
	t.Helper()
	account := func() (ed25519.PrivateKey, ledger.KeySet) {
		public, key, err := ed25519.GenerateKey(nil)
		check(t, err)
		return key, ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}
	}
	m := &money{network: network, unanswered: make(map[string]string)}
	m.key, m.keys = account()
	_, others := account()
	m.from, m.to = m.keys.ID(), others.ID()
	m.asset = ledger.AssetID{Code: "EUR", Issuer: m.from}
	ctx, cancel := context.WithTimeout(t.Context(), settlePatience)
	defer cancel()
	_, data := m.sign(t, &ledger.DefineAsset{Asset: m.asset}, &ledger.Issue{Asset: m.asset, To: m.from, Amount: ledger.NewAmount(1_000_000)})
	status, err := c.SubmitTransaction(ctx, data, v1.SubmitOptions{Wait: v1.WaitCommitted})
	if err != nil || !status.Applied {
		t.Fatalf("issue: %+v, %v", status, err)
	}
	return m
}

func (m *money) sign(t *testing.T, ops ...ledger.Operation) (id string, data []byte) {
	t.Helper()
	m.mu.Lock()
	m.salt++
	body := ledger.Body{ValidUntil: time.Now().Add(payLife).UnixMilli(), Salt: m.salt, Operations: ops}
	m.mu.Unlock()
	tx := &ledger.Transaction{Body: body}
	check(t, tx.Sign(m.network, m.from, &m.keys, m.key))
	data, err := ledger.EncodeTransaction(tx)
	check(t, err)
	return tx.ID(m.network).String(), data
}

// payments are under way until stop is called.
type payments struct {
	*money
	cancel context.CancelFunc
	paying sync.WaitGroup
}

// pay begins to pay 1 again and again through some addresses.
func (r *release) pay(m *money, urls []string) *payments {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	p := &payments{money: m, cancel: cancel}
	m.last = time.Now()
	for i := range payers {
		p.paying.Go(func() { r.payer(ctx, p, i, urls) })
	}
	return p
}

func (p *payments) stop() {
	p.cancel()
	p.paying.Wait()
}

// payer pays until ctx ends. What it has begun it goes on with: the same transaction is handed in until it is known what became of it.
func (r *release) payer(ctx context.Context, p *payments, turn int, urls []string) {
	tick := time.NewTicker(payInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		id, data := p.sign(r.t, &ledger.Transfer{Asset: p.asset, From: p.from, To: p.to, Amount: ledger.NewAmount(1)})
		deadline := time.Now().Add(settlePatience)
		for first := true; ; first = false {
			if !first {
				turn++
			}
			status, err := r.payOnce(urls[turn%len(urls)], data)
			if err == nil && status.State == v1.TransactionCommitted {
				p.acknowledged(status)
				break
			}
			if time.Now().After(deadline) {
				p.gaveUp(id, fmt.Sprintf("%+v, %v", status, err))
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (r *release) payOnce(url string, data []byte) (v1.TransactionStatus, error) {
	c, err := r.client(url)
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), payAttempt)
	defer cancel()
	return c.SubmitTransaction(ctx, data, v1.SubmitOptions{Wait: v1.WaitCommitted})
}

func (m *money) acknowledged(s v1.TransactionStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !s.Applied {
		m.unanswered[s.ID] = "it failed: " + s.Failure
		return
	}
	m.acked = append(m.acked, payment{s.ID, s.Height})
	now := time.Now()
	m.longest, m.last = max(m.longest, now.Sub(m.last)), now
}

func (m *money) gaveUp(id, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unanswered[id] = why
}

// pause returns the longest time without an acknowledgement since it was asked last, and how many there are.
func (m *money) pause() (time.Duration, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	longest := max(m.longest, time.Since(m.last))
	m.longest = 0
	return longest, len(m.acked)
}
