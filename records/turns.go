package records

import (
	"slices"
	"strings"
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
	for n := state.walked.n; ; n++ {
		i, ok := p.inTurn(n)
		if !ok {
			return ""
		}
		r := &p.members[i]
		done := r.id == t.self || !r.here() || r.state == routing.Away || state.asked(r.id)
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
	_, asked := state.find(id)
	return asked
}

// find returns where in the evidence the words of a member are, or belong. A peer that catches up asks for them more often than for anything else, and where it has many shards to catch up in, hundreds have spoken of each.
func (state *shardState) find(id peer.ID) (i int, found bool) {
	return slices.BinarySearchFunc(state.evidence, id, func(e evidence, id peer.ID) int { return strings.Compare(string(e.peer), string(id)) })
}

// again returns a member that did not count when it was asked, a while ago, and may by now: the one that was asked longest ago. Who was no holder and is none is asked rarely: in a network that begins with
// nothing that is nearly everybody, and to ask them all again and again would be most of what it takes to form.
func (t *table) again(state *shardState, p *placement, now time.Time, skip func(peer.ID) bool) (longest peer.ID) {
	var at time.Time
	for i := range state.evidence {
		e := &state.evidence[i]
		age := now.Sub(e.at)
		switch {
		case age < askAgain || e.certain() || longest != "" && !e.at.Before(at):
		case age < askAgainLimit && e.standpoint == (standpoint{}) && !p.holds(e.peer):
		case !now.Before(t.waits[e.peer].until) && !skip(e.peer):
			longest, at = e.peer, e.at
		}
	}
	return longest
}
