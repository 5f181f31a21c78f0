package ledger

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
)

// Each value is written in one way only: what an entry's Unmarshal takes, Marshal writes as it was.

// Marshal returns the value of the entry: flags uint8 (1: keyset), keyset, slots uint8, each used one: number uint8 ascending, count uint32. It is nil for an account that nobody touched.
func (a *Account) Marshal() []byte {
	b := []byte{entryVersion, 0}
	if a.KeySet != nil {
		b[1] = 1
		b = appendKeySet(b, a.KeySet)
	}
	at, used := len(b), 0
	b = append(b, 0)
	for i, n := range a.Slots {
		if n > 0 {
			used++
			b = binary.BigEndian.AppendUint32(append(b, byte(i)), n)
		}
	}
	if a.KeySet == nil && used == 0 {
		return nil
	}
	b[at] = byte(used)
	return b
}

// Unmarshal reads the value of an entry; nil is an account that nobody touched.
func (a *Account) Unmarshal(value []byte) error {
	*a = Account{}
	if value == nil {
		return nil
	}
	s, ok := reader(value)
	var flags, used uint8
	if !ok || !s.ReadUint8(&flags) || flags > 1 {
		return errEntry("account")
	}
	if flags == 1 {
		a.KeySet = new(KeySet)
		if !readKeySet(&s, a.KeySet) || a.KeySet.Validate() != nil {
			return errEntry("account")
		}
	}
	if !s.ReadUint8(&used) || flags == 0 && used == 0 {
		return errEntry("account")
	}
	for last := -1; used > 0; used-- {
		var number uint8
		var count uint32
		if !s.ReadUint8(&number) || int(number) <= last || number >= MaxSlots || !s.ReadUint32(&count) || count == 0 {
			return errEntry("account")
		}
		last = int(number)
		a.Slots[number] = count
	}
	if !s.Empty() {
		return errEntry("account")
	}
	return nil
}

// MarshalBalance returns the value of a balance, nil for 0.
func MarshalBalance(a Amount) []byte {
	if a.IsZero() {
		return nil
	}
	return a.appendTo(make([]byte, 0, amountSize))
}

// UnmarshalBalance reads one; nil is 0.
func UnmarshalBalance(value []byte) (Amount, error) {
	if value == nil {
		return Amount{}, nil
	}
	if len(value) != amountSize || amountFrom(value).IsZero() {
		return Amount{}, errEntry("balance")
	}
	return amountFrom(value), nil
}

// Marshal returns the value of the entry: scale uint8, cap[16], supply[16].
func (a *Asset) Marshal() []byte {
	return a.Supply.appendTo(a.Cap.appendTo([]byte{entryVersion, a.Scale}))
}

// Unmarshal reads the value of an entry.
func (a *Asset) Unmarshal(value []byte) error {
	s, ok := reader(value)
	if !ok || !s.ReadUint8(&a.Scale) || a.Scale > MaxScale || !readAmount(&s, &a.Cap) || !readAmount(&s, &a.Supply) || !s.Empty() || a.Supply.Cmp(a.Most()) > 0 {
		return errEntry("asset")
	}
	return nil
}

// Marshal returns the value of the entry: power uint64, operator[32].
func (v *Validator) Marshal() []byte {
	return append(binary.BigEndian.AppendUint64([]byte{entryVersion}, v.Power), v.Operator[:]...)
}

// Unmarshal reads the value of an entry.
func (v *Validator) Unmarshal(value []byte) error {
	s, ok := reader(value)
	if !ok || !s.ReadUint64(&v.Power) || v.Power == 0 || v.Power > MaxPower || !s.CopyBytes(v.Operator[:]) || !s.Empty() {
		return errEntry("validator")
	}
	return nil
}

// Marshal returns the value of the entry: by[32], until uint64, votes uint16, each [32], proposal as in an operation.
func (p *OpenProposal) Marshal() []byte {
	b := append([]byte{entryVersion}, p.By[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Until))
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Votes)))
	for i := range p.Votes {
		b = append(b, p.Votes[i][:]...)
	}
	return appendProposal(b, &p.Proposal)
}

// Unmarshal reads the value of an entry.
func (p *OpenProposal) Unmarshal(value []byte) error {
	*p = OpenProposal{}
	s, ok := reader(value)
	var until uint64
	var votes uint16
	if !ok || !s.CopyBytes(p.By[:]) || !s.ReadUint64(&until) || until > 1<<63-1 || !s.ReadUint16(&votes) || votes > MaxValidators {
		return errEntry("proposal")
	}
	p.Until, p.Votes = int64(until), make([]AccountID, votes)
	for i := range p.Votes {
		if !s.CopyBytes(p.Votes[i][:]) || i > 0 && compareAccounts(p.Votes[i-1], p.Votes[i]) >= 0 {
			return errEntry("proposal")
		}
	}
	if !readProposal(&s, &p.Proposal) || !s.Empty() || (&Propose{Proposal: p.Proposal}).validate() != nil {
		return errEntry("proposal")
	}
	return nil
}

// placedVersion begins the entry of a member that took a place, or whose place was taken.
const placedVersion = entryVersion + 1

// Marshal returns the value of the entry: by[32], until uint64, name<8>; with placedVersion, since uint64, next<8> follow.
func (m *Member) Marshal() []byte {
	b := appendText(binary.BigEndian.AppendUint64(append([]byte{entryVersion}, m.By[:]...), uint64(m.Until)), m.Name)
	if m.Since == 0 && m.Next == "" {
		return b
	}
	b[0] = placedVersion
	return appendText(binary.BigEndian.AppendUint64(b, uint64(m.Since)), m.Next)
}

// Unmarshal reads the value of an entry.
func (m *Member) Unmarshal(value []byte) error {
	*m = Member{}
	s := cryptobyte.String(value)
	var version uint8
	if len(value) > MaxEntry || !s.ReadUint8(&version) || !s.CopyBytes(m.By[:]) || !readTime(&s, &m.Until) || !readText(&s, &m.Name) || validateText("name", m.Name, MaxName) != nil {
		return errEntry("member")
	}
	if version == entryVersion && s.Empty() || version == placedVersion && m.readPlaces(&s) {
		return nil
	}
	return errEntry("member")
}

// readPlaces reads what is said of one that took a place, or whose place was taken.
func (m *Member) readPlaces(s *cryptobyte.String) bool {
	if !readTime(s, &m.Since) || !readText(s, &m.Next) || !s.Empty() || m.Since == 0 && m.Next == "" {
		return false
	}
	_, ok := MemberAccount(m.Next)
	return m.Next == "" || ok && m.Until > 0
}

// Marshal returns the value of the entry: time uint64, results[32], count uint32.
func (r *Recent) Marshal() []byte {
	b := binary.BigEndian.AppendUint64([]byte{entryVersion}, uint64(r.Time))
	return binary.BigEndian.AppendUint32(append(b, r.Results[:]...), r.Count)
}

// Unmarshal reads the value of an entry.
func (r *Recent) Unmarshal(value []byte) error {
	s, ok := reader(value)
	if !ok || !readTime(&s, &r.Time) || !s.CopyBytes(r.Results[:]) || !s.ReadUint32(&r.Count) || r.Count == 0 || !s.Empty() {
		return errEntry("recent block")
	}
	return nil
}

// Marshal returns the value of the entry: active uint32, next uint32, height uint64.
func (r *Rules) Marshal() []byte {
	b := binary.BigEndian.AppendUint32([]byte{entryVersion}, r.Active)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, r.Next), uint64(r.Height))
}

// Unmarshal reads the value of an entry.
func (r *Rules) Unmarshal(value []byte) error {
	s, ok := reader(value)
	if !ok || !s.ReadUint32(&r.Active) || r.Active == 0 || !s.ReadUint32(&r.Next) || !readTime(&s, &r.Height) || !s.Empty() || (r.Next == 0) != (r.Height == 0) {
		return errEntry("version of the rules")
	}
	return nil
}

// Marshal returns the value of the entry: block cost uint32, account transactions uint32.
func (l *Limits) Marshal() []byte {
	b := binary.BigEndian.AppendUint32([]byte{entryVersion}, l.BlockCost)
	return binary.BigEndian.AppendUint32(b, l.AccountTransactions)
}

// Unmarshal reads the value of an entry.
func (l *Limits) Unmarshal(value []byte) error {
	s, ok := reader(value)
	if !ok || !s.ReadUint32(&l.BlockCost) || !s.ReadUint32(&l.AccountTransactions) || !s.Empty() {
		return errEntry("limit")
	}
	return nil
}

// readTime reads a number that is not negative.
func readTime(s *cryptobyte.String, t *int64) bool {
	var n uint64
	ok := s.ReadUint64(&n) && n <= 1<<63-1
	*t = int64(n)
	return ok
}
