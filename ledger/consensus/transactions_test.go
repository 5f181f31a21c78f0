package consensus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"
	"github.com/cometbft/cometbft/types"
)

// toAll is a switch with one peer.
type toAll struct {
	p2p.Switcher
	peer *outbox
}

func (s toAll) BroadcastAsync(e p2p.Envelope) { s.peer.Send(e) }

// outbox is a peer that notes the transactions that it is given.
type outbox struct {
	p2p.Peer
	mu   sync.Mutex
	sent []string // guarded by mu
	err  bool

	whole *atomic.Bool // of the reactor that sends
}

func (o *outbox) IsRunning() bool { return true }
func (o *outbox) Send(e p2p.Envelope) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.err {
		for _, tx := range e.Message.(*protomem.Txs).Txs {
			o.sent = append(o.sent, string(tx))
		}
	}
	return !o.err
}

func (o *outbox) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.sent
	o.sent = nil
	slices.Sort(all)
	return all
}

// spreading returns a reactor whose pool is what pool returns.
func spreading(t *testing.T, pool func() (types.Txs, error)) (*transactionReactor, *outbox) {
	t.Helper()
	check := func(tx types.Tx) error {
		if string(tx) == "bad" {
			return errors.New("bad")
		}
		return nil
	}
	whole := new(atomic.Bool)
	whole.Store(true)
	r, to := newTransactionReactor(mempool.NewReactor(cfg.DefaultMempoolConfig(), nil, false), pool, check, whole.Load), &outbox{whole: whole}
	r.SetSwitch(toAll{peer: to})
	return r, to
}

// A node sends what was handed in there at once and to all, and ever less often again while it is in no block: a peer may have had no room for it. It sends what others have handed in when it has waited for long, once.
func TestSpread(t *testing.T) {
	pool := types.Txs{types.Tx("own"), types.Tx("foreign")}
	r, to := spreading(t, func() (types.Txs, error) { return pool, nil })
	r.spread(pool[0])
	if sent := to.take(); !slices.Equal(sent, []string{"own"}) {
		t.Errorf("at once: %q", sent)
	}
	start := time.Now()
	pass := func(after time.Duration) (list []string) {
		for _, tx := range r.due(start.Add(after)) {
			list = append(list, string(tx))
		}
		return list
	}
	if list := pass(time.Second); len(list) > 0 {
		t.Errorf("after a second: %q", list)
	}
	if list := pass(time.Second + relayAfter); !slices.Equal(list, []string{"foreign"}) {
		t.Errorf("after its time: %q", list)
	}
	var again []time.Duration
	for after := 4 * time.Second; after < 20*time.Minute; after += time.Second {
		if list := pass(after); slices.Equal(list, []string{"own"}) {
			again = append(again, after.Round(10*time.Second))
		} else if len(list) > 0 {
			t.Errorf("once more after %s: %q", after, list)
		}
	}
	if want := []time.Duration{10 * time.Second, 30 * time.Second, 70 * time.Second, 150 * time.Second, 310 * time.Second, 610 * time.Second, 910 * time.Second}; !slices.Equal(again, want) {
		t.Errorf("what was handed in here is sent again after %v, want %v", again, want)
	}
	pool = nil
	pass(time.Hour)
	if len(r.own)+len(r.waiting) > 0 {
		t.Errorf("%d and %d are remembered that are in a block", len(r.own), len(r.waiting))
	}
}

// What is passed on at a time is bounded, and all of it is passed on in the end, though one may be larger than the bound.
func TestRelayIsBounded(t *testing.T) {
	var pool types.Txs
	for i := range 5 {
		pool = append(pool, append(make([]byte, relayBytes/2-1), byte(i)))
	}
	pool = append(pool, make([]byte, 2*relayBytes))
	r, _ := spreading(t, func() (types.Txs, error) { return pool, nil })
	now, passed := time.Now(), 0
	r.due(now)
	for range 10 {
		now = now.Add(relayAfter)
		list, size := r.due(now), 0
		for _, tx := range list {
			size += len(tx)
		}
		if size > relayBytes && len(list) > 1 {
			t.Errorf("%d bytes at a time", size)
		}
		passed += len(list)
	}
	if passed != len(pool) {
		t.Errorf("%d of %d were passed on", passed, len(pool))
	}
}

// No more are passed on at a time than a peer may leave unread: what is too much would be lost.
func TestRelayOfManyIsBounded(t *testing.T) {
	var pool types.Txs
	for i := range 3 * relayCount {
		pool = append(pool, types.Tx(fmt.Sprint(i)))
	}
	r, _ := spreading(t, func() (types.Txs, error) { return pool, nil })
	now, passed := time.Now(), 0
	r.due(now)
	for range 4 {
		now = now.Add(relayAfter)
		list := r.due(now)
		if len(list) > relayCount {
			t.Errorf("%d at a time", len(list))
		}
		passed += len(list)
	}
	if passed != len(pool) {
		t.Errorf("%d of %d were passed on", passed, len(pool))
	}
}

// A peer that comes gets what it missed of what was handed in here, and of the rest what was passed on.
func TestPeerThatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pool types.Txs
		for i := range 4 {
			pool = append(pool, types.Tx(fmt.Sprint(i)))
		}
		var now atomic.Pointer[types.Txs]
		now.Store(&pool)
		r, to := spreading(t, func() (types.Txs, error) { return *now.Load(), nil })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.run(ctx) }()
		r.spread(pool[0])
		time.Sleep(relayAfter + 2*relayInterval)
		if sent := to.take(); !slices.Equal(sent, []string{"0", "1", "2", "3"}) {
			t.Errorf("to all: %q", sent)
		}
		more := append(slices.Clone(pool), types.Tx("new"))
		now.Store(&more)
		late, broken := new(outbox), &outbox{err: true}
		r.AddPeer(late)
		r.AddPeer(broken)
		synctest.Wait()
		if sent := late.take(); !slices.Equal(sent, []string{"0", "1", "2", "3"}) {
			t.Errorf("to who came late: %q", sent)
		}
		stop()
		<-done
	})
}

// An engine that has failed, and holds its pool's lock for ever, does not keep the reactor from ending.
func TestSpreadAfterFailure(t *testing.T) {
	e, pool := poolOnly(t)
	pool.Lock()
	e.fail(errors.New("the disk is gone"))
	r := e.parts.spreader
	r.AddPeer(new(outbox))
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	r.run(ctx)
	if list := r.due(time.Now()); len(list) > 0 {
		t.Errorf("passed on: %q", list)
	}
}

// Where not everybody is connected with everybody, what comes is passed on at once, unless it is refused.
func TestPassOn(t *testing.T) {
	r, to := spreading(t, func() (types.Txs, error) { return nil, nil })
	come := p2p.Envelope{Src: new(outbox), ChannelID: mempool.MempoolChannel, Message: &protomem.Txs{Txs: [][]byte{[]byte("good"), []byte("bad")}}}
	r.Receive(come)
	if sent := to.take(); len(sent) > 0 {
		t.Errorf("where everybody has it: %q", sent)
	}
	to.whole.Store(false)
	r.Receive(come)
	if sent := to.take(); !slices.Equal(sent, []string{"good"}) {
		t.Errorf("where somebody may lack it: %q", sent)
	}
	if key := types.Tx("good").Key(); !r.mine(key) || len(r.own) > 0 {
		t.Errorf("brought to peers that come: %t; %d are sent again and again", r.mine(key), len(r.own))
	}
}

// TestHandedIn: what is kept over a pause is what was handed in here and is in no block yet, oldest first.
func TestHandedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := types.Txs{types.Tx("one"), types.Tx("two"), types.Tx("other's")}
		r, _ := spreading(t, func() (types.Txs, error) { return pool, nil })
		r.passOn(pool[2])
		for _, tx := range pool[:2] {
			time.Sleep(time.Millisecond)
			r.spread(tx)
		}
		if got := r.handedIn(); !reflect.DeepEqual(got, pool[:2]) {
			t.Errorf("%q was handed in", got)
		}
		pool = pool[1:]
		time.Sleep(2 * relayInterval)
		r.due(time.Now())
		if got := r.handedIn(); !reflect.DeepEqual(got, pool[:1]) {
			t.Errorf("%q waits", got)
		}
	})
}
