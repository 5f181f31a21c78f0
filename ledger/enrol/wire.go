package enrol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Bounds of secrets, seats and messages.
const (
	// MinSecret and MaxSecret bound the secret in bytes. A short one could be guessed from what one that asks sends to a stranger.
	MinSecret = 32
	MaxSecret = 1024
	// MaxSeats is the most seats there are.
	MaxSeats = ledger.MaxValidators
	// maxBook is the most validators of which somebody remembers the seat: those with power, and as many that lost it or are to get it.
	maxBook = 2 * ledger.MaxValidators
	// maxMessage is the most bytes of a question or an answer.
	maxMessage = 32 << 10
)

// What the two kinds of proofs begin with, so that one never passes for the other.
const (
	domainQuestion = "folkmoot enrol 1 question\x00"
	domainAnswer   = "folkmoot enrol 1 answer\x00"
)

const (
	nonceSize    = 32
	questionSize = nonceSize + sha256.Size
	// answerHead is the fixed part of an answer: flags, seat, key, operator, height, number of seats known.
	answerHead = 1 + 2 + 32 + 32 + 8 + 2
	entrySize  = 32 + 2
)

// The first byte of an answer.
const (
	flagReady   = 1 << 0
	flagLeaving = 1 << 1
	allFlags    = flagReady | flagLeaving
	// refusal alone is the answer to a question that did not prove the secret.
	refusal = 1 << 7
)

// A nonce makes each answer good for one question.
type nonce [nonceSize]byte

// A Claim is what a peer says of itself, and has proven with the secret.
type Claim struct {
	Peer     peer.ID
	Seat     int
	Key      ledger.PublicKey
	Operator ledger.AccountID
	// Height is that of its newest block.
	Height int64
	// Ready says that it has the blocks and would vote if it had power; Leaving that it asks to be voted out.
	Ready, Leaving bool
}

// An entry is a validator's seat as somebody remembers it.
type entry struct {
	Key  ledger.PublicKey
	Seat int
}

// answer is what is said to one that proves the secret.
type answer struct {
	Claim
	Book []entry
}

var errMalformed = fault.New(fault.Invalid, "malformed message")

// prover proves and checks the secret, in one network.
type prover struct {
	secret  []byte
	network ledger.Hash
}

// proof is over everything that it must not be taken out of: kind, network, both peers and the nonce. Each part has a fixed length or its length before it.
func (p *prover) proof(domain string, from, to peer.ID, n nonce, body []byte) []byte {
	m := hmac.New(sha256.New, p.secret)
	m.Write([]byte(domain))
	m.Write(p.network[:])
	for _, id := range []peer.ID{from, to} {
		m.Write(binary.BigEndian.AppendUint16(nil, uint16(len(id))))
		m.Write([]byte(id))
	}
	m.Write(n[:])
	m.Write(body)
	return m.Sum(nil)
}

// question asks one peer, and no other.
func (p *prover) question(from, to peer.ID, n nonce) []byte {
	return append(n[:len(n):len(n)], p.proof(domainQuestion, from, to, n, nil)...)
}

// readQuestion returns the nonce of a question, and whether the secret is proven. An error says that it is none.
func (p *prover) readQuestion(from, to peer.ID, data []byte) (n nonce, proven bool, err error) {
	if len(data) != questionSize {
		return n, false, errMalformed
	}
	copy(n[:], data)
	return n, hmac.Equal(data[nonceSize:], p.proof(domainQuestion, from, to, n, nil)), nil
}

// answer answers a question of that nonce.
func (p *prover) answer(from, to peer.ID, n nonce, a *answer) []byte {
	body := encodeAnswer(a)
	return append(body, p.proof(domainAnswer, from, to, n, body)...)
}

// readAnswer returns what a peer answered. It is fault.Forbidden when the peer has another secret, and fault.Invalid when the answer is none or not to that question.
func (p *prover) readAnswer(from, to peer.ID, n nonce, data []byte) (*answer, error) {
	if len(data) == 1 && data[0] == refusal {
		return nil, fault.New(fault.Forbidden, "it has another secret")
	}
	if len(data) < answerHead+sha256.Size {
		return nil, errMalformed
	}
	body, mac := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if !hmac.Equal(mac, p.proof(domainAnswer, from, to, n, body)) {
		return nil, fault.New(fault.Forbidden, "its answer does not prove the secret")
	}
	a, err := decodeAnswer(body)
	if err != nil {
		return nil, err
	}
	a.Peer = from
	return a, nil
}

func encodeAnswer(a *answer) []byte {
	b := make([]byte, 1, answerHead+len(a.Book)*entrySize+sha256.Size)
	if a.Ready {
		b[0] |= flagReady
	}
	if a.Leaving {
		b[0] |= flagLeaving
	}
	b = binary.BigEndian.AppendUint16(b, uint16(a.Seat))
	b = append(append(b, a.Key[:]...), a.Operator[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Height))
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.Book)))
	for _, e := range a.Book {
		b = binary.BigEndian.AppendUint16(append(b, e.Key[:]...), uint16(e.Seat))
	}
	return b
}

// decodeAnswer reads what encodeAnswer wrote. Each answer has one spelling.
func decodeAnswer(b []byte) (*answer, error) {
	if len(b) < answerHead || b[0]&^allFlags != 0 {
		return nil, errMalformed
	}
	a := new(answer)
	a.Ready, a.Leaving = b[0]&flagReady != 0, b[0]&flagLeaving != 0
	a.Seat = int(binary.BigEndian.Uint16(b[1:]))
	copy(a.Key[:], b[3:])
	copy(a.Operator[:], b[35:])
	height := binary.BigEndian.Uint64(b[67:])
	entries, rest := int(binary.BigEndian.Uint16(b[75:])), b[answerHead:]
	if a.Seat >= MaxSeats || height > math.MaxInt64 || entries > maxBook || len(rest) != entries*entrySize {
		return nil, errMalformed
	}
	a.Height = int64(height)
	for ; len(rest) > 0; rest = rest[entrySize:] {
		e := entry{Seat: int(binary.BigEndian.Uint16(rest[32:]))}
		copy(e.Key[:], rest)
		if e.Seat >= MaxSeats {
			return nil, errMalformed
		}
		a.Book = append(a.Book, e)
	}
	return a, nil
}
