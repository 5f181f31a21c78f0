// Package apitest helps to test what stands on the node's HTTP API. Backend is a test double, one process's memory and no network:
// no program serves it. TestBackend holds any api.Backend, that of a node included, to the interface's contract.
package apitest

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Ids of the peers that a new Backend knows.
const (
	Self  = "12D3KooWDMCQbZZvLgHiHntG1KwcHoqHPAxL37KvhgibWqFtpqUY"
	Other = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
)

// Unsigned is the key of a record that nobody signs.
const Unsigned = "unsigned"

const (
	// providerLife is how long a provider record lives.
	providerLife = 24 * time.Hour
	// configuredCopies is how many copies are wanted in a network that is large enough.
	configuredCopies = 5
	// shards is how many shards there are; in a network of few peers each holds all.
	shards = 4096
)

var _ api.Backend = (*Backend)(nil)

// Backend is an api.Backend in memory. Its zero value is not ready to use: call NewBackend.
type Backend struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	now       func() time.Time
	notReady  error
	unsettled error
	intercept func(ctx context.Context, method string) error
	peers     map[string]v1.Peer
	records   map[string]stored
	provided  map[string]time.Time
	writes    uint64
	missing   []string
	standing  v1.Standing
	leave     leave
	log       changeLog
	network   networkLog
	topics    map[string][]*subscription
}

// NewBackend returns the backend of a node that knows one other peer and is ready. now may be nil.
func NewBackend(now func() time.Time) *Backend {
	if now == nil {
		now = time.Now
	}
	b := &Backend{now: now, peers: map[string]v1.Peer{}, records: map[string]stored{}, provided: map[string]time.Time{}}
	b.AddPeer(v1.Peer{ID: Self, State: "alive", Self: true, Addresses: []string{"/ip4/192.0.2.1/tcp/4242"}})
	b.AddPeer(v1.Peer{ID: Other, State: "alive", Connected: true, Transports: []string{"tcp"},
		RTTMicros: 250, Addresses: []string{"/ip4/192.0.2.2/tcp/4242"}, FoundBy: []string{"mdns"}})
	return b
}

// AddPeer makes p known.
func (b *Backend) AddPeer(p v1.Peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers[p.ID] = p
}

// SetReady makes Ready return err.
func (b *Backend) SetReady(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notReady = err
}

// SetRecordsReady makes RecordsReady return err while the node is ready.
func (b *Backend) SetRecordsReady(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsettled = err
}

// SetMissing makes listings of the network incomplete: the peers named did not answer.
func (b *Backend) SetMissing(ids ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.missing = ids
}

// Intercept runs f, with the name of the method of api.Backend, before every call from now on; an error of f is the call's. f may block,
// panic, or be nil.
func (b *Backend) Intercept(f func(ctx context.Context, method string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.intercept = f
}

// enter begins a call; when it returns no error, mu is held.
func (b *Backend) enter(ctx context.Context, method string) error {
	b.mu.Lock()
	intercept := b.intercept
	b.mu.Unlock()
	if intercept != nil {
		if err := intercept(ctx, method); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	b.mu.Lock()
	return nil
}

// Members implements api.Backend: the node is the one member.
func (b *Backend) Members(ctx context.Context) (v1.Members, error) {
	if err := b.enter(ctx, "Members"); err != nil {
		return v1.Members{}, err
	}
	defer b.mu.Unlock()
	return v1.Members{Height: Height, Members: []v1.Member{{ID: Self, Name: "self", By: Account, Self: true}}}, nil
}

// Node implements api.Backend.
func (b *Backend) Node(ctx context.Context) (v1.Node, error) {
	if err := b.enter(ctx, "Node"); err != nil {
		return v1.Node{}, err
	}
	defer b.mu.Unlock()
	n := v1.Node{
		ID:      Self,
		Network: v1.Network{Name: "test", ID: strings.Repeat("a", 52), Open: true},
		Version: "test", Started: b.now().UTC(), Addresses: []string{"/ip4/192.0.2.1/tcp/4242/p2p/" + Self},
		Peers: v1.Counts{Alive: len(b.peers) - 1},
		Records: v1.Records{
			Stored: b.liveRecords(), Wanted: b.wanted(), Copies: configuredCopies, Quorum: b.wanted()/2 + 1,
			ShardsHeld: shards, ShardsSynced: shards, Full: b.liveRecords(),
		},
		Ready: b.notReady == nil,
	}
	if b.notReady != nil {
		n.NotReady = b.notReady.Error()
	}
	return n, nil
}

// wanted needs mu.
func (b *Backend) wanted() int { return min(configuredCopies, len(b.peers)) }

// copies needs mu.
func (b *Backend) copies() v1.Copies {
	return v1.Copies{Stored: b.wanted(), Wanted: b.wanted(), Configured: configuredCopies}
}

// Ready implements api.Backend.
func (b *Backend) Ready(ctx context.Context) error {
	if err := b.enter(ctx, "Ready"); err != nil {
		return err
	}
	defer b.mu.Unlock()
	return b.notReady
}

// RecordsReady implements api.Backend.
func (b *Backend) RecordsReady(ctx context.Context) error {
	if err := b.enter(ctx, "RecordsReady"); err != nil {
		return err
	}
	defer b.mu.Unlock()
	return cmp.Or(b.notReady, b.unsettled)
}

// Peers implements api.Backend.
func (b *Backend) Peers(ctx context.Context) ([]v1.Peer, error) {
	if err := b.enter(ctx, "Peers"); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	return b.sortedPeers(), nil
}

// sortedPeers needs mu.
func (b *Backend) sortedPeers() []v1.Peer {
	return slices.SortedFunc(maps.Values(b.peers), func(x, y v1.Peer) int { return strings.Compare(x.ID, y.ID) })
}

// FindPeer implements api.Backend. Ids begin with 12D3KooW.
func (b *Backend) FindPeer(ctx context.Context, id, via string) (v1.Peer, error) {
	if err := b.enter(ctx, "FindPeer"); err != nil {
		return v1.Peer{}, err
	}
	defer b.mu.Unlock()
	if via != "" && !slices.Contains([]string{"iterative", "recursive", "broadcast"}, via) {
		return v1.Peer{}, fault.New(fault.Invalid, "way of routing %q", via)
	}
	return b.find(id)
}

// find needs mu.
func (b *Backend) find(id string) (v1.Peer, error) {
	if !strings.HasPrefix(id, "12D3KooW") {
		return v1.Peer{}, fault.New(fault.Invalid, "peer id %q: not a peer id", id)
	}
	p, ok := b.peers[id]
	if !ok {
		return v1.Peer{}, fault.New(fault.NotFound, "find peer %s: no peer knows it", id)
	}
	return p, nil
}

// Ping implements api.Backend. A multiaddr reaches the peer that has it among its addresses.
func (b *Backend) Ping(ctx context.Context, target string) (v1.Pong, error) {
	if err := b.enter(ctx, "Ping"); err != nil {
		return v1.Pong{}, err
	}
	defer b.mu.Unlock()
	if !strings.HasPrefix(target, "/") {
		p, err := b.find(target)
		if err != nil {
			return v1.Pong{}, err
		}
		return v1.Pong{ID: p.ID, Address: p.Addresses[0], RTTMicros: 250}, nil
	}
	for _, p := range b.peers {
		if slices.Contains(p.Addresses, target) {
			return v1.Pong{ID: p.ID, Address: target, RTTMicros: 250}, nil
		}
	}
	return v1.Pong{}, fault.New(fault.Unavailable, "connect to %s: connection refused", target)
}

// ListRecords implements api.Backend.
func (b *Backend) ListRecords(ctx context.Context, opts api.ListOptions) (v1.Page, error) {
	if err := b.enter(ctx, "ListRecords"); err != nil {
		return v1.Page{}, err
	}
	defer b.mu.Unlock()
	after := opts.After
	if opts.Cursor != "" {
		key, err := base64.RawURLEncoding.DecodeString(opts.Cursor)
		if err != nil {
			return v1.Page{}, fault.New(fault.Invalid, "cursor %q: %w", opts.Cursor, err)
		}
		after = string(key)
	}
	limit := opts.Limit
	if limit == 0 {
		limit = api.MaxPage
	}
	if limit < 0 || limit > api.MaxPage {
		return v1.Page{}, fault.New(fault.Invalid, "limit %d: want 1 to %d", limit, api.MaxPage)
	}
	page := v1.Page{Records: []v1.Entry{}, Complete: true}
	if !opts.Local && len(b.missing) > 0 {
		page.Complete, page.Missing = false, slices.Clone(b.missing)
	}
	for _, key := range slices.Sorted(maps.Keys(b.records)) {
		rec := b.records[key]
		if key <= after || !strings.HasPrefix(key, opts.Prefix) || !b.live(rec) {
			continue
		}
		if len(page.Records) == limit {
			page.Cursor = base64.RawURLEncoding.EncodeToString([]byte(page.Records[limit-1].Key))
			break
		}
		page.Records = append(page.Records, v1.Entry{
			Key: key, Version: rec.Version, Author: rec.Author, Size: int64(len(rec.Value)), Expires: rec.Expires,
		})
	}
	return page, nil
}

// Provide implements api.Backend.
func (b *Backend) Provide(ctx context.Context, key string) (v1.Provided, error) {
	if err := b.enter(ctx, "Provide"); err != nil {
		return v1.Provided{}, err
	}
	defer b.mu.Unlock()
	if err := checkKey(key); err != nil {
		return v1.Provided{}, err
	}
	expires := b.now().Add(providerLife).UTC()
	b.provided[key] = expires
	return v1.Provided{Key: key, Expires: expires, Copies: b.copies()}, nil
}

// Providers implements api.Backend.
func (b *Backend) Providers(ctx context.Context, key string) (v1.Providers, error) {
	if err := b.enter(ctx, "Providers"); err != nil {
		return v1.Providers{}, err
	}
	defer b.mu.Unlock()
	if err := checkKey(key); err != nil {
		return v1.Providers{}, err
	}
	found := v1.Providers{Key: key, Providers: []v1.Provider{}}
	if expires, ok := b.provided[key]; ok && b.now().Before(expires) {
		found.Providers = append(found.Providers, v1.Provider{ID: Self, Addresses: b.peers[Self].Addresses, Expires: expires})
	}
	return found, nil
}
