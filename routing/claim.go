package routing

import (
	"bytes"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

// Bounds on what a peer says of itself.
const (
	// MaxZone and MaxVersion are the length limits of a zone's and a program version's name, in bytes.
	MaxZone    = 128
	MaxVersion = 64
	// maxAddrs is the most addresses of one peer, maxAddrSize the longest of them in binary form.
	maxAddrs    = 16
	maxAddrSize = 256
	// maxSealed bounds a claim in its signed envelope: the fields at their limits, and room for key, signature and framing.
	maxSealed = maxAddrs*(maxAddrSize+2) + MaxZone + MaxVersion + 512
)

// claimVersion is the version of the claim's encoding.
const claimVersion = 1

// claimPayloadType tells claims from everything else that peers sign.
var claimPayloadType = []byte("/folkmoot/member")

// claimRecord is a claim as the payload of a signed envelope. The peer that it is about is the one that signed.
//
//	uint8   version, 1
//	uint64  incarnation, not 0
//	uint32  absence in milliseconds, 0 while present
//	uint8   departure: 0 stays, 1 leaves for good, 2 has left, which goes with no absence
//	string  zone, its length in one byte
//	string  program version, its length in one byte
//	list    addresses, its size in two bytes, in ascending order; each a binary multiaddr with its length in two bytes
//
// Among the addresses, /p2p-circuit alone says that the peer relays for others. Programs that know nothing of it take it for an address that can't be dialled.
type claimRecord struct {
	network swarm.NetworkID
	claim   swim.Claim
}

var _ record.Record = (*claimRecord)(nil)

// relayMark stands among the addresses of a peer that relays.
var relayMark = ma.StringCast("/p2p-circuit")

// markedAddrs returns a claim's addresses with the mark of a peer that relays among them.
func markedAddrs(c *swim.Claim) []ma.Multiaddr {
	if !c.Relay {
		return c.Addrs
	}
	i, _ := slices.BinarySearchFunc(c.Addrs, relayMark, compareAddrs)
	return slices.Insert(slices.Clone(c.Addrs), i, relayMark)
}

// unmark takes the mark out of a claim's addresses, which are in order.
func unmark(c *swim.Claim) {
	if i, found := slices.BinarySearchFunc(c.Addrs, relayMark, compareAddrs); found {
		c.Addrs, c.Relay = slices.Delete(c.Addrs, i, i+1), true
	}
}

func (r *claimRecord) Domain() string { return r.network.SigningDomain("member") }
func (r *claimRecord) Codec() []byte  { return claimPayloadType }

// MarshalRecord encodes the claim. It refuses one that UnmarshalRecord would refuse.
func (r *claimRecord) MarshalRecord() ([]byte, error) {
	c := &r.claim
	if err := validateClaim(c); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddUint8(claimVersion)
	b.AddUint64(c.Incarnation)
	b.AddUint32(uint32(c.Away / time.Millisecond))
	b.AddUint8(uint8(c.Departure))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.Zone)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.Version)) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, a := range markedAddrs(c) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Bytes()) })
		}
	})
	return b.Bytes()
}

// UnmarshalRecord decodes a claim and checks all bounds.
func (r *claimRecord) UnmarshalRecord(data []byte) error {
	s := cryptobyte.String(data)
	var version uint8
	var away uint32
	var zone, program, addrs cryptobyte.String
	var c swim.Claim
	if !s.ReadUint8(&version) || version != claimVersion {
		return fmt.Errorf("claim of version %d, want %d", version, claimVersion)
	}
	if !s.ReadUint64(&c.Incarnation) || !s.ReadUint32(&away) || !s.ReadUint8((*uint8)(&c.Departure)) || !s.ReadUint8LengthPrefixed(&zone) ||
		!s.ReadUint8LengthPrefixed(&program) || !s.ReadUint16LengthPrefixed(&addrs) || !s.Empty() {
		return errMalformed
	}
	c.Away, c.Zone, c.Version = time.Duration(away)*time.Millisecond, string(zone), string(program)
	for !addrs.Empty() {
		var raw cryptobyte.String
		if !addrs.ReadUint16LengthPrefixed(&raw) || len(raw) > maxAddrSize || len(c.Addrs) == maxAddrs {
			return errMalformed
		}
		a, err := ma.NewMultiaddrBytes(slices.Clone(raw))
		if err != nil {
			return fmt.Errorf("address in a claim: %w", err)
		}
		if !bytes.Equal(a.Bytes(), raw) {
			return errMalformed
		}
		c.Addrs = append(c.Addrs, a)
	}
	if err := validateAddrs(c.Addrs); err != nil {
		return err
	}
	unmark(&c)
	if err := validateClaim(&c); err != nil {
		return err
	}
	r.claim = c
	return nil
}

// validateClaim checks the bounds and the order that make the encoding canonical.
func validateClaim(c *swim.Claim) error {
	switch {
	case c.Incarnation == 0:
		return fault.New(fault.Invalid, "incarnation is 0")
	case c.Away < 0 || c.Away > swim.MaxAbsence || c.Away%time.Millisecond != 0:
		return fault.New(fault.Invalid, "absence of %v: want whole milliseconds up to %v", c.Away, swim.MaxAbsence)
	case !c.Departure.Valid():
		return fault.New(fault.Invalid, "departure %d: want less", c.Departure)
	case c.Departure == swim.Left && c.Away > 0:
		return fault.New(fault.Invalid, "a peer that has left announces an absence")
	}
	if err := validateName("zone", c.Zone, MaxZone); err != nil {
		return err
	}
	if err := validateName("program version", c.Version, MaxVersion); err != nil {
		return err
	}
	if slices.ContainsFunc(c.Addrs, relayMark.Equal) {
		return fault.New(fault.Invalid, "%s is not an address", relayMark)
	}
	return validateAddrs(markedAddrs(c))
}

// validateAddrs checks addresses as they are on the wire, the mark of a peer that relays included.
func validateAddrs(addrs []ma.Multiaddr) error {
	if len(addrs) > maxAddrs {
		return fault.New(fault.Invalid, "%d addresses: want at most %d", len(addrs), maxAddrs)
	}
	for i, a := range addrs {
		if n := len(a.Bytes()); n == 0 || n > maxAddrSize {
			return fault.New(fault.Invalid, "address of %d bytes: want 1 to %d", n, maxAddrSize)
		}
		if i > 0 && compareAddrs(addrs[i-1], a) >= 0 {
			return fault.New(fault.Invalid, "addresses are not in ascending order")
		}
	}
	return nil
}

// validateName refuses what could not be printed as it is.
func validateName(what, s string, limit int) error {
	if len(s) > limit {
		return fault.New(fault.Invalid, "%s of %d bytes: want at most %d", what, len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fault.New(fault.Invalid, "%s %q is not UTF-8", what, s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fault.New(fault.Invalid, "%s %q has characters that can't be printed", what, s)
		}
	}
	return nil
}

func compareAddrs(a, b ma.Multiaddr) int { return bytes.Compare(a.Bytes(), b.Bytes()) }

// sealClaim signs a claim and fills in its ID and envelope.
func sealClaim(key crypto.PrivKey, network swarm.NetworkID, c swim.Claim) (*swim.Claim, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("derive the peer id: %w", err)
	}
	envelope, err := record.Seal(&claimRecord{network: network, claim: c}, key)
	if err != nil {
		return nil, fmt.Errorf("sign the claim: %w", err)
	}
	if c.Sealed, err = envelope.Marshal(); err != nil {
		return nil, fmt.Errorf("encode the claim: %w", err)
	}
	c.ID = id
	return &c, nil
}

// openClaim verifies a claim's envelope and returns the claim. Sealed is encoded anew, so that nothing that the signature does not cover is
// passed on.
func openClaim(network swarm.NetworkID, sealed []byte) (*swim.Claim, error) {
	if len(sealed) > maxSealed {
		return nil, fault.New(fault.TooLarge, "claim of %d bytes: want at most %d", len(sealed), maxSealed)
	}
	r := claimRecord{network: network}
	envelope, err := record.ConsumeTypedEnvelope(sealed, &r)
	if err != nil {
		return nil, fmt.Errorf("open the claim: %w", err)
	}
	if !bytes.Equal(envelope.PayloadType, claimPayloadType) || envelope.PublicKey.Type() != pb.KeyType_Ed25519 {
		return nil, errMalformed
	}
	c := r.claim
	if c.ID, err = peer.IDFromPublicKey(envelope.PublicKey); err != nil {
		return nil, fmt.Errorf("derive the signer's peer id: %w", err)
	}
	if c.Sealed, err = envelope.Marshal(); err != nil {
		return nil, fmt.Errorf("encode the claim: %w", err)
	}
	return &c, nil
}
