package records

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/routing"
)

// DefaultCopies is how many copies of each record a network that is large enough keeps.
const DefaultCopies = 5

// MaxCopies bounds the number of copies that can be configured.
const MaxCopies = 32

// A topology is a view prepared for placing keys: made once for a view, used for every key.
type topology struct {
	view      *routing.View
	hashes    [][sha256.Size]byte // of the members' ids
	zones     []int               // of the members: numbers below zoneCount, equal where the zones are
	wanted    int
	quorum    int
	zoneCount int
	perZone   int // most holders in one zone while other zones have members left
	// aliveZones is the number of zones that have an alive member.
	aliveZones int
}

// newTopology prepares a view. Wanted counts every member, those known to be dead included, until they are forgotten: half a network never takes itself for the whole.
func newTopology(view *routing.View, copies int) *topology {
	t := &topology{
		view: view, hashes: make([][sha256.Size]byte, len(view.Members)), zones: make([]int, len(view.Members)),
		wanted: min(copies, len(view.Members)),
	}
	t.quorum = t.wanted/2 + 1
	numbers := map[string]int{}
	live, alive := map[int]bool{}, map[int]bool{}
	for i := range view.Members {
		m := &view.Members[i]
		t.hashes[i] = sha256.Sum256([]byte(m.ID))
		zone, ok := numbers[m.Zone]
		if !ok {
			zone = len(numbers)
			numbers[m.Zone] = zone
		}
		t.zones[i] = zone
		if m.State != routing.Dead {
			live[zone] = true
		}
		if m.State == routing.Alive {
			alive[zone] = true
		}
	}
	t.zoneCount, t.aliveZones = len(numbers), len(alive)
	if n := min(len(live), t.wanted); n > 0 {
		t.perZone = (t.wanted + n - 1) / n
	}
	return t
}

// placeAmong times the copies wanted is how many of the nearest members are looked at first.
const placeAmong = 3

// A placement says who holds a key. Members are indices into the view's.
type placement struct {
	*topology
	hash    [sha256.Size]byte
	holders []int
	// witness is the member that lends an acknowledgement its second zone where two zones are alive but all alive holders are in one, or -1. What it stores
	// counts for the zone and not for the number of copies.
	witness int
}

type near struct {
	distance uint64 // the first 8 bytes of the XOR
	member   int
}

// place returns who holds the key with the given hash: of the members that are not dead, the wanted number whose ids' SHA-256 is nearest by XOR, not more than
// perZone in one zone unless the others have too few members. The result depends on nothing but view, hash and number of copies.
func (t *topology) place(hash [sha256.Size]byte) placement {
	p := placement{topology: t, hash: hash, witness: -1}
	// The nearest few are nearly always enough; where they lie in too few zones, all are looked at.
	few := placeAmong * t.wanted
	if p.choose(t.nearest(hash, few), few < len(t.hashes)); len(p.holders) < t.wanted && few < len(t.hashes) {
		p.choose(t.nearest(hash, len(t.hashes)), false)
	}
	p.chooseWitness()
	return p
}

// choose fills holders from members in order of distance. While there are more members than these, the zones' shares are not exceeded.
func (p *placement) choose(order []near, more bool) {
	var buf [64]int
	used := buf[:] // holders by zone
	if p.zoneCount > len(buf) {
		used = make([]int, p.zoneCount)
	}
	p.holders = make([]int, 0, p.wanted)
	for _, n := range order {
		if zone := p.zones[n.member]; len(p.holders) < p.wanted && used[zone] < p.perZone {
			used[zone]++
			p.holders = append(p.holders, n.member)
		}
	}
	for _, n := range order {
		if more || len(p.holders) == p.wanted {
			return
		}
		if !slices.Contains(p.holders, n.member) {
			p.holders = append(p.holders, n.member)
		}
	}
}

// further returns the n nearest members that are neither dead nor holders, nearest first: who may have a record that was written before the view grew.
func (p *placement) further(n int) []int {
	order := p.nearest(p.hash, n+len(p.holders))
	members := make([]int, 0, n)
	for _, c := range order {
		if len(members) < n && !slices.Contains(p.holders, c.member) {
			members = append(members, c.member)
		}
	}
	return members
}

// nearest returns the up to n nearest members that are not dead, nearest first.
func (t *topology) nearest(hash [sha256.Size]byte, n int) []near {
	n = min(n, len(t.hashes))
	order := make([]near, 0, n)
	prefix := binary.BigEndian.Uint64(hash[:])
	compare := func(a, b near) int {
		if c := cmp.Compare(a.distance, b.distance); c != 0 {
			return c
		}
		return t.compareRest(hash, a.member, b.member)
	}
	for i := range t.hashes {
		if t.view.Members[i].State == routing.Dead {
			continue
		}
		c := near{binary.BigEndian.Uint64(t.hashes[i][:]) ^ prefix, i}
		if len(order) == n {
			if compare(c, order[n-1]) > 0 {
				continue
			}
			order = order[:n-1]
		}
		at, _ := slices.BinarySearchFunc(order, c, compare)
		order = slices.Insert(order, at, c)
	}
	return order
}

// compareRest compares the distances of two members byte by byte.
func (t *topology) compareRest(hash [sha256.Size]byte, a, b int) int {
	for i := range hash {
		if c := cmp.Compare(t.hashes[a][i]^hash[i], t.hashes[b][i]^hash[i]); c != 0 {
			return c
		}
	}
	return 0
}

func (p *placement) chooseWitness() {
	if p.aliveZones < 2 || p.wanted < 2 {
		return
	}
	zone := -1 // of the alive holders
	for _, i := range p.holders {
		if p.view.Members[i].State != routing.Alive {
			continue
		}
		if zone >= 0 && p.zones[i] != zone {
			return
		}
		zone = p.zones[i]
	}
	for _, i := range p.further(len(p.hashes)) {
		if p.view.Members[i].State == routing.Alive && p.zones[i] != zone {
			p.witness = i
			return
		}
	}
}

// spansZones reports whether an acknowledgement by the given members keeps the zone rule.
func (p *placement) spansZones(members []int) bool {
	if p.aliveZones < 2 || p.wanted < 2 {
		return true
	}
	return slices.ContainsFunc(members, func(i int) bool { return p.zones[i] != p.zones[members[0]] })
}

func (t *topology) member(i int) *routing.Member { return &t.view.Members[i] }

func (t *topology) id(i int) peer.ID { return t.view.Members[i].ID }
