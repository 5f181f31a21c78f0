package recordbench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"

	"github.com/folkmoot/folkmoot/bench/measure"
)

const (
	// bucketSize is kad-dht's default, which is also how many peers a value is put at.
	bucketSize = 20
	// namespace is the part of keys that chooses the validator.
	namespace = "bench"
	// joins is to how many earlier peers a new one connects.
	joins = 3
	// refreshes is how often every routing table is refreshed before the measurement.
	refreshes = 2
	// refreshing is how many refreshes run at once.
	refreshing = 8
	// manyConnections is more than a measurement opens: none is closed to save resources.
	manyConnections = 100_000
)

// kademlia is a cluster of stock kad-dht peers.
type kademlia []*dht.IpfsDHT

// openKademlia starts the peers, each of which joins through some that were there before, and fills their routing tables.
func openKademlia(ctx context.Context, peers int) (_ kademlia, err error) {
	var k kademlia
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	for range peers {
		d, err := newKademliaPeer()
		if err != nil {
			return nil, err
		}
		k = append(k, d)
		for range min(joins, len(k)-1) {
			earlier := k[mrand.IntN(len(k)-1)].Host()
			if err := d.Host().Connect(ctx, addrInfo(earlier)); err != nil {
				return nil, fmt.Errorf("join: %w", err)
			}
		}
	}
	for range refreshes {
		if err := k.refresh(ctx); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func newKademliaPeer() (*dht.IpfsDHT, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	connections, err := connmgr.NewConnManager(manyConnections, 2*manyConnections)
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ConnectionManager(connections), libp2p.DisableMetrics())
	if err != nil {
		return nil, err
	}
	d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.ProtocolPrefix("/"+namespace), dht.BucketSize(bucketSize),
		dht.NamespacedValidator(namespace, anything{}), dht.Datastore(dssync.MutexWrap(datastore.NewMapDatastore())))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return d, nil
}

// refresh refreshes every routing table once.
func (k kademlia) refresh(ctx context.Context) error {
	var (
		workers sync.WaitGroup
		slots   = make(chan struct{}, refreshing)
		mu      sync.Mutex
		errs    []error // guarded by mu
	)
	for _, d := range k {
		workers.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var err error
			select {
			case err = <-d.RefreshRoutingTable():
			case <-ctx.Done():
				err = ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

func (k kademlia) Put(ctx context.Context, peer int, key string, value []byte) error {
	return k[peer].PutValue(ctx, "/"+namespace+"/"+key, value)
}

func (k kademlia) Get(ctx context.Context, peer int, key string) ([]byte, error) {
	return k[peer].GetValue(ctx, "/"+namespace+"/"+key)
}

func (k kademlia) CPU() (time.Duration, error) { return measure.CPU() }

func (k kademlia) Close() error {
	errs := make([]error, len(k))
	var closing sync.WaitGroup
	for i, d := range k {
		closing.Go(func() { errs[i] = errors.Join(d.Close(), d.Host().Close()) })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// anything is a validator that accepts every value and prefers none.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }
