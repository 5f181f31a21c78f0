package routing

import (
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
)

// questionIDSize is the size of the number that tells a broadcast question from others.
const questionIDSize = 16

type questionID [questionIDSize]byte

// broadcastQuestion asks those that are among the Radius peers, 1 to maxRadius, nearest to Target to answer Asker, who signed the message that carries it.
type broadcastQuestion struct {
	ID     questionID
	Target [sha256.Size]byte
	Radius uint8
	Asker  sealedClaim
}

// broadcastAnswer answers a question with what the speaker says of itself.
type broadcastAnswer struct {
	ID    questionID
	Claim sealedClaim
}

func (q *broadcastQuestion) add(b *cryptobyte.Builder) {
	b.AddBytes(q.ID[:])
	b.AddBytes(q.Target[:])
	b.AddUint8(q.Radius)
	addSealed(b, q.Asker)
}

func (q *broadcastQuestion) read(s *cryptobyte.String) bool {
	return s.CopyBytes(q.ID[:]) && s.CopyBytes(q.Target[:]) && s.ReadUint8(&q.Radius) && q.Radius > 0 && q.Radius <= maxRadius && readSealed(s, &q.Asker)
}

func (a *broadcastAnswer) add(b *cryptobyte.Builder) {
	b.AddBytes(a.ID[:])
	addSealed(b, a.Claim)
}

func (a *broadcastAnswer) read(s *cryptobyte.String) bool {
	return s.CopyBytes(a.ID[:]) && readSealed(s, &a.Claim)
}
