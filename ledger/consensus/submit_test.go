package consensus

import (
	"errors"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
)

// TestFailureWhileInUse: CometBFT may fail in a goroutine that reads its databases, and a part of it that failed keeps the lock of its pool for ever. Neither may hold up the rest of the node.
func TestFailureWhileInUse(t *testing.T) {
	e, pool := poolOnly(t)
	pool.Lock()
	submitted := make(chan error, 1)
	go func() { submitted <- e.Submit(t.Context(), []byte{1}) }()
	time.Sleep(20 * time.Millisecond) // for Submit to wait for the pool
	failed := make(chan error, 1)
	go func() { failed <- e.use(func(*parts) error { e.fail(errors.New("the disk is gone")); return nil }) }()
	for what, c := range map[string]chan error{"fail": failed, "submit": submitted} {
		select {
		case err := <-c:
			if what == "submit" && fault.KindOf(err) != fault.Unavailable {
				t.Errorf("submit: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s does not return", what)
		}
	}
	if err := e.Ready(); fault.KindOf(err) != fault.Internal {
		t.Errorf("afterwards: %v", err)
	}
}

// poolOnly returns an engine that has nothing but a pool, which takes everything.
func poolOnly(t *testing.T) (*Engine, *mempool.CListMempool) {
	t.Helper()
	conns := proxy.NewAppConns(proxy.NewConnSyncLocalClientCreator(abci.NewBaseApplication()), proxy.NopMetrics())
	if err := conns.Start(); err != nil {
		t.Fatal(err)
	}
	pool := mempool.NewCListMempool(cfg.DefaultMempoolConfig(), conns.Mempool(), 0)
	e := &Engine{cfg: Config{}.withDefaults(), failed: make(chan struct{})}
	e.parts = &parts{pool: pool, spreader: newTransactionReactor(mempool.NewReactor(cfg.DefaultMempoolConfig(), pool, false), e.waiting(pool), func(tx types.Tx) error { return submit(pool, tx) },
		func() bool { return true })}
	return e, pool
}

// TestDrop: what is of no use is forgotten, and what is stays.
func TestDrop(t *testing.T) {
	e, pool := poolOnly(t)
	for _, tx := range []string{"a", "b", "c"} {
		if err := e.Submit(t.Context(), []byte(tx)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := e.Drop(func(tx []byte) bool { return string(tx) != "b" }); err != nil {
			t.Fatal(err)
		}
		if left := pool.ReapMaxTxs(-1); len(left) != 1 || string(left[0]) != "b" || pool.SizeBytes() != 1 {
			t.Errorf("%q are left, of %d bytes", left, pool.SizeBytes())
		}
	}
}
