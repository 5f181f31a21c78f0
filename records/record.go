package records

import (
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	payloadVersion = 1
	flagDeleted    = 1
	// recordOverhead is by how much an envelope may be longer than its key and value.
	recordOverhead = 256
	// maxEnvelope bounds the signed envelope of a record, in bytes.
	maxEnvelope = MaxKey + MaxValue + recordOverhead
)

// Record is a record as its author signed it.
type Record struct {
	Key     string
	Value   []byte
	Author  peer.ID
	Version Version
	// Expires is when the record ends by itself; the zero time means never.
	Expires time.Time
	// Deleted marks a tombstone: it has no value, and hides every older version until it has reached all holders.
	Deleted bool
	// Stored is how many of the holders that were asked are known to have exactly this version on their disks, Wanted how many copies the network wants now, Copies how many
	// are configured.
	Stored, Wanted, Copies int
	// Session is that of the request, with this version.
	Session Session

	envelope []byte // that proves the record; nil where nothing does
}

// Envelope returns the signed envelope that proves the record (libp2p specs, RFC 0002), or nil where nothing does. It is not to be changed.
func (r *Record) Envelope() []byte { return r.envelope }

// ParseEnvelope returns the record that a signed envelope proves, in a network. It checks all that the envelope shows of itself: whether the record is the newest of its key nothing shows. Errors
// are of kind fault.Invalid, fault.Forbidden or fault.TooLarge.
func ParseEnvelope(network swarm.NetworkID, envelope []byte) (Record, error) {
	rec, err := newRecordSigner(network).open(envelope, false)
	if err != nil {
		return Record{}, err
	}
	return rec.record(), nil
}

// payload is what is signed of a record.
type payload struct {
	time    Timestamp
	expires uint64 // milliseconds since the Unix epoch; 0: never
	deleted bool
	key     []byte
	value   []byte
}

var errPayload = fault.New(fault.Invalid, "malformed record")

func (p *payload) marshal() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(p.key)+len(p.value)+32))
	b.AddUint8(payloadVersion)
	b.AddUint64(uint64(p.time))
	b.AddUint64(p.expires)
	b.AddUint8(flagOf(p.deleted))
	b.AddUint16(uint16(len(p.key)))
	b.AddBytes(p.key)
	b.AddUint24(uint32(len(p.value)))
	b.AddBytes(p.value)
	return b.BytesOrPanic()
}

func flagOf(deleted bool) uint8 {
	if deleted {
		return flagDeleted
	}
	return 0
}

// unmarshalPayload reads what marshal wrote; the result aliases data.
func unmarshalPayload(data []byte) (payload, error) {
	var p payload
	var version, flags uint8
	var key, value cryptobyte.String
	s := cryptobyte.String(data)
	if !s.ReadUint8(&version) || version != payloadVersion ||
		!s.ReadUint64((*uint64)(&p.time)) || !s.ReadUint64(&p.expires) ||
		!s.ReadUint8(&flags) || flags&^flagDeleted != 0 ||
		!s.ReadUint16LengthPrefixed(&key) || len(key) == 0 || len(key) > MaxKey ||
		!s.ReadUint24LengthPrefixed(&value) || len(value) > MaxValue || !s.Empty() {
		return payload{}, errPayload
	}
	p.deleted = flags&flagDeleted != 0
	if p.deleted && len(value) != 0 {
		return payload{}, errPayload
	}
	p.key, p.value = key, value
	return p, nil
}

// A signed is a record together with the envelope that proves it.
type signed struct {
	key      Key
	value    []byte
	head     disk.Head
	envelope []byte
}

func (c *signed) version() Version { return versionOf(c.head.Rank) }

func (c *signed) record() Record {
	return Record{
		Key: c.head.Key, Value: c.value, Author: peerIDOf(c.head.Author), Version: c.version(),
		Expires: timeOf(c.head.Expires), Deleted: c.head.Deleted, envelope: c.envelope,
	}
}

// timeOf turns milliseconds since the Unix epoch into a time; 0 is the zero time.
func timeOf(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

func millis(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }

func expired(h *disk.Head, now uint64) bool { return h.Expires != 0 && h.Expires <= now }

// A recordSigner makes and opens the envelopes of a network's records.
type recordSigner struct {
	signer
	verified verifiedCache
}

func newRecordSigner(n swarm.NetworkID) *recordSigner {
	return &recordSigner{signer: signer{domain: n.SigningDomain("record"), payloadType: recordType}}
}

// seal signs p.
func (s *recordSigner) seal(private crypto.PrivKey, author disk.Author, key Key, p *payload) (signed, error) {
	data := p.marshal()
	sealed, err := s.signer.seal(private, author, data)
	if err != nil {
		return signed{}, err
	}
	e := envelope{author: author[:], payload: data}
	c := newSigned(key, &e, p, e.digest())
	c.envelope = sealed
	return c, nil
}

// open checks all that an envelope shows of itself: form, key, sizes, the rule of the key's namespace and, last because it costs most, the
// signature, unless the envelope is trusted because it was checked before it was stored. The result aliases data.
func (s *recordSigner) open(data []byte, trusted bool) (signed, error) {
	if len(data) > maxEnvelope {
		return signed{}, fault.New(fault.TooLarge, "record of %d bytes: want at most %d", len(data), maxEnvelope)
	}
	e, err := parseEnvelope(data, recordType)
	if err != nil {
		return signed{}, err
	}
	p, err := unmarshalPayload(e.payload)
	if err != nil {
		return signed{}, err
	}
	key, err := ParseKey(string(p.key))
	if err != nil {
		return signed{}, err
	}
	if p.expires != 0 && p.expires < millis(p.time.Time()) {
		return signed{}, fault.New(fault.Invalid, "key %q: the record expired before it was written", key.text)
	}
	digest := e.digest()
	c := newSigned(key, &e, &p, digest)
	c.envelope = data
	if trusted {
		return c, nil
	}
	if err := key.check(peerIDOf(c.head.Author), p.value, p.deleted); err != nil {
		return signed{}, err
	}
	if s.verified.has(digest, e.signature) {
		return c, nil
	}
	if err := s.verify(&e); err != nil {
		return signed{}, err
	}
	s.verified.add(digest, e.signature)
	return c, nil
}

func newSigned(key Key, e *envelope, p *payload, digest [32]byte) signed {
	version := Version{Time: p.time, Hash: [16]byte(digest[:])}
	return signed{key: key, value: p.value, head: disk.Head{
		Key: key.text, Rank: version.rank(), Author: e.authorKey(), Expires: p.expires, Size: uint32(len(p.value)), Deleted: p.deleted,
	}}
}
