package ledger

import (
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// maxForgotten is the most entries of recent blocks that one block removes, so that the first block after a long pause is not late.
const maxForgotten = 1000

// Seen tells which transactions were in the blocks that have an entry among the recent ones.
type Seen interface {
	// Seen reports whether a transaction was, which no block before a time may hold, in milliseconds since 1970.
	Seen(id TransactionID, from int64) (bool, error)
}

// Block takes transactions in, one after the other, and applies each to the state that those before it left. It is not safe for concurrent use. After an error of View or Seen it is of no use any
// more.
type Block struct {
	network Hash
	height  int64
	time    int64
	seen    Seen
	state   *overlay
	limits  Limits
	powers  []validator // nil: not known
	moved   bool        // whether the present transaction changed one

	cost    uint32
	signed  map[AccountID]uint32 // how many transactions each account signed
	taken   map[TransactionID]bool
	results []Result
}

// Outcome is what a block leads to.
type Outcome struct {
	// Changes are sorted by key, each key once.
	Changes []Change
	// Results are in the order of the transactions, and ResultsRoot is the root over them.
	Results     []Result
	ResultsRoot Hash
	// Validators are those whose power changed, sorted by key; a power of 0 means that it has none any more.
	Validators []ValidatorPower
}

// ValidatorPower is the voting power of a validator.
type ValidatorPower struct {
	Key   PublicKey
	Power uint64
}

// NewBlock begins the block of a height and a time, in milliseconds since 1970, on a state. It returns an *UnknownRulesError when the block follows rules that this program doesn't know.
func NewBlock(view View, seen Seen, network Hash, height, time int64) (*Block, error) {
	b := &Block{
		network: network, height: height, time: time, seen: seen, state: newOverlay(view), signed: make(map[AccountID]uint32), taken: make(map[TransactionID]bool),
	}
	rules, err := CurrentRules(view)
	if err == nil {
		err = rules.Known(height)
	}
	if err != nil {
		return nil, err
	}
	if err := load(view, LimitsKey(), &b.limits); err != nil {
		return nil, err
	}
	return b, nil
}

// load reads an entry that every state has.
func load(view View, key []byte, entry interface{ Unmarshal([]byte) error }) error {
	value, err := view.Get(key)
	if err != nil {
		return err
	}
	return entry.Unmarshal(value)
}

// Expect reads at once what many transactions that are to be included are going to ask the state for. It is not needed, and for one or a few it costs more than it saves.
func (b *Block) Expect(transactions []*Transaction) error {
	keys := make([][]byte, 0, 4*len(transactions))
	for _, t := range transactions {
		for i := range t.Authorizations {
			keys = append(keys, AccountKey(t.Authorizations[i].Account))
		}
		for _, op := range t.Operations {
			switch o := op.(type) {
			case *Issue:
				keys = append(keys, AssetKey(o.Asset), BalanceKey(o.To, o.Asset))
			case *Transfer:
				keys = append(keys, AssetKey(o.Asset), BalanceKey(o.From, o.Asset), BalanceKey(o.To, o.Asset))
			case *Retire:
				keys = append(keys, AssetKey(o.Asset), BalanceKey(o.From, o.Asset))
			}
		}
	}
	return b.state.expect(keys)
}

// Include applies a transaction, valid and with good signatures, if it may be in the block at this place; otherwise it returns the reason, and the block is as it was. The kinds of reasons:
// fault.Invalid where it may never be in a block any more, fault.Conflict where it is in one or another took its slot, fault.Forbidden where it is signed with keys that are not the account's, fault.Full
// where the next block may have room. Errors of the state are fault.Internal.
func (b *Block) Include(t *Transaction) (Result, error) {
	id := t.ID(b.network)
	for _, check := range []func(*Transaction, TransactionID) error{b.checkRoom, b.checkTime, b.checkFresh, b.checkKeys} {
		if err := check(t, id); err != nil {
			return Result{}, err
		}
	}
	r := Result{ID: id}
	b.moved = false
	for i, op := range t.Operations {
		code, err := b.apply(op)
		if err != nil {
			return Result{}, err
		}
		if code != Applied {
			b.undo()
			r.Code, r.Operation = code, uint16(i)
			break
		}
	}
	if err := b.useSlot(t.Slot); err != nil {
		return Result{}, err
	}
	b.state.keep()
	b.cost += uint32(t.Cost())
	for i := range t.Authorizations {
		b.signed[t.Authorizations[i].Account]++
	}
	b.taken[id] = true
	b.results = append(b.results, r)
	return r, nil
}

// undo drops what the present transaction did.
func (b *Block) undo() {
	b.state.undo()
	if b.moved {
		b.powers = nil
	}
}

// checkRoom checks the limits of blocks.
func (b *Block) checkRoom(t *Transaction, id TransactionID) error {
	if b.cost+uint32(t.Cost()) > b.limits.BlockCost {
		return fault.New(fault.Full, "transaction %s: the block is full", id)
	}
	for i := range t.Authorizations {
		if a := t.Authorizations[i].Account; b.signed[a] >= b.limits.AccountTransactions {
			return fault.New(fault.Full, "transaction %s: the block holds %d of %s, and no more may be in it", id, b.signed[a], a)
		}
	}
	return nil
}

// checkTime checks that the transaction is valid at the block's time, and not for longer than may be.
func (b *Block) checkTime(t *Transaction, id TransactionID) error {
	window := MaxWindow
	if t.Slot != nil {
		window = MaxSlotWindow
	}
	switch {
	case t.ValidUntil <= b.time:
		return fault.New(fault.Invalid, "transaction %s was valid until %s", id, clock(t.ValidUntil))
	case t.ValidFrom() > b.time:
		return fault.New(fault.Invalid, "transaction %s is valid until %s: at most %s from now on is allowed", id, clock(t.ValidUntil), window)
	}
	return nil
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// checkFresh checks that the transaction was in no block yet.
func (b *Block) checkFresh(t *Transaction, id TransactionID) error {
	if b.taken[id] {
		return errSeen(id)
	}
	if t.Slot == nil {
		seen, err := b.seen.Seen(id, t.ValidFrom())
		if err == nil && seen {
			err = errSeen(id)
		}
		return err
	}
	a, err := b.account(t.Slot.Account)
	if err != nil {
		return err
	}
	if used := a.Slots[t.Slot.Number]; used != t.Slot.Sequence {
		return fault.New(fault.Conflict, "transaction %s: slot %d of %s was used %d times, not %d", id, t.Slot.Number, t.Slot.Account, used, t.Slot.Sequence)
	}
	if t.Slot.Sequence == 1<<32-1 {
		return fault.New(fault.Invalid, "transaction %s: slot %d of %s is used up", id, t.Slot.Number, t.Slot.Account)
	}
	return nil
}

func errSeen(id TransactionID) error {
	return fault.New(fault.Conflict, "transaction %s is in a block already", id)
}

// checkKeys checks that each account's key set is its present one.
func (b *Block) checkKeys(t *Transaction, id TransactionID) error {
	for i := range t.Authorizations {
		given := &t.Authorizations[i]
		a, err := b.account(given.Account)
		if err != nil {
			return err
		}
		if a.KeySet == nil && given.KeySet.ID() == given.Account || a.KeySet != nil && a.KeySet.Equal(&given.KeySet) {
			continue
		}
		return fault.New(fault.Forbidden, "transaction %s is signed with keys that are not those of %s", id, given.Account)
	}
	return nil
}

// account reads an account as the transactions before left it.
func (b *Block) account(id AccountID) (a Account, err error) {
	value, err := b.state.get(AccountKey(id))
	if err == nil {
		err = a.Unmarshal(value)
	}
	return a, err
}

// useSlot counts a slot as used once more.
func (b *Block) useSlot(s *Slot) error {
	if s == nil {
		return nil
	}
	a, err := b.account(s.Account)
	if err != nil {
		return err
	}
	a.Slots[s.Number]++
	b.state.set(AccountKey(s.Account), a.Marshal())
	return nil
}

// Misbehaved takes a validator's power away, unless nobody else has any.
func (b *Block) Misbehaved(key PublicKey) error {
	validators, err := b.validators()
	if err != nil || len(validators) < 2 {
		return err
	}
	for _, v := range validators {
		if v.key == key {
			b.setValidator(key, nil)
			b.state.keep()
		}
	}
	return nil
}

// Finish ends the block.
func (b *Block) Finish() (Outcome, error) {
	o := Outcome{Results: b.results, ResultsRoot: ResultsRoot(b.results)}
	if len(b.results) > 0 {
		if err := b.forget(); err != nil {
			return Outcome{}, err
		}
		if err := b.enroll(); err != nil {
			return Outcome{}, err
		}
		r := Recent{b.time, o.ResultsRoot, uint32(len(b.results))}
		b.state.set(RecentKey(b.height), r.Marshal())
		b.state.keep()
	}
	o.Changes = b.state.changes()
	for _, c := range o.Changes {
		if c.Key[0] != prefixValidator {
			continue
		}
		before, err := powerOf(b.state.view.Get(c.Key))
		if err != nil {
			return Outcome{}, err
		}
		after, err := powerOf(c.Value, nil)
		if err != nil {
			return Outcome{}, err
		}
		if before != after {
			o.Validators = append(o.Validators, ValidatorPower{PublicKey(c.Key[1:]), after})
		}
	}
	return o, nil
}

func powerOf(value []byte, err error) (uint64, error) {
	if err != nil || value == nil {
		return 0, err
	}
	var v Validator
	err = v.Unmarshal(value)
	return v.Power, err
}

// forget removes the entries of blocks whose transactions can't be valid any more.
func (b *Block) forget() error {
	n := 0
	var wrong error
	err := b.state.view.Ascend(RecentBlocks(), func(key, value []byte) bool {
		var r Recent
		if wrong = r.Unmarshal(value); wrong != nil || b.time-r.Time < MaxWindow.Milliseconds() || n == maxForgotten {
			return false
		}
		n++
		b.state.set(append([]byte(nil), key...), nil)
		return true
	})
	if err == nil {
		err = wrong
	}
	return err
}
