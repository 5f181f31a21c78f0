package nat

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/internal/allowance"
)

func addrsOf(texts ...string) []ma.Multiaddr {
	all := make([]ma.Multiaddr, len(texts))
	for i, t := range texts {
		all[i] = ma.StringCast(t)
	}
	return all
}

func TestChecksDialWhatMayBeDialled(t *testing.T) {
	const asker, other = peer.ID("asker"), peer.ID("other")
	var dialled atomic.Int64
	learn := func(_ context.Context, a ma.Multiaddr) (peer.ID, error) {
		dialled.Add(1)
		switch ip, _ := a.ValueForProtocol(ma.P_IP4); ip {
		case "20.0.0.1", "10.0.0.1":
			return asker, nil
		case "20.0.0.2":
			return other, nil
		}
		return "", errors.New("nobody there")
	}
	c := newCheckServer(learn, asItIs, slog.New(slog.DiscardHandler))
	request, err := encodeCheck(addrsOf(
		"/ip4/20.0.0.1/tcp/4242", "/ip4/10.0.0.1/udp/4242/quic-v1", "/ip4/20.0.0.2/tcp/4242", "/ip4/20.0.0.3/tcp/4242", // dialled
		"/ip4/127.0.0.1/tcp/4242", "/ip4/169.254.0.1/tcp/22", "/ip4/224.0.0.1/tcp/1", "/ip4/20.0.0.1/tcp/4242/ws"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.handle(t.Context(), asker, request)
	want := []byte{byte(reached), byte(reached), byte(notReached), byte(notReached), 0, 0, 0, 0}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("results %v, %v; want %v", got, err, want)
	}
	if n := dialled.Load(); n != 4 {
		t.Errorf("%d dials, want 4", n)
	}
	for range checkBurst - 1 {
		if _, err := c.handle(t.Context(), asker, request); err != nil {
			t.Fatal(err)
		}
	}
	before := dialled.Load()
	got, err = c.handle(t.Context(), asker, request)
	if err != nil || slices.ContainsFunc(got, func(b byte) bool { return b != byte(notTried) }) || dialled.Load() != before {
		t.Errorf("beyond the bound: %v, %v", got, err)
	}
	if got, _ := c.handle(t.Context(), other, request); got[2] != byte(reached) {
		t.Errorf("another peer has an allowance of its own: %v", got)
	}
}

func asItIs(_ context.Context, a ma.Multiaddr) ([]ma.Multiaddr, error) { return []ma.Multiaddr{a}, nil }

// A name may stand for addresses that are not dialled for others.
func TestChecksOfNames(t *testing.T) {
	names := map[string][]ma.Multiaddr{
		"inside.example": addrsOf("/ip4/127.0.0.1/tcp/22", "/ip4/169.254.169.254/tcp/80", "/ip6/::1/tcp/22"),
		"mixed.example":  addrsOf("/ip4/127.0.0.1/tcp/4242", "/ip4/20.0.0.2/tcp/4242", "/ip4/20.0.0.1/tcp/4242"),
	}
	resolve := func(_ context.Context, a ma.Multiaddr) ([]ma.Multiaddr, error) {
		name, err := a.ValueForProtocol(ma.P_DNS4)
		if found := names[name]; err == nil && found != nil {
			return found, nil
		}
		return nil, errors.New("no such name")
	}
	learn := func(_ context.Context, a ma.Multiaddr) (peer.ID, error) {
		if !dialable(a) {
			t.Errorf("%s is dialled", a)
		}
		if a.String() == "/ip4/20.0.0.1/tcp/4242" {
			return "asker", nil
		}
		return "other", nil
	}
	c := newCheckServer(learn, resolve, slog.New(slog.DiscardHandler))
	request, err := encodeCheck(addrsOf("/dns4/inside.example/tcp/22", "/dns4/mixed.example/tcp/4242", "/dns4/none.example/tcp/1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.handle(t.Context(), "asker", request); err != nil || !slices.Equal(got, []byte{byte(notTried), byte(reached), byte(notReached)}) {
		t.Errorf("results %v, %v", got, err)
	}
}

func TestChecksForManyPeersAreBounded(t *testing.T) {
	l, now := allowance.New[peer.ID](checkRate, 1, maxCounted), time.Now()
	for i := range maxCounted {
		if !l.Allow(peer.ID(string(rune('a'+i))), now) {
			t.Fatalf("peer %d was refused", i)
		}
	}
	if l.Allow("one too many", now) {
		t.Error("one too many is counted")
	}
	if l.Len() > maxCounted {
		t.Errorf("%d peers are counted", l.Len())
	}
}

func FuzzCheck(f *testing.F) {
	request, err := encodeCheck(addrsOf("/ip4/20.0.0.1/tcp/4242", "/dns4/a.example/udp/1/quic-v1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add([]byte{0, 0})
	f.Add([]byte{0, 3, 0, 1, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		addrs, err := decodeCheck(data)
		if err != nil {
			return
		}
		if len(addrs) > maxChecked {
			t.Fatalf("%d addresses", len(addrs))
		}
		if _, err := encodeCheck(addrs); err != nil {
			t.Fatalf("what was decoded can't be encoded: %v", err)
		}
		for _, a := range addrs {
			dialable(a)
		}
	})
}

func TestResultsAreChecked(t *testing.T) {
	for _, bad := range [][]byte{nil, {0}, {0, 1, 2}, {0, 3}} {
		if _, err := decodeResults(bad, 2); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if got, err := decodeResults([]byte{1, 2}, 2); err != nil || got[0] != reached || got[1] != notReached {
		t.Errorf("%v, %v", got, err)
	}
}
