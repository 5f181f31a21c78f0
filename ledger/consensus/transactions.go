package consensus

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"
	"github.com/cometbft/cometbft/types"
)

const (
	// relayAfter is how long a transaction waits in the pool before this node passes it on that another has handed in, which sends it to all its peers itself.
	relayAfter = 2 * time.Second
	// relayInterval is how often it is looked for such, relayBytes how many bytes of them are passed on at a time, or one transaction, and relayCount how many: fewer than a peer may leave unread.
	relayInterval = time.Second
	relayBytes    = 1 << 20
	relayCount    = 256
	// againAfter is when a transaction that was handed in here is sent once more that is in no block, as peers may have had no room for it; the time doubles up to maxAgain.
	againAfter = 10 * time.Second
	maxAgain   = 5 * time.Minute
)

// handed is what is known of a transaction that was handed in here.
type handed struct {
	tx    types.Tx
	sent  time.Time
	again time.Duration // how long after that it is sent once more
}

// transactionReactor is CometBFT's for transactions that wait for a block, with a way of its own to spread them. CometBFT's nodes pass on everything to everybody, so that each transaction crosses nearly each connection twice, and the cost of all grows with the square of
// their number. Here it is sent by who has handed it in, to all its peers, and ever less often again as long as it is in no block. Where a node can't be connected with all others, they pass it on at once; otherwise when it has not come into a block after a while.
type transactionReactor struct {
	*mempool.Reactor
	pool  func() (types.Txs, error) // what is in the pool
	check func(types.Tx) error      // puts something into the pool
	whole func() bool               // every node is connected with every other

	mu      sync.Mutex
	to      p2p.Switcher              // guarded by mu; nil: the engine has not begun
	own     map[types.TxKey]handed    // guarded by mu; what may be in the pool and was handed in here
	waiting map[types.TxKey]time.Time // guarded by mu; since when others' are in the pool; zero: passed on
	fresh   []p2p.Peer                // guarded by mu; peers that came
	came    chan struct{}             // capacity 1: there are some
}

func newTransactionReactor(r *mempool.Reactor, pool func() (types.Txs, error), check func(types.Tx) error, whole func() bool) *transactionReactor {
	return &transactionReactor{
		Reactor: r, pool: pool, check: check, whole: whole, own: make(map[types.TxKey]handed), waiting: make(map[types.TxKey]time.Time), came: make(chan struct{}, 1),
	}
}

// spread sends what was handed in here to all peers.
func (r *transactionReactor) spread(tx types.Tx) {
	r.mu.Lock()
	r.own[tx.Key()] = handed{tx, time.Now(), againAfter}
	r.mu.Unlock()
	r.broadcast(tx)
}

// handedIn returns what was handed in here and waits for a block, or did a moment ago, oldest first. It needs no lock of the pool's.
func (r *transactionReactor) handedIn() types.Txs {
	r.mu.Lock()
	list := slices.SortedFunc(maps.Values(r.own), func(a, b handed) int { return a.sent.Compare(b.sent) })
	r.mu.Unlock()
	txs := make(types.Txs, len(list))
	for i := range list {
		txs[i] = list[i].tx
	}
	return txs
}

// passOn sends what somebody else has handed in to all peers.
func (r *transactionReactor) passOn(tx types.Tx) {
	r.mu.Lock()
	r.waiting[tx.Key()] = time.Time{}
	r.mu.Unlock()
	r.broadcast(tx)
}

func (r *transactionReactor) broadcast(tx types.Tx) {
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	if to != nil { // otherwise there are no peers yet
		to.BroadcastAsync(message(tx))
	}
}

// Receive takes transactions from a peer.
func (r *transactionReactor) Receive(e p2p.Envelope) {
	m, ok := e.Message.(*protomem.Txs)
	if !ok || len(m.Txs) == 0 {
		r.Reactor.Receive(e)
		return
	}
	for _, tx := range m.Txs {
		if r.check(tx) == nil && !r.whole() {
			r.passOn(tx)
		}
	}
}

// SetSwitch is told where the peers are.
func (r *transactionReactor) SetSwitch(s p2p.Switcher) {
	r.Reactor.SetSwitch(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = s
}

func message(tx types.Tx) p2p.Envelope {
	return p2p.Envelope{ChannelID: mempool.MempoolChannel, Message: &protomem.Txs{Txs: [][]byte{tx}}}
}

// AddPeer notes a peer that lacks what was sent before.
func (r *transactionReactor) AddPeer(p p2p.Peer) {
	r.mu.Lock()
	r.fresh = append(r.fresh, p)
	r.mu.Unlock()
	select {
	case r.came <- struct{}{}:
	default: // it is known that there are some
	}
}

// run brings peers that come what they lack, and passes on what others have handed in, until ctx ends.
func (r *transactionReactor) run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tick := time.NewTicker(relayInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.came:
			for _, p := range r.takeFresh() {
				tasks.Go(func() { r.bring(ctx, p) })
			}
		case now := <-tick.C:
			for _, tx := range r.due(now) {
				r.Switch.BroadcastAsync(message(tx))
			}
		}
	}
}

func (r *transactionReactor) takeFresh() []p2p.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.fresh
	r.fresh = nil
	return all
}

// bring sends a peer what was handed in here, and what was passed on already.
func (r *transactionReactor) bring(ctx context.Context, p p2p.Peer) {
	all, err := r.pool()
	if err != nil { // the engine has failed
		return
	}
	for _, tx := range all {
		if ctx.Err() != nil || !p.IsRunning() {
			return
		}
		if r.mine(tx.Key()) && !p.Send(message(tx)) {
			return
		}
	}
}

// mine reports whether this node has to see to it that others have a transaction.
func (r *transactionReactor) mine(k types.TxKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.own[k]; ok {
		return true
	}
	since, ok := r.waiting[k]
	return ok && since.IsZero()
}

// due returns what is to be passed on, and forgets what is not in the pool any more.
func (r *transactionReactor) due(now time.Time) (list []types.Tx) {
	all, err := r.pool()
	if err != nil {
		return nil
	}
	keys := make(map[types.TxKey]types.Tx, len(all))
	for _, tx := range all {
		keys[tx.Key()] = tx
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	size := 0
	fits := func(tx types.Tx) bool {
		if len(list) >= relayCount || size > 0 && size+len(tx) > relayBytes {
			return false
		}
		size, list = size+len(tx), append(list, tx)
		return true
	}
	for k, h := range r.own {
		tx, ok := keys[k]
		switch {
		case !ok && now.Sub(h.sent) >= relayInterval: // not one that came while the pool was read
			delete(r.own, k)
		case ok && now.Sub(h.sent) >= h.again && fits(tx):
			r.own[k] = handed{tx, now, min(2*h.again, maxAgain)}
		}
	}
	waiting := make(map[types.TxKey]time.Time)
	for k, tx := range keys {
		if _, ok := r.own[k]; ok {
			continue
		}
		since, ok := r.waiting[k]
		switch {
		case !ok:
			since = now
		case !since.IsZero() && now.Sub(since) >= relayAfter && fits(tx):
			since = time.Time{}
		}
		waiting[k] = since
	}
	r.waiting = waiting
	return list
}
