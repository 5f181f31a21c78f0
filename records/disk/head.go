package disk

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// Rank orders the copies of one record: the greater wins, the same one wherever they meet.
type Rank [24]byte

// Compare is bytes.Compare of the two ranks.
func (r Rank) Compare(other Rank) int { return bytes.Compare(r[:], other[:]) }

// Time is the time at which the version was written, by a hybrid logical clock: milliseconds since the Unix epoch in the upper 48 bits, a counter in the lower.
func (r Rank) Time() uint64 { return binary.BigEndian.Uint64(r[:]) }

// Author is an Ed25519 public key.
type Author [32]byte

// Head is what is known of a record without its value.
type Head struct {
	Key    string // at most maxKey bytes
	Rank   Rank
	Author Author
	// Expires is in milliseconds since the Unix epoch; 0 means never.
	Expires uint64
	// Size is the length of the value in bytes.
	Size    uint32
	Deleted bool
	// Stored is when this disk took this version, in milliseconds since the Unix epoch. The disk sets it, and it never goes back from one Sequence to the next.
	Stored uint64
	// Sequence is the place of this version in the disk's order of changes, from 1. The disk sets it.
	Sequence uint64
}

const (
	headVersion     = 1
	providerVersion = 1
	flagDeleted     = 1
	// maxKey bounds the keys of stored records, in bytes.
	maxKey = 1 << 10
)

var (
	errHead     = errors.New("damaged head of a record")
	errProvider = errors.New("damaged provider record")
)

// size is the length of what append appends.
func (h *Head) size() int {
	return 1 + len(h.Rank) + len(h.Author) + 8 + 8 + 8 + 4 + 1 + 2 + len(h.Key)
}

func (h *Head) append(b []byte) []byte {
	b = append(b, headVersion)
	b = append(b, h.Rank[:]...)
	b = append(b, h.Author[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Expires)
	b = binary.BigEndian.AppendUint64(b, h.Stored)
	b = binary.BigEndian.AppendUint64(b, h.Sequence)
	b = binary.BigEndian.AppendUint32(b, h.Size)
	var flags byte
	if h.Deleted {
		flags |= flagDeleted
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Key)))
	return append(b, h.Key...)
}

func unmarshalHead(data []byte) (Head, error) {
	var h Head
	var version, flags uint8
	var key cryptobyte.String
	s := cryptobyte.String(data)
	if !s.ReadUint8(&version) || version != headVersion ||
		!s.CopyBytes(h.Rank[:]) || !s.CopyBytes(h.Author[:]) || !s.ReadUint64(&h.Expires) ||
		!s.ReadUint64(&h.Stored) || !s.ReadUint64(&h.Sequence) || !s.ReadUint32(&h.Size) ||
		!s.ReadUint8(&flags) || flags&^flagDeleted != 0 ||
		!s.ReadUint16LengthPrefixed(&key) || len(key) == 0 || len(key) > maxKey || !s.Empty() {
		return Head{}, errHead
	}
	h.Key, h.Deleted = string(key), flags&flagDeleted != 0
	return h, nil
}

// Provider is a provider record: a peer's signed word that it has what a key names.
type Provider struct {
	// Peer is the SHA-256 of the provider's peer id.
	Peer Hash
	Rank Rank
	// Expires is in milliseconds since the Unix epoch.
	Expires  uint64
	Envelope []byte
}

func (p *Provider) marshal() []byte {
	b := make([]byte, 0, 1+len(p.Rank)+8+len(p.Envelope))
	b = append(b, providerVersion)
	b = append(b, p.Rank[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Expires)
	return append(b, p.Envelope...)
}

// unmarshalProvider reads all but Peer, which is part of the key. Envelope aliases data.
func unmarshalProvider(data []byte) (Provider, error) {
	var p Provider
	var version uint8
	s := cryptobyte.String(data)
	if !s.ReadUint8(&version) || version != providerVersion || !s.CopyBytes(p.Rank[:]) || !s.ReadUint64(&p.Expires) || s.Empty() {
		return Provider{}, errProvider
	}
	p.Envelope = s
	return p, nil
}
