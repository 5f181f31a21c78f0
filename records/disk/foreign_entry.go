package disk

import (
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

const (
	foreignVersion = 1
	// MaxForeignKey and MaxForeignValue bound the keys and values of foreign peers, in bytes.
	MaxForeignKey   = 256
	MaxForeignValue = 64 << 10
	// MaxForeignAddrs bounds the addresses of a foreign provider, MaxForeignAddr the length of one in bytes.
	MaxForeignAddrs = 16
	MaxForeignAddr  = 512
	// maxForeignID bounds the peer id of a foreign provider, in bytes: a multihash.
	maxForeignID = 128
)

var errForeign = errors.New("damaged entry of a foreign peer")

// ForeignValue is a value that a foreign Kademlia peer put. Its form on the disk is that between members, too.
type ForeignValue struct {
	// From is the SHA-256 of the id of the peer that put it. It is known to this disk alone, and not part of the encoding.
	From Hash
	// Received is when it was put, Expires when it ends, in milliseconds since the Unix epoch.
	Received, Expires uint64
	Key               []byte // 1 to MaxForeignKey bytes
	Value             []byte // at most MaxForeignValue bytes
}

// Marshal writes version uint8, received uint64, expires uint64, key<uint16>, value to the end.
func (v *ForeignValue) Marshal() []byte {
	b := make([]byte, 0, 1+8+8+2+len(v.Key)+len(v.Value))
	b = append(b, foreignVersion)
	b = binary.BigEndian.AppendUint64(b, v.Received)
	b = binary.BigEndian.AppendUint64(b, v.Expires)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(v.Key))), v.Key...)
	return append(b, v.Value...)
}

// UnmarshalForeignValue reads what Marshal wrote; the result aliases data.
func UnmarshalForeignValue(data []byte) (ForeignValue, error) {
	var v ForeignValue
	var version uint8
	var key cryptobyte.String
	s := cryptobyte.String(data)
	if !s.ReadUint8(&version) || version != foreignVersion || !s.ReadUint64(&v.Received) || !s.ReadUint64(&v.Expires) || v.Expires < v.Received ||
		!s.ReadUint16LengthPrefixed(&key) || len(key) == 0 || len(key) > MaxForeignKey || len(s) > MaxForeignValue {
		return ForeignValue{}, errForeign
	}
	v.Key, v.Value = key, s
	return v, nil
}

// ForeignProvider is a foreign peer's unsigned word that it has what a key names.
type ForeignProvider struct {
	ID                string // the peer id's bytes
	Received, Expires uint64 // milliseconds since the Unix epoch
	Addrs             [][]byte
}

// Append appends version uint8, received uint64, expires uint64, id<uint8>, and the addresses as uint8 and each <uint16>.
func (p *ForeignProvider) Append(b []byte) []byte {
	b = append(b, foreignVersion)
	b = binary.BigEndian.AppendUint64(b, p.Received)
	b = binary.BigEndian.AppendUint64(b, p.Expires)
	b = append(append(b, byte(len(p.ID))), p.ID...)
	b = append(b, byte(len(p.Addrs)))
	for _, a := range p.Addrs {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(a))), a...)
	}
	return b
}

// ReadForeignProvider reads what Append appended from the beginning of s; addresses alias it.
func ReadForeignProvider(s *cryptobyte.String) (p ForeignProvider, ok bool) {
	var version, addrs uint8
	var id cryptobyte.String
	if !s.ReadUint8(&version) || version != foreignVersion || !s.ReadUint64(&p.Received) || !s.ReadUint64(&p.Expires) || p.Expires < p.Received ||
		!s.ReadUint8LengthPrefixed(&id) || len(id) == 0 || len(id) > maxForeignID || !s.ReadUint8(&addrs) || addrs > MaxForeignAddrs {
		return ForeignProvider{}, false
	}
	p.ID = string(id)
	for range addrs {
		var a cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&a) || len(a) == 0 || len(a) > MaxForeignAddr {
			return ForeignProvider{}, false
		}
		p.Addrs = append(p.Addrs, a)
	}
	return p, true
}

// UnmarshalForeignProvider reads one provider and nothing after it.
func UnmarshalForeignProvider(data []byte) (ForeignProvider, error) {
	s := cryptobyte.String(data)
	p, ok := ReadForeignProvider(&s)
	if !ok || !s.Empty() {
		return ForeignProvider{}, errForeign
	}
	return p, nil
}

// foreignHead is what is counted of a value.
type foreignHead struct {
	From    Hash
	Expires uint64
	Size    uint32 // bytes of key and value
}

func (h *foreignHead) usage() ForeignUsage { return ForeignUsage{Values: 1, Bytes: int64(h.Size)} }

func (h *foreignHead) marshal() []byte {
	b := append(make([]byte, 0, 1+len(h.From)+8+4), foreignVersion)
	b = append(b, h.From[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Expires)
	return binary.BigEndian.AppendUint32(b, h.Size)
}

func unmarshalForeignHead(data []byte) (foreignHead, error) {
	var h foreignHead
	var version uint8
	s := cryptobyte.String(data)
	if !s.ReadUint8(&version) || version != foreignVersion || !s.CopyBytes(h.From[:]) || !s.ReadUint64(&h.Expires) || !s.ReadUint32(&h.Size) ||
		h.Size == 0 || h.Size > MaxForeignKey+MaxForeignValue || !s.Empty() {
		return foreignHead{}, errForeign
	}
	return h, nil
}
