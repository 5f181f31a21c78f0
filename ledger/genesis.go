package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// Bounds and defaults of a Genesis.
const (
	// MaxGenesis is the most bytes of a genesis document.
	MaxGenesis = 256 << 10
	// maxNetworkName is the most bytes of a network's name.
	maxNetworkName = 64
	// MinBlockCost and MaxBlockCost bound Limits.BlockCost: a block holds any transaction, and a validator can check it in time.
	MinBlockCost = 2 * MaxOperations * MaxKeys
	MaxBlockCost = 200_000
	// maxCreated is the latest second at which a network may be made, long before times stop fitting nanoseconds in 64 bits.
	maxCreated = 1 << 33
)

// DefaultLimits returns the limits of networks that want no others.
func DefaultLimits() Limits { return Limits{BlockCost: 20_000, AccountTransactions: 5_000} }

// Genesis is what a ledger begins with, and its hash is the ledger's id: who knows the id has the whole beginning.
type Genesis struct {
	// Network is the network's name, for people.
	Network string `json:"network"`
	// Created is when the network was made, in whole seconds: the time of its first block.
	Created time.Time `json:"created"`
	// Salt tells networks apart that begin alike.
	Salt Hash `json:"salt"`
	// Validators are 1 to MaxValidators, in strictly ascending order of keys.
	Validators []GenesisValidator `json:"validators"`
	Limits     Limits             `json:"limits"`
	// Members are the first members, up to MaxFounders in strictly ascending order of keys: the network is for members only. Without any, everybody who has the genesis may enter. A ledger that goes on from another one
	// goes on with its members.
	Members []GenesisMember `json:"members,omitempty"`
	// Predecessor is the ledger that this one goes on from, nil where it begins with nothing.
	Predecessor *Predecessor `json:"predecessor,omitempty"`
}

// GenesisValidator is one of the first validators.
type GenesisValidator struct {
	Key      PublicKey `json:"key"`
	Power    uint64    `json:"power"`
	Operator AccountID `json:"operator"`
}

// GenesisMember is one of the first members.
type GenesisMember struct {
	// Key is that of its peer id.
	Key  PublicKey `json:"key"`
	Name string    `json:"name,omitempty"`
}

// Validate returns an error of kind fault.Invalid when the genesis breaks its bounds.
func (g *Genesis) Validate() error {
	if g.Network == "" {
		return fault.New(fault.Invalid, "the network has no name")
	}
	if err := validateText("network's name", g.Network, maxNetworkName); err != nil {
		return err
	}
	if !g.Created.Truncate(time.Second).Equal(g.Created) || g.Created.Unix() <= 0 || g.Created.Unix() > maxCreated {
		return fault.New(fault.Invalid, "a network made at %s: want a time in whole seconds", g.Created.Format(time.RFC3339Nano))
	}
	if g.Limits.BlockCost < MinBlockCost || g.Limits.BlockCost > MaxBlockCost || g.Limits.AccountTransactions == 0 {
		return fault.New(fault.Invalid, "blocks of cost %d with %d transactions of an account: want costs of %d to %d and at least one transaction",
			g.Limits.BlockCost, g.Limits.AccountTransactions, MinBlockCost, MaxBlockCost)
	}
	if len(g.Validators) == 0 || len(g.Validators) > MaxValidators {
		return fault.New(fault.Invalid, "%d validators: want 1 to %d", len(g.Validators), MaxValidators)
	}
	total := uint64(0)
	for i, v := range g.Validators {
		if v.Power == 0 || v.Power > MaxPower {
			return fault.New(fault.Invalid, "validator %d has a power of %d: want 1 to %d", i+1, v.Power, uint64(MaxPower))
		}
		if i > 0 && bytes.Compare(g.Validators[i-1].Key[:], v.Key[:]) >= 0 {
			return fault.New(fault.Invalid, "the validators are not in strictly ascending order of their keys")
		}
		total += v.Power
	}
	if total > MaxPower {
		return fault.New(fault.Invalid, "the validators have a power of %d together: at most %d", total, uint64(MaxPower))
	}
	if err := g.validateMembers(); err != nil {
		return err
	}
	return g.validatePredecessor()
}

// ID returns the id of the ledger, which is that of the network unless there is a predecessor; see Origin.
func (g *Genesis) ID() Hash {
	b := append(binary.BigEndian.AppendUint16(nil, uint16(len(g.Network))), g.Network...)
	b = binary.BigEndian.AppendUint64(b, uint64(g.Created.Unix()))
	b = append(append(b, g.Salt[:]...), g.Limits.Marshal()...)
	for _, v := range g.Validators {
		entry := Validator{v.Power, v.Operator}
		b = append(append(b, v.Key[:]...), entry.Marshal()...)
	}
	if p := g.Predecessor; p != nil {
		id, height := p.Genesis.ID(), binary.BigEndian.AppendUint64(nil, uint64(p.Height))
		return hashOf(domainSuccessor, id[:], height, p.Block[:], p.State[:], b)
	}
	if len(g.Members) > 0 {
		members := g.memberEntries()
		digest := RosterOf(members).Digest
		return hashOf(domainFounding, digest[:], b)
	}
	return hashOf(domainGenesis, b)
}

// Entries returns the entries of the first state, sorted by key, of a ledger without a predecessor.
func (g *Genesis) Entries() []Change {
	rules := Rules{Active: 1}
	entries := []Change{{RulesKey(), rules.Marshal()}, {LimitsKey(), g.Limits.Marshal()}}
	for _, v := range g.Validators {
		entry := Validator{v.Power, v.Operator}
		entries = append(entries, Change{ValidatorKey(v.Key), entry.Marshal()})
	}
	if members := g.memberEntries(); len(members) > 0 {
		roster := RosterOf(members)
		entries = append(append(entries, members...), Change{RosterKey(), roster.Marshal()})
	}
	slices.SortFunc(entries, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	return entries
}

// ParseGenesis reads a genesis document, JSON without unknown names, and validates it. Its errors are of kind fault.Invalid, or fault.TooLarge above MaxGenesis.
func ParseGenesis(data []byte) (*Genesis, error) {
	if len(data) > MaxGenesis {
		return nil, fault.New(fault.TooLarge, "a genesis document of %d bytes: at most %d", len(data), MaxGenesis)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	g := new(Genesis)
	if err := d.Decode(g); err != nil {
		return nil, fault.New(fault.Invalid, "the genesis document can't be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "something follows the genesis document")
	}
	if err := g.Validate(); err != nil {
		return nil, fault.As(fault.Invalid, err)
	}
	return g, nil
}

// Texts of hashes, keys and accounts in JSON.

// MarshalText returns the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads it.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// String returns the key in hexadecimal.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText returns the key in hexadecimal.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads it.
func (k *PublicKey) UnmarshalText(text []byte) error {
	h, err := ParseHash(string(text))
	if err != nil {
		return fault.New(fault.Invalid, "%q is not a public key: want %d hexadecimal digits", clip(string(text)), hex.EncodedLen(len(k)))
	}
	*k = PublicKey(h)
	return nil
}

// MarshalText returns the account id as String does.
func (a AccountID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads it.
func (a *AccountID) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAccountID(string(text))
	return err
}
