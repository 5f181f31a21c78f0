package consensus

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs/guardfstest"
)

// setRoom gives a disk in memory so many bytes that are free.
func setRoom(disk *vfs.MemFS, free uint64) {
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: 1 << 30})
}

// standsStill waits until a node says that its disk has no room, and takes nothing.
func (n *testNode) standsStill(t *testing.T) {
	t.Helper()
	eventually(t, "the node to stand still", func() bool { return n.engine.Paused() != nil })
	health := n.engine.Health()
	if fault.KindOf(health) != fault.Unavailable || !strings.Contains(health.Error(), "goes on by itself") {
		t.Errorf("health without room: %v", health)
	}
	if err := n.engine.Submit(t.Context(), []byte("without room")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("submit without room: %v", err)
	}
	if s := n.engine.Status(); s.Failure != nil || !s.Running || s.Height == 0 {
		t.Errorf("without room: running %t, height %d, failure %v", s.Running, s.Height, s.Failure)
	}
}

// A node whose disk gets full stops, can be read, and goes on by itself when there is room; where it is low at the start, it waits as well. The others go on without it.
func TestRoom(t *testing.T) {
	t.Parallel()
	n := newNet(t, "room", 4, tcp4)
	disk := vfs.NewCrashableMem()
	poor := n.nodes[0]
	poor.fs = disk
	setRoom(disk, goOnAbove)
	n.start()
	n.commit("one", n.nodes[1], n.nodes...)
	setRoom(disk, pauseBelow-1)
	poor.standsStill(t)
	n.commit("two", n.nodes[1], n.nodes[1:]...)
	setRoom(disk, goOnAbove-1)
	if height := poor.engine.LatestHeight(); height == 0 || poor.app.has("two") {
		t.Errorf("without room: height %d, has what came then: %t", height, poor.app.has("two"))
	}
	setRoom(disk, goOnAbove)
	eventually(t, "the block that was missed", func() bool { return poor.app.has("two") })
	n.commit("three", poor, n.nodes...)
	poor.halt()
	setRoom(disk, 0)
	poor.start()
	poor.standsStill(t)
	setRoom(disk, goOnAbove)
	eventually(t, "the engine to go on", func() bool { return poor.engine.Ready() == nil })
	n.commit("four", poor, n.nodes...)
	if err := poor.signer.Barred(); err != nil {
		t.Errorf("the validator does not vote any more: %v", err)
	}
	n.agree()
}

// A disk that is full from one moment to the next, before anybody has looked, stops the only validator in the middle of a block, which it makes when there is room. It can be stopped without room, too.
func TestSuddenlyFull(t *testing.T) {
	t.Parallel()
	n := newNet(t, "full", 1, tcp4)
	node := n.nodes[0]
	var cause atomic.Pointer[error]
	mem := vfs.NewCrashableMem()
	setRoom(mem, goOnAbove)
	node.fs = guardfstest.Failing(mem, &cause)
	node.start()
	n.commit("one", node, node)

	full := error(syscall.ENOSPC)
	fill := func(int64) error { // the disk is full from the block on in which it is called, so that the node can't know before it takes a transaction
		cause.Store(&full)
		return nil
	}
	node.app.breakWith(fill)
	if err := node.engine.Submit(t.Context(), []byte("two")); err != nil {
		t.Fatal(err)
	}
	node.standsStill(t)
	if node.app.has("two") {
		t.Error("a block was carried out that could not be written")
	}
	node.app.breakWith(nil)
	cause.Store(nil)
	eventually(t, "the engine to go on", func() bool { return node.engine.Health() == nil })
	eventually(t, "a block with what waited", func() bool { return node.app.has("two") })
	n.commit("three", node, node)

	// This time the next write of any kind fails, which may be one of an empty block, before the node is asked for anything.
	cause.Store(&full)
	if err := node.engine.Submit(t.Context(), []byte("four")); err != nil && fault.KindOf(err) != fault.Unavailable {
		t.Fatal(err)
	}
	node.standsStill(t)
	node.mayFail = true // it tells that its files are left as by a crash
	node.halt()
	cause.Store(nil)
	node.start()
	for _, tx := range []string{"one", "three"} {
		if !node.app.has(tx) {
			t.Errorf("%q is lost", tx)
		}
	}
	n.commit("five", node, node)
}

// TestBrokenApplication: an application whose disk was full when it was too late to wait, as in a sync, can't write any more when there is room either. The engine fails then and says so, and does not try for ever.
func TestBrokenApplication(t *testing.T) {
	t.Parallel()
	n := newNet(t, "broken", 1, tcp4)
	node := n.nodes[0]
	var broken atomic.Bool
	full := fmt.Errorf("sync the state: %w", syscall.ENOSPC)
	node.configure = func(c *Config) {
		c.Broken = func() error {
			if broken.Load() {
				return full
			}
			return nil
		}
	}
	node.start()
	n.commit("one", node, node)
	node.mayFail = true
	broken.Store(true)
	node.app.breakWith(func(int64) error { return full })
	if err := node.engine.Submit(t.Context(), []byte("two")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-node.engine.Failed():
	case <-time.After(patience):
		t.Fatalf("the failure was not seen: %v", node.engine.Health())
	}
	if err := node.engine.Paused(); err != nil {
		t.Errorf("it waits for room: %v", err)
	}
	if err := node.engine.Health(); fault.KindOf(err) != fault.Internal {
		t.Errorf("health: %v", err)
	}
}

// TestFullWhenTheBarIsLifted: the disk gets full while the parts stop to be made anew, as they are when a bar was lifted, and one of them waits for room. The engine goes on by itself when there is some, with what waited for a block.
func TestFullWhenTheBarIsLifted(t *testing.T) {
	t.Parallel()
	n := newNet(t, "lifted", 1, tcp4)
	node := n.nodes[0]
	disk := vfs.NewCrashableMem()
	setRoom(disk, goOnAbove)
	node.fs = disk
	node.start()
	n.commit("one", node, node)
	reached, room := make(chan struct{}), make(chan struct{})
	node.app.breakWith(func(int64) error {
		close(reached)
		<-room
		return nil
	})
	if err := node.engine.Submit(t.Context(), []byte("two")); err != nil {
		t.Fatal(err)
	}
	<-reached
	if err := node.engine.Submit(t.Context(), []byte("three")); err != nil {
		t.Fatal(err)
	}
	p, err := node.engine.running()
	if err != nil {
		t.Fatal(err)
	}
	p.renew()
	eventually(t, "the parts to stop", func() bool { return !p.swtch.IsRunning() })
	setRoom(disk, pauseBelow-1)
	eventually(t, "a pause", func() bool { return node.engine.Paused() != nil })
	node.app.breakWith(nil)
	close(room)
	setRoom(disk, goOnAbove)
	eventually(t, "the engine to go on", func() bool { return node.engine.Ready() == nil })
	eventually(t, "blocks with what waited", func() bool { return node.app.has("two") && node.app.has("three") })
	n.commit("four", node, node)
}

// TestFailureWhilePartsAreMade: what has failed while its parts were made anew does not take part any more.
func TestFailureWhilePartsAreMade(t *testing.T) {
	t.Parallel()
	n := newNet(t, "failed-early", 1, tcp4)
	e, err := New(n.nodes[0].config())
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.assemble(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.fail(errors.New("there are two histories"))
	questions := e.launch(p)
	if p.swtch.IsRunning() {
		t.Error("it takes part")
	}
	if err := errors.Join(questions.Close(), p.stop(nil), p.close()); err != nil {
		t.Error(err)
	}
}
