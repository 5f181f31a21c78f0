package routing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
)

// liveHeap returns the bytes that are in use.
func liveHeap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// sybilClaims are claims of so many peers with keys of their own, which anybody can make.
func (v *victim) sybilClaims(n int) []*swim.Claim {
	v.t.Helper()
	var claims []*swim.Claim
	for i := range n {
		c, err := sealClaim(testKey(v.t), v.network, swim.Claim{Incarnation: 1, Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/10.1.%d.%d/tcp/1", i>>8, i&255))}})
		if err != nil {
			v.t.Fatal(err)
		}
		claims = append(claims, c)
	}
	return claims
}

// Identities that are no members get into a network for members only in no way: not by coming, not by being told of by a hostile member, and not by being named in the answer to a lookup.
func TestSybilsInANetworkForMembers(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		_, hostile := v.member()
		_, honest := v.member()
		v.cfg.Allowed = func(p peer.ID) bool { return p == hostile.ID || p == honest.ID || p == v.host.ID() }
		sybils := v.sybilClaims(1000)
		before := liveHeap()
		for _, c := range sybils {
			if err := v.say(c.ID, &gossip{Incarnation: 1, Claims: sealedOf([]*swim.Claim{c})}); err == nil {
				t.Fatal("an identity that is no member is listened to")
			}
		}
		for told := range slices.Chunk(sybils, swim.MaxClaims) {
			if err := v.say(hostile.ID, &gossip{Incarnation: 10, Claims: sealedOf(told)}); err != nil {
				t.Fatal(err)
			}
		}
		request, err := encodeRequest(kindTrade, &trade{Claims: sealedOf(sybils[:tradeClaims])})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.handle(t.Context(), hostile.ID, request); err != nil {
			t.Fatal(err)
		}
		target := sha256.Sum256([]byte(sybils[0].ID)) // the eclipse of a key: nobody is nearer to it
		s := v.newSearch(target, 5)
		liar := s.hear(&swim.Claim{ID: hostile.ID, Incarnation: 10})
		v.takeIn(s, reply{contact: liar, claims: sealedOf(sybils[:maxClosest])})
		for _, c := range s.contacts {
			if !v.allows(c.id) {
				t.Fatal("a search goes to an identity that is no member")
			}
		}
		grown := liveHeap() - before
		t.Logf("after %d identities: %d in view; the heap has grown by %d KiB", len(sybils), len(v.View().Members), grown>>10)
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, c := range sybils {
			if v.machine.Claim(c.ID) != nil {
				t.Fatal("an identity that is no member is in view")
			}
		}
		if grown > 8<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
	})
}

// nearTo returns a key whose peer is among the nearest to a point: one of so many that were tried.
func nearTo(rng *rand.Rand, target [sha256.Size]byte, tries int) (best crypto.PrivKey) {
	var least [sha256.Size]byte
	for range tries {
		key, _, err := crypto.GenerateEd25519Key(randomBytes{rng})
		if err != nil {
			panic(err)
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			panic(err)
		}
		d := swim.Distance(sha256.Sum256([]byte(id)), target)
		if best == nil || slices.Compare(d[:], least[:]) < 0 {
			best, least = key, d
		}
	}
	return best
}

// Eclipse of a key: in an open network somebody makes identities until some are nearer to a point than anybody, and these tell of one another alone. Who looks that point up finds them, as they are peers like others; whoever
// looks other points up finds the right ones, and every honest one that is among the nearest, by each way that goes round or passes on. In a network for members only the same identities are found by nobody.
func TestEclipseOfAKey(t *testing.T) {
	for _, members := range []bool{false, true} {
		name := map[bool]string{false: "open", true: "members only"}[members]
		t.Run(name, func(t *testing.T) { eclipse(t, members) })
	}
}

func eclipse(t *testing.T, members bool) {
	const honest, sybils, tries, questions = 40, 5, 500, 12
	target := [sha256.Size]byte{0x5a}
	inFieldOf(t, 7, honest+sybils, 40, func(f *field) {
		for range honest {
			f.add(f.key())
		}
		for range sybils {
			f.add(nearTo(f.rng, target, tries))
			f.peers[len(f.peers)-1].liar = true
		}
		outside := slices.Clone(f.peers[honest:])
		for _, p := range f.peers {
			if members {
				p.cfg.Allowed = func(id peer.ID) bool {
					return !slices.ContainsFunc(outside, func(q *fieldPeer) bool { return q.host.ID() == id })
				}
			}
		}
	}, func(t *testing.T, f *field) {
		if all := f.peers; members { // who is no member doesn't count among those that are to be found
			f.peers = all[:honest]
			defer func() { f.peers = all }()
		}
		f.lying.Store(true)
		for _, method := range []Method{MethodIterative, MethodRecursive} {
			r := f.ask(method, questions)
			t.Logf("%s: %d of %d answers have all of the honest among the nearest, %.2f bogus peers each, median %s, worst %s", method, r.complete, r.asked, r.bogus, r.median, r.worst)
			if r.complete < questions*9/10 || r.failed > 0 {
				t.Errorf("%s: %d of %d answers are complete, %d failed", method, r.complete, questions, r.failed)
			}
			asker := slices.IndexFunc(f.peers, func(p *fieldPeer) bool { return !p.liar })
			found, eclipsed := f.lookUp(f.peers[asker], method, target)
			t.Logf("%s: of %d peers found at the point that is eclipsed %d are not honest", method, found, eclipsed)
			switch {
			case members && eclipsed > 0 || found < fieldWanted:
				t.Errorf("%s: %d peers are found, %d of them no members", method, found, eclipsed)
			case !members && eclipsed < sybils: // or the attack is none
				t.Errorf("%s: %d of %d identities are found at the point that they were made for", method, eclipsed, sybils)
			}
		}
	})
}

// lookUp returns how many peers are found at a point, and how many of them are liars.
func (f *field) lookUp(asker *fieldPeer, method Method, target [sha256.Size]byte) (found, lying int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var finder Finder = asker.Iterative
	if method == MethodRecursive {
		finder = asker.Recursive
	}
	peers, err := finder.ClosestPeersTo(ctx, target, fieldWanted)
	f.must(err)
	for _, p := range peers {
		if !slices.ContainsFunc(f.peers, func(q *fieldPeer) bool { return q.host.ID() == p.ID && !q.liar }) {
			lying++
		}
	}
	return len(peers), lying
}
