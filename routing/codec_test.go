package routing

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

func testNetwork(t testing.TB, name string) swarm.NetworkID {
	t.Helper()
	id, err := swarm.OpenNetwork(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testClaim() swim.Claim {
	addrs := []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/4242"), ma.StringCast("/ip6/fd00::1/udp/4242/quic-v1"), ma.StringCast("/dns4/node.example/tcp/443/wss")}
	slices.SortFunc(addrs, compareAddrs)
	return swim.Claim{Incarnation: 1_700_000_000_000, Away: 90 * time.Second, Departure: swim.Leaving, Addrs: addrs, Zone: "zone-1", Version: "v1.2.3"}
}

func TestClaimSurvivesSealing(t *testing.T) {
	key, network := testKey(t), testNetwork(t, "a")
	sealed, err := sealClaim(key, network, testClaim())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := openClaim(network, sealed.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(opened, sealed) {
		t.Errorf("opened %+v, sealed %+v", opened, sealed)
	}
	if id, err := peer.IDFromPrivateKey(key); err != nil || opened.ID != id {
		t.Errorf("the claim is %s's, want %s", opened.ID, id)
	}
}

func TestForgedClaimsAreRefused(t *testing.T) {
	network := testNetwork(t, "a")
	sealed, err := sealClaim(testKey(t), network, testClaim())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openClaim(testNetwork(t, "b"), sealed.Sealed); err == nil {
		t.Error("a claim of another network was accepted")
	}
	for i := range sealed.Sealed {
		spoilt := bytes.Clone(sealed.Sealed)
		spoilt[i] ^= 1
		if _, err := openClaim(network, spoilt); err == nil {
			t.Errorf("a claim with byte %d changed was accepted", i)
		}
	}
	// Unknown protobuf fields are not covered by the signature. They are not passed on.
	padded := append(bytes.Clone(sealed.Sealed), 0x7a, 3, 'x', 'y', 'z')
	if c, err := openClaim(network, padded); err == nil && !bytes.Equal(c.Sealed, sealed.Sealed) {
		t.Error("padding was kept")
	}
	rsa, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := sealClaim(rsa, network, testClaim()); err != nil {
		t.Fatal(err)
	} else if _, err := openClaim(network, c.Sealed); err == nil {
		t.Error("a claim signed with RSA was accepted")
	}
}

func TestClaimBounds(t *testing.T) {
	many := make([]ma.Multiaddr, maxAddrs+1)
	for i := range many {
		many[i] = ma.StringCast("/ip4/10.0.0.1/tcp/" + string(rune('1'+i/10)) + string(rune('0'+i%10)))
	}
	for name, spoil := range map[string]func(*swim.Claim){
		"no incarnation":     func(c *swim.Claim) { c.Incarnation = 0 },
		"long absence":       func(c *swim.Claim) { c.Away = swim.MaxAbsence + time.Millisecond },
		"negative absence":   func(c *swim.Claim) { c.Away = -time.Second },
		"uneven absence":     func(c *swim.Claim) { c.Away = time.Second + 1 },
		"unknown departure":  func(c *swim.Claim) { c.Departure = swim.Left + 1 },
		"left and absent":    func(c *swim.Claim) { c.Departure = swim.Left },
		"long zone":          func(c *swim.Claim) { c.Zone = strings.Repeat("z", MaxZone+1) },
		"control characters": func(c *swim.Claim) { c.Zone = "a\x1b[31mb" },
		"line break":         func(c *swim.Claim) { c.Version = "1\n2" },
		"not UTF-8":          func(c *swim.Claim) { c.Version = "\xff" },
		"too many addresses": func(c *swim.Claim) { c.Addrs = many },
		"long address":       func(c *swim.Claim) { c.Addrs = []ma.Multiaddr{ma.StringCast("/dns4/" + strings.Repeat("x", 300))} },
		"unsorted addresses": func(c *swim.Claim) { slices.Reverse(c.Addrs) },
		"double addresses":   func(c *swim.Claim) { c.Addrs[1] = c.Addrs[0] },
	} {
		c := testClaim()
		spoil(&c)
		if _, err := (&claimRecord{claim: c}).MarshalRecord(); err == nil {
			t.Errorf("%s: was encoded", name)
		}
	}
}

func TestLargestClaimFits(t *testing.T) {
	c := testClaim()
	c.Zone, c.Version, c.Addrs = strings.Repeat("z", MaxZone), strings.Repeat("v", MaxVersion), nil
	for i := range maxAddrs {
		c.Addrs = append(c.Addrs, ma.StringCast("/dns4/"+strings.Repeat(string(rune('a'+i)), maxAddrSize-3)))
	}
	sealed, err := sealClaim(testKey(t), testNetwork(t, "a"), c)
	if err != nil || len(sealed.Sealed) > maxSealed {
		t.Fatalf("%d bytes, %v; want at most %d", len(sealed.Sealed), err, maxSealed)
	}
	full := trade{}
	for range tradeClaims {
		full.Claims = append(full.Claims, sealedClaim{swim.Entry{ID: peer.ID(strings.Repeat("i", maxIDSize)), Incarnation: 1}, sealed.Sealed})
	}
	for range tradeWanted {
		full.Wanted = append(full.Wanted, peer.ID(strings.Repeat("i", maxIDSize)))
	}
	if data, err := encodeRequest(kindTrade, &full); err != nil || len(data) > maxMessage {
		t.Errorf("the largest trade has %d bytes, %v; want at most %d", len(data), err, maxMessage)
	}
}

// bodies are an example of each message.
func bodies() []body {
	claims := []sealedClaim{{swim.Entry{ID: "peer", Incarnation: 7}, []byte("sealed")}}
	return []body{
		&gossip{Incarnation: 1, Known: 2, Claims: claims, Rumours: []swim.Rumour{
			{Subject: "a", Incarnation: 3, Verdict: swim.Dead}, {Subject: "b", Incarnation: 4, Verdict: swim.Alive, Own: true}}},
		&ask{Target: "peer", Timeout: 500, Nonce: [nonceSize]byte{4, 5}},
		&prove{Asker: "peer", Nonce: [nonceSize]byte{4, 5}},
		&proof{Sealed: []byte("sealed")},
		&summaryRequest{Digest: [digestSize]byte{1, 2, 3}, After: "peer"},
		&summary{More: true, Partial: true, Entries: []swim.Entry{{ID: "a", Incarnation: 1}, {ID: "b", Incarnation: 2}}},
		&trade{Claims: claims, Wanted: []peer.ID{"x", "y"}},
		&closestRequest{Target: [sha256.Size]byte{1, 2, 3}, Count: maxClosest},
		&closestAnswer{Claims: claims},
		&question{Target: [sha256.Size]byte{1, 2, 3}, Count: maxClosest, Budget: maxBudget, Patience: 3000},
		&recursiveAnswer{Refused: true},
		&recursiveAnswer{Hops: maxBudget, Claims: claims},
		&broadcastQuestion{ID: questionID{1, 2}, Target: [sha256.Size]byte{1, 2, 3}, Radius: maxRadius, Asker: claims[0]},
		&broadcastAnswer{ID: questionID{1, 2}, Claim: claims[0]},
	}
}

// empty returns an empty message of the same type.
func empty(b body) body { return reflect.New(reflect.TypeOf(b).Elem()).Interface().(body) }

func TestMessagesSurviveTheWire(t *testing.T) {
	for _, want := range bodies() {
		data, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got := empty(want)
		if err := decode(data, got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if err := decode(append(data, 0), empty(want)); err == nil {
			t.Errorf("%T: trailing bytes were accepted", want)
		}
		for i := range data {
			if err := decode(data[:i], empty(want)); err == nil {
				t.Errorf("%T: the first %d of %d bytes were accepted", want, i, len(data))
			}
		}
	}
}

func TestMessageBounds(t *testing.T) {
	long := peer.ID(strings.Repeat("x", maxIDSize+1))
	for name, b := range map[string]body{
		"claims":           &gossip{Claims: slices.Repeat([]sealedClaim{{swim.Entry{ID: "p", Incarnation: 1}, []byte("s")}}, swim.MaxClaims+1)},
		"rumours":          &gossip{Rumours: slices.Repeat([]swim.Rumour{{Subject: "p", Verdict: swim.Dead}}, swim.MaxRumours+1)},
		"rumour of away":   &gossip{Rumours: []swim.Rumour{{Subject: "p", Verdict: swim.Away}}},
		"verdict":          &gossip{Rumours: []swim.Rumour{{Subject: "p", Verdict: 9}}},
		"claim size":       &gossip{Claims: []sealedClaim{{swim.Entry{ID: "p", Incarnation: 1}, make([]byte, maxSealed+1)}}},
		"empty claim":      &gossip{Claims: []sealedClaim{{swim.Entry{ID: "p", Incarnation: 1}, nil}}},
		"id":               &ask{Target: long},
		"no id":            &ask{},
		"no asker":         &prove{},
		"proof":            &proof{Sealed: make([]byte, maxProof+1)},
		"cursor":           &summaryRequest{After: long},
		"unsorted":         &summary{Entries: []swim.Entry{{ID: "b"}, {ID: "a"}}},
		"twice":            &summary{Entries: []swim.Entry{{ID: "a"}, {ID: "a"}}},
		"equal and page":   &summary{Equal: true, Entries: []swim.Entry{{ID: "a"}}},
		"more of nothing":  &summary{More: true},
		"wishes":           &trade{Wanted: slices.Repeat([]peer.ID{"p"}, tradeWanted+1)},
		"none closest":     &closestRequest{},
		"many closest":     &closestRequest{Count: maxClosest + 1},
		"closest claims":   &closestAnswer{Claims: slices.Repeat([]sealedClaim{{swim.Entry{ID: "p", Incarnation: 1}, []byte("s")}}, maxClosest+1)},
		"question of none": &question{Budget: 1, Patience: 1},
		"of many":          &question{Count: maxClosest + 1, Budget: 1, Patience: 1},
		"no budget":        &question{Count: 1, Patience: 1},
		"large budget":     &question{Count: 1, Budget: maxBudget + 1, Patience: 1},
		"no patience":      &question{Count: 1, Budget: 1},
		"much patience":    &question{Count: 1, Budget: 1, Patience: uint16(recursivePatience.Milliseconds()) + 1},
		"far way":          &recursiveAnswer{Hops: maxBudget + 1},
		"refused answer":   &recursiveAnswer{Refused: true, Hops: 1},
		"recursive claims": &recursiveAnswer{Claims: slices.Repeat([]sealedClaim{{swim.Entry{ID: "p", Incarnation: 1}, []byte("s")}}, maxClosest+1)},
		"no radius":        &broadcastQuestion{Asker: sealedClaim{swim.Entry{ID: "p", Incarnation: 1}, []byte("s")}},
		"large radius":     &broadcastQuestion{Radius: maxRadius + 1, Asker: sealedClaim{swim.Entry{ID: "p", Incarnation: 1}, []byte("s")}},
		"no one's answer":  &broadcastAnswer{},
		"traded claims":    &trade{Claims: slices.Repeat([]sealedClaim{{swim.Entry{ID: "p", Incarnation: 1}, []byte("s")}}, tradeClaims+1)},
	} {
		data, err := encode(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(data, empty(b)); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

func TestSummaryPages(t *testing.T) {
	var entries []swim.Entry
	for i := range 2*summaryPage + 100 {
		entries = append(entries, swim.Entry{ID: peer.ID([]byte{byte(i >> 8), byte(i)}), Incarnation: uint64(i + 1)})
	}
	if s := summarize(entries, &summaryRequest{Digest: digest(entries)}); !s.Equal || len(s.Entries) > 0 {
		t.Errorf("the same entries are summarized as %+v", s)
	}
	var got []swim.Entry
	pages := 0
	for r := (summaryRequest{}); ; pages++ {
		s := summarize(entries, &r)
		data, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(data, &summary{}); err != nil {
			t.Fatal(err)
		}
		got = append(got, s.Entries...)
		if !s.More {
			break
		}
		r.After = s.Entries[len(s.Entries)-1].ID
	}
	if !slices.Equal(got, entries) || pages != 2 {
		t.Errorf("%d entries on %d full pages, want %d on 2", len(got), pages, len(entries))
	}
	other := slices.Clone(entries)
	other[7].Incarnation++
	if digest(entries) == digest(other) || digest(entries[1:]) == digest(entries) {
		t.Error("different entries have the same digest")
	}
}

func FuzzMessages(f *testing.F) {
	for i, b := range bodies() {
		data, err := encode(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), data)
	}
	kinds := bodies()
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		b := empty(kinds[int(kind)%len(kinds)])
		if decode(data, b) != nil {
			return
		}
		again, err := encode(b)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%T is not canonical: %x, %v", b, again, err)
		}
		if g, ok := b.(*gossip); ok && (len(g.Claims) > swim.MaxClaims || len(g.Rumours) > swim.MaxRumours) {
			t.Fatal("bounds do not hold")
		}
	})
}

func FuzzClaim(f *testing.F) {
	data, err := (&claimRecord{claim: testClaim()}).MarshalRecord()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var r claimRecord
		if r.UnmarshalRecord(data) != nil {
			return
		}
		again, err := r.MarshalRecord()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("a claim is not canonical: %x, %v", again, err)
		}
	})
}

func FuzzSealedClaim(f *testing.F) {
	network := testNetwork(f, "a")
	// The key is fixed: inputs are kept from one process for the next.
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := sealClaim(key, network, testClaim())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed.Sealed)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := openClaim(network, data)
		if err != nil {
			return
		}
		if c.ID != sealed.ID || c.Incarnation != sealed.Incarnation {
			t.Fatalf("a claim that nobody sealed was opened: %+v", c)
		}
		if again, err := openClaim(network, c.Sealed); err != nil || !bytes.Equal(again.Sealed, c.Sealed) {
			t.Fatalf("what is passed on can't be opened: %v", err)
		}
	})
}
