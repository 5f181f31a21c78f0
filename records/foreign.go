package records

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// ForeignTTL is how long a foreign peer's value stays, from when it was put last.
	ForeignTTL = 48 * time.Hour
	// ForeignProviderTTL is how long a foreign peer's word stays that it provides something.
	ForeignProviderTTL = 24 * time.Hour
	// foreignBytesPerSecond and foreignBytesBurst bound what all foreign peers together write to the disk, which the records share. Who writes more waits.
	foreignBytesPerSecond = 4 << 20
	foreignBytesBurst     = 8 << 20
	// foreignEntryBytes is what an entry counts beside its key and value.
	foreignEntryBytes = 512
)

// foreignLimits is the quota of foreign peers at each node.
func foreignLimits() disk.ForeignLimits {
	return disk.ForeignLimits{
		Values: 65_536, PeerValues: 8_192,
		Bytes: 64 << 20, PeerBytes: 16 << 20,
		Providers: 65_536, PeerProviders: 8_192, KeyProviders: maxForeignProviders,
	}
}

// Foreign is what foreign Kademlia peers see of a Store, and what they leave there: a routing.ForeignStore. What they put is unsigned, kept apart from the records
// under kad/ for a limited time within a quota, at the peers that they put it to, and not repaired. They read signed records, whole with their signatures, and
// write none.
type Foreign struct {
	s       *Store
	disk    *disk.Foreign
	view    routing.Router // answers from the view
	client  *rpc.Client
	server  *rpc.Server
	writes  *rate.Limiter // bytes
	metrics *foreignMetrics
}

var _ routing.ForeignStore = (*Foreign)(nil)

// Foreign returns the store as foreign Kademlia peers see it.
func (s *Store) Foreign() *Foreign { return s.foreign }

// openForeign serves other members from here on.
func openForeign(s *Store, limits disk.ForeignLimits) (*Foreign, error) {
	space, err := disk.OpenForeign(s.holder.disk, limits)
	if err != nil {
		return nil, err
	}
	f := &Foreign{
		s: s, disk: space, view: routing.NewViewRouter(s.cfg.Host, s.cfg.Viewer),
		writes: rate.NewLimiter(foreignBytesPerSecond, foreignBytesBurst),
	}
	if f.metrics, err = newForeignMetrics(s.cfg.Registerer, space); err != nil {
		return nil, fmt.Errorf("records: register metrics: %w", err)
	}
	if err := f.connect(); err != nil {
		f.metrics.unregister()
		return nil, err
	}
	return f, nil
}

func (f *Foreign) connect() (err error) {
	protocol := f.s.cfg.Network.Protocol(foreignProtocolName)
	f.client, err = rpc.NewClient(rpc.ClientConfig{
		Host: f.s.cfg.Host, Protocol: protocol, MaxMessage: maxForeignMessage, MaxInFlight: maxForeignInFlight, Logger: f.s.logger,
	})
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	f.server, err = rpc.NewServer(rpc.ServerConfig{
		Host: f.s.cfg.Host, Protocol: protocol, MaxMessage: maxForeignMessage, MaxInFlight: maxForeignInFlight, Handler: f.serve, Logger: f.s.logger,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("records: %w", err), f.client.Close())
	}
	return nil
}

func (f *Foreign) close() error {
	f.metrics.unregister()
	return errors.Join(f.server.Close(), f.client.Close())
}

// sweep removes what has expired.
func (f *Foreign) sweep(ctx context.Context) {
	removed, err := f.disk.Sweep(ctx, f.now())
	if err != nil && ctx.Err() == nil {
		f.s.logger.Warn("what foreign peers left and has expired was not all removed; tried again later", "removed", removed, "error", err)
		return
	}
	f.s.logger.Debug("swept what foreign peers left", "removed", removed)
}

func (f *Foreign) now() uint64 { return millis(f.s.cfg.Now()) }

// PutValue keeps a value of a foreign peer for ForeignTTL, in place of an older one of whoever.
func (f *Foreign) PutValue(ctx context.Context, from peer.ID, key, value []byte) (err error) {
	if err := f.s.enter(); err != nil {
		return err
	}
	defer f.s.tasks.Done()
	defer f.metrics.count("put", &err)
	k, err := parseForeignWire(key)
	if err != nil {
		return err
	}
	if err := k.check(value); err != nil {
		return err
	}
	if err := f.await(ctx, len(key)+len(value)); err != nil {
		return err
	}
	now := f.now()
	return f.disk.PutValue(ctx, disk.ForeignValue{
		From: sha256.Sum256([]byte(from)), Received: now, Expires: now + uint64(ForeignTTL.Milliseconds()), Key: key, Value: value,
	})
}

// await waits until foreign peers may write so many bytes more.
func (f *Foreign) await(ctx context.Context, size int) error {
	if err := f.writes.WaitN(ctx, size+foreignEntryBytes); err != nil {
		return fault.New(fault.Unavailable, "foreign peers write more than %d bytes a second: %w", foreignBytesPerSecond, err)
	}
	return nil
}

// Value returns the value under a key: what this node was given, or for a key in SignedNamespace the signed envelope of the newest version of the record, as a quorum of
// its holders knows it.
func (f *Foreign) Value(ctx context.Context, key []byte) (v routing.ForeignValue, err error) {
	if err := f.s.enter(); err != nil {
		return routing.ForeignValue{}, err
	}
	defer f.s.tasks.Done()
	defer f.metrics.count("get", &err)
	if text, ok := signedKeyOf(key); ok {
		return f.signedValue(ctx, text)
	}
	own, found, err := f.local(sha256.Sum256(key))
	if err != nil {
		return routing.ForeignValue{}, err
	}
	if !found {
		return routing.ForeignValue{}, fault.New(fault.NotFound, "no foreign value %q", key)
	}
	return routing.ForeignValue{Value: own.Value, Received: timeOf(own.Received)}, nil
}

// local returns the value that this node was given, unless it has expired.
func (f *Foreign) local(hash disk.Hash) (v disk.ForeignValue, found bool, err error) {
	v, found, err = f.disk.Value(hash)
	if err != nil || !found || v.Expires <= f.now() {
		return disk.ForeignValue{}, false, err
	}
	return v, true, nil
}

// serve answers a member.
func (f *Foreign) serve(_ context.Context, _ peer.ID, data []byte) ([]byte, error) {
	req, err := unmarshalForeignRequest(data)
	if err != nil {
		return nil, err
	}
	return f.answer(&req)
}

func (f *Foreign) answer(req *foreignRequest) ([]byte, error) {
	if req.op == foreignGet {
		v, found, err := f.local(req.hash)
		if err != nil || !found {
			return nil, err
		}
		return v.Marshal(), nil
	}
	providers, err := f.disk.Providers(req.hash, f.now(), maxForeignProviders)
	if err != nil {
		return nil, err
	}
	return marshalForeignProviders(providers), nil
}
