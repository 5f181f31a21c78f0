package application

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/ledger"
)

// maxChecked bounds the bytes of the envelopes that are remembered: several blocks.
const maxChecked = 64 << 20

// checked remembers envelopes whose signatures are good, so that a node reads each once and checks its signatures once, however often CometBFT asks: before it passes it on, and in
// each proposal that holds it. It may be used by many goroutines.
type checked struct {
	network ledger.Hash
	count   func(good, wrong int)
	saw     func(began time.Time, transactions []*ledger.Transaction) // nil: nobody

	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*list.Element // guarded by mu
	order list.List                           // of *checkedEnvelope, the one used last in front; guarded by mu
	bytes int                                 // guarded by mu
}

type checkedEnvelope struct {
	key          [sha256.Size]byte
	size         int
	transactions []*ledger.Transaction
}

func newChecked(network ledger.Hash, count func(good, wrong int), saw func(time.Time, []*ledger.Transaction)) *checked {
	return &checked{network: network, count: count, saw: saw, byKey: make(map[[sha256.Size]byte]*list.Element)}
}

// open returns the transactions of an envelope whose signatures are good. Errors are of kind fault.Invalid, or fault.TooLarge.
func (c *checked) open(envelope []byte) ([]*ledger.Transaction, error) {
	key := sha256.Sum256(envelope)
	if known, ok := c.known(key); ok {
		return known, nil
	}
	began := time.Now()
	transactions, err := ParseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	if err := c.verify(transactions); err != nil {
		return nil, err
	}
	c.remember(key, len(envelope), transactions, began)
	return transactions, nil
}

// verify returns an error when a signature is wrong.
func (c *checked) verify(transactions []*ledger.Transaction) (first error) {
	wrong := 0
	for _, err := range ledger.VerifySignatures(c.network, transactions) {
		if err == nil {
			continue
		}
		if wrong++; first == nil {
			first = err
		}
	}
	c.count(len(transactions)-wrong, wrong)
	return first
}

// add remembers an envelope that was made here of transactions whose signatures are good.
func (c *checked) add(envelope []byte, transactions []*ledger.Transaction) {
	c.remember(sha256.Sum256(envelope), len(envelope), transactions, time.Now())
}

func (c *checked) known(key [sha256.Size]byte) ([]*ledger.Transaction, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*checkedEnvelope).transactions, true
}

func (c *checked) remember(key [sha256.Size]byte, size int, transactions []*ledger.Transaction, began time.Time) {
	if c.hold(key, size, transactions) && c.saw != nil {
		c.saw(began, transactions)
	}
}

// hold reports whether the envelope is a new one.
func (c *checked) hold(key [sha256.Size]byte, size int, transactions []*ledger.Transaction) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil {
		return false
	}
	c.byKey[key] = c.order.PushFront(&checkedEnvelope{key, size, transactions})
	for c.bytes += size; c.bytes > maxChecked; {
		last := c.order.Remove(c.order.Back()).(*checkedEnvelope)
		c.bytes -= last.size
		delete(c.byKey, last.key)
	}
	return true
}
