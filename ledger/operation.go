package ledger

import (
	"unicode"
	"unicode/utf8"

	"github.com/folkmoot/folkmoot/fault"
)

// Operation is one of the things that a transaction does: a pointer to one of the types below.
type Operation interface {
	// Kind says which it is.
	Kind() Kind
	// signer is the account that must sign.
	signer() AccountID
	// validate checks bounds that can be checked without a state; its errors are of kind fault.Invalid.
	validate() error
}

// Kind says what an operation does. Its number is on the wire.
type Kind uint8

// The kinds of operations.
const (
	KindDefineAsset Kind = 1 + iota
	KindIssue
	KindTransfer
	KindRetire
	KindAnchor
	KindSetKeys
	KindAdmit
	KindExpel
	KindPropose
	KindVote
	KindInvite
	KindRevoke
	KindReplaceMember
)

var kindNames = [...]string{
	KindDefineAsset: "define-asset", KindIssue: "issue", KindTransfer: "transfer", KindRetire: "retire", KindAnchor: "anchor", KindSetKeys: "set-keys",
	KindAdmit: "admit", KindExpel: "expel", KindPropose: "propose", KindVote: "vote",
	KindInvite: "invite", KindRevoke: "revoke", KindReplaceMember: "replace-member",
}

// String returns the kind's name, as in documents.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown operation"
}

// Bounds of operations.
const (
	// MaxNote is the most bytes of an anchor's note, in UTF-8.
	MaxNote = 64
	// MaxMember is the most bytes of a member's peer id, MaxName those of its name, in UTF-8.
	MaxMember = 64
	MaxName   = 64
	// MaxUses is the most peers that an invite admits.
	MaxUses = 10_000
	// MaxPower is the most voting power, of one validator and of all.
	MaxPower = 1 << 40
	// MaxValidators is the most validators with power.
	MaxValidators = 256
)

type (
	// DefineAsset makes an asset, once. Its issuer signs.
	DefineAsset struct {
		Asset AssetID
		// Scale is how many decimal places people write, 0 to MaxScale.
		Scale uint8
		// Cap is the most that there may ever be at once; 0: MaxAmount.
		Cap Amount
	}
	// Issue makes more of an asset. Its issuer signs.
	Issue struct {
		Asset  AssetID
		To     AccountID
		Amount Amount
	}
	// Transfer moves an amount. From signs.
	Transfer struct {
		Asset    AssetID
		From, To AccountID
		Amount   Amount
	}
	// Retire takes an amount out of existence. From signs.
	Retire struct {
		Asset  AssetID
		From   AccountID
		Amount Amount
	}
	// Anchor says that By knew something with this SHA-256, a record or a file. It changes no state: that it was in a block is what it is for. By signs.
	Anchor struct {
		By     AccountID
		Digest Hash
		// Note is up to MaxNote bytes of text.
		Note string
	}
	// SetKeys gives an account other keys. The account signs, under its present ones.
	SetKeys struct {
		Account AccountID
		KeySet  KeySet
	}
	// Admit makes a peer a member of the network. By, the operator of a validator or the account of an open invite, signs.
	Admit struct {
		By AccountID
		// Member are the bytes of a peer id, 1 to MaxMember.
		Member string
		// Name is up to MaxName bytes of text.
		Name string
	}
	// Expel ends a membership, by whichever key the peer goes on since. By, the operator of a validator, signs.
	Expel struct {
		By     AccountID
		Member string
	}
	// Invite lets the holder of a secret admit peers: the account is the one of the key that is derived from it. By, the operator of a validator, signs.
	Invite struct {
		By      AccountID
		Account AccountID
		// Uses is how many peers it admits, 1 to MaxUses.
		Uses uint32
		// Until is the block time from which on it admits none, in milliseconds since 1970.
		Until int64
		// Note is up to MaxNote bytes of text, for those who read the list of invites.
		Note string
	}
	// Revoke ends an invite. By, the operator of a validator, signs.
	Revoke struct {
		By      AccountID
		Account AccountID
	}
	// ReplaceMember makes a peer a member in the place of another, whose name it goes on with, if that one was admitted, or took its own place ReplacePause ago. Both sign, each with the key of its peer id.
	ReplaceMember struct {
		Old, New string
	}
	// Propose puts something to the vote of the validators, and votes for it. By, the operator of a validator, signs.
	Propose struct {
		By       AccountID
		Proposal Proposal
	}
	// Vote is for an open proposal. By, the operator of a validator, signs.
	Vote struct {
		By       AccountID
		Proposal Hash
	}
)

// Proposal is what validators vote on: exactly one of its fields is not nil.
type Proposal struct {
	SetPower      *SetPower
	ActivateRules *ActivateRules
}

// SetPower gives a validator its voting power, of which 0 takes all.
type SetPower struct {
	Validator PublicKey
	// Operator is the account that speaks for the validator.
	Operator AccountID
	// Power is 0 to MaxPower.
	Power uint64
}

// ActivateRules has blocks from a height on follow another version of the rules. Programs that don't know it stop before.
type ActivateRules struct {
	Version uint32
	Height  int64
}

// Kind, signer and validate of each.

func (*DefineAsset) Kind() Kind          { return KindDefineAsset }
func (o *DefineAsset) signer() AccountID { return o.Asset.Issuer }
func (*Issue) Kind() Kind                { return KindIssue }
func (o *Issue) signer() AccountID       { return o.Asset.Issuer }
func (*Transfer) Kind() Kind             { return KindTransfer }
func (o *Transfer) signer() AccountID    { return o.From }
func (*Retire) Kind() Kind               { return KindRetire }
func (o *Retire) signer() AccountID      { return o.From }
func (*Anchor) Kind() Kind               { return KindAnchor }
func (o *Anchor) signer() AccountID      { return o.By }
func (*SetKeys) Kind() Kind              { return KindSetKeys }
func (o *SetKeys) signer() AccountID     { return o.Account }
func (*Admit) Kind() Kind                { return KindAdmit }
func (o *Admit) signer() AccountID       { return o.By }
func (*Expel) Kind() Kind                { return KindExpel }
func (o *Expel) signer() AccountID       { return o.By }
func (*Propose) Kind() Kind              { return KindPropose }
func (o *Propose) signer() AccountID     { return o.By }
func (*Vote) Kind() Kind                 { return KindVote }
func (o *Vote) signer() AccountID        { return o.By }
func (*Invite) Kind() Kind               { return KindInvite }
func (o *Invite) signer() AccountID      { return o.By }
func (*Revoke) Kind() Kind               { return KindRevoke }
func (o *Revoke) signer() AccountID      { return o.By }
func (*ReplaceMember) Kind() Kind        { return KindReplaceMember }
func (*Revoke) validate() error          { return nil }
func (*Vote) validate() error            { return nil }
func (o *SetKeys) validate() error       { return o.KeySet.Validate() }
func (o *Issue) validate() error         { return validateMovement(o.Asset, o.Amount) }
func (o *Transfer) validate() error      { return validateMovement(o.Asset, o.Amount) }
func (o *Retire) validate() error        { return validateMovement(o.Asset, o.Amount) }
func (o *Anchor) validate() error        { return validateText("note", o.Note, MaxNote) }
func (o *Expel) validate() error         { return validateMember(o.Member) }

func (o *DefineAsset) validate() error {
	if o.Scale > MaxScale {
		return fault.New(fault.Invalid, "a scale of %d: want 0 to %d", o.Scale, MaxScale)
	}
	return ValidateCode(o.Asset.Code)
}

func (o *Admit) validate() error {
	if err := validateMember(o.Member); err != nil {
		return err
	}
	return validateText("name", o.Name, MaxName)
}

func (o *Propose) validate() error {
	switch p := o.Proposal; {
	case (p.SetPower == nil) == (p.ActivateRules == nil):
		return fault.New(fault.Invalid, "a proposal is for one thing: a validator's power, or rules")
	case p.SetPower != nil && p.SetPower.Power > MaxPower:
		return fault.New(fault.Invalid, "a power of %d: at most %d", p.SetPower.Power, uint64(MaxPower))
	case p.ActivateRules != nil && (p.ActivateRules.Version == 0 || p.ActivateRules.Height <= 0):
		return fault.New(fault.Invalid, "rules of version %d from height %d: want numbers from 1", p.ActivateRules.Version, p.ActivateRules.Height)
	}
	return nil
}

func validateMovement(asset AssetID, amount Amount) error {
	if amount.IsZero() {
		return fault.New(fault.Invalid, "an amount of 0")
	}
	return ValidateCode(asset.Code)
}

func validateMember(member string) error {
	if member == "" || len(member) > MaxMember {
		return fault.New(fault.Invalid, "a peer id of %d bytes: want 1 to %d", len(member), MaxMember)
	}
	return nil
}

// validateText refuses text that is too long, no UTF-8, or holds control characters, which terminals obey.
func validateText(what, s string, most int) error {
	if len(s) > most {
		return fault.New(fault.Invalid, "a %s of %d bytes: at most %d", what, len(s), most)
	}
	if !utf8.ValidString(s) {
		return fault.New(fault.Invalid, "the %s is not UTF-8", what)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return fault.New(fault.Invalid, "the %s holds control characters", what)
		}
	}
	return nil
}
