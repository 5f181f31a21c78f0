package routing

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
)

// Who makes up peers in its answer to a lookup is not believed, and nobody else is harmed.
func TestLookupsBelieveOnlyWhatIsSigned(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		key, honest := v.member()
		moved, err := sealClaim(key, v.network, swim.Claim{Incarnation: 11})
		if err != nil {
			t.Fatal(err)
		}
		left, err := sealClaim(testKey(t), v.network, swim.Claim{Incarnation: 1, Departure: swim.Left})
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := sealClaim(testKey(t), v.network, swim.Claim{Incarnation: 1})
		if err != nil {
			t.Fatal(err)
		}
		forged := sealedClaim{swim.Entry{ID: "made up", Incarnation: 1}, fresh.Sealed}
		for name, tt := range map[string]struct {
			said []sealedClaim
			want contactState
			new  int
		}{
			"honest":             {sealedOf([]*swim.Claim{fresh}), answered, 1},
			"nothing":            {nil, answered, 0},
			"who has left":       {sealedOf([]*swim.Claim{left}), answered, 0},
			"made up":            {[]sealedClaim{forged}, failed, 0},
			"among honest ones":  {append(sealedOf([]*swim.Claim{fresh}), forged), failed, 0},
			"garbage":            {[]sealedClaim{{swim.Entry{ID: fresh.ID, Incarnation: 1}, []byte("garbage")}}, failed, 0},
			"what is known":      {sealedOf([]*swim.Claim{honest}), answered, 0},
			"news of a contact":  {sealedOf([]*swim.Claim{moved}), answered, 0},
			"lies about a known": {[]sealedClaim{{swim.Entry{ID: honest.ID, Incarnation: 99}, moved.Sealed}}, failed, 0},
		} {
			s := v.newSearch([32]byte{}, 5)
			liar := s.hear(&swim.Claim{ID: "liar", Incarnation: 1})
			before := len(s.contacts)
			v.takeIn(s, reply{contact: liar, claims: tt.said})
			if liar.state != tt.want || len(s.contacts)-before != tt.new {
				t.Errorf("%s: the speaker's state is %d, %d contacts are new; want %d and %d", name, liar.state, len(s.contacts)-before, tt.want, tt.new)
			}
		}
	})
}

func TestClosestAreTold(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		for range 30 {
			v.member()
		}
		request, err := encodeRequest(kindClosest, &closestRequest{Target: [32]byte{1}, Count: maxClosest})
		if err != nil {
			t.Fatal(err)
		}
		served := 0
		for range 2 * rates[limitLookups].burst {
			var answer closestAnswer
			if data, err := v.handle(t.Context(), "greedy", request); err == nil {
				if served++; served > 1 {
					continue
				}
				if err := decode(data, &answer); err != nil || len(answer.Claims) != maxClosest {
					t.Errorf("%d claims, %v; want %d", len(answer.Claims), err, maxClosest)
				}
			}
		}
		if served != rates[limitLookups].burst {
			t.Errorf("%d lookups are answered at once, want %d", served, rates[limitLookups].burst)
		}
	})
}

func TestLimitsForgetTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLimits()
		for i := range maxLimited + 100 {
			ls.allow(peer.ID(fmt.Sprint(i)), limitPings)
		}
		if len(ls.peers) != maxLimited {
			t.Errorf("%d peers are kept apart, want %d", len(ls.peers), maxLimited)
		}
		time.Sleep(2 * limitsKept)
		ls.allow("late", limitPings)
		if len(ls.peers) != 1 {
			t.Errorf("%d peers are kept after a pause, want 1", len(ls.peers))
		}
	})
}

func TestAnnouncedAddrs(t *testing.T) {
	parse := func(addrs ...string) []ma.Multiaddr {
		var out []ma.Multiaddr
		for _, a := range addrs {
			out = append(out, ma.StringCast(a))
		}
		slices.SortFunc(out, compareAddrs)
		return out
	}
	for name, tt := range map[string]struct{ have, want []ma.Multiaddr }{
		"loopback only":  {parse("/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"), parse("/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1")},
		"with loopback":  {parse("/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"), parse("/ip4/10.0.0.1/tcp/1")},
		"twice":          {parse("/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"), parse("/ip4/10.0.0.1/tcp/1")},
		"of no use":      {parse("/ip4/0.0.0.0/tcp/1", "/ip6/fe80::1/tcp/1", "/dns4/x/tcp/1"), parse("/dns4/x/tcp/1")},
		"none":           {nil, nil},
		"more than told": {many(maxAddrs + 5), many(maxAddrs - 1)},
	} {
		if got := announcedAddrs(tt.have); !slices.EqualFunc(got, tt.want, ma.Multiaddr.Equal) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func many(n int) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for i := range n {
		addrs = append(addrs, ma.StringCast(fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", i+1)))
	}
	return addrs
}
