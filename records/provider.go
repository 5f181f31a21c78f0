package records

import (
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/cryptobyte"

	"crypto/sha256"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// ProviderTTL is how long a provider record lives.
	ProviderTTL = 24 * time.Hour
	// renewEvery is how often a node renews its own provider records.
	renewEvery = 12 * time.Hour
)

// Provider is a peer that offers what a key names.
type Provider struct {
	ID peer.ID
	// Addrs are those known of the peer; there may be none.
	Addrs   []ma.Multiaddr
	Expires time.Time
	// Foreign says that the peer is none of this network's members and told so by the Kademlia protocol: there is no signature that proves it.
	Foreign bool
}

// offer is what a provider signs: that it has what the key with this hash names.
type offer struct {
	hash    disk.Hash
	time    Timestamp
	expires uint64 // milliseconds since the Unix epoch
}

var errOffer = fault.New(fault.Invalid, "malformed provider record")

func (o *offer) marshal() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, 1+len(o.hash)+8+8))
	b.AddUint8(payloadVersion)
	b.AddBytes(o.hash[:])
	b.AddUint64(uint64(o.time))
	b.AddUint64(o.expires)
	return b.BytesOrPanic()
}

func unmarshalOffer(data []byte) (offer, error) {
	var o offer
	var version uint8
	s := cryptobyte.String(data)
	if !s.ReadUint8(&version) || version != payloadVersion || !s.CopyBytes(o.hash[:]) ||
		!s.ReadUint64((*uint64)(&o.time)) || !s.ReadUint64(&o.expires) || !s.Empty() {
		return offer{}, errOffer
	}
	// A provider record that outlived its bound would be a claim that nobody renews.
	if written := millis(o.time.Time()); o.expires < written || o.expires-written > uint64(ProviderTTL.Milliseconds()) {
		return offer{}, errOffer
	}
	return o, nil
}

// A signedOffer is an offer with the envelope that proves it.
type signedOffer struct {
	offer
	author   disk.Author
	rank     disk.Rank
	envelope []byte
}

func (s *signedOffer) stored() disk.Provider {
	return disk.Provider{Peer: sha256.Sum256([]byte(peerIDOf(s.author))), Rank: s.rank, Expires: s.expires, Envelope: s.envelope}
}

func sealOffer(s *signer, private crypto.PrivKey, author disk.Author, o offer) (signedOffer, error) {
	data := o.marshal()
	sealed, err := s.seal(private, author, data)
	if err != nil {
		return signedOffer{}, err
	}
	e := envelope{author: author[:], payload: data}
	return newSignedOffer(o, &e, sealed), nil
}

// openOffer checks form and signature.
func openOffer(s *signer, data []byte) (signedOffer, error) {
	e, err := parseEnvelope(data, providerType)
	if err != nil {
		return signedOffer{}, err
	}
	o, err := unmarshalOffer(e.payload)
	if err != nil {
		return signedOffer{}, err
	}
	if err := s.verify(&e); err != nil {
		return signedOffer{}, err
	}
	return newSignedOffer(o, &e, data), nil
}

func newSignedOffer(o offer, e *envelope, data []byte) signedOffer {
	digest := e.digest()
	version := Version{Time: o.time, Hash: [16]byte(digest[:])}
	return signedOffer{offer: o, author: e.authorKey(), rank: version.rank(), envelope: data}
}
