package routing

import (
	"crypto/sha256"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// question is a recursive question on the wire: for the Count peers, 1 to maxClosest, nearest to Target.
type question struct {
	Target [sha256.Size]byte
	Count  uint8
	// Budget is how many messages it may cause, this one included; 1 to maxBudget.
	Budget uint8
	// Patience is how long the answer is waited for, in milliseconds, up to recursivePatience.
	Patience uint16
}

// recursiveAnswer answers a question, or refuses it: another peer may be asked.
type recursiveAnswer struct {
	Refused bool
	// Hops is how often the question was passed on until it was answered, as those on the way say.
	Hops   uint8
	Claims []sealedClaim
}

// passedOn returns the question as it is passed on, with a part of the time left for the way back.
func (q question) passedOn() question {
	q.Patience -= max(q.Patience/patienceParts, 1)
	if time.Duration(q.Patience)*time.Millisecond < minPatience {
		q.Patience = uint16(minPatience.Milliseconds())
	}
	return q
}

func (q *question) add(b *cryptobyte.Builder) {
	b.AddBytes(q.Target[:])
	b.AddUint8(q.Count)
	b.AddUint8(q.Budget)
	b.AddUint16(q.Patience)
}

func (q *question) read(s *cryptobyte.String) bool {
	return s.CopyBytes(q.Target[:]) && s.ReadUint8(&q.Count) && s.ReadUint8(&q.Budget) && s.ReadUint16(&q.Patience) &&
		q.Count > 0 && q.Count <= maxClosest && q.Budget > 0 && q.Budget <= maxBudget &&
		q.Patience > 0 && time.Duration(q.Patience)*time.Millisecond <= recursivePatience
}

func (a *recursiveAnswer) add(b *cryptobyte.Builder) {
	addBool(b, a.Refused)
	b.AddUint8(a.Hops)
	addList(b, a.Claims, addSealed)
}

func (a *recursiveAnswer) read(s *cryptobyte.String) bool {
	return readBool(s, &a.Refused) && s.ReadUint8(&a.Hops) && readList(s, &a.Claims, maxClosest, readSealed) &&
		a.Hops <= maxBudget && (!a.Refused || len(a.Claims) == 0 && a.Hops == 0)
}
