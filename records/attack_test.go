package records_test

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// An attacker is a member whose program was replaced: it speaks the protocol and follows no rule of it.
type attacker struct {
	t       *testing.T
	s       *simulation
	id      peer.ID
	client  *rpc.Client
	victims []*node
	rng     *mathrand.Rand
	// old and new are requests that put the first and the second version of a record, as they were overheard.
	old, new [][]byte
}

// call makes a request, and returns nil when it was not answered.
func (a *attacker) call(to *node, request []byte) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := a.client.Call(ctx, to.host.ID(), request)
	if err != nil {
		return nil
	}
	return answer
}

// cutOffBy returns how many of the victims have cut the attacker off.
func (a *attacker) cutOffBy() (n int) {
	for _, v := range a.victims {
		if v.CutOff(a.id) {
			n++
		}
	}
	return n
}

// garble changes one byte of a copy.
func (a *attacker) garble(request []byte, at int) []byte {
	request = slices.Clone(request)
	request[at] ^= byte(1 + a.rng.IntN(255))
	return request
}

// overhear notes the puts of a node while f runs.
func overhear(n *node, f func()) (requests [][]byte) {
	var mu sync.Mutex
	on := true
	n.Intercept(func(next records.CallFunc) records.CallFunc {
		return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
			mu.Lock()
			if on && request[0] == records.OpPut {
				requests = append(requests, slices.Clone(request))
			}
			mu.Unlock()
			return next(ctx, to, request)
		}
	})
	f()
	settle()
	mu.Lock()
	defer mu.Unlock()
	on = false
	return requests
}

const attackedRecords = 20

// attack runs an attack by the last of eight peers on the others, which work meanwhile, and checks that their records are intact and that they were not slowed down.
func attack(t *testing.T, run func(a *attacker)) {
	simulate(t, 8, func(t *testing.T, s *simulation) {
		honest, last := s.nodes[:7], s.nodes[7]
		write := func(value string) func() {
			return func() {
				for i := range attackedRecords {
					put(t, honest[0], fmt.Sprint("key", i), fmt.Sprint(value, i), records.All)
				}
			}
		}
		a := &attacker{t: t, s: s, id: last.host.ID(), victims: honest, rng: mathrand.New(mathrand.NewPCG(s.rng.Uint64(), 0))}
		a.old = overhear(honest[0], write("old"))
		a.new = overhear(honest[0], write("new"))
		if err := last.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		a.client, err = rpc.NewClient(rpc.ClientConfig{Host: last.host, Protocol: s.id.Protocol(records.ProtocolName), MaxMessage: 2 * records.MaxMessage})
		if err != nil {
			t.Fatal(err)
		}
		work, stop := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		for i, n := range honest[:3] {
			workers.Go(func() { goOnWorking(work, t, n, fmt.Sprint("work", i)) })
		}
		run(a)
		time.Sleep(10 * time.Second)
		stop()
		workers.Wait()
		a.client.Close()
		settle()
		for _, n := range honest {
			for _, other := range honest {
				if n.CutOff(other.host.ID()) {
					t.Error("an honest peer is cut off")
				}
			}
			for i := range attackedRecords {
				wantValue(t, n, fmt.Sprint("key", i), fmt.Sprint("new", i))
			}
			if page, err := n.List(t.Context(), records.ListOptions{Prefix: "key"}); err != nil || len(page.Entries) != attackedRecords {
				t.Errorf("listed %d records, %v", len(page.Entries), err)
			}
		}
	})
}

// goOnWorking writes and reads, and holds each operation to a second.
func goOnWorking(ctx context.Context, t *testing.T, n *node, prefix string) {
	for i := 0; ctx.Err() == nil; i++ {
		key, value := fmt.Sprint(prefix, "/", i%20), fmt.Sprint("value", i)
		within(t, time.Second, "put during the attack", func() {
			if _, err := n.Put(context.WithoutCancel(ctx), key, []byte(value), records.PutOptions{}); err != nil {
				t.Errorf("put during the attack: %v", err)
			}
		})
		within(t, time.Second, "get during the attack", func() {
			r, err := n.Get(context.WithoutCancel(ctx), key, records.GetOptions{})
			if err != nil || string(r.Value) != value {
				t.Errorf("get during the attack: %q, %v; want %q", r.Value, err, value)
			}
		})
		time.Sleep(200 * time.Millisecond)
	}
}

func TestAttackWithForgedRecords(t *testing.T) {
	attack(t, func(a *attacker) {
		for _, v := range a.victims {
			for i := range 20 {
				request := a.new[a.rng.IntN(len(a.new))]
				if i%2 == 0 {
					a.call(v, a.garble(request, len(request)-1-a.rng.IntN(64))) // the signature
				} else {
					a.call(v, records.StoreRequest(a.garble(request[1:], len(request)-1-70))) // the value
				}
			}
		}
		if n := a.cutOffBy(); n != len(a.victims) {
			a.t.Errorf("cut off by %d of %d", n, len(a.victims))
		}
		if a.call(a.victims[0], records.GetRequest("key1")) != nil {
			a.t.Error("answered though it is cut off")
		}
	})
}

// TestAttackWithOldVersions: genuine records, long replaced. Honest peers bring such too, so that it costs nobody anything.
func TestAttackWithOldVersions(t *testing.T) {
	attack(t, func(a *attacker) {
		for _, v := range a.victims {
			for range 2 {
				for _, request := range a.old {
					a.call(v, request)
					a.call(v, records.StoreRequest(request[1:]))
				}
			}
		}
	})
}

func TestAttackWithMalformedMessages(t *testing.T) {
	attack(t, func(a *attacker) {
		for _, v := range a.victims {
			for i := range 40 {
				message := make([]byte, 1+a.rng.IntN(300))
				for j := range message {
					message[j] = byte(a.rng.Uint32())
				}
				if message[0] = byte(i % 40); message[0] == records.OpPut {
					message[0] = 0 // an envelope that can't be read is a forgery
				}
				a.call(v, message)
			}
		}
		if n := a.cutOffBy(); n != len(a.victims) {
			a.t.Errorf("cut off by %d of %d", n, len(a.victims))
		}
	})
}

// TestAttackWithEndlessMessages: each is longer than any may be.
func TestAttackWithEndlessMessages(t *testing.T) {
	attack(t, func(a *attacker) {
		a.victims = a.victims[:2]
		for _, v := range a.victims {
			for range 11 {
				a.call(v, make([]byte, records.MaxMessage+1))
			}
		}
		if n := a.cutOffBy(); n != len(a.victims) {
			a.t.Errorf("cut off by %d of %d", n, len(a.victims))
		}
	})
}

// TestAttackWithAFlood of requests that are all in order, as many as the protocol takes at once.
func TestAttackWithAFlood(t *testing.T) {
	attack(t, func(a *attacker) {
		var flood sync.WaitGroup
		asked := make([]int, 256)
		for i := range asked {
			request := records.GetRequest(fmt.Sprint("key", i%attackedRecords))
			if i%2 == 0 {
				request = records.ListRequest()
			}
			flood.Go(func() {
				for a.call(a.victims[1], request) != nil {
					asked[i]++
				}
			})
		}
		flood.Wait()
		if !a.victims[1].CutOff(a.id) {
			a.t.Error("not cut off")
		}
		sum := 0
		for _, n := range asked {
			sum += n
		}
		a.t.Logf("cut off after %d requests", sum)
	})
}

// TestAttackWithLies: it says that it has everything, in other versions, and stores what it is given; it has nothing.
func TestAttackWithLies(t *testing.T) {
	attack(t, func(a *attacker) {
		var mu sync.Mutex
		rng := mathrand.New(mathrand.NewPCG(a.rng.Uint64(), 1))
		server, err := rpc.NewServer(rpc.ServerConfig{
			Host: a.s.nodes[7].host, Protocol: a.s.id.Protocol(records.ProtocolName), MaxMessage: records.MaxMessage,
			Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				return records.LyingAnswer(request, rng), nil
			},
		})
		if err != nil {
			a.t.Fatal(err)
		}
		defer server.Close()
		w := watch(a.t, a.victims[4], records.WatchOptions{Prefix: "told/"})
		defer w.Close()
		put(a.t, a.victims[5], "told/once", "value", records.Quorum)
		if r := nextChange(a.t, w); r.Key != "told/once" {
			a.t.Errorf("change = %+v", r)
		}
		// Those of a pair who leave it to the other to begin compare about every five minutes by themselves, and what is made up does not contradict itself each time.
		a.awaitCutOff(30 * time.Minute)
	})
}

// awaitCutOff waits until each has cut the attacker off, which does not last, and fails after the given time.
func (a *attacker) awaitCutOff(within time.Duration) {
	a.t.Helper()
	by := make(map[peer.ID]bool)
	for start := time.Now(); ; time.Sleep(time.Second) {
		for _, v := range a.victims {
			if v.CutOff(a.id) {
				by[v.host.ID()] = true
			}
		}
		switch took := time.Since(start); {
		case len(by) == len(a.victims):
			a.t.Logf("cut off by all after %v", took)
			return
		case took > within:
			a.t.Errorf("cut off by %d of %d after %v", len(by), len(a.victims), took)
			return
		}
	}
}

// TestLiarIsCutOff: a peer that is honest in everything but one is cut off for that by all who have to do with it.
func TestLiarIsCutOff(t *testing.T) {
	for what, lie := range map[string]func(request, answer []byte) []byte{
		"digests that are not of what it lists": records.FalseDigests,
		"no record that it has stored": func(request, answer []byte) []byte {
			if denial := records.DenyingAnswer(request); denial != nil {
				return denial
			}
			return answer
		},
	} {
		t.Run(what, func(t *testing.T) {
			simulate(t, 5, func(t *testing.T, s *simulation) {
				a := attacker{t: t, s: s, id: s.nodes[4].host.ID(), victims: s.nodes[:4]}
				for i := range 20 {
					put(t, s.nodes[0], fmt.Sprint("key", i), "value", records.All)
				}
				for _, v := range a.victims {
					v.Intercept(func(next records.CallFunc) records.CallFunc {
						return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
							if to != a.id {
								return next(ctx, to, request)
							}
							answer, err := next(ctx, to, records.WithoutSummary(request))
							if err == nil {
								answer = lie(request, answer)
							}
							return answer, err
						}
					})
				}
				working, stop := context.WithCancel(t.Context())
				var readers sync.WaitGroup
				for _, v := range a.victims {
					readers.Go(func() {
						for i := 0; working.Err() == nil; i++ {
							wantValue(t, v, fmt.Sprint("key", i%20), "value")
							time.Sleep(time.Second)
						}
					})
				}
				a.awaitCutOff(10 * time.Minute)
				stop()
				readers.Wait()
				for _, n := range s.nodes {
					for _, other := range a.victims {
						if n.CutOff(other.host.ID()) {
							t.Error("an honest peer is cut off")
						}
					}
				}
			})
		})
	}
}
