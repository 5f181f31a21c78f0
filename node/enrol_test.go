package node_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

// enrolPatience is how long a change of validators is waited for.
const enrolPatience = 3 * time.Minute

// council are validators that share a secret, each in a process of its own as far as the others can tell.
type council struct {
	t       *testing.T
	genesis *ledger.Genesis
	secret  []byte
	seats   atomic.Int64
	meet    []ma.Multiaddr
	members map[int]*councillor
}

// councillor is the one in a seat.
type councillor struct {
	*node.Node
	home     string
	key      ledger.PublicKey
	operator *signatory
	stop     func() error
}

func newCouncil(t *testing.T, seats int) *council {
	c := &council{t: t, secret: bytes.Repeat([]byte{'s'}, 32), members: make(map[int]*councillor)}
	c.seats.Store(int64(seats))
	return c
}

// enter runs a node with new keys in a seat, which founds the network if there is none. It does not wait until the node is voted in.
func (c *council) enter(seat int, secret []byte) *councillor {
	c.t.Helper()
	m := &councillor{home: c.t.TempDir(), operator: newSignatory(c.t)}
	if c.genesis == nil {
		c.genesis = found(c.t, m.home, m.operator.id)
	} else if _, err := node.JoinHome(m.home, c.genesis); err != nil {
		c.t.Fatal(err)
	}
	var err error
	if m.key, err = node.ValidatorKey(m.home); err != nil {
		c.t.Fatal(err)
	}
	c.run(m, seat, secret)
	return m
}

// run runs a member, anew or again.
func (c *council) run(m *councillor, seat int, secret []byte) {
	c.t.Helper()
	cfg := loopback(m.home, c.meet...)
	cfg.Network = ""
	cfg.Validator = &node.ValidatorConfig{
		Secret: secret, Seat: seat, Operator: m.operator.key, Seats: func(context.Context) (int, error) { return int(c.seats.Load()), nil },
	}
	cfg.Validator.Brisk()
	cfg.Rejoin = true
	m.Node, m.stop = start(c.t, cfg)
	if bytes.Equal(secret, c.secret) {
		c.meet = append(c.meet, m.Addrs()...)
		c.members[seat] = m
	}
}

// until waits until those who decide at every running member are the ones in some seats.
func (c *council) until(what string, seats ...int) {
	c.t.Helper()
	want := make(map[ledger.PublicKey]bool)
	for _, seat := range seats {
		want[c.members[seat].key] = true
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), enrolPatience)
	defer cancel()
	state := ""
	for !c.are(want, &state) {
		select {
		case <-ctx.Done():
			c.t.Fatalf("%s: did not come: %s", what, state)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *council) are(want map[ledger.PublicKey]bool, state *string) bool {
	for seat, m := range c.members {
		list, err := m.Ledger().Validators()
		inForce, forceErr := m.Ledger().InForce()
		*state = fmt.Sprintf("seat %d has %d validators, in force %t, %v, %v", seat, len(list), inForce, err, forceErr)
		if err != nil || !inForce || len(list) != len(want) {
			return false
		}
		for _, v := range list {
			if !want[v.Key] {
				return false
			}
		}
	}
	return true
}

// payer makes transactions without a pause, and remembers those that were acknowledged.
type payer struct {
	stop func()

	mu    sync.Mutex
	acked []string // guarded by mu
}

// pay begins to anchor one thing after the other, through whichever member answers.
func (c *council) pay(by *signatory) *payer {
	p := &payer{}
	ctx, cancel := context.WithCancel(c.t.Context())
	var paying sync.WaitGroup
	var at []*node.Node // as they are now: one that starts again is another
	for _, m := range c.members {
		at = append(at, m.Node)
	}
	paying.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			var digest ledger.Hash
			digest[0], digest[1] = byte(i), byte(i>>8)
			data := by.sign(c.t, c.genesis.ID(), &ledger.Anchor{By: by.id, Digest: digest})
			client := clientOf(c.t, at[i%len(at)])
			once, done := context.WithTimeout(ctx, 5*time.Second)
			status, err := client.SubmitTransaction(once, data, v1.SubmitOptions{Wait: v1.WaitCommitted})
			done()
			if err == nil && status.Applied {
				p.mu.Lock()
				p.acked = append(p.acked, status.ID)
				p.mu.Unlock()
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	p.stop = func() {
		cancel()
		paying.Wait()
	}
	c.t.Cleanup(p.stop)
	return p
}

// TestValidatorsVoteOneAnotherIn: four come to vote by a secret; one with another secret does not; one is scaled away and its power is gone before it is; it comes back with its volume; the founder loses its
// own, and another takes its place. Transactions go on all the while, and none that was acknowledged is lost.
func TestValidatorsVoteOneAnotherIn(t *testing.T) {
	c := newCouncil(t, 4)
	founder := c.enter(0, c.secret)
	for seat := 1; seat < 4; seat++ {
		c.enter(seat, c.secret)
	}
	c.until("four validators", 0, 1, 2, 3)
	load := c.pay(newSignatory(t))

	c.seats.Store(5)
	stranger := c.enter(4, bytes.Repeat([]byte{'x'}, 32))

	c.seats.Store(3)
	leaver := c.members[3]
	delete(c.members, 3)
	if err := leaver.Leave(t.Context(), enrolPatience, func(int64) {}); err != nil {
		t.Fatalf("leave: %v", err)
	}
	c.until("three validators when the fourth has gone", 0, 1, 2)
	if err := leaver.stop(); err != nil {
		t.Fatalf("run: %v", err)
	}
	c.seats.Store(4)
	c.run(leaver, 3, c.secret)
	c.until("the fourth back with its old key", 0, 1, 2, 3)

	if err := founder.stop(); err != nil {
		t.Fatal(err)
	}
	delete(c.members, 0)
	c.enter(0, c.secret)
	c.until("the founder replaced", 0, 1, 2, 3)
	if key := c.members[0].key; key == founder.key {
		t.Fatal("the founder's key is used twice")
	}

	load.stop()
	if len(load.acked) == 0 {
		t.Error("nothing was acknowledged meanwhile")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reader := clientOf(t, c.members[0].Node)
	for _, id := range load.acked { // a member may be a block behind the one that acknowledged it
		eventuallyLedger(ctx, t, "transaction "+id+", which was acknowledged", func() bool {
			got, err := reader.Transaction(ctx, id)
			return err == nil && got.Applied
		})
	}
	t.Logf("%d transactions acknowledged", len(load.acked))
	list, err := stranger.Ledger().Validators()
	if err != nil || len(list) == 0 {
		t.Fatalf("%d validators, %v", len(list), err)
	}
	for _, v := range list {
		if v.Key == stranger.key {
			t.Error("one with another secret was voted in")
		}
	}
	// It says of itself that it is no validator; the others are ready.
	assertReadiness(t, stranger.Node, false)
	assertReadiness(t, c.members[0].Node, true)
}

// assertReadiness waits until a node is as ready as it should be.
func assertReadiness(t *testing.T, n *node.Node, want bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), enrolPatience)
	defer cancel()
	for {
		err := n.RecordsReady()
		if want == (err == nil) && (want || strings.Contains(err.Error(), "no validator yet")) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("ready: %v, want %t", err, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestTheLastValidatorStays: it says at once why it can't be voted out, and that it ends all the same.
func TestTheLastValidatorStays(t *testing.T) {
	c := newCouncil(t, 1)
	only := c.enter(0, c.secret)
	other := loopback(t.TempDir(), only.Addrs()...)
	other.Network = ""
	if _, err := node.JoinHome(other.Home, c.genesis); err != nil {
		t.Fatal(err)
	}
	second, _ := start(t, other)
	untilAlive(t, second, 2)
	untilAlive(t, only.Node, 2)
	c.until("one validator", 0)
	err := only.Leave(t.Context(), enrolPatience, func(int64) {})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "only validator") {
		t.Errorf("leave: %v", err)
	}
	if err := only.stop(); err == nil {
		t.Error("run ended as if all was well")
	}
}

// TestSeatsAreOfOneLedger: who follows a ledger that another one goes on from would, once voted into that one, never vote there.
func TestSeatsAreOfOneLedger(t *testing.T) {
	c := newCouncil(t, 1)
	only := c.enter(0, c.secret)
	c.until("one validator", 0)
	ctx, cancel := context.WithTimeout(t.Context(), enrolPatience)
	defer cancel()
	eventuallyLedger(ctx, t, "a block", func() bool { return only.Ledger().Tip().Height > 0 })
	before := only.Protocols()
	if err := only.stop(); err != nil {
		t.Fatal(err)
	}
	plan, err := node.Recover(ctx, only.home, node.RecoverOptions{Keep: []ledger.PublicKey{only.key}})
	if err == nil {
		_, err = node.Recover(ctx, only.home, node.RecoverOptions{Keep: []ledger.PublicKey{only.key}, Agreed: plan.Genesis.ID()})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.run(only, 0, c.secret)
	seats := func(of []protocol.ID) (list []string) {
		for _, p := range of {
			if strings.Contains(string(p), "enrol") {
				list = append(list, string(p))
			}
		}
		return list
	}
	if was, is := seats(before), seats(only.Protocols()); len(was) != 1 || len(is) != 1 || was[0] == is[0] {
		t.Errorf("seats were asked for by %q, and are by %q", was, is)
	}
}

// TestWrongValidators: what can't be one says so before it runs.
func TestWrongValidators(t *testing.T) {
	home := t.TempDir()
	operator := newSignatory(t)
	found(t, home, operator.id)
	seats := func(context.Context) (int, error) { return 4, nil }
	for what, v := range map[string]node.ValidatorConfig{
		"a short secret":     {Secret: []byte("guess me"), Seats: seats, Operator: operator.key},
		"a negative seat":    {Secret: make([]byte, 32), Seat: -1, Seats: seats, Operator: operator.key},
		"a seat too many":    {Secret: make([]byte, 32), Seat: 256, Seats: seats, Operator: operator.key},
		"no number of seats": {Secret: make([]byte, 32), Operator: operator.key},
		"no operator":        {Secret: make([]byte, 32), Seats: seats},
	} {
		cfg := loopback(home)
		cfg.Network, cfg.Validator = "", &v
		if n, err := node.New(cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
			if err == nil {
				n.Close()
			}
		}
	}
	open := loopback(t.TempDir())
	open.Validator = &node.ValidatorConfig{Secret: make([]byte, 32), Seats: seats, Operator: operator.key}
	if _, err := node.New(open); fault.KindOf(err) != fault.Conflict {
		t.Errorf("in an open network: %v", err)
	}
}
