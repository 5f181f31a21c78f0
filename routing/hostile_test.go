package routing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

// victim is a membership whose requests the test makes up.
type victim struct {
	*Membership
	t       *testing.T
	network swarm.NetworkID
}

func attack(t *testing.T, f func(t *testing.T, v *victim)) {
	attackTwo(t, func(t *testing.T, v, _ *victim) { f(t, v) })
}

// attackTwo runs f with two victims that don't know one another.
func attackTwo(t *testing.T, f func(t *testing.T, v, w *victim)) {
	synctest.Test(t, func(t *testing.T) {
		sim := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(time.Millisecond)}
		sim.Start()
		defer sim.Close()
		var both []*victim
		for _, ip := range []string{"1.0.0.1", "1.0.0.2"} {
			v := newVictim(t, sim, ip)
			defer v.host.Close()
			defer v.Close()
			both = append(both, v)
		}
		f(t, both[0], both[1])
	})
}

func newVictim(t *testing.T, sim *simnet.Simnet, ip string) *victim {
	t.Helper()
	link := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
	v := &victim{t: t, network: testNetwork(t, "a")}
	key := testKey(t)
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: v.network, Listen: []ma.Multiaddr{ma.StringCast("/ip4/" + ip + "/udp/4242/quic-v1")}},
		simlibp2p.QUICSimnet(sim, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}))
	if err != nil {
		t.Fatal(err)
	}
	if v.Membership, err = NewMembership(Config{Host: h, Key: key, Network: v.network}); err != nil {
		t.Fatal(err)
	}
	return v
}

// say sends gossip in the name of a peer that the handshake has proven.
func (v *victim) say(from peer.ID, g *gossip) error {
	v.t.Helper()
	request, err := encodeRequest(kindPing, g)
	if err != nil {
		v.t.Fatal(err)
	}
	_, err = v.handle(v.t.Context(), from, request)
	return err
}

// member makes a member out of a new key.
func (v *victim) member() (crypto.PrivKey, *swim.Claim) {
	v.t.Helper()
	key := testKey(v.t)
	c, err := sealClaim(key, v.network, swim.Claim{Incarnation: 10, Zone: "honest", Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.0.0.2/udp/1/quic-v1")}})
	if err != nil {
		v.t.Fatal(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.machine.Met(time.Now(), c.ID)
	for _, a := range v.machine.Actions() {
		if p, ok := a.(swim.Probe); ok {
			v.machine.Receive(time.Now(), c.ID, swim.Message{Incarnation: 10, Claims: []*swim.Claim{c}})
			v.machine.Answered(time.Now(), p.ID, time.Millisecond)
		}
	}
	if m, _ := v.machine.Member(c.ID); m.State != swim.Alive {
		v.t.Fatalf("the member is %v", m.State)
	}
	return key, c
}

func (v *victim) claimOf(id peer.ID) swim.Claim {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.machine.Claim(id); c != nil {
		return *c
	}
	return swim.Claim{}
}

func TestNobodySpeaksForAnother(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		_, honest := v.member()
		liarKey, liar := v.member()
		forged := *honest
		forged.Incarnation, forged.Zone, forged.Away = 11, "stolen", time.Minute
		own, err := sealClaim(liarKey, v.network, forged)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, err := sealClaim(liarKey, testNetwork(t, "b"), forged)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]sealedClaim{
			"signed by the liar":        {swim.Entry{ID: honest.ID, Incarnation: 11}, own.Sealed},
			"signed for another claim":  {swim.Entry{ID: honest.ID, Incarnation: 11}, honest.Sealed},
			"incarnation made up":       {swim.Entry{ID: liar.ID, Incarnation: 99}, own.Sealed},
			"signed in another network": {swim.Entry{ID: liar.ID, Incarnation: 11}, elsewhere.Sealed},
			"not signed":                {swim.Entry{ID: honest.ID, Incarnation: 12}, []byte("garbage")},
		} {
			if err := v.say(liar.ID, &gossip{Claims: []sealedClaim{c}}); err == nil {
				t.Errorf("a claim %s was accepted", name)
			}
		}
		if c := v.claimOf(honest.ID); c.Zone != "honest" || c.Away != 0 || c.Incarnation != 10 {
			t.Errorf("the honest peer's claim became %+v", c)
		}
		if err := v.say(liar.ID, &gossip{Claims: []sealedClaim{{swim.Entry{ID: liar.ID, Incarnation: 11}, own.Sealed}}}); err != nil {
			t.Errorf("its own claim: %v", err)
		}
		if c := v.claimOf(liar.ID); c.Zone != "stolen" || c.Away != time.Minute {
			t.Errorf("the liar's claim is %+v", c)
		}
	})
}

func TestOldClaimsAreNotTakenBack(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		key, c := v.member()
		newer, err := sealClaim(key, v.network, swim.Claim{Incarnation: 20, Zone: "new"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*swim.Claim{newer, c} {
			if err := v.say("relay", &gossip{Claims: sealedOf([]*swim.Claim{c})}); err != nil {
				t.Error(err)
			}
		}
		if got := v.claimOf(c.ID); got.Zone != "new" {
			t.Errorf("the claim is %+v", got)
		}
	})
}

func TestMalformedRequestsCostTheStream(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		for _, request := range [][]byte{nil, {0}, {99}, {byte(kindPing)}, {byte(kindAsk), 1}, {byte(kindSummary)}, {byte(kindTrade), 0, 0}} {
			if _, err := v.handle(t.Context(), "x", request); !errors.Is(err, errMalformed) {
				t.Errorf("request %v: %v", request, err)
			}
		}
	})
}

func TestOnePeerCanCauseOnlySoMuch(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		_, target := v.member()
		request := func(k messageKind, b body) []byte {
			data, err := encodeRequest(k, b)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		accepted := func(request []byte) int {
			n := 0
			for range 1000 {
				if _, err := v.handle(t.Context(), "greedy", request); err == nil {
					n++
				}
			}
			return n
		}
		if n := accepted(request(kindPing, &gossip{})); n != rates[limitPings].burst {
			t.Errorf("%d pings at once, want %d", n, rates[limitPings].burst)
		}
		if n := accepted(request(kindSummary, &summaryRequest{})); n != rates[limitSyncs].burst {
			t.Errorf("%d summaries at once, want %d", n, rates[limitSyncs].burst)
		}
		time.Sleep(2 * time.Second)
		if n := accepted(request(kindPing, &gossip{})); n != 2*int(rates[limitPings].perSecond) {
			t.Errorf("%d pings after 2 s, want %d", n, 2*int(rates[limitPings].perSecond))
		}
		if err := v.say("modest", &gossip{}); err != nil {
			t.Errorf("another peer pays for the greedy one: %v", err)
		}
		// Indirect probes beyond the limit are denied without a probe.
		for range rates[limitAsks].burst {
			v.limits.allow("greedy", limitAsks)
		}
		start := time.Now()
		data, err := v.handle(t.Context(), "greedy", request(kindAsk, &ask{Target: target.ID, Timeout: 500}))
		var answer proof
		if err := errors.Join(err, decode(data, &answer)); err != nil || len(answer.Sealed) > 0 || time.Since(start) > 0 {
			t.Errorf("answer %+v, %v after %v", answer, err, time.Since(start))
		}
	})
}

func TestWhoPingsIsProbed(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		if err := v.say("stranger", &gossip{}); err != nil {
			t.Fatal(err)
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if got := v.machine.Actions(); len(got) != 1 || got[0].(swim.Probe).Target != "stranger" {
			t.Errorf("actions are %v, want a probe of the stranger", got)
		}
	})
}

func TestAskAboutStrangersIsDenied(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		for _, target := range []peer.ID{"stranger", v.host.ID()} {
			request, err := encodeRequest(kindAsk, &ask{Target: target, Timeout: 500})
			if err != nil {
				t.Fatal(err)
			}
			var answer proof
			data, err := v.handle(t.Context(), "x", request)
			if err := errors.Join(err, decode(data, &answer)); err != nil || len(answer.Sealed) > 0 {
				t.Errorf("%s: %+v, %v", target, answer, err)
			}
		}
	})
}

// direct is a caller that hands requests to another membership without a wire, and counts them.
type direct struct {
	from  peer.ID
	to    *Membership
	calls map[messageKind]int
}

func (d *direct) Call(ctx context.Context, _ peer.ID, request []byte) ([]byte, error) {
	d.calls[messageKind(request[0])]++
	return d.to.handle(ctx, d.from, request)
}

func (d *direct) Release(peer.ID) {}
func (d *direct) Close() error    { return nil }

func TestExchangeGivesBothSidesEverything(t *testing.T) {
	attackTwo(t, func(t *testing.T, v, w *victim) {
		var all []*swim.Claim
		for range 70 {
			_, c := v.member()
			all = append(all, c)
		}
		for range 50 {
			_, c := w.member()
			all = append(all, c)
		}
		wire := &direct{from: v.host.ID(), to: w.Membership, calls: make(map[messageKind]int)}
		client := v.client
		v.client = wire
		defer func() { v.client = client }()
		if err := v.exchange(t.Context(), w.host.ID()); err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			for _, side := range []*victim{v, w} {
				side.mu.Lock()
				if side.machine.Wants(c.ID, c.Incarnation) {
					t.Errorf("%s still lacks %s", side.host.ID(), c.ID)
				}
				side.mu.Unlock()
			}
		}
		if wire.calls[kindSummary] != 1 || wire.calls[kindTrade] != 3 {
			t.Errorf("requests are %v, want 1 summary and 3 trades", wire.calls)
		}
		// Against itself nothing is left to tell.
		wire.to, wire.calls = v.Membership, make(map[messageKind]int)
		if err := v.exchange(t.Context(), w.host.ID()); err != nil || wire.calls[kindTrade] != 0 {
			t.Errorf("equal sides exchanged %v, %v", wire.calls, err)
		}
	})
}

func TestProofs(t *testing.T) {
	key, network := testKey(t), testNetwork(t, "a")
	target, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	wanted := prove{Asker: "asker", Nonce: [nonceSize]byte{1}}
	seal := func(key crypto.PrivKey, network swarm.NetworkID, p prove) []byte {
		sealed, err := sealProof(key, network, p)
		if err != nil || len(sealed) > maxProof {
			t.Fatalf("proof of %d bytes, %v", len(sealed), err)
		}
		return sealed
	}
	if err := checkProof(network, target, wanted, seal(key, network, wanted)); err != nil {
		t.Error(err)
	}
	claim, err := sealClaim(key, network, swim.Claim{Incarnation: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, sealed := range map[string][]byte{
		"by the helper":      seal(testKey(t), network, wanted),
		"of another network": seal(key, testNetwork(t, "b"), wanted),
		"of another time":    seal(key, network, prove{Asker: "asker", Nonce: [nonceSize]byte{2}}),
		"for another asker":  seal(key, network, prove{Asker: "other", Nonce: [nonceSize]byte{1}}),
		"of another kind":    claim.Sealed,
		"garbage":            []byte("garbage"),
	} {
		if err := checkProof(network, target, wanted, sealed); err == nil {
			t.Errorf("a proof %s was accepted", name)
		}
	}
}

func TestNodeProvesThatItRuns(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		p := prove{Asker: "asker", Nonce: [nonceSize]byte{7}}
		request, err := encodeRequest(kindProve, &p)
		if err != nil {
			t.Fatal(err)
		}
		var answer proof
		data, err := v.handle(t.Context(), "helper", request)
		if err := errors.Join(err, decode(data, &answer), checkProof(v.network, v.host.ID(), p, answer.Sealed)); err != nil {
			t.Error(err)
		}
	})
}

func TestTrade(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		_, known := v.member()
		key, err := sealClaim(testKey(t), v.network, swim.Claim{Incarnation: 5})
		if err != nil {
			t.Fatal(err)
		}
		request, err := encodeRequest(kindTrade, &trade{Claims: sealedOf([]*swim.Claim{key}), Wanted: []peer.ID{known.ID, "stranger", known.ID}})
		if err != nil {
			t.Fatal(err)
		}
		var answer trade
		data, err := v.handle(t.Context(), known.ID, request)
		if err := errors.Join(err, decode(data, &answer)); err != nil {
			t.Fatal(err)
		}
		if len(answer.Claims) != 1 || answer.Claims[0].ID != known.ID {
			t.Errorf("got %+v, want the one known claim", answer.Claims)
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.machine.Wants(key.ID, 5) || v.machine.Claim(key.ID) != nil {
			t.Error("what was handed over is not a candidate")
		}
	})
}

// Who lists a peer that has left hears of it in an exchange, whichever side began.
func TestExchangeTellsOfDepartures(t *testing.T) {
	for _, mine := range []bool{true, false} {
		attackTwo(t, func(t *testing.T, v, w *victim) {
			key, _ := v.member()
			c, err := sealClaim(key, v.network, swim.Claim{Incarnation: 10})
			if err != nil {
				t.Fatal(err)
			}
			left, err := sealClaim(key, v.network, swim.Claim{Incarnation: 11, Departure: swim.Left})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.say("relay", &gossip{Claims: sealedOf([]*swim.Claim{left})}); err != nil {
				t.Fatal(err)
			}
			from, to := v, w
			if mine {
				from, to = w, v
			}
			client := from.client
			from.client = &direct{from: from.host.ID(), to: to.Membership, calls: make(map[messageKind]int)}
			defer func() { from.client = client }()
			if err := from.exchange(t.Context(), to.host.ID()); err != nil {
				t.Fatal(err)
			}
			v.mu.Lock()
			defer v.mu.Unlock()
			if m, known := v.machine.Member(c.ID); known {
				t.Errorf("begun by the one who knows: %v; the peer that left is %v", mine, m.State)
			}
		})
	}
}
