package enrol

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// seatPower is the voting power of a validator that is voted in.
	seatPower = 1
	// maxBehind is how many blocks a peer may lack by what it said last and count as one that has caught up. Said is what was so a second or two ago, and under load there are dozens of blocks a second.
	maxBehind = 200
)

// Validator is one of the ledger's.
type Validator struct {
	Key      ledger.PublicKey
	Power    uint64
	Operator ledger.AccountID
}

// situation is what the next change follows from.
type situation struct {
	seats      int // how many there are to be
	height     int64
	inForce    bool
	validators []Validator
	claims     []Claim // by those who answer now, the node itself included
	book       map[ledger.PublicKey]int
}

// decision is the next change; nil: none. why says what for, or what is waited for.
type decision struct {
	change *ledger.SetPower
	why    string
}

// equal tells whether two decisions are for the same change.
func (d *decision) equal(other *decision) bool {
	if d.change == nil || other.change == nil {
		return d.change == other.change
	}
	return *d.change == *other.change
}

// table is a situation in the form in which it is asked about.
type table struct {
	*situation
	byKey       map[ledger.PublicKey]*Claim
	bySeat      map[int]*Claim // seats that exactly one claims
	contested   []int
	live, total uint64
}

func newTable(s *situation) *table {
	t := &table{situation: s, byKey: make(map[ledger.PublicKey]*Claim), bySeat: make(map[int]*Claim)}
	claimed := make(map[int]int)
	for i := range s.claims {
		c := &s.claims[i]
		t.byKey[c.Key], t.bySeat[c.Seat] = c, c
		claimed[c.Seat]++
	}
	for seat, n := range claimed {
		if n > 1 {
			delete(t.bySeat, seat)
			t.contested = append(t.contested, seat)
		}
	}
	slices.Sort(t.contested)
	for _, v := range s.validators {
		t.total += v.Power
		if t.isLive(&v) {
			t.live += v.Power
		}
	}
	return t
}

// seatOf returns the seat of a validator; there is none for those that have nothing to do with the secret.
func (t *table) seatOf(v *Validator) (int, bool) {
	if c := t.byKey[v.Key]; c != nil {
		return c.Seat, true
	}
	seat, ok := t.book[v.Key]
	return seat, ok
}

// isLive tells whether a validator votes, as far as is known. Those without a seat can't be asked, and are their owners' concern.
func (t *table) isLive(v *Validator) bool {
	if c := t.byKey[v.Key]; c != nil {
		return c.Ready && t.caughtUp(c)
	}
	_, seated := t.seatOf(v)
	return !seated
}

// caughtUp tells whether a peer has about all blocks. One that lacks them votes on none that is to be decided now.
func (t *table) caughtUp(c *Claim) bool { return c.Height+maxBehind >= t.height }

// safe tells whether those who vote would have more than two thirds of the power.
func safe(live, total uint64) bool { return total > 0 && 3*live > 2*total }

// decide returns the next change. Whoever is asked in the same situation says the same.
func decide(s *situation) decision {
	if !s.inForce {
		return decision{why: "the last change of validators is not in force yet"}
	}
	t := newTable(s)
	var waits []string
	for _, step := range []func() (decision, bool){t.remove, t.add} {
		d, some := step()
		if d.change != nil {
			return d
		}
		if some {
			waits = append(waits, d.why)
		}
	}
	for _, seat := range t.contested {
		waits = append(waits, fmt.Sprintf("several claim seat %d", seat))
	}
	if len(waits) == 0 {
		return decision{why: "there is nothing to change"}
	}
	return decision{why: waits[0]}
}

// leaver is a validator that is to lose its power.
type leaver struct {
	Validator
	seat int
	live bool
	why  string
}

// leavers returns the validators that are to lose their power, the most urgent first: those that don't vote, then the highest seats.
func (t *table) leavers() (list []leaver) {
	for _, v := range t.validators {
		seat, seated := t.seatOf(&v)
		if !seated {
			continue
		}
		claim, other, why := t.byKey[v.Key], t.bySeat[seat], ""
		switch {
		case claim != nil && claim.Leaving:
			why = "leaves"
		case seat >= t.seats:
			why = fmt.Sprintf("is beyond the %d that are wanted", t.seats)
		case claim == nil && other != nil:
			why = "is gone, and another has come in its place"
		default:
			continue
		}
		list = append(list, leaver{v, seat, t.isLive(&v), fmt.Sprintf("the validator of seat %d %s", seat, why)})
	}
	slices.SortFunc(list, func(a, b leaver) int {
		if a.live != b.live {
			if b.live {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.seat, a.seat), bytes.Compare(a.Key[:], b.Key[:]))
	})
	return list
}

func (t *table) remove() (d decision, some bool) {
	for _, l := range t.leavers() {
		live := t.live
		if l.live {
			live -= l.Power
		}
		if safe(live, t.total-l.Power) {
			return decision{&ledger.SetPower{Validator: l.Key, Operator: l.Operator}, l.why}, true
		}
		if !some {
			d.why = fmt.Sprintf("%s, but without it those that vote would have %d of %d of the power, and more than two thirds are needed", l.why, live, t.total-l.Power)
		}
		some = true
	}
	return d, some
}

// add lets the lowest seat in whose peer has no power.
func (t *table) add() (d decision, some bool) {
	powers, taken := make(map[ledger.PublicKey]bool), make(map[int]bool)
	for _, v := range t.validators {
		powers[v.Key] = true
		if seat, ok := t.seatOf(&v); ok {
			taken[seat] = true
		}
	}
	for seat := range t.seats {
		c := t.bySeat[seat]
		if c == nil || c.Leaving || powers[c.Key] {
			continue
		}
		who := fmt.Sprintf("the peer in seat %d", seat)
		switch {
		case taken[seat]:
			d.why = who + " waits for the validator that had its place to be voted out"
		case !c.Ready || !t.caughtUp(c):
			d.why = who + " has not caught up with the ledger yet"
		case len(t.validators) >= ledger.MaxValidators:
			d.why = who + " has to wait: there are as many validators as there can be"
		case !safe(t.live+seatPower, t.total+seatPower):
			d.why = fmt.Sprintf("%s is ready, but with it those that vote would have %d of %d of the power, and more than two thirds are needed", who, t.live+seatPower, t.total+seatPower)
		default:
			return decision{&ledger.SetPower{Validator: c.Key, Power: seatPower, Operator: c.Operator}, who + " has caught up with the ledger"}, true
		}
		some = true
	}
	return d, some
}

// proposer tells whether the one with a key is to propose: of those with power that vote the one in the lowest seat.
func proposer(s *situation, key ledger.PublicKey) bool {
	t := newTable(s)
	lowest, who := MaxSeats, ledger.PublicKey{}
	for _, v := range t.validators {
		if c := t.byKey[v.Key]; c != nil && c.Ready && c.Seat < lowest {
			lowest, who = c.Seat, v.Key
		}
	}
	return who == key
}
