package consensus

import (
	"errors"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/proxy"

	"github.com/folkmoot/folkmoot/fault"
)

// TestFailureWhileInUse: CometBFT may fail in a goroutine that reads its databases, and a part of it that failed keeps the lock of its pool for ever. Neither may hold up the rest of the node.
func TestFailureWhileInUse(t *testing.T) {
	conns := proxy.NewAppConns(proxy.NewConnSyncLocalClientCreator(abci.NewBaseApplication()), proxy.NopMetrics())
	if err := conns.Start(); err != nil {
		t.Fatal(err)
	}
	pool := mempool.NewCListMempool(cfg.DefaultMempoolConfig(), conns.Mempool(), 0)
	pool.Lock()
	e := &Engine{cfg: Config{}.withDefaults(), failed: make(chan struct{}), parts: &parts{pool: pool}}
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
