package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

// startNode runs a node on home until it ends by itself or stop is called; ended carries what Run returned.
func startNode(t *testing.T, home string, bootstrap ...ma.Multiaddr) (n *Node, stop func(), ended <-chan error) {
	t.Helper()
	return startNodeWith(t, Config{Home: home}, bootstrap...)
}

// startNodeWith is startNode with a configuration in which the network and the addresses are filled in.
func startNodeWith(t *testing.T, cfg Config, bootstrap ...ma.Multiaddr) (n *Node, stop func(), ended <-chan error) {
	t.Helper()
	cfg.Network, cfg.Bootstrap, cfg.Listen = "test", bootstrap, []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
	n, err := New(cfg.Patient())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		done <- n.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	<-n.Ready()
	return n, cancel, done
}

func awaitPeers(t *testing.T, n *Node, alive int) {
	t.Helper()
	for {
		changed := n.ViewChanged()
		if n.View().Count(routing.Alive) == alive {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("%d peers are alive, want %d", n.View().Count(routing.Alive), alive)
		}
	}
}

func TestLeaveHandsEverythingOver(t *testing.T) {
	first, _, _ := startNode(t, t.TempDir())
	second, _, _ := startNode(t, t.TempDir(), first.Addrs()...)
	home := t.TempDir()
	third, _, ended := startNode(t, home, first.Addrs()...)
	for _, n := range []*Node{first, second, third} {
		awaitPeers(t, n, 3)
		awaitSync(t, n)
	}
	const written = 60
	for i := range written {
		if _, err := third.Records().Put(t.Context(), fmt.Sprint("k", i), []byte("v"), records.PutOptions{Consistency: records.One}); err != nil {
			t.Fatal(err)
		}
	}
	var told []int64
	if err := third.Leave(t.Context(), 0, func(left int64) { told = append(told, left) }); err != nil {
		t.Fatalf("leave: %v; progress %d", err, told)
	}
	if len(told) == 0 || told[len(told)-1] != 0 {
		t.Errorf("progress %d, want 0 at the end", told)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	awaitPeers(t, first, 2)
	for i := range written {
		if r, err := second.Records().Get(t.Context(), fmt.Sprint("k", i), records.GetOptions{Consistency: records.All}); err != nil || string(r.Value) != "v" {
			t.Fatalf("record %d after its writer has left: %q, %v", i, r.Value, err)
		}
	}
	if _, err := New(Config{Home: home}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a node that has left starts again: %v", err)
	}
	if err := CheckNotLeft(home); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the home of a node that has left: %v", err)
	}
}

func TestLeaveInTooLittleTime(t *testing.T) {
	first, _, _ := startNode(t, t.TempDir())
	home := t.TempDir()
	second, _, ended := startNode(t, home, first.Addrs()...)
	for _, n := range []*Node{first, second} {
		awaitPeers(t, n, 2)
	}
	if _, err := second.Records().Put(t.Context(), "k", []byte("v"), records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := second.Leave(t.Context(), 1, func(int64) {}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("leave: %v", err)
	}
	if err := <-ended; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("run: %v", err)
	}
	n, stop, ended := startNode(t, home, first.Addrs()...) // it is not marked as one that has left
	awaitPeers(t, n, 2)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestLeaveWithNobodyElse(t *testing.T) {
	n, stop, ended := startNode(t, t.TempDir())
	if err := n.StopLeaving(); fault.KindOf(err) != fault.Conflict {
		t.Errorf("stop what was not begun: %v", err)
	}
	if err := n.Leave(t.Context(), 0, func(int64) {}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("leave: %v", err)
	}
	if _, err := n.Records().Put(t.Context(), "k", []byte("v"), records.PutOptions{}); err != nil {
		t.Errorf("the node does not go on: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

// insist calls do until it is not fault.Unavailable: on a busy machine a peer may take longer to answer than is waited for.
func insist(t *testing.T, do func() error) {
	t.Helper()
	for {
		err := do()
		if err == nil {
			return
		}
		if fault.KindOf(err) != fault.Unavailable || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// A node that left for good comes back as who it was: everybody takes it in at once, and what was deleted meanwhile stays deleted.
func TestRejoin(t *testing.T) {
	first, _, _ := startNode(t, t.TempDir())
	second, _, _ := startNode(t, t.TempDir(), first.Addrs()...)
	third, _, _ := startNode(t, t.TempDir(), first.Addrs()...)
	home := t.TempDir()
	fourth, _, ended := startNode(t, home, first.Addrs()...)
	others := []*Node{first, second, third}
	for _, n := range append(others, fourth) {
		awaitPeers(t, n, 4)
		awaitSync(t, n)
	}
	const written = 60
	key := func(i int) string { return fmt.Sprint("k", i) }
	for i := range written {
		insist(t, func() error {
			_, err := fourth.Records().Put(t.Context(), key(i), []byte("old"), records.PutOptions{Consistency: records.All})
			return err
		})
	}
	if err := fourth.Leave(t.Context(), 0, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, n := range others {
		awaitPeers(t, n, 3)
	}
	for i := range written {
		insist(t, func() (err error) {
			if i%2 == 0 {
				_, err = first.Records().Delete(t.Context(), key(i), records.PutOptions{})
			} else {
				_, err = first.Records().Put(t.Context(), key(i), []byte("new"), records.PutOptions{})
			}
			return err
		})
	}

	_, err := New(Config{Home: home})
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "--rejoin") {
		t.Errorf("without being told to: %v", err)
	}
	began := time.Now()
	id := fourth.ID()
	fourth, stop, ended := startNodeWith(t, Config{Home: home, Rejoin: true}, first.Addrs()...)
	if fourth.ID() != id {
		t.Errorf("it is %s, was %s", fourth.ID(), id)
	}
	for _, n := range append(others, fourth) {
		awaitPeers(t, n, 4)
	}
	t.Logf("everybody knows it after %s", time.Since(began))
	awaitSync(t, fourth)
	for _, n := range append(others, fourth) {
		awaitSync(t, n)
		for i := range written {
			var r records.Record
			insist(t, func() (err error) {
				if r, err = n.Records().Get(t.Context(), key(i), records.GetOptions{}); fault.KindOf(err) == fault.NotFound && i%2 == 0 {
					return nil
				}
				return err
			})
			if want := []string{"", "new"}[i%2]; string(r.Value) != want {
				t.Errorf("record %d is %q, want %q", i, r.Value, want)
			}
		}
	}
	if err := CheckNotLeft(home); err != nil {
		t.Errorf("the home of a node that is back: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}
