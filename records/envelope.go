package records

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// Records travel and rest in libp2p's signed envelopes (libp2p specs, RFC 0002), in the one encoding that protobuf gives an envelope with an Ed25519 key; any
// other encoding is refused, so that equal envelopes are equal bytes. They are read and written here rather than by core/record, which copies the
// payload three times and takes every encoding and kind of key.
const (
	// envelopeKey introduces field 1, a public key message of 36 bytes with type Ed25519 and 32 bytes of key.
	envelopeKey = "\x0a\x24\x08\x01\x12\x20"
	// Tags of the further fields, all of bytes.
	tagPayloadType = 0x12
	tagPayload     = 0x1a
	tagSignature   = 0x2a
)

// Types of payload. Network id and kind are in the signing domain.
const (
	recordType   = "/folkmoot/record"
	providerType = "/folkmoot/provider"
)

var errEnvelope = fault.New(fault.Invalid, "malformed signed envelope")

// An envelope is a parsed signed envelope. Its fields alias the bytes that it was parsed from.
type envelope struct {
	author    []byte // Ed25519 public key
	payload   []byte
	signature []byte
}

// parseEnvelope takes an envelope apart. It does not check the signature.
func parseEnvelope(b []byte, payloadType string) (envelope, error) {
	var e envelope
	b, ok := bytes.CutPrefix(b, []byte(envelopeKey))
	if !ok || len(b) < ed25519.PublicKeySize+2 {
		return e, errEnvelope
	}
	e.author, b = b[:ed25519.PublicKeySize], b[ed25519.PublicKeySize:]
	if b[0] != tagPayloadType || int(b[1]) != len(payloadType) {
		return e, errEnvelope
	}
	if b, ok = bytes.CutPrefix(b[2:], []byte(payloadType)); !ok || len(b) == 0 || b[0] != tagPayload {
		return e, errEnvelope
	}
	length, n := binary.Uvarint(b[1:])
	if n <= 0 || n != uvarintLen(length) {
		return e, errEnvelope
	}
	b = b[1+n:]
	const tail = 2 + ed25519.SignatureSize
	if len(b) < tail || length == 0 || length != uint64(len(b)-tail) {
		return e, errEnvelope
	}
	e.payload, b = b[:length], b[length:]
	if b[0] != tagSignature || b[1] != ed25519.SignatureSize {
		return e, errEnvelope
	}
	e.signature = b[2:]
	return e, nil
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// authorKey returns the author as the disk and the wire have it.
func (e *envelope) authorKey() disk.Author { return disk.Author(e.author) }

// digest is the SHA-256 of author and payload: what breaks ties between versions.
func (e *envelope) digest() (d [sha256.Size]byte) {
	h := sha256.New()
	h.Write(e.author)
	h.Write(e.payload)
	h.Sum(d[:0])
	return d
}

// peerIDOf returns the peer id of an Ed25519 public key: the identity multihash of its protobuf encoding (libp2p specs, peer ids).
func peerIDOf(author disk.Author) peer.ID {
	const identityMultihash = "\x00\x24" // code 0, 36 bytes
	return peer.ID(identityMultihash + "\x08\x01\x12\x20" + string(author[:]))
}

// A signer makes and checks the signatures of one kind of payload in one network.
type signer struct {
	domain      string
	payloadType string
	buffers     sync.Pool // of *[]byte
}

// unsigned calls use with the bytes that are signed: domain, type and payload, each after its length.
func (s *signer) unsigned(payload []byte, use func([]byte)) {
	buf, _ := s.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	b := (*buf)[:0]
	b = append(binary.AppendUvarint(b, uint64(len(s.domain))), s.domain...)
	b = append(binary.AppendUvarint(b, uint64(len(s.payloadType))), s.payloadType...)
	b = append(binary.AppendUvarint(b, uint64(len(payload))), payload...)
	use(b)
	*buf = b
	s.buffers.Put(buf)
}

// seal signs payload. The key is an Ed25519 key whose public half is author.
func (s *signer) seal(key crypto.PrivKey, author disk.Author, payload []byte) ([]byte, error) {
	var signature []byte
	var err error
	s.unsigned(payload, func(b []byte) { signature, err = key.Sign(b) })
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	b := make([]byte, 0, len(payload)+len(s.payloadType)+len(author)+len(signature)+32)
	b = append(append(b, envelopeKey...), author[:]...)
	b = append(append(b, tagPayloadType, byte(len(s.payloadType))), s.payloadType...)
	b = binary.AppendUvarint(append(b, tagPayload), uint64(len(payload)))
	b = append(b, payload...)
	b = append(b, tagSignature, byte(len(signature)))
	return append(b, signature...), nil
}

// verify checks the signature.
func (s *signer) verify(e *envelope) error {
	var ok bool
	s.unsigned(e.payload, func(b []byte) { ok = ed25519.Verify(e.author, b, e.signature) })
	if !ok {
		return fault.New(fault.Invalid, "the signature is not that of %s in this network", peerIDOf(e.authorKey()))
	}
	return nil
}
