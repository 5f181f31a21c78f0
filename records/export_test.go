package records

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
)

// HoldersOf returns the holders of a key, nearest first.
func (s *Store) HoldersOf(key string) []peer.ID {
	p := s.currentTopology().place(disk.ShardOf(sha256.Sum256([]byte(key))))
	var ids []peer.ID
	for _, i := range p.holders {
		ids = append(ids, p.id(i))
	}
	return ids
}

// Holds returns the version of a key on this peer's disk.
func (s *Store) Holds(key string) (Version, bool) {
	head, found, err := s.holder.disk.Head(sha256.Sum256([]byte(key)))
	if err != nil {
		panic(err)
	}
	return versionOf(head.Rank), found
}

// Has reports whether this peer's disk has a record that can be read.
func (s *Store) Has(key string) bool {
	envelope, err := s.holder.disk.Envelope(sha256.Sum256([]byte(key)))
	return err == nil && envelope != nil
}

// NotedSynced returns in how many shards this peer noted to be in sync, for when it starts again.
func (s *Store) NotedSynced() (n int) {
	note, err := s.holder.disk.Note(levelsNote)
	if err != nil {
		panic(err)
	}
	if l, ok := unmarshalLevels(note); ok {
		for range l.synced.all() {
			n++
		}
	}
	return n
}

// A CallFunc makes a request to another peer.
type CallFunc func(ctx context.Context, to peer.ID, request []byte) ([]byte, error)

// Call calls f.
func (f CallFunc) Call(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
	return f(ctx, to, request)
}

// Intercept puts wrap between the store and the other peers. It must be called before the store is used.
func (s *Store) Intercept(wrap func(next CallFunc) CallFunc) { s.calls = wrap(s.calls.Call) }

// Messages that other peers answer, for tests that lie.
const (
	OpPut        = byte(opPut)
	OpGet        = byte(opGet)
	OpGetVersion = byte(opGetVersion)
	OpList       = byte(opList)
	OpProvide    = byte(opPutProvider)
)

// NewerResponse says that there is a newer version.
func NewerResponse(v Version) []byte {
	return (&response{status: statusNewer, rank: v.rank()}).marshal(opPut)
}

// VersionResponse says which version there is.
func VersionResponse(v Version) []byte {
	return (&response{status: statusOK, rank: v.rank()}).marshal(opGetVersion)
}

// RefusedResponse says no.
func RefusedResponse(err error) []byte {
	r := refusal(err)
	return r.marshal(opPut)
}

// TimestampOf is the stamp of a wall-clock time.
func TimestampOf(t time.Time) Timestamp { return timestampOf(t) }

// IsPutIf reports whether a request is a conditional write.
func IsPutIf(request []byte) bool { return op(request[0]) == opPutIf }
