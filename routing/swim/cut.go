package swim

import (
	"bytes"
	"crypto/sha256"
	"math/bits"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// MaxNeighbours is how many connections are kept on purpose in a network of more than Timing.LargeNetwork members.
	MaxNeighbours = 64
	// elderShare is the part of a view, one in so many, that is kept for the members known longest: whoever comes later, with however many identities, does not displace them. Views of fewer than minElderView have none.
	elderShare   = 8
	minElderView = 256
)

// cut says which peers are kept when there are more than Config.MaxView: of those that are present, half of that number that are the nearest to this node by XOR, which
// makes lookups exact, and of the others those of lowest rank: a uniform sample that doesn't depend on the order of arrival, for gossip
// and for lookups of far points. Elders, the members known longest, are kept beside these wherever they are. Peers that are absent are kept if they would be when present.
type cut struct {
	limit int
	// valid is false after a change of who is present.
	valid bool
	// open says that there is room for everybody. near and rank are the farthest distance and the highest rank that are kept otherwise, or were when there was no room last.
	open       bool
	near, rank key
	// missed is when a peer was last left out.
	missed time.Time
}

// elders returns how many there are in a view that is full.
func (c *cut) elders() int {
	if c.limit < minElderView {
		return 0
	}
	return c.limit / elderShare
}

// recut brings the cut and the choice of neighbours up to date.
func (m *Machine) recut() {
	if m.cut.valid {
		return
	}
	m.cut.valid = true
	present := make([]*member, 0, len(m.roster))
	for _, mem := range m.roster {
		mem.neighbour = false
		if mem.state.present() {
			present = append(present, mem)
		}
	}
	m.chooseNeighbours(present)
	if m.cut.open = len(present) < m.cut.limit; m.cut.open {
		return
	}
	m.chooseElders()
	others := slices.DeleteFunc(present, func(mem *member) bool { return mem.elder })
	room := m.cut.limit - m.cut.elders()
	half := room / 2
	slices.SortFunc(others, compareDistance)
	m.cut.near = others[half-1].distance
	rest := others[half:]
	slices.SortFunc(rest, compareRank)
	m.cut.rank = rest[room-half-1].rank
}

// chooseElders chooses the elders of a view that is full: the members that entered first, of those that ever proved to run. One that is absent keeps its place until it is forgotten.
func (m *Machine) chooseElders() {
	if m.cut.elders() == 0 {
		return
	}
	proven := make([]*member, 0, len(m.roster))
	for _, mem := range m.roster {
		if mem.elder = false; !mem.proven.IsZero() {
			proven = append(proven, mem)
		}
	}
	slices.SortStableFunc(proven, func(a, b *member) int { return a.entered.Compare(b.entered) })
	for _, mem := range proven[:min(len(proven), m.cut.elders())] {
		mem.elder = true
	}
}

// chooseNeighbours chooses the members to which connections are kept: all, or some in a network too large for a full mesh. The order by rank has both sides
// of most pairs choose one another.
func (m *Machine) chooseNeighbours(present []*member) {
	if len(present) > m.t.LargeNetwork {
		present = lowest(present, MaxNeighbours, compareRank)
	}
	for _, mem := range present {
		mem.neighbour = true
	}
}

// lowest returns the n lowest of more, in order. It is called at each change of who is present, so that sorting all of them would cost most of what it takes a large network to form.
func lowest(members []*member, n int, compare func(a, b *member) int) []*member {
	low := slices.Clone(members[:n])
	slices.SortFunc(low, compare)
	for _, mem := range members[n:] {
		if compare(mem, low[n-1]) < 0 {
			i, _ := slices.BinarySearchFunc(low, mem, compare)
			copy(low[i+1:], low[i:n-1])
			low[i] = mem
		}
	}
	return low
}

// keeps says whether a peer at p belongs to what this node keeps of the network.
func (m *Machine) keeps(p *place) bool {
	m.recut()
	return m.cut.open || bytes.Compare(p.distance[:], m.cut.near[:]) <= 0 || bytes.Compare(p.rank[:], m.cut.rank[:]) <= 0
}

// wants says whether a peer that is not a member should become one, and notes that the view is partial when not.
func (m *Machine) wants(p *place) bool {
	if m.keeps(p) {
		return true
	}
	m.cut.missed = m.now
	return false
}

// trim forgets the members that are beyond the cut.
func (m *Machine) trim() {
	if m.counts[Alive]+m.counts[Suspect] <= m.cut.limit {
		return
	}
	m.cut.missed = m.now
	m.recut()
	var beyond []*member
	for _, mem := range m.roster {
		if !mem.elder && !m.keeps(&mem.place) {
			beyond = append(beyond, mem)
		}
	}
	for _, mem := range beyond {
		m.forget(mem)
	}
}

// Partial says whether peers were left out of the members lately, because there are more than are kept.
func (m *Machine) Partial() bool {
	return !m.cut.missed.IsZero() && m.now.Sub(m.cut.missed) < m.t.Forget
}

// Near returns how many leading bits a peer's hash must share with this node's so that the peer is kept in any case: 0 when all are.
func (m *Machine) Near() int {
	if !m.Partial() {
		return 0
	}
	m.recut()
	for i, b := range m.cut.near {
		if b != 0 {
			return 8*i + bits.LeadingZeros8(b) + 1
		}
	}
	return 8 * len(m.cut.near)
}

// large says whether only some connections are kept.
func (m *Machine) large() bool { return m.counts[Alive]+m.counts[Suspect] > m.t.LargeNetwork }

// Neighbours returns the members to which connections are kept on purpose, sorted by ID, and whether these are all that are present.
func (m *Machine) Neighbours() (ids []peer.ID, all bool) {
	m.recut()
	for _, mem := range m.roster {
		if mem.neighbour {
			ids = append(ids, mem.id())
		}
	}
	return ids, !m.large()
}

// Closest returns the claims of up to n peers, this node included, that are alive and nearest to target by XOR, nearest first.
func (m *Machine) Closest(target [sha256.Size]byte, n int) []*Claim {
	type ranked struct {
		distance key
		claim    *Claim
	}
	all := make([]ranked, 0, len(m.roster)+1)
	all = append(all, ranked{Distance(m.selfKey, target), m.self})
	for _, mem := range m.roster {
		if mem.state == Alive && mem.claim.Sealed != nil {
			all = append(all, ranked{Distance(mem.hash, target), mem.claim})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	nearest := make([]*Claim, 0, min(n, len(all)))
	for _, r := range all[:min(n, len(all))] {
		nearest = append(nearest, r.claim)
	}
	return nearest
}
