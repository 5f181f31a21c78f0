package ledger

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

// The state is a set of entries, each a key and a value. Keys begin with one of these, and go on as the functions below say. An entry that would say nothing, such as a balance of 0, is not
// there, so that equal states are equal entries.
const (
	prefixAccount   = 'a' // account: what differs from an account that nobody has touched
	prefixBalance   = 'b' // account, issuer, code: amount
	prefixAsset     = 's' // issuer, code: asset
	prefixValidator = 'v' // public key: validator
	prefixProposal  = 'p' // id: proposal
	prefixMember    = 'm' // peer id: member, or former one
	prefixMembers   = 'n' // what all members are together
	prefixInvite    = 'i' // account: invite
	prefixRecent    = 'r' // height uint64: recent block
	prefixRules     = 'u' // rules
	prefixLimits    = 'l' // limits
)

// MaxEntry is the most bytes of the value of an entry.
const MaxEntry = 16 << 10

// AccountKey is the key of an account's entry, which is there when its keys were replaced or a slot was used.
func AccountKey(a AccountID) []byte { return append([]byte{prefixAccount}, a[:]...) }

// BalanceKey is the key of what an account has of an asset, which is there when that is more than 0.
func BalanceKey(a AccountID, asset AssetID) []byte {
	b := make([]byte, 0, 1+2*len(a)+MaxCode)
	b = append(append(append(b, prefixBalance), a[:]...), asset.Issuer[:]...)
	return append(b, asset.Code...)
}

// AssetKey is the key of an asset.
func AssetKey(a AssetID) []byte {
	return append(append([]byte{prefixAsset}, a.Issuer[:]...), a.Code...)
}

// ValidatorKey is the key of a validator with power.
func ValidatorKey(k PublicKey) []byte { return append([]byte{prefixValidator}, k[:]...) }

// ProposalKey is the key of an open proposal.
func ProposalKey(id Hash) []byte { return append([]byte{prefixProposal}, id[:]...) }

// MemberKey is the key of a member, by the bytes of its peer id.
func MemberKey(member string) []byte { return append([]byte{prefixMember}, member...) }

// InviteKey is the key of an invite, by the account of its key.
func InviteKey(a AccountID) []byte { return append([]byte{prefixInvite}, a[:]...) }

// RecentKey is the key of a block of the last hour that held transactions.
func RecentKey(height int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixRecent}, uint64(height))
}

// RulesKey, LimitsKey and RosterKey are the keys of what is there once; a network without members has no roster.
func RulesKey() []byte  { return []byte{prefixRules} }
func LimitsKey() []byte { return []byte{prefixLimits} }
func RosterKey() []byte { return []byte{prefixMembers} }

// Prefixes under which balances of one account, validators, proposals, members, invites and recent blocks are found.
func BalancesOf(a AccountID) []byte { return append([]byte{prefixBalance}, a[:]...) }
func Validators() []byte            { return []byte{prefixValidator} }
func Proposals() []byte             { return []byte{prefixProposal} }
func Members() []byte               { return []byte{prefixMember} }
func Invites() []byte               { return []byte{prefixInvite} }
func RecentBlocks() []byte          { return []byte{prefixRecent} }

// ParseBalanceKey returns what a key under BalancesOf is of.
func ParseBalanceKey(key []byte) (AccountID, AssetID, error) {
	var account AccountID
	var asset AssetID
	if len(key) < 1+2*len(account)+1 || key[0] != prefixBalance || ValidateCode(string(key[1+2*len(account):])) != nil {
		return account, asset, errEntry("balance")
	}
	n := copy(account[:], key[1:])
	n += copy(asset.Issuer[:], key[1+n:])
	asset.Code = string(key[1+n:])
	return account, asset, nil
}

// Account is what is known of an account that was touched.
type Account struct {
	// KeySet are its present keys; nil: its first.
	KeySet *KeySet
	// Slots are how often each slot was used.
	Slots [MaxSlots]uint32
}

// Asset is what is known of an asset.
type Asset struct {
	Scale       uint8
	Cap, Supply Amount
}

// Most returns how much there may be at most.
func (a *Asset) Most() Amount {
	if a.Cap.IsZero() {
		return MaxAmount()
	}
	return a.Cap
}

// Validator is one with power.
type Validator struct {
	Power    uint64
	Operator AccountID
}

// OpenProposal is one that is voted on.
type OpenProposal struct {
	Proposal Proposal
	By       AccountID
	// Until is the block time from which on it can't pass any more, in milliseconds since 1970.
	Until int64
	// Votes are the operators that are for it, in ascending order.
	Votes []AccountID
}

// Member is a peer that was admitted.
type Member struct {
	Name string
	// By is the account that admitted it.
	By AccountID
	// Until is the block time at which it was expelled or replaced, in milliseconds since 1970; 0: it is a member. Former members are remembered, since what they signed before stays valid.
	Until int64
	// Since is the block time at which it took the place of another, in milliseconds since 1970; 0: it was admitted.
	Since int64
	// Next are the bytes of the peer id that took its place; empty: none did.
	Next string
}

// Roster stands for all members and former ones together, so that a list of them can be proven whole.
type Roster struct {
	Count  uint32
	Digest Hash
}

// OpenInvite is an invite that was made and not revoked.
type OpenInvite struct {
	By AccountID
	// Uses is how many peers it may admit, and Left how many of these it has not.
	Uses, Left uint32
	// Until is the block time from which on it admits none, in milliseconds since 1970.
	Until int64
	Note  string
}

// Recent is a block of the last hour that held transactions.
type Recent struct {
	Time int64 // in milliseconds since 1970
	// Results is the root over what became of its transactions, and Count how many they were.
	Results Hash
	Count   uint32
}

// Rules say which version of the rules blocks follow.
type Rules struct {
	// Active is the version up to the block before Height, and Next that from there on. Height 0: nothing else was decided.
	Active, Next uint32
	Height       int64
}

// At returns the version at a height.
func (r *Rules) At(height int64) uint32 {
	if r.Height > 0 && height >= r.Height {
		return r.Next
	}
	return r.Active
}

// Limits bound blocks.
type Limits struct {
	// BlockCost is the most operations and signatures of a block together.
	BlockCost uint32 `json:"block_cost"`
	// AccountTransactions is the most transactions of a block that one account signs.
	AccountTransactions uint32 `json:"account_transactions"`
}

// entryVersion begins each value but that of a balance, which is its amount.
const entryVersion = 1

func errEntry(what string) error {
	return fault.New(fault.Internal, "the ledger's state is damaged: an entry of a %s can't be read", what)
}

// reader reads a value behind its version.
func reader(value []byte) (s cryptobyte.String, ok bool) {
	s = cryptobyte.String(value)
	var version uint8
	return s, len(value) <= MaxEntry && s.ReadUint8(&version) && version == entryVersion
}
