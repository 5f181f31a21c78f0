package records

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// DefaultCopies is how many copies of each record a network that is large enough keeps.
const DefaultCopies = 5

// MaxCopies bounds the number of copies that can be configured.
const MaxCopies = 32

// A topology is a view prepared for placing keys.
type topology struct {
	view *routing.View
	*layout
}

// A layout is what placing depends on: who is a member, where, and in what state. Views that differ in nothing else share one, with the places found so far.
type layout struct {
	members   []resident
	hashes    [][sha256.Size]byte // of the members' ids
	sorted    []int               // the members by their hashes
	zones     []int               // of the members: numbers below zoneCount, equal where the zones are
	wanted    int
	quorum    int
	zoneCount int
	perZone   int // most holders in one zone while other zones have members left
	// aliveZones is the number of zones that have an alive member.
	aliveZones int
	// absent says that members are dead or away.
	absent bool
	// near is how many leading bits a shard's first hash must share with the hash of this peer's id so that all members near it are in view; 0: all are everywhere.
	near     int
	self     peer.ID
	selfHash [sha256.Size]byte
	// some says that the members are but those nearest to a few shards: zones are counted among the nearest alone, as those count them who know no more.
	some   bool
	places *[disk.Shards]atomic.Pointer[place] // those found so far; nil in a layout that was looked up for one shard
	// outdone says for each number of leading bits which shards this peer can't hold: those whose first hash has just so many in common with the hash of its id.
	outdone [disk.ShardBits]bool
}

// A resident is a member as far as placing depends on it.
type resident struct {
	id      peer.ID
	zone    string
	state   routing.State
	leaving bool
}

func residentOf(m *routing.Member) resident { return resident{m.ID, m.Zone, m.State, m.Leaving} }

// here reports whether the member runs, or is expected back soon.
func (r *resident) here() bool { return r.state != routing.Dead }

// places reports whether copies are placed on the member.
func (r *resident) places() bool { return r.here() && !r.leaving }

// A place says who holds a shard. Members are indices into the view's. It never changes.
type place struct {
	shard   disk.Shard
	holders []int
	// witness is the member that lends an acknowledgement its second zone where two zones are alive but all alive holders are in one, or -1. What it stores
	// counts for the zone and not for the number of copies.
	witness int
	// shadowed says that the shard would have other holders if nobody were dead or away: records may exist that no holder has.
	shadowed bool
	// vague says that members near the shard may be missing from the view. This peer is not one of the holders then: it would have all of its neighbourhood in view.
	vague bool
	// rest are the members that are asked when the holders don't know; made when they are first needed.
	rest atomic.Pointer[[]int]
}

// A placement is a place in its topology.
type placement struct {
	*topology
	*place
}

// newTopology prepares a view. The layout of the topology before is taken over where it still fits.
func newTopology(view *routing.View, copies int, before *topology) *topology {
	if before != nil && before.fits(view) {
		return &topology{view, before.layout}
	}
	var known *layout
	if before != nil {
		known = before.layout
	}
	l := newLayout(view, copies, known)
	l.places = new([disk.Shards]atomic.Pointer[place])
	return &topology{view, l}
}

func (l *layout) fits(view *routing.View) bool {
	return l.near == view.Near && l.some == view.Partial && slices.EqualFunc(l.members, view.Members, func(r resident, m routing.Member) bool { return r == residentOf(&m) })
}

// newLayout prepares the members of a view; what takes time to compute of members that are in the layout before is taken from there, which may be nil. Wanted counts every member, those known to be dead included, until they are forgotten: half a network never takes itself
// for the whole. Those that leave for good do not count.
func newLayout(view *routing.View, copies int, before *layout) *layout {
	n := len(view.Members)
	l := &layout{
		members: make([]resident, n), zones: make([]int, n),
		near: view.Near, self: view.Self, selfHash: sha256.Sum256([]byte(view.Self)), some: view.Partial,
	}
	numbers := map[string]int{}
	placed, alive := map[int]bool{}, map[int]bool{}
	for i := range view.Members {
		r := residentOf(&view.Members[i])
		l.members[i] = r
		zone, ok := numbers[r.zone]
		if !ok {
			zone = len(numbers)
			numbers[r.zone] = zone
		}
		l.zones[i] = zone
		if !r.leaving {
			l.wanted++
		}
		placed[zone] = placed[zone] || r.places()
		alive[zone] = alive[zone] || r.places() && r.state == routing.Alive
		l.absent = l.absent || r.state == routing.Dead || r.state == routing.Away
	}
	l.sort(before)
	l.wanted = min(copies, l.wanted)
	l.quorum = l.wanted/2 + 1
	l.zoneCount, l.aliveZones = len(numbers), count(alive)
	l.perZone = l.shareOf(count(placed))
	l.compete()
	return l
}

// sort hashes the members' ids and brings the members in the order of the hashes. Most members mostly are in the layout before, which may be nil, and in the same order there.
func (l *layout) sort(before *layout) {
	l.hashes, l.sorted = make([][sha256.Size]byte, len(l.members)), make([]int, 0, len(l.members))
	var now []int // for each member before: which it is now, or -1
	if before != nil {
		now = make([]int, len(before.members))
	}
	var came []int
	was := 0 // members are sorted by their ids
	for i := range l.members {
		id := l.members[i].id
		for was < len(now) && before.members[was].id < id {
			now[was] = -1
			was++
		}
		if was < len(now) && before.members[was].id == id {
			l.hashes[i], now[was] = before.hashes[was], i
			was++
			continue
		}
		l.hashes[i] = sha256.Sum256([]byte(id))
		came = append(came, i)
	}
	for ; was < len(now); was++ {
		now[was] = -1
	}
	compare := func(a, b int) int { return bytes.Compare(l.hashes[a][:], l.hashes[b][:]) }
	slices.SortFunc(came, compare)
	if before != nil {
		for _, was := range before.sorted {
			i := now[was]
			if i < 0 {
				continue
			}
			for len(came) > 0 && compare(came[0], i) < 0 {
				l.sorted, came = append(l.sorted, came[0]), came[1:]
			}
			l.sorted = append(l.sorted, i)
		}
	}
	l.sorted = append(l.sorted, came...)
}

// compete finds out which shards this peer can't hold. A shard with n leading bits in common with the hash of this peer's id is nearer to all members that have more in common with it, which are those
// with n bits in common with this peer: if they fill the holders' places within their zones' shares, none is left. In a network of hundreds that decides nearly all shards, without a look at who holds them.
func (l *layout) compete() {
	if l.some {
		return
	}
	var taken [disk.ShardBits]int
	used := make(map[[2]int]int) // by bits and zone
	for i := range l.members {
		bits := sharedBits(&l.hashes[i], &l.selfHash)
		if bits >= len(taken) || !l.members[i].places() {
			continue
		}
		if at := [2]int{bits, l.zones[i]}; used[at] < l.perZone {
			used[at]++
			taken[bits]++
		}
	}
	for bits, n := range taken {
		l.outdone[bits] = n >= l.wanted
	}
}

// mayHold reports whether this peer may be one of a shard's holders; if not, it is none.
func (l *layout) mayHold(s disk.Shard) bool {
	bits := l.bitsInCommon(s)
	return bits >= len(l.outdone) || !l.outdone[bits]
}

// bitsInCommon returns how many leading bits a shard's first hash has in common with the hash of this peer's id.
func (l *layout) bitsInCommon(s disk.Shard) int {
	if own := disk.ShardOf(l.selfHash); s != own {
		return bits.LeadingZeros16(uint16(s^own)) - (16 - disk.ShardBits)
	}
	first := s.First()
	return sharedBits(&first, &l.selfHash)
}

// shareOf returns the most holders in one of so many zones.
func (l *layout) shareOf(zones int) int {
	n := min(zones, l.wanted)
	if n == 0 {
		return 0
	}
	return (l.wanted + n - 1) / n
}

// knows reports whether all members near a shard are in view.
func (l *layout) knows(s disk.Shard) bool {
	return l.bitsInCommon(s) >= l.near
}

// isNear reports whether a member is one of those that nobody of is left out.
func (l *layout) isNear(i int) bool { return sharedBits(&l.hashes[i], &l.selfHash) >= l.near }

// sharedBits returns how many leading bits two hashes have in common.
func sharedBits(a, b *[sha256.Size]byte) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(a)
}

func count(zones map[int]bool) (n int) {
	for _, in := range zones {
		if in {
			n++
		}
	}
	return n
}

// placeAmong times the copies wanted is how many of the nearest members are looked at first, and at all where not everybody is in view.
const placeAmong = 3

// place returns who holds a shard: of the members that are neither dead nor leaving, the wanted number whose ids' SHA-256 is nearest by XOR to the shard's first hash, not more
// than perZone in one zone unless the others have too few members. The result depends on nothing but composition of the view, shard and number of copies.
func (t *topology) place(s disk.Shard) placement {
	p := t.places[s].Load()
	if p == nil {
		p = t.newPlace(s)
		t.places[s].Store(p)
	}
	return placement{t, p}
}

func (l *layout) newPlace(s disk.Shard) *place {
	p := &place{shard: s, vague: !l.knows(s)}
	p.holders = l.choose(s, func(r *resident) bool { return r.places() && !(p.vague && r.id == l.self) })
	p.witness = l.chooseWitness(p)
	if l.absent {
		everybody := l.choose(s, func(r *resident) bool { return !r.leaving })
		p.shadowed = slices.ContainsFunc(everybody, func(i int) bool {
			return l.members[i].state == routing.Dead || l.members[i].state == routing.Away
		})
	}
	return p
}

// choose returns the wanted number of members that suit, by distance and zones.
func (l *layout) choose(s disk.Shard, suits func(*resident) bool) []int {
	// The nearest few are nearly always enough; where they lie in too few zones, all are looked at.
	few := placeAmong * l.wanted
	order := l.nearest(s, few, suits)
	if l.some {
		return l.chooseFrom(order, l.shareOf(l.zonesOf(order)), false)
	}
	holders := l.chooseFrom(order, l.perZone, few < len(l.hashes))
	if len(holders) < l.wanted && few < len(l.hashes) {
		holders = l.chooseFrom(l.nearest(s, len(l.hashes), suits), l.perZone, false)
	}
	return holders
}

// zonesOf returns how many zones members are in.
func (l *layout) zonesOf(members []int) int {
	in := map[int]bool{}
	for _, i := range members {
		in[l.zones[i]] = true
	}
	return len(in)
}

// chooseFrom chooses from members in order of distance, up to perZone in one zone. Where there are no more members than these, the zones' shares are exceeded rather than too few chosen.
func (l *layout) chooseFrom(order []int, perZone int, more bool) []int {
	var buf [64]int
	used := buf[:] // holders by zone
	if l.zoneCount > len(buf) {
		used = make([]int, l.zoneCount)
	}
	holders := make([]int, 0, l.wanted)
	for _, i := range order {
		if zone := l.zones[i]; len(holders) < l.wanted && used[zone] < perZone {
			used[zone]++
			holders = append(holders, i)
		}
	}
	for _, i := range order {
		if more || len(holders) == l.wanted {
			break
		}
		if !slices.Contains(holders, i) {
			holders = append(holders, i)
		}
	}
	return holders
}

// further returns up to n members that are not dead and not holders, nearest first: who may have held the shard before the view changed.
func (p *placement) further(n int) []int {
	order := p.nearest(p.shard, n+len(p.holders), (*resident).here)
	members := make([]int, 0, min(n, len(order)))
	for _, i := range order {
		if len(members) < n && !slices.Contains(p.holders, i) {
			members = append(members, i)
		}
	}
	return members
}

// others returns the up to maxWalk nearest members that are not dead and not holders, nearest first.
func (p *placement) others() []int {
	if rest := p.rest.Load(); rest != nil {
		return *rest
	}
	rest := p.further(maxWalk)
	p.rest.Store(&rest)
	return rest
}

// nearest returns the up to n nearest members that suit, nearest first.
func (l *layout) nearest(s disk.Shard, n int, suits func(*resident) bool) []int {
	members := make([]int, 0, min(n, len(l.hashes)))
	first := s.First()
	l.walk(l.sorted, 0, &first, func(i int) bool {
		if suits(&l.members[i]) {
			members = append(members, i)
		}
		return len(members) < n
	})
	return members
}

// walk visits members, which are sorted by hash and have the first bits in common, by their distance from target, until visit returns false: those whose next bit is that of target come before
// the others.
func (l *layout) walk(sorted []int, bit int, target *[sha256.Size]byte, visit func(i int) bool) bool {
	switch {
	case len(sorted) == 0:
		return true
	case len(sorted) == 1:
		return visit(sorted[0])
	}
	mask := byte(0x80) >> (bit % 8)
	split, _ := slices.BinarySearchFunc(sorted, mask, func(i int, mask byte) int {
		return cmp.Compare(l.hashes[i][bit/8]&mask, mask)
	})
	near, far := sorted[:split], sorted[split:]
	if target[bit/8]&mask != 0 {
		near, far = far, near
	}
	return l.walk(near, bit+1, target, visit) && l.walk(far, bit+1, target, visit)
}

func (l *layout) chooseWitness(p *place) int {
	if l.aliveZones < 2 || l.wanted < 2 {
		return -1
	}
	zone := -1 // of the alive holders
	for _, i := range p.holders {
		if l.members[i].state != routing.Alive {
			continue
		}
		if zone >= 0 && l.zones[i] != zone {
			return -1
		}
		zone = l.zones[i]
	}
	for _, i := range l.nearest(p.shard, len(l.hashes), (*resident).places) {
		if l.members[i].state == routing.Alive && l.zones[i] != zone && !slices.Contains(p.holders, i) {
			return i
		}
	}
	return -1
}

// spansZones reports whether an acknowledgement by the given members keeps the zone rule.
func (p *placement) spansZones(members []int) bool {
	if p.aliveZones < 2 || p.wanted < 2 {
		return true
	}
	return slices.ContainsFunc(members, func(i int) bool { return p.zones[i] != p.zones[members[0]] })
}

// holds reports whether a member is one of the holders.
func (p *placement) holds(id peer.ID) bool {
	return slices.ContainsFunc(p.holders, func(i int) bool { return p.members[i].id == id })
}

// dead returns how many members are dead.
func (l *layout) dead() (n int) {
	for i := range l.members {
		if !l.members[i].here() {
			n++
		}
	}
	return n
}

// live returns how many of the holders answer as far as this peer knows, and the first of them.
func (p *placement) live() (n int, first peer.ID) {
	for _, i := range p.holders {
		if p.members[i].state == routing.Alive {
			if n++; n == 1 {
				first = p.id(i)
			}
		}
	}
	return n, first
}

// firstBut returns the first live holder other than the given one.
func (p *placement) firstBut(id peer.ID) peer.ID {
	for _, i := range p.holders {
		if r := &p.members[i]; r.state == routing.Alive && r.id != id {
			return r.id
		}
	}
	return ""
}

func (t *topology) member(i int) *routing.Member { return &t.view.Members[i] }

func (l *layout) id(i int) peer.ID { return l.members[i].id }
