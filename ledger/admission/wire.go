package admission

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
)

// Names of the protocols, behind the network's id: what is spoken with strangers, and among members about who they are.
const (
	lobbyName  = "lobby/1"
	rosterName = "roster/1"
)

// LobbyProtocol returns the id of the protocol that is spoken with strangers.
func LobbyProtocol(n swarm.NetworkID) protocol.ID { return n.Protocol(lobbyName) }

// On the lobby's stream, which the member opens, the stranger sends one request, of kind uint8, length uint24 and payload, and gets one answer, of verdict uint8, length uint24 and payload.
//
//	ask      account key[32], signature[64]   the payload of the answer is an Offer in JSON
//	join     a transaction                    a receipt of members
//	present  height uint64, a receipt         nothing; the connection goes on
//
// Who is refused a presentation since it was expelled is shown the proof: the payload of that answer is a receipt, or nothing where the member has none yet, or has shown as much as it may.
type requestKind uint8

const (
	askKind requestKind = 1 + iota
	joinKind
	presentKind
)

const (
	frameHead = 4
	askSize   = ed25519.PublicKeySize + ed25519.SignatureSize
	// maxJoin is the most bytes of a transaction that admits one peer.
	maxJoin = 1 << 10
	// maxAnswer is the most bytes of an answer.
	maxAnswer = MaxReceipt
	// maxOffer is the most bytes of an Offer.
	maxOffer = ledger.MaxGenesis + 4<<10
)

// domainAsk begins what is signed to ask: so much that an answer goes to nobody but who asks.
const domainAsk = "folkmoot/invite-ask/1"

// verdict is how a request ended.
type verdict uint8

const (
	granted verdict = iota
	refusedStranger
	refusedExpelled
	refusedBusy
	refusedInvite
	refusedExpired
	refusedUsed
	refusedLedger
	refusedMalformed
	refusedMember
	refusedFailed

	numVerdicts
)

// err returns what a verdict means to who asked, nil for granted. by is the member who said so.
func (v verdict) err(by peer.ID) error {
	switch v {
	case granted:
		return nil
	case refusedStranger:
		return fault.New(fault.Forbidden, "member %s refuses this node: it is not a member of the network; ask a member for an invite, and say: moot join LINE", by)
	case refusedExpelled:
		return fault.New(fault.Forbidden, "member %s refuses this node: it was expelled from the network, or another key has replaced its own", by)
	case refusedBusy:
		return fault.New(fault.Unavailable, "member %s has too many at its door: try again in a few seconds", by)
	case refusedInvite:
		return fault.New(fault.NotFound, "member %s does not know the invite: it was revoked, or expired long ago; ask for a new one", by)
	case refusedExpired:
		return fault.New(fault.NotFound, "the invite has expired: ask for a new one")
	case refusedUsed:
		return fault.New(fault.Conflict, "the invite is used up: it has admitted as many peers as it was for; ask for a new one")
	case refusedLedger:
		return fault.New(fault.Unavailable, "member %s does not keep the ledger now, and can't admit anybody: try again, or ask for an invite with other addresses", by)
	case refusedMember:
		return ErrMember
	case refusedMalformed:
		return fault.New(fault.Invalid, "member %s does not understand this node: one of the two programs is too old", by)
	}
	return fault.New(fault.Unavailable, "member %s could not admit this node just now: try again", by)
}

// askBytes is what an invite's key signs for a stranger who asks a member.
func askBytes(network ledger.Hash, from, to peer.ID) []byte {
	b := append([]byte(domainAsk), network[:]...)
	b = append(append(b, byte(len(from))), from...)
	return append(append(b, byte(len(to))), to...)
}

// appendAsk returns the payload of a question.
func appendAsk(key ed25519.PrivateKey, network ledger.Hash, from, to peer.ID) []byte {
	return append([]byte(key.Public().(ed25519.PublicKey)), ed25519.Sign(key, askBytes(network, from, to))...)
}

// parseAsk returns the account of the invite that a stranger asks a member about, whose key has signed for both.
func parseAsk(network ledger.Hash, from, to peer.ID, data []byte) (account ledger.AccountID, ok bool) {
	if len(data) != askSize {
		return account, false
	}
	key, signature := ed25519.PublicKey(data[:ed25519.PublicKeySize]), data[ed25519.PublicKeySize:]
	if !ed25519.Verify(key, askBytes(network, from, to), signature) {
		return account, false
	}
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key)}}
	return keys.ID(), true
}

// An Offer is what a member says of an invite to who has its secret. Only the genesis can be checked, by its hash.
type Offer struct {
	Genesis json.RawMessage `json:"genesis"`
	// Members is how many there are, Left how many more the invite admits, and Until when it ends, in milliseconds since 1970.
	Members int    `json:"members"`
	Left    uint32 `json:"left"`
	Until   int64  `json:"until"`
	// Inviter is the account that made the invite, with its Note.
	Inviter ledger.AccountID `json:"inviter"`
	Note    string           `json:"note,omitempty"`
}

// parseOffer reads one. Errors are of kind fault.Invalid.
func parseOffer(data []byte) (*Offer, *ledger.Genesis, error) {
	if len(data) > maxOffer {
		return nil, nil, fault.New(fault.Invalid, "an answer of %d bytes: at most %d", len(data), maxOffer)
	}
	o := new(Offer)
	if err := json.Unmarshal(data, o); err != nil || len(o.Note) > ledger.MaxNote {
		return nil, nil, fault.New(fault.Invalid, "the answer can't be read")
	}
	g, err := ledger.ParseGenesis(o.Genesis)
	return o, g, err
}

func appendFrame(first byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{first, byte(n >> 16), byte(n >> 8), byte(n)}, payload...)
}

// readHead reads the first bytes of a request or an answer.
func readHead(r io.Reader) (first byte, n int, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, err
	}
	return head[0], int(head[1])<<16 | int(head[2])<<8 | int(head[3]), nil
}

// readExactly reads n bytes, and takes memory only as they come.
func readExactly(r io.Reader, n int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(data) < n {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}

// exchange sends a request and reads the answer.
func exchange(s swarm.Talk, kind requestKind, payload []byte) (verdict, []byte, error) {
	if _, err := s.Write(appendFrame(byte(kind), payload)); err != nil {
		return refusedFailed, nil, fmt.Errorf("send: %w", err)
	}
	first, n, err := readHead(s)
	if err != nil {
		return refusedFailed, nil, fmt.Errorf("no answer: %w", err)
	}
	if verdict(first) >= numVerdicts || n > maxAnswer || n > 0 && verdict(first) != granted && verdict(first) != refusedExpelled {
		return refusedFailed, nil, fault.New(fault.Invalid, "malformed answer")
	}
	data, err := readExactly(s, n)
	return verdict(first), data, err
}

// presentation is a receipt that is shown, with the height that it is said to be of.
func presentation(data []byte, height int64) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(height)), data...)
}

// parseJoin reads the transaction of somebody who wants to be admitted, which does that and nothing else. It checks the signature whatever else is wrong, so that all take the same time.
func parseJoin(network ledger.Hash, from peer.ID, data []byte) (*ledger.Transaction, *ledger.Admit) {
	t, err := ledger.ParseTransaction(data)
	if err != nil {
		return nil, nil
	}
	if len(t.Operations) != 1 || len(t.Authorizations) != 1 || len(t.Authorizations[0].Signatures) != 1 || t.Slot != nil {
		return nil, nil
	}
	wrong := ledger.VerifySignatures(network, []*ledger.Transaction{t})[0]
	o, ok := t.Operations[0].(*ledger.Admit)
	if !ok || o.Member != string(from) || wrong != nil {
		return nil, nil
	}
	return t, o
}

// rosterRequest is what a member asks another: what it knows itself. digest[32], count uint32, height uint64.
func rosterRequest(roster ledger.Roster, height int64) []byte {
	b := append([]byte(nil), roster.Digest[:]...)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, roster.Count), uint64(height))
}

func parseRosterRequest(data []byte) (roster ledger.Roster, height int64, ok bool) {
	s := cryptobyte.String(data)
	var n uint64
	ok = s.CopyBytes(roster.Digest[:]) && s.ReadUint32(&roster.Count) && s.ReadUint64(&n) && n <= 1<<63-1 && s.Empty()
	return roster, int64(n), ok
}
