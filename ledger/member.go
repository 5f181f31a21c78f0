package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// MaxMembers is how many members and former members there may be before a block for it to add more.
	MaxMembers = 10_000
	// MaxFounders is the most members that a network begins with.
	MaxFounders = 256
	// MaxInvites is the most invites that are there at once, those that are used up or expired included until the next is made.
	MaxInvites = 256
	// ReplacePause is how long a key that took the place of another must have it before a third can: each takes one of MaxMembers for good.
	ReplacePause = 24 * time.Hour
	// maxFollowed is how many keys that took the place of one another an Expel looks past: more than there can be in the time for which it can be signed before.
	maxFollowed = int(MaxSlotWindow/ReplacePause) + 2
)

// memberPrefix begins the peer id of an Ed25519 key: an identity multihash of 36 bytes, which are the key in libp2p's protobuf (libp2p specs, "Peer Ids and Keys").
const memberPrefix = "\x00\x24\x08\x01\x12\x20"

// MemberOf returns the bytes of the peer id of a key.
func MemberOf(key PublicKey) string { return memberPrefix + string(key[:]) }

// MemberAccount returns the account that the key of a peer id speaks for; false: the peer id is of another kind, without a key in it.
func MemberAccount(member string) (KeySet, bool) {
	key, ok := strings.CutPrefix(member, memberPrefix)
	if !ok || len(key) != len(PublicKey{}) {
		return KeySet{}, false
	}
	return KeySet{Threshold: 1, Keys: []PublicKey{PublicKey([]byte(key))}}, true
}

// accountOf is MemberAccount for a peer id that validate has seen.
func accountOf(member string) AccountID {
	keys, _ := MemberAccount(member)
	return keys.ID()
}

func (o *ReplaceMember) signer() AccountID   { return accountOf(o.Old) }
func (o *ReplaceMember) cosigner() AccountID { return accountOf(o.New) }

func (o *ReplaceMember) validate() error {
	for _, member := range []string{o.Old, o.New} {
		if _, ok := MemberAccount(member); !ok {
			return fault.New(fault.Invalid, "the member to replace, or to be in its place, has no Ed25519 key")
		}
	}
	if o.Old == o.New {
		return fault.New(fault.Invalid, "a member can't take its own place")
	}
	return nil
}

func (o *Invite) validate() error {
	if o.Uses == 0 || o.Uses > MaxUses {
		return fault.New(fault.Invalid, "an invite for %d peers: want 1 to %d", o.Uses, MaxUses)
	}
	if o.Until <= 0 {
		return fault.New(fault.Invalid, "the invite does not say until when it is good")
	}
	return validateText("note", o.Note, MaxNote)
}

// MembersOnly reports whether the network is for members only.
func (g *Genesis) MembersOnly() bool {
	for g.Predecessor != nil {
		g = g.Predecessor.Genesis
	}
	return len(g.Members) > 0
}

func (g *Genesis) validateMembers() error {
	if len(g.Members) > MaxFounders || g.Predecessor != nil && len(g.Members) > 0 {
		return fault.New(fault.Invalid, "%d first members: want up to %d, and none in a ledger that goes on from another one", len(g.Members), MaxFounders)
	}
	for i, m := range g.Members {
		if i > 0 && string(g.Members[i-1].Key[:]) >= string(m.Key[:]) {
			return fault.New(fault.Invalid, "the first members are not in strictly ascending order of their keys")
		}
		if err := validateText("name", m.Name, MaxName); err != nil {
			return err
		}
	}
	return nil
}

// memberEntries returns the entries of the first members, in the order of keys. The account of each is said to have admitted itself.
func (g *Genesis) memberEntries() (list []Change) {
	for _, m := range g.Members {
		id := MemberOf(m.Key)
		entry := Member{Name: m.Name, By: accountOf(id)}
		list = append(list, Change{MemberKey(id), entry.Marshal()})
	}
	return list
}

// RosterOf returns what the entries of all members and former ones, in the order of keys, are together. The digest is the hash of key<8>, value<16> of each.
func RosterOf(entries []Change) Roster {
	h := sha256.New()
	h.Write(append([]byte{byte(len(domainRoster))}, domainRoster...))
	for _, e := range entries {
		h.Write(append([]byte{byte(len(e.Key))}, e.Key...))
		h.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(e.Value))), e.Value...))
	}
	return Roster{Count: uint32(len(entries)), Digest: Hash(h.Sum(nil))}
}

// enroll brings the roster up to date where the block changed members.
func (b *Block) enroll() error {
	changed := false
	for key := range b.state.block {
		changed = changed || key[0] == prefixMember
	}
	if !changed {
		return nil
	}
	entries, err := b.state.list(Members())
	if err != nil {
		return err
	}
	roster := RosterOf(entries)
	b.state.set(RosterKey(), roster.Marshal())
	b.state.keep()
	return nil
}

// member reads a member's entry; nil: nobody of that peer id was ever one.
func (b *Block) member(id string) (*Member, error) {
	value, err := b.state.get(MemberKey(id))
	if err != nil || value == nil {
		return nil, err
	}
	m := new(Member)
	return m, m.Unmarshal(value)
}

// setMember writes a member's entry.
func (b *Block) setMember(id string, m *Member) { b.state.set(MemberKey(id), m.Marshal()) }

// addMember makes a peer a member, if there is room.
func (b *Block) addMember(id string, m *Member, known bool) (Code, error) {
	if !known {
		n, err := b.countMembers()
		if err != nil || n >= MaxMembers {
			return TooManyMembers, err
		}
	}
	b.setMember(id, m)
	return Applied, nil
}

// countMembers returns how many members and former ones there were before this block.
func (b *Block) countMembers() (uint32, error) {
	var roster Roster
	value, err := b.state.get(RosterKey())
	if err == nil && value != nil {
		err = roster.Unmarshal(value)
	}
	return roster.Count, err
}

func (b *Block) admit(o *Admit) (Code, error) {
	code, err := b.operates(o.By)
	if err != nil {
		return code, err
	}
	invited := code != Applied
	if invited {
		if code, err := b.useInvite(o.By); code != Applied || err != nil {
			return code, err
		}
	}
	known, err := b.member(o.Member)
	switch {
	case err != nil:
		return MemberExists, err
	case known != nil && known.Until == 0:
		return MemberExists, nil
	case known != nil && invited:
		return Expelled, nil
	}
	return b.addMember(o.Member, &Member{Name: o.Name, By: o.By}, known != nil)
}

// expel ends a membership at the time of the block. Who has another key by then has not escaped: it is that key which is expelled.
func (b *Block) expel(o *Expel) (Code, error) {
	if code, err := b.operates(o.By); code != Applied || err != nil {
		return code, err
	}
	id := o.Member
	for range maxFollowed {
		m, err := b.member(id)
		switch {
		case err != nil || m == nil:
			return NoMember, err
		case m.Until == 0:
			m.Until = max(b.time, 1)
			b.setMember(id, m)
			return Applied, nil
		}
		if id = m.Next; id == "" {
			break
		}
	}
	return NoMember, nil
}

func (b *Block) replaceMember(o *ReplaceMember) (Code, error) {
	m, err := b.member(o.Old)
	if err != nil || m == nil || m.Until != 0 {
		return NoMember, err
	}
	if m.Since != 0 && b.time-m.Since < ReplacePause.Milliseconds() {
		return ReplacedLately, nil
	}
	known, err := b.member(o.New)
	if err != nil || known != nil {
		return MemberExists, err
	}
	now := max(b.time, 1)
	next := Member{Name: m.Name, By: accountOf(o.Old), Since: now}
	m.Until, m.Next = now, o.New
	b.setMember(o.Old, m)
	return b.addMember(o.New, &next, false)
}

// useInvite takes one of the uses of an invite. That its account signed is known.
func (b *Block) useInvite(account AccountID) (Code, error) {
	value, err := b.state.get(InviteKey(account))
	if err != nil || value == nil {
		return NoInvite, err
	}
	var i OpenInvite
	if err := i.Unmarshal(value); err != nil {
		return NoInvite, err
	}
	switch {
	case i.Until <= b.time:
		return InviteExpired, nil
	case i.Left == 0:
		return InviteUsed, nil
	}
	i.Left--
	b.state.set(InviteKey(account), i.Marshal())
	return Applied, nil
}

func (b *Block) invite(o *Invite) (Code, error) {
	if code, err := b.operates(o.By); code != Applied || err != nil {
		return code, err
	}
	if value, err := b.state.get(InviteKey(o.Account)); err != nil || value != nil {
		return InviteExists, err
	}
	open, err := b.openInvites()
	if err != nil || open >= MaxInvites {
		return TooManyInvites, err
	}
	i := OpenInvite{By: o.By, Uses: o.Uses, Left: o.Uses, Until: o.Until, Note: o.Note}
	b.state.set(InviteKey(o.Account), i.Marshal())
	return Applied, nil
}

// openInvites removes invites whose time has been over for a while, which people were told of long enough, and returns how many are left.
func (b *Block) openInvites() (open int, err error) {
	entries, err := b.state.list(Invites())
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		var i OpenInvite
		if err := i.Unmarshal(e.Value); err != nil {
			return 0, err
		}
		if i.Until <= b.time {
			b.state.set(e.Key, nil)
			continue
		}
		open++
	}
	return open, nil
}

func (b *Block) revoke(o *Revoke) (Code, error) {
	if code, err := b.operates(o.By); code != Applied || err != nil {
		return code, err
	}
	if value, err := b.state.get(InviteKey(o.Account)); err != nil || value == nil {
		return NoInvite, err
	}
	b.state.set(InviteKey(o.Account), nil)
	return Applied, nil
}

// Marshal returns the value of the entry: count uint32, digest[32].
func (r *Roster) Marshal() []byte {
	return append(binary.BigEndian.AppendUint32([]byte{entryVersion}, r.Count), r.Digest[:]...)
}

// Unmarshal reads the value of an entry.
func (r *Roster) Unmarshal(value []byte) error {
	s, ok := reader(value)
	if !ok || !s.ReadUint32(&r.Count) || !s.CopyBytes(r.Digest[:]) || !s.Empty() {
		return errEntry("roster")
	}
	return nil
}

// Marshal returns the value of the entry: by[32], uses uint32, left uint32, until uint64, note<8>.
func (i *OpenInvite) Marshal() []byte {
	b := append([]byte{entryVersion}, i.By[:]...)
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, i.Uses), i.Left)
	return appendText(binary.BigEndian.AppendUint64(b, uint64(i.Until)), i.Note)
}

// Unmarshal reads the value of an entry.
func (i *OpenInvite) Unmarshal(value []byte) error {
	s, ok := reader(value)
	if !ok || !i.read(&s) || !s.Empty() || i.Left > i.Uses || validateText("note", i.Note, MaxNote) != nil {
		return errEntry("invite")
	}
	return nil
}

func (i *OpenInvite) read(s *cryptobyte.String) bool {
	return s.CopyBytes(i.By[:]) && s.ReadUint32(&i.Uses) && s.ReadUint32(&i.Left) && readTime(s, &i.Until) && readText(s, &i.Note)
}

// ParseMembers reads the entries of members, whose keys are to be in strictly ascending order, and returns what they are together. Errors are of kind fault.Invalid.
func ParseMembers(entries []Change) (map[string]Member, Roster, error) {
	malformed := fault.New(fault.Invalid, "malformed list of members")
	if len(entries) > MaxMembers+MaxBlockCost {
		return nil, Roster{}, malformed
	}
	members := make(map[string]Member, len(entries))
	for i, e := range entries {
		var m Member
		if len(e.Key) < 2 || len(e.Key) > 1+MaxMember || e.Key[0] != prefixMember || m.Unmarshal(e.Value) != nil || i > 0 && slices.Compare(entries[i-1].Key, e.Key) >= 0 {
			return nil, Roster{}, malformed
		}
		members[string(e.Key[1:])] = m
	}
	return members, RosterOf(entries), nil
}
