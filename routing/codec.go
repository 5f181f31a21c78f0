package routing

import (
	"crypto/sha256"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/routing/swim"
)

// errMalformed is an encoding that no peer that keeps to the protocol sends.
var errMalformed = errors.New("malformed message")

// Bounds on messages.
const (
	// maxMessage bounds a message of the membership protocol, in bytes.
	maxMessage = 256 << 10
	// maxIDSize bounds a peer id; those of Ed25519 keys have 38 bytes.
	maxIDSize = 64
	// summaryPage is the most entries in one page of a summary.
	summaryPage = 512
	// tradeClaims and tradeWanted are the most claims and wishes in one trade.
	tradeClaims = 32
	tradeWanted = 32
	// maxProof bounds a proof, a signed envelope with little in it.
	maxProof = 512
	// nonceSize is the size of the number that makes a proof fresh.
	nonceSize = 16
	// digestSize is the size of the digest of a summary.
	digestSize = 32
)

// messageKind is the first byte of every request.
type messageKind uint8

const (
	// kindPing carries gossip and is answered with gossip.
	kindPing messageKind = iota + 1
	// kindAsk asks the receiver to have another peer prove that it runs, and is answered with the proof.
	kindAsk
	// kindProve asks the receiver to prove that it runs.
	kindProve
	// kindSummary asks for the names of the claims that the receiver holds, and is answered with a page of them.
	kindSummary
	// kindTrade hands over claims and asks for others, and is answered with those.
	kindTrade
	// kindClosest asks for the peers that the receiver knows to be closest to a point, and is answered with their claims.
	kindClosest
)

// gossip is swim.Message on the wire, with claims as they were signed.
type gossip struct {
	Incarnation, Known uint64
	Claims             []sealedClaim
	Rumours            []swim.Rumour
}

// sealedClaim is a claim whose signature has not been checked. Subject and Incarnation only tell whether to look closer.
type sealedClaim struct {
	swim.Entry
	Sealed []byte
}

// ask is an indirect probe: the receiver has Target prove that it runs and waits at most Timeout milliseconds.
type ask struct {
	Target  peer.ID
	Timeout uint16
	Nonce   [nonceSize]byte
}

// prove asks the receiver for a proof to Asker, who chose Nonce.
type prove struct {
	Asker peer.ID
	Nonce [nonceSize]byte
}

// proof answers ask and prove: a sealed proofRecord, or nothing.
type proof struct{ Sealed []byte }

// summaryRequest asks for the entries after After, in the order of ids, unless their digest is Digest.
type summaryRequest struct {
	Digest [digestSize]byte
	After  peer.ID
}

// summary is a page of entries in ascending order. Equal says that both sides hold the same and there is no page. More says that
// entries follow. Partial says that there are peers that the speaker has no room for, so that it asks for those it wants and is not to be handed others.
type summary struct {
	Equal, More, Partial bool
	Entries              []swim.Entry
}

// trade hands over claims and asks for those of other peers.
type trade struct {
	Claims []sealedClaim
	Wanted []peer.ID
}

// closestRequest asks for the Count peers, 1 to maxClosest, that are closest to Target.
type closestRequest struct {
	Target [sha256.Size]byte
	Count  uint8
}

// closestAnswer holds the claims of peers that are alive as the speaker sees it, itself included, closest first.
type closestAnswer struct{ Claims []sealedClaim }

func sealedOf(claims []*swim.Claim) []sealedClaim {
	out := make([]sealedClaim, 0, len(claims))
	for _, c := range claims {
		out = append(out, sealedClaim{swim.Entry{ID: c.ID, Incarnation: c.Incarnation}, c.Sealed})
	}
	return out
}

func addID(b *cryptobyte.Builder, id peer.ID) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(id)) })
}

func readID(s *cryptobyte.String, id *peer.ID) bool {
	var raw cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&raw) || len(raw) == 0 || len(raw) > maxIDSize {
		return false
	}
	*id = peer.ID(raw)
	return true
}

func addEntry(b *cryptobyte.Builder, e swim.Entry) {
	addID(b, e.ID)
	b.AddUint64(e.Incarnation)
}

func readEntry(s *cryptobyte.String, e *swim.Entry) bool {
	return readID(s, &e.ID) && s.ReadUint64(&e.Incarnation)
}

func addBool(b *cryptobyte.Builder, v bool) {
	if v {
		b.AddUint8(1)
	} else {
		b.AddUint8(0)
	}
}

func readBool(s *cryptobyte.String, v *bool) bool {
	var x uint8
	ok := s.ReadUint8(&x) && x <= 1
	*v = x == 1
	return ok
}

// addList writes a list with its size in three bytes.
func addList[T any](b *cryptobyte.Builder, items []T, add func(*cryptobyte.Builder, T)) {
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, item := range items {
			add(b, item)
		}
	})
}

// readList reads a list of at most limit items.
func readList[T any](s *cryptobyte.String, items *[]T, limit int, read func(*cryptobyte.String, *T) bool) bool {
	var list cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var item T
		if len(*items) == limit || !read(&list, &item) {
			return false
		}
		*items = append(*items, item)
	}
	return true
}

func addSealed(b *cryptobyte.Builder, c sealedClaim) {
	addEntry(b, c.Entry)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.Sealed) })
}

func readSealed(s *cryptobyte.String, c *sealedClaim) bool {
	var raw cryptobyte.String
	if !readEntry(s, &c.Entry) || !s.ReadUint16LengthPrefixed(&raw) || len(raw) == 0 || len(raw) > maxSealed {
		return false
	}
	c.Sealed = raw
	return true
}

// ownVerdict is the bit that marks a rumour as the speaker's own verdict.
const ownVerdict = 0x80

func addRumour(b *cryptobyte.Builder, r swim.Rumour) {
	addEntry(b, swim.Entry{ID: r.Subject, Incarnation: r.Incarnation})
	v := uint8(r.Verdict)
	if r.Own {
		v |= ownVerdict
	}
	b.AddUint8(v)
}

func readRumour(s *cryptobyte.String, r *swim.Rumour) bool {
	var e swim.Entry
	var v uint8
	if !readEntry(s, &e) || !s.ReadUint8(&v) {
		return false
	}
	r.Subject, r.Incarnation, r.Verdict, r.Own = e.ID, e.Incarnation, swim.State(v&^ownVerdict), v&ownVerdict != 0
	return r.Verdict == swim.Alive || r.Verdict == swim.Suspect || r.Verdict == swim.Dead
}

func (g *gossip) add(b *cryptobyte.Builder) {
	b.AddUint64(g.Incarnation)
	b.AddUint64(g.Known)
	addList(b, g.Claims, addSealed)
	addList(b, g.Rumours, addRumour)
}

func (g *gossip) read(s *cryptobyte.String) bool {
	return s.ReadUint64(&g.Incarnation) && s.ReadUint64(&g.Known) &&
		readList(s, &g.Claims, swim.MaxClaims, readSealed) && readList(s, &g.Rumours, swim.MaxRumours, readRumour)
}

func (a *ask) add(b *cryptobyte.Builder) {
	addID(b, a.Target)
	b.AddUint16(a.Timeout)
	b.AddBytes(a.Nonce[:])
}

func (a *ask) read(s *cryptobyte.String) bool {
	return readID(s, &a.Target) && s.ReadUint16(&a.Timeout) && s.CopyBytes(a.Nonce[:])
}

func (p *prove) add(b *cryptobyte.Builder) {
	addID(b, p.Asker)
	b.AddBytes(p.Nonce[:])
}

func (p *prove) read(s *cryptobyte.String) bool {
	return readID(s, &p.Asker) && s.CopyBytes(p.Nonce[:])
}

func (p *proof) add(b *cryptobyte.Builder) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(p.Sealed) })
}

func (p *proof) read(s *cryptobyte.String) bool {
	var raw cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&raw) || len(raw) > maxProof {
		return false
	}
	p.Sealed = raw
	return true
}

func (r *summaryRequest) add(b *cryptobyte.Builder) {
	b.AddBytes(r.Digest[:])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.After)) })
}

func (r *summaryRequest) read(s *cryptobyte.String) bool {
	var after cryptobyte.String
	if !s.CopyBytes(r.Digest[:]) || !s.ReadUint8LengthPrefixed(&after) || len(after) > maxIDSize {
		return false
	}
	r.After = peer.ID(after)
	return true
}

func (m *summary) add(b *cryptobyte.Builder) {
	addBool(b, m.Equal)
	addBool(b, m.More)
	addBool(b, m.Partial)
	addList(b, m.Entries, addEntry)
}

func (m *summary) read(s *cryptobyte.String) bool {
	if !readBool(s, &m.Equal) || !readBool(s, &m.More) || !readBool(s, &m.Partial) || !readList(s, &m.Entries, summaryPage, readEntry) {
		return false
	}
	for i := 1; i < len(m.Entries); i++ {
		if m.Entries[i-1].ID >= m.Entries[i].ID {
			return false
		}
	}
	return (!m.Equal || len(m.Entries) == 0) && (!m.More || len(m.Entries) > 0)
}

func (t *trade) add(b *cryptobyte.Builder) {
	addList(b, t.Claims, addSealed)
	addList(b, t.Wanted, addID)
}

func (t *trade) read(s *cryptobyte.String) bool {
	return readList(s, &t.Claims, tradeClaims, readSealed) && readList(s, &t.Wanted, tradeWanted, readID)
}

func (r *closestRequest) add(b *cryptobyte.Builder) {
	b.AddBytes(r.Target[:])
	b.AddUint8(r.Count)
}

func (r *closestRequest) read(s *cryptobyte.String) bool {
	return s.CopyBytes(r.Target[:]) && s.ReadUint8(&r.Count) && r.Count > 0 && r.Count <= maxClosest
}

func (a *closestAnswer) add(b *cryptobyte.Builder) { addList(b, a.Claims, addSealed) }

func (a *closestAnswer) read(s *cryptobyte.String) bool {
	return readList(s, &a.Claims, maxClosest, readSealed)
}

// body is the content of a request or response.
type body interface {
	add(*cryptobyte.Builder)
	read(*cryptobyte.String) bool
}

// encodeRequest returns the bytes of a request.
func encodeRequest(k messageKind, v body) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(uint8(k))
	v.add(b)
	return b.Bytes()
}

// encode returns the bytes of a response.
func encode(v body) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	v.add(b)
	return b.Bytes()
}

// decode reads all of data into v.
func decode(data []byte, v body) error {
	s := cryptobyte.String(data)
	if !v.read(&s) || !s.Empty() {
		return errMalformed
	}
	return nil
}
