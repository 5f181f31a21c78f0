package records

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/routing"
)

// walked says that of the members of a place, in the order in which they are asked, so many need not be asked any more. A peer that catches up looks at all its shards at each step, and all members of
// each would be most of its work.
type walked struct {
	place *place
	n     int
}

// unasked returns the next member to compare a shard with, or "" when all who can answer were: the other holders first, then those who may have held the shard before. Those for
// whom skip returns true are left out.
func (t *table) unasked(state *shardState, p *placement, skip func(peer.ID) bool) peer.ID {
	if state.walked.place != p.place {
		state.walked = walked{place: p.place}
	}
	said := 0
	for n := state.walked.n; ; n++ {
		i, ok := p.inTurn(n)
		if !ok {
			return ""
		}
		r := &p.members[i]
		done := r.id == t.self || !r.here() || r.state == routing.Away || state.saidAfter(&said, r.id)
		if done && n == state.walked.n {
			state.walked.n++
		}
		if !done && !(skip != nil && skip(r.id)) && !(t.shunned != nil && t.shunned(r.id)) {
			return r.id
		}
	}
}

// inTurn returns the member that is asked about the shard after n others. Every shard begins with another holder, so that the work is spread.
func (p *placement) inTurn(n int) (member int, ok bool) {
	if n < len(p.holders) {
		return p.holders[(n+int(p.shard))%len(p.holders)], true
	}
	others := p.others()
	if n -= len(p.holders); n >= len(others) {
		return 0, false
	}
	return others[n], true
}

// asked reports whether a member said how it stands in the shard.
func (state *shardState) asked(id peer.ID) bool {
	from := 0
	return state.saidAfter(&from, id)
}

// saidAfter reports whether a member said how it stands in the shard. It looks from the given place in the evidence on, all round, and moves that behind what it found: members are asked in nearly the order in which they
// are looked for.
func (state *shardState) saidAfter(from *int, id peer.ID) bool {
	for k := range state.evidence {
		at := (*from + k) % len(state.evidence)
		if state.evidence[at].peer == id {
			*from = at + 1
			return true
		}
	}
	return false
}

// again returns a member that did not count when it was asked, a while ago, and may by now. Who was no holder and is none is asked rarely: in a network that begins with nothing that is nearly everybody, and to ask them
// all again and again would be most of what it takes to form.
func (t *table) again(state *shardState, p *placement, now time.Time, skip func(peer.ID) bool) peer.ID {
	for _, e := range state.evidence {
		pause := askAgain
		if e.standpoint == (standpoint{}) && !p.holds(e.peer) {
			pause = askAgainLimit
		}
		if !e.certain() && now.Sub(e.at) >= pause && !now.Before(t.waits[e.peer].until) && !skip(e.peer) {
			return e.peer
		}
	}
	return ""
}
